//! Two brokers with logs of different order, clients that lose their connections all the time, and
//! applications that see every message exactly once, in the order of its publisher.

mod disturbing;
mod pace;
mod witness;

use crate::{PATIENCE, eventually};
use amps::{
    BookmarkStore, BookmarkSubscribe, Client, ConnectionState, DefaultServerChooser,
    FilePublishStore, FileStoreOptions, HaClient, LoggedBookmarkStore, Message, MmapBookmarkStore,
    bookmark,
};
use amps_broker::Broker;
use disturbing::Disturber;
use pace::Pace;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use witness::Witness;

const PUBLISHERS: [&str; 3] = ["alpha", "beta", "gamma"];

/// How much is to happen.
struct Size {
    messages_each: u64,
    disturbances: u64,
    /// How many of those are found by a heartbeat alone, which takes seconds.
    stalls: u64,
}

const SHORT: Size = Size {
    messages_each: 6_700,
    disturbances: 50,
    stalls: 2,
};

const LONG: Size = Size {
    messages_each: 66_700,
    disturbances: 1_000,
    stalls: 10,
};

#[derive(Clone, Copy, PartialEq)]
enum Discards {
    /// In the handler.
    AtOnce,
    /// On another thread, some time later, in any order.
    Late,
}

#[test]
fn every_message_is_seen_exactly_once_and_in_order_across_two_logs() {
    run(&SHORT, Discards::AtOnce);
}

#[test]
#[ignore = "takes minutes"]
fn every_message_is_seen_exactly_once_and_in_order_across_two_logs_for_long() {
    run(&LONG, Discards::AtOnce);
}

#[test]
fn with_late_discards_only_what_was_not_discarded_comes_again() {
    run(&SHORT, Discards::Late);
}

#[test]
#[ignore = "takes minutes"]
fn with_late_discards_only_what_was_not_discarded_comes_again_for_long() {
    run(&LONG, Discards::Late);
}

/// A client that the disturber may disturb.
struct Victim {
    client: HaClient,
    logons: Arc<AtomicU64>,
}

impl Victim {
    /// Takes to the first of these servers as long as it can.
    fn new(client: HaClient, servers: [&Broker; 2]) -> Victim {
        let logons = Arc::new(AtomicU64::new(0));
        let count = logons.clone();
        client.add_connection_state_listener(move |state| {
            if state == ConnectionState::LoggedOn {
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        client.set_reconnect_delay(Duration::ZERO);
        client.set_heartbeat(Duration::from_secs(1));
        client.set_server_chooser(DefaultServerChooser::new().add_all(servers.map(crate::uri)));
        Victim { client, logons }
    }

    fn publisher(name: &str, file: &Path, servers: [&Broker; 2]) -> Victim {
        let client = HaClient::new(name);
        let options = FileStoreOptions::new().client_name(name);
        let store = FilePublishStore::open(file, options).unwrap();
        client.set_publish_store(Arc::new(store)).unwrap();
        let victim = Victim::new(client, servers);
        victim.client.connect_and_logon().unwrap();
        victim
    }

    fn subscriber(
        name: &str,
        store: Arc<dyn BookmarkStore>,
        servers: [&Broker; 2],
        mut handler: impl FnMut(&Client, &Message) + Send + 'static,
    ) -> Victim {
        let client = HaClient::new(name);
        client.set_bookmark_store(store).unwrap();
        let victim = Victim::new(client, servers);
        victim.client.connect_and_logon().unwrap();
        let weak = victim.client.downgrade();
        let handler = move |message: &Message| {
            if let Some(client) = weak.upgrade() {
                handler(&client, message);
            }
        };
        let rest = BookmarkSubscribe::new().set_sub_id("reader");
        victim
            .client
            .bookmark_subscribe_async(handler, "t", bookmark::MOST_RECENT, rest)
            .unwrap();
        victim
    }

    fn logons(&self) -> u64 {
        self.logons.load(Ordering::SeqCst)
    }
}

fn run(size: &Size, discards: Discards) {
    let seed = std::env::var("AMPS_TEST_SEED").map_or_else(
        |_| fastrand::u64(..),
        |seed| seed.parse().expect("AMPS_TEST_SEED is a number"),
    );
    // Shown when the test fails.
    println!("AMPS_TEST_SEED={seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let begun = Instant::now();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let brokers = [logging_broker(), logging_broker()];
    let [first, second] = &brokers;
    first
        .replicate_to(second, Duration::from_millis(5))
        .unwrap();
    second
        .replicate_to(first, Duration::from_millis(5))
        .unwrap();

    let stores: [Arc<dyn BookmarkStore>; 2] = [
        Arc::new(MmapBookmarkStore::open(file("mmap")).unwrap()),
        Arc::new(LoggedBookmarkStore::open(file("logged")).unwrap()),
    ];
    let witnesses = [(); 2].map(|()| Arc::new(Witness::new(PUBLISHERS.len())));
    let orders = [[first, second], [second, first]];
    let mut victims = Vec::new();
    let mut discarding = Vec::new();
    for (at, store) in stores.into_iter().enumerate() {
        let witness = witnesses[at].clone();
        let name = ["reader-mmap", "reader-logged"][at];
        victims.push(match discards {
            Discards::AtOnce => {
                Victim::subscriber(name, store, orders[at], move |client, message| {
                    witness.see(message);
                    witness.discard(client, message);
                })
            }
            Discards::Late => {
                let (sender, seen) = mpsc::channel();
                let (late, rng) = (witness.clone(), rng.fork());
                discarding.push(thread::spawn(move || late.discard_late(&seen, rng)));
                Victim::subscriber(name, store, orders[at], move |client, message| {
                    witness.see(message);
                    let _ = sender.send((client.downgrade(), message.clone()));
                })
            }
        });
    }
    for (at, name) in PUBLISHERS.iter().enumerate() {
        victims.push(Victim::publisher(name, &file(name), orders[at % 2]));
    }
    let publishers = &victims[2..];

    let publish = |at: usize, number: u64| {
        let published = publishers[at].client.publish("t", format!("{at}:{number}"));
        published.unwrap();
    };
    let wait_for = |numbers: u64| {
        for (witness, victim) in witnesses.iter().zip(&victims) {
            witness.wait_for(numbers, victim.client.name());
        }
    };
    // Nothing protects the first messages of a publisher that was never seen.
    (0..PUBLISHERS.len()).for_each(|at| publish(at, 1));
    wait_for(1);

    let pace = Pace::default();
    let mut disturber = Disturber::new(&brokers, &victims, &mut rng);
    thread::scope(|scope| {
        for at in 0..PUBLISHERS.len() {
            let (pace, publish) = (&pace, &publish);
            scope.spawn(move || {
                for number in 2..=size.messages_each {
                    pace.step();
                    publish(at, number);
                }
            });
        }
        let total = (size.messages_each - 1) * PUBLISHERS.len() as u64;
        for number in 0..size.disturbances {
            pace.allow_up_to((number + 2) * total / size.disturbances);
            pace.wait_for((number + 1) * total / size.disturbances);
            match (number + 1) * size.stalls / size.disturbances
                > number * size.stalls / size.disturbances
            {
                true => disturber.stall(),
                false => disturber.disturb(),
            }
        }
    });
    disturber.finish();
    wait_for(size.messages_each);
    let kept = [0, 1].map(|at| witnesses[at].keep());
    for victim in &victims {
        victim.client.publish_flush(PATIENCE).unwrap();
        assert_eq!(victim.client.unpersisted_count(), 0);
        // Whoever comes back now must be sent nothing again but what was not discarded.
        let logons = victim.logons();
        disturbing::cut(&brokers, victim);
        eventually("it comes back", || victim.logons() > logons);
    }
    (0..PUBLISHERS.len()).for_each(|at| publish(at, size.messages_each + 1));
    wait_for(size.messages_each + 1);
    for (witness, kept) in witnesses.iter().zip(&kept) {
        witness.check_repeated(kept);
        assert_eq!(kept.is_empty(), discards == Discards::AtOnce);
    }

    let total = (size.messages_each + 1) * PUBLISHERS.len() as u64;
    for broker in &brokers {
        assert!(broker.wait_for_log_len(total, PATIENCE));
        assert_eq!(broker.log_len(), total);
    }
    let logons: u64 = victims.iter().map(Victim::logons).sum();
    assert!(logons >= size.disturbances, "only {logons} logons");
    drop(victims);
    for thread in discarding {
        thread.join().unwrap();
    }
    let repeats = witnesses.map(|witness| witness.verdict());
    if discards == Discards::AtOnce {
        assert_eq!(repeats, [0, 0]);
    }
    println!(
        "{total} messages, {logons} logons, repeats {repeats:?}, {:?}",
        begun.elapsed()
    );
}

fn logging_broker() -> Broker {
    Broker::builder().log_every_topic().start().unwrap()
}
