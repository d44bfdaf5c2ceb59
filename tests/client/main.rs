//! The client against a broker, rule by rule.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking"
)]

mod batching;
mod bookmark_stores;
mod commands;
mod connecting;
mod defaults;
mod filtering;
mod hard_moments;
mod heartbeats;
mod interruptions;
mod lifetime;
mod logging_on;
mod meetings;
mod messages;
mod monitoring;
mod one_read;
mod pace;
mod publish_stores;
mod raw;
mod recovery;
mod regressions;
mod resubscribe;
mod retry;
mod routing;
mod small_stores;
mod storm;
mod streams;
mod supervisor;
mod surface;
mod transports;
mod traps;

use amps::{Client, Command, Error, Message, MessageStream};
use amps_broker::{Broker, Builder, Peer, PeerConnection};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long a test waits for what must come before it has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a test waits for what must not come.
const SILENCE: Duration = Duration::from_millis(50);

/// A broker with a SOW topic `orders` and any number of others.
fn broker() -> Broker {
    start(Broker::builder())
}

fn start(builder: Builder) -> Broker {
    builder.sow_topic("orders", ["/id"]).start().unwrap()
}

/// A client that is logged on.
fn logged_on(broker: &Broker, name: &str) -> Client {
    let client = Client::new(name);
    client.connect(broker.uri("json")).unwrap();
    client.logon().unwrap();
    client
}

/// A client that is logged on to a peer which says only what the test tells it.
fn with_peer(name: &str) -> (Client, PeerConnection) {
    let peer = Peer::listen().unwrap();
    let client = Client::new(name);
    client.connect(peer.uri("json")).unwrap();
    let mut connection = peer.accept().unwrap();
    during(|| client.logon(), || connection.answer_logon().unwrap()).unwrap();
    (client, connection)
}

/// Runs a call that waits, and meanwhile what it waits for.
fn during<T: Send>(call: impl FnOnce() -> T + Send, meanwhile: impl FnOnce()) -> T {
    thread::scope(|scope| {
        let call = scope.spawn(call);
        meanwhile();
        call.join().unwrap()
    })
}

/// A subscription that a peer has accepted.
fn subscribed(client: &Client, peer: &mut PeerConnection, command: Command) -> MessageStream {
    let command = command.set_timeout(PATIENCE);
    during(
        || client.execute(command),
        || {
            peer.acknowledge("processed").unwrap();
        },
    )
    .unwrap()
}

/// A handler that passes on what it gets, and the end where it arrives.
fn channel() -> (
    impl FnMut(&Message) + Send + 'static,
    mpsc::Receiver<Message>,
) {
    let (sender, receiver) = mpsc::channel();
    let handler = move |message: &Message| {
        let _ = sender.send(message.clone());
    };
    (handler, receiver)
}

/// Collects what an exception listener is told.
fn exceptions(client: &Client) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    client.set_exception_listener(move |error: &Error| {
        let _ = sender.send(error.to_string());
    });
    receiver
}

/// What a client has sent, if the broker records it.
fn sent_by(broker: &Broker, name: &str) -> Vec<String> {
    let frames = broker.frames_from(name);
    let text = |frame: &Vec<u8>| String::from_utf8_lossy(frame).into_owned();
    frames.iter().map(text).collect()
}

fn data(message: &Message) -> &str {
    message.data_str().unwrap()
}

/// Waits until a condition holds that nobody announces.
fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !condition() {
        assert!(
            std::time::Instant::now() < deadline,
            "never happened: {what}"
        );
        thread::yield_now();
    }
}
