//! Random operations against a model that is too simple to be wrong.

use crate::support::*;
use amps_core::PublishStore;
use amps_stores::{FilePublishStore, MemoryPublishStore};
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
enum Step {
    Store(u8, usize),
    DiscardUpTo(usize),
    DiscardBeyond(u64),
    DiscardOne(usize),
    Offline,
    Online,
    Renumber(u64),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (any::<u8>(), 0..700_usize).prop_map(|(byte, len)| Step::Store(byte, len)),
        1 => (any::<u8>(), 3000..15_000_usize).prop_map(|(byte, len)| Step::Store(byte, len)),
        2 => (0..40_usize).prop_map(Step::DiscardUpTo),
        1 => (0..20_u64).prop_map(Step::DiscardBeyond),
        2 => (0..40_usize).prop_map(Step::DiscardOne),
        1 => Just(Step::Offline),
        1 => Just(Step::Online),
        1 => (0..60_u64).prop_map(Step::Renumber),
        2 => Just(Step::Reopen),
    ]
}

#[derive(Default)]
struct Model {
    live: BTreeMap<u64, Vec<u8>>,
    last: u64,
    persisted: u64,
    offline_from: Option<u64>,
}

impl Model {
    /// The number of the message at this place.
    fn nth(&self, index: usize) -> Option<u64> {
        self.live.keys().nth(index).copied()
    }

    fn lowest_offline(&self) -> u64 {
        let from = self.offline_from.unwrap_or(u64::MAX);
        self.live
            .range(from..)
            .next()
            .map_or(0, |(number, _)| *number)
    }

    fn discard_up_to(&mut self, number: u64) {
        if number > self.persisted {
            self.persisted = number;
            self.live = self.live.split_off(&(number + 1));
            self.last = self.last.max(number);
        }
    }

    fn set_offline(&mut self) {
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
        self.live.extend(
            offline
                .into_iter()
                .map(|(number, data)| (number + add, data)),
        );
        self.offline_from = Some(lowest + add);
        self.last = self.last.max(*self.live.keys().last().unwrap());
    }

    fn check(&self, store: &dyn PublishStore) {
        let expected: Vec<_> = self.live.clone().into_iter().collect();
        assert_eq!(content(store), expected);
        assert_eq!(store.unpersisted_count(), self.live.len());
        assert_eq!(store.lowest_unpersisted(), self.nth(0).unwrap_or(0));
        let highest = self.live.keys().last().copied().unwrap_or(0);
        assert_eq!(store.highest_unpersisted(), highest);
        assert_eq!(store.last_persisted(), self.persisted);
        assert_eq!(store.lowest_offline(), self.lowest_offline());
        if let Some(middle) = self.nth(self.live.len() / 2) {
            let after: Vec<_> = self.live.range(middle + 1..).collect();
            let shown = content_after(store, middle).unwrap();
            assert_eq!(shown.len(), after.len());
        }
    }
}

fn run<S: PublishStore>(mut store: S, steps: Vec<Step>, reopen: impl Fn(S) -> S) {
    let mut model = Model {
        last: NOW - 1,
        ..Model::default()
    };
    model.set_offline();
    for step in steps {
        match step {
            Step::Store(byte, len) => {
                let data = vec![byte; len];
                let number = put(&store, &data);
                assert!(number > model.last, "{number} after {}", model.last);
                model.last = number;
                model.live.insert(number, data);
            }
            Step::DiscardUpTo(index) => {
                let number = model.nth(index).unwrap_or(model.last);
                store.discard_up_to(number).unwrap();
                model.discard_up_to(number);
            }
            Step::DiscardBeyond(more) => {
                store.discard_up_to(model.last + more).unwrap();
                model.discard_up_to(model.last + more);
            }
            Step::DiscardOne(index) => {
                let number = model.nth(index).unwrap_or(model.last + 1);
                let there = model.live.remove(&number).is_some();
                assert_eq!(store.discard_one(number).unwrap(), there);
            }
            Step::Offline => {
                store.set_offline().unwrap();
                model.set_offline();
            }
            Step::Online => {
                store.set_online().unwrap();
                model.offline_from = None;
            }
            Step::Renumber(more) => {
                let above = model.lowest_offline().max(model.persisted) + more;
                match store.renumber_offline(above) {
                    Ok(()) => model.renumber(above),
                    Err(error) => assert!(error.to_string().contains("too often"), "{error}"),
                }
            }
            Step::Reopen => {
                store = reopen(store);
                model.set_offline();
            }
        }
        model.check(&store);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_memory_store_does_what_the_model_does(steps in prop::collection::vec(step(), 1..120)) {
        run(MemoryPublishStore::with_clock(1, clock), steps, |store| {
            // It has no file; a loss of the connection is the nearest thing.
            store.set_offline().unwrap();
            store
        });
    }

    #[test]
    fn k13_a_file_store_does_what_the_model_does_also_when_it_is_opened_anew(
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let place = place();
        run(open(&place.path), steps, |store: FilePublishStore| {
            drop(store);
            open(&place.path)
        });
    }
}
