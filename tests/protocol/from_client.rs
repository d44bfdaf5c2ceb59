//! Every frame that a client sends, byte for byte.
//!
//! Where the client can be made to send a frame, it is recorded from its socket; the others are
//! encoded by the writer that it uses.

use crate::{frames, golden, names};
use amps::{AckType, Client, Command, CommandType};
use amps_broker::{Peer, PeerConnection, framed};
use amps_core::protocol::{Field, FrameWriter};
use std::thread;
use std::time::Duration;

const CLIENT: &str = include_str!("data/client.txt");

/// A client named as in the frames, and the peer that reads what it sends.
fn connected() -> (Client, PeerConnection) {
    let peer = Peer::listen().unwrap();
    let client = Client::new("risk-gui-1");
    client.connect(peer.uri("json")).unwrap();
    (client, peer.accept().unwrap())
}

#[track_caller]
fn assert_sent(peer: &mut PeerConnection, name: &str) {
    let frame = peer.expect_frame().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&framed(frame.as_bytes())),
        String::from_utf8_lossy(&golden(CLIENT, name)),
        "{name}"
    );
}

#[test]
fn every_length_prefix_covers_its_body_exactly() {
    for name in names(CLIENT) {
        assert_eq!(frames(&golden(CLIENT, name)).len(), 1, "{name}");
        let read = crate::messages(&golden(CLIENT, name));
        assert_ne!(read[0].command(), CommandType::Unknown, "{name}");
    }
}

#[test]
fn logon() {
    let peer = Peer::listen().unwrap();
    let client = Client::new("risk-gui-1");
    let uri = format!("tcp://ana:s3cret@{}/amps/json", peer.address());
    client.connect(uri).unwrap();
    let mut connection = peer.accept().unwrap();
    thread::scope(|scope| {
        let logon = scope.spawn(|| client.logon());
        assert_sent(&mut connection, "logon");
        connection.close();
        assert!(logon.join().unwrap().is_err());
    });
}

/// Executes a command that waits for its acknowledgement, and compares what was sent.
#[track_caller]
fn assert_executed(command: Command, name: &str) {
    let (client, mut peer) = connected();
    let command = command.set_timeout(Duration::from_secs(10));
    thread::scope(|scope| {
        let executed = scope.spawn(|| client.execute_async_no_handler(command));
        assert_sent(&mut peer, name);
        peer.close();
        assert!(executed.join().unwrap().is_err());
    });
}

#[test]
fn subscribe() {
    let command = Command::new("subscribe")
        .set_command_id("4")
        .set_topic("orders")
        .set_filter("/qty > 10");
    assert_executed(command, "subscribe");
}

#[test]
fn sow_and_subscribe() {
    let command = Command::new("sow_and_subscribe")
        .set_command_id("7")
        .set_topic("orders")
        .set_order_by("/id")
        .set_options("oof,timestamp");
    assert_executed(command, "sow_and_subscribe");
}

#[test]
fn heartbeat() {
    let start = Command::new("heartbeat")
        .set_command_id("1")
        .set_options("start,5");
    assert_executed(start, "heartbeat_start");

    let (client, mut peer) = connected();
    let beat = Command::new("heartbeat").set_options("beat");
    client.execute_async_no_handler(beat).unwrap();
    assert_sent(&mut peer, "heartbeat_beat");
}

#[test]
fn unsubscribe() {
    let (client, mut peer) = connected();
    let plain = Command::new("unsubscribe")
        .set_command_id("10")
        .set_sub_id("4");
    client.execute_async_no_handler(plain).unwrap();
    assert_sent(&mut peer, "unsubscribe");
    let all = Command::new("unsubscribe")
        .set_command_id("11")
        .set_sub_id("all")
        .set_ack_type(AckType::PROCESSED);
    client.execute_async_no_handler(all).unwrap();
    assert_sent(&mut peer, "unsubscribe_all");
    let query = Command::new("unsubscribe")
        .set_command_id("12")
        .set_sub_id("7")
        .set_query_id("7");
    client.execute_async_no_handler(query).unwrap();
    assert_sent(&mut peer, "unsubscribe_query");
}

#[test]
fn flush() {
    let command = Command::new("flush")
        .set_command_id("13")
        .set_ack_type(AckType::COMPLETED);
    assert_executed(command, "flush");
}

#[test]
fn publish() {
    let (client, mut peer) = connected();
    client.publish("orders", r#"{"id":1,"qty":100}"#).unwrap();
    assert_sent(&mut peer, "publish");
}

/// The frames of a publish store, whose publishes carry a sequence and no command id: the fields
/// and their order. A client sends them once it has a store.
#[test]
fn numbered_publishes_and_deletes() {
    let numbered = |command, fields: &[(Field, &str)], sequence, acks: &str, data: &[u8]| {
        let mut out = Vec::new();
        let mut frame = FrameWriter::begin(&mut out, command);
        for (field, value) in fields {
            frame.text(*field, value.as_bytes());
        }
        frame.number(Field::Sequence, sequence);
        frame.text(Field::AckType, acks.as_bytes());
        frame.finish(data);
        String::from_utf8(out).unwrap()
    };
    let topic = (Field::Topic, "orders");
    let cases = [
        (
            "publish_stored",
            numbered(
                CommandType::Publish,
                &[topic],
                907,
                "persisted",
                br#"{"id":1,"qty":100}"#,
            ),
        ),
        (
            "delta_publish_stored",
            numbered(
                CommandType::DeltaPublish,
                &[topic],
                908,
                "persisted",
                br#"{"id":1,"qty":150}"#,
            ),
        ),
        (
            "sow_delete_by_filter",
            numbered(
                CommandType::SowDelete,
                &[(Field::CommandId, "14"), topic, (Field::Filter, "/id = 1")],
                909,
                "persisted,stats",
                b"",
            ),
        ),
        (
            "sow_delete_by_keys",
            numbered(
                CommandType::SowDelete,
                &[
                    (Field::CommandId, "15"),
                    topic,
                    (Field::SowKeys, "5551212886541119007,902144630017755213"),
                ],
                910,
                "persisted,stats",
                b"",
            ),
        ),
        (
            "sow_delete_by_data",
            numbered(
                CommandType::SowDelete,
                &[(Field::CommandId, "17"), topic],
                911,
                "persisted",
                br#"{"id":4}"#,
            ),
        ),
    ];
    for (name, encoded) in cases {
        let expected = String::from_utf8(golden(CLIENT, name)).unwrap();
        assert_eq!(encoded, expected, "{name}");
    }
}

#[test]
fn queue_acknowledgements() {
    let mut out = Vec::new();
    let mut frame = FrameWriter::begin(&mut out, CommandType::SowDelete);
    frame.text(Field::Topic, b"jobs");
    frame.text(
        Field::Bookmark,
        b"4418602183412675531|12|,4418602183412675531|13|",
    );
    frame.finish(b"");
    assert_eq!(out, golden(CLIENT, "queue_acknowledge"));

    out.clear();
    let mut frame = FrameWriter::begin(&mut out, CommandType::SowDelete);
    frame.text(Field::Topic, b"jobs");
    frame.text(Field::Bookmark, b"4418602183412675531|14|");
    frame.text(Field::Options, b"cancel");
    frame.finish(b"");
    assert_eq!(out, golden(CLIENT, "queue_cancel"));
}
