//! Rules A and B: connecting and disconnecting.

use crate::{PATIENCE, broker, during, eventually, logged_on, with_peer};
use amps::{Client, ConnectionState, Error};
use amps_broker::Peer;
use parking_lot::Mutex;
use std::error::Error as _;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn b1_connecting_twice_is_an_error_and_leaves_the_connection_alone() {
    let broker = broker();
    let client = logged_on(&broker, "twice");
    let error = client.connect(broker.uri("json")).unwrap_err();
    assert!(matches!(error, Error::AlreadyConnected(_)), "{error}");
    assert!(error.to_string().contains("connected to tcp://127.0.0.1"));
    client.publish("x", "y").unwrap();
    client.publish_flush(PATIENCE).unwrap();
}

#[test]
fn b2_a_refused_port_names_the_server_and_keeps_the_system_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = Client::new("refused");
    client.set_disconnect_handler(|_| panic!("a failed connect calls no disconnect handler"));
    let error = client
        .connect(format!("tcp://ana:s3cret@{address}/amps/json"))
        .unwrap_err();
    assert!(matches!(error, Error::ConnectionRefused(_)), "{error}");
    assert!(error.to_string().contains(&address.to_string()));
    assert!(!error.to_string().contains("s3cret"));
    assert!(error.source().unwrap().is::<std::io::Error>());

    assert!(!client.is_connected());
    let broker = broker();
    client.connect(broker.uri("json")).unwrap();
}

#[test]
fn b2_a_host_that_does_not_resolve_is_refused() {
    let client = Client::new("unresolved");
    client.set_connect_timeout(Duration::from_secs(5));
    let error = client
        .connect("tcp://no-such-host.invalid:9007/amps/json")
        .unwrap_err();
    let told = matches!(error, Error::ConnectionRefused(_) | Error::TimedOut(_));
    assert!(told, "{error}");
    assert!(error.to_string().contains("no-such-host.invalid"));
}

/// A listener whose queue of unaccepted connections is full: further dials are never answered.
fn black_hole() -> (socket2::Socket, Vec<socket2::Socket>, String) {
    use socket2::{Domain, SockAddr, Socket, Type};
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: SockAddr = "127.0.0.1:0"
        .parse::<std::net::SocketAddr>()
        .unwrap()
        .into();
    listener.bind(&any).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let waiting = (0..3)
        .map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&address);
            socket
        })
        .collect();
    let uri = format!("tcp://{}/amps/json", address.as_socket().unwrap());
    (listener, waiting, uri)
}

/// Trap 5.
#[test]
fn b2_a_black_holed_address_times_out() {
    let (_listener, _waiting, uri) = black_hole();
    let client = Client::new("patient");
    client.set_connect_timeout(Duration::from_millis(200));
    let start = Instant::now();
    let error = client.connect(&uri).unwrap_err();
    assert!(matches!(error, Error::TimedOut(_)), "{error}");
    assert!(start.elapsed() < PATIENCE);
    assert!(error.to_string().contains(&uri));
}

#[test]
fn a_dial_ends_at_once_when_another_thread_disconnects() {
    let (_listener, _waiting, uri) = black_hole();
    let client = Client::new("impatient");
    client.set_connect_timeout(Duration::from_secs(60));
    thread::scope(|scope| {
        let dial = scope.spawn(|| client.connect(&uri));
        // Disconnecting before the dial has begun does nothing, so it is repeated.
        eventually("the dial ends", || {
            client.disconnect().unwrap();
            dial.is_finished()
        });
        let error = dial.join().unwrap().unwrap_err();
        assert!(matches!(error, Error::Disconnected(_)), "{error}");
    });
    assert!(!client.is_connected());
}

#[test]
fn b3_the_thread_announces_itself_before_any_message_is_handled() {
    let broker = broker();
    let client = Client::new("steps");
    let steps = Arc::new(Mutex::new(Vec::new()));
    let created = steps.clone();
    client.set_thread_created_callback(move || {
        let name = thread::current().name().map(str::to_string);
        created.lock().push(name.unwrap_or_default());
    });
    let states = steps.clone();
    client.add_connection_state_listener(move |state| states.lock().push(format!("{state:?}")));
    client.connect(broker.uri("json")).unwrap();
    assert_eq!(*steps.lock(), ["amps-receive-steps", "Connected"]);
    client.logon().unwrap();
    client.disconnect().unwrap();
    assert_eq!(steps.lock()[2..], ["LoggedOn", "Shutdown", "Disconnected"]);
}

/// Trap 99.
#[test]
fn state_listeners_can_be_removed() {
    let broker = broker();
    let client = Client::new("listeners");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let listener = |label: &'static str| {
        let seen = seen.clone();
        move |state: ConnectionState| seen.lock().push((label, state))
    };
    let first = client.add_connection_state_listener(listener("first"));
    client.add_connection_state_listener(listener("second"));
    assert!(client.remove_connection_state_listener(first));
    assert!(!client.remove_connection_state_listener(first));
    client.connect(broker.uri("json")).unwrap();
    assert_eq!(*seen.lock(), [("second", ConnectionState::Connected)]);
    client.clear_connection_state_listeners();
    client.disconnect().unwrap();
    assert_eq!(seen.lock().len(), 1);
}

/// Trap 13.
#[test]
fn b15_disconnect_is_safe_to_repeat_and_on_a_client_that_never_connected() {
    let client = Client::new("never");
    for _ in 0..3 {
        client.disconnect().unwrap();
    }
    let broker = broker();
    let client = logged_on(&broker, "thrice");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| client.disconnect().unwrap());
        }
    });
    client.close().unwrap();
    assert!(!client.is_connected() && !client.is_logged_on());
    client.connect(broker.uri("json")).unwrap();
    client.logon().unwrap();
}

#[test]
fn b15_disconnect_wakes_waiting_callers_and_calls_no_handler() {
    let (client, mut peer) = with_peer("waiting");
    client.set_disconnect_handler(|_| panic!("disconnect is no loss"));
    let told = crate::exceptions(&client);
    thread::scope(|scope| {
        let flush = scope.spawn(|| client.publish_flush(Duration::ZERO));
        peer.expect_frame().unwrap();
        during(|| client.disconnect(), || drop(peer.finish().unwrap())).unwrap();
        let error = flush.join().unwrap().unwrap_err();
        assert!(matches!(error, Error::Disconnected(_)), "{error}");
    });
    assert!(told.try_recv().is_err());
}

#[test]
fn b15_everything_published_before_disconnect_arrives() {
    let broker = broker();
    let client = logged_on(&broker, "burst");
    // The client receives, too: a socket closed with unread input would drop what it sent.
    let stream = client.subscribe("burst").unwrap();
    for _ in 0..10_000 {
        client.publish("burst", "0123456789").unwrap();
    }
    client.disconnect().unwrap();
    assert!(broker.wait_for_published("burst", 10_000, PATIENCE));
    drop(stream);
}

#[test]
fn b16_settings_and_handlers_outlive_a_connection() {
    let broker = broker();
    let client = logged_on(&broker, "lasting");
    let told = crate::exceptions(&client);
    client.disconnect().unwrap();
    client.connect(broker.uri("json")).unwrap();
    client.logon().unwrap();
    client
        .subscribe_async(|_| Err("no"), "lasting", None)
        .unwrap();
    client.publish("lasting", "x").unwrap();
    assert!(told.recv_timeout(PATIENCE).unwrap().contains("no"));
}

#[test]
fn b17_the_name_is_fixed_while_connected() {
    let broker = broker();
    let client = logged_on(&broker, "before");
    assert!(matches!(client.set_name("after"), Err(Error::Usage(_))));
    client.disconnect().unwrap();
    client.set_name("after").unwrap();
    client.connect(broker.uri("json")).unwrap();
    client.logon().unwrap();
    assert_eq!(broker.client_names(), ["after"]);
}

#[test]
fn without_a_connection_every_call_says_so() {
    let client = Client::new("offline");
    let errors = [
        client.publish("t", "d").unwrap_err(),
        client.delta_publish("t", "d").unwrap_err(),
        client.publish_flush(PATIENCE).unwrap_err(),
        client.logon().unwrap_err(),
        client.subscribe("t").unwrap_err(),
        client.sow("t").unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, Error::Disconnected(_)), "{error}");
        assert!(error.is_connection_error());
    }
    // There is nothing to end, which is what was asked for.
    client.unsubscribe_all().unwrap();
}

/// Trap 8.
#[test]
fn i7_a_late_end_of_an_old_connection_does_not_touch_the_new_one() {
    let broker = broker();
    let peer = Peer::listen().unwrap();
    let client = Client::new("moved");
    client.connect(peer.uri("json")).unwrap();
    let old = peer.accept().unwrap();
    // The old server does not answer our end; it goes away later.
    assert!(client.disconnect().is_err());
    client.connect(broker.uri("json")).unwrap();
    client.logon().unwrap();
    drop(old);
    drop(peer);
    client.publish("x", "y").unwrap();
    client.publish_flush(PATIENCE).unwrap();
    assert!(client.is_logged_on());
}
