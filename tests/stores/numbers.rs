//! A publisher that starts again under its name, publishes before it connects, and whose store does
//! not know, or knows too little, of what came before. The server drops without a word what comes
//! with a number that it has seen, so every message must have a higher one (traps 66 and 67).

use crate::{PATIENCE, broker, log_on, next, witness};
use amps::{
    AckType, Client, FilePublishStore, FileStoreOptions, HybridPublishStore, MemoryPublishStore,
    PublishStore,
};
use amps_broker::Broker;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// What time it is, in microseconds.
type Clock = fn() -> u64;

fn right() -> u64 {
    UNIX_EPOCH.elapsed().unwrap().as_micros() as u64
}

/// Far behind all numbers that were given while the clock was right.
fn back() -> u64 {
    1_000
}

fn options(clock: Clock) -> FileStoreOptions {
    FileStoreOptions::new()
        .set_client_name("publisher")
        .set_clock(clock)
}

fn memory(_: &Path, clock: Clock) -> Arc<dyn PublishStore> {
    Arc::new(MemoryPublishStore::with_clock(100, clock))
}

fn file(path: &Path, clock: Clock) -> Arc<dyn PublishStore> {
    Arc::new(FilePublishStore::open(path, options(clock)).unwrap())
}

/// With so little memory that most is in the file.
fn hybrid(path: &Path, clock: Clock) -> Arc<dyn PublishStore> {
    Arc::new(HybridPublishStore::open_with(path, 2, options(clock)).unwrap())
}

type Open = fn(&Path, Clock) -> Arc<dyn PublishStore>;

const ALL: [(&str, Open); 3] = [("memory", memory), ("file", file), ("hybrid", hybrid)];
const WITH_A_FILE: [(&str, Open); 2] = [("file", file), ("hybrid", hybrid)];

fn publish(client: &Client, numbers: Range<u64>) {
    for number in numbers {
        client.publish("orders", number.to_string()).unwrap();
    }
}

/// A publisher that has this store and is not connected.
fn publisher(store: Arc<dyn PublishStore>) -> Client {
    let client = Client::new("publisher");
    client.set_publish_store(store).unwrap();
    client
}

/// Everything reaches the server, and the client can come back.
fn deliver_and_come_back(client: &Client, broker: &Broker) {
    for _ in 0..2 {
        client
            .publish_flush_ack(PATIENCE, AckType::PERSISTED)
            .unwrap();
        assert_eq!(client.unpersisted_count(), 0);
        client.disconnect().unwrap();
        log_on(client, broker);
    }
    client.disconnect().unwrap();
}

/// A run that publishes these before it connects, and these after.
fn run(broker: &Broker, store: Arc<dyn PublishStore>, before: Range<u64>, after: Range<u64>) {
    let client = publisher(store);
    publish(&client, before);
    log_on(&client, broker);
    publish(&client, after);
    deliver_and_come_back(&client, broker);
}

/// The log, from the beginning, is this and no more.
#[track_caller]
fn assert_log(broker: &Broker, expected: impl IntoIterator<Item = u64>, what: &str) {
    let expected: Vec<_> = expected.into_iter().collect();
    assert_eq!(broker.log_len(), expected.len() as u64, "{what}");
    let mut log = witness(broker);
    let log: Vec<_> = expected.iter().map(|_| next(&mut log)).collect();
    assert_eq!(log, expected, "{what}");
}

#[test]
fn a_store_that_knows_nothing_of_the_run_before_loses_no_message() {
    for (kind, open) in ALL {
        for (clock, what) in [(right as Clock, "right"), (back, "set back")] {
            let broker = broker();
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("store");
            run(&broker, open(&path, right), 0..5, 5..10);
            if path.exists() {
                fs::remove_file(&path).unwrap();
            }
            run(&broker, open(&path, clock), 10..15, 15..20);
            let what = format!("{kind}, the clock is {what}");
            assert_log(&broker, 0..20, &what);
        }
    }
}

#[test]
fn a_file_that_is_opened_again_under_a_clock_that_was_set_back_loses_no_message() {
    for (kind, open) in WITH_A_FILE {
        let broker = broker();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        run(&broker, open(&path, right), 0..5, 5..10);
        run(&broker, open(&path, back), 10..15, 15..20);
        assert_log(&broker, 0..20, kind);
    }
}

#[test]
fn an_old_copy_of_the_file_loses_no_message_and_repeats_none_that_was_sent() {
    for (kind, open) in WITH_A_FILE {
        for clock in [right as Clock, back] {
            let broker = broker();
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("store");
            let copy = directory.path().join("copy");
            let client = publisher(open(&path, right));
            log_on(&client, &broker);
            broker.hold_persisted_acks();
            publish(&client, 0..5);
            // They are in the copy, and the server has them.
            fs::copy(&path, &copy).unwrap();
            broker.release_persisted_acks();
            publish(&client, 5..10);
            deliver_and_come_back(&client, &broker);
            drop(client);
            run(&broker, open(&copy, clock), 10..15, 15..20);
            assert_log(&broker, 0..20, kind);
        }
    }
}

#[test]
fn an_old_copy_of_messages_that_had_not_been_sent_sends_them_once_more() {
    for clock in [right as Clock, back] {
        let broker = broker();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        let copy = directory.path().join("copy");
        let client = publisher(file(&path, right));
        publish(&client, 0..5);
        fs::copy(&path, &copy).unwrap();
        log_on(&client, &broker);
        publish(&client, 5..10);
        deliver_and_come_back(&client, &broker);
        drop(client);
        // As far as the copy knows, nobody has seen them.
        run(&broker, file(&copy, clock), 10..15, 15..20);
        assert_log(&broker, (0..10).chain(0..5).chain(10..20), "file");
    }
}
