//! Replacing a subscription.

use crate::peer::Peer;
use amps_broker::Broker;

fn orders() -> (Broker, Peer) {
    let broker = Broker::builder()
        .sow_topic_with_explicit_keys("orders")
        .start()
        .unwrap();
    let peer = Peer::named(&broker, "a");
    (broker, peer)
}

fn put(peer: &mut Peer, key: u32, payload: &str) {
    peer.send(&format!(r#"{{"c":"p","t":"orders","k":"{key}"}}{payload}"#));
}

/// Everything up to the end of the result, without the markers around it.
fn result(peer: &mut Peer, fields: &str) -> Vec<String> {
    peer.send(&format!(
        r#"{{"c":"sow_and_subscribe","cid":"4","t":"orders",{fields}}}"#
    ));
    let mut frames = Vec::new();
    loop {
        let frame = peer.receive();
        if frame.contains(r#""c":"group_end""#) {
            return frames;
        }
        if !frame.contains(r#""c":"group_begin""#) {
            frames.push(frame);
        }
    }
}

fn sow(key: u32, payload: &str) -> String {
    let length = payload.len();
    format!(
        r#"{{"c":"sow","query_id":"4","t":"orders","bs":1}}{{"k":"{key}","l":{length}}}{payload}"#
    )
}

#[test]
fn what_a_replaced_subscription_holds_comes_before_the_new_result() {
    let (_broker, mut peer) = orders();
    put(&mut peer, 1, r#"{"x":1}"#);
    assert_eq!(
        result(&mut peer, r#""f":"/x = 1","o":"oof,conflation=60s""#),
        [sow(1, r#"{"x":1}"#)]
    );
    put(&mut peer, 1, r#"{"x":2}"#);
    assert_eq!(
        result(
            &mut peer,
            r#""f":"/x = 2","o":"oof,conflation=60s,replace""#
        ),
        [
            r#"{"c":"oof","t":"orders","sids":"4","k":"1","reason":"match"}{"x":1}"#.to_owned(),
            sow(1, r#"{"x":2}"#),
        ]
    );
    peer.expect_nothing();
}

#[test]
fn a_replacement_brings_the_records_that_a_limited_query_left_out_and_no_others() {
    for (limit, other_limit) in [
        (r#""o":"top_n=1""#, r#""o":"replace,top_n=2""#),
        (r#""sow_keys":"1""#, r#""o":"replace","sow_keys":"2""#),
    ] {
        let (_broker, mut peer) = orders();
        for key in 1..=4 {
            put(&mut peer, key, r#"{"x":1}"#);
        }
        assert_eq!(result(&mut peer, limit), [sow(1, r#"{"x":1}"#)]);
        put(&mut peer, 3, r#"{"x":3}"#);
        peer.expect(r#"{"c":"p","t":"orders","sids":"4","k":"3"}{"x":3}"#);
        assert_eq!(result(&mut peer, other_limit), [sow(2, r#"{"x":1}"#)]);
        // What the client had through the first one it has still.
        assert_eq!(
            result(&mut peer, r#""o":"replace""#),
            [sow(4, r#"{"x":1}"#)]
        );
        assert_eq!(result(&mut peer, r#""o":"replace""#), [""; 0]);
    }
}
