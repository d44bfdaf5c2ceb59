//! What stands in the transaction log.

use super::Bookmark;
use crate::sow::Record;
use bytes::Bytes;

/// One place of the log.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) bookmark: Bookmark,
    /// When it was processed, in microseconds since 1970. Never less than that of the entry
    /// before.
    pub(crate) processed: u64,
    /// The number of the broker that it was taken over from; 0 if a client brought it, or if that
    /// was in an earlier life.
    pub(crate) from: u64,
    pub(crate) event: Event,
}

/// What happened.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// A message was published; a delta stands here merged.
    Message(Message),
    /// Records were deleted, maybe none: the place of the topic and the key of each.
    Delete(Vec<(usize, Box<[u8]>)>),
}

/// A published message.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// The place of the topic.
    pub(crate) topic: usize,
    /// Empty if the topic keeps no records.
    pub(crate) key: Box<[u8]>,
    /// Shared with the record.
    pub(crate) payload: Bytes,
    pub(crate) correlation_id: Box<[u8]>,
    /// The seconds to live that its publisher gave.
    pub(crate) lifetime: Option<u64>,
    /// The record as it was before, if a subscription wants to know what changed.
    pub(crate) old: Option<Box<Record>>,
}
