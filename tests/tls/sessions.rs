//! What a session does while little or nothing happens.

use crate::certificates::Authority;
use crate::{PATIENCE, broker, eventually, logged_on, start};
use amps::ConnectionState;
use amps_broker::Broker;
use std::sync::mpsc;
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn n2_heartbeats_go_both_ways() {
    let authority = Authority::new("ours");
    let broker = start(&authority, Broker::builder().record_frames(true));
    let client = logged_on(&broker, &authority, "alive");
    let (sender, states) = mpsc::channel();
    client.add_connection_state_listener(move |state| {
        let _ = sender.send(state);
    });
    client.set_heartbeat(SECOND);
    assert_eq!(
        states.recv_timeout(PATIENCE).unwrap(),
        ConnectionState::HeartbeatInitiated
    );
    eventually("the client answered two beats", || {
        let frames = broker.frames_from("alive");
        let beat = |frame: &&Vec<u8>| frame.ends_with(br#""o":"beat"}"#);
        frames.iter().filter(beat).count() >= 2
    });
    client.publish_flush(PATIENCE).unwrap();
}

#[test]
fn n3_a_server_that_falls_silent_is_lost() {
    let authority = Authority::new("ours");
    let broker = broker(&authority);
    let client = logged_on(&broker, &authority, "waiting");
    let (sender, told) = mpsc::channel();
    client.set_exception_listener(move |error| {
        let _ = sender.send(error.to_string());
    });
    client.set_heartbeat_with_timeout(SECOND, 2 * SECOND);
    assert_eq!(broker.mute_client("waiting"), 1);
    let error = told.recv_timeout(PATIENCE).unwrap();
    assert!(error.contains("no heartbeat"), "{error}");
    eventually("the client is disconnected", || !client.is_connected());
}

#[test]
fn n3_a_publisher_stuck_on_a_stalled_server_is_freed_by_the_idle_period() {
    let authority = Authority::new("ours");
    let broker = broker(&authority);
    let client = logged_on(&broker, &authority, "stuck");
    client.set_heartbeat_with_timeout(SECOND, SECOND);
    assert_eq!(broker.stall_client("stuck"), 1);
    let start = Instant::now();
    let error = loop {
        if let Err(error) = client.publish("t", [b'x'; 100_000]) {
            break error;
        }
        assert!(start.elapsed() < PATIENCE);
    };
    assert!(error.is_connection_error(), "{error}");
}

/// How often the receive thread of a client was put to sleep so far, and how long it ran.
#[cfg(target_os = "linux")]
fn activity_of(client: &str) -> (u64, u64) {
    let thread = format!("amps-receive-{client}");
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let task = task.unwrap().path();
        let read = |name: &str| std::fs::read_to_string(task.join(name)).unwrap_or_default();
        // The system keeps 15 characters.
        if read("comm").trim_end() == &thread[..15] {
            let status = read("status");
            let switches = status
                .lines()
                .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))
                .unwrap();
            let stat = read("stat");
            // utime and stime are the 12th and 13th after the name.
            let times = stat
                .rsplit(") ")
                .next()
                .unwrap()
                .split(' ')
                .skip(11)
                .take(2);
            let ticks = times.map(|ticks| ticks.parse::<u64>().unwrap()).sum();
            return (switches.trim().parse().unwrap(), ticks);
        }
    }
    panic!("there is no thread {thread}");
}

#[cfg(target_os = "linux")]
#[test]
fn trap_52_an_idle_connection_does_nothing() {
    let authority = Authority::new("ours");
    let broker = broker(&authority);
    // A name of two letters is within what the system keeps.
    let client = logged_on(&broker, &authority, "zz");
    client.publish_flush(PATIENCE).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let before = activity_of("zz");
    std::thread::sleep(Duration::from_millis(500));
    let after = activity_of("zz");
    assert!(after.0 - before.0 <= 2, "{before:?} {after:?}");
    assert!(after.1 - before.1 <= 1, "{before:?} {after:?}");
    client.publish_flush(PATIENCE).unwrap();
}
