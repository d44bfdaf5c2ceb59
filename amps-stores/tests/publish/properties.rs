//! Random operations: every store does what the model does.

use crate::model::{Model, Step};
use crate::support::*;
use amps_core::PublishStore;
use amps_stores::MemoryPublishStore;
use proptest::prelude::*;

/// A step, or none: the store is opened anew.
fn step() -> impl Strategy<Value = Option<Step>> {
    prop_oneof![
        8 => (any::<u8>(), 0..700_usize).prop_map(|(byte, len)| Some(Step::Store(byte, len))),
        1 => (any::<u8>(), 3000..15_000_usize).prop_map(|(byte, len)| Some(Step::Store(byte, len))),
        2 => (0..40_usize).prop_map(|index| Some(Step::DiscardUpTo(index))),
        1 => (0..20_u64).prop_map(|more| Some(Step::DiscardBeyond(more))),
        2 => (0..40_usize).prop_map(|index| Some(Step::DiscardOne(index))),
        1 => Just(Some(Step::Offline)),
        1 => Just(Some(Step::Online)),
        1 => (0..60_u64).prop_map(|more| Some(Step::Renumber(more))),
        2 => Just(None),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Option<Step>>> {
    prop::collection::vec(step(), 1..120)
}

fn run<S: PublishStore>(mut store: S, steps: Vec<Option<Step>>, reopen: impl Fn(S) -> S) {
    let mut model = Model::new();
    for step in steps {
        match step {
            Some(step) => model.apply(&step, &store),
            None => {
                store = reopen(store);
                model.set_offline();
            }
        }
        assert_eq!(model.differs(&store), None);
    }
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 96,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_memory_store_does_what_the_model_does(steps in steps()) {
        run(MemoryPublishStore::with_clock(1, clock), steps, |store| {
            // It has no file; a loss of the connection is the nearest thing.
            store.set_offline().unwrap();
            store
        });
    }

    #[test]
    fn k13_a_file_store_does_what_the_model_does_also_when_it_is_opened_anew(steps in steps()) {
        let place = place();
        run(open(&place.path), steps, |store| {
            drop(store);
            open(&place.path)
        });
    }

    #[test]
    fn k14_a_hybrid_store_does_what_the_model_does_also_when_it_is_opened_anew(
        steps in steps(),
        max in 1..12_usize,
        low in 0..12_usize,
    ) {
        let place = place();
        let open = || {
            let store = hybrid(&place.path, max);
            store.set_low_watermark(low);
            store
        };
        run(open(), steps, |store| {
            assert!(store.in_memory_count() <= max);
            drop(store);
            open()
        });
    }
}
