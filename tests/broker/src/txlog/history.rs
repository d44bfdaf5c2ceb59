//! Points of the log as those who ask what was then see them.

use super::{Entry, Limit, Log, Point};
use crate::time::now_micros;
use std::time::Duration;

/// A point of the log, and its time.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Moment {
    /// The last position that belongs to it; 0 if there is none.
    pub(crate) position: u64,
    /// In microseconds since 1970.
    pub(crate) time: u64,
}

/// How far back the states of a topic can be asked for, and how finely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct History {
    /// As far back as the log goes if there is no limit.
    pub(crate) window: Option<Duration>,
    /// The time between two states that are saved; zero if each change is.
    pub(crate) granularity: Duration,
}

impl History {
    /// True if what was at a time is still known.
    pub(crate) fn reaches(&self, time: u64, now: u64) -> bool {
        let age = Duration::from_micros(now.saturating_sub(time));
        self.window.is_none_or(|window| age <= window)
    }
}

impl Log {
    /// The point after everything that there is.
    pub(crate) fn now(&self) -> Moment {
        Moment {
            position: self.end(),
            time: now_micros(),
        }
    }

    /// The point that a client means; `None` if the log knows none of the messages that it
    /// named.
    ///
    /// To a message and to a time belongs what was processed then.
    pub(crate) fn moment(&self, limit: &Limit) -> Option<Moment> {
        let moments = limit.points.iter().filter_map(|point| match *point {
            Point::Epoch => Some(Moment::default()),
            Point::Now => Some(self.now()),
            Point::Time(time) => Some(Moment {
                position: self.first_at(time, false) - 1,
                time,
            }),
            Point::Message(bookmark) => {
                let position = self.find(bookmark)?;
                let time = self.at(position)?.processed;
                Some(Moment { position, time })
            }
        });
        moments.min_by_key(|moment| moment.position)
    }

    /// The position of the last state that was saved at a point or before.
    pub(crate) fn saved(&self, moment: Moment, history: &History) -> u64 {
        let granularity = u64::try_from(history.granularity.as_micros()).unwrap_or(u64::MAX);
        match moment.time.checked_rem(granularity) {
            None => moment.position,
            Some(beyond) => {
                let saved = self.first_at(moment.time - beyond, false) - 1;
                saved.min(moment.position)
            }
        }
    }

    /// The entries up to a position.
    pub(crate) fn up_to(&self, position: u64) -> &[Entry] {
        let count = usize::try_from(position).unwrap_or(usize::MAX);
        &self.entries[..count.min(self.entries.len())]
    }
}
