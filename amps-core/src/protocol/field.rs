//! The header fields and their spellings.

/// How the value of a field is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// In quotes, with escapes.
    Text,
    /// Bare decimal digits.
    Number,
}

macro_rules! fields {
    ($($(#[$doc:meta])* $variant:ident, $kind:ident, $key:literal $(| $also:literal)*;)*) => {
        /// A header field.
        ///
        /// The variants stand in the order in which a frame is written.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Field {
            $($(#[$doc])* $variant,)*
        }

        impl Field {
            /// Every field, in writing order.
            pub const ALL: &'static [Field] = &[$(Field::$variant,)*];

            /// The key that is written.
            pub const fn key(self) -> &'static str {
                match self { $(Field::$variant => $key,)* }
            }

            /// Every key that is read: the written one first.
            pub const fn keys(self) -> &'static [&'static str] {
                match self { $(Field::$variant => &[$key $(, $also)*],)* }
            }

            /// How the value is written.
            pub const fn kind(self) -> FieldKind {
                match self { $(Field::$variant => FieldKind::$kind,)* }
            }

            /// What stands before a text value: comma, key, colon and the opening quote.
            pub(crate) const fn text_prefix(self) -> &'static [u8] {
                match self { $(Field::$variant => concat!(",\"", $key, "\":\"").as_bytes(),)* }
            }

            /// What stands before a number: comma, key and colon.
            pub(crate) const fn number_prefix(self) -> &'static [u8] {
                match self { $(Field::$variant => concat!(",\"", $key, "\":").as_bytes(),)* }
            }

            /// Finds the field of a key in either spelling.
            #[inline]
            pub fn from_key(key: &[u8]) -> Option<Field> {
                match key {
                    $(key if key == $key.as_bytes() $(|| key == $also.as_bytes())* => {
                        Some(Field::$variant)
                    })*
                    _ => None,
                }
            }
        }
    };
}

fields! {
    /// What the message is.
    Command, Text, "c" | "cmd";
    /// Chosen by the client, echoed in the acknowledgements.
    CommandId, Text, "cid" | "cmd_id";
    /// Who logs on.
    ClientName, Text, "client_name";
    /// The subscription, or a list of subscriptions.
    SubId, Text, "sub_id";
    /// The subscriptions that a message is for.
    SubIds, Text, "sids";
    /// The query.
    QueryId, Text, "query_id";
    /// The topic, or a pattern for topics.
    Topic, Text, "t" | "topic";
    /// The content filter.
    Filter, Text, "f" | "filter";
    /// A list of record keys.
    SowKeys, Text, "sow_keys";
    /// The key of a record.
    SowKey, Text, "k" | "sow_key";
    /// A position in the transaction log.
    Bookmark, Text, "bm" | "bookmark";
    /// The message type of the connection.
    MessageType, Text, "mt" | "message_type";
    /// The user who logs on, or who published.
    UserId, Text, "user_id";
    /// The secret of the logon.
    Password, Text, "pw" | "password";
    /// The publisher's sequence number.
    Sequence, Number, "s" | "seq";
    /// Records per frame: wanted, or contained.
    BatchSize, Number, "bs" | "batch_size";
    /// The most records wanted.
    TopN, Number, "top_n";
    /// The records to skip first.
    SkipN, Number, "skip_n";
    /// The order of a query result.
    OrderBy, Text, "orderby";
    /// A list of options.
    Options, Text, "o" | "opts";
    /// The lifetime of a record in seconds.
    Expiration, Number, "e" | "expiration";
    /// The publisher's token.
    CorrelationId, Text, "x" | "correlation_id";
    /// The acknowledgements wanted, or the one this is.
    AckType, Text, "a" | "ack_type";
    /// Client version or server version.
    Version, Text, "version" | "v";
    /// How a command ended.
    Status, Text, "status";
    /// Why it ended so.
    Reason, Text, "reason";
    /// When the server processed the message.
    Timestamp, Text, "ts" | "timestamp";
    /// When the lease of a queue message ends.
    LeasePeriod, Text, "lp" | "leaseperiod" | "lease_period";
    /// Records sent by a query.
    RecordsReturned, Number, "records_returned";
    /// Records that a query looked at.
    TopicMatches, Number, "topic_matches";
    /// Records that matched.
    Matches, Number, "matches";
    /// Records deleted.
    RecordsDeleted, Number, "records_deleted";
    /// Records inserted.
    RecordsInserted, Number, "records_inserted";
    /// Records updated.
    RecordsUpdated, Number, "records_updated";
    /// The running number of a batch.
    GroupSequenceNumber, Number, "gseq" | "group_sequence_number";
    /// Legacy switch.
    DataOnly, Text, "data_only";
    /// Legacy switch.
    SendEmpty, Text, "send_empty";
    /// Legacy switch.
    SendKeys, Text, "send_keys";
    /// Legacy switch.
    SendOof, Text, "send_oof";
    /// Legacy.
    TimeoutInterval, Number, "timeout_interval";
    /// Legacy.
    HeartbeatInterval, Text, "heartbeat";
    /// Legacy.
    MaxMessages, Number, "max_msgs" | "maximum_messages";
    /// Legacy.
    Source, Text, "src";
    /// Legacy.
    UseNamespaces, Text, "use_ns";
    /// Read from other implementations only.
    GracePeriod, Number, "grace_period";
    /// The length of the payload; last, because it describes what follows.
    MessageLength, Number, "l" | "msg_len";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_leads_to_its_field_and_to_no_other() {
        for &field in Field::ALL {
            for key in field.keys() {
                assert_eq!(Field::from_key(key.as_bytes()), Some(field), "{key}");
            }
        }
        assert_eq!(Field::from_key(b"send_matching_ids"), None);
        assert_eq!(Field::from_key(b""), None);
    }
}
