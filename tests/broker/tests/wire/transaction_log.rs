//! The transaction log as publishers see it: duplicates, sequence numbers, acknowledgements.

use crate::peer::{PATIENCE, Peer};
use amps_broker::Broker;
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);

fn broker() -> Broker {
    Broker::builder()
        .sow_topic("orders", ["/id"])
        .logged_topic("orders")
        .logged_topic("^trades/")
        .start()
        .unwrap()
}

/// Logs on and returns the acknowledgement too.
fn logon(broker: &Broker, name: &str) -> (Peer, String) {
    let mut peer = Peer::connect(broker);
    peer.send(&format!(
        r#"{{"c":"logon","cid":"0","client_name":"{name}","mt":"json","a":"processed"}}"#
    ));
    let ack = peer.receive();
    (peer, ack)
}

/// The value of a text field of a frame.
pub(crate) fn field<'a>(frame: &'a str, name: &str) -> &'a str {
    let (_, rest) = frame
        .split_once(&format!(r#""{name}":""#))
        .unwrap_or_else(|| panic!("no {name} in {frame}"));
    rest.split_once('"').unwrap().0
}

fn publish(peer: &mut Peer, sequence: u64, payload: &str) {
    peer.send(&format!(
        r#"{{"c":"p","t":"orders","s":{sequence},"a":"persisted"}}{payload}"#
    ));
}

/// Reads acknowledgements up to the one for this sequence number.
fn acknowledged(peer: &mut Peer, hash: &str, sequence: u64) {
    let expected = format!(
        r#"{{"c":"ack","s":{sequence},"bm":"{hash}|{sequence}|","a":"persisted","status":"success"}}"#
    );
    loop {
        let ack = peer.receive();
        assert!(ack.contains(r#""status":"success""#), "{ack}");
        if ack == expected {
            return;
        }
    }
}

#[test]
fn a_logon_is_told_the_last_sequence_number_that_is_persisted() {
    let broker = broker();
    let (mut peer, ack) = logon(&broker, "p");
    assert!(ack.contains(r#""s":0,"#), "{ack}");
    let hash = field(&ack, "bm").split_once('|').unwrap().0.to_owned();
    for sequence in [5, 6, 9] {
        publish(&mut peer, sequence, r#"{"id":1}"#);
    }
    acknowledged(&mut peer, &hash, 9);
    peer.finish();
    let (_peer, ack) = logon(&broker, "p");
    assert!(ack.contains(&format!(r#""s":9,"bm":"{hash}|9|""#)), "{ack}");
    let (_peer, ack) = logon(&broker, "q");
    assert!(ack.contains(r#""s":0,"#), "{ack}");
}

#[test]
fn a_duplicate_changes_nothing_and_is_acknowledged_with_the_highest_sequence() {
    let broker = broker();
    let mut reader = Peer::named(&broker, "reader");
    reader.subscribe("1", "orders");
    let (mut peer, ack) = logon(&broker, "p");
    let hash = field(&ack, "bm").split_once('|').unwrap().0.to_owned();
    publish(&mut peer, 7, r#"{"id":1}"#);
    acknowledged(&mut peer, &hash, 7);
    publish(&mut peer, 7, r#"{"id":2}"#);
    acknowledged(&mut peer, &hash, 7);
    publish(&mut peer, 3, r#"{"id":3}"#);
    acknowledged(&mut peer, &hash, 7);
    peer.send(
        r#"{"c":"sow_delete","cid":"d","t":"orders","f":"1=1","s":6,"a":"processed,persisted,stats"}"#,
    );
    peer.expect(
        r#"{"c":"ack","cid":"d","s":7,"a":"processed","status":"success"}"#
            .replace(r#""s":7,"#, "")
            .as_str(),
    );
    peer.expect(r#"{"c":"ack","cid":"d","a":"stats","status":"success","records_deleted":0,"matches":0,"topic_matches":0}"#);
    acknowledged(&mut peer, &hash, 7);
    assert_eq!((broker.log_len(), broker.record_count("orders")), (1, 1));
    assert!(reader.receive().ends_with(r#"{"id":1}"#));
    reader.expect_nothing();
}

#[test]
fn duplicates_are_known_by_publisher_and_across_topics_and_connections() {
    let broker = broker();
    let mut peer = Peer::named(&broker, "p");
    publish(&mut peer, 5, r#"{"id":1}"#);
    // Not logged, but seen.
    peer.send(r#"{"c":"p","t":"adhoc","s":6}1"#);
    peer.send(r#"{"c":"p","t":"trades/x","s":6}2"#);
    peer.send(r#"{"c":"p","t":"trades/x","s":7}3"#);
    let mut other = Peer::named(&broker, "q");
    publish(&mut other, 5, r#"{"id":2}"#);
    assert!(broker.wait_for_log_len(3, PATIENCE));
    drop(peer);
    let mut peer = Peer::named(&broker, "p");
    peer.send(r#"{"c":"p","t":"trades/x","s":7}3"#);
    peer.send(r#"{"c":"p","t":"trades/x","s":8}4"#);
    assert!(broker.wait_for_log_len(4, PATIENCE));
    assert_eq!(broker.published_count("trades/x"), 2);
    assert_eq!(broker.published_count("adhoc"), 1);
}

#[test]
fn without_a_log_each_message_counts() {
    let broker = Broker::builder().start().unwrap();
    let mut peer = Peer::named(&broker, "p");
    for _ in 0..3 {
        publish(&mut peer, 1, "1");
    }
    assert!(broker.wait_for_published("orders", 3, PATIENCE));
    assert_eq!(broker.log_len(), 0);
}

#[test]
fn a_refused_publish_is_no_duplicate_when_it_comes_again() {
    let broker = broker();
    let (mut peer, ack) = logon(&broker, "p");
    let hash = field(&ack, "bm").split_once('|').unwrap().0.to_owned();
    broker.fail_next_writes("orders", 1, "not today");
    publish(&mut peer, 1, r#"{"id":1}"#);
    peer.expect(r#"{"c":"ack","s":1,"a":"persisted","status":"failure","reason":"not today"}"#);
    publish(&mut peer, 1, r#"{"id":1}"#);
    acknowledged(&mut peer, &hash, 1);
    assert_eq!(broker.log_len(), 1);
}

#[test]
fn what_has_no_sequence_number_gets_one_of_the_broker_under_another_name() {
    let broker = broker();
    let (mut peer, ack) = logon(&broker, "p");
    let own = field(&ack, "bm").split_once('|').unwrap().0.to_owned();
    peer.send(r#"{"c":"subscribe","cid":"1","t":"orders","o":"bookmark","a":"processed"}"#);
    peer.receive();
    peer.send(r#"{"c":"p","t":"orders","s":1}{"id":1}"#);
    assert_eq!(field(&peer.receive(), "bm"), format!("{own}|1|"));
    let given = [2, 3].map(|id| {
        peer.send(&format!(r#"{{"c":"p","t":"orders"}}{{"id":{id}}}"#));
        field(&peer.receive(), "bm").to_owned()
    });
    let hash = given[0].split_once('|').unwrap().0;
    assert_ne!(hash, own);
    assert_eq!(given, [format!("{hash}|1|"), format!("{hash}|2|")]);
}

#[test]
fn a_message_of_a_topic_that_is_not_logged_has_no_bookmark() {
    let broker = broker();
    let mut peer = Peer::named(&broker, "p");
    peer.send(r#"{"c":"subscribe","cid":"1","t":"adhoc","o":"bookmark","a":"processed"}"#);
    peer.receive();
    peer.send(r#"{"c":"p","t":"adhoc","s":1}1"#);
    peer.expect(r#"{"c":"p","t":"adhoc","sids":"1"}1"#);
}

#[test]
fn deletes_are_logged_and_make_sequence_numbers_known() {
    let broker = broker();
    let (mut peer, ack) = logon(&broker, "p");
    let hash = field(&ack, "bm").split_once('|').unwrap().0.to_owned();
    publish(&mut peer, 1, r#"{"id":1}"#);
    peer.send(r#"{"c":"sow_delete","t":"orders","f":"/id = 1","s":2,"a":"persisted"}"#);
    // Nothing is there to be deleted: its number counts all the same.
    peer.send(r#"{"c":"sow_delete","t":"orders","f":"/id = 1","s":3,"a":"persisted"}"#);
    acknowledged(&mut peer, &hash, 3);
    assert_eq!((broker.log_len(), broker.record_count("orders")), (3, 0));
    publish(&mut peer, 3, r#"{"id":1}"#);
    acknowledged(&mut peer, &hash, 3);
    assert_eq!(broker.record_count("orders"), 0);
}

#[test]
fn with_a_log_acknowledgements_are_conflated_and_names_are_unique() {
    let broker = broker();
    let mut first = Peer::named(&broker, "p");
    for sequence in 1..=20 {
        publish(&mut first, sequence, r#"{"id":1}"#);
    }
    let ack = first.receive();
    assert!(!ack.contains("cid") && ack.contains(r#""bm":""#), "{ack}");
    let _second = Peer::named(&broker, "p");
    while first.try_receive().is_some() {}
    assert_eq!(broker.client_names(), ["p"]);
}

#[test]
fn held_persisted_acks_come_when_they_are_released_and_in_order() {
    let broker = broker();
    broker.hold_persisted_acks();
    let (mut peer, ack) = logon(&broker, "p");
    let hash = field(&ack, "bm").split_once('|').unwrap().0.to_owned();
    publish(&mut peer, 1, r#"{"id":1}"#);
    publish(&mut peer, 2, r#"{"id":2}"#);
    publish(&mut peer, 3, "{");
    publish(&mut peer, 4, r#"{"id":4}"#);
    peer.send(r#"{"c":"p","cid":"x","t":"orders","a":"persisted"}{"id":5}"#);
    peer.send(r#"{"c":"flush","cid":"f","a":"persisted"}"#);
    peer.expect_nothing();
    let (_other, ack) = logon(&broker, "late");
    assert!(ack.contains(r#""s":0,"#), "{ack}");
    broker.release_persisted_acks();
    let success = |sequence: u64| {
        format!(
            r#"{{"c":"ack","s":{sequence},"bm":"{hash}|{sequence}|","a":"persisted","status":"success"}}"#
        )
    };
    peer.expect(&success(2));
    peer.expect(r#"{"c":"ack","s":3,"a":"persisted","status":"failure","reason":"bad sow key"}"#);
    peer.expect(&success(4));
    peer.expect(r#"{"c":"ack","cid":"x","a":"persisted","status":"success"}"#);
    peer.expect(r#"{"c":"ack","cid":"f","a":"persisted","status":"success"}"#);
    publish(&mut peer, 5, r#"{"id":5}"#);
    peer.expect(&success(5));
}

#[test]
fn persisted_acks_are_held_without_a_log_too() {
    let broker = Broker::builder().start().unwrap();
    let mut peer = Peer::named(&broker, "p");
    broker.hold_persisted_acks();
    publish(&mut peer, 1, "1");
    peer.expect_nothing();
    broker.release_persisted_acks();
    peer.expect(r#"{"c":"ack","s":1,"a":"persisted","status":"success"}"#);
}

#[test]
fn refused_logons_end_their_connections_and_the_next_one_succeeds() {
    let broker = Broker::builder().start().unwrap();
    broker.refuse_logons(2, "auth failure");
    for _ in 0..2 {
        let (mut peer, ack) = logon(&broker, "p");
        assert!(
            ack.ends_with(r#""status":"failure","reason":"auth failure"}"#),
            "{ack}"
        );
        peer.expect_end();
    }
    let (_peer, ack) = logon(&broker, "p");
    assert!(ack.contains(r#""status":"success""#), "{ack}");
}

#[test]
fn a_delayed_logon_takes_its_time_and_holds_up_nobody_else() {
    let broker = Broker::builder().start().unwrap();
    let mut other = Peer::named(&broker, "other");
    let delay = Duration::from_millis(200);
    broker.delay_logons(delay);
    let began = Instant::now();
    let mut slow = Peer::connect(&broker);
    slow.send(r#"{"c":"logon","cid":"0","client_name":"slow","mt":"json","a":"processed"}"#);
    other.expect_nothing();
    assert!(slow.receive().contains("success"));
    assert!(began.elapsed() >= delay);
    broker.delay_logons(MINUTE);
    slow.send(r#"{"c":"flush","cid":"f","a":"completed"}"#);
    assert!(slow.receive().contains("success"));
    let mut stuck = Peer::connect(&broker);
    stuck.send(r#"{"c":"logon","cid":"0","client_name":"stuck","mt":"json","a":"processed"}"#);
    // The end of the broker does not wait for it.
    let began = Instant::now();
    drop(broker);
    assert!(began.elapsed() < MINUTE / 2);
}
