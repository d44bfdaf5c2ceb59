//! The frames that travel, the same for the client and for its floor.

use amps::CommandType;
use amps_core::protocol::{Field, FrameWriter};

/// The topic of every message between the client and a peer.
pub(crate) const TOPIC: &str = "orders";

/// A JSON payload of exactly `length` bytes (40 or more).
pub(crate) fn payload(length: usize) -> Vec<u8> {
    let mut payload = br#"{"id":1,"symbol":"ROL","note":""#.to_vec();
    payload.resize(length - 2, b'x');
    payload.extend_from_slice(b"\"}");
    payload
}

/// A publish as the client sends it without a store.
pub(crate) fn published(topic: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut frame = FrameWriter::begin(&mut out, CommandType::Publish);
    frame.text(Field::Topic, topic.as_bytes());
    frame.finish(payload);
    out
}

/// A message as a server sends it for a bookmark subscription with timestamps on a SOW topic:
/// about 130 bytes of header.
pub(crate) fn received(out: &mut Vec<u8>, sub_id: &[u8], number: usize, payload: &[u8]) {
    let mut frame = FrameWriter::begin(out, CommandType::Publish);
    frame.text(Field::Topic, TOPIC.as_bytes());
    frame.text(Field::SubIds, sub_id);
    let bookmark = format!("4418602183412675531|{:010}|", number);
    frame.text(Field::Bookmark, bookmark.as_bytes());
    frame.text(Field::Timestamp, b"20240315T093000.123456Z");
    frame.text(Field::SowKey, b"13480907839116428812");
    frame.finish(payload);
}

/// The `sow` frames of a query result: `records` in batches of `batch`.
pub(crate) fn batches(query_id: &[u8], records: usize, batch: usize, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for first in (0..records).step_by(batch) {
        let count = batch.min(records - first);
        let mut frame = FrameWriter::begin(&mut out, CommandType::Sow);
        frame.text(Field::QueryId, query_id);
        frame.text(Field::Topic, TOPIC.as_bytes());
        frame.number(Field::BatchSize, count as u64);
        let mut frame = frame.records();
        for at in first..first + count {
            let key = format!("{:020}", 13_480_907_839_116_428_812 + at as u64);
            frame.record([(Field::SowKey, key.as_bytes())], payload);
        }
        frame.finish();
    }
    out
}

/// The command that opens a connection.
pub(crate) fn logon(message_type: &str, user: &str, password: &str) -> Vec<u8> {
    let fields = [
        (Field::ClientName, "perf-floor"),
        (Field::UserId, user),
        (Field::Password, password),
        (Field::MessageType, message_type),
        (Field::AckType, "processed"),
    ];
    command(CommandType::Logon, &fields)
}

/// A subscription.
pub(crate) fn subscribe(sub_id: &str, topic: &str) -> Vec<u8> {
    let fields = [
        (Field::SubId, sub_id),
        (Field::Topic, topic),
        (Field::AckType, "processed"),
    ];
    command(CommandType::Subscribe, &fields)
}

/// A query of [`TOPIC`].
pub(crate) fn sow(query_id: &str) -> Vec<u8> {
    let fields = [
        (Field::QueryId, query_id),
        (Field::Topic, TOPIC),
        (Field::AckType, "processed,completed"),
    ];
    command(CommandType::Sow, &fields)
}

/// Asks for an answer once everything before it has been read.
pub(crate) fn flush() -> Vec<u8> {
    command(CommandType::Flush, &[(Field::AckType, "completed")])
}

/// Everything up to this publish is persisted.
pub(crate) fn persisted(out: &mut Vec<u8>, sequence: u64) {
    let mut ack = FrameWriter::begin(out, CommandType::Ack);
    ack.number(Field::Sequence, sequence);
    let bookmark = format!("4418602183412675531|{sequence}|");
    ack.text(Field::Bookmark, bookmark.as_bytes());
    ack.text(Field::AckType, b"persisted");
    ack.text(Field::Status, b"success");
    ack.finish(b"");
}

fn command(kind: CommandType, fields: &[(Field, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut frame = FrameWriter::begin(&mut out, kind);
    frame.text(Field::CommandId, b"1");
    for (field, value) in fields {
        frame.text_if(*field, value.as_bytes());
    }
    frame.finish(b"");
    out
}
