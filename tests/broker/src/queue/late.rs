//! Acknowledgements that came before their message.

use crate::txlog::Bookmark;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// More are not remembered: anybody can acknowledge what will never come.
const MOST: usize = 1_000_000;

/// Acknowledgements of messages that the queue has not seen. The message may still come: from a
/// publisher that is behind, or from another server.
#[derive(Debug)]
pub(super) struct LateAcks {
    memory: Duration,
    waiting: FxHashSet<Bookmark>,
    /// With when each one is forgotten, in the order of that. One that found its message is still
    /// here.
    ends: VecDeque<(Instant, Bookmark)>,
    /// The highest sequence number that came from each publisher. As theirs only grow, nothing
    /// below it can still come.
    arrived: FxHashMap<u64, u64>,
}

impl LateAcks {
    pub(super) fn new(memory: Duration) -> LateAcks {
        LateAcks {
            memory,
            waiting: FxHashSet::default(),
            ends: VecDeque::new(),
            arrived: FxHashMap::default(),
        }
    }

    /// Remembers the acknowledgement of a message that is not there.
    pub(super) fn remember(&mut self, bookmark: Bookmark, now: Instant) {
        self.forget(now);
        if !self.may_come(bookmark) {
            return;
        }
        let Some(end) = now.checked_add(self.memory) else {
            return;
        };
        if self.waiting.insert(bookmark) {
            self.ends.push_back((end, bookmark));
        }
    }

    /// True if a message is not known to have come before.
    pub(super) fn may_come(&self, bookmark: Bookmark) -> bool {
        let arrived = self.arrived.get(&bookmark.publisher);
        arrived.is_none_or(|arrived| bookmark.sequence > *arrived)
    }

    /// Notes that a message has come; true if it was acknowledged already.
    pub(super) fn arrives(&mut self, bookmark: Bookmark, now: Instant) -> bool {
        let arrived = self.arrived.entry(bookmark.publisher).or_default();
        *arrived = bookmark.sequence.max(*arrived);
        if self.waiting.is_empty() {
            return false;
        }
        self.forget(now);
        self.waiting.remove(&bookmark)
    }

    fn forget(&mut self, now: Instant) {
        while let Some((end, bookmark)) = self.ends.front()
            && (*end <= now || self.ends.len() > MOST)
        {
            self.waiting.remove(bookmark);
            self.ends.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bookmark(publisher: u64, sequence: u64) -> Bookmark {
        Bookmark {
            publisher,
            sequence,
        }
    }

    #[test]
    fn an_acknowledgement_waits_for_its_message_for_a_while() {
        let now = Instant::now();
        let mut late = LateAcks::new(Duration::from_secs(10));
        late.remember(bookmark(1, 5), now);
        late.remember(bookmark(1, 6), now);
        assert!(!late.arrives(bookmark(2, 5), now));
        assert!(late.arrives(bookmark(1, 5), now + Duration::from_secs(9)));
        assert!(!late.arrives(bookmark(1, 6), now + Duration::from_secs(10)));
        assert!(late.ends.is_empty());
    }

    #[test]
    fn what_cannot_come_any_more_is_not_remembered() {
        let now = Instant::now();
        let mut late = LateAcks::new(Duration::from_secs(10));
        assert!(!late.arrives(bookmark(1, 5), now));
        for sequence in 1..=5 {
            late.remember(bookmark(1, sequence), now);
        }
        assert!(late.waiting.is_empty());
    }
}
