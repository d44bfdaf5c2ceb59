//! Which writes are duplicates, and what the others are called in the log
//! (`broker-behaviour §7`, duplicates).

use super::Session;
use crate::engine::Engine;
use crate::request::Request;
use crate::txlog::Bookmark;
use amps_core::protocol::Field;

/// What the log makes of a publish or a delete.
pub(super) enum Known {
    /// There is no log.
    Unlogged,
    /// It is new, and this is its name.
    New(Bookmark),
    /// It was seen before; the highest sequence number of its publisher.
    Duplicate(u64),
}

impl Known {
    pub(super) fn bookmark(&self) -> Option<Bookmark> {
        match self {
            Known::New(bookmark) => Some(*bookmark),
            Known::Unlogged | Known::Duplicate(_) => None,
        }
    }
}

impl Session {
    /// Looks at the sequence number of a write. One without a number, or of a client without a
    /// name, is never a duplicate.
    pub(super) fn recognize(&self, engine: &Engine, request: &Request<'_>) -> Known {
        let log = &engine.log;
        if !log.is_enabled() {
            return Known::Unlogged;
        }
        let (Some(publisher), Some(sequence)) = (self.names.own, request.number(Field::Sequence))
        else {
            return Known::New(log.next_of(self.names.given));
        };
        let highest = log.highest(publisher);
        if sequence <= highest {
            return Known::Duplicate(highest);
        }
        Known::New(Bookmark {
            publisher,
            sequence,
        })
    }

    /// A write was carried out: from now on it is a duplicate, also if it was not logged.
    pub(super) fn note_written(&self, engine: &mut Engine, known: &Known) {
        match known {
            Known::New(bookmark) if self.names.own == Some(bookmark.publisher) => {
                engine.log.note_sequence(*bookmark);
            }
            _ => {}
        }
    }

    /// The sequence number to acknowledge: of a duplicate the highest, as everything up to there
    /// was seen.
    pub(super) fn sequence_to_acknowledge(request: &Request<'_>, known: &Known) -> Option<u64> {
        match known {
            Known::Duplicate(highest) => Some(*highest),
            Known::New(_) | Known::Unlogged => request.number(Field::Sequence),
        }
    }
}
