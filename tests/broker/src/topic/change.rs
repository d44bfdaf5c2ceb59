//! Something that happened to a topic, on its way to the subscriptions.

use super::Topic;
use crate::filter::{Candidate, Delta, diff};
use crate::message_type::MessageType;
use crate::sow::{Record, Sow};
use crate::txlog::{Bookmark, Entry, Message};
use std::cell::OnceCell;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Published,
    Deleted,
    Expired,
}

/// A message, or the end of a record.
pub(crate) struct Change<'a> {
    pub(crate) event: Event,
    /// The place of the topic.
    pub(crate) at: usize,
    pub(crate) topic: &'a [u8],
    pub(crate) message_type: &'a MessageType,
    /// The new message, merged if it was a delta; of a record that ended, the last one.
    pub(crate) payload: &'a [u8],
    /// Empty if the topic keeps no records.
    pub(crate) key: &'a [u8],
    pub(crate) correlation_id: &'a [u8],
    /// When it was processed, in microseconds since 1970; the clock is asked if it is not said.
    pub(crate) processed: Option<u64>,
    /// What it is called in the transaction log, if it stands there.
    pub(crate) bookmark: Option<Bookmark>,
    /// The record as it was before.
    pub(crate) old: Option<&'a Record>,
    /// The records as they are now.
    pub(crate) sow: Option<&'a Sow>,
    /// See [`Change::delta`].
    pub(crate) delta: OnceCell<Delta>,
}

impl<'a> Change<'a> {
    /// A message of the log. `with_old` says whether it counts as a change of what was there
    /// before.
    pub(crate) fn logged(
        topic: &'a Topic,
        entry: &'a Entry,
        message: &'a Message,
        with_old: bool,
    ) -> Change<'a> {
        Change {
            event: Event::Published,
            at: topic.at,
            topic: &topic.name,
            message_type: &topic.message_type,
            payload: &message.payload,
            key: &message.key,
            correlation_id: &message.correlation_id,
            processed: Some(entry.processed),
            bookmark: Some(entry.bookmark),
            old: message.old.as_deref().filter(|_| with_old),
            sow: topic.sow.as_ref(),
            delta: OnceCell::new(),
        }
    }
}

impl Change<'_> {
    /// What filters see of the message.
    #[inline]
    pub(crate) fn now(&self) -> Seen<'_> {
        Seen {
            message_type: self.message_type,
            topic: self.topic,
            payload: self.payload,
            key: self.key,
            correlation_id: self.correlation_id,
            updated: self.processed,
        }
    }

    /// What filters saw of the record before.
    pub(crate) fn before(&self) -> Option<Seen<'_>> {
        let old = self.old?;
        Some(Seen::record(self.message_type, self.topic, old))
    }

    /// What changed in the record; all of it if there was none. Worked out once for all
    /// subscriptions.
    pub(crate) fn delta(&self) -> &Delta {
        self.delta.get_or_init(|| match self.old {
            Some(old) => self.diff(&old.payload, self.payload),
            None => Delta {
                payload: self.payload.to_vec(),
                changed: true,
            },
        })
    }

    /// What changed between two forms of the record.
    pub(crate) fn diff(&self, old: &[u8], new: &[u8]) -> Delta {
        let keys = self.sow.map_or(&[][..], |sow| sow.rule.paths());
        diff(self.message_type, old, new, keys)
    }
}

/// What a filter sees of a message or a record.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    message_type: &'a MessageType,
    topic: &'a [u8],
    payload: &'a [u8],
    key: &'a [u8],
    correlation_id: &'a [u8],
    updated: Option<u64>,
}

impl<'a> Seen<'a> {
    /// A record of a topic.
    pub(crate) fn record(
        message_type: &'a MessageType,
        topic: &'a [u8],
        record: &'a Record,
    ) -> Seen<'a> {
        Seen {
            message_type,
            topic,
            payload: &record.payload,
            key: &record.key,
            correlation_id: &record.correlation_id,
            updated: Some(record.updated),
        }
    }

    /// A message of which the sender has said nothing but what is in it.
    pub(crate) fn message(
        message_type: &'a MessageType,
        topic: &'a [u8],
        payload: &'a [u8],
    ) -> Seen<'a> {
        Seen {
            message_type,
            topic,
            payload,
            key: b"",
            correlation_id: b"",
            updated: None,
        }
    }
}

impl Candidate for Seen<'_> {
    fn message_type(&self) -> &MessageType {
        self.message_type
    }

    fn payload(&self) -> &[u8] {
        self.payload
    }

    fn topic(&self) -> &str {
        std::str::from_utf8(self.topic).unwrap_or_default()
    }

    fn correlation_id(&self) -> Option<&[u8]> {
        (!self.correlation_id.is_empty()).then_some(self.correlation_id)
    }

    fn sow_key(&self) -> Option<&str> {
        let key = std::str::from_utf8(self.key).ok()?;
        (!key.is_empty()).then_some(key)
    }

    fn last_updated(&self) -> Option<f64> {
        self.updated.map(|micros| micros as f64 / 1e6)
    }
}
