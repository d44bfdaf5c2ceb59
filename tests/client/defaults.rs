//! Rule D1: what each command asks for, waits for and brings.

use crate::{PATIENCE, broker, channel, during, logged_on, sent_by, start, with_peer};
use amps::{AckType, Command, CommandType, EndReason, Error};
use amps_broker::{Broker, field};

#[test]
fn d1_what_is_asked_for_and_waited_for() {
    let broker = start(Broker::builder().record_frames(true));
    let client = logged_on(&broker, "asking");
    client.publish("orders", r#"{"id":1}"#).unwrap();
    let _subscription = client.subscribe("t").unwrap();
    client.sow("orders").unwrap().for_each(drop);
    let _both = client.sow_and_subscribe("orders").unwrap();
    client.publish_flush(PATIENCE).unwrap();
    let sent = sent_by(&broker, "asking");
    let acks = |command: &str| {
        let frame = sent.iter().find(|frame| field(frame, "c") == command);
        field(frame.unwrap(), "a").to_string()
    };
    assert_eq!(acks("p"), "");
    assert_eq!(acks("subscribe"), "processed");
    assert_eq!(acks("sow"), "processed,completed");
    assert_eq!(acks("sow_and_subscribe"), "processed");
    assert_eq!(acks("flush"), "completed");
}

#[test]
fn d1_a_publish_brings_an_empty_stream() {
    let broker = broker();
    let client = logged_on(&broker, "publisher");
    let command = Command::new("publish").set_topic("t").set_data("x");
    let mut stream = client.execute(command).unwrap();
    assert!(stream.next().is_none());
    assert_eq!(stream.end_reason(), Some(EndReason::Completed));
}

#[test]
fn d1_acknowledgements_of_a_publish_go_to_its_handler() {
    let broker = broker();
    let client = logged_on(&broker, "careful");
    let (handler, acks) = channel();
    let command = Command::new("publish")
        .set_topic("orders")
        .set_data(r#"{"id":1}"#)
        .set_ack_type(AckType::PERSISTED);
    let id = client.execute_async(command, handler).unwrap();
    let ack = acks.recv_timeout(PATIENCE).unwrap();
    assert_eq!(ack.command_id(), id);
    assert_eq!(ack.ack_type(), AckType::PERSISTED);
    // The route is gone with its last acknowledgement, and the handler with it.
    assert!(acks.recv_timeout(PATIENCE).is_err());
}

#[test]
fn d1_a_delete_brings_its_statistics() {
    let broker = broker();
    let client = logged_on(&broker, "deleter");
    for id in 1..=3 {
        client
            .publish("orders", format!(r#"{{"id":{id}}}"#))
            .unwrap();
    }
    let command = Command::new("sow_delete")
        .set_topic("orders")
        .set_data(r#"{"id":2}"#)
        .set_ack_type(AckType::STATS);
    let acks = client.execute(command).unwrap().collect::<Vec<_>>();
    assert_eq!(acks.len(), 1);
    assert_eq!(acks[0].ack_type(), AckType::STATS);
    assert_eq!(acks[0].records_deleted(), Some(1));
    assert_eq!(broker.record_count("orders"), 2);
}

#[test]
fn d1_the_delete_methods_return_the_statistics() {
    let broker = broker();
    let client = logged_on(&broker, "janitor");
    for id in 1..=4 {
        client
            .publish("orders", format!(r#"{{"id":{id}}}"#))
            .unwrap();
    }
    let keys = client
        .sow("orders")
        .unwrap()
        .filter(|message| message.command() == CommandType::Sow)
        .take(2)
        .map(|message| message.sow_key().to_string())
        .collect::<Vec<_>>();
    let deleted = |ack: amps::Message| ack.records_deleted();
    let by_keys = client.sow_delete_by_keys("orders", keys.join(",")).unwrap();
    assert_eq!(by_keys.ack_type(), AckType::STATS);
    assert_eq!(deleted(by_keys), Some(2));
    let by_data = client.sow_delete_by_data("orders", r#"{"id":4}"#).unwrap();
    assert_eq!(deleted(by_data), Some(1));
    let (handler, acks) = channel();
    client.sow_delete_async(handler, "orders", "1=1").unwrap();
    assert_eq!(deleted(acks.recv_timeout(PATIENCE).unwrap()), Some(1));
    assert_eq!(
        deleted(client.sow_delete("orders", "1=1").unwrap()),
        Some(0)
    );
    let error = client.sow_delete("nothing", "1=1").unwrap_err();
    assert!(matches!(error, Error::InvalidTopic(_)), "{error}");
}

#[test]
fn d1_a_stream_of_unsubscribe_gives_its_acknowledgement() {
    let broker = broker();
    let client = logged_on(&broker, "leaving");
    let (handler, _messages) = channel();
    let id = client.subscribe_async(handler, "t", None).unwrap();
    let command = Command::new("unsubscribe")
        .set_sub_id(&id)
        .set_ack_type(AckType::PROCESSED);
    let acks = client.execute(command).unwrap().collect::<Vec<_>>();
    assert_eq!(acks.len(), 1);
    assert_eq!(acks[0].ack_type(), AckType::PROCESSED);
    assert_eq!(broker.subscription_count("t"), 0);
}

#[test]
fn d1_every_row_asks_for_its_acknowledgements() {
    let (client, mut peer) = with_peer("rows");
    for (name, options, expected) in [
        ("subscribe", "", "processed"),
        ("delta_subscribe", "", "processed"),
        ("sow", "", "processed,completed"),
        ("sow_and_subscribe", "", "processed"),
        ("sow_and_delta_subscribe", "", "processed"),
        ("sow_delete", "", "processed"),
        ("flush", "", "processed"),
        ("heartbeat", "start,9", "processed"),
    ] {
        let command = Command::new(name)
            .set_topic("t")
            .set_options(options)
            .set_timeout(PATIENCE);
        let mut frame = String::new();
        during(
            || client.execute_async_no_handler(command),
            || frame = peer.acknowledge("processed").unwrap(),
        )
        .unwrap();
        assert_eq!(field(&frame, "a"), expected, "{frame}");
    }
    // These wait for nothing and ask for nothing.
    for name in ["publish", "delta_publish", "unsubscribe"] {
        let command = Command::new(name).set_topic("t").set_sub_id("s");
        client.execute_async_no_handler(command).unwrap();
        assert_eq!(field(&peer.expect_frame().unwrap(), "a"), "", "{name}");
    }
}
