//! A message in a queue.

use crate::filter::{Candidate, Value};
use crate::message_type::MessageType;
use crate::sow::Record;
use crate::topic::Seen;
use crate::txlog::Bookmark;
use std::cmp::Reverse;
use std::time::Instant;

/// Where a message stands in its queue: by priority, then by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// `None`, which is none, is last.
    pub(super) priority: Reverse<Option<u64>>,
    /// Counts the messages of the queue.
    pub(super) arrival: u64,
}

/// A message in a queue.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) bookmark: Bookmark,
    /// The bookmark as it is sent.
    pub(crate) bookmark_text: String,
    /// The message, written down as a record without a key is: so it can be browsed like one.
    pub(crate) record: Record,
    /// Set while somebody works on it.
    pub(super) lease: Option<Lease>,
    /// How often it was leased.
    pub(super) deliveries: u32,
    /// When it was leased last, in microseconds since 1970.
    pub(super) last_leased: Option<u64>,
    /// How often it was given back on purpose.
    pub(super) cancels: u32,
}

/// A message is somebody's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lease {
    /// The number of the consumer.
    pub(super) consumer: u64,
    /// `None` if it does not end by itself.
    pub(super) until: Option<Instant>,
}

impl Entry {
    pub(super) fn new(bookmark: Bookmark, record: Record) -> Entry {
        Entry {
            bookmark,
            bookmark_text: bookmark.to_string(),
            record,
            lease: None,
            deliveries: 0,
            last_leased: None,
            cancels: 0,
        }
    }

    /// When the queue is to look at it again.
    pub(super) fn alarm(&self) -> Option<Instant> {
        match self.lease {
            Some(lease) => lease.until,
            None => self.record.expires,
        }
    }

    /// What filters see of it.
    pub(crate) fn seen<'a>(
        &'a self,
        message_type: &'a MessageType,
        queue: &'a [u8],
    ) -> Waiting<'a> {
        Waiting {
            entry: self,
            seen: Seen::record(message_type, queue, &self.record),
        }
    }
}

/// What a filter sees of a message in a queue.
pub(crate) struct Waiting<'a> {
    entry: &'a Entry,
    seen: Seen<'a>,
}

impl Candidate for Waiting<'_> {
    fn message_type(&self) -> &MessageType {
        self.seen.message_type()
    }

    fn payload(&self) -> &[u8] {
        self.seen.payload()
    }

    fn topic(&self) -> &str {
        self.seen.topic()
    }

    fn bookmark(&self) -> Option<&str> {
        Some(&self.entry.bookmark_text)
    }

    fn correlation_id(&self) -> Option<&[u8]> {
        self.seen.correlation_id()
    }

    fn last_updated(&self) -> Option<f64> {
        self.seen.last_updated()
    }

    fn last_leased(&self) -> Option<f64> {
        self.entry.last_leased.map(|micros| micros as f64 / 1e6)
    }

    fn lease_count(&self) -> Option<u64> {
        Some(u64::from(self.entry.deliveries))
    }
}

/// The priority that a value means.
pub(super) fn priority_of(value: &Value<'_>) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        Value::UInt(number) => Some(*number),
        Value::Float(number) if *number >= 0.0 => Some(*number as u64),
        Value::Str(text) | Value::Untyped(text) => std::str::from_utf8(text).ok()?.parse().ok(),
        _ => None,
    }
}
