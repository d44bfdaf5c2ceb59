//! One record of a topic.

use bytes::Bytes;
use std::time::Instant;

/// One record.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) key: Box<[u8]>,
    /// Shared with the transaction log, if the topic is logged.
    pub(crate) payload: Bytes,
    /// The publisher's token on the last message; may be empty.
    pub(crate) correlation_id: Vec<u8>,
    /// When the last message was processed, in microseconds since 1970.
    pub(crate) updated: u64,
    /// Where the last message stands in the order of all messages.
    pub(crate) version: u64,
    /// When it ends; `None` if it does not.
    pub(crate) expires: Option<Instant>,
}
