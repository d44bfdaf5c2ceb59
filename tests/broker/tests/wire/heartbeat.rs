//! Heartbeats, flush and timers.

use crate::peer::Peer;
use amps_broker::Broker;

const START: &str = r#"{"c":"heartbeat","cid":"1","o":"start,0.05","a":"processed"}"#;
const STARTED: &str = r#"{"c":"ack","cid":"1","a":"processed","status":"success"}"#;
const BEAT: &str = r#"{"c":"heartbeat"}"#;

#[test]
fn the_server_beats_and_a_client_that_beats_stays() {
    let broker = Broker::builder().start().unwrap();
    let mut peer = Peer::named(&broker, "a");
    peer.send(START);
    peer.expect(STARTED);
    for _ in 0..10 {
        peer.expect(BEAT);
        peer.send(r#"{"c":"heartbeat","o":"beat"}"#);
    }
    assert_eq!(broker.client_names(), ["a"]);
}

#[test]
fn a_client_that_falls_silent_is_disconnected() {
    let broker = Broker::builder().heartbeat_tolerance(2).start().unwrap();
    let mut peer = Peer::named(&broker, "a");
    peer.send(START);
    peer.expect(STARTED);
    let mut beats = 0;
    while let Some(frame) = peer.try_receive() {
        assert_eq!(frame, BEAT);
        beats += 1;
    }
    // A check that is late decides nothing: a busy machine adds beats.
    assert!((1..=6).contains(&beats), "{beats} beats");
    assert!(broker.client_names().is_empty());
}

#[test]
fn starting_again_takes_the_place_of_the_timer_and_stop_ends_it() {
    let broker = Broker::builder().start().unwrap();
    let mut peer = Peer::named(&broker, "a");
    peer.send(START);
    peer.expect(STARTED);
    peer.send(r#"{"c":"heartbeat","cid":"2","o":"stop","a":"processed"}"#);
    while peer.receive() == BEAT {}
    peer.send(r#"{"c":"heartbeat","cid":"1","o":"start,3600","a":"processed"}"#);
    peer.expect(STARTED);
    peer.expect_nothing();
}

#[test]
fn a_heartbeat_that_cannot_be_read_is_refused() {
    let broker = Broker::builder().start().unwrap();
    let mut peer = Peer::named(&broker, "a");
    for options in [
        "", "start", "start,", "start,0", "start,x", "start,-1", "tick",
    ] {
        peer.refused(
            &format!(r#"{{"c":"heartbeat","cid":"1","o":"{options}","a":"processed"}}"#),
            "invalid options",
        );
    }
}

#[test]
fn a_flush_gives_every_acknowledgement_that_is_asked_for() {
    let broker = Broker::builder().start().unwrap();
    let mut peer = Peer::named(&broker, "a");
    peer.send(r#"{"c":"flush","cid":"13","a":"persisted,completed,processed,received"}"#);
    for kind in ["received", "processed", "completed", "persisted"] {
        peer.expect(&format!(
            r#"{{"c":"ack","cid":"13","a":"{kind}","status":"success"}}"#
        ));
    }
    peer.expect_nothing();
}

#[test]
fn timers_are_acknowledged_and_do_nothing() {
    let broker = Broker::builder().start().unwrap();
    let mut peer = Peer::named(&broker, "a");
    for command in ["start_timer", "stop_timer"] {
        peer.send(&format!(
            r#"{{"c":"{command}","cid":"1","o":"interval=1ms","a":"processed"}}"#
        ));
        peer.expect(STARTED);
    }
    peer.expect_nothing();
}
