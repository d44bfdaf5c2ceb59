//! Queues: what is delivered, and what becomes of it.

use crate::peer::{PATIENCE, Peer};
use amps_broker::{Broker, Delivery, LeaseOwner, QueueConfig, field};
use std::time::Duration;

/// A broker with a queue `jobs` of this configuration over `orders`.
pub(crate) fn over_orders(config: impl FnOnce(QueueConfig) -> QueueConfig) -> Broker {
    let queue = QueueConfig::new("jobs").over("orders").max_backlog(10);
    Broker::builder()
        .queue(config(queue))
        .conflate_acks(Duration::ZERO)
        .start()
        .unwrap()
}

pub(crate) fn publish(peer: &mut Peer, topic: &str, numbers: std::ops::RangeInclusive<u32>) {
    for n in numbers {
        peer.send(&format!(r#"{{"c":"p","t":"{topic}","s":{n}}}{{"n":{n}}}"#));
    }
}

/// Subscribes to `jobs` and takes the acknowledgement.
#[track_caller]
pub(crate) fn consume(peer: &mut Peer, id: &str, options: &str) -> String {
    peer.send(&format!(
        r#"{{"c":"subscribe","cid":"{id}","t":"jobs","o":"{options}","a":"processed"}}"#
    ));
    peer.receive()
}

/// Takes the next message, which must be this one, and returns its bookmark.
#[track_caller]
pub(crate) fn take(peer: &mut Peer, n: u32) -> String {
    let frame = peer.receive();
    assert!(frame.starts_with(r#"{"c":"p","t":"jobs","#), "{frame}");
    assert!(frame.ends_with(&format!(r#"}}{{"n":{n}}}"#)), "{frame}");
    field(&frame, "bm").to_owned()
}

pub(crate) fn answer(peer: &mut Peer, bookmarks: &str, option: &str) {
    peer.send(&format!(
        r#"{{"c":"sow_delete","t":"jobs","bm":"{bookmarks}","o":"{option}"}}"#
    ));
}

pub(crate) fn stats(counts: [u64; 3]) -> String {
    let [deleted, matches, all] = counts;
    format!(
        r#"{{"c":"ack","cid":"d","a":"stats","status":"success","records_deleted":{deleted},"matches":{matches},"topic_matches":{all}}}"#
    )
}

#[test]
fn a_message_has_the_form_of_the_protocol_reference() {
    let broker = over_orders(|queue| queue.lease_period(Duration::from_secs(60)));
    let mut peer = Peer::named(&broker, "a");
    assert_eq!(
        consume(&mut peer, "j", "max_backlog=7"),
        r#"{"c":"ack","cid":"j","sub_id":"j","o":"max_backlog=7","a":"processed","status":"success"}"#
    );
    peer.send(r#"{"c":"p","t":"orders","s":12,"x":"token"}{"job":17}"#);
    let frame = peer.receive();
    let (bookmark, lease) = (field(&frame, "bm"), field(&frame, "lp"));
    assert_eq!(
        frame,
        format!(
            r#"{{"c":"p","t":"jobs","sids":"j","bm":"{bookmark}","lp":"{lease}","x":"token"}}{{"job":17}}"#
        )
    );
    assert!(bookmark.ends_with("|12|"), "{bookmark}");
    assert_eq!(lease.len(), "20240315T093100.123456Z".len());
    assert_eq!(lease.as_bytes()[8], b'T');
}

#[test]
fn a_lease_without_end_ends_at_the_last_instant_there_is_and_a_timestamp_is_for_those_who_ask() {
    let broker = over_orders(|queue| queue);
    let mut peer = Peer::named(&broker, "a");
    consume(&mut peer, "j", "timestamp");
    peer.send(r#"{"c":"p","t":"orders"}1"#);
    let frame = peer.receive();
    assert_eq!(field(&frame, "lp"), "99991231T235959.999999Z");
    assert!(field(&frame, "ts").starts_with("20"), "{frame}");
}

#[test]
fn the_granted_backlog_is_the_least_of_what_is_asked_for_and_what_the_queues_allow() {
    let broker = Broker::builder()
        .queue(QueueConfig::new("jobs").max_backlog(5))
        .queue(QueueConfig::new("jobs2").max_backlog(3))
        .start()
        .unwrap();
    let mut peer = Peer::named(&broker, "a");
    for (topic, options, granted) in [
        ("jobs", "", 1),
        ("jobs", "max_backlog=4", 4),
        ("jobs", "max_backlog=5000000000000", 5),
        ("^jobs", "max_backlog=9", 3),
    ] {
        peer.send(&format!(
            r#"{{"c":"subscribe","cid":"1","t":"{topic}","o":"replace,{options}","a":"processed"}}"#
        ));
        let ack = peer.receive();
        assert_eq!(
            field(&ack, "o"),
            format!("max_backlog={granted}"),
            "{topic}"
        );
    }
    // Where there is no queue there is nothing to grant.
    peer.send(r#"{"c":"subscribe","cid":"2","t":"other","o":"max_backlog=4","a":"processed"}"#);
    peer.expect(r#"{"c":"ack","cid":"2","sub_id":"2","a":"processed","status":"success"}"#);
    for options in ["max_backlog=0", "max_backlog=x", "max_backlog"] {
        peer.refused(
            &format!(r#"{{"c":"subscribe","cid":"3","t":"jobs","o":"{options}","a":"processed"}}"#),
            "invalid options",
        );
    }
}

#[test]
fn an_acknowledgement_makes_room_and_is_answered_only_if_that_is_asked_for() {
    let broker = over_orders(|queue| queue);
    let mut peer = Peer::named(&broker, "a");
    consume(&mut peer, "j", "max_backlog=2");
    publish(&mut peer, "orders", 1..=5);
    let bookmarks = [take(&mut peer, 1), take(&mut peer, 2)];
    peer.expect_nothing();
    answer(&mut peer, &format!("{},{}", bookmarks[0], bookmarks[1]), "");
    let third = take(&mut peer, 3);
    take(&mut peer, 4);
    peer.expect_nothing();
    assert_eq!(broker.queue_depth("jobs"), 3);
    peer.send(&format!(
        r#"{{"c":"sow_delete","cid":"d","t":"jobs","bm":"{third},{}","s":9,"a":"processed,completed,stats,persisted"}}"#,
        bookmarks[0]
    ));
    peer.expect(r#"{"c":"ack","cid":"d","a":"processed","status":"success"}"#);
    peer.expect(&stats([1, 1, 2]));
    let persisted = peer.receive();
    assert!(
        persisted.starts_with(r#"{"c":"ack","s":9,"bm":""#),
        "{persisted}"
    );
    take(&mut peer, 5);
    peer.expect_nothing();
}

#[test]
fn answers_that_make_no_sense_are_refused_and_change_nothing() {
    let broker = Broker::builder()
        .queue(QueueConfig::new("jobs"))
        .sow_topic("kept", ["/id"])
        .start()
        .unwrap();
    let mut peer = Peer::named(&broker, "a");
    publish(&mut peer, "jobs", 1..=1);
    consume(&mut peer, "j", "");
    let bookmark = take(&mut peer, 1);
    for (fields, reason) in [
        (r#""t":"jobs","bm":"""#, "invalid bookmark"),
        (r#""t":"jobs","bm":"x""#, "invalid bookmark"),
        (r#""t":"jobs","bm":"20240315T093000Z""#, "invalid bookmark"),
        (r#""t":"jobs","bm":"BM,7""#, "invalid bookmark"),
        (r#""t":"jobs","bm":"BM","o":"release""#, "invalid options"),
        (
            r#""t":"jobs","bm":"BM","o":"cancel,expire""#,
            "invalid options",
        ),
        (r#""t":"jobs","bm":"BM","f":"1=1""#, "invalid options"),
        (r#""t":"jobs","bm":"BM","sow_keys":"1""#, "invalid options"),
        (r#""t":"jobs""#, "invalid options"),
        (r#""t":"jobs","f":"/n =""#, "bad filter"),
        (r#""t":"kept","bm":"BM""#, "invalid topic"),
        (r#""t":"kept","bm":"BM","o":"cancel""#, "invalid options"),
        (r#""t":"nothing","bm":"BM""#, "invalid topic"),
        (r#""t":"^jobs","bm":"BM""#, "invalid topic"),
    ] {
        let fields = fields.replace("BM", &bookmark);
        peer.refused(
            &format!(r#"{{"c":"sow_delete","cid":"8",{fields},"a":"processed,stats"}}"#),
            reason,
        );
    }
    peer.refused(
        &format!(
            r#"{{"c":"sow_delete","cid":"8","t":"jobs","bm":"{bookmark}","a":"processed"}}{{}}"#
        ),
        "invalid options",
    );
    assert_eq!(
        (broker.queue_depth("jobs"), broker.leased_count("jobs")),
        (1, 1)
    );
}

#[test]
fn what_is_acknowledged_twice_or_by_somebody_else_or_never_came_does_no_harm() {
    let broker = over_orders(|queue| queue);
    let mut peer = Peer::named(&broker, "a");
    let mut other = Peer::named(&broker, "b");
    consume(&mut peer, "j", "max_backlog=2");
    publish(&mut peer, "orders", 1..=3);
    let first = take(&mut peer, 1);
    take(&mut peer, 2);
    for deleted in [1, 0] {
        other.send(&format!(
            r#"{{"c":"sow_delete","cid":"d","t":"jobs","bm":"{first}","a":"stats"}}"#
        ));
        other.expect(&stats([deleted, deleted, 1]));
    }
    take(&mut peer, 3);
    other.send(r#"{"c":"sow_delete","cid":"d","t":"jobs","bm":"1|1|","a":"stats"}"#);
    other.expect(&stats([0, 0, 1]));
    peer.expect_nothing();
}

#[test]
fn a_strict_lease_is_not_for_others_to_end() {
    let broker = over_orders(|queue| queue.lease_owner(LeaseOwner::Strict));
    let mut peer = Peer::named(&broker, "a");
    let mut other = Peer::named(&broker, "b");
    consume(&mut peer, "j", "");
    publish(&mut peer, "orders", 1..=2);
    let first = take(&mut peer, 1);
    for option in ["", "cancel", "expire"] {
        answer(&mut other, &first, option);
    }
    other.expect_nothing();
    peer.expect_nothing();
    answer(&mut peer, &first, "");
    take(&mut peer, 2);
}

#[test]
fn a_message_that_was_acknowledged_before_it_came_never_shows_up() {
    let broker = over_orders(|queue| queue);
    let mut peer = Peer::named(&broker, "a");
    consume(&mut peer, "j", "");
    publish(&mut peer, "orders", 1..=1);
    let first = take(&mut peer, 1);
    let second = first.replace("|1|", "|2|");
    answer(&mut peer, &format!("{first},{second}"), "");
    publish(&mut peer, "orders", 2..=3);
    take(&mut peer, 3);
    assert_eq!(broker.queue_depth("jobs"), 1);
}

#[test]
fn a_message_comes_back_when_it_is_cancelled_or_its_subscription_or_connection_ends() {
    let broker = over_orders(|queue| queue);
    let mut first = Peer::named(&broker, "a");
    let mut second = Peer::named(&broker, "b");
    publish(&mut first, "orders", 1..=1);
    consume(&mut first, "j", "");
    let bookmark = take(&mut first, 1);
    answer(&mut first, &bookmark, "cancel");
    take(&mut first, 1);
    consume(&mut second, "j", "");
    second.expect_nothing();
    first.send(r#"{"c":"unsubscribe","cid":"u","sub_id":"j","a":"processed"}"#);
    first.expect(r#"{"c":"ack","cid":"u","a":"processed","status":"success"}"#);
    assert_eq!(take(&mut second, 1), bookmark);
    consume(&mut first, "j", "");
    first.expect_nothing();
    drop(second);
    assert_eq!(take(&mut first, 1), bookmark);
    assert_eq!(broker.disconnect_client("a"), 1);
    assert!(broker.wait_for_leased("jobs", 0, PATIENCE));
    assert_eq!(broker.queue_depth("jobs"), 1);
}

#[test]
fn a_lease_that_is_over_lets_the_message_come_again() {
    let broker = over_orders(|queue| queue.lease_period(Duration::from_millis(50)));
    let mut peer = Peer::named(&broker, "a");
    consume(&mut peer, "j", "");
    publish(&mut peer, "orders", 1..=1);
    let bookmark = take(&mut peer, 1);
    assert_eq!(take(&mut peer, 1), bookmark);
    assert_eq!(take(&mut peer, 1), bookmark);
    answer(&mut peer, &bookmark, "");
    assert!(broker.wait_for_queue_depth("jobs", 0, PATIENCE));
    assert_eq!(broker.expired_count("jobs"), 0);
}

#[test]
fn a_message_expires_after_its_time_or_after_too_many_deliveries_or_cancels() {
    let broker = Broker::builder()
        .queue(QueueConfig::new("short").expiration(Duration::from_millis(30)))
        .queue(
            QueueConfig::new("tried")
                .lease_period(Duration::from_millis(10))
                .max_deliveries(2),
        )
        .queue(QueueConfig::new("jobs").max_cancels(1))
        .start()
        .unwrap();
    let mut peer = Peer::named(&broker, "a");
    peer.send(r#"{"c":"p","t":"short"}1"#);
    peer.send(r#"{"c":"p","t":"short","e":0}2"#);
    assert!(broker.wait_until(PATIENCE, |state| state.expired_count("short") == 1));
    peer.subscribe_to_queue("s", "short");
    assert!(peer.receive().ends_with("}2"));
    peer.subscribe_to_queue("t", "tried");
    peer.send(r#"{"c":"p","t":"tried"}3"#);
    assert!(peer.receive().ends_with("}3"));
    assert!(peer.receive().ends_with("}3"));
    assert!(broker.wait_for_queue_depth("tried", 0, PATIENCE));
    assert_eq!(broker.expired_count("tried"), 1);
    consume(&mut peer, "j", "");
    publish(&mut peer, "jobs", 1..=2);
    let first = take(&mut peer, 1);
    answer(&mut peer, &first, "cancel");
    let second = take(&mut peer, 2);
    answer(&mut peer, &second, "expire");
    peer.expect_nothing();
    assert_eq!(broker.expired_count("jobs"), 2);
}

#[test]
fn delivered_once_at_most_a_message_has_no_lease_and_never_comes_again() {
    let broker = over_orders(|queue| queue.delivery(Delivery::AtMostOnce));
    let mut first = Peer::named(&broker, "a");
    let mut second = Peer::named(&broker, "b");
    consume(&mut first, "j", "");
    consume(&mut second, "j", "");
    publish(&mut first, "orders", 1..=4);
    let frame = first.receive();
    assert!(!frame.contains(r#""lp""#), "{frame}");
    let bookmark = field(&frame, "bm").to_owned();
    take(&mut second, 2);
    first.expect_nothing();
    answer(&mut first, &bookmark, "cancel");
    first.expect_nothing();
    drop(second);
    answer(&mut first, &bookmark, "");
    take(&mut first, 3);
    first.expect_nothing();
    assert_eq!(broker.queue_depth("jobs"), 1);
}
