//! Deleting records.

use crate::peer::Peer;
use amps_broker::Broker;

fn numbers() -> (Broker, Peer) {
    let broker = Broker::builder()
        .sow_topic("orders", ["/id"])
        .sow_topic_with_explicit_keys("blobs")
        .start()
        .unwrap();
    let mut peer = Peer::named(&broker, "a");
    for id in 1..=5 {
        peer.send(&format!(r#"{{"c":"p","t":"orders"}}{{"id":{id}}}"#));
        peer.send(&format!(r#"{{"c":"p","t":"blobs","k":"{id}"}}x"#));
    }
    (broker, peer)
}

fn stats(deleted: u64) -> String {
    format!(
        r#"{{"c":"ack","cid":"8","a":"stats","status":"success","records_deleted":{deleted},"matches":{deleted},"topic_matches":{deleted}}}"#
    )
}

#[test]
fn records_go_by_key_and_unknown_keys_do_not_count() {
    let (broker, mut peer) = numbers();
    peer.send(r#"{"c":"sow_delete","cid":"8","t":"blobs","sow_keys":"2,4,9","a":"stats"}"#);
    peer.expect(&stats(2));
    peer.send(r#"{"c":"sow","cid":"7","t":"blobs","bs":9}"#);
    peer.receive();
    peer.expect(r#"{"c":"sow","query_id":"7","t":"blobs","bs":3}{"k":"1","l":1}x{"k":"3","l":1}x{"k":"5","l":1}x"#);
    assert_eq!(broker.record_count("orders"), 5);
}

#[test]
fn the_record_that_the_data_would_update_goes() {
    let (broker, mut peer) = numbers();
    peer.send(r#"{"c":"sow_delete","cid":"8","t":"orders","a":"stats"}{"id":4,"other":"field"}"#);
    peer.expect(&stats(1));
    peer.send(r#"{"c":"sow_delete","cid":"8","t":"orders","a":"stats"}{"id":4}"#);
    peer.expect(&stats(0));
    assert_eq!(broker.record_count("orders"), 4);
}

#[test]
fn the_filter_that_means_everything_empties_a_topic_or_several() {
    let (broker, mut peer) = numbers();
    peer.send(
        r#"{"c":"sow_delete","cid":"8","t":"orders","f":"1=1","a":"processed,completed,stats"}"#,
    );
    peer.expect(r#"{"c":"ack","cid":"8","a":"processed","status":"success"}"#);
    peer.expect(r#"{"c":"ack","cid":"8","a":"completed","status":"success"}"#);
    peer.expect(&stats(5));
    assert_eq!(broker.record_count("orders"), 0);
    peer.send(r#"{"c":"p","t":"orders"}{"id":1}"#);
    peer.send(r#"{"c":"sow_delete","cid":"8","t":"^(orders|blobs)$","f":"1=1","a":"stats"}"#);
    peer.expect(&stats(6));
}

#[test]
fn a_delete_is_acknowledged_like_a_publish() {
    let (_broker, mut peer) = numbers();
    peer.send(
        r#"{"c":"sow_delete","cid":"17","t":"orders","s":911,"a":"persisted,completed"}{"id":4}"#,
    );
    peer.expect(r#"{"c":"ack","cid":"17","s":911,"a":"persisted","status":"success"}"#);
    peer.expect_nothing();
}

#[test]
fn a_delete_that_makes_no_sense_is_refused_and_deletes_nothing() {
    let (broker, mut peer) = numbers();
    for (fields, payload, reason) in [
        (r#""x":"no topic""#, "{}", "no topic"),
        (r#""t":"adhoc""#, r#"{"id":1}"#, "invalid topic"),
        (r#""t":"orders""#, "", "bad sow key"),
        (r#""t":"orders""#, "{", "bad sow key"),
        (r#""t":"orders""#, r#"{"qty":1}"#, "bad sow key"),
        (r#""t":"blobs""#, r#"{"id":1}"#, "bad sow key"),
        (r#""t":"blobs","sow_keys":"""#, "", "bad sow key"),
        (r#""t":"orders","f":"/id =""#, "", "bad filter"),
        (
            r#""t":"orders","f":"1=1""#,
            r#"{"id":1}"#,
            "invalid options",
        ),
        (r#""t":"orders","bm":"1|1|""#, "", "invalid topic"),
        (
            r#""t":"orders","bm":"1|1|","o":"cancel""#,
            "",
            "invalid options",
        ),
        (r#""t":"(""#, r#"{"id":1}"#, "bad regex topic"),
    ] {
        peer.refused(
            &format!(r#"{{"c":"sow_delete","cid":"8",{fields},"a":"processed,stats"}}{payload}"#),
            reason,
        );
    }
    peer.send(r#"{"c":"sow_delete","t":"adhoc","s":5,"a":"persisted"}{"id":1}"#);
    peer.expect(r#"{"c":"ack","s":5,"a":"persisted","status":"failure","reason":"invalid topic"}"#);
    assert_eq!(broker.record_count("orders"), 5);
    assert_eq!(broker.record_count("blobs"), 5);
}
