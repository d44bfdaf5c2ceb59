//! Messages that are sent as they are, and routes that are registered by hand.

use crate::{PATIENCE, SILENCE, broker, channel, data, during, eventually, logged_on, with_peer};
use amps::{AckType, Client, CommandType, Error, Message};
use amps_broker::{Peer, field};
use std::time::Duration;

fn message(command: &str, topic: &str) -> Message {
    let mut message = Message::new(command);
    message.set_topic(topic);
    message
}

#[test]
fn a_message_is_sent_as_it_is() {
    let (client, mut peer) = with_peer("raw");
    let mut publish = message("publish", "t");
    publish
        .set_correlation_id("token")
        .set_sow_key("k\"1")
        .set_data("payload");
    client.send(&publish).unwrap();
    assert_eq!(
        peer.expect_frame().unwrap(),
        r#"{"c":"p","t":"t","k":"k\"1","x":"token"}payload"#
    );
    let mut unknown = message("teleport", "t");
    unknown.set_ack_type(AckType::PROCESSED).set_top_n(0);
    client.send(&unknown).unwrap();
    assert_eq!(
        peer.expect_frame().unwrap(),
        r#"{"c":"teleport","t":"t","top_n":0,"a":"processed"}"#
    );
}

#[test]
fn a_message_that_was_received_can_be_sent_on() {
    let broker = broker();
    let client = logged_on(&broker, "relay");
    let mut source = client.subscribe("source").unwrap();
    let mut target = client.subscribe("target").unwrap();
    client.publish("source", "x").unwrap();
    let mut message = source.next_timeout(PATIENCE).unwrap().unwrap();
    message.set_topic("target").set_sub_ids("");
    client.send(&message).unwrap();
    assert_eq!(data(&target.next_timeout(PATIENCE).unwrap().unwrap()), "x");
}

#[test]
fn what_cannot_be_sent_is_refused_here() {
    let client = Client::new("refusing");
    let error = client.send(&message("publish", "t")).unwrap_err();
    assert!(matches!(error, Error::Disconnected(_)), "{error}");
    for command in ["", "logon"] {
        let error = client.send(&message(command, "t")).unwrap_err();
        assert!(matches!(error, Error::Usage(_)), "{error}");
    }
}

#[test]
fn a_message_in_a_batch_keeps_its_place() {
    let (client, mut peer) = with_peer("place");
    client.set_publish_batching(1 << 20, Duration::from_secs(3600));
    client.publish("t", "1").unwrap();
    client.send(message("publish", "t").set_data("2")).unwrap();
    client.send(&message("sow_delete", "t")).unwrap();
    for expected in ["1", "2"] {
        assert!(peer.expect_frame().unwrap().ends_with(expected));
    }
    assert_eq!(field(&peer.expect_frame().unwrap(), "c"), "sow_delete");
}

#[test]
fn the_handler_of_a_sent_message_gets_what_it_brings() {
    let broker = broker();
    let client = logged_on(&broker, "handled");
    client.publish("orders", r#"{"id":1}"#).unwrap();
    let (handler, messages) = channel();
    let mut query = message("sow", "orders");
    query.set_ack_type(AckType::PROCESSED | AckType::COMPLETED);
    let id = client.send_with_handler(handler, &query, PATIENCE).unwrap();
    let mut shown = Vec::new();
    while shown.len() < 5 {
        let message = messages.recv_timeout(PATIENCE).unwrap();
        assert!([message.query_id(), message.command_id()].contains(&id.as_str()));
        shown.push(message.command().name());
    }
    shown.sort_unstable();
    assert_eq!(shown, ["ack", "ack", "group_begin", "group_end", "sow"]);
    eventually("its id is free", || !client.remove_message_handler(&id));
}

#[test]
fn a_refused_or_unanswered_message_leaves_no_handler() {
    let broker = broker();
    let client = logged_on(&broker, "refused");
    let (handler, messages) = channel();
    let mut wrong = message("subscribe", "t");
    wrong
        .set_filter("((")
        .set_command_id("mine")
        .set_ack_type(AckType::PROCESSED);
    let error = client
        .send_with_handler(handler, &wrong, PATIENCE)
        .unwrap_err();
    assert!(matches!(error, Error::BadFilter(_)), "{error}");
    assert!(!client.remove_message_handler("mine"));
    drop(messages);
    let (client, _peer) = with_peer("unanswered");
    let mut query = message("sow", "t");
    query
        .set_command_id("mine")
        .set_ack_type(AckType::PROCESSED);
    let (handler, _messages) = channel();
    let error = client
        .send_with_handler(handler, &query, SILENCE)
        .unwrap_err();
    assert!(matches!(error, Error::TimedOut(_)), "{error}");
    assert!(!client.remove_message_handler("mine"));
}

#[test]
fn a_handler_can_be_registered_by_hand() {
    let broker = broker();
    let client = logged_on(&broker, "by-hand");
    let (handler, messages) = channel();
    client
        .add_message_handler("mine", handler, AckType::PROCESSED, CommandType::Subscribe)
        .unwrap();
    let mut subscribe = message("subscribe", "t");
    subscribe
        .set_command_id("mine")
        .set_sub_id("mine")
        .set_ack_type(AckType::PROCESSED);
    client.send(&subscribe).unwrap();
    let ack = messages.recv_timeout(PATIENCE).unwrap();
    assert_eq!(ack.command(), CommandType::Ack);
    client.publish("t", "x").unwrap();
    assert_eq!(data(&messages.recv_timeout(PATIENCE).unwrap()), "x");
    assert!(client.remove_message_handler("mine"));
    assert!(!client.remove_message_handler("mine"));
    client.publish("t", "y").unwrap();
    client.publish_flush(PATIENCE).unwrap();
    assert!(messages.try_recv().is_err());
}

#[test]
fn trap_34_a_handler_does_not_push_out_another_one() {
    let broker = broker();
    let client = logged_on(&broker, "crowded");
    let (handler, messages) = channel();
    let taken = client.subscribe_async(handler, "t", None).unwrap();
    let (other, _nothing) = channel();
    let error = client
        .add_message_handler(&taken, other, AckType::NONE, CommandType::Subscribe)
        .unwrap_err();
    assert!(
        matches!(error, Error::SubscriptionAlreadyExists(_)),
        "{error}"
    );
    client.publish("t", "x").unwrap();
    assert_eq!(data(&messages.recv_timeout(PATIENCE).unwrap()), "x");
    let (other, _nothing) = channel();
    let error = client
        .add_message_handler("", other, AckType::NONE, CommandType::Sow)
        .unwrap_err();
    assert!(matches!(error, Error::InvalidSubId(_)), "{error}");
}

#[test]
fn a_handler_registered_without_a_connection_is_for_the_next_one() {
    let client = Client::new("early");
    let (handler, messages) = channel();
    client
        .add_message_handler("mine", handler, AckType::NONE, CommandType::Subscribe)
        .unwrap();
    for expected in [true, false] {
        let peer = Peer::listen().unwrap();
        client.connect(peer.uri("json")).unwrap();
        let mut peer = peer.accept().unwrap();
        during(|| client.logon(), || peer.answer_logon().unwrap()).unwrap();
        peer.send(r#"{"c":"p","t":"t","sids":"mine"}x"#).unwrap();
        let wait = if expected { PATIENCE } else { SILENCE };
        assert_eq!(messages.recv_timeout(wait).is_ok(), expected);
        peer.close();
        eventually("the loss", || !client.is_connected());
    }
}

#[test]
fn d6_what_a_message_asked_for_in_vain_is_taken_back() {
    let (client, mut peer) = with_peer("in-vain");
    let mut message = Message::new("subscribe");
    message
        .set_topic("t")
        .set_command_id("c")
        .set_sub_id("s")
        .set_ack_type(AckType::PROCESSED);
    let error = client
        .send_with_handler(|_: &Message| (), &message, SILENCE)
        .unwrap_err();
    assert!(matches!(error, Error::TimedOut(_)), "{error}");
    assert_eq!(field(&peer.expect_frame().unwrap(), "c"), "subscribe");
    client.publish("t", "x").unwrap();
    let frame = peer.expect_frame().unwrap();
    assert_eq!(field(&frame, "c"), "unsubscribe", "{frame}");
    assert_eq!(field(&frame, "sub_id"), "s");
}
