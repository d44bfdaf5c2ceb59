//! Two brokers, one of which sends its log to the other.

use crate::peer::{PATIENCE, Peer};
use crate::transaction_log::field;
use amps_broker::{Broker, Builder};
use std::thread;
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);

fn builder() -> Builder {
    Broker::builder()
        .sow_topic("orders", ["/id"])
        .logged_topic("^(orders|trades)$")
        .conflate_acks(Duration::from_millis(1))
}

fn broker() -> Broker {
    builder().start().unwrap()
}

fn publish(broker: &Broker, name: &str, sequences: impl IntoIterator<Item = u64>) {
    let mut peer = Peer::named(broker, name);
    for sequence in sequences {
        peer.send(&format!(
            r#"{{"c":"p","t":"trades","s":{sequence}}}{{"from":"{name}","n":{sequence}}}"#
        ));
    }
    peer.expect_nothing();
}

/// The bookmarks of the whole log.
fn bookmarks(broker: &Broker) -> Vec<String> {
    let mut peer = Peer::named(broker, "reader");
    peer.send(r#"{"c":"subscribe","cid":"1","t":".*","bm":"0","a":"completed"}"#);
    let mut all = Vec::new();
    loop {
        let frame = peer.receive();
        if frame.contains("completed") {
            return all;
        }
        all.push(field(&frame, "bm").to_owned());
    }
}

fn persisted(sequence: u64) -> impl Fn(&str) -> bool {
    move |ack| ack.contains(&format!(r#""s":{sequence},"#)) && ack.contains(r#""status":"success""#)
}

#[test]
fn another_broker_gets_messages_deletes_records_and_bookmarks() {
    let (first, second) = (broker(), broker());
    publish(&first, "p", 1..=3);
    first.replicate_to(&second, Duration::ZERO).unwrap();
    assert_eq!(
        second.log_len(),
        3,
        "what was there is brought over at once"
    );
    let mut reader = Peer::named(&second, "live");
    reader.subscribe("1", "orders");
    let mut peer = Peer::named(&first, "p");
    peer.send(r#"{"c":"p","t":"orders","s":4,"x":"token"}{"id":1,"a":1}"#);
    peer.send(r#"{"c":"delta_publish","t":"orders"}{"id":1,"b":2}"#);
    peer.send(r#"{"c":"p","t":"orders","s":5}{"id":2}"#);
    peer.send(r#"{"c":"sow_delete","t":"orders","s":6,"f":"/id = 2"}"#);
    let message = reader.receive();
    assert!(message.contains(r#""x":"token""#) && message.ends_with(r#"{"id":1,"a":1}"#));
    assert!(reader.receive().ends_with(r#"{"id":1,"a":1,"b":2}"#));
    assert!(second.wait_for_log_len(7, PATIENCE));
    assert_eq!(second.record_count("orders"), 1);
    assert_eq!(bookmarks(&first), bookmarks(&second));
    let mut moved = Peer::connect(&second);
    let ack = moved.log_on("p", "json");
    assert!(ack.contains(r#""s":6,"#), "{ack}");
}

#[test]
fn nothing_is_persisted_before_the_other_broker_has_it() {
    let (first, second) = (broker(), broker());
    first.replicate_to(&second, MINUTE).unwrap();
    let mut peer = Peer::named(&first, "p");
    peer.send(r#"{"c":"subscribe","cid":"1","t":"trades","bm":"0","a":"persisted"}"#);
    peer.send(r#"{"c":"subscribe","cid":"2","t":"trades","bm":"0","o":"fully_durable"}"#);
    peer.send(r#"{"c":"p","t":"trades","s":1,"a":"persisted"}1"#);
    let message = peer.receive();
    assert!(message.contains(r#""sids":"1""#), "{message}");
    peer.expect_nothing();
    let mut again = Peer::connect(&first);
    again.send(r#"{"c":"logon","cid":"0","client_name":"other","mt":"json","a":"processed"}"#);
    assert!(again.receive().contains("success"));
    first.set_replication_lag(Duration::ZERO);
    let mut frames = [(); 3].map(|()| peer.receive());
    frames.sort();
    assert!(persisted(1)(&frames[0]), "{frames:?}");
    let bookmark = field(&message, "bm");
    assert_eq!(
        frames[1],
        format!(
            r#"{{"c":"ack","sub_id":"1","bm":"{bookmark}","a":"persisted","status":"success"}}"#
        )
    );
    assert!(frames[2].contains(r#""sids":"2""#), "{frames:?}");
    peer.expect_nothing();
}

#[test]
fn a_logon_is_told_only_what_the_other_broker_has() {
    let (first, second) = (broker(), broker());
    publish(&first, "p", 1..=2);
    first.replicate_to(&second, MINUTE).unwrap();
    publish(&first, "p", 3..=4);
    let mut peer = Peer::connect(&first);
    let ack = peer.log_on("p", "json");
    assert!(ack.contains(r#""s":2,"#), "{ack}");
    first.stop_replicating();
    let mut peer = Peer::connect(&first);
    let ack = peer.log_on("p", "json");
    assert!(ack.contains(r#""s":4,"#), "{ack}");
}

#[test]
fn the_lag_is_the_least_time_that_an_entry_takes() {
    let (first, second) = (broker(), broker());
    let lag = Duration::from_millis(150);
    first.replicate_to(&second, lag).unwrap();
    let began = Instant::now();
    publish(&first, "p", 1..=1);
    assert!(second.wait_for_log_len(1, PATIENCE));
    assert!(began.elapsed() >= lag);
}

#[test]
fn both_ways_each_has_everything_once_and_each_publisher_in_order() {
    const LAST: u64 = 500;
    let (first, second) = (broker(), broker());
    let lag = Duration::from_millis(2);
    first.replicate_to(&second, lag).unwrap();
    second.replicate_to(&first, lag).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| publish(&first, "a", 1..=LAST));
        scope.spawn(|| publish(&second, "b", 1..=LAST));
    });
    for broker in [&first, &second] {
        assert!(broker.wait_for_log_len(2 * LAST, PATIENCE));
    }
    // Nothing goes in circles: a marker takes every way, and nothing is added but the marker.
    publish(&first, "a", LAST + 1..=LAST + 1);
    publish(&second, "b", LAST + 1..=LAST + 1);
    for broker in [&first, &second] {
        assert!(broker.wait_for_log_len(2 * LAST + 2, PATIENCE));
        let mut highest = std::collections::HashMap::new();
        for bookmark in bookmarks(broker) {
            let (publisher, sequence) = bookmark.split_once('|').unwrap();
            let sequence = sequence.trim_end_matches('|').parse::<u64>().unwrap();
            let before = highest.insert(publisher.to_owned(), sequence);
            assert_eq!(before.unwrap_or(0) + 1, sequence);
        }
        assert_eq!(highest.len(), 2);
        assert_eq!(broker.log_len(), 2 * LAST + 2);
    }
}

#[test]
fn two_brokers_may_have_different_publishers_in_different_order() {
    let (first, second) = (broker(), broker());
    first.replicate_to(&second, MINUTE).unwrap();
    second.replicate_to(&first, MINUTE).unwrap();
    publish(&first, "a", 1..=1);
    publish(&second, "b", 1..=1);
    first.set_replication_lag(Duration::ZERO);
    second.set_replication_lag(Duration::ZERO);
    assert!(first.wait_for_log_len(2, PATIENCE) && second.wait_for_log_len(2, PATIENCE));
    let (mut one, other) = (bookmarks(&first), bookmarks(&second));
    one.reverse();
    assert_eq!(one, other);
}

#[test]
fn what_a_publisher_resends_to_the_other_broker_is_there_once() {
    let (first, second) = (broker(), broker());
    first.replicate_to(&second, MINUTE).unwrap();
    publish(&first, "p", 1..=5);
    // The publisher has lost the first broker.
    publish(&second, "p", 1..=6);
    first.set_replication_lag(Duration::ZERO);
    let mut peer = Peer::named(&first, "p");
    peer.send(r#"{"c":"p","t":"trades","s":7,"a":"persisted"}7"#);
    assert!(persisted(7)(&peer.receive()));
    assert_eq!((first.log_len(), second.log_len()), (6, 7));
}

#[test]
fn while_the_other_broker_is_gone_nothing_is_persisted_until_its_successor_has_it() {
    let directory = tempfile::tempdir().unwrap();
    let journal = directory.path().join("second.journal");
    let second = builder().journal(&journal).start().unwrap();
    let first = broker();
    first.replicate_to(&second, Duration::ZERO).unwrap();
    let mut peer = Peer::named(&first, "p");
    peer.send(r#"{"c":"p","t":"trades","s":1,"a":"persisted"}1"#);
    assert!(persisted(1)(&peer.receive()));
    second.stop();
    peer.send(r#"{"c":"p","t":"trades","s":2,"a":"persisted"}2"#);
    peer.expect_nothing();
    let second = builder().journal(&journal).start().unwrap();
    first.replicate_to(&second, Duration::ZERO).unwrap();
    assert!(persisted(2)(&peer.receive()));
    assert_eq!(second.log_len(), 2);
    second.stop();
    peer.send(r#"{"c":"p","t":"trades","s":3,"a":"persisted"}3"#);
    peer.expect_nothing();
    first.stop_replicating();
    assert!(persisted(3)(&peer.receive()));
}

#[test]
fn a_broker_that_starts_anew_sends_only_what_the_other_has_not() {
    let directory = tempfile::tempdir().unwrap();
    let journal = directory.path().join("first.journal");
    let second = broker();
    let first = builder().journal(&journal).start().unwrap();
    first.replicate_to(&second, MINUTE).unwrap();
    publish(&first, "p", 1..=3);
    first.stop();
    assert_eq!(second.log_len(), 0);
    let first = builder().journal(&journal).start().unwrap();
    first.replicate_to(&second, MINUTE).unwrap();
    assert_eq!(second.log_len(), 3);
    first.stop();
    let first = builder().journal(&journal).start().unwrap();
    first.replicate_to(&second, Duration::ZERO).unwrap();
    publish(&first, "p", 4..=4);
    assert!(second.wait_for_log_len(4, PATIENCE));
    assert_eq!(second.published_count("trades"), 4);
}
