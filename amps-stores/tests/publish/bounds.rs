//! What a store costs in the steady state: no allocation, and no more space than its backlog.

use crate::support::*;
use amps_core::PublishStore;
use amps_stores::{FilePublishStore, MemoryPublishStore};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Stores and discards, with a backlog of so many messages.
fn steady(store: &dyn PublishStore, messages: u64, backlog: u64) {
    for _ in 0..messages {
        let number = put(store, &[7; 100]);
        store.discard_up_to(number - backlog).unwrap();
    }
}

#[test]
fn storing_and_discarding_allocates_nothing_in_the_steady_state() {
    with_each(|store| {
        // Long enough that every segment has been used.
        steady(store, 3000, 50);
        let info = allocation_counter::measure(|| steady(store, 5000, 50));
        assert_eq!(info.count_total, 0, "{store:?}");
    });
}

#[test]
fn many_messages_take_no_more_space_than_few_with_the_same_backlog() {
    bounded(200_000);
}

#[test]
#[ignore = "takes minutes without optimization"]
fn ten_million_messages_take_no_more_space_than_few_with_the_same_backlog() {
    bounded(10_000_000);
}

fn bounded(messages: u64) {
    let place = place();
    let path = place.directory.path().join("hybrid");
    let length = |path: &Path| fs::metadata(path).unwrap().len();
    let file = open(&place.path);
    let hybrid = hybrid(&path, 30);
    let memory = MemoryPublishStore::with_clock(1, clock);
    let stores: [&dyn PublishStore; 3] = [&memory, &file, &hybrid];
    let growths = Arc::new(AtomicUsize::new(0));
    for store in stores {
        let growths = growths.clone();
        store.set_resize_handler(Box::new(move |_, _| {
            growths.fetch_add(1, Ordering::Relaxed);
            true
        }));
        steady(store, 2000, 100);
    }
    let before = (length(&place.path), length(&path));
    growths.store(0, Ordering::Relaxed);
    for store in stores {
        steady(store, messages, 100);
        assert_eq!(store.unpersisted_count(), 100);
    }
    assert_eq!(growths.load(Ordering::Relaxed), 0);
    assert_eq!((length(&place.path), length(&path)), before);
    // 100 messages of 144 bytes in segments of 4096: five, and one to go on with.
    assert!(before.0 <= 8192 + 6 * 4096, "{before:?}");
}

#[test]
fn space_of_long_messages_is_used_again_for_short_ones_and_the_other_way_round() {
    let place = place();
    let store = open(&place.path);
    let round = |store: &FilePublishStore| {
        for _ in 0..10 {
            steady(store, 300, 20);
            for _ in 0..3 {
                put(store, &[1; 20_000]);
            }
            store.discard_up_to(store.highest_unpersisted()).unwrap();
        }
    };
    round(&store);
    let before = fs::metadata(&place.path).unwrap().len();
    for _ in 0..5 {
        round(&store);
    }
    assert_eq!(fs::metadata(&place.path).unwrap().len(), before);
}
