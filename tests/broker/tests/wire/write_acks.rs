//! How publishers and deleters are acknowledged.

use crate::peer::Peer;
use amps_broker::Broker;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

fn broker(interval: Duration) -> Broker {
    Broker::builder()
        .sow_topic("orders", ["/id"])
        .conflate_acks(interval)
        .start()
        .unwrap()
}

/// The bookmark of a sequence number, as the logon of the client tells its name.
fn logged_on(broker: &Broker, options: &str) -> (Peer, String) {
    let mut peer = Peer::connect(broker);
    peer.send(&format!(
        r#"{{"c":"logon","cid":"0","client_name":"p","mt":"json","o":"{options}","a":"processed"}}"#
    ));
    let ack = peer.receive();
    let (_, hash) = ack.split_once(r#""bm":""#).unwrap();
    let (hash, _) = hash.split_once('|').unwrap();
    (peer, hash.to_owned())
}

fn success(hash: &str, sequence: u64) -> String {
    format!(
        r#"{{"c":"ack","s":{sequence},"bm":"{hash}|{sequence}|","a":"persisted","status":"success"}}"#
    )
}

fn publish(peer: &mut Peer, sequence: u64, payload: &str) {
    peer.send(&format!(
        r#"{{"c":"p","cid":"c{sequence}","t":"orders","s":{sequence},"a":"persisted"}}{payload}"#
    ));
}

#[test]
fn successes_are_conflated_and_carry_the_highest_sequence_and_no_command() {
    let broker = broker(Duration::from_millis(50));
    let (mut peer, hash) = logged_on(&broker, "");
    let mut all = Vec::new();
    for sequence in 1..=10u64 {
        let publish = format!(
            r#"{{"c":"p","cid":"{sequence}","t":"orders","s":{sequence},"a":"persisted"}}{{"id":1}}"#
        );
        all.extend_from_slice(&amps_broker::framed(publish.as_bytes()));
    }
    peer.send_bytes(&all);
    // However the writes were cut, the last acknowledgement covers everything.
    loop {
        let ack = peer.receive();
        if ack == success(&hash, 10) {
            break;
        }
        assert!(
            ack.contains(r#""status":"success""#) && !ack.contains("cid"),
            "{ack}"
        );
    }
    peer.expect_nothing();
}

#[test]
fn a_failure_flushes_the_successes_before_it_and_names_its_command() {
    let broker = broker(MINUTE);
    let (mut peer, hash) = logged_on(&broker, "");
    for (sequence, payload) in [
        (10, r#"{"id":1}"#),
        (11, r#"{"id":2}"#),
        (12, "{"),
        (13, "{"),
    ] {
        publish(&mut peer, sequence, payload);
    }
    let failure = |sequence: u64| {
        format!(
            r#"{{"c":"ack","cid":"c{sequence}","s":{sequence},"a":"persisted","status":"failure","reason":"bad sow key"}}"#
        )
    };
    peer.expect(&success(&hash, 11));
    peer.expect(&failure(12));
    peer.expect(&failure(13));
    peer.send(
        r#"{"c":"sow_delete","cid":"d","t":"orders","f":"1=1","s":14,"a":"persisted,stats"}"#,
    );
    peer.expect(r#"{"c":"ack","cid":"d","a":"stats","status":"success","records_deleted":2,"matches":2,"topic_matches":2}"#);
    peer.expect_nothing();
    peer.send(r#"{"c":"flush","cid":"f","a":"persisted"}"#);
    peer.expect(&success(&hash, 14));
    peer.expect(r#"{"c":"ack","cid":"f","a":"persisted","status":"success"}"#);
}

#[test]
fn what_has_no_sequence_is_acknowledged_by_itself() {
    let broker = broker(MINUTE);
    let (mut peer, _) = logged_on(&broker, "");
    peer.send(r#"{"c":"p","cid":"1","t":"orders","a":"processed,persisted"}{"id":1}"#);
    peer.expect(r#"{"c":"ack","cid":"1","a":"processed","status":"success"}"#);
    peer.expect(r#"{"c":"ack","cid":"1","a":"persisted","status":"success"}"#);
}

#[test]
fn the_logon_sets_the_interval_and_zero_is_at_once() {
    let broker = broker(MINUTE);
    let (mut peer, hash) = logged_on(&broker, "ack_conflation=0ms");
    for sequence in 1..=3 {
        publish(&mut peer, sequence, r#"{"id":1}"#);
        peer.expect(&success(&hash, sequence));
    }
    let mut peer = Peer::connect(&broker);
    peer.send(r#"{"c":"logon","cid":"0","client_name":"p","mt":"json","o":"ack_conflation=often","a":"processed"}"#);
    assert!(peer.receive().contains("invalid options"));
    peer.expect_end();
}

#[test]
fn a_delta_that_cannot_be_merged_is_refused_and_leaves_the_record() {
    let broker = Broker::builder()
        .sow_topic_with_explicit_keys("blobs")
        .start()
        .unwrap();
    let mut peer = Peer::named(&broker, "a");
    peer.subscribe("4", "blobs");
    peer.send(r#"{"c":"delta_publish","t":"blobs","k":"1"}{"a":1}"#);
    peer.expect(r#"{"c":"p","t":"blobs","sids":"4","k":"1"}{"a":1}"#);
    for delta in ["", "17", r#"{"b":"#] {
        peer.send(&format!(
            r#"{{"c":"delta_publish","cid":"2","t":"blobs","k":"1","a":"persisted"}}{delta}"#
        ));
        peer.expect(r#"{"c":"ack","cid":"2","a":"persisted","status":"failure","reason":"invalid message"}"#);
    }
    peer.send(r#"{"c":"delta_publish","t":"blobs","k":"1"}{"b":2}"#);
    peer.expect(r#"{"c":"p","t":"blobs","sids":"4","k":"1"}{"a":1,"b":2}"#);
}
