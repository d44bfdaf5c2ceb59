//! `spark sow`, `spark subscribe`, `spark sow_and_subscribe`.

use crate::process::{Running, spark};
use crate::{PATIENCE, address, broker, client, order, publish_orders, records, sent_by, start};
use amps_broker::{Broker, Peer, PeerConnection, field};
use std::time::Instant;

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

/// A spark that receives from a peer which says only what the test tells it, and the command
/// that it has sent.
fn from_peer(args: &[&str]) -> (Running, PeerConnection, String) {
    let peer = Peer::listen().unwrap();
    let server = peer.address().to_string();
    let running = Running::start(&[args, &["-server", &server]].concat());
    let mut connection = peer.accept_logon().unwrap();
    let command = connection.acknowledge("processed").unwrap();
    (running, connection, command)
}

#[test]
fn a_query_prints_its_records_and_their_number() {
    let broker = broker();
    publish_orders(&client(&broker), 3);
    let address = address(&broker);
    let finished = spark(&[
        "sow", "-server", &address, "-topic", "orders", "-orderby", "/id",
    ]);
    assert_eq!(finished.err, "3 messages\n");
    assert_eq!(lines(&finished.ok()), [order(1), order(2), order(3)]);
}

#[test]
fn a_query_has_filter_order_limit_and_batch_size() {
    let broker = broker();
    publish_orders(&client(&broker), 9);
    let address = address(&broker);
    let out = spark(&[
        "sow",
        "-server",
        &address,
        "-topic",
        "orders",
        "-name",
        "q",
        "-filter",
        "/id < 8",
        "-orderby",
        "/qty DESC",
        "-topn",
        "2",
        "-batchsize",
        "1",
        "-options",
        "timestamp",
    ])
    .ok();
    assert_eq!(lines(&out), [order(7), order(6)]);
    let sent = sent_by(&broker, "q", "sow");
    for part in [r#""bs":1"#, r#""top_n":2"#, r#""o":"timestamp""#] {
        assert!(sent[0].contains(part), "{part}: {sent:?}");
    }
}

#[test]
fn a_subscription_prints_each_message_as_it_comes_although_it_is_piped() {
    let broker = broker();
    let address = address(&broker);
    let args = [
        "subscribe",
        "-server",
        &address,
        "-topic",
        "^ord",
        "-filter",
        "/id != 2",
        "-n",
        "2",
    ];
    let mut running = Running::start(&args);
    assert!(broker.wait_for_subscription("^ord", PATIENCE));
    let client = client(&broker);
    client.publish("orders", order(1)).unwrap();
    // It is still running: nothing has flushed the line but itself.
    assert_eq!(running.line(), order(1));
    client.publish("orders", order(2)).unwrap();
    client.publish("orders", order(3)).unwrap();
    let finished = running.finish();
    assert_eq!(finished.err, "2 messages\n");
    assert_eq!(lines(&finished.ok()), [order(3)]);
}

#[test]
fn records_come_first_and_then_messages_without_the_markers_in_between() {
    let broker = broker();
    let client = client(&broker);
    publish_orders(&client, 2);
    let address = address(&broker);
    let mut running = Running::start(&[
        "sow_and_subscribe",
        "-server",
        &address,
        "-topic",
        "orders",
        "-orderby",
        "/id",
        "-options",
        "oof",
        "-n",
        "4",
        "-format",
        "{command} {data}",
    ]);
    assert_eq!(running.line(), format!("sow {}", order(1)));
    assert_eq!(running.line(), format!("sow {}", order(2)));
    client.publish("orders", order(3)).unwrap();
    assert_eq!(running.line(), format!("publish {}", order(3)));
    client.sow_delete("orders", "/id = 2").unwrap();
    assert!(running.line().starts_with("oof "));
    running.finish().ok();
}

#[test]
fn deltas_are_the_changes_of_records() {
    let broker = broker();
    let client = client(&broker);
    publish_orders(&client, 1);
    let address = address(&broker);
    for (command, name, skipped) in [("subscribe", "s", 0), ("sow_and_subscribe", "q", 1)] {
        let args = [
            command, "-server", &address, "-topic", "orders", "-delta", "-name", name,
        ];
        let mut running = Running::start(&args);
        for _ in 0..skipped {
            running.line();
        }
        assert!(broker.wait_until(PATIENCE, |state| state.subscription_count("orders") == 1));
        client
            .publish("orders", format!(r#"{{"id":1,"qty":10,"by":"{name}"}}"#))
            .unwrap();
        assert_eq!(running.line(), format!(r#"{{"id":1,"by":"{name}"}}"#));
        drop(running);
        assert!(broker.wait_until(PATIENCE, |state| state.subscription_count("orders") == 0));
    }
    assert_eq!(sent_by(&broker, "s", "delta_subscribe").len(), 1);
    assert_eq!(sent_by(&broker, "q", "sow_and_delta_subscribe").len(), 1);
}

#[test]
fn every_placeholder_is_filled_from_the_message() {
    let format = "{bookmark} {command} {correlation_id} {data} {expiration} {lease_period} \
        {length} {sowkey} {timestamp} {topic} {user_id}";
    let args = [
        "subscribe",
        "-topic",
        "orders",
        "-n",
        "1",
        "-format",
        format,
    ];
    let (running, mut connection, command) = from_peer(&args);
    let sub_id = field(&command, "sub_id");
    connection
        .send(&format!(
            concat!(
                r#"{{"c":"p","t":"orders","sids":"{}","bm":"1|2|","x":"tok","e":60,"#,
                r#""lp":"20240315T093000Z","ts":"20240315T092000.5Z","user_id":"ana","#,
                r#""k":"17","l":8}}{{"id":1}}"#
            ),
            sub_id
        ))
        .unwrap();
    assert_eq!(
        running.finish().ok(),
        "1|2| publish tok {\"id\":1} 60 20240315T093000Z 8 17 20240315T092000.5Z orders ana\n"
    );
}

#[test]
fn a_bookmark_has_names_for_both_ends_of_the_log() {
    for (given, sent) in [
        ("epoch", "0"),
        ("NOW", "0|1|"),
        ("20240315T093000Z", "20240315T093000Z"),
        ("13|42|,7|1|", "13|42|,7|1|"),
    ] {
        for command in ["sow", "subscribe", "sow_and_subscribe"] {
            let (running, _connection, frame) =
                from_peer(&[command, "-topic", "orders", "-bookmark", given]);
            assert_eq!(field(&frame, "bm"), sent, "{command}");
            drop(running);
        }
    }
}

#[test]
fn a_subscription_ends_when_nothing_comes_for_the_timeout() {
    let broker = broker();
    publish_orders(&client(&broker), 2);
    let address = address(&broker);
    let args = [
        "sow_and_subscribe",
        "-server",
        &address,
        "-topic",
        "orders",
        "-timeout",
        "200ms",
    ];
    let start = Instant::now();
    let finished = spark(&args);
    assert!(start.elapsed().as_millis() >= 200);
    assert_eq!(finished.err, "2 messages\n");
    assert_eq!(lines(&finished.ok()).len(), 2);

    let short = [&args[..], &["-n", "3"]].concat();
    let finished = spark(&short);
    assert_eq!(lines(&finished.out).len(), 2);
    let line = finished.failed(1);
    assert_eq!(
        line,
        "spark: nothing came for 200ms: this is not all, but 2 messages"
    );
}

#[test]
fn a_result_that_does_not_end_is_told_from_a_complete_one() {
    let args = ["sow", "-topic", "orders", "-timeout", "0.2s"];
    let (running, mut connection, command) = from_peer(&args);
    let query = field(&command, "query_id");
    connection
        .send(&format!(r#"{{"c":"group_begin","query_id":"{query}"}}"#))
        .unwrap();
    let line = running.finish().failed(1);
    assert!(line.contains("this is not all, but 0 messages"), "{line}");
}

#[test]
fn a_connection_that_is_lost_ends_with_1_and_the_number_of_messages() {
    let broker = broker();
    let client = client(&broker);
    publish_orders(&client, 1);
    let address = address(&broker);
    let args = [
        "sow_and_subscribe",
        "-server",
        &address,
        "-topic",
        "orders",
        "-name",
        "viewer",
    ];
    let mut running = Running::start(&args);
    assert_eq!(running.line(), order(1));
    assert_eq!(broker.disconnect_client("viewer"), 1);
    let line = running.finish().failed(1);
    assert_eq!(line, "spark: the connection was lost after 1 message");
}

#[test]
fn what_the_server_refuses_ends_with_1_and_names_the_flag() {
    let broker = broker();
    let address = address(&broker);
    for (args, says) in [
        (
            &["sow", "-topic", "orders", "-filter", "/id >"][..],
            "check -filter",
        ),
        (
            &["subscribe", "-topic", "orders", "-filter", "'"],
            "check -filter",
        ),
        (&["sow", "-topic", "nothing"], "check -topic"),
        (&["subscribe", "-topic", "^(orders"], "check -topic"),
        (
            &["sow", "-topic", "orders", "-orderby", "id"],
            "check -orderby",
        ),
        (
            &["subscribe", "-topic", "orders", "-options", "sideways"],
            "check -options",
        ),
    ] {
        let finished = spark(&[args, &["-server", &address]].concat());
        assert_eq!(finished.out, "", "{args:?}");
        let line = finished.failed(1);
        assert!(line.contains(says), "{args:?}: {line}");
    }
}

#[test]
fn a_copy_goes_to_the_second_server_before_the_end() {
    let (first, second) = (broker(), broker());
    publish_orders(&client(&first), 3);
    let (from, to) = (address(&first), address(&second));
    let args = [
        "sow", "-server", &from, "-topic", "orders", "-copy", &to, "-filter", "/id > 1",
    ];
    let out = spark(&args).ok();
    assert_eq!(lines(&out).len(), 2);
    assert_eq!(records(&second, "orders"), [order(2), order(3)]);
}

#[test]
fn a_copy_that_is_refused_ends_with_1_and_says_where() {
    let first = start(Broker::builder().sow_topic("notes", ["/name"]));
    let second = start(Broker::builder().sow_topic("notes", ["/id"]));
    let client = client(&first);
    client.publish("notes", r#"{"name":"a"}"#).unwrap();
    client.publish_flush(PATIENCE).unwrap();
    let (from, to) = (address(&first), address(&second));
    let finished = spark(&["sow", "-server", &from, "-topic", "notes", "-copy", &to]);
    assert_eq!(lines(&finished.out).len(), 1);
    let line = finished.failed(1);
    assert!(line.contains("-copy: 1 message refused"), "{line}");
    // A second server that is not there is found before anything is read.
    drop(second);
    let finished = spark(&["sow", "-server", &from, "-topic", "notes", "-copy", &to]);
    assert_eq!(finished.out, "");
    assert!(finished.failed(1).contains("-copy: connection refused"));
}
