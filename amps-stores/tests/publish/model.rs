//! A publish store that is too simple to be wrong, and the operations it is compared by.

use crate::support::*;
use amps_core::PublishStore;
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Store(u8, usize),
    DiscardUpTo(usize),
    DiscardBeyond(u64),
    DiscardOne(usize),
    Offline,
    Online,
    Renumber(u64),
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    pub(crate) live: BTreeMap<u64, Vec<u8>>,
    /// The highest number that was given or skipped.
    pub(crate) last: u64,
    /// The number of the last message that was ever stored.
    last_stored: u64,
    persisted: u64,
    offline_from: Option<u64>,
}

impl Model {
    /// A store that was just opened and is empty.
    pub(crate) fn new() -> Model {
        Model {
            last: NOW - 1,
            offline_from: Some(NOW),
            ..Model::default()
        }
    }

    /// A store that was just opened, and in which the last number is that of the last message.
    pub(crate) fn of(store: &dyn PublishStore) -> Model {
        let last = store.highest_unpersisted();
        let offline = store.lowest_offline();
        Model {
            live: content(store).into_iter().collect(),
            last,
            last_stored: last,
            persisted: store.last_persisted(),
            offline_from: Some(if offline == 0 { last + 1 } else { offline }),
        }
    }

    /// The number of the message at this place.
    fn nth(&self, index: usize) -> Option<u64> {
        self.live.keys().nth(index).copied()
    }

    fn lowest_offline(&self) -> u64 {
        let from = self.offline_from.unwrap_or(u64::MAX);
        let mut offline = self.live.range(from..);
        offline.next().map_or(0, |(number, _)| *number)
    }

    fn discard_up_to(&mut self, number: u64) {
        if number > self.persisted {
            self.persisted = number;
            self.live = self.live.split_off(&(number + 1));
            self.last = self.last.max(number);
        }
    }

    pub(crate) fn set_offline(&mut self) {
        self.offline_from.get_or_insert(self.last + 1);
    }

    fn renumber(&mut self, above: u64) {
        let lowest = self.lowest_offline();
        self.last = self.last.max(above);
        if lowest == 0 || lowest > above {
            return;
        }
        let add = above + 1 - lowest;
        let offline = self.live.split_off(&lowest);
        let moved = offline.into_iter();
        self.live
            .extend(moved.map(|(number, data)| (number + add, data)));
        self.offline_from = Some(lowest + add);
        self.last_stored += add;
        self.last = self.last.max(self.last_stored);
    }

    /// Does a step without a store; false if a store may refuse it.
    pub(crate) fn imagine(&mut self, step: &Step) {
        match *step {
            Step::Store(byte, len) => {
                self.last += 1;
                self.last_stored = self.last;
                self.live.insert(self.last, vec![byte; len]);
            }
            Step::DiscardUpTo(index) => self.discard_up_to(self.up_to(index)),
            Step::DiscardBeyond(more) => self.discard_up_to(self.last + more),
            Step::DiscardOne(index) => {
                self.live.remove(&self.one(index));
            }
            Step::Offline => self.set_offline(),
            Step::Online => self.offline_from = None,
            Step::Renumber(more) => self.renumber(self.above(more)),
        }
    }

    fn up_to(&self, index: usize) -> u64 {
        self.nth(index).unwrap_or(self.last)
    }

    fn one(&self, index: usize) -> u64 {
        self.nth(index).unwrap_or(self.last + 1)
    }

    fn above(&self, more: u64) -> u64 {
        self.lowest_offline().max(self.persisted) + more
    }

    /// Does a step with a store, too.
    pub(crate) fn apply(&mut self, step: &Step, store: &dyn PublishStore) {
        match *step {
            Step::Store(byte, len) => {
                let number = put(store, &vec![byte; len]);
                assert!(number > self.last, "{number} after {}", self.last);
            }
            Step::DiscardUpTo(index) => store.discard_up_to(self.up_to(index)).unwrap(),
            Step::DiscardBeyond(more) => store.discard_up_to(self.last + more).unwrap(),
            Step::DiscardOne(index) => {
                let there = self.live.contains_key(&self.one(index));
                assert_eq!(store.discard_one(self.one(index)).unwrap(), there);
            }
            Step::Offline => store.set_offline().unwrap(),
            Step::Online => store.set_online().unwrap(),
            Step::Renumber(more) => store.renumber_offline(self.above(more)).unwrap(),
        }
        self.imagine(step);
    }

    /// Why a store is not in this state; none if it is.
    pub(crate) fn differs(&self, store: &dyn PublishStore) -> Option<String> {
        let highest = self.live.keys().last().copied().unwrap_or(0);
        let told = [
            store.unpersisted_count() as u64,
            store.lowest_unpersisted(),
            store.highest_unpersisted(),
            store.last_persisted(),
            store.lowest_offline(),
        ];
        let expected = [
            self.live.len() as u64,
            self.nth(0).unwrap_or(0),
            highest,
            self.persisted,
            self.lowest_offline(),
        ];
        if told != expected {
            return Some(format!("it tells {told:?} instead of {expected:?}"));
        }
        let stored = content(store);
        if !stored.iter().map(|(n, data)| (n, data)).eq(&self.live) {
            let stored: Vec<_> = stored.iter().map(|(n, data)| (n, data.len())).collect();
            return Some(format!("its content is {stored:?}"));
        }
        let middle = self.nth(self.live.len() / 2)?;
        let after = content_after(store, middle).unwrap().len();
        (after != self.live.range(middle + 1..).count())
            .then(|| format!("{after} messages after {middle}"))
    }
}
