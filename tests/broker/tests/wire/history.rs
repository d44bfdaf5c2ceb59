//! Queries of the records as they were.

use crate::peer::Peer;
use crate::transaction_log::field;
use amps_broker::{Broker, BrokerError, TopicConfig};
use std::thread;
use std::time::Duration;

fn broker(orders: TopicConfig) -> (Broker, Peer) {
    let broker = Broker::builder()
        .topic(orders)
        .topic(TopicConfig::sow("plain", ["/id"]).logged())
        .sow_topic("unlogged", ["/id"])
        .start()
        .unwrap();
    let peer = Peer::named(&broker, "p");
    (broker, peer)
}

fn orders() -> TopicConfig {
    TopicConfig::sow("orders", ["/id"])
}

/// Carries out a command and returns the payloads up to the end of the group.
fn group(peer: &mut Peer, command: &str, fields: &str) -> Vec<String> {
    peer.send(&format!(r#"{{"c":"{command}","cid":"1",{fields}}}"#));
    assert!(peer.receive().contains("group_begin"));
    payloads(peer, "group_end")
}

/// The payloads of the messages before a frame that contains a word.
fn payloads(peer: &mut Peer, end: &str) -> Vec<String> {
    let mut payloads = Vec::new();
    loop {
        let frame = peer.receive();
        if frame.contains(end) {
            return payloads;
        }
        let (_, payload) = frame
            .split_once(r#"{"id":"#)
            .unwrap_or_else(|| panic!("{frame}"));
        payloads.push(payload.trim_end_matches('}').to_owned());
    }
}

/// Publishes and returns the bookmark and the time of each message.
fn publish(peer: &mut Peer, topic: &str, payloads: &[&str]) -> Vec<(String, String)> {
    peer.send(&format!(
        r#"{{"c":"subscribe","cid":"s","t":"{topic}","o":"bookmark,timestamp"}}"#
    ));
    let told = payloads
        .iter()
        .map(|payload| {
            peer.send(&format!(r#"{{"c":"p","t":"{topic}"}}{payload}"#));
            let frame = peer.receive();
            // So that the next message has another time.
            thread::sleep(Duration::from_millis(1));
            (
                field(&frame, "bm").to_owned(),
                field(&frame, "ts").to_owned(),
            )
        })
        .collect();
    peer.send(r#"{"c":"unsubscribe","cid":"s","sub_id":"s"}"#);
    told
}

#[test]
fn a_state_is_named_by_bookmark_or_time_and_knows_what_was_deleted_since() {
    let (_broker, mut peer) = broker(orders().history(None));
    let messages = publish(
        &mut peer,
        "orders",
        &[r#"{"id":1}"#, r#"{"id":2}"#, r#"{"id":1,"a":1}"#],
    );
    peer.send(r#"{"c":"sow_delete","t":"orders","f":"/id = 2"}"#);
    let mut at = |bookmark: &str| {
        let fields = format!(r#""t":"orders","bm":"{bookmark}""#);
        group(&mut peer, "sow", &fields)
    };
    for ((bookmark, time), records) in
        messages
            .iter()
            .zip([&["1"][..], &["1", "2"], &[r#"1,"a":1"#, "2"]])
    {
        assert_eq!(at(bookmark), records);
        assert_eq!(at(time), records);
    }
    assert_eq!(at("0|1|"), [r#"1,"a":1"#]);
    assert_eq!(at("22000101T000000Z"), [r#"1,"a":1"#]);
    assert_eq!(at("0"), [""; 0]);
    assert_eq!(at("20200101T000000Z"), [""; 0]);
    assert_eq!(at("99|1|"), [r#"1,"a":1"#], "not found is now");
    let first = &messages[0].0;
    let keyed = format!(r#""t":"orders","bm":"{first}","sow_keys":"1,2""#);
    assert_eq!(group(&mut peer, "sow", &keyed), [""; 0]);
}

#[test]
fn filters_orders_and_limits_apply_to_what_was() {
    let (_broker, mut peer) = broker(orders().history(None));
    let messages = publish(
        &mut peer,
        "orders",
        &[r#"{"id":1}"#, r#"{"id":2}"#, r#"{"id":3}"#, r#"{"id":4}"#],
    );
    let third = &messages[2].0;
    let fields =
        format!(r#""t":"orders","bm":"{third}","f":"/id > 1","orderby":"/id DESC","o":"top_n=1""#);
    assert_eq!(group(&mut peer, "sow", &fields), ["3"]);
}

#[test]
fn a_state_is_followed_by_everything_after_it_and_then_by_what_is_new() {
    for command in ["sow_and_subscribe", "sow_and_delta_subscribe"] {
        let (broker, mut peer) = broker(orders().history(None));
        let messages = publish(
            &mut peer,
            "orders",
            &[r#"{"id":1}"#, r#"{"id":2}"#, r#"{"id":1,"a":1}"#],
        );
        let mut reader = Peer::named(&broker, "reader");
        let fields = format!(r#""t":"orders","bm":"{}","a":"completed""#, messages[1].1);
        assert_eq!(group(&mut reader, command, &fields), ["1", "2"]);
        assert!(reader.receive().contains(r#""a":"completed""#));
        assert!(reader.receive().ends_with(r#"{"id":1,"a":1}"#));
        peer.send(r#"{"c":"p","t":"orders"}{"id":1,"a":1,"b":3}"#);
        let expected = match command {
            "sow_and_subscribe" => r#"{"id":1,"a":1,"b":3}"#,
            _ => r#"{"id":1,"b":3}"#,
        };
        assert!(reader.receive().ends_with(expected));
    }
}

#[test]
fn what_is_older_than_the_window_is_not_known() {
    let (_broker, mut peer) = broker(orders().history(Duration::from_millis(20)));
    let messages = publish(&mut peer, "orders", &[r#"{"id":1}"#]);
    thread::sleep(Duration::from_millis(30));
    let (bookmark, time) = &messages[0];
    for point in [bookmark, time] {
        let fields = format!(r#""t":"orders","bm":"{point}""#);
        assert_eq!(group(&mut peer, "sow", &fields), [""; 0]);
    }
    assert_eq!(
        group(&mut peer, "sow", r#""t":"orders","bm":"0|1|""#),
        ["1"]
    );
}

#[test]
fn a_coarse_history_begins_earlier_than_asked_for() {
    // The last state was saved decades ago.
    let decades = Duration::from_secs(10_000 * 86_400);
    let (_broker, mut peer) = broker(orders().history(None).history_granularity(decades));
    let messages = publish(&mut peer, "orders", &[r#"{"id":1}"#, r#"{"id":2}"#]);
    let fields = format!(r#""t":"orders","bm":"{}""#, messages[1].0);
    assert_eq!(group(&mut peer, "sow_and_subscribe", &fields), [""; 0]);
    assert!(peer.receive().ends_with(r#"{"id":1}"#));
    assert!(peer.receive().ends_with(r#"{"id":2}"#));
}

#[test]
fn without_a_history_a_query_ignores_the_bookmark_and_a_subscription_is_refused() {
    let (_broker, mut peer) = broker(orders().history(None));
    for topic in ["plain", "unlogged"] {
        peer.send(&format!(r#"{{"c":"p","t":"{topic}"}}{{"id":1}}"#));
        let fields = format!(r#""t":"{topic}","bm":"20200101T000000""#);
        assert_eq!(group(&mut peer, "sow", &fields), ["1"]);
    }
    peer.refused(
        r#"{"c":"sow_and_subscribe","cid":"1","t":"plain","bm":"0","a":"processed"}"#,
        "invalid bookmark",
    );
    peer.refused(
        r#"{"c":"sow_and_subscribe","cid":"1","t":"orders","bm":"9|9|","o":"bookmark_not_found=fail","a":"processed"}"#,
        "invalid bookmark",
    );
    let live = r#""t":"unlogged","bm":"0""#;
    assert_eq!(group(&mut peer, "sow_and_subscribe", live), ["1"]);
    peer.send(r#"{"c":"p","t":"unlogged"}{"id":2}"#);
    assert!(peer.receive().ends_with(r#"{"id":2}"#));
}

#[test]
fn history_and_expiration_exclude_each_other() {
    let topic = orders().history(None).expiration(None);
    let error = Broker::builder().topic(topic).start().err();
    assert!(matches!(error, Some(BrokerError::Topic { .. })));
}
