//! Broker, publisher and subscriber as processes that are killed in any order, and started again
//! on their files in any order: nothing is lost, and nothing comes twice but what was not
//! discarded.

mod parties;
mod roles;

use crate::PATIENCE;
use crate::alone::role;
use parties::{BrokerProcess, PublisherProcess, SubscriberProcess};
use std::path::Path;
use std::time::{Duration, Instant};

const TEST: &str = "restart::whoever_is_killed_nothing_is_lost_and_nothing_discarded_comes_again";

#[test]
fn whoever_is_killed_nothing_is_lost_and_nothing_discarded_comes_again() {
    match role().as_deref() {
        None => kill_and_restart(3),
        Some("publisher") => roles::publish(),
        Some("subscriber") => roles::subscribe(),
        Some(other) => panic!("no role: {other}"),
    }
}

#[test]
#[ignore = "takes minutes"]
fn whoever_is_killed_nothing_is_lost_and_nothing_discarded_comes_again_for_long() {
    kill_and_restart(60);
}

/// Every order of the three.
const ORDERS: [[usize; 3]; 6] = [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
];

trait Party {
    fn start(&mut self);
    fn kill(&mut self);
}

fn kill_and_restart(rounds: usize) {
    let folder = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let mut broker = BrokerProcess::new(folder.path());
    broker.start();
    let mut publisher = PublisherProcess::new(&broker.uri(), folder.path());
    let mut subscriber = SubscriberProcess::new(&broker.uri(), folder.path());
    publisher.start();
    subscriber.start();
    let mut kills = 0;
    for round in 0..rounds {
        for (at, down) in ORDERS.iter().enumerate() {
            // One, two or all of them; they come back in another order each time.
            for count in 1..=3 {
                let up = ORDERS[(at * count + round + count) % ORDERS.len()];
                subscriber.wait_for_news();
                let mut parties: [&mut dyn Party; 3] =
                    [&mut broker, &mut publisher, &mut subscriber];
                let down = &down[..count];
                down.iter().for_each(|one| parties[*one].kill());
                let up = up.iter().filter(|one| down.contains(one));
                up.for_each(|one| parties[*one].start());
                kills += count;
            }
        }
    }
    let published = publisher.finish();
    subscriber.wait_for(&published);
    let repeats = subscriber.verdict(&published);
    assert!(repeats > 0, "the subscriber keeps some undiscarded");
    println!(
        "{kills} kills, {} messages, {repeats} repeats, {:?}",
        published.confirmed.len(),
        begun.elapsed()
    );
}

/// A file of this test in a folder.
fn file(folder: &Path, name: &str) -> String {
    folder.join(name).to_string_lossy().into_owned()
}

/// Fails when it takes too long.
fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + 3 * PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
