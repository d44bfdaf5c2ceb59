//! The transport filter sees every frame and may change it (rule Q1).

use crate::{PATIENCE, broker, data, during, exceptions, logged_on, subscribed, with_peer};
use amps::{Client, Command, Direction, Error};
use amps_broker::{Peer, field};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};

type Seen = Arc<Mutex<Vec<(Direction, String)>>>;

/// Records which way each frame goes, and what it says.
fn record(client: &Client) -> Seen {
    let seen = Seen::default();
    let recorded = seen.clone();
    client.set_transport_filter(move |direction, frame| {
        let text = String::from_utf8_lossy(frame).into_owned();
        recorded.lock().push((direction, text));
    });
    seen
}

/// Replaces a text in frames that go one way.
fn replace(client: &Client, way: Direction, from: &'static str, to: &'static str) {
    client.set_transport_filter(move |direction, frame| {
        if direction == way {
            let text = String::from_utf8_lossy(frame).replace(from, to);
            *frame = text.into_bytes();
        }
    });
}

#[test]
fn q1_a_filter_sees_every_frame_in_both_directions_and_the_logon_with_its_password() {
    let peer = Peer::listen().unwrap();
    let client = Client::new("seen");
    let seen = record(&client);
    let uri = peer.uri("json").replace("tcp://", "tcp://me:s3cret@");
    client.connect(uri).unwrap();
    let mut peer = peer.accept().unwrap();
    during(|| client.logon(), || peer.answer_logon().unwrap()).unwrap();
    let mut stream = subscribed(
        &client,
        &mut peer,
        Command::new("subscribe").set_topic("t").set_sub_id("s"),
    );
    peer.send(r#"{"c":"heartbeat","o":"beat"}"#).unwrap();
    assert_eq!(field(&peer.expect_frame().unwrap(), "c"), "heartbeat");
    peer.send(r#"{"c":"p","t":"t","sids":"s"}1"#).unwrap();
    stream.next_timeout(PATIENCE).unwrap().unwrap();
    client.publish("t", "small").unwrap();
    client.publish("t", vec![b'x'; 100_000]).unwrap();
    client.set_publish_batching(1 << 20, PATIENCE);
    client.publish("t", "batched").unwrap();
    drop(stream);
    client.clear_transport_filter();
    client.publish("t", "unseen").unwrap();
    let seen = std::mem::take(&mut *seen.lock());
    let shown = seen.iter().map(|(direction, frame)| {
        let way = match direction {
            Direction::Incoming => "<",
            Direction::Outgoing => ">",
        };
        format!("{way}{}", field(frame, "c"))
    });
    assert_eq!(
        shown.collect::<Vec<_>>(),
        [
            ">logon",
            "<ack",
            ">subscribe",
            "<ack",
            "<heartbeat",
            ">heartbeat",
            "<p",
            ">p",
            ">p",
            ">p",
            ">unsubscribe"
        ]
    );
    assert!(seen[0].1.contains("s3cret"));
    assert!(seen[8].1.ends_with(&"x".repeat(100_000)));
    assert!(seen[9].1.ends_with("batched"));
}

#[test]
fn q1_what_a_filter_changes_arrives_changed_with_the_right_length() {
    let broker = broker();
    let client = logged_on(&broker, "changed");
    let mut stream = client.subscribe("t").unwrap();
    replace(&client, Direction::Outgoing, "short", "something longer");
    let large = format!("short{}", "x".repeat(10_000));
    for batch in [0, 1 << 20] {
        client.set_publish_batching(batch, PATIENCE);
        client.publish("t", "a short text").unwrap();
        client.publish("t", &large).unwrap();
        client.publish("t", "short").unwrap();
        client.publish_flush(PATIENCE).unwrap();
        let message = stream.next_timeout(PATIENCE).unwrap().unwrap();
        assert_eq!(data(&message), "a something longer text");
        let message = stream.next_timeout(PATIENCE).unwrap().unwrap();
        assert_eq!(message.data().len(), 10_016);
        let message = stream.next_timeout(PATIENCE).unwrap().unwrap();
        assert_eq!(data(&message), "something longer");
    }
    client.set_publish_batching(0, Duration::ZERO);
    replace(&client, Direction::Incoming, "longer text", "");
    for payload in ["a longer text here", "longer text", "untouched"] {
        client.publish("t", payload).unwrap();
    }
    for expected in ["a  here", "", "untouched"] {
        let message = stream.next_timeout(PATIENCE).unwrap().unwrap();
        assert_eq!(data(&message), expected);
    }
}

#[test]
fn q1_a_command_that_is_posted_is_changed_as_well() {
    let broker = broker();
    let client = logged_on(&broker, "redirected");
    replace(&client, Direction::Outgoing, "alias", "orders");
    client.publish("alias", r#"{"id":1}"#).unwrap();
    client.publish_flush(PATIENCE).unwrap();
    assert_eq!(client.sow("alias").unwrap().count(), 3);
    let _stream = client.subscribe("alias").unwrap();
    assert_eq!(broker.subscription_count("orders"), 1);
}

#[test]
fn q1_an_emptied_frame_is_dropped() {
    let broker = broker();
    let client = logged_on(&broker, "censored");
    let mut stream = client.subscribe("t").unwrap();
    client.set_transport_filter(|direction, frame| {
        let hidden: &[u8] = match direction {
            Direction::Incoming => b"secret",
            Direction::Outgoing => b"unsent",
        };
        if frame.ends_with(hidden) {
            frame.clear();
        }
    });
    for payload in ["1", "secret", "unsent", "2"] {
        client.publish("t", payload).unwrap();
    }
    for expected in ["1", "2"] {
        let message = stream.next_timeout(PATIENCE).unwrap().unwrap();
        assert_eq!(data(&message), expected);
    }
    assert_eq!(broker.published_count("t"), 3);
}

#[test]
fn q1_a_filter_that_panics_leaves_the_frame_unchanged_and_the_listener_is_told() {
    let broker = broker();
    let client = logged_on(&broker, "panicking");
    let told = exceptions(&client);
    let mut stream = client.subscribe("t").unwrap();
    client.set_transport_filter(|direction, frame| {
        if frame.ends_with(b"bad") {
            frame.clear();
            panic!("{direction:?} on purpose");
        }
    });
    for payload in ["bad", "good"] {
        client.publish("t", payload).unwrap();
    }
    for expected in ["bad", "good"] {
        let message = stream.next_timeout(PATIENCE).unwrap().unwrap();
        assert_eq!(data(&message), expected);
    }
    let mut errors = [(); 2].map(|()| told.recv_timeout(PATIENCE).unwrap());
    // Two threads tell of them.
    errors.sort();
    for (error, way) in errors.iter().zip(["Incoming", "Outgoing"]) {
        let beginning = "handler failed: run the transport filter";
        assert!(
            error.starts_with(beginning) && error.contains(way),
            "{error}"
        );
    }
}

#[test]
fn q1_a_filter_cannot_call_its_client_and_does_not_hang() {
    let broker = broker();
    let client = logged_on(&broker, "reentrant");
    let other = logged_on(&broker, "other");
    let mut stream = client.subscribe("t").unwrap();
    let dropped = client.subscribe("dropped").unwrap();
    let (weak, errors) = (client.downgrade(), Arc::new(Mutex::new(Vec::new())));
    let (told, mut dropped) = (errors.clone(), Some(dropped));
    client.set_transport_filter(move |direction, _| {
        let (client, first) = (weak.upgrade().unwrap(), told.lock().is_empty());
        if first || direction == Direction::Incoming {
            let results = [
                client.publish("t", "x").map(drop),
                client.execute(Command::new("flush")).map(drop),
                client.subscribe("t").map(drop),
                client.ack("t", "1|1|", None),
                client.disconnect(),
            ];
            told.lock().extend(results.map(Result::unwrap_err));
            // This tells the server, when the filter has returned.
            drop(dropped.take_if(|_| direction == Direction::Incoming));
            // Another client is another matter.
            other.publish("elsewhere", "x").unwrap();
        }
    });
    client.publish("t", "fine").unwrap();
    let message = stream.next_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!(data(&message), "fine");
    assert!(broker.wait_until(PATIENCE, |state| state.subscription_count("dropped") == 0));
    client.clear_transport_filter();
    let errors = errors.lock();
    assert!(errors.len() >= 10);
    for error in errors.iter() {
        assert!(matches!(error, Error::Usage(_)), "{error}");
    }
}

#[test]
fn q1_a_filter_cannot_change_the_filter_and_does_not_hang() {
    let broker = broker();
    let client = logged_on(&broker, "replacing");
    let told = exceptions(&client);
    let (weak, calls) = (client.downgrade(), Arc::new(Mutex::new(0)));
    let counted = calls.clone();
    client.set_transport_filter(move |_, _| {
        *counted.lock() += 1;
        let client = weak.upgrade().unwrap();
        client.clear_transport_filter();
        client.set_transport_filter(|_, frame| frame.clear());
    });
    let (done, is_done) = std::sync::mpsc::channel();
    let publisher = client.clone();
    std::thread::spawn(move || done.send(publisher.publish_flush(PATIENCE)));
    is_done.recv_timeout(PATIENCE).unwrap().unwrap();
    for _ in 0..4 {
        let error = told.recv_timeout(PATIENCE).unwrap();
        assert!(error.contains("transport filter"), "{error}");
    }
    // Out and in.
    assert_eq!(*calls.lock(), 2);
}

#[test]
fn q1_a_filter_cannot_set_a_heartbeat_and_does_not_wait_for_its_answer() {
    let (client, mut peer) = with_peer("beating");
    let told = exceptions(&client);
    let weak = client.downgrade();
    client.set_transport_filter(move |_, _| {
        weak.upgrade().unwrap().set_heartbeat(PATIENCE);
    });
    let start = Instant::now();
    client.publish("t", "x").unwrap();
    assert!(start.elapsed() < PATIENCE / 2);
    let error = told.recv_timeout(PATIENCE).unwrap();
    assert!(error.contains("transport filter"), "{error}");
    assert_eq!(field(&peer.expect_frame().unwrap(), "c"), "p");
}

#[test]
fn the_beats_of_a_stalled_connection_are_filtered_once() {
    let (client, mut peer) = with_peer("once");
    let seen = record(&client);
    for _ in 0..100 {
        peer.send(r#"{"c":"heartbeat","o":"beat"}"#).unwrap();
    }
    for _ in 0..100 {
        assert_eq!(field(&peer.expect_frame().unwrap(), "c"), "heartbeat");
    }
    let seen = seen.lock();
    let out = seen.iter().filter(|(way, _)| *way == Direction::Outgoing);
    assert_eq!(out.count(), 100);
}
