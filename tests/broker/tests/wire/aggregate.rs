//! Groups of records: what goes over the wire.

use crate::peer::Peer;
use amps_broker::{Broker, QueueConfig, TopicConfig, field};

const TOTALS: &str = "projection=[/sym,SUM(/qty) AS /total],grouping=[/sym]";

fn orders() -> (Broker, Peer) {
    let broker = Broker::builder()
        .sow_topic("orders", ["/id"])
        .topic(TopicConfig::sow("tags", ["/id"]).message_type("nvfix"))
        .queue(QueueConfig::new("jobs").over("orders").max_backlog(9))
        .start()
        .unwrap();
    let mut peer = Peer::named(&broker, "a");
    for order in [
        r#"{"id":1,"sym":"A","qty":1}"#,
        r#"{"id":2,"sym":"B","qty":2}"#,
        r#"{"id":3,"sym":"A","qty":3}"#,
    ] {
        peer.send(&format!(r#"{{"c":"p","t":"orders"}}{order}"#));
    }
    (broker, peer)
}

/// The keys of the records in a frame.
fn keys(frame: &str) -> Vec<&str> {
    let records = frame.split(r#"{"k":""#).skip(1);
    records
        .map(|rest| rest.split('"').next().unwrap())
        .collect()
}

#[test]
fn groups_have_keys_of_their_own_and_the_counters_tell_records_from_groups() {
    let (_broker, mut peer) = orders();
    peer.send(&format!(
        r#"{{"c":"sow_and_subscribe","cid":"7","t":"orders","bs":9,"o":"{TOTALS},timestamp","a":"processed,completed,stats"}}"#
    ));
    peer.expect(
        r#"{"c":"ack","cid":"7","sub_id":"7","query_id":"7","a":"processed","status":"success"}"#,
    );
    peer.expect(r#"{"c":"group_begin","query_id":"7"}"#);
    let frame = peer.receive();
    let keys = keys(&frame);
    assert_eq!(keys.len(), 2, "{frame}");
    assert!(
        frame.contains(r#"{"sym":"A","total":4}"#) && frame.contains(r#""ts":"2"#),
        "{frame}"
    );
    peer.expect(r#"{"c":"group_end","query_id":"7"}"#);
    peer.expect(
        r#"{"c":"ack","cid":"7","sub_id":"7","query_id":"7","a":"completed","status":"success"}"#,
    );
    peer.expect(r#"{"c":"ack","cid":"7","sub_id":"7","query_id":"7","a":"stats","status":"success","records_returned":2,"matches":3,"topic_matches":3}"#);
    peer.send(r#"{"c":"p","t":"orders","x":"token"}{"id":3,"sym":"A","qty":9}"#);
    let frame = peer.receive();
    assert_eq!(
        frame,
        format!(
            r#"{{"c":"p","t":"orders","sids":"7","ts":"{}","k":"{}"}}{{"sym":"A","total":10}}"#,
            field(&frame, "ts"),
            keys[0]
        )
    );
}

#[test]
fn one_connection_may_have_the_groups_and_the_records() {
    let (_broker, mut peer) = orders();
    peer.subscribe("records", "orders");
    peer.send(&format!(
        r#"{{"c":"sow_and_subscribe","cid":"groups","t":"orders","top_n":0,"o":"{TOTALS},no_sowkey"}}"#
    ));
    peer.expect(r#"{"c":"group_begin","query_id":"groups"}"#);
    peer.expect(r#"{"c":"group_end","query_id":"groups"}"#);
    peer.send(r#"{"c":"p","t":"orders"}{"id":2,"sym":"B","qty":5}"#);
    let mut frames = [peer.receive(), peer.receive()];
    frames.sort();
    assert_eq!(
        frames[0],
        r#"{"c":"p","t":"orders","sids":"groups"}{"sym":"B","total":5}"#
    );
    assert!(frames[1].ends_with(r#"}{"id":2,"sym":"B","qty":5}"#));
    assert!(frames[1].starts_with(r#"{"c":"p","t":"orders","sids":"records","k":""#));
}

#[test]
fn tags_are_grouped_like_fields_and_opaque_payloads_cannot_be() {
    let (broker, _) = orders();
    let mut peer = Peer::of_type(&broker, "n", "nvfix");
    for order in ["id=1\x01sym=A\x01qty=2", "id=2\x01sym=A\x01qty=2.5"] {
        peer.send(&format!(r#"{{"c":"p","t":"tags"}}{order}"#));
    }
    peer.send(&format!(
        r#"{{"c":"sow","cid":"7","t":"tags","o":"{TOTALS},no_sowkey"}}"#
    ));
    peer.receive();
    peer.expect("{\"c\":\"sow\",\"query_id\":\"7\",\"t\":\"tags\",\"bs\":1}{\"l\":16}sym=A\x01total=4.5\x01");
    let mut peer = Peer::of_type(&broker, "b", "binary");
    peer.refused(
        &format!(r#"{{"c":"sow","cid":"7","t":"tags","o":"{TOTALS}","a":"processed"}}"#),
        "invalid options",
    );
}

#[test]
fn the_messages_of_a_queue_are_grouped_by_a_query_and_by_no_subscription() {
    let (_broker, mut peer) = orders();
    peer.send(&format!(
        r#"{{"c":"sow","cid":"7","t":"jobs","bs":9,"orderby":"/sym","o":"{TOTALS},no_sowkey"}}"#
    ));
    peer.expect(r#"{"c":"group_begin","query_id":"7"}"#);
    peer.expect(r#"{"c":"sow","query_id":"7","t":"jobs","bs":2}{"l":21}{"sym":"A","total":4}{"l":21}{"sym":"B","total":2}"#);
    peer.expect(r#"{"c":"group_end","query_id":"7"}"#);
    peer.refused(
        &format!(
            r#"{{"c":"sow_and_subscribe","cid":"8","t":"jobs","o":"{TOTALS}","a":"processed"}}"#
        ),
        "invalid topic",
    );
    peer.refused(
        &format!(
            r#"{{"c":"sow_and_subscribe","cid":"8","t":"orders","bm":"0|1|","o":"{TOTALS}","a":"processed"}}"#
        ),
        "invalid options",
    );
}

#[test]
fn a_query_makes_groups_of_what_was() {
    let broker = Broker::builder()
        .topic(TopicConfig::sow("orders", ["/id"]).history(None))
        .start()
        .unwrap();
    let mut peer = Peer::named(&broker, "a");
    peer.send(r#"{"c":"subscribe","cid":"s","t":"orders","o":"bookmark"}"#);
    let mut bookmarks = Vec::new();
    for (id, qty) in [(1, 1), (2, 2), (1, 5)] {
        peer.send(&format!(
            r#"{{"c":"p","t":"orders"}}{{"id":{id},"sym":"A","qty":{qty}}}"#
        ));
        bookmarks.push(field(&peer.receive(), "bm").to_owned());
    }
    for (bookmark, total) in bookmarks.iter().zip([1, 3, 7]) {
        peer.send(&format!(
            r#"{{"c":"sow","cid":"7","t":"orders","bm":"{bookmark}","o":"{TOTALS},no_sowkey"}}"#
        ));
        peer.receive();
        let record = format!(r#"{{"sym":"A","total":{total}}}"#);
        assert!(peer.receive().ends_with(&record), "{record}");
        peer.receive();
    }
}
