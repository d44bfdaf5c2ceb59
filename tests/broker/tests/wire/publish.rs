//! Publishing.

use crate::peer::Peer;
use amps_broker::{Broker, TopicConfig};
use std::time::Duration;

#[test]
fn a_message_reaches_every_subscriber_and_the_publisher_itself_byte_for_byte() {
    let broker = Broker::builder().start().unwrap();
    let mut other = Peer::named(&broker, "other");
    other.subscribe("s", "orders");
    let mut publisher = Peer::named(&broker, "publisher");
    publisher.subscribe("4", "orders");
    publisher.send(r#"{"c":"p","t":"orders"}{"id":1,"qty":100}"#);
    publisher.expect(r#"{"c":"p","t":"orders","sids":"4"}{"id":1,"qty":100}"#);
    other.expect(r#"{"c":"p","t":"orders","sids":"s"}{"id":1,"qty":100}"#);
    // The payload is opaque, the long spelling means the same, escapes in names are undone.
    publisher.send(r#"{"cmd":"publish","topic":"\u006frders"}not {json"#);
    publisher.expect(r#"{"c":"p","t":"orders","sids":"4"}not {json"#);
    publisher.send(r#"{"c":"p","t":"orders"}"#);
    publisher.expect(r#"{"c":"p","t":"orders","sids":"4"}"#);
}

#[test]
fn the_correlation_id_travels_with_the_message() {
    let broker = Broker::builder().start().unwrap();
    let mut peer = Peer::named(&broker, "a");
    peer.subscribe("4", "orders");
    peer.send(r#"{"c":"p","t":"orders","x":"Zm9v"}{"id":1}"#);
    peer.expect(r#"{"c":"p","t":"orders","sids":"4","x":"Zm9v"}{"id":1}"#);
}

#[test]
fn every_acknowledgement_that_is_asked_for_comes_once_and_no_other() {
    let broker = Broker::builder().start().unwrap();
    let mut peer = Peer::named(&broker, "a");
    peer.send(r#"{"c":"p","t":"orders","cid":"16","s":1,"a":"persisted"}{}"#);
    peer.expect(r#"{"c":"ack","cid":"16","s":1,"a":"persisted","status":"success"}"#);
    peer.send(r#"{"c":"p","t":"orders","s":2,"a":"persisted"}{}"#);
    peer.expect(r#"{"c":"ack","s":2,"a":"persisted","status":"success"}"#);
    peer.send(r#"{"c":"p","t":"orders","cid":"17"}{}"#);
    peer.expect_nothing();
    peer.send(r#"{"c":"p","t":"orders","cid":"18","a":"persisted, received,processed,completed,stats"}{}"#);
    for kind in ["received", "processed", "completed", "persisted"] {
        peer.expect(&format!(
            r#"{{"c":"ack","cid":"18","a":"{kind}","status":"success"}}"#
        ));
    }
    peer.expect_nothing();
}

#[test]
fn a_topic_that_looks_like_a_pattern_is_a_name_to_publish_to() {
    let broker = Broker::builder().start().unwrap();
    let mut peer = Peer::named(&broker, "a");
    peer.subscribe("4", "orders");
    peer.send(r#"{"c":"p","t":"^ord.*"}{}"#);
    peer.expect_nothing();
    assert_eq!(broker.published_count("^ord.*"), 1);
}

#[test]
fn a_message_without_a_topic_or_to_a_topic_of_the_server_is_refused() {
    let broker = Broker::builder().start().unwrap();
    let mut peer = Peer::named(&broker, "a");
    peer.send(r#"{"c":"p","cid":"1","s":7,"a":"persisted"}{}"#);
    peer.expect(
        r#"{"c":"ack","cid":"1","s":7,"a":"persisted","status":"failure","reason":"no topic"}"#,
    );
    peer.refused(
        r#"{"c":"p","cid":"1","t":"/AMPS/SOWStats","a":"processed"}{}"#,
        "invalid topic",
    );
    peer.send(r#"{"c":"p","cid":"1","t":"/AMPS/devnull","a":"processed"}{}"#);
    peer.expect(r#"{"c":"ack","cid":"1","a":"processed","status":"success"}"#);
}

#[test]
fn a_topic_of_another_message_type_is_another_topic() {
    let broker = Broker::builder().start().unwrap();
    let mut json = Peer::named(&broker, "j");
    json.subscribe("1", "orders");
    json.subscribe("2", "^o");
    let mut fix = Peer::of_type(&broker, "f", "fix");
    fix.subscribe("1", "orders");
    fix.send("{\"c\":\"p\",\"t\":\"orders\"}55=IBM\u{1}");
    fix.expect("{\"c\":\"p\",\"t\":\"orders\",\"sids\":\"1\"}55=IBM\u{1}");
    json.expect_nothing();
}

#[test]
fn a_record_is_inserted_once_per_key_and_replaced_as_a_whole() {
    let broker = Broker::builder()
        .sow_topic("orders", ["/id"])
        .start()
        .unwrap();
    let mut peer = Peer::named(&broker, "a");
    peer.subscribe("4", "orders");
    let mut keys = Vec::new();
    for payload in [r#"{"id":1,"qty":100}"#, r#"{"id":1}"#, r#"{"id":2}"#] {
        peer.send(&format!(r#"{{"c":"p","t":"orders"}}{payload}"#));
        let message = peer.receive();
        let (_, key) = message.split_once(r#""k":""#).unwrap();
        let (key, rest) = key.split_once('"').unwrap();
        assert_eq!(rest, format!("}}{payload}"));
        keys.push(key.parse::<u64>().unwrap());
    }
    assert_eq!(keys[0], keys[1]);
    assert_ne!(keys[0], keys[2]);
    assert_eq!(broker.record_count("orders"), 2);
    // An update with equal content is delivered all the same.
    peer.send(r#"{"c":"p","t":"orders"}{"id":2}"#);
    assert!(peer.receive().ends_with(r#"{"id":2}"#));
}

#[test]
fn a_message_whose_record_cannot_be_told_is_refused_and_delivered_to_nobody() {
    let broker = Broker::builder()
        .sow_topic("orders", ["/id"])
        .sow_topic_with_explicit_keys("blobs")
        .start()
        .unwrap();
    let mut peer = Peer::named(&broker, "a");
    peer.subscribe("4", "^(orders|blobs)$");
    for (topic, key, payload) in [
        ("orders", "", "{"),
        ("orders", "", r#"{"qty":1}"#),
        ("orders", r#","k":"17""#, r#"{"qty":1}"#),
        ("blobs", "", "{}"),
        ("blobs", r#","k":"a,b""#, "{}"),
    ] {
        peer.send(&format!(
            r#"{{"c":"p","cid":"1","s":9,"t":"{topic}"{key},"a":"processed,persisted"}}{payload}"#
        ));
        for kind in ["processed", "persisted"] {
            peer.expect(&format!(
                r#"{{"c":"ack","cid":"1","s":9,"a":"{kind}","status":"failure","reason":"bad sow key"}}"#
            ));
        }
    }
    peer.expect_nothing();
    assert_eq!(broker.published_count("orders"), 0);
    assert_eq!(broker.record_count("blobs"), 0);
}

#[test]
fn an_explicit_key_comes_back_as_it_was_given() {
    let broker = Broker::builder()
        .topic(TopicConfig::sow_with_explicit_keys("blobs").message_type("binary"))
        .start()
        .unwrap();
    let mut peer = Peer::of_type(&broker, "a", "binary");
    peer.subscribe("4", "blobs");
    for payload in ["one", "two"] {
        peer.send(&format!(r#"{{"c":"p","t":"blobs","k":"Zm9v"}}{payload}"#));
        peer.expect(&format!(
            r#"{{"c":"p","t":"blobs","sids":"4","k":"Zm9v"}}{payload}"#
        ));
    }
    assert_eq!(broker.record_count("blobs"), 1);
}

#[test]
fn a_record_ends_early_if_its_lifetime_gets_shorter() {
    for between in ["", r#"{"c":"sow_delete","t":"orders","sow_keys":"1"}"#] {
        let topic = TopicConfig::sow_with_explicit_keys("orders").expiration(Duration::ZERO);
        let broker = Broker::builder().topic(topic).start().unwrap();
        let mut peer = Peer::named(&broker, "a");
        peer.send(r#"{"c":"p","t":"orders","k":"1","e":3600}{}"#);
        if !between.is_empty() {
            peer.send(between);
        }
        peer.send(r#"{"c":"subscribe","cid":"4","t":"orders","o":"oof"}"#);
        peer.send(r#"{"c":"p","t":"orders","k":"1","e":1}{}"#);
        peer.expect(r#"{"c":"p","t":"orders","sids":"4","k":"1"}{}"#);
        peer.expect(r#"{"c":"oof","t":"orders","sids":"4","k":"1","reason":"expired"}{}"#);
    }
}
