//! Workers on queues: what is acknowledged, when, and what becomes of the rest (rules G1 to G11).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking"
)]

mod automatic;
mod batches;
mod by_hand;
mod losses;
mod workers;

use amps::{Client, Command, Message, MessageStream};
use amps_broker::{Broker, Peer, PeerConnection, QueueConfig, field};
use std::thread;
use std::time::Duration;

/// How long a test waits for what must come before it has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a test waits for what must not come.
const SILENCE: Duration = Duration::from_millis(50);

/// A broker with the queue `jobs`, which allows 100 unacknowledged messages, and the plain topic
/// `news`.
fn broker() -> Broker {
    Broker::builder()
        .queue(QueueConfig::new("jobs").max_backlog(100))
        .record_frames(true)
        .start()
        .unwrap()
}

fn logged_on(broker: &Broker, name: &str) -> Client {
    let client = Client::new(name);
    client.connect(broker.uri("json")).unwrap();
    client.logon().unwrap();
    client
}

/// Publishes `0`, `1` and so on, and waits until they are in the queue.
fn publish(broker: &Broker, count: usize) {
    let publisher = logged_on(broker, "publisher");
    for number in 0..count {
        publisher.publish("jobs", number.to_string()).unwrap();
    }
    publisher.publish_flush(PATIENCE).unwrap();
}

fn work(options: &str) -> Command {
    Command::new("subscribe")
        .set_topic("jobs")
        .set_options(options)
        .set_timeout(PATIENCE)
}

fn take(stream: &mut MessageStream) -> Message {
    stream.next_timeout(PATIENCE).unwrap().unwrap()
}

/// The acknowledgements that a client has sent: bookmarks and options.
fn acks(broker: &Broker, name: &str) -> Vec<(String, String)> {
    let frames = broker.frames_from(name);
    let frames = frames.iter().map(|frame| String::from_utf8_lossy(frame));
    frames
        .filter(|frame| field(frame, "c") == "sow_delete")
        .map(|frame| {
            (
                field(&frame, "bm").to_string(),
                field(&frame, "o").to_string(),
            )
        })
        .collect()
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

/// Accepts a command for a peer and grants a backlog.
fn grant(peer: &mut PeerConnection, backlog: usize) {
    let frame = peer.expect_frame().unwrap();
    let id = field(&frame, "cid");
    peer.send(&format!(
        r#"{{"c":"ack","cid":"{id}","a":"processed","status":"success","o":"max_backlog={backlog}"}}"#
    ))
    .unwrap();
}

/// A subscription, as a stream, that a peer has granted a backlog.
fn granted(client: &Client, peer: &mut PeerConnection, id: &str, backlog: usize) -> MessageStream {
    let command = work("").set_sub_id(id);
    during(|| client.execute(command), || grant(peer, backlog)).unwrap()
}

/// A message of a queue.
fn deliver(peer: &mut PeerConnection, topic: &str, id: &str, bookmark: usize) {
    peer.send(&format!(
        r#"{{"c":"p","t":"{topic}","sids":"{id}","bm":"1|{bookmark}|","lp":"20991231T235959Z"}}{bookmark}"#
    ))
    .unwrap();
}

/// The topic, bookmarks and options of the next frame, which must be an acknowledgement.
fn next_ack(peer: &mut PeerConnection) -> String {
    let frame = peer.expect_frame().unwrap();
    assert_eq!(field(&frame, "c"), "sow_delete", "{frame}");
    let bookmarks = field(&frame, "bm").split(',');
    let numbers = bookmarks.map(|bookmark| bookmark.split('|').nth(1).unwrap());
    let numbers = numbers.collect::<Vec<_>>().join(",");
    format!("{} {numbers} {}", field(&frame, "t"), field(&frame, "o"))
        .trim_end()
        .to_string()
}

/// Waits until a condition holds that nobody announces.
fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !condition() {
        assert!(
            std::time::Instant::now() < deadline,
            "never happened: {what}"
        );
        thread::sleep(Duration::from_millis(1));
    }
}
