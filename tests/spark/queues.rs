//! Queue messages: what is asked for, and when they are acknowledged.

use crate::process::Running;
use crate::{address, broker};
use amps_broker::{Peer, PeerConnection, field};

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
        let ack = connection.acknowledge("processed").unwrap();
        assert!(ack.starts_with(r#"{"c":"sow_delete","#), "{ack}");
        assert_eq!((field(&ack, "t"), field(&ack, "bm")), ("work", bookmark));
    }
    connection.finish().unwrap();
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
        let rest = connection.finish().unwrap();
        assert!(
            !rest.iter().any(|frame| frame.contains("sow_delete")),
            "{rest:?}"
        );
        running.finish().ok();
    }
}

#[test]
fn a_refused_acknowledgement_ends_with_1() {
    let (running, mut connection, command) = subscribed(&["-ack"]);
    send(&mut connection, &command, "1|1|", LEASE);
    let ack = connection.expect_frame().unwrap();
    let id = field(&ack, "cid");
    connection
        .send(&format!(
            r#"{{"c":"ack","cid":"{id}","a":"processed","status":"failure","reason":"not entitled"}}"#
        ))
        .unwrap();
    connection.finish().unwrap();
    assert!(running.finish().failed(1).contains("not entitled"));
}

#[test]
fn a_message_is_acknowledged_only_when_its_copy_has_arrived() {
    let second = broker();
    let to = address(&second);
    let (running, mut connection, command) = subscribed(&["-ack", "-n", "1", "-copy", &to]);
    send(&mut connection, &command, "1|1|", LEASE);
    let ack = connection.acknowledge("processed").unwrap();
    assert_eq!(field(&ack, "bm"), "1|1|");
    assert_eq!(second.published_count("work"), 1);
    connection.finish().unwrap();
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
