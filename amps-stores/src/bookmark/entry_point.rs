//! The point that a subscription was last entered with.

use super::position::{Position, is_now, is_timestamp};
use amps_core::bookmark;
use rustc_hash::FxHashMap;
use std::borrow::Cow;

/// Where a subscription was told to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EntryPoint {
    /// The beginning of the log. It comes before everything, so it is sent alone.
    Epoch,
    /// An instant. It cannot stand in a list, so it is sent alone.
    Instant(String),
    /// Bookmarks, of which the server takes the one that comes first in its log.
    List(Vec<String>),
}

impl EntryPoint {
    /// Reads a bookmark, a list, or a timestamp. The end of the log is no point to come back to:
    /// it is dropped from a list, and what is empty then is the beginning.
    pub(crate) fn parse(text: &str) -> EntryPoint {
        let items = text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty() && !is_now(item));
        let mut list: Vec<String> = Vec::new();
        for item in items {
            if item == bookmark::EPOCH || item == bookmark::MOST_RECENT {
                return EntryPoint::Epoch;
            }
            if !list.iter().any(|there| there == item) {
                list.push(item.to_string());
            }
        }
        thin(&mut list);
        match list.as_slice() {
            [] => EntryPoint::Epoch,
            [one] if is_timestamp(one) => EntryPoint::Instant(one.clone()),
            _ => EntryPoint::List(list),
        }
    }

    /// A point that comes before both in the log of every server.
    ///
    /// Where an instant lies among bookmarks only the server knows, so of such a pair only the
    /// beginning of the log is certain to come first.
    pub(crate) fn earlier(self, other: EntryPoint) -> EntryPoint {
        match (self, other) {
            (EntryPoint::Instant(one), EntryPoint::Instant(other)) => {
                EntryPoint::Instant(one.min(other))
            }
            (EntryPoint::List(mut list), EntryPoint::List(other)) => {
                for item in other {
                    if !list.contains(&item) {
                        list.push(item);
                    }
                }
                EntryPoint::List(list)
            }
            _ => EntryPoint::Epoch,
        }
    }

    /// The point as the server reads it.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        match self {
            EntryPoint::Epoch => Cow::Borrowed(bookmark::EPOCH),
            EntryPoint::Instant(instant) => Cow::Borrowed(instant),
            EntryPoint::List(list) => Cow::Owned(list.join(",")),
        }
    }
}

/// Leaves the lowest and the highest bookmark of each publisher: a server starts at the lowest, or
/// at another if its log has been cut since. Those between say nothing more, and a subscription that
/// reconnects again and again would collect them.
fn thin(list: &mut Vec<String>) {
    let numbers = |item: &str| match Position::parse(item) {
        Position::Numbered {
            publisher,
            sequence,
            ..
        } => Some((publisher, sequence)),
        _ => None,
    };
    let mut ends: FxHashMap<u64, (u64, u64)> = FxHashMap::default();
    for (publisher, sequence) in list.iter().filter_map(|item| numbers(item)) {
        let (lowest, highest) = ends.entry(publisher).or_insert((sequence, sequence));
        *lowest = sequence.min(*lowest);
        *highest = sequence.max(*highest);
    }
    list.retain(|item| {
        numbers(item).is_none_or(|(publisher, sequence)| {
            let (lowest, highest) = ends[&publisher];
            sequence == lowest || sequence == highest
        })
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_again() {
        for text in ["0", "20240315T093000Z", "1|2|", "1|2|,a|4|"] {
            assert_eq!(EntryPoint::parse(text).text(), text);
        }
    }

    #[test]
    fn a_list_loses_what_says_nothing() {
        assert_eq!(EntryPoint::parse(" 1|2| ,,1|2|,0|1|").text(), "1|2|");
        for text in ["", ",", "0|1|", "1|2|,0", "recent"] {
            assert_eq!(EntryPoint::parse(text), EntryPoint::Epoch, "{text}");
        }
    }

    #[test]
    fn a_list_has_two_bookmarks_of_a_publisher_at_most() {
        let list = EntryPoint::parse("1|5|,2|3|,1|2|,x|y|z,1|9|,1|7|");
        assert_eq!(list.text(), "2|3|,1|2|,x|y|z,1|9|");
    }

    #[test]
    fn the_earlier_of_two_points_covers_both() {
        let earlier = |one, other| EntryPoint::parse(one).earlier(EntryPoint::parse(other));
        assert_eq!(earlier("1|2|", "3|4|,1|2|").text(), "1|2|,3|4|");
        let (one, other) = ("20240315T093000Z", "20240315T092959Z");
        assert_eq!(earlier(one, other).text(), other);
        assert_eq!(earlier("1|2|", one), EntryPoint::Epoch);
        assert_eq!(earlier("0", "1|2|"), EntryPoint::Epoch);
    }
}
