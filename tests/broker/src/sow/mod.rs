//! The last value of every record of one topic.

mod key;
mod record;

pub(crate) use key::{KeyRule, is_key_text};
pub(crate) use record::Record;

use rustc_hash::FxHashMap;
use std::time::{Duration, Instant};

/// The records of a topic.
///
/// AMPS does not say in which order a query returns them; here it is the order in which they were
/// inserted, so that a run can be repeated.
#[derive(Debug)]
pub(crate) struct Sow {
    /// Where keys come from.
    pub(crate) rule: KeyRule,
    /// The lifetime of a record whose publisher says none, zero if it has no end; `None` if
    /// nothing ever expires.
    default_lifetime: Option<Duration>,
    index: FxHashMap<Box<[u8]>, usize>,
    /// In order of insertion; a deleted record leaves a gap.
    slots: Vec<Option<Record>>,
    /// When the next timer of a key comes. There is another one only if a lifetime got shorter.
    armed: FxHashMap<Box<[u8]>, Instant>,
}

impl Sow {
    pub(crate) fn new(rule: KeyRule, default_lifetime: Option<Duration>) -> Sow {
        Sow {
            rule,
            default_lifetime,
            index: FxHashMap::default(),
            slots: Vec::new(),
            armed: FxHashMap::default(),
        }
    }

    /// Inserts a record, or replaces the one of the same key and returns that.
    pub(crate) fn put(&mut self, record: Record) -> Option<Record> {
        if let Some(place) = self.place(&record.key) {
            return Some(std::mem::replace(place, record));
        }
        self.index.insert(record.key.clone(), self.slots.len());
        self.slots.push(Some(record));
        None
    }

    fn place(&mut self, key: &[u8]) -> Option<&mut Record> {
        self.slots[*self.index.get(key)?].as_mut()
    }

    /// Takes a record out.
    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<Record> {
        let at = self.index.remove(key)?;
        let removed = self.slots[at].take();
        if self.slots.len() > 64 && self.index.len() < self.slots.len() / 2 {
            self.close_gaps();
        }
        removed
    }

    /// The record of a key.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&Record> {
        self.slots[*self.index.get(key)?].as_ref()
    }

    /// Every record.
    pub(crate) fn records(&self) -> impl Iterator<Item = &Record> {
        self.slots.iter().flatten()
    }

    /// How many records there are.
    pub(crate) fn len(&self) -> u64 {
        self.index.len() as u64
    }

    /// When a record ends that is published at `now` with this many seconds to live
    /// (`broker-behaviour §3`).
    pub(crate) fn end_of(
        &self,
        seconds: Option<u64>,
        now: impl Fn() -> Instant,
    ) -> Option<Instant> {
        let default = self.default_lifetime?;
        let lifetime = seconds.map_or(default, Duration::from_secs);
        // Zero never expires; neither does what the clock cannot count to.
        (!lifetime.is_zero()).then(|| now().checked_add(lifetime))?
    }

    /// When a timer is to look at this record; `None` if it does not expire, or if a timer looks
    /// in time already.
    pub(crate) fn arm(&mut self, key: &[u8]) -> Option<Instant> {
        let end = self.get(key)?.expires?;
        match self.armed.get_mut(key) {
            Some(armed) if *armed <= end => return None,
            Some(armed) => *armed = end,
            None => {
                self.armed.insert(key.into(), end);
            }
        }
        Some(end)
    }

    /// A timer of a record has come: true if the record's time is over. If not, it may be armed
    /// again.
    pub(crate) fn is_over(&mut self, key: &[u8], now: Instant) -> bool {
        // A timer that an earlier one made idle must not make room for yet another one.
        if self.armed.get(key).is_some_and(|armed| *armed <= now) {
            self.armed.remove(key);
        }
        self.get(key)
            .and_then(|record| record.expires)
            .is_some_and(|end| end <= now)
    }

    fn close_gaps(&mut self) {
        self.slots.retain(Option::is_some);
        for (at, record) in self.slots.iter().flatten().enumerate() {
            if let Some(place) = self.index.get_mut(&record.key) {
                *place = at;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: impl ToString, payload: &str) -> Record {
        Record {
            key: key.to_string().into_bytes().into(),
            payload: payload.to_owned().into(),
            correlation_id: Vec::new(),
            updated: 1,
            version: 1,
            expires: None,
        }
    }

    fn keys(sow: &Sow) -> Vec<u64> {
        sow.records()
            .map(|record| String::from_utf8_lossy(&record.key).parse().unwrap())
            .collect()
    }

    #[test]
    fn records_stay_in_order_of_insertion_through_updates_and_deletes() {
        let mut sow = Sow::new(KeyRule::Explicit, None);
        for key in 0..1000u64 {
            assert!(sow.put(record(key, "old")).is_none());
        }
        assert_eq!(sow.put(record(7, "new")).unwrap().payload, "old");
        for key in (0..1000u64).filter(|key| key % 7 != 0) {
            assert!(sow.remove(key.to_string().as_bytes()).is_some());
        }
        let left = (0..1000).filter(|key| key % 7 == 0).collect::<Vec<_>>();
        assert_eq!(keys(&sow), left);
        assert_eq!(sow.len(), left.len() as u64);
        assert!(sow.slots.len() < 500, "gaps are closed");
        for key in left {
            let record = sow.get(key.to_string().as_bytes()).unwrap();
            assert_eq!(record.payload == "new", key == 7);
        }
        assert!(sow.get(b"1").is_none());
        assert!(sow.remove(b"1").is_none());
    }

    #[test]
    fn a_lifetime_is_the_publishers_or_the_topics_and_needs_to_be_enabled() {
        let now = Instant::now();
        let end = |default, seconds| {
            Sow::new(KeyRule::Explicit, default)
                .end_of(seconds, || now)
                .map(|end| (end - now).as_secs())
        };
        let ten = Some(Duration::from_secs(10));
        assert_eq!(end(None, Some(5)), None);
        assert_eq!(end(ten, None), Some(10));
        assert_eq!(end(ten, Some(5)), Some(5));
        assert_eq!(end(ten, Some(0)), None);
        assert_eq!(end(ten, Some(u64::MAX)), None);
        assert_eq!(end(Some(Duration::ZERO), None), None);
        assert_eq!(end(Some(Duration::ZERO), Some(5)), Some(5));
    }

    #[test]
    fn a_record_has_one_timer_and_ends_when_its_last_update_says() {
        let mut sow = Sow::new(KeyRule::Explicit, Some(Duration::ZERO));
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let ending = |expires| Record {
            expires,
            ..record("k", "")
        };
        sow.put(ending(Some(now)));
        assert_eq!(sow.arm(b"k"), Some(now));
        sow.put(ending(Some(later)));
        assert_eq!(sow.arm(b"k"), None, "a timer runs");
        assert!(!sow.is_over(b"k", now));
        assert_eq!(sow.arm(b"k"), Some(later));
        assert!(sow.is_over(b"k", later));
        sow.put(ending(None));
        assert_eq!(sow.arm(b"k"), None);
        assert!(!sow.is_over(b"k", later));
    }

    #[test]
    fn a_lifetime_that_gets_shorter_is_kept_and_its_old_timer_does_nothing() {
        let mut sow = Sow::new(KeyRule::Explicit, Some(Duration::ZERO));
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        let ending = |seconds| Record {
            expires: Some(after(seconds)),
            ..record("k", "")
        };
        sow.put(ending(3600));
        assert_eq!(sow.arm(b"k"), Some(after(3600)));
        sow.put(ending(1));
        assert_eq!(sow.arm(b"k"), Some(after(1)));
        assert!(sow.is_over(b"k", after(1)));
        sow.remove(b"k");
        sow.put(ending(7200));
        assert_eq!(sow.arm(b"k"), Some(after(7200)));
        assert!(!sow.is_over(b"k", after(3600)), "the timer of the first");
        assert_eq!(sow.arm(b"k"), None, "a timer runs");
        // A deleted record leaves its timer behind.
        sow.remove(b"k");
        sow.put(ending(2));
        assert_eq!(sow.arm(b"k"), Some(after(2)));
    }
}
