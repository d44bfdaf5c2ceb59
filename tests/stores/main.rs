//! Stores, the client and the broker's transaction log together: what is promised is kept across
//! cut connections and killed processes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking"
)]

mod cut;
mod killed;
mod numbers;
mod resume;
mod two_servers;

use amps::{BookmarkSubscribe, Client, MessageStream, bookmark};
use amps_broker::Broker;
use std::time::{Duration, Instant};

/// How long a test waits for what must come before it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// A broker with a log of everything that is published to `orders`.
fn broker() -> Broker {
    Broker::builder().logged_topic("orders").start().unwrap()
}

/// Connects a client that has its stores.
fn log_on(client: &Client, broker: &Broker) {
    client.connect(broker.uri("json")).unwrap();
    client.logon().unwrap();
}

/// Everything in the log, by a client that has no store, and what comes.
fn witness(broker: &Broker) -> MessageStream {
    let client = Client::new("witness");
    log_on(&client, broker);
    let from_the_beginning = BookmarkSubscribe::new();
    client
        .bookmark_subscribe("orders", bookmark::EPOCH, from_the_beginning)
        .unwrap()
}

/// The next payload, which must come and be a number.
#[track_caller]
fn next(stream: &mut MessageStream) -> u64 {
    let message = stream.next_timeout(PATIENCE).unwrap().expect("an end");
    message.data_str().unwrap().parse().unwrap()
}

/// Waits until a condition holds that nobody announces.
#[track_caller]
fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
