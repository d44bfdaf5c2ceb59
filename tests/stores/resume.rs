//! Where subscriptions go on: recipe R9 of the guide, with every kind of bookmark store.

use crate::{PATIENCE, broker, log_on, next};
use amps::{
    BookmarkStore, BookmarkSubscribe, Client, LoggedBookmarkStore, MemoryBookmarkStore,
    MmapBookmarkStore, RingBookmarkStore, bookmark,
};
use amps_broker::Broker;
use std::path::Path;
use std::sync::Arc;

fn reader() -> BookmarkSubscribe {
    BookmarkSubscribe::new().set_sub_id("reader")
}

/// A run of the application: reads so many messages and discards those that it is told to.
fn run(
    broker: &Broker,
    store: Arc<dyn BookmarkStore>,
    count: usize,
    discards: impl Fn(u64) -> bool,
) -> Vec<u64> {
    let client = Client::new("subscriber");
    client.set_bookmark_store(store).unwrap();
    log_on(&client, broker);
    let mut stream = client
        .bookmark_subscribe("orders", bookmark::MOST_RECENT, reader())
        .unwrap();
    let mut seen = Vec::new();
    for _ in 0..count {
        let message = stream.next_timeout(PATIENCE).unwrap().unwrap();
        let number = message.data_str().unwrap().parse().unwrap();
        seen.push(number);
        if discards(number) {
            client.discard(&message).unwrap();
        }
    }
    seen
}

fn publish(broker: &Broker, numbers: std::ops::Range<u64>) {
    let publisher = Client::new("publisher");
    log_on(&publisher, broker);
    for number in numbers {
        publisher.publish("orders", number.to_string()).unwrap();
    }
    publisher.publish_flush(PATIENCE).unwrap();
}

#[test]
fn r9_most_recent_starts_at_the_beginning_and_goes_on_where_it_left_off() {
    let broker = broker();
    publish(&broker, 0..10);
    let store: Arc<dyn BookmarkStore> = Arc::new(MemoryBookmarkStore::new());
    let first = run(&broker, store.clone(), 6, |number| number < 5);
    assert_eq!(first, [0, 1, 2, 3, 4, 5]);
    // The one that was seen and not discarded comes again.
    assert_eq!(run(&broker, store, 5, |_| true), [5, 6, 7, 8, 9]);
}

/// Opens a store on a file.
type Open = fn(&Path) -> Arc<dyn BookmarkStore>;

const WITH_A_FILE: [(&str, Open); 3] = [
    ("mmap", |path| {
        Arc::new(MmapBookmarkStore::open(path).unwrap())
    }),
    ("logged", |path| {
        Arc::new(LoggedBookmarkStore::open(path).unwrap())
    }),
    ("ring", |path| {
        Arc::new(RingBookmarkStore::open(path).unwrap())
    }),
];

#[test]
fn l9_the_next_run_sees_what_was_not_discarded_and_not_what_was() {
    for (kind, open) in WITH_A_FILE {
        let broker = broker();
        publish(&broker, 0..10);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(kind);
        // Out of order: 2 and 4 are not discarded.
        let first = run(&broker, open(&path), 6, |number| ![2, 4].contains(&number));
        assert_eq!(first, [0, 1, 2, 3, 4, 5], "{kind}");
        let second = run(&broker, open(&path), 6, |_| true);
        let expected = match kind {
            // Its file has the resume point only (rule L18).
            "ring" => [2, 3, 4, 5, 6, 7],
            _ => [2, 4, 6, 7, 8, 9],
        };
        assert_eq!(second, expected, "{kind}");
    }
}

#[test]
fn a_subscription_that_began_with_now_does_not_go_back_to_the_beginning() {
    let broker = broker();
    publish(&broker, 0..10);
    let store = Arc::new(MemoryBookmarkStore::new());
    let client = Client::new("subscriber");
    client.set_bookmark_store(store.clone()).unwrap();
    log_on(&client, &broker);
    let mut stream = client
        .bookmark_subscribe("orders", bookmark::NOW, reader())
        .unwrap();
    publish(&broker, 10..12);
    assert_eq!(next(&mut stream), 10);
    drop(stream);
    client.disconnect().unwrap();
    log_on(&client, &broker);
    let mut stream = client
        .bookmark_subscribe("orders", bookmark::MOST_RECENT, reader())
        .unwrap();
    assert_eq!([next(&mut stream), next(&mut stream)], [10, 11]);
}
