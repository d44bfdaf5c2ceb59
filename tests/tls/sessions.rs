//! What a session does while little or nothing happens.

use crate::certificates::Authority;
use crate::peer::Peer;
use crate::{PATIENCE, broker, client, eventually, logged_on, start, trusting};
use amps::{ConnectionState, Message};
use amps_broker::{Broker, framed};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
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

#[test]
fn n3_a_server_that_reads_slowly_but_steadily_is_not_lost() {
    let authority = Authority::new("ours");
    let (listening, uri) = Peer::listen(&authority);
    listening.narrow();
    let server = thread::spawn(move || {
        let mut peer = listening.accept();
        peer.answer_logon();
        peer.acknowledge("");
        // One read every so often, of far less than a record. It takes longer than the idle
        // period until there is room for a whole one.
        peer.read_slowly(Duration::from_millis(100), 1 << 10, 40, |peer| {
            peer.write(&framed(br#"{"c":"heartbeat"}"#));
        });
        peer
    });
    let client = client("slowly", trusting(&authority));
    client.connect(format!("{uri}?tcp_sndbuf=4096")).unwrap();
    client.logon().unwrap();
    client.set_heartbeat_with_timeout(SECOND, SECOND);
    let publisher = {
        let client = client.clone();
        thread::spawn(move || client.publish("t", vec![b'x'; 4 << 20]).is_err())
    };
    let peer = server.join().unwrap();
    assert!(client.is_connected());
    assert!(
        !publisher.is_finished(),
        "the server has read hardly anything"
    );
    // Now it reads nothing more.
    assert!(publisher.join().unwrap());
    drop(peer);
}

#[test]
fn what_is_posted_and_what_is_published_never_mix() {
    let authority = Authority::new("ours");
    let broker = broker(&authority);
    let client = client("crowd", trusting(&authority));
    // Little room, so that many a record waits for it half written.
    let uri = format!("{}?tcp_sndbuf=4096&tcp_rcvbuf=4096", broker.tls_uri("json"));
    client.connect(uri).unwrap();
    client.logon().unwrap();
    let received = Arc::new(AtomicU64::new(0));
    let count = received.clone();
    let handler = move |message: &Message| {
        let data = message.data();
        assert!(data.iter().all(|byte| *byte == data[0]), "a mixture");
        count.fetch_add(1, Ordering::Relaxed);
    };
    client.subscribe_async(handler, "all", None).unwrap();
    thread::scope(|scope| {
        for publisher in 0..4_u8 {
            let client = &client;
            scope.spawn(move || {
                for number in 0..500_usize {
                    // From one byte to more than a record, copied behind its header or not.
                    let length = 1 + number * 7919 % 30_000;
                    client
                        .publish("all", vec![b'a' + publisher; length])
                        .unwrap();
                }
            });
        }
        for _ in 0..2 {
            // Commands, and the unsubscribes of dropped streams, are posted.
            scope.spawn(|| {
                for _ in 0..100 {
                    drop(client.subscribe("none").unwrap());
                }
            });
        }
        for _ in 0..10 {
            broker.stall_client("crowd");
            thread::sleep(Duration::from_millis(20));
            broker.resume_client("crowd");
        }
    });
    client.publish_flush(PATIENCE).unwrap();
    eventually("every message was handled", || {
        received.load(Ordering::Relaxed) == 2000
    });
    assert_eq!(broker.published_count("all"), 2000);
    client.disconnect().unwrap();
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
    thread::sleep(Duration::from_millis(100));
    let before = activity_of("zz");
    thread::sleep(Duration::from_millis(500));
    let after = activity_of("zz");
    assert!(after.0 - before.0 <= 2, "{before:?} {after:?}");
    assert!(after.1 - before.1 <= 1, "{before:?} {after:?}");
    client.publish_flush(PATIENCE).unwrap();
}
