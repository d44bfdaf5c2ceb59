//! Ends that come from outside: Ctrl-C and a closed pipe.

use crate::process::{Running, spark};
use crate::{PATIENCE, address, broker, client, order, publish_orders};

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let broker = broker();
    let client = client(&broker);
    publish_orders(&client, 1);
    let address = address(&broker);
    let args = ["sow_and_subscribe", "-server", &address, "-topic", "orders"];
    let mut running = Running::start(&args);
    assert_eq!(running.line(), order(1));
    running.close_output();
    client.publish("orders", order(2)).unwrap();
    let finished = running.finish();
    assert_eq!(finished.err, "");
    finished.ok();
    assert!(broker.wait_until(PATIENCE, |state| state.subscription_count("orders") == 0));
}

#[cfg(unix)]
#[test]
fn a_closed_pipe_ends_it_also_when_there_is_nothing_to_print() {
    let broker = broker();
    let address = address(&broker);
    let mut running = Running::start(&["subscribe", "-server", &address, "-topic", "quiet"]);
    assert!(broker.wait_for_subscription("quiet", PATIENCE));
    running.close_output();
    let finished = running.finish();
    assert_eq!(finished.err, "");
    finished.ok();
}

#[test]
fn a_closed_pipe_ends_also_what_prints_one_line() {
    let broker = broker();
    let address = address(&broker);
    for args in [
        &["help"][..],
        &["ping", "-server", &address],
        &["publish", "-server", &address, "-topic", "x", "-data", "1"],
    ] {
        let mut running = Running::start(args);
        running.close_output();
        let finished = running.finish();
        assert_eq!(finished.err, "", "{args:?}");
        finished.ok();
    }
    assert_eq!(broker.published_count("x"), 1);
}

#[test]
fn a_closed_pipe_hides_no_refusal() {
    let broker = broker();
    let address = address(&broker);
    let data = r#"{"no":"key"}"#;
    let args = [
        "publish", "-server", &address, "-topic", "orders", "-data", data,
    ];
    let mut running = Running::start(&args);
    running.close_output();
    assert!(running.finish().failed(1).contains("bad SOW key"));
}

#[cfg(unix)]
mod interrupted {
    use super::*;
    use amps_broker::Peer;
    use std::io::Write;

    #[test]
    fn a_subscription_ends_with_its_count() {
        let broker = broker();
        let client = client(&broker);
        let address = address(&broker);
        let args = ["subscribe", "-server", &address, "-topic", "orders"];
        let mut running = Running::start(&args);
        assert!(broker.wait_for_subscription("orders", PATIENCE));
        client.publish("orders", order(1)).unwrap();
        assert_eq!(running.line(), order(1));
        running.interrupt();
        let finished = running.finish();
        assert_eq!(finished.err, "1 message\n");
        finished.ok();
        assert!(broker.wait_until(PATIENCE, |state| state.connection_count() == 1));
    }

    #[test]
    fn an_input_that_is_not_at_its_end_is_told() {
        let broker = broker();
        let address = address(&broker);
        let mut running = Running::start(&["publish", "-server", &address, "-topic", "x"]);
        let mut stdin = running.stdin.take().unwrap();
        stdin.write_all(b"1\n2\n").unwrap();
        assert!(broker.wait_for_published("x", 2, PATIENCE));
        running.interrupt();
        let finished = running.finish();
        assert!(
            finished.out.starts_with("2 messages published, "),
            "{finished:?}"
        );
        let line = finished.failed(1);
        assert_eq!(line, "spark: interrupted before the end of the input");
        drop(stdin);
    }

    #[test]
    fn a_slow_rate_does_not_hold_it_up() {
        let broker = broker();
        let address = address(&broker);
        let args = [
            "publish", "-server", &address, "-topic", "x", "-rate", "0.001",
        ];
        let mut running = Running::start(&args);
        running
            .stdin
            .as_mut()
            .unwrap()
            .write_all(b"1\n2\n")
            .unwrap();
        assert!(broker.wait_for_published("x", 1, PATIENCE));
        running.interrupt();
        let finished = running.finish();
        assert!(
            finished.out.starts_with("1 message published, "),
            "{finished:?}"
        );
        finished.failed(1);
        assert_eq!(broker.published_count("x"), 1);
    }

    #[test]
    fn a_server_that_does_not_answer_does_not_hold_it_up() {
        let peer = Peer::listen().unwrap();
        let server = peer.address().to_string();
        let running = Running::start(&["ping", "-server", &server, "-timeout", "0"]);
        let mut connection = peer.accept().unwrap();
        connection.expect_frame().unwrap();
        running.interrupt();
        let line = running.finish().failed(1);
        assert_eq!(line, "spark: interrupted before it was logged on");
    }

    #[test]
    fn a_query_that_is_not_answered_is_told_from_a_complete_one() {
        let peer = Peer::listen().unwrap();
        let server = peer.address().to_string();
        let args = [
            "sow", "-server", &server, "-topic", "orders", "-timeout", "0",
        ];
        let mut running = Running::start(&args);
        let mut connection = peer.accept_logon().unwrap();
        let command = connection.acknowledge("processed").unwrap();
        let query = amps_broker::field(&command, "query_id");
        let record = r#"{"k":"1","l":1}7"#;
        connection
            .send(&format!(r#"{{"c":"group_begin","query_id":"{query}"}}"#))
            .unwrap();
        connection
            .send(&format!(
                r#"{{"c":"sow","query_id":"{query}","bs":1}}{record}"#
            ))
            .unwrap();
        assert_eq!(running.line(), "7");
        running.interrupt();
        let line = running.finish().failed(1);
        assert_eq!(line, "spark: interrupted: this is not all, but 1 message");
        drop(connection);
    }
}

#[test]
fn everything_is_closed_when_it_ends() {
    let broker = broker();
    let address = address(&broker);
    spark(&["ping", "-server", &address]).ok();
    spark(&["publish", "-server", &address, "-topic", "x", "-data", "1"]).ok();
    assert!(broker.wait_until(PATIENCE, |state| state.connection_count() == 0));
}
