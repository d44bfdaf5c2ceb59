//! Publishes that are collected, and when they leave (rule Q7, trap 61).

use crate::{
    PATIENCE, SILENCE, broker, channel, data, during, eventually, exceptions, logged_on,
    subscribed, with_peer,
};
use amps::{Client, Command, Error, Message};
use amps_broker::{Peer, PeerConnection, field};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// A batch that is never full and never too old.
fn collect(client: &Client) {
    client.set_publish_batching(1 << 20, Duration::from_secs(3600));
}

/// The payload of a publish, or the command of anything else.
fn shown(frame: &str) -> String {
    match field(frame, "c") {
        "p" => frame.split('}').next_back().unwrap().to_string(),
        command => command.to_string(),
    }
}

fn next(peer: &mut PeerConnection) -> String {
    shown(&peer.expect_frame().unwrap())
}

/// Trap 61.
#[test]
fn q7_a_batch_leaves_when_it_is_full_and_not_before() {
    let broker = broker();
    let client = logged_on(&broker, "full");
    let frame = br#"....{"c":"p","t":"t"}0000"#.len();
    client.set_publish_batching(10 * frame, Duration::ZERO);
    for number in 0..9 {
        client.publish("t", format!("{number:04}")).unwrap();
    }
    thread::sleep(SILENCE);
    assert_eq!(broker.published_count("t"), 0);
    client.publish("t", "0009").unwrap();
    eventually("the batch is there", || broker.published_count("t") == 10);
}

#[test]
fn q7_a_batch_leaves_after_its_timeout_also_while_a_handler_blocks() {
    let (client, mut peer) = with_peer("overdue");
    let (blocked, is_blocked) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    during(
        || {
            let command = Command::new("subscribe").set_topic("t").set_sub_id("s");
            client.execute_async(command, move |_: &Message| {
                blocked.send(()).unwrap();
                let _ = released.recv_timeout(PATIENCE);
            })
        },
        || drop(peer.acknowledge("processed").unwrap()),
    )
    .unwrap();
    peer.send(r#"{"c":"p","t":"t","sids":"s"}block"#).unwrap();
    is_blocked.recv_timeout(PATIENCE).unwrap();
    let timeout = Duration::from_millis(100);
    client.set_publish_batching(1 << 20, timeout);
    for round in 0..3 {
        let start = Instant::now();
        client.publish("t", format!("a{round}")).unwrap();
        client.publish("t", format!("b{round}")).unwrap();
        assert_eq!(next(&mut peer), format!("a{round}"));
        let waited = start.elapsed();
        assert!(waited >= timeout, "{waited:?}");
        assert_eq!(next(&mut peer), format!("b{round}"));
    }
    release.send(()).unwrap();
}

#[test]
fn q7_a_payload_beyond_the_limit_of_the_protocol_joins_no_batch() {
    let (client, mut peer) = with_peer("enormous");
    client.set_publish_batching(usize::MAX, Duration::ZERO);
    client.publish("t", "1").unwrap();
    let error = client.publish("t", vec![0; (256 << 20) + 1]).unwrap_err();
    assert!(matches!(error, Error::Usage(_)), "{error}");
    client.set_publish_batching(0, Duration::ZERO);
    client.publish("t", "2").unwrap();
    assert_eq!(next(&mut peer), "1");
    assert_eq!(next(&mut peer), "2");
}

#[test]
fn q7_a_timeout_alone_is_enough() {
    let broker = broker();
    let client = logged_on(&broker, "timed");
    client.set_publish_batching(0, Duration::from_millis(20));
    client.publish("t", "x").unwrap();
    eventually("it left", || broker.published_count("t") == 1);
}

#[test]
fn q7_whatever_else_the_application_sends_comes_after_the_batch() {
    let (client, mut peer) = with_peer("orderly");
    collect(&client);
    let stream = during(
        || {
            client.publish("t", "1").unwrap();
            client.subscribe("t")
        },
        || {
            assert_eq!(next(&mut peer), "1");
            let frame = peer.acknowledge("processed").unwrap();
            assert_eq!(shown(&frame), "subscribe");
        },
    )
    .unwrap();
    client.publish("t", "2").unwrap();
    drop(stream);
    assert_eq!(next(&mut peer), "2");
    assert_eq!(next(&mut peer), "unsubscribe");
    client.publish("t", "3").unwrap();
    client.unsubscribe("any").unwrap();
    assert_eq!(next(&mut peer), "3");
    assert_eq!(next(&mut peer), "unsubscribe");
    // A publish by a command joins, and so does a delta.
    client.publish("t", "4").unwrap();
    let command = Command::new("publish").set_topic("t").set_data("5");
    client.execute(command).unwrap();
    client.delta_publish("t", "6").unwrap();
    client.publish_with_expiration("t", "7", PATIENCE).unwrap();
    during(
        || client.publish_flush(PATIENCE),
        || {
            for expected in ["4", "5", "delta_publish", "7"] {
                assert_eq!(next(&mut peer), expected);
            }
            let frame = peer.acknowledge("completed").unwrap();
            assert_eq!(shown(&frame), "flush");
        },
    )
    .unwrap();
    // A payload that is as large as the batch leaves by itself, behind it.
    client.publish("t", "8").unwrap();
    client.publish("t", vec![b'x'; 1 << 20]).unwrap();
    assert_eq!(next(&mut peer), "8");
    assert_eq!(next(&mut peer).len(), 1 << 20);
    client.publish("t", "9").unwrap();
    let mut left = Vec::new();
    during(|| client.disconnect(), || left = peer.finish().unwrap()).unwrap();
    let left = left.iter().map(|frame| shown(frame)).collect::<Vec<_>>();
    assert_eq!(left, ["9"]);
}

#[test]
fn q7_a_disconnect_and_the_drop_of_the_last_handle_send_the_batch() {
    let broker = broker();
    let client = logged_on(&broker, "polite");
    collect(&client);
    client.publish("t", "x").unwrap();
    client.disconnect().unwrap();
    assert_eq!(broker.published_count("t"), 1);
    client.connect(broker.uri("json")).unwrap();
    client.logon().unwrap();
    client.publish("t", "y").unwrap();
    drop(client);
    eventually("the rest is there", || broker.published_count("t") == 2);
}

#[test]
fn q7_turning_it_off_sends_what_was_collected() {
    let broker = broker();
    let client = logged_on(&broker, "off");
    collect(&client);
    client.publish("t", "x").unwrap();
    client.set_publish_batching(0, Duration::ZERO);
    eventually("it is there", || broker.published_count("t") == 1);
    client.publish("t", "y").unwrap();
    eventually("it does not wait", || broker.published_count("t") == 2);
}

#[test]
fn q7_the_answer_to_a_heartbeat_does_not_send_the_batch() {
    let (client, mut peer) = with_peer("beating");
    collect(&client);
    client.publish("t", "collected").unwrap();
    peer.send(r#"{"c":"heartbeat","o":"beat"}"#).unwrap();
    assert_eq!(next(&mut peer), "heartbeat");
    client.unsubscribe("any").unwrap();
    assert_eq!(next(&mut peer), "collected");
}

#[test]
fn q7_a_batch_that_is_lost_is_told_with_its_count() {
    let (client, peer) = with_peer("lossy");
    let told = exceptions(&client);
    collect(&client);
    for _ in 0..7 {
        client.publish("t", "x").unwrap();
    }
    drop(peer);
    let loss = told.recv_timeout(PATIENCE).unwrap();
    assert!(loss.starts_with("disconnected: receive from"), "{loss}");
    let lost = told.recv_timeout(PATIENCE).unwrap();
    assert!(lost.contains("7 publishes"), "{lost}");
    let error = client.publish("t", "x").unwrap_err();
    assert!(matches!(error, Error::Disconnected(_)), "{error}");
    // Nothing of the old batch reaches a new connection.
    let peer = Peer::listen().unwrap();
    client.connect(peer.uri("json")).unwrap();
    let mut peer = peer.accept().unwrap();
    client.publish("t", "new").unwrap();
    client.unsubscribe("any").unwrap();
    assert_eq!(next(&mut peer), "new");
    assert!(told.try_recv().is_err());
}

#[test]
fn q7_a_disconnect_that_cannot_send_the_batch_says_how_much_is_lost() {
    let (client, peer) = with_peer("full-socket");
    // The peer does not read, so the socket takes no more than its buffers hold.
    client.set_publish_batching(64 << 20, Duration::ZERO);
    let payload = vec![b'x'; 1 << 20];
    for _ in 0..40 {
        client.publish("t", &payload).unwrap();
    }
    let start = Instant::now();
    let error = client.disconnect().unwrap_err();
    assert!(start.elapsed() < PATIENCE);
    assert!(matches!(error, Error::Disconnected(_)), "{error}");
    assert!(error.to_string().contains("40 publishes"), "{error}");
    drop(peer);
}

#[test]
fn q7_a_handler_may_publish_into_a_batch() {
    let broker = broker();
    let client = logged_on(&broker, "echo");
    collect(&client);
    let weak = client.downgrade();
    client
        .subscribe_async(
            move |message: &Message| match weak.upgrade() {
                Some(client) => client.publish("replies", message.data()).map(drop),
                None => Ok(()),
            },
            "requests",
            None,
        )
        .unwrap();
    let (handler, replies) = channel();
    client.subscribe_async(handler, "replies", None).unwrap();
    let requester = logged_on(&broker, "requester");
    for _ in 0..3 {
        requester.publish("requests", "x").unwrap();
    }
    requester.publish_flush(PATIENCE).unwrap();
    assert!(replies.recv_timeout(SILENCE).is_err());
    client.publish_flush(PATIENCE).unwrap();
    for _ in 0..3 {
        assert_eq!(data(&replies.recv_timeout(PATIENCE).unwrap()), "x");
    }
}

#[test]
fn q7_a_command_keeps_its_place_behind_publishes_of_many_threads() {
    let broker = broker();
    let client = logged_on(&broker, "crowd");
    client.set_publish_batching(4 << 10, Duration::from_millis(1));
    thread::scope(|scope| {
        for thread in 0..4 {
            let (client, broker) = (&client, &broker);
            scope.spawn(move || {
                let topic = format!("t{thread}");
                for round in 1..=50 {
                    for _ in 0..20 {
                        client.publish(&topic, "x").unwrap();
                    }
                    client.publish_flush(PATIENCE).unwrap();
                    assert_eq!(broker.published_count(&topic), round * 20);
                }
            });
        }
    });
}

#[test]
fn the_timer_thread_ends_with_its_client() {
    let (client, mut peer) = with_peer("timed-out-of-life");
    client.set_publish_batching(1 << 20, Duration::from_millis(1));
    let stream = subscribed(
        &client,
        &mut peer,
        Command::new("subscribe").set_topic("t").set_sub_id("s"),
    );
    client.publish("t", "x").unwrap();
    assert_eq!(next(&mut peer), "x");
    drop(stream);
    let weak = client.downgrade();
    during(|| drop(client), || drop(peer.finish().unwrap()));
    assert!(weak.upgrade().is_none());
    #[cfg(target_os = "linux")]
    eventually("the thread is gone", || {
        let names = std::fs::read_dir("/proc/self/task").unwrap();
        let mut names = names.map(|task| {
            let path = task.unwrap().path().join("comm");
            std::fs::read_to_string(path).unwrap_or_default()
        });
        !names.any(|name| name.starts_with("amps-timer-time"))
    });
}
