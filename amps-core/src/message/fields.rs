//! Getters and setters, field by field.

use super::Message;
use crate::ack::AckType;
use crate::command_type::CommandType;
use crate::protocol::{Field, Status};

macro_rules! text_fields {
    ($($(#[$doc:meta])* $get:ident, $set:ident = $field:ident;)*) => {
        /// Text fields that are looked up in the header when they are asked for.
        impl Message {
            $($(#[$doc])* pub fn $get(&self) -> &str { self.text(Field::$field) })*
        }

        text_setters! { $($set, $get = $field;)* }
    };
}

macro_rules! text_setters {
    ($($set:ident, $get:ident = $field:ident;)*) => {
        /// Setters of text fields; an empty text unsets the field. They change this copy alone,
        /// which then owns its fields (rule F2).
        impl Message {
            $(#[doc = concat!("Sets [`Message::", stringify!($get), "`].")]
            pub fn $set(&mut self, value: impl AsRef<str>) -> &mut Message {
                self.own_fields().set_text(Field::$field, value.as_ref());
                self
            })*
        }
    };
}

macro_rules! number_fields {
    ($($(#[$doc:meta])* $get:ident, $set:ident = $field:ident;)*) => {
        /// Numbers that are looked up in the header when they are asked for.
        impl Message {
            $($(#[$doc])* pub fn $get(&self) -> Option<u64> { self.number(Field::$field) })*
        }

        /// Setters of numbers. They change this copy alone, which then owns its fields.
        impl Message {
            $(#[doc = concat!("Sets [`Message::", stringify!($get), "`].")]
            pub fn $set(&mut self, value: u64) -> &mut Message {
                self.own_fields().set_number(Field::$field, value);
                self
            })*
        }
    };
}

text_fields! {
    /// The content filter of a command.
    filter, set_filter = Filter;
    /// The options; in the acknowledgement of a queue subscription `max_backlog=N`.
    options, set_options = Options;
    /// The publisher's token.
    correlation_id, set_correlation_id = CorrelationId;
    /// Who published the message, if the server reveals it.
    user_id, set_user_id = UserId;
    /// The password that a logon acknowledgement offers for the next attempt.
    password, set_password = Password;
    /// The client name that a logon acknowledgement confirms.
    client_name, set_client_name = ClientName;
    /// The keys of a delete or query.
    sow_keys, set_sow_keys = SowKeys;
    /// The order of a query.
    order_by, set_order_by = OrderBy;
    /// Why; may be present on success, too. On an `oof` message: why the record left, see
    /// [`Message::oof_reason`].
    reason, set_reason = Reason;
    /// The version of the server, in a logon acknowledgement.
    version, set_version = Version;
    /// The message type of a logon.
    message_type, set_message_type = MessageType;
    /// When the server processed the message: ISO-8601 with microseconds.
    timestamp, set_timestamp = Timestamp;
    /// The interval of a heartbeat, in the way of old servers.
    heartbeat, set_heartbeat = HeartbeatInterval;
}

text_setters! {
    set_topic, topic = Topic;
    set_command_id, command_id = CommandId;
    set_sub_id, sub_id = SubId;
    set_sub_ids, sub_ids = SubIds;
    set_query_id, query_id = QueryId;
    set_bookmark, bookmark = Bookmark;
    set_sow_key, sow_key = SowKey;
}

number_fields! {
    /// The publisher's sequence number.
    sequence, set_sequence = Sequence;
    /// The lifetime in seconds.
    expiration, set_expiration = Expiration;
    /// Records in the batch that this record came in.
    batch_size, set_batch_size = BatchSize;
    /// The most records wanted.
    top_n, set_top_n = TopN;
    /// Records to skip.
    skip_n, set_skip_n = SkipN;
    /// The payload length that the header states.
    message_length, set_message_length = MessageLength;
    /// Records that matched.
    matches, set_matches = Matches;
    /// Records that were looked at.
    topic_matches, set_topic_matches = TopicMatches;
    /// Records that were returned.
    records_returned, set_records_returned = RecordsReturned;
    /// Records that were inserted.
    records_inserted, set_records_inserted = RecordsInserted;
    /// Records that were updated.
    records_updated, set_records_updated = RecordsUpdated;
    /// Records that were deleted.
    records_deleted, set_records_deleted = RecordsDeleted;
    /// The running number of the batch.
    group_sequence_number, set_group_sequence_number = GroupSequenceNumber;
    /// The most messages wanted, in the way of old servers.
    max_messages, set_max_messages = MaxMessages;
    /// An interval in milliseconds, in the way of old servers.
    timeout_interval, set_timeout_interval = TimeoutInterval;
}

/// Fields that the client itself looks at.
impl Message {
    /// Makes it another command, by its name; every other field stays. A name that this version of
    /// the client does not know is sent as it stands.
    pub fn set_command(&mut self, name: impl AsRef<str>) -> &mut Message {
        let name = name.as_ref();
        self.own_fields().set_text(Field::Command, name);
        self.parts.header.command = CommandType::parse(name);
        self
    }

    /// Sets the acknowledgements that are asked for, or the one that this is.
    pub fn set_ack_type(&mut self, acks: AckType) -> &mut Message {
        let text = acks.to_string();
        self.own_fields().set_text(Field::AckType, &text);
        self.parts.header.ack_type = acks;
        self
    }

    /// Sets [`Message::status`].
    pub fn set_status(&mut self, status: impl AsRef<str>) -> &mut Message {
        let status = status.as_ref();
        self.own_fields().set_text(Field::Status, status);
        self.parts.header.status = Status::from_wire(status.as_bytes());
        self
    }

    /// When the lease of a queue message ends: ISO-8601.
    pub fn lease_period(&self) -> &str {
        self.text(Field::LeasePeriod)
    }

    /// Sets [`Message::lease_period`].
    pub fn set_lease_period(&mut self, end: impl AsRef<str>) -> &mut Message {
        let end = end.as_ref();
        self.own_fields().set_text(Field::LeasePeriod, end);
        self.parts.header.has_lease = !end.is_empty();
        self
    }
}
