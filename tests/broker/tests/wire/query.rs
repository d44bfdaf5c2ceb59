//! Queries, and queries that go on as subscriptions.

use crate::peer::{Peer, framed};
use amps_broker::{Broker, TopicConfig};
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// The three records of the example in the protocol reference.
fn orders() -> (Broker, Peer) {
    let broker = Broker::builder()
        .sow_topic_with_explicit_keys("orders")
        .start()
        .unwrap();
    let mut peer = Peer::named(&broker, "a");
    for (key, more, payload) in [
        ("13480907839116428812", "", r#"{"id":1,"qty":100}"#),
        (
            "5551212886541119007",
            r#","x":"Zm9v""#,
            r#"{"id":2,"qty":75}"#,
        ),
        ("902144630017755213", "", r#"{"id":3,"note":"{\"l\":9}"}"#),
    ] {
        peer.send(&format!(
            r#"{{"c":"p","t":"orders","k":"{key}"{more}}}{payload}"#
        ));
    }
    (broker, peer)
}

#[test]
fn a_result_is_byte_for_byte_the_one_of_the_protocol_reference() {
    let (_broker, mut peer) = orders();
    peer.send(r#"{"c":"sow","cid":"7","query_id":"7","t":"orders","bs":2}"#);
    let expected = [
        (0x22, r#"{"c":"group_begin","query_id":"7"}"#),
        (
            0xA1,
            r#"{"c":"sow","query_id":"7","t":"orders","bs":2}{"k":"13480907839116428812","l":18}{"id":1,"qty":100}{"k":"5551212886541119007","x":"Zm9v","l":17}{"id":2,"qty":75}"#,
        ),
        (
            0x6A,
            r#"{"c":"sow","query_id":"7","t":"orders","bs":1}{"k":"902144630017755213","l":27}{"id":3,"note":"{\"l\":9}"}"#,
        ),
        (0x20, r#"{"c":"group_end","query_id":"7"}"#),
    ];
    for (length, body) in expected {
        assert_eq!(body.len(), length);
        let mut frame = vec![0; 4 + length];
        peer.socket.read_exact(&mut frame).unwrap();
        assert_eq!(frame, framed(body.as_bytes()));
    }
    peer.expect_nothing();
}

#[test]
fn acknowledgements_stand_around_the_result_in_their_order() {
    let (_broker, mut peer) = orders();
    peer.send(
        r#"{"c":"sow","cid":"7","t":"orders","top_n":0,"a":"received,processed,completed,stats,persisted"}"#,
    );
    peer.expect(r#"{"c":"ack","cid":"7","a":"received","status":"success"}"#);
    peer.expect(r#"{"c":"ack","cid":"7","query_id":"7","a":"processed","status":"success"}"#);
    peer.expect(r#"{"c":"group_begin","query_id":"7"}"#);
    peer.expect(r#"{"c":"group_end","query_id":"7"}"#);
    peer.expect(r#"{"c":"ack","cid":"7","query_id":"7","a":"completed","status":"success"}"#);
    peer.expect(r#"{"c":"ack","cid":"7","query_id":"7","a":"stats","status":"success","records_returned":0,"matches":3,"topic_matches":3}"#);
    peer.expect_nothing();
}

/// The frames of a result between the group markers, without the markers.
fn batches(peer: &mut Peer, fields: &str) -> Vec<String> {
    peer.send(&format!(r#"{{"c":"sow","cid":"7","t":"orders",{fields}}}"#));
    peer.expect(r#"{"c":"group_begin","query_id":"7"}"#);
    let mut frames = Vec::new();
    loop {
        let frame = peer.receive();
        if frame == r#"{"c":"group_end","query_id":"7"}"# {
            return frames;
        }
        frames.push(frame);
    }
}

#[test]
fn top_n_is_a_field_or_an_option_and_the_lesser_of_both_counts() {
    let (_broker, mut peer) = orders();
    for (fields, count) in [
        (r#""top_n":2"#, 2),
        (r#""o":"top_n=1""#, 1),
        (r#""o":"top_n=2","top_n":1"#, 1),
        (r#""o":"top_n=1","top_n":9"#, 1),
        (r#""top_n":9"#, 3),
        (r#""bs":0"#, 3),
    ] {
        assert_eq!(batches(&mut peer, fields).len(), count, "{fields}");
    }
    assert_eq!(batches(&mut peer, r#""bs":10000"#).len(), 1);
    peer.refused(
        r#"{"c":"sow","cid":"7","t":"orders","bs":10001,"a":"processed"}"#,
        "invalid options",
    );
}

#[test]
fn only_the_records_of_the_given_keys_come_each_once() {
    let (_broker, mut peer) = orders();
    let found = batches(
        &mut peer,
        r#""bs":5,"sow_keys":"902144630017755213, 17,5551212886541119007,902144630017755213""#,
    );
    assert_eq!(
        found,
        [
            r#"{"c":"sow","query_id":"7","t":"orders","bs":2}{"k":"902144630017755213","l":27}{"id":3,"note":"{\"l\":9}"}{"k":"5551212886541119007","x":"Zm9v","l":17}{"id":2,"qty":75}"#
        ]
    );
    peer.refused(
        r#"{"c":"sow","cid":"7","t":"orders","sow_keys":"1,,2","a":"processed"}"#,
        "bad sow key",
    );
}

#[test]
fn the_options_of_a_query_shape_its_records() {
    let (_broker, mut peer) = orders();
    let plain = batches(&mut peer, r#""top_n":1,"o":"no_sowkey""#);
    assert_eq!(
        plain,
        [r#"{"c":"sow","query_id":"7","t":"orders","bs":1}{"l":18}{"id":1,"qty":100}"#]
    );
    let timed = batches(&mut peer, r#""top_n":1,"o":"timestamp,oof,replace""#);
    assert!(
        timed[0].contains(r#"{"k":"13480907839116428812","ts":"2"#),
        "{timed:?}"
    );
}

#[test]
fn a_topic_without_records_is_refused_to_a_query_and_empty_to_a_subscription() {
    let (_broker, mut peer) = orders();
    peer.refused(
        r#"{"c":"sow","cid":"1","t":"other","a":"processed"}"#,
        "invalid topic",
    );
    peer.send(r#"{"c":"sow_and_subscribe","cid":"8","query_id":"q","t":"other","a":"processed,completed"}"#);
    peer.expect(
        r#"{"c":"ack","cid":"8","sub_id":"8","query_id":"q","a":"processed","status":"success"}"#,
    );
    peer.expect(r#"{"c":"group_begin","query_id":"q"}"#);
    peer.expect(r#"{"c":"group_end","query_id":"q"}"#);
    peer.expect(
        r#"{"c":"ack","cid":"8","sub_id":"8","query_id":"q","a":"completed","status":"success"}"#,
    );
    peer.send(r#"{"c":"p","t":"other"}1"#);
    peer.expect(r#"{"c":"p","t":"other","sids":"8"}1"#);
}

#[test]
fn a_pattern_queries_its_topics_in_configuration_order_and_only_those_of_its_type() {
    let broker = Broker::builder()
        .sow_topic("z/orders", ["/id"])
        .topic(TopicConfig::sow_with_explicit_keys("b/orders").message_type("binary"))
        .sow_topic("a/orders", ["/id"])
        .sow_topic("trades", ["/id"])
        .start()
        .unwrap();
    let mut peer = Peer::named(&broker, "a");
    for topic in ["a/orders", "trades", "z/orders", "adhoc/orders"] {
        peer.send(&format!(r#"{{"c":"p","t":"{topic}"}}{{"id":1}}"#));
    }
    peer.send(r#"{"c":"sow","cid":"7","t":"/orders$","bs":10,"o":"no_sowkey","a":"stats"}"#);
    peer.expect(r#"{"c":"group_begin","query_id":"7"}"#);
    peer.expect(r#"{"c":"sow","query_id":"7","t":"z/orders","bs":1}{"l":8}{"id":1}"#);
    peer.expect(r#"{"c":"sow","query_id":"7","t":"a/orders","bs":1}{"l":8}{"id":1}"#);
    peer.expect(r#"{"c":"group_end","query_id":"7"}"#);
    peer.expect(r#"{"c":"ack","cid":"7","query_id":"7","a":"stats","status":"success","records_returned":2,"matches":2,"topic_matches":2}"#);
    peer.send(r#"{"c":"sow","cid":"7","t":"^nothing"}"#);
    peer.expect(r#"{"c":"group_begin","query_id":"7"}"#);
    peer.expect(r#"{"c":"group_end","query_id":"7"}"#);
}

#[test]
fn a_refused_query_sends_nothing_but_its_refusal() {
    let (_broker, mut peer) = orders();
    for (fields, reason) in [
        (r#""f":"/qty >""#, "bad filter"),
        (r#""orderby":"/qty DOWN""#, "invalid order by"),
        (r#""bm":"yesterday""#, "invalid bookmark"),
        (r#""o":"skip_n=1""#, "invalid options"),
        (
            r#""o":"projection=[SUM(/q)],grouping=[/s]""#,
            "invalid options",
        ),
        (r#""skip_n":1"#, "invalid options"),
        (r#""o":"projection=[SUM(/q) AS /t]""#, "invalid options"),
        (r#""o":"grouping=[/s]""#, "invalid options"),
        (r#""bs":10001"#, "invalid options"),
        (r#""t":"^ord","o":"top_n=1,skip_n=1""#, "invalid options"),
        (r#""t":"(""#, "bad regex topic"),
        (r#""sow_keys":"1,,2""#, "bad sow key"),
    ] {
        for command in ["sow", "sow_and_subscribe", "sow_and_delta_subscribe"] {
            peer.refused(
                &format!(r#"{{"c":"{command}","cid":"7","t":"orders",{fields},"a":"processed,completed"}}"#),
                reason,
            );
        }
    }
    peer.refused(
        r#"{"c":"sow","t":"orders","a":"processed"}"#,
        "invalid sub id",
    );
}

#[test]
fn each_update_is_in_the_result_or_follows_it_and_never_both_nor_neither() {
    let broker = Broker::builder()
        .sow_topic_with_explicit_keys("n")
        .start()
        .unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let mut publisher = Peer::named(&broker, "p");
        publisher.send(r#"{"c":"p","t":"n","k":"1"}0"#);
        publisher.expect_nothing();
        let stop = &stop;
        scope.spawn(move || {
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                for _ in 0..50 {
                    number += 1;
                    publisher.send(&format!(r#"{{"c":"p","t":"n","k":"1"}}{number}"#));
                }
                publisher.expect_nothing();
            }
        });
        let mut peer = Peer::named(&broker, "s");
        for round in 0..100 {
            peer.send(&format!(
                r#"{{"c":"sow_and_subscribe","cid":"{round}","t":"n","o":"no_sowkey"}}"#
            ));
            peer.expect(&format!(r#"{{"c":"group_begin","query_id":"{round}"}}"#));
            let record = peer.receive();
            let mut last = number_after(&record, "}");
            peer.expect(&format!(r#"{{"c":"group_end","query_id":"{round}"}}"#));
            for _ in 0..20 {
                let number = number_after(&peer.receive(), "}");
                assert_eq!(number, last + 1, "round {round}");
                last = number;
            }
            peer.send(&format!(
                r#"{{"c":"unsubscribe","cid":"u","sub_id":"{round}","a":"processed"}}"#
            ));
            while !peer.receive().starts_with(r#"{"c":"ack","cid":"u""#) {}
        }
        stop.store(true, Ordering::Relaxed);
    });
}

fn number_after(frame: &str, what: &str) -> u64 {
    frame.rsplit_once(what).unwrap().1.parse().unwrap()
}
