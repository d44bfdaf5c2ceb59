//! A peer that stops reading and writing while a publisher writes: the heartbeat finds it, nobody
//! stays in `write`, and everything arrives at the next server.

use crate::{PATIENCE, broker, client_of, uri};
use amps::{Error, HaClient, Message};
use amps_broker::Broker;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// More than the sockets of both sides take.
const COUNT: u64 = 600;
const SIZE: usize = 64 << 10;

/// The idle period of the heartbeat.
const IDLE: Duration = Duration::from_secs(2);

/// The idle period, and some time for a busy machine; far less than the 10 s that a socket with
/// unsent data takes to close, if nobody says otherwise.
const FOUND: Duration = Duration::from_secs(8);

/// Connected to the first of two servers, with a heartbeat.
fn beating(name: &str, servers: [&Broker; 2]) -> HaClient {
    let client = client_of(name, servers.map(uri));
    client.set_heartbeat(IDLE / 2);
    client.connect_and_logon().unwrap();
    client
}

/// The server neither reads nor writes any more, and takes nobody else.
fn stall(broker: &Broker, name: &str) {
    broker.stop_listening();
    assert_eq!(broker.stall_client(name), 1);
    assert_eq!(broker.mute_client(name), 1);
}

/// Publishes everything; returns how long the longest call took.
fn publish_all(client: &amps::Client) -> Duration {
    let payload = "x".repeat(SIZE);
    let one = |_| {
        let begun = Instant::now();
        client.publish("t", &payload).unwrap();
        begun.elapsed()
    };
    (0..COUNT).map(one).max().unwrap()
}

#[test]
fn n3_a_publisher_stuck_in_a_write_is_freed_and_everything_arrives_elsewhere() {
    let (first, second) = (broker(), broker());
    let client = beating("stuck", [&first, &second]);
    stall(&first, "stuck");
    let begun = Instant::now();
    thread::scope(|scope| {
        let publisher = scope.spawn(|| publish_all(&client));
        assert!(second.wait_for_client("stuck", PATIENCE));
        let found = begun.elapsed();
        assert!(found < FOUND, "found after {found:?}");
        let longest = publisher.join().unwrap();
        assert!(longest > IDLE / 4, "nobody was stuck: {longest:?}");
        assert!(longest < FOUND, "stuck for {longest:?}");
    });
    client.publish_flush(PATIENCE).unwrap();
    assert_eq!(second.published_count("t"), COUNT);
}

#[test]
fn n3_a_handler_stuck_in_a_write_does_not_stop_its_own_failover() {
    let (first, second) = (broker(), broker());
    let client = beating("stuck", [&first, &second]);
    let (entered, is_in_handler) = mpsc::channel();
    let (go, may_go) = mpsc::channel::<()>();
    let (done, took) = mpsc::channel();
    let weak = client.downgrade();
    let handler = move |_: &Message| {
        entered.send(()).unwrap();
        may_go.recv().unwrap();
        done.send(publish_all(&weak.upgrade().unwrap())).unwrap();
    };
    client.subscribe_async(handler, "go", None).unwrap();
    client.publish("go", "now").unwrap();
    is_in_handler.recv_timeout(PATIENCE).unwrap();
    // The handler holds up the acknowledgement.
    stall(&first, "stuck");
    let begun = Instant::now();
    go.send(()).unwrap();
    let longest = took.recv_timeout(PATIENCE).unwrap();
    assert!(longest > IDLE / 4, "nobody was stuck: {longest:?}");
    assert!(second.wait_for_client("stuck", PATIENCE));
    let found = begun.elapsed();
    assert!(found < FOUND, "found after {found:?}");
    client.publish_flush(PATIENCE).unwrap();
    assert_eq!(second.published_count("t"), COUNT);
}

#[test]
fn without_a_store_a_publisher_stuck_in_a_write_is_told() {
    let (first, second) = (broker(), broker());
    let client = HaClient::new("storeless");
    client.set_reconnect_delay(Duration::ZERO);
    client.set_heartbeat(IDLE / 2);
    let servers = [uri(&first), uri(&second)];
    client.set_server_chooser(amps::DefaultServerChooser::new().add_all(servers));
    client.connect_and_logon().unwrap();
    stall(&first, "storeless");
    let begun = Instant::now();
    let payload = "x".repeat(SIZE);
    let error = loop {
        match client.publish("t", &payload) {
            Ok(_) => assert!(begun.elapsed() < PATIENCE, "never stuck"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Disconnected(_)), "{error}");
    assert!(begun.elapsed() < FOUND, "{:?}", begun.elapsed());
    assert!(second.wait_for_client("storeless", PATIENCE));
}
