//! What a broker leaves behind: nothing. Alone in its process, because it counts threads and
//! descriptors.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking, in the functions it shares too"
)]

use amps_broker::Broker;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

fn entries(directory: &str) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}

fn threads_and_descriptors() -> (usize, usize) {
    (entries("/proc/self/task"), entries("/proc/self/fd"))
}

/// Connects, logs on and subscribes; returns when the broker has answered.
fn client(broker: &Broker, name: usize) -> TcpStream {
    let mut socket = TcpStream::connect(broker.address()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    for body in [
        format!(r#"{{"c":"logon","client_name":"{name}","mt":"json"}}"#),
        r#"{"c":"subscribe","cid":"1","t":"^o"}"#.to_owned(),
        r#"{"c":"heartbeat","o":"start,30"}"#.to_owned(),
        r#"{"c":"flush","a":"completed"}"#.to_owned(),
    ] {
        socket
            .write_all(&(body.len() as u32).to_be_bytes())
            .unwrap();
        socket.write_all(body.as_bytes()).unwrap();
    }
    let mut answer = [0; 4];
    socket.read_exact(&mut answer).unwrap();
    socket
}

#[test]
fn a_broker_ends_with_all_its_threads_and_descriptors() {
    // The first one lets the process make what it makes once.
    drop(Broker::builder().start().unwrap());
    let before = threads_and_descriptors();
    for round in 0..5 {
        let broker = Broker::builder().start().unwrap();
        let with_broker = threads_and_descriptors();
        let clients = (0..100)
            .map(|name| client(&broker, name))
            .collect::<Vec<_>>();
        assert_eq!(broker.connection_count(), 100);
        // Clients that leave take their threads with them while the broker runs on.
        drop(clients);
        assert!(broker.wait_until(PATIENCE, |state| state.connection_count() == 0));
        let clients = (0..100)
            .map(|name| client(&broker, name))
            .collect::<Vec<_>>();
        let stalled = broker.stall_client("7");
        assert_eq!(stalled, 1);
        broker.mute_client("8");
        broker.stop();
        drop(clients);
        assert_eq!(threads_and_descriptors(), before, "round {round}");
        assert!(with_broker.0 > before.0);
    }
}
