//! Messages that are built, changed, copied and kept.

use crate::{PATIENCE, SILENCE, broker, channel, data, logged_on, subscribed, with_peer};
use amps::{AckType, Client, Command, CommandType, Message, OofReason};
use std::time::{Duration, SystemTime};

/// A message with every field there is.
fn full() -> Message {
    let mut message = Message::new("publish");
    message
        .set_topic("topic")
        .set_bookmark("1|2|")
        .set_sub_id("sub")
        .set_sub_ids("sub,other")
        .set_query_id("query")
        .set_command_id("command")
        .set_sow_key("key")
        .set_sow_keys("key,other")
        .set_correlation_id("token")
        .set_user_id("user")
        .set_client_name("client")
        .set_filter("/a = 'b'")
        .set_options("oof")
        .set_order_by("/a")
        .set_status("failure")
        .set_reason("bad filter")
        .set_ack_type(AckType::PROCESSED | AckType::STATS)
        .set_version("5.3.4.0")
        .set_message_type("json")
        .set_lease_period("20991231T235959Z")
        .set_timestamp("20240315T093000.123456Z")
        .set_heartbeat("start")
        .set_password("s3cret")
        .set_data("a payload");
    message
        .set_expiration(1)
        .set_batch_size(2)
        .set_top_n(3)
        .set_skip_n(4)
        .set_sequence(u64::MAX)
        .set_message_length(6)
        .set_matches(7)
        .set_topic_matches(8)
        .set_records_returned(9)
        .set_records_inserted(10)
        .set_records_updated(11)
        .set_records_deleted(12)
        .set_group_sequence_number(13)
        .set_max_messages(14)
        .set_timeout_interval(15)
        .set_bookmark_seq_no(16);
    message
}

fn texts(message: &Message) -> Vec<&str> {
    vec![
        message.topic(),
        message.bookmark(),
        message.sub_id(),
        message.sub_ids(),
        message.query_id(),
        message.command_id(),
        message.sow_key(),
        message.sow_keys(),
        message.correlation_id(),
        message.user_id(),
        message.client_name(),
        message.filter(),
        message.options(),
        message.order_by(),
        message.status(),
        message.reason(),
        message.version(),
        message.message_type(),
        message.lease_period(),
        message.timestamp(),
        message.heartbeat(),
        message.password(),
        data(message),
    ]
}

fn numbers(message: &Message) -> Vec<Option<u64>> {
    vec![
        message.expiration(),
        message.batch_size(),
        message.top_n(),
        message.skip_n(),
        message.sequence(),
        message.message_length(),
        message.matches(),
        message.topic_matches(),
        message.records_returned(),
        message.records_inserted(),
        message.records_updated(),
        message.records_deleted(),
        message.group_sequence_number(),
        message.max_messages(),
        message.timeout_interval(),
        Some(message.bookmark_seq_no()),
    ]
}

const TEXTS: [&str; 23] = [
    "topic",
    "1|2|",
    "sub",
    "sub,other",
    "query",
    "command",
    "key",
    "key,other",
    "token",
    "user",
    "client",
    "/a = 'b'",
    "oof",
    "/a",
    "failure",
    "bad filter",
    "5.3.4.0",
    "json",
    "20991231T235959Z",
    "20240315T093000.123456Z",
    "start",
    "s3cret",
    "a payload",
];

fn assert_full(message: &Message) {
    assert_eq!(message.command(), CommandType::Publish);
    assert_eq!(message.ack_type(), AckType::PROCESSED | AckType::STATS);
    assert_eq!(texts(message), TEXTS);
    let mut expected = (1..=16).map(Some).collect::<Vec<_>>();
    expected[4] = Some(u64::MAX);
    assert_eq!(numbers(message), expected);
    assert!(message.has_lease());
    assert!(message.to_result().is_err());
}

#[test]
fn every_field_that_is_set_is_there() {
    assert_full(&full());
}

#[test]
fn trap_44_copies_keep_the_fields_that_are_rarely_used() {
    let message = full();
    assert_full(&message.clone());
    assert_full(&message.detach());
    assert_full(&message.clone().detach().clone());
    assert!(message.detach().retained_bytes() <= "a payload".len());
    let mut other = Message::new("ack");
    other.clone_from(&message);
    assert_full(&other);
}

#[test]
fn f2_a_setter_changes_one_copy_alone() {
    let (client, mut peer) = with_peer("independent");
    let mut stream = subscribed(
        &client,
        &mut peer,
        Command::new("subscribe").set_topic("t").set_sub_id("s"),
    );
    for _ in 0..2 {
        peer.send(r#"{"c":"p","t":"t","sids":"o,s","x":"token","s":7}payload"#)
            .unwrap();
    }
    let original = stream.next_timeout(PATIENCE).unwrap().unwrap();
    let mut changed = original.clone();
    changed
        .set_topic("other")
        .set_data("else")
        .set_sequence(8)
        .set_command("delta_publish");
    assert_eq!((changed.topic(), data(&changed)), ("other", "else"));
    assert_eq!(changed.sequence(), Some(8));
    assert_eq!(changed.command(), CommandType::DeltaPublish);
    // What was not set is as it was, the subscription that it was delivered for included.
    assert_eq!((changed.correlation_id(), changed.sub_id()), ("token", "s"));
    let next = stream.next_timeout(PATIENCE).unwrap().unwrap();
    for message in [&original, &next] {
        assert_eq!((message.topic(), data(message)), ("t", "payload"));
        assert_eq!(message.sequence(), Some(7));
        assert_eq!(message.command(), CommandType::Publish);
    }
    changed.set_topic("").set_correlation_id("");
    assert_eq!((changed.topic(), changed.correlation_id()), ("", ""));
    changed.reset("flush");
    assert_eq!(changed.command(), CommandType::Flush);
    assert_eq!((changed.sub_id(), changed.data()), ("", &b""[..]));
}

#[test]
fn f2_a_record_of_a_batch_can_be_changed_and_keeps_what_it_inherited() {
    let broker = broker();
    let client = logged_on(&broker, "records");
    for id in 1..=3 {
        client
            .publish("orders", format!(r#"{{"id":{id}}}"#))
            .unwrap();
    }
    client.publish_flush(PATIENCE).unwrap();
    let messages = client.sow("orders").unwrap().collect::<Vec<_>>();
    let (first, second) = (&messages[1], &messages[2]);
    let mut changed = first.clone();
    changed.set_user_id("me");
    assert_eq!(changed.sow_key(), first.sow_key());
    assert_eq!(changed.query_id(), first.query_id());
    assert_eq!(changed.command(), CommandType::Sow);
    assert_eq!(
        (changed.data(), changed.batch_size()),
        (first.data(), first.batch_size())
    );
    assert_eq!(second.user_id(), "");
    assert_eq!(second.data(), br#"{"id":2}"#);
}

#[test]
fn trap_42_a_message_knows_when_the_read_returned_that_completed_it() {
    let (client, mut peer) = with_peer("timed");
    let mut stream = subscribed(
        &client,
        &mut peer,
        Command::new("subscribe").set_topic("t").set_sub_id("s"),
    );
    let before = SystemTime::now();
    peer.send(r#"{"c":"p","t":"t","sids":"s"}1"#).unwrap();
    let first = stream.next_timeout(PATIENCE).unwrap().unwrap();
    assert!(first.received_at() >= before);
    assert!(first.received_at() <= SystemTime::now());
    let frame = amps_broker::framed(br#"{"c":"p","t":"t","sids":"s"}2"#);
    peer.send_bytes(&frame[..10]).unwrap();
    assert!(stream.next_timeout(SILENCE).is_err());
    let halfway = SystemTime::now();
    peer.send_bytes(&frame[10..]).unwrap();
    let second = stream.next_timeout(PATIENCE).unwrap().unwrap();
    assert!(second.received_at() >= halfway);
    assert_eq!(second.detach().received_at(), second.received_at());
    assert_eq!(second.clone().received_at(), second.received_at());
}

#[test]
fn the_reason_of_an_oof_message_has_a_name() {
    let reason = |text: &str| Message::new("oof").set_reason(text).oof_reason();
    assert_eq!(reason("deleted"), OofReason::Deleted);
    assert_eq!(reason("Expired"), OofReason::Expired);
    assert_eq!(reason("match"), OofReason::Match);
    assert_eq!(reason("entitlement"), OofReason::Entitlement);
    assert_eq!(reason("evicted"), OofReason::Unknown);
    let broker = broker();
    let client = logged_on(&broker, "focus");
    let (handler, messages) = channel();
    let command = Command::new("sow_and_subscribe")
        .set_topic("orders")
        .set_filter("/qty > 5")
        .set_options("oof");
    client.execute_async(command, handler).unwrap();
    for (id, qty) in [(1, 9), (2, 9), (1, 1)] {
        let order = format!(r#"{{"id":{id},"qty":{qty}}}"#);
        client.publish("orders", order).unwrap();
    }
    client.sow_delete("orders", "/id = 2").unwrap();
    let mut reasons = Vec::new();
    while reasons.len() < 2 {
        let message = messages.recv_timeout(PATIENCE).unwrap();
        if message.command() == CommandType::Oof {
            reasons.push(message.oof_reason());
        }
    }
    assert_eq!(reasons, [OofReason::Match, OofReason::Deleted]);
}

#[test]
fn a_command_shows_the_message_that_it_sends() {
    let command = Command::new("sow_and_subscribe")
        .set_topic("orders")
        .set_batch_size(7)
        .set_data("payload")
        .add_ack_type(AckType::STATS);
    let message = command.message();
    assert_eq!(message.command(), CommandType::SowAndSubscribe);
    assert_eq!((message.topic(), data(&message)), ("orders", "payload"));
    assert_eq!(message.batch_size(), Some(7));
    assert_eq!(message.ack_type(), AckType::STATS);
    assert!(format!("{message:?}").contains("orders"));
}

#[test]
fn a_message_keeps_neither_its_client_nor_more_than_its_buffer() {
    let broker = broker();
    let client = logged_on(&broker, "kept");
    let mut stream = client.subscribe("t").unwrap();
    client.publish("t", "x").unwrap();
    let message = stream.next_timeout(PATIENCE).unwrap().unwrap();
    let weak: amps::WeakClient = client.downgrade();
    drop((stream, client));
    assert!(weak.upgrade().is_none());
    assert_eq!(data(&message), "x");
    assert!(message.retained_bytes() < 1000);
    let unnamed = Client::new("");
    assert!(unnamed.name() != Client::new("").name() && !unnamed.name().is_empty());
    assert_eq!(Duration::ZERO, unnamed.ack_timeout());
}
