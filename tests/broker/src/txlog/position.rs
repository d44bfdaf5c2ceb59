//! From the points that clients name to positions of the log.

use super::{Limit, Log, Point};

impl Log {
    /// The position of the first entry that a client wants; `None` if the log knows none of the
    /// messages that the client named.
    pub(crate) fn first_wanted(&self, start: &Limit, is_range: bool) -> Option<u64> {
        let after = |position: u64| match start.inclusive {
            true => position.max(1),
            false => position + 1,
        };
        start
            .points
            .iter()
            .filter_map(|point| {
                Some(match *point {
                    Point::Epoch => 1,
                    Point::Now => after(self.end()),
                    Point::Time(time) => self.first_at(time, start.inclusive || !is_range),
                    Point::Message(bookmark) => after(self.find(bookmark)?),
                })
            })
            .min()
    }

    /// Where a client wants to stop; `None` if the log knows none of the messages that it named.
    pub(crate) fn stop(&self, end: &Limit) -> Option<Stop> {
        let mut position = None;
        let mut time = None;
        for point in &end.points {
            match *point {
                Point::Epoch => position = position.max(Some(0)),
                Point::Now => position = position.max(Some(self.end())),
                Point::Time(at) => {
                    let last = if end.inclusive {
                        Some(at)
                    } else {
                        at.checked_sub(1)
                    };
                    time = time.max(Some(last.unwrap_or_default()));
                }
                Point::Message(bookmark) => {
                    let found = self.find(bookmark);
                    let last = found.map(|found| found - u64::from(!end.inclusive));
                    position = position.max(last);
                }
            }
        }
        match (position, time) {
            (None, None) => None,
            (position, time) => Some(Stop { position, time }),
        }
    }

    /// The position of the first entry at or after a time.
    pub(super) fn first_at(&self, time: u64, inclusive: bool) -> u64 {
        let before = self.entries.partition_point(|entry| match inclusive {
            true => entry.processed < time,
            false => entry.processed <= time,
        });
        before as u64 + 1
    }
}

/// Where a replay ends: at whichever comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stop {
    /// The last position that belongs to it.
    pub(crate) position: Option<u64>,
    /// The last microsecond that belongs to it.
    pub(crate) time: Option<u64>,
}

impl Stop {
    /// True if an entry is beyond.
    pub(crate) fn is_before(&self, position: u64, processed: u64) -> bool {
        self.position.is_none_or(|last| last < position)
            && self.time.is_none_or(|last| last < processed)
    }
}
