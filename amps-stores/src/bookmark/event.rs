//! What can happen to a subscription. The stores differ only in where they write it.

use super::position::Position;

/// One change. A file that holds all of them holds the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    /// The subscription is being entered at a point.
    Entered {
        /// The point, of those that can be entered again.
        point: &'a str,
        /// It stands for the end of the log until `Completed` tells a better one.
        now: bool,
        /// It is not where the subscription left off: what was discarded before is no longer a
        /// point to start at.
        anew: bool,
    },
    /// A message arrived that was not there; it gets the next number.
    Received(Position<'a>),
    /// The application is done with the entry of this number.
    Discarded(u64),
    /// The replay is done.
    Completed(&'a str),
    /// The server has persisted its log up to here.
    Persisted(&'a str),
    /// Part of a snapshot: a publisher, the end of its prefix, and the point to start at.
    Prefix {
        /// The bookmark at the end, or any of the publisher if `known` is false.
        position: Position<'a>,
        /// False if the publisher was seen and has no prefix.
        known: bool,
        /// The sequence of the point to start at; any number for a bookmark of another form, which
        /// is that point itself.
        listed: Option<u64>,
    },
    /// Part of a snapshot: a bookmark that was discarded and has left the entries, while a lower
    /// one of its publisher is still there.
    Ahead(Position<'a>),
}
