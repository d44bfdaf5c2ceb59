//! Clients that misbehave.

use crate::peer::{PATIENCE, Peer, framed};
use amps_broker::Broker;
use std::io::Write;
use std::net::Shutdown;

#[test]
fn a_malformed_frame_closes_its_connection_and_no_other() {
    let broker = Broker::builder().start().unwrap();
    let mut witness = Peer::named(&broker, "witness");
    witness.subscribe("1", "orders");
    for bytes in [
        framed(b"hello"),
        framed(b"{"),
        framed(br#"{"c":"p""#),
        framed(br#"{c:"p"}"#),
        framed(br#"{"c":"p","t":"orders\"#),
        vec![0xFF; 4],
        vec![0xFF; 100_000],
    ] {
        let mut peer = Peer::named(&broker, "bad");
        // What came before is carried out.
        peer.send(r#"{"c":"p","t":"orders"}1"#);
        // The broker may close before it has read everything.
        let _ = peer.socket.write_all(&bytes);
        peer.expect_end();
        witness.expect(r#"{"c":"p","t":"orders","sids":"1"}1"#);
        drop(peer);
        assert!(broker.wait_until(PATIENCE, |state| state.connection_count() == 1));
    }
    witness.expect_nothing();
}

#[test]
fn an_unknown_command_is_answered_and_the_connection_closed() {
    let broker = Broker::builder().start().unwrap();
    for command in [
        r#""c":"sparkle""#,
        r#""c":"ack""#,
        r#""c":"group_begin""#,
        r#""x":"1""#,
    ] {
        let mut peer = Peer::named(&broker, "a");
        peer.send(&format!(r#"{{{command},"cid":"1","a":"processed"}}"#));
        peer.expect(
            r#"{"c":"ack","cid":"1","a":"processed","status":"failure","reason":"unknown command"}"#,
        );
        peer.expect_end();
    }
}

#[test]
fn commands_split_at_every_byte_and_commands_in_one_write_do_the_same() {
    let broker = Broker::builder().start().unwrap();
    let mut peer = Peer::named(&broker, "a");
    peer.subscribe("1", "orders");
    let publish = framed(br#"{"c":"p","t":"orders"}{"id":1}"#);
    for split in 0..=publish.len() {
        peer.send_bytes(&publish[..split]);
        peer.send_bytes(&publish[split..]);
        peer.expect(r#"{"c":"p","t":"orders","sids":"1"}{"id":1}"#);
    }
    // A frame of length 0 carries nothing.
    let several = [&publish[..], &[0; 4], &publish, &publish].concat();
    peer.send_bytes(&several);
    for _ in 0..3 {
        peer.expect(r#"{"c":"p","t":"orders","sids":"1"}{"id":1}"#);
    }
    peer.expect_nothing();
}

#[test]
fn a_large_message_passes_whole() {
    let broker = Broker::builder().start().unwrap();
    let mut peer = Peer::named(&broker, "a");
    peer.subscribe("1", "big");
    let payload = "x".repeat(5 << 20);
    let mut sender = Peer::named(&broker, "b");
    sender.send(&format!(r#"{{"c":"p","t":"big"}}{payload}"#));
    let message = peer.receive();
    assert_eq!(
        message.len(),
        r#"{"c":"p","t":"big","sids":"1"}"#.len() + payload.len()
    );
    assert!(message.ends_with(&payload));
}

#[test]
fn a_client_that_does_not_read_is_dropped_and_holds_up_nobody() {
    let broker = Broker::builder().output_limit(1 << 20).start().unwrap();
    let mut lazy = Peer::named(&broker, "lazy");
    lazy.subscribe("1", "orders");
    let mut busy = Peer::named(&broker, "busy");
    busy.subscribe("1", "orders");
    let mut publisher = Peer::named(&broker, "publisher");
    let payload = "x".repeat(10_000);
    let mut published = 0;
    // The socket buffers of both ends take some of it; the bound ends it long before this.
    while broker.client_names().contains(&"lazy".to_owned()) {
        published += 1;
        assert!(published < 100_000, "the client is never dropped");
        publisher.send(&format!(r#"{{"c":"p","t":"orders"}}{published} {payload}"#));
        let message = busy.receive();
        assert_eq!(
            message,
            format!(r#"{{"c":"p","t":"orders","sids":"1"}}{published} {payload}"#)
        );
        publisher.expect_nothing();
    }
    assert!(
        published > 100,
        "the bound is reached at {published} messages"
    );
    assert_eq!(broker.subscription_count("orders"), 1);
}

#[test]
fn a_client_that_closes_its_sending_side_still_gets_its_answers() {
    let broker = Broker::builder().start().unwrap();
    let mut peer = Peer::named(&broker, "a");
    let mut other = Peer::named(&broker, "b");
    other.subscribe("1", "orders");
    for number in 0..1000 {
        peer.send(&format!(
            r#"{{"c":"p","t":"orders","s":{number},"a":"persisted"}}{number}"#
        ));
    }
    peer.finish();
    for number in 0..1000 {
        peer.expect(&format!(
            r#"{{"c":"ack","s":{number},"a":"persisted","status":"success"}}"#
        ));
        other.expect(&format!(r#"{{"c":"p","t":"orders","sids":"1"}}{number}"#));
    }
    peer.expect_end();
}

#[test]
fn a_client_that_vanishes_leaves_nothing_behind() {
    let broker = Broker::builder().start().unwrap();
    for topic in ["orders", "^ord"] {
        let mut peer = Peer::named(&broker, "a");
        peer.subscribe("1", topic);
        peer.socket.shutdown(Shutdown::Both).unwrap();
        drop(peer);
        assert!(broker.wait_until(PATIENCE, |state| {
            state.connection_count() == 0 && state.subscription_count(topic) == 0
        }));
    }
}

#[test]
fn the_output_limit_is_one_of_results_too() {
    for (limit, fits) in [(2_000, false), (20_000, true)] {
        let broker = Broker::builder()
            .sow_topic_with_explicit_keys("orders")
            .output_limit(limit)
            .start()
            .unwrap();
        let mut peer = Peer::named(&broker, "a");
        for key in 0..10 {
            let payload = "x".repeat(1_000);
            peer.send(&format!(r#"{{"c":"p","t":"orders","k":"{key}"}}{payload}"#));
        }
        peer.send(r#"{"c":"sow","cid":"1","t":"orders"}"#);
        let ended = |broker: &Broker| {
            broker.wait_until(std::time::Duration::from_millis(300), |state| {
                state.connection_count() == 0
            })
        };
        assert_eq!(ended(&broker), !fits);
    }
}
