//! What tests do to the broker.

use crate::peer::{PATIENCE, Peer};
use amps_broker::{Broker, BrokerError};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

#[test]
fn a_disconnected_client_sees_the_end_and_is_forgotten_at_once() {
    let broker = Broker::builder().start().unwrap();
    let mut peer = Peer::named(&broker, "a");
    peer.subscribe("1", "orders");
    let mut other = Peer::named(&broker, "b");
    assert_eq!(broker.disconnect_client("nobody"), 0);
    assert_eq!(broker.disconnect_client("a"), 1);
    assert_eq!(broker.client_names(), ["b"]);
    assert_eq!(broker.subscription_count("orders"), 0);
    peer.expect_end();
    other.expect_nothing();
}

#[test]
fn a_stalled_client_is_not_heard_until_it_is_resumed() {
    let broker = Broker::builder().start().unwrap();
    let mut stalled = Peer::named(&broker, "stalled");
    let mut other = Peer::named(&broker, "other");
    assert_eq!(broker.stall_client("stalled"), 1);
    stalled.send(r#"{"c":"p","t":"orders"}1"#);
    other.send(r#"{"c":"p","t":"trades"}1"#);
    assert!(broker.wait_for_published("trades", 1, PATIENCE));
    assert!(!broker.wait_for_published("orders", 1, Duration::from_millis(50)));
    assert_eq!(broker.resume_client("stalled"), 1);
    assert!(broker.wait_for_published("orders", 1, PATIENCE));
}

#[test]
fn the_writes_of_a_stalled_client_block_in_the_end() {
    let broker = Broker::builder().start().unwrap();
    let mut stalled = Peer::named(&broker, "stalled");
    broker.stall_client("stalled");
    stalled
        .socket
        .set_write_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let chunk = vec![0; 1 << 20];
    let mut written = 0;
    while stalled.socket.write(&chunk).is_ok() {
        written += 1;
        assert!(written < 1000, "everything is taken");
    }
}

#[test]
fn a_muted_client_gets_what_it_missed_when_it_is_unmuted() {
    let broker = Broker::builder().start().unwrap();
    let mut muted = Peer::named(&broker, "muted");
    muted.subscribe("1", "orders");
    assert_eq!(broker.mute_client("muted"), 1);
    muted.send(r#"{"c":"p","t":"orders"}1"#);
    assert!(broker.wait_for_published("orders", 1, PATIENCE));
    muted
        .socket
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    let mut byte = [0];
    assert!(muted.socket.peek(&mut byte).is_err(), "nothing arrives");
    muted.socket.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(broker.unmute_client("muted"), 1);
    muted.expect(r#"{"c":"p","t":"orders","sids":"1"}1"#);
}

#[test]
fn raw_bytes_arrive_as_they_are() {
    let broker = Broker::builder().start().unwrap();
    let mut peer = Peer::named(&broker, "a");
    assert_eq!(broker.send_raw("a", b"\0\0\0\x05hello"), 1);
    peer.expect("hello");
}

#[test]
fn a_listener_stops_and_comes_back_on_its_port_while_connections_stay() {
    let broker = Broker::builder().start().unwrap();
    let mut peer = Peer::named(&broker, "a");
    for _ in 0..3 {
        broker.stop_listening();
        broker.stop_listening();
        assert!(TcpStream::connect(broker.address()).is_err());
        peer.expect_nothing();
        broker.restart_listening().unwrap();
        broker.restart_listening().unwrap();
        Peer::named(&broker, "b").expect_nothing();
    }
    assert!(broker.uri("json").contains(&broker.address().to_string()));
}

#[test]
fn a_taken_port_or_a_wrong_address_is_an_error_that_names_it() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    for address in [
        holder.local_addr().unwrap().to_string(),
        "nonsense".to_owned(),
    ] {
        let error = Broker::builder()
            .listen(&*address)
            .start()
            .map(drop)
            .unwrap_err();
        assert!(matches!(error, BrokerError::Listen { .. }));
        assert!(error.to_string().contains(&address), "{error}");
        assert!(std::error::Error::source(&error).is_some());
    }
}

#[test]
fn a_topic_that_cannot_work_is_an_error_that_names_it() {
    use amps_broker::TopicConfig;
    let twice = Broker::builder()
        .sow_topic("x", ["/id"])
        .sow_topic("x", ["/id"]);
    let path = Broker::builder().sow_topic("x", ["id"]);
    let none = Broker::builder().sow_topic("x", Vec::<String>::new());
    let kind = Broker::builder().topic(TopicConfig::sow_with_explicit_keys("x").message_type("?"));
    for builder in [twice, path, none, kind] {
        let error = builder.start().map(drop).unwrap_err();
        assert!(
            matches!(&error, BrokerError::Topic { topic, .. } if topic == "x"),
            "{error}"
        );
    }
    assert!(Broker::builder().message_types([""; 0]).start().is_err());
}

#[test]
fn recorded_frames_are_those_that_were_sent_also_after_the_end() {
    let broker = Broker::builder().record_frames(true).start().unwrap();
    let mut peer = Peer::named(&broker, "a");
    let mut other = Peer::named(&broker, "b");
    peer.send(r#"{ "c" : "p","t":"orders"}{"id":1}"#);
    peer.expect_nothing();
    other.expect_nothing();
    drop(peer);
    assert!(broker.wait_until(PATIENCE, |state| state.connection_count() == 1));
    let frames = broker
        .frames_from("a")
        .into_iter()
        .map(|frame| String::from_utf8(frame).unwrap())
        .collect::<Vec<_>>();
    assert_eq!(
        frames,
        [
            r#"{"c":"logon","cid":"0","client_name":"a","mt":"json","a":"processed"}"#,
            r#"{ "c" : "p","t":"orders"}{"id":1}"#,
            r#"{"c":"flush","cid":"fence","a":"completed"}"#,
        ]
    );
}

#[test]
fn waiting_ends_when_the_state_is_there_and_at_its_deadline() {
    let broker = Broker::builder().start().unwrap();
    let start = Instant::now();
    assert!(!broker.wait_for_client("a", Duration::from_millis(30)));
    assert!(start.elapsed() >= Duration::from_millis(30));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut peer = Peer::named(&broker, "a");
            peer.subscribe("7", "orders");
            assert!(broker.wait_until(PATIENCE, |state| state.published_count("done") == 1));
        });
        assert!(broker.wait_for_client("a", PATIENCE));
        assert!(broker.wait_for_subscription("orders", PATIENCE));
        assert!(broker.wait_until(PATIENCE, |state| state.has_subscription("a", "7")));
        Peer::named(&broker, "b").send(r#"{"c":"p","t":"done"}1"#);
    });
}
