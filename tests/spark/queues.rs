//! Queue messages: what is asked for, and when they are acknowledged.

use crate::process::{Running, spark};
use crate::{PATIENCE, address, broker, client, start};
use amps_broker::{Broker, Peer, PeerConnection, QueueConfig, field};

/// A spark that is subscribed to a queue.
fn subscribed(args: &[&str]) -> (Running, PeerConnection, String) {
    let peer = Peer::listen().unwrap();
    let server = peer.address().to_string();
    let first = ["subscribe", "-topic", "work", "-server", &server];
    let running = Running::start(&[&first[..], args].concat());
    let mut connection = peer.accept_logon().unwrap();
    let command = connection.acknowledge("processed").unwrap();
    (running, connection, command)
}

fn send(connection: &mut PeerConnection, command: &str, bookmark: &str, lease: &str) {
    let sub_id = field(command, "sub_id");
    connection
        .send(&format!(
            r#"{{"c":"p","t":"work","sids":"{sub_id}","bm":"{bookmark}"{lease}}}{{"id":1}}"#
        ))
        .unwrap();
}

/// Confirms that everything has arrived, if spark asks for that, until it is gone; returns what
/// else it has sent.
fn end(mut connection: PeerConnection) -> Vec<String> {
    let mut frames = Vec::new();
    while let Some(frame) = connection.read_frame().unwrap() {
        if frame.contains(r#""c":"flush""#) {
            let id = field(&frame, "cid");
            connection
                .send(&format!(
                    r#"{{"c":"ack","cid":"{id}","a":"completed","status":"success"}}"#
                ))
                .unwrap();
        }
        frames.push(frame);
    }
    frames
}

const LEASE: &str = r#","lp":"20300101T000000.000000Z""#;

#[test]
fn each_printed_message_is_acknowledged_by_its_bookmark() {
    let args = ["-ack", "-backlog", "5", "-n", "2", "-options", "timestamp"];
    let (mut running, mut connection, command) = subscribed(&args);
    let options = field(&command, "o");
    assert!(
        options.split(',').any(|option| option == "max_backlog=5"),
        "{command}"
    );
    assert!(
        options.split(',').any(|option| option == "timestamp"),
        "{command}"
    );
    for bookmark in ["1|1|", "1|2|"] {
        send(&mut connection, &command, bookmark, LEASE);
        assert_eq!(running.line(), r#"{"id":1}"#);
        let ack = connection.expect_frame().unwrap();
        assert!(ack.starts_with(r#"{"c":"sow_delete","#), "{ack}");
        assert_eq!((field(&ack, "t"), field(&ack, "bm")), ("work", bookmark));
    }
    end(connection);
    let finished = running.finish();
    assert_eq!(finished.err, "2 messages\n");
    finished.ok();
}

#[test]
fn nothing_is_acknowledged_without_the_flag_or_without_a_lease() {
    for (args, lease) in [(&["-n", "1"][..], LEASE), (&["-n", "1", "-ack"], "")] {
        let (running, mut connection, command) = subscribed(args);
        assert!(!command.contains("max_backlog"), "{command}");
        send(&mut connection, &command, "1|1|", lease);
        let rest = end(connection);
        assert!(
            !rest.iter().any(|frame| frame.contains("sow_delete")),
            "{rest:?}"
        );
        running.finish().ok();
    }
}

#[test]
fn a_message_is_acknowledged_only_when_its_copy_has_arrived() {
    let second = broker();
    let to = address(&second);
    let (running, mut connection, command) = subscribed(&["-ack", "-n", "1", "-copy", &to]);
    send(&mut connection, &command, "1|1|", LEASE);
    let ack = connection.expect_frame().unwrap();
    assert_eq!(field(&ack, "bm"), "1|1|");
    assert_eq!(second.published_count("work"), 1);
    end(connection);
    running.finish().ok();
}

#[test]
fn a_message_that_nobody_could_read_is_not_acknowledged() {
    let (mut running, mut connection, command) = subscribed(&["-ack"]);
    running.close_output();
    send(&mut connection, &command, "1|1|", LEASE);
    let rest = connection.finish().unwrap();
    assert!(
        !rest.iter().any(|frame| frame.contains("sow_delete")),
        "{rest:?}"
    );
    running.finish().ok();
}

#[test]
fn a_queue_is_emptied_by_acknowledging_and_only_by_that() {
    let broker = start(Broker::builder().queue(QueueConfig::new("work").max_backlog(3)));
    let client = client(&broker);
    for id in 1..=4 {
        client.publish("work", id.to_string()).unwrap();
    }
    client.publish_flush(PATIENCE).unwrap();
    let address = address(&broker);
    let args = [
        "subscribe",
        "-server",
        &address,
        "-topic",
        "work",
        "-backlog",
        "3",
    ];
    let look = [&args[..], &["-n", "3"]].concat();
    assert_eq!(spark(&look).ok(), "1\n2\n3\n");
    assert!(broker.wait_until(PATIENCE, |state| state.leased_count("work") == 0));
    assert_eq!(broker.queue_depth("work"), 4);
    // Behind the last acknowledgement spark waits until the server has seen it.
    let take = [&args[..], &["-n", "4", "-ack"]].concat();
    let mut taken: Vec<String> = spark(&take).ok().lines().map(str::to_string).collect();
    taken.sort();
    assert_eq!(taken, ["1", "2", "3", "4"]);
    assert_eq!(broker.queue_depth("work"), 0);
}

#[test]
fn acknowledgements_that_the_server_may_not_have_seen_end_with_1() {
    let (running, mut connection, command) = subscribed(&["-ack", "-n", "1"]);
    send(&mut connection, &command, "1|1|", LEASE);
    connection.expect_frame().unwrap();
    connection.close();
    running.finish().failed(1);
}
