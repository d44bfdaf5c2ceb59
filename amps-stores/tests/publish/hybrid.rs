//! The store with two halves (rule K14, trap 73).

use crate::support::*;
use amps_core::{Error, PublishStore};
use amps_stores::{FilePublishStore, SyncPolicy};
use std::fs;
use std::time::{Duration, Instant};

#[test]
fn k14_the_oldest_messages_move_to_the_file_until_the_low_watermark_is_reached() {
    let place = place();
    let store = hybrid(&place.path, 10);
    assert_eq!(store.low_watermark(), 5);
    let mut given: Vec<_> = (0..10).map(|i| put(&store, &[i; 20])).collect();
    assert_eq!(store.in_memory_count(), 10);
    given.push(put(&store, &[10; 20]));
    assert_eq!(store.in_memory_count(), 6);
    assert_eq!(store.unpersisted_count(), 11);
    store.set_low_watermark(9);
    given.extend((11..30).map(|i| put(&store, &[i; 20])));
    assert_eq!(store.in_memory_count(), 10);
    assert_eq!(numbers(&store), given);
    store.set_low_watermark(100);
    assert_eq!(store.low_watermark(), 9);
}

#[test]
fn k14_replay_and_discard_go_over_both_halves_in_one_order() {
    let place = place();
    let store = hybrid(&place.path, 10);
    let given: Vec<_> = (0..25).map(|i| put(&store, &[i; 20])).collect();
    let in_file = 25 - store.in_memory_count();
    for after in [0, in_file - 2, in_file - 1, in_file, 20] {
        let shown = content_after(&store, given[after]).unwrap();
        assert_eq!(shown.first().unwrap().0, given[after + 1]);
        assert_eq!(shown.len(), 24 - after);
    }
    assert!(store.discard_one(given[in_file - 1]).unwrap());
    assert!(store.discard_one(given[in_file]).unwrap());
    assert!(
        store
            .replay_single(given[in_file + 1], &mut |_| ())
            .unwrap()
    );
    assert!(
        store
            .replay_single(given[in_file - 2], &mut |_| ())
            .unwrap()
    );
    store.discard_up_to(given[in_file + 2]).unwrap();
    assert_eq!(numbers(&store), given[in_file + 3..]);
    store.discard_up_to(given[24]).unwrap();
    assert_eq!(store.unpersisted_count(), 0);
    assert_eq!(store.last_persisted(), given[24]);
}

#[test]
fn k14_after_a_crash_the_part_in_the_file_is_there() {
    let place = place();
    let store = hybrid(&place.path, 10);
    let given: Vec<_> = (0..25).map(|i| put(&store, &[i; 20])).collect();
    let in_file = 25 - store.in_memory_count();
    // The file as a crash would leave it.
    let copy = place.directory.path().join("copy");
    fs::copy(&place.path, &copy).unwrap();
    assert_eq!(numbers(&hybrid(&copy, 10)), given[..in_file]);
    // And as a store that is closed leaves it: also for a file store.
    drop(store);
    let store = open(&place.path);
    assert_eq!(numbers(&store), given);
    assert_eq!(put(&store, b"next"), given[24] + 1);
}

#[test]
fn a_message_that_was_sent_and_is_moved_to_the_file_later_is_not_offline_after_a_crash() {
    let place = place();
    let store = hybrid(&place.path, 4);
    store.set_online().unwrap();
    let sent: Vec<_> = (0..4).map(|_| put(&store, b"sent")).collect();
    store.set_offline().unwrap();
    let unsent: Vec<_> = (0..9).map(|_| put(&store, b"unsent")).collect();
    assert_eq!(store.lowest_offline(), unsent[0]);
    let copy = place.directory.path().join("copy");
    fs::copy(&place.path, &copy).unwrap();
    let crashed = hybrid(&copy, 4);
    assert!(numbers(&crashed).starts_with(&sent));
    assert_eq!(crashed.lowest_offline(), unsent[0]);
}

#[test]
fn trap_73_one_deadline_holds_for_both_halves_and_a_flush_waits_for_both() {
    let place = place();
    let store = hybrid(&place.path, 4);
    let given: Vec<_> = (0..10).map(|_| put(&store, b"x")).collect();
    let begin = Instant::now();
    let error = store.flush(Duration::from_millis(100)).unwrap_err();
    assert!(matches!(error, Error::TimedOut(_)));
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(100), "{took:?}");
    // What is in the file is gone, the rest is not.
    store.discard_up_to(given[7]).unwrap();
    store.flush(Duration::from_millis(1)).unwrap_err();
    store.discard_up_to(given[9]).unwrap();
    store.flush(Duration::ZERO).unwrap();
}

#[test]
fn a_file_that_may_not_grow_stops_publishing_with_everything_in_place() {
    let place = place();
    let store = hybrid(&place.path, 10);
    store.set_resize_handler(Box::new(|_, _| false));
    let mut given = Vec::new();
    let error = loop {
        match store.store(&publish(&[1; 500])) {
            Ok(number) => given.push(number),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Store(_)), "{error}");
    // A segment of 4096 bytes takes seven of them.
    assert_eq!(given.len(), 17);
    assert_eq!(numbers(&store), given);
    store.discard_up_to(given[6]).unwrap();
    given.push(put(&store, b"again"));
    assert_eq!(numbers(&store), given[7..]);
}

#[test]
fn renumbering_covers_both_halves_in_one_order() {
    let place = place();
    let store = hybrid(&place.path, 4);
    let given: Vec<_> = (0..10).map(|i| put(&store, &[i])).collect();
    store.renumber_offline(given[5]).unwrap();
    let renumbered: Vec<_> = (1..=10).map(|i| given[5] + i).collect();
    assert_eq!(numbers(&store), renumbered);
    let data: Vec<_> = content(&store)
        .into_iter()
        .map(|(_, data)| data[0])
        .collect();
    assert_eq!(data, (0..10).collect::<Vec<_>>());
    assert_eq!(put(&store, b"next"), given[5] + 11);
    drop(store);
    assert_eq!(open(&place.path).unpersisted_count(), 11);
}

#[test]
fn the_file_of_a_hybrid_store_is_refused_like_any_other() {
    let place = place();
    let store = hybrid(&place.path, 4);
    store_error(FilePublishStore::open(&place.path, options()));
    drop(store);
    let every = options().set_sync_policy(SyncPolicy::EveryAppend);
    let store = amps_stores::HybridPublishStore::open_with(&place.path, 1, every).unwrap();
    let given: Vec<_> = (0..20).map(|i| put(&store, &[i])).collect();
    assert_eq!(numbers(&store), given);
    assert!(store.salvage_report().is_none());
}
