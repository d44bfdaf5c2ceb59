//! Pausing, resuming and slowing down what is read from the log.

use crate::peer::Peer;
use crate::transaction_log::field;
use amps_broker::Broker;
use std::thread;
use std::time::{Duration, Instant};

fn broker() -> Broker {
    Broker::builder()
        .logged_topic("^(orders|trades)$")
        .start()
        .unwrap()
}

fn publish(broker: &Broker, topic: &str, ids: impl IntoIterator<Item = u64>) {
    let mut peer = Peer::named(broker, "p");
    for id in ids {
        peer.send(&format!(r#"{{"c":"p","t":"{topic}"}}{{"id":{id}}}"#));
    }
    peer.expect_nothing();
}

/// Sends a subscribe command that must be accepted.
#[track_caller]
fn subscribe(peer: &mut Peer, fields: &str) {
    peer.send(&format!(
        r#"{{"c":"subscribe","cid":"0",{fields},"a":"processed"}}"#
    ));
    let ack = peer.receive();
    assert!(
        ack.contains(r#""cid":"0""#) && ack.ends_with(r#""a":"processed","status":"success"}"#),
        "{ack}"
    );
}

/// The next messages: the subscriptions they are for, and their ids.
fn messages(peer: &mut Peer, count: usize) -> Vec<String> {
    let next = |_| {
        let frame = peer.receive();
        let (_, id) = frame
            .split_once(r#"{"id":"#)
            .unwrap_or_else(|| panic!("{frame}"));
        format!("{}:{}", field(&frame, "sids"), id.trim_end_matches('}'))
    };
    (0..count).map(next).collect()
}

#[test]
fn a_paused_subscription_is_silent_and_goes_on_where_it_stopped() {
    let broker = broker();
    publish(&broker, "trades", 1..=2);
    let mut peer = Peer::named(&broker, "reader");
    subscribe(&mut peer, r#""sub_id":"1","t":"trades","bm":"0""#);
    assert_eq!(messages(&mut peer, 2), ["1:1", "1:2"]);
    subscribe(&mut peer, r#""sub_id":"1","t":"trades","o":"pause""#);
    publish(&broker, "trades", 3..=300);
    peer.expect_nothing();
    subscribe(&mut peer, r#""sub_id":"1","t":"trades","o":"resume""#);
    let rest = (3..=300).map(|id| format!("1:{id}")).collect::<Vec<_>>();
    assert_eq!(messages(&mut peer, 298), rest);
    publish(&broker, "trades", 301..=301);
    assert_eq!(messages(&mut peer, 1), ["1:301"]);
    // It was not paused: nothing changes.
    subscribe(&mut peer, r#""sub_id":"1","t":"trades","o":"resume""#);
    peer.expect_nothing();
}

#[test]
fn a_subscription_may_be_entered_paused() {
    let broker = broker();
    publish(&broker, "trades", 1..=2);
    let mut peer = Peer::named(&broker, "reader");
    subscribe(
        &mut peer,
        r#""sub_id":"1","t":"trades","bm":"0","o":"pause""#,
    );
    publish(&broker, "trades", 3..=3);
    peer.expect_nothing();
    subscribe(&mut peer, r#""sub_id":"1","t":"trades","o":"resume""#);
    assert_eq!(messages(&mut peer, 3), ["1:1", "1:2", "1:3"]);
}

#[test]
fn several_resumed_together_come_in_the_order_of_the_log_and_each_message_once() {
    let broker = broker();
    for id in 1..=3 {
        publish(&broker, "trades", [10 * id]);
        publish(&broker, "orders", [10 * id + 1]);
    }
    let mut peer = Peer::named(&broker, "reader");
    subscribe(
        &mut peer,
        r#""sub_id":"1","t":"trades","bm":"0","o":"pause""#,
    );
    subscribe(
        &mut peer,
        r#""sub_id":"2","t":"orders","bm":"0","o":"pause""#,
    );
    subscribe(
        &mut peer,
        r#""sub_id":"3","t":"orders","f":"/id > 25","bm":"0","o":"pause""#,
    );
    subscribe(&mut peer, r#""sub_id":"1,2,3","t":"trades","o":"resume""#);
    let all = ["1:10", "2:11", "1:20", "2:21", "1:30", "2,3:31"];
    assert_eq!(messages(&mut peer, 6), all);
    publish(&broker, "orders", [41]);
    assert_eq!(messages(&mut peer, 1), ["2,3:41"]);
    // One of them alone, and then all of them.
    subscribe(&mut peer, r#""sub_id":"2","t":"trades","o":"pause""#);
    publish(&broker, "orders", [51]);
    assert_eq!(messages(&mut peer, 1), ["3:51"]);
    subscribe(&mut peer, r#""sub_id":"1,2,3","t":"trades","o":"pause""#);
    publish(&broker, "orders", [61]);
    peer.expect_nothing();
    subscribe(&mut peer, r#""sub_id":"2","t":"trades","o":"resume""#);
    assert_eq!(messages(&mut peer, 2), ["2:51", "2:61"]);
    peer.send(r#"{"c":"unsubscribe","cid":"0","sub_id":"3","a":"processed"}"#);
    peer.receive();
    subscribe(&mut peer, r#""sub_id":"1","t":"trades","o":"resume""#);
    publish(&broker, "trades", [70]);
    assert_eq!(messages(&mut peer, 1), ["1:70"]);
}

#[test]
fn only_subscriptions_that_read_the_log_and_are_not_live_can_be_paused() {
    let broker = broker();
    let mut peer = Peer::named(&broker, "reader");
    subscribe(&mut peer, r#""sub_id":"plain","t":"trades""#);
    subscribe(
        &mut peer,
        r#""sub_id":"live","t":"trades","bm":"0","o":"live""#,
    );
    subscribe(&mut peer, r#""sub_id":"good","t":"orders","bm":"0""#);
    for (fields, reason) in [
        (r#""sub_id":"plain","o":"pause""#, "invalid options"),
        (r#""sub_id":"good,live","o":"pause""#, "invalid options"),
        (r#""sub_id":"good,nobody","o":"pause""#, "invalid sub id"),
        (r#""sub_id":"nobody","o":"resume""#, "invalid sub id"),
        (r#""o":"resume""#, "invalid sub id"),
        (r#""sub_id":"new","o":"pause""#, "invalid options"),
        (r#""sub_id":"new","o":"rate=10""#, "invalid options"),
        (
            r#""sub_id":"new","bm":"0","o":"rate=10,live""#,
            "invalid options",
        ),
        (
            r#""sub_id":"new","bm":"0","o":"pause,live""#,
            "invalid options",
        ),
    ] {
        peer.refused(
            &format!(r#"{{"c":"subscribe","cid":"0","t":"trades",{fields},"a":"processed"}}"#),
            reason,
        );
    }
    // All or none: the good one of the refused lists was not paused.
    publish(&broker, "orders", [1]);
    assert_eq!(messages(&mut peer, 1), ["good:1"]);
}

#[test]
fn a_replay_is_never_faster_than_its_rate_also_when_it_has_caught_up() {
    let broker = broker();
    publish(&broker, "trades", 1..=30);
    let began = Instant::now();
    let mut peer = Peer::named(&broker, "reader");
    subscribe(
        &mut peer,
        r#""sub_id":"1","t":"trades","bm":"0","o":"rate=200""#,
    );
    messages(&mut peer, 30);
    publish(&broker, "trades", 31..=60);
    messages(&mut peer, 30);
    // A late timer may be made up for by 1 ms.
    let least = Duration::from_millis(59 * 5 - 1);
    assert!(began.elapsed() >= least, "{:?}", began.elapsed());
}

#[test]
fn what_does_not_match_does_not_count_against_the_rate() {
    let broker = broker();
    publish(&broker, "trades", 1..=5000);
    let mut peer = Peer::named(&broker, "reader");
    // At this rate, what is left out would take more than an hour.
    subscribe(
        &mut peer,
        r#""sub_id":"1","t":"trades","bm":"0","f":"/id > 4999","o":"rate=1""#,
    );
    assert_eq!(messages(&mut peer, 1), ["1:5000"]);
}

#[test]
fn a_rate_may_count_bytes_or_follow_the_log_and_gaps_may_be_limited() {
    let broker = broker();
    publish(&broker, "trades", [1]);
    thread::sleep(Duration::from_millis(50));
    publish(&broker, "trades", [2, 3]);
    let mut peer = Peer::named(&broker, "reader");
    let mut took = |id: u64, options: &str| {
        let began = Instant::now();
        let fields = format!(r#""sub_id":"{id}","t":"trades","bm":"0","o":"{options}""#);
        subscribe(&mut peer, &fields);
        messages(&mut peer, 3);
        peer.send(&format!(r#"{{"c":"unsubscribe","sub_id":"{id}"}}"#));
        began.elapsed()
    };
    // Three payloads of 8 bytes.
    assert!(took(1, "rate=80B") >= Duration::from_millis(195));
    assert!(took(2, "rate=.5X") >= Duration::from_millis(95));
    // Alone it would take longer than any test waits.
    let limited = took(3, "rate=0.0001X,rate_max_gap=20ms");
    assert!(limited >= Duration::from_millis(20));
}

#[test]
fn a_pause_stops_a_slow_replay_and_its_rate_goes_on_afterwards() {
    let broker = broker();
    publish(&broker, "trades", 1..=20);
    let mut peer = Peer::named(&broker, "reader");
    subscribe(
        &mut peer,
        r#""sub_id":"1","t":"trades","bm":"0","o":"rate=100""#,
    );
    messages(&mut peer, 2);
    peer.send(
        r#"{"c":"subscribe","cid":"0","sub_id":"1","t":"trades","o":"pause","a":"processed"}"#,
    );
    let mut before = 2;
    while !peer.receive().contains("processed") {
        before += 1;
    }
    peer.expect_nothing();
    let began = Instant::now();
    subscribe(&mut peer, r#""sub_id":"1","t":"trades","o":"resume""#);
    let rest = messages(&mut peer, 20 - before);
    assert_eq!(rest[0], format!("1:{}", before + 1));
    let least = Duration::from_millis(10) * (rest.len() as u32 - 2);
    assert!(began.elapsed() >= least);
}
