//! Getters over the fields that the client itself does not need.

use super::Message;
use crate::protocol::Field;

macro_rules! text_getters {
    ($($(#[$doc:meta])* $name:ident = $field:ident;)*) => {
        /// Fields that are looked up in the header when they are asked for.
        impl Message {
            $($(#[$doc])* pub fn $name(&self) -> &str { self.text(Field::$field) })*
        }
    };
}

macro_rules! number_getters {
    ($($(#[$doc:meta])* $name:ident = $field:ident;)*) => {
        /// Numbers that are looked up in the header when they are asked for.
        impl Message {
            $($(#[$doc])* pub fn $name(&self) -> Option<u64> { self.number(Field::$field) })*
        }
    };
}

text_getters! {
    /// The content filter of a command.
    filter = Filter;
    /// The options; in the acknowledgement of a queue subscription `max_backlog=N`.
    options = Options;
    /// The publisher's token.
    correlation_id = CorrelationId;
    /// Who published the message, if the server reveals it.
    user_id = UserId;
    /// The client name that a logon acknowledgement confirms.
    client_name = ClientName;
    /// The keys of a delete or query.
    sow_keys = SowKeys;
    /// The order of a query.
    order_by = OrderBy;
    /// The version of the server, in a logon acknowledgement.
    version = Version;
    /// The message type of a logon.
    message_type = MessageType;
    /// When the lease of a queue message ends: ISO-8601.
    lease_period = LeasePeriod;
    /// When the server processed the message: ISO-8601 with microseconds.
    timestamp = Timestamp;
}

number_getters! {
    /// The publisher's sequence number.
    sequence = Sequence;
    /// The lifetime in seconds.
    expiration = Expiration;
    /// Records in the batch that this record came in.
    batch_size = BatchSize;
    /// The most records wanted.
    top_n = TopN;
    /// Records to skip.
    skip_n = SkipN;
    /// The payload length that the header states.
    message_length = MessageLength;
    /// Records that matched.
    matches = Matches;
    /// Records that were looked at.
    topic_matches = TopicMatches;
    /// Records that were returned.
    records_returned = RecordsReturned;
    /// Records that were inserted.
    records_inserted = RecordsInserted;
    /// Records that were updated.
    records_updated = RecordsUpdated;
    /// Records that were deleted.
    records_deleted = RecordsDeleted;
    /// The running number of the batch.
    group_sequence_number = GroupSequenceNumber;
}
