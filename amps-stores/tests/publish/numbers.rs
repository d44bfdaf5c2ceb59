//! Numbers only increase, whatever becomes of the store: the server drops, without a word, what
//! comes with a number that it has seen of the name (traps 66 and 67).

use crate::support::{NOW, content, place, put};
use amps_core::PublishStore;
use amps_stores::{FilePublishStore, FileStoreOptions, HybridPublishStore, MemoryPublishStore};
use std::cell::Cell;
use std::fs;
use std::path::Path;

thread_local! {
    static CLOCK: Cell<u64> = const { Cell::new(NOW) };
}

fn clock() -> u64 {
    CLOCK.get()
}

fn options() -> FileStoreOptions {
    FileStoreOptions::new()
        .set_segment_size(4096)
        .set_clock(clock)
}

fn open(path: &Path) -> FilePublishStore {
    FilePublishStore::open(path, options()).unwrap()
}

#[test]
fn a_process_that_starts_again_with_a_memory_store_goes_on_above() {
    let last = put(&MemoryPublishStore::with_clock(1, clock), b"a");
    CLOCK.set(NOW + 1000);
    let next = put(&MemoryPublishStore::with_clock(1, clock), b"b");
    assert!(next > last);
    assert_eq!(next, NOW + 1000);
}

#[test]
fn a_store_by_itself_reads_the_clock_of_the_machine() {
    let before = std::time::UNIX_EPOCH.elapsed().unwrap().as_micros() as u64;
    let number = put(&MemoryPublishStore::new(1), b"a");
    assert!((before..before + 60_000_000).contains(&number), "{number}");
}

#[test]
fn a_file_that_was_deleted_and_an_old_copy_go_on_above() {
    let place = place();
    let store = open(&place.path);
    put(&store, b"a");
    let copy = place.directory.path().join("copy");
    fs::copy(&place.path, &copy).unwrap();
    let last = (0..100).map(|_| put(&store, b"b")).last().unwrap();
    drop(store);
    CLOCK.set(NOW + 1000);
    fs::remove_file(&place.path).unwrap();
    assert!(put(&open(&place.path), b"c") > last);
    fs::rename(&copy, &place.path).unwrap();
    let store = open(&place.path);
    assert!(put(&store, b"c") > last);
    assert_eq!(content(&store).len(), 2);
}

#[test]
fn a_clock_that_was_set_back_does_not_lower_the_next_number() {
    let place = place();
    let store = open(&place.path);
    let last = put(&store, b"a");
    drop(store);
    CLOCK.set(5);
    assert_eq!(put(&open(&place.path), b"b"), last + 1);
    let other = place.directory.path().join("other");
    let store = HybridPublishStore::open_with(&other, 4, options()).unwrap();
    assert_eq!(put(&store, b"a"), 5);
    CLOCK.set(0);
    drop(store);
    let store = HybridPublishStore::open_with(&other, 4, options()).unwrap();
    assert_eq!(put(&store, b"b"), 6);
    assert_eq!(put(&MemoryPublishStore::with_clock(1, clock), b"a"), 1);
}

#[test]
fn what_a_logon_told_is_kept_when_the_store_is_opened_anew() {
    let place = place();
    let store = open(&place.path);
    store.discard_up_to(NOW + 500).unwrap();
    drop(store);
    let store = open(&place.path);
    assert_eq!(store.last_persisted(), NOW + 500);
    store.discard_up_to(NOW + 3).unwrap();
    assert_eq!(put(&store, b"a"), NOW + 501);
}

#[test]
fn the_number_of_a_message_that_was_dropped_is_not_given_again() {
    let place = place();
    let store = open(&place.path);
    let last = put(&store, b"a");
    assert!(store.discard_one(last).unwrap());
    drop(store);
    assert_eq!(put(&open(&place.path), b"b"), last + 1);
}

#[test]
fn what_is_offline_stays_offline_and_what_was_sent_stays_sent_over_a_restart() {
    let place = place();
    let store = open(&place.path);
    store.set_online().unwrap();
    put(&store, b"sent");
    drop(store);
    // It may have arrived: an ack that covers it discards it.
    let store = open(&place.path);
    assert_eq!(store.lowest_offline(), 0);
    let offline = put(&store, b"not sent");
    drop(store);
    let store = open(&place.path);
    put(&store, b"not sent either");
    assert_eq!(store.lowest_offline(), offline);
    store.renumber_offline(NOW + 100).unwrap();
    drop(store);
    let store = open(&place.path);
    let numbers: Vec<_> = content(&store).into_iter().map(|(n, _)| n - NOW).collect();
    assert_eq!(numbers, [0, 101, 102]);
    assert_eq!(store.lowest_offline(), NOW + 101);
}
