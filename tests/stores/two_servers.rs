//! Two publishers, and two servers that log their messages in different orders: a subscription that
//! moves between them skips nothing that is not discarded (the resume point of the design).

use crate::{PATIENCE, log_on};
use amps::{
    BookmarkStore, BookmarkSubscribe, Client, LoggedBookmarkStore, MemoryBookmarkStore,
    MemoryPublishStore, MessageStream, MmapBookmarkStore, bookmark,
};
use amps_broker::Broker;
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(24 * 3600);
/// What each publisher publishes between two moments at which both logs hold the same.
const CHUNK: u64 = 20;
/// The last round of a test.
const LAST: u64 = 39;

/// A number that nobody can guess, the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize % limit
    }
}

struct Servers {
    both: [Broker; 2],
    /// Everything that was published.
    published: BTreeSet<String>,
}

impl Servers {
    fn start() -> Servers {
        let both = [crate::broker(), crate::broker()];
        both[0].replicate_to(&both[1], NEVER).unwrap();
        both[1].replicate_to(&both[0], NEVER).unwrap();
        Servers {
            both,
            published: BTreeSet::new(),
        }
    }

    /// The next messages of both publishers: each server has those of its own publisher first.
    fn publish(&mut self) {
        let from = self.published.len() as u64 / 2;
        for (broker, name) in self.both.iter().zip(["a", "b"]) {
            broker.set_replication_lag(NEVER);
            self.published
                .extend(publish(broker, name, from..from + CHUNK));
        }
        for broker in &self.both {
            broker.set_replication_lag(Duration::ZERO);
        }
        for broker in &self.both {
            assert!(broker.wait_for_log_len(self.published.len() as u64, PATIENCE));
        }
    }
}

fn publish(broker: &Broker, name: &str, numbers: Range<u64>) -> Vec<String> {
    let client = Client::new(name);
    client
        .set_publish_store(Arc::new(MemoryPublishStore::new(100)))
        .unwrap();
    log_on(&client, broker);
    let before = broker.log_len();
    let payloads: Vec<_> = numbers.map(|number| format!("{name} {number}")).collect();
    for payload in &payloads {
        client.publish("orders", payload).unwrap();
    }
    // All of it is in this server's log, and not persisted: the other one does not have it.
    assert!(broker.wait_for_log_len(before + payloads.len() as u64, PATIENCE));
    payloads
}

/// A subscriber with this store, and its subscription.
fn enter(broker: &Broker, store: Arc<dyn BookmarkStore>, at: &str) -> (Client, MessageStream) {
    let client = Client::new("subscriber");
    client.set_bookmark_store(store).unwrap();
    log_on(&client, broker);
    let reader = BookmarkSubscribe::new().set_sub_id("reader");
    let stream = client.bookmark_subscribe("orders", at, reader).unwrap();
    (client, stream)
}

type Open = fn(&Path) -> Arc<dyn BookmarkStore>;

/// The stores, and whether they remember when they are opened anew.
const STORES: [(&str, Open, bool); 3] = [
    ("memory", |_| Arc::new(MemoryBookmarkStore::new()), false),
    (
        "mmap",
        |path| Arc::new(MmapBookmarkStore::open(path).unwrap()),
        true,
    ),
    (
        "logged",
        |path| Arc::new(LoggedBookmarkStore::open(path).unwrap()),
        true,
    ),
];

#[test]
fn a_subscription_that_moves_between_servers_skips_nothing_undiscarded() {
    for (kind, open, remembers) in STORES {
        for seed in 1..=2 {
            let what = format!("{kind}, seed {seed}");
            let mut dice = Dice(seed);
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join(kind);
            let mut servers = Servers::start();
            let mut store = open(&path);
            let mut discarded = BTreeSet::new();
            for round in 0..=LAST {
                if round % 12 == 0 {
                    servers.publish();
                }
                let broker = &servers.both[dice.below(2)];
                let point = store.most_recent("reader").unwrap();
                let (client, mut stream) = enter(broker, store.clone(), bookmark::MOST_RECENT);
                let left = servers.published.len() - discarded.len();
                // Often in the middle of the replay, sometimes before the first message. But first
                // both publishers must have been seen, else nothing protects the other one's first
                // messages, as documented; and in the end nothing must be left.
                let count = match round {
                    0 | LAST => left,
                    _ => dice.below(25).min(left),
                };
                let mut seen = BTreeSet::new();
                while seen.len() < count {
                    let next = stream.next_timeout(PATIENCE);
                    let Ok(Some(message)) = next else {
                        let there = &discarded | &seen;
                        panic!(
                            "{:?} do not come, {what}, round {round}, resumed at {point}: {next:?}",
                            &servers.published - &there
                        );
                    };
                    let payload = message.data_str().unwrap().to_string();
                    assert!(!discarded.contains(&payload), "{payload} again, {what}");
                    if dice.below(3) > 0 {
                        client.discard(&message).unwrap();
                        discarded.insert(payload.clone());
                    }
                    assert!(seen.insert(payload), "twice in one replay, {what}");
                }
                if round == LAST {
                    seen.extend(discarded.iter().cloned());
                    assert_eq!(seen, servers.published, "{what}");
                }
                drop(stream);
                client.disconnect().unwrap();
                drop(client);
                if remembers && dice.below(2) == 0 {
                    drop(store);
                    store = open(&path);
                }
            }
        }
    }
}

#[test]
fn after_entering_with_now_a_loss_before_the_first_message_skips_nothing_on_the_other_server() {
    for (kind, open, remembers) in STORES {
        for read_first in [0, 1, 3] {
            let what = format!("{kind}, {read_first} read");
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join(kind);
            let mut servers = Servers::start();
            servers.publish();
            let old = servers.published.clone();
            let mut store = open(&path);
            let (client, mut stream) = enter(&servers.both[0], store.clone(), bookmark::NOW);
            crate::eventually("the end of the log is known", || {
                let point = store.most_recent("reader").unwrap();
                point.contains('|')
            });
            if read_first == 0 {
                servers.both[0].disconnect_client("subscriber");
            }
            servers.publish();
            for _ in 0..read_first {
                let message = stream.next_timeout(PATIENCE).unwrap().unwrap();
                let payload = message.data_str().unwrap().to_string();
                assert!(!old.contains(&payload), "{payload} was there, {what}");
            }
            drop(stream);
            drop(client);
            if remembers {
                drop(store);
                store = open(&path);
            }
            let (client, mut stream) = enter(&servers.both[1], store, bookmark::MOST_RECENT);
            let mut missing = &servers.published - &old;
            while !missing.is_empty() {
                let message = stream.next_timeout(PATIENCE).unwrap().unwrap();
                missing.remove(message.data_str().unwrap());
                client.discard(&message).unwrap();
            }
        }
    }
}
