//! Rules N: finding out that a server is gone.

use crate::{PATIENCE, SILENCE, during, exceptions, logged_on, start, with_peer};
use amps::{Client, ConnectionState, Error};
use amps_broker::{Broker, Peer, PeerConnection, field};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Sets a heartbeat on a client that is logged on to a peer, which agrees.
fn agree(client: &Client, peer: &mut PeerConnection, interval: Duration, idle: Duration) -> String {
    let mut sent = String::new();
    during(
        || client.set_heartbeat_with_timeout(interval, idle),
        || sent = peer.acknowledge("processed").unwrap(),
    );
    sent
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn n1_the_interval_goes_out_in_whole_seconds() {
    let (client, mut peer) = with_peer("rounding");
    let sent = agree(&client, &mut peer, Duration::from_millis(1001), PATIENCE);
    assert_eq!(field(&sent, "c"), "heartbeat");
    assert_eq!(field(&sent, "o"), "start,2");
    assert_eq!(field(&sent, "a"), "processed");
}

#[test]
fn n2_each_beat_of_the_server_is_answered() {
    let (client, mut peer) = with_peer("answering");
    agree(&client, &mut peer, SECOND, PATIENCE);
    for _ in 0..3 {
        peer.send(r#"{"c":"heartbeat"}"#).unwrap();
        assert_eq!(
            peer.expect_frame().unwrap(),
            r#"{"c":"heartbeat","o":"beat"}"#
        );
    }
}

#[test]
fn n2_a_broker_keeps_a_client_that_answers() {
    let broker = start(Broker::builder().record_frames(true));
    let client = logged_on(&broker, "alive");
    let told = exceptions(&client);
    client.set_heartbeat(SECOND);
    let beats = || {
        let frames = broker.frames_from("alive");
        let beat = |frame: &&Vec<u8>| frame.ends_with(br#""o":"beat"}"#);
        frames.iter().filter(beat).count()
    };
    crate::eventually("the client answered two beats", || beats() >= 2);
    client.publish_flush(PATIENCE).unwrap();
    assert!(told.try_recv().is_err());
}

#[test]
fn n3_silence_for_the_idle_period_is_a_loss() {
    let (client, mut peer) = with_peer("silent");
    let told = exceptions(&client);
    agree(&client, &mut peer, SECOND, Duration::from_millis(100));
    let error = told.recv_timeout(PATIENCE).unwrap();
    assert!(error.contains("nothing has come for 100ms"), "{error}");
    // Trap 10: the connection is closed, not only reported.
    assert!(!client.is_connected());
    assert_eq!(peer.read_frame().ok().flatten(), None);
    let error = client.publish("t", "x").unwrap_err();
    assert!(matches!(error, Error::Disconnected(_)), "{error}");
}

#[test]
fn n3_a_server_that_falls_silent_between_logon_and_heartbeat_is_found_out() {
    let peer = Peer::listen().unwrap();
    let client = Client::new("abandoned");
    client.set_heartbeat_with_timeout(SECOND, Duration::from_millis(50));
    client.connect(peer.uri("json")).unwrap();
    let mut connection = peer.accept().unwrap();
    let logon = during(|| client.logon(), || connection.answer_logon().unwrap());
    assert!(matches!(logon, Err(Error::Disconnected(_))), "{logon:?}");
    assert!(!client.is_connected());
}

#[test]
fn n3_a_server_that_is_silent_when_a_heartbeat_is_asked_for_is_found_out() {
    let (client, _peer) = with_peer("abandoned");
    let told = exceptions(&client);
    client.set_heartbeat_with_timeout(SECOND, Duration::from_millis(50));
    let told = [(); 2].map(|()| told.recv_timeout(PATIENCE).unwrap());
    let reason = "no heartbeat: nothing has come for 50ms";
    assert!(told.iter().any(|told| told.contains(reason)), "{told:?}");
}

#[test]
fn n3_any_traffic_counts_as_life() {
    let (client, mut peer) = with_peer("chatty");
    let told = exceptions(&client);
    agree(&client, &mut peer, SECOND, Duration::from_millis(400));
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(1200) {
        peer.send(r#"{"c":"p","t":"t","sids":"nobody"}"#).unwrap();
        thread::sleep(SILENCE);
    }
    assert!(client.is_connected());
    assert!(told.try_recv().is_err());
}

#[test]
fn n3_without_a_heartbeat_silence_is_no_loss() {
    let (client, mut peer) = with_peer("off");
    agree(&client, &mut peer, SECOND, Duration::from_millis(200));
    client.set_heartbeat(Duration::ZERO);
    // The receive thread looks at the limit before its next read.
    peer.send(r#"{"c":"heartbeat"}"#).unwrap();
    peer.expect_frame().unwrap();
    thread::sleep(Duration::from_millis(300));
    assert!(client.is_connected());
}

#[test]
fn n3_a_heartbeat_that_is_turned_off_or_slower_ends_the_wait_that_has_begun() {
    for slower in [Duration::ZERO, PATIENCE] {
        let (client, mut peer) = with_peer("relaxed");
        let told = exceptions(&client);
        agree(&client, &mut peer, SECOND, Duration::from_millis(200));
        // Sent, but not answered: nothing at all comes in.
        thread::scope(|scope| {
            scope.spawn(|| client.set_heartbeat_with_timeout(slower, slower));
            thread::sleep(Duration::from_millis(500));
            assert!(client.is_connected(), "{slower:?}: {:?}", told.try_recv());
            drop(peer);
        });
    }
}

#[test]
fn n4_a_heartbeat_set_before_connecting_is_agreed_on_after_each_logon() {
    let peer = Peer::listen().unwrap();
    let client = Client::new("early");
    let (sender, states) = mpsc::channel();
    client.add_connection_state_listener(move |state| {
        let _ = sender.send(state);
    });
    client.set_heartbeat(SECOND);
    // Trap 11: the setting survives a disconnect.
    for _ in 0..2 {
        client.connect(peer.uri("json")).unwrap();
        let mut connection = peer.accept().unwrap();
        during(
            || client.logon(),
            || {
                connection.answer_logon().unwrap();
                let sent = connection.acknowledge("processed").unwrap();
                assert_eq!(field(&sent, "o"), "start,1");
            },
        )
        .unwrap();
        let end = || drop(connection.finish().unwrap());
        during(|| client.disconnect(), end).unwrap();
    }
    let states = states.try_iter().collect::<Vec<_>>();
    let once = [
        ConnectionState::Connected,
        ConnectionState::LoggedOn,
        ConnectionState::HeartbeatInitiated,
        ConnectionState::Shutdown,
        ConnectionState::Disconnected,
    ];
    assert_eq!(states, [once, once].concat());
}

#[test]
fn n6_a_refused_heartbeat_is_told_and_does_no_harm() {
    let (client, mut peer) = with_peer("refused");
    let told = exceptions(&client);
    during(
        || client.set_heartbeat_with_timeout(SECOND, Duration::from_millis(50)),
        || {
            let frame = peer.expect_frame().unwrap();
            let id = field(&frame, "cid");
            peer.send(&format!(
                r#"{{"c":"ack","cid":"{id}","a":"processed","status":"failure","reason":"not entitled"}}"#
            ))
            .unwrap();
        },
    );
    let error = told.recv_timeout(PATIENCE).unwrap();
    assert!(
        error.starts_with("not entitled: start a heartbeat"),
        "{error}"
    );
    peer.send(r#"{"c":"heartbeat"}"#).unwrap();
    peer.expect_frame().unwrap();
    thread::sleep(Duration::from_millis(150));
    assert!(client.is_connected());
}

#[test]
fn a_publisher_stuck_on_a_dead_peer_is_freed_by_the_heartbeat() {
    let (client, mut peer) = with_peer("stuck");
    let told = exceptions(&client);
    agree(&client, &mut peer, SECOND, Duration::from_millis(300));
    let payload = vec![b'x'; 64 << 10];
    let error = loop {
        if let Err(error) = client.publish("t", &payload) {
            break error;
        }
    };
    assert!(matches!(error, Error::Disconnected(_)), "{error}");
    told.recv_timeout(PATIENCE).unwrap();
    assert!(!client.is_connected());
}
