//! What identifies a message of a queue.

use crate::hash::stable_hash;
use amps_core::protocol::{list_items, parse_u64};
use rustc_hash::FxHashMap;
use std::fmt;

/// A bookmark: who published a message, and the number that it has there (`protocol §9`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Bookmark {
    /// The hash of a client's name, or one that the broker made.
    pub(crate) publisher: u64,
    pub(crate) sequence: u64,
}

impl Bookmark {
    /// Reads `publisher|sequence|`.
    pub(crate) fn parse(text: &[u8]) -> Option<Bookmark> {
        let text = text.strip_suffix(b"|").unwrap_or(text);
        let bar = text.iter().position(|&byte| byte == b'|')?;
        Some(Bookmark {
            publisher: parse_u64(&text[..bar])?,
            sequence: parse_u64(&text[bar + 1..])?,
        })
    }

    /// Reads a comma list of at least one; `None` if there is anything else in it.
    pub(crate) fn parse_list(text: &[u8]) -> Option<Vec<Bookmark>> {
        let all = list_items(text)
            .map(Bookmark::parse)
            .collect::<Option<Vec<_>>>()?;
        (!all.is_empty()).then_some(all)
    }
}

impl fmt::Display for Bookmark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}|{}|", self.publisher, self.sequence)
    }
}

/// Gives each message its bookmark.
#[derive(Debug, Default)]
pub(crate) struct Bookmarks {
    /// The highest sequence number of each publisher.
    seen: FxHashMap<u64, u64>,
    /// Counts the messages without one.
    own: u64,
}

impl Bookmarks {
    /// The bookmark of a publish; `None` if the broker has seen it before, or a later one of the
    /// same client (`broker-behaviour §7`).
    pub(crate) fn assign(&mut self, client: &str, sequence: Option<u64>) -> Option<Bookmark> {
        let Some(sequence) = sequence else {
            self.own += 1;
            return Some(Bookmark {
                publisher: stable_hash([&b"broker"[..], client.as_bytes()]),
                sequence: self.own,
            });
        };
        let publisher = stable_hash([client.as_bytes()]);
        let seen = self.seen.entry(publisher).or_default();
        if sequence <= *seen {
            return None;
        }
        *seen = sequence;
        Some(Bookmark {
            publisher,
            sequence,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_bookmarks_reads_back_and_anything_else_is_none() {
        let two = Bookmark::parse_list(b"18446744073709551615|12|, 7|13").unwrap();
        assert_eq!(two[0].to_string(), "18446744073709551615|12|");
        assert_eq!(two[1].to_string(), "7|13|");
        for wrong in [
            "", ",", "7", "7|", "|7|", "7|x|", "+7|1|", "7|1|2|", "7|1|,x",
        ] {
            let list = Bookmark::parse_list(wrong.as_bytes());
            assert_eq!(list, None, "{wrong}");
        }
    }

    #[test]
    fn a_sequence_number_counts_once_and_messages_without_one_get_their_own() {
        let mut bookmarks = Bookmarks::default();
        let first = bookmarks.assign("a", Some(5)).unwrap();
        assert_eq!(first.publisher, stable_hash([&b"a"[..]]));
        assert_eq!(bookmarks.assign("a", Some(5)), None);
        assert_eq!(bookmarks.assign("a", Some(4)), None);
        assert!(bookmarks.assign("b", Some(5)).is_some());
        let own = bookmarks.assign("a", None).unwrap();
        assert_ne!(own.publisher, first.publisher);
        assert_ne!(bookmarks.assign("a", None).unwrap(), own);
    }
}
