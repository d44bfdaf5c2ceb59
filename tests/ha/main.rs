//! The client that reconnects by itself, rule by rule.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking"
)]

mod again;
#[cfg(target_os = "linux")]
mod alone;
#[cfg(target_os = "linux")]
#[path = "../spark/built.rs"]
mod built;
mod connecting;
mod disconnecting;
mod failover;
mod file_backed;
mod hard_servers;
#[cfg(target_os = "linux")]
mod leaks;
mod reconnecting;
mod recovery_time;
#[cfg(target_os = "linux")]
mod restart;
mod scripted;
mod stalled;
mod within;

use amps::{Client, Command, DefaultServerChooser, Error, HaClient, Message};
use amps_broker::{Broker, Peer};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for what must come before it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

fn broker() -> Broker {
    let builder = Broker::builder().sow_topic("orders", ["/id"]);
    builder.start().unwrap()
}

fn uri(broker: &Broker) -> String {
    format!("{}?tcp_nodelay=true", broker.uri("json"))
}

/// A connection string of a port where nobody listens.
fn nobody() -> String {
    let listener = Peer::listen().unwrap();
    let uri = listener.uri("json");
    drop(listener);
    uri
}

/// A client that reconnects to these servers without a delay.
fn client_of<S: AsRef<str>>(name: &str, uris: impl IntoIterator<Item = S>) -> HaClient {
    let client = HaClient::memory_backed(name);
    client.set_reconnect_delay(Duration::ZERO);
    client.set_server_chooser(DefaultServerChooser::new().add_all(uris));
    client
}

/// A client that is logged on to this broker, and will be again.
fn connected(broker: &Broker, name: &str) -> HaClient {
    let client = client_of(name, [uri(broker)]);
    client.connect_and_logon().unwrap();
    client
}

/// Subscribes with a handler; returns where the payloads arrive.
fn payloads(client: &Client, topic: &str) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    let command = Command::new("subscribe").set_topic(topic);
    let handler = move |message: &Message| {
        let _ = sender.send(message.data_str().unwrap().to_string());
    };
    client.execute_async(command, handler).unwrap();
    receiver
}

/// Collects what an exception listener is told.
fn exceptions(client: &Client) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    client.set_exception_listener(move |error: &Error| {
        let _ = sender.send(error.to_string());
    });
    receiver
}

/// Waits until a condition holds that nobody announces.
fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        thread::yield_now();
    }
}
