//! The command cookbook of the guide, recipe by recipe, through the real client.
//!
//! Each test is named after its recipe (R1 is Table 10.1) and asserts what the application
//! observes: the messages, their headers, their order, and what must not arrive. That something
//! does not arrive is shown by order, not by waiting: a marker is published after it and is the
//! next thing that comes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking, in its helpers too"
)]

mod aggregate;
mod bookmark;
mod codecs;
mod conflation;
mod consistency;
mod delete;
mod delta_publish;
mod delta_subscribe;
mod entitlement;
mod failures;
mod filters;
mod focus;
mod history;
mod pages;
mod pause;
mod publish;
mod query;
mod query_and_subscribe;
mod queues;
mod select;
mod subscribe;

use amps::{Client, Command, CommandType, Message, MessageStream};
use amps_broker::{Broker, Builder};
use std::time::Duration;

/// How long a test waits for what must come before it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// A broker with a keyed topic `orders` and a topic `blobs` whose publishers choose the keys.
fn broker() -> Broker {
    start(Broker::builder())
}

fn start(builder: Builder) -> Broker {
    builder
        .sow_topic("orders", ["/id"])
        .sow_topic_with_explicit_keys("blobs")
        .start()
        .unwrap()
}

/// A client that is logged on.
fn client(broker: &Broker, name: &str) -> Client {
    client_of_type(broker, name, "json")
}

fn client_of_type(broker: &Broker, name: &str, message_type: &str) -> Client {
    let client = Client::new(name);
    // A publish and then a query would wait for each other's packets otherwise: 40 ms each time.
    let uri = broker.uri(message_type) + "?tcp_nodelay=true";
    client.connect(uri).unwrap();
    client.logon().unwrap();
    client
}

/// A command with a bound on how long it waits.
fn command(name: &str, topic: &str) -> Command {
    Command::new(name).set_topic(topic).set_timeout(PATIENCE)
}

/// The next message, which must come.
#[track_caller]
fn next(stream: &mut MessageStream) -> Message {
    stream
        .next_timeout(PATIENCE)
        .unwrap()
        .expect("the stream ended")
}

/// A message in short: its command, the reason if there is one, the payload.
fn short(message: &Message) -> String {
    let mut text = message.command().to_string();
    for part in [message.reason(), message.data_str().unwrap()] {
        if !part.is_empty() {
            text.push(' ');
            text.push_str(part);
        }
    }
    text
}

/// Asserts what comes next.
#[track_caller]
fn expect(stream: &mut MessageStream, messages: &[&str]) {
    for expected in messages {
        assert_eq!(short(&next(stream)), *expected);
    }
}

/// Everything up to the end of the stream, in short.
fn all(stream: MessageStream) -> Vec<String> {
    stream.map(|message| short(&message)).collect()
}

/// The result of a query without its group markers, which must be there.
#[track_caller]
fn records(stream: MessageStream) -> Vec<Message> {
    let mut messages = stream.collect::<Vec<_>>();
    let ends = [CommandType::GroupBegin, CommandType::GroupEnd];
    assert_eq!(messages.first().map(Message::command), Some(ends[0]));
    assert_eq!(messages.pop().map(|last| last.command()), Some(ends[1]));
    messages.remove(0);
    let sow = |message: &Message| message.command() == CommandType::Sow;
    assert!(messages.iter().all(sow));
    messages
}

/// Reads a group off a stream that goes on after it, and returns its records in short.
#[track_caller]
fn group(stream: &mut MessageStream) -> Vec<String> {
    expect(stream, &["group_begin"]);
    let mut group = Vec::new();
    loop {
        let message = next(stream);
        if message.command() == CommandType::GroupEnd {
            return group;
        }
        group.push(short(&message));
    }
}

/// The payloads of messages.
fn payloads(messages: &[Message]) -> Vec<&str> {
    let payload = |message| Message::data_str(message).unwrap();
    messages.iter().map(payload).collect()
}

/// Publishes to a topic, one message after the other.
fn publish(client: &Client, topic: &str, messages: &[&str]) {
    for message in messages {
        client.publish(topic, message).unwrap();
    }
}

/// Publishes records `{"id":n}` and waits until they are stored.
fn publish_ids(client: &Client, topic: &str, ids: impl IntoIterator<Item = u32>) {
    for id in ids {
        client.publish(topic, format!(r#"{{"id":{id}}}"#)).unwrap();
    }
    client.publish_flush(PATIENCE).unwrap();
}

/// Lets the broker carry out at one stroke what a client sends in `actions`.
fn at_one_stroke(broker: &Broker, client: &Client, actions: impl FnOnce()) {
    assert_eq!(broker.stall_client(&client.name()), 1);
    actions();
    broker.resume_client(&client.name());
}

/// True for such as `20240315T093000.123456Z`.
fn is_timestamp(text: &str) -> bool {
    let shape = text.bytes().map(|byte| match byte {
        b'0'..=b'9' => b'9',
        other => other,
    });
    shape.eq(*b"99999999T999999.999999Z")
}
