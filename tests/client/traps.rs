//! Known defects of other clients which the tests of the rules do not show by themselves. All of
//! them, and the test of each, are in `docs/status.md`.

use crate::recovery::Server;
use crate::{
    PATIENCE, broker, channel, data, during, eventually, exceptions, logged_on, start, with_peer,
};
use amps::{Client, Command, ConnectionState, Error, MemorySubscriptionManager, Message};
use amps_broker::{Broker, Peer, PeerConnection, field};
use parking_lot::Mutex;
use std::cell::RefCell;
use std::error::Error as _;
use std::io::Write;
use std::net::TcpListener;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn subscribe(sub_id: &str) -> Command {
    Command::new("subscribe")
        .set_topic("t")
        .set_sub_id(sub_id)
        .set_timeout(PATIENCE)
}

/// True once the handler behind a receiver is gone.
fn is_dropped(messages: &mpsc::Receiver<Message>) -> bool {
    matches!(
        messages.recv_timeout(PATIENCE),
        Err(mpsc::RecvTimeoutError::Disconnected)
    )
}

#[test]
fn trap_6_a_dial_that_fails_half_way_is_no_connection() {
    let broker = broker();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        // The socket is open; what comes after it fails.
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 503 Busy\r\n\r\n").unwrap();
        stream
    });
    let client = Client::new("half-way");
    let error = client
        .connect(format!("tcp://{address}/amps/json?http_preflight=true"))
        .unwrap_err();
    assert!(matches!(error, Error::Connection(_)), "{error}");
    let half_open = server.join().unwrap();
    assert!(!client.is_connected());
    assert!(matches!(client.logon(), Err(Error::Disconnected(_))));
    let error = client.publish("t", "x").unwrap_err();
    assert!(matches!(error, Error::Disconnected(_)), "{error}");
    client.connect(broker.uri("json")).unwrap();
    client.logon().unwrap();
    drop(half_open);
    client.publish_flush(PATIENCE).unwrap();
}

thread_local! {
    /// Tells that its thread has ended.
    static ENDS: RefCell<Option<mpsc::Sender<()>>> = const { RefCell::new(None) };
}

#[test]
fn trap_9_no_heartbeat_outlives_its_connection() {
    for is_deliberate in [true, false] {
        let (sender, ended) = mpsc::channel::<()>();
        let sender = Mutex::new(Some(sender));
        let peer = Peer::listen().unwrap();
        let client = Client::new("timer");
        let told = exceptions(&client);
        client.set_thread_created_callback(move || {
            ENDS.with(|ends| *ends.borrow_mut() = sender.lock().take());
        });
        client.set_heartbeat_with_timeout(SECOND, PATIENCE);
        client.connect(peer.uri("json")).unwrap();
        let mut connection = peer.accept().unwrap();
        during(
            || client.logon(),
            || {
                connection.answer_logon().unwrap();
                connection.acknowledge("processed").unwrap();
            },
        )
        .unwrap();
        if is_deliberate {
            let end = || drop(connection.finish().unwrap());
            during(|| client.disconnect(), end).unwrap();
        } else {
            connection.close();
            let error = told.recv_timeout(PATIENCE).unwrap();
            assert!(error.contains("closed"), "{error}");
        }
        // The limit lives in the reads of the connection's thread, which has ended: nothing is left
        // that could find a silence.
        assert_eq!(
            ended.recv_timeout(PATIENCE),
            Err(mpsc::RecvTimeoutError::Disconnected)
        );
        assert!(told.try_recv().is_err());
    }
}

#[test]
fn trap_12_a_state_listener_may_call_the_client() {
    let broker = broker();
    let client = Client::new("asked");
    let weak = client.downgrade();
    let (sender, seen) = mpsc::channel();
    client.add_connection_state_listener(move |state| {
        let Some(client) = weak.upgrade() else { return };
        let id = client.add_connection_state_listener(|_| ());
        client.remove_connection_state_listener(id);
        client.set_default_max_depth(7);
        if client.is_logged_on() {
            client.unsubscribe("nobody").unwrap();
            client.publish("t", "x").unwrap();
        }
        let facts = (client.is_connected(), client.is_logged_on());
        let _ = (client.connection_info(), client.stats(), client.uri());
        let _ = sender.send((state, facts));
    });
    client.connect(broker.uri("json")).unwrap();
    client.logon().unwrap();
    client.disconnect().unwrap();
    let connected = (ConnectionState::Connected, (true, false));
    let logged_on = (ConnectionState::LoggedOn, (true, true));
    let seen = seen.try_iter().collect::<Vec<_>>();
    assert_eq!(seen[..2], [connected, logged_on]);
    assert_eq!(
        seen.last(),
        Some(&(ConnectionState::Disconnected, (false, false)))
    );
}

#[test]
fn trap_28_a_loss_between_registration_and_sending_leaves_no_route() {
    let (client, peer) = with_peer("between");
    let weak = client.downgrade();
    let peer = Mutex::new(Some(peer));
    client.set_transport_filter(move |_, frame| {
        if !frame.starts_with(br#"{"c":"subscribe""#) {
            return;
        }
        // The route is there, and nothing has been written. The connection goes away now.
        if let Some(client) = weak.upgrade()
            && peer.lock().take().is_some()
        {
            eventually("the loss is noticed", || !client.is_connected());
        }
    });
    let (handler, messages) = channel();
    let error = client.execute_async(subscribe("s"), handler).unwrap_err();
    assert!(matches!(error, Error::Disconnected(_)), "{error}");
    assert!(is_dropped(&messages));
    let broker = broker();
    client.connect(broker.uri("json")).unwrap();
    client.logon().unwrap();
    assert_eq!(
        client.execute_async_no_handler(subscribe("s")).unwrap(),
        "s",
        "the id is free"
    );
    // Nor is one left by a command that has no connection to begin with.
    client.disconnect().unwrap();
    let (handler, messages) = channel();
    let error = client.execute_async(subscribe("s"), handler).unwrap_err();
    assert!(matches!(error, Error::Disconnected(_)), "{error}");
    assert!(is_dropped(&messages));
}

#[test]
fn trap_30_unsubscribing_by_subscription_id_removes_the_query_as_well() {
    let (client, mut peer) = with_peer("both-routes");
    let (last_chance, nobodys) = channel();
    client.set_last_chance_message_handler(last_chance);
    let command = Command::new("sow_and_subscribe")
        .set_topic("t")
        .set_sub_id("s")
        .set_query_id("q")
        .set_timeout(PATIENCE);
    let accept = |peer: &mut PeerConnection| drop(peer.acknowledge("processed").unwrap());
    let (handler, messages) = channel();
    during(
        || client.execute_async(command.clone(), handler),
        || accept(&mut peer),
    )
    .unwrap();
    client.unsubscribe("s").unwrap();
    assert!(is_dropped(&messages));
    peer.expect_frame().unwrap();
    peer.send(r#"{"c":"group_begin","query_id":"q"}"#).unwrap();
    let unrouted = nobodys.recv_timeout(PATIENCE).unwrap();
    assert_eq!(unrouted.query_id(), "q");
    // Both ids are free.
    let (handler, messages) = channel();
    during(
        || client.execute_async(command, handler),
        || accept(&mut peer),
    )
    .unwrap();
    peer.send(r#"{"c":"group_begin","query_id":"q"}"#).unwrap();
    assert_eq!(messages.recv_timeout(PATIENCE).unwrap().query_id(), "q");
}

#[test]
fn trap_47_a_completed_stream_hands_out_what_is_queued_and_then_ends_without_a_timeout() {
    let broker = broker();
    let client = logged_on(&broker, "complete");
    for id in 0..25 {
        client
            .publish("orders", format!(r#"{{"id":{id}}}"#))
            .unwrap();
    }
    let mut stream = client.sow("orders").unwrap();
    eventually("all of it is queued", || stream.depth() == 27);
    let mut count = 0;
    while let Some(_message) = stream.next_timeout(Duration::from_nanos(1)).unwrap() {
        count += 1;
    }
    assert_eq!(count, 27);
    assert!(matches!(
        stream.next_timeout(Duration::from_nanos(1)),
        Ok(None)
    ));
}

#[test]
fn trap_93_trap_97_a_command_that_waits_holds_nobody_up_and_is_ended_by_nobody_else() {
    let (client, mut peer) = with_peer("waiting");
    let result = during(
        || client.publish_flush(PATIENCE),
        || {
            let flush = peer.expect_frame().unwrap();
            // Another thread publishes, the receive thread answers a beat.
            client.publish("t", "x").unwrap();
            assert_eq!(peer.expect_frame().unwrap(), r#"{"c":"p","t":"t"}x"#);
            peer.send(r#"{"c":"heartbeat"}"#).unwrap();
            let beat = peer.expect_frame().unwrap();
            assert_eq!(beat, r#"{"c":"heartbeat","o":"beat"}"#);
            // A second one waits and times out, a third cannot be sent.
            let late = client.publish_flush(Duration::from_millis(20));
            assert!(matches!(late, Err(Error::TimedOut(_))), "{late:?}");
            assert!(client.publish("", "x").is_err());
            client.unsubscribe("whatever").unwrap();
            let id = field(&flush, "cid");
            peer.send(&format!(
                r#"{{"c":"ack","cid":"{id}","a":"completed","status":"success"}}"#
            ))
            .unwrap();
        },
    );
    result.unwrap();
}

#[test]
fn trap_94_after_a_write_error_the_disconnect_handler_may_connect() {
    let broker = broker();
    let (client, mut peer) = with_peer("write-error");
    let (release, released) = mpsc::channel::<()>();
    let (entered, is_entered) = mpsc::channel();
    let handler = move |_: &Message| {
        let _ = entered.send(());
        let _ = released.recv_timeout(PATIENCE);
    };
    during(
        || client.execute_async(subscribe("s"), handler),
        || drop(peer.acknowledge("processed").unwrap()),
    )
    .unwrap();
    let uri = broker.uri("json");
    let (sender, outcome) = mpsc::channel();
    client.set_disconnect_handler(move |client| {
        client.connect(&uri)?;
        client.logon()?;
        client.publish("back", "x")?;
        let _ = sender.send(());
        Ok(())
    });
    // The receive thread is busy, so that the publisher finds the connection broken.
    peer.send(r#"{"c":"p","t":"t","sids":"s"}x"#).unwrap();
    is_entered.recv_timeout(PATIENCE).unwrap();
    drop(peer);
    let payload = vec![b'x'; 64 << 10];
    let error = loop {
        if let Err(error) = client.publish("t", &payload) {
            break error;
        }
    };
    assert!(matches!(error, Error::Disconnected(_)), "{error}");
    release.send(()).unwrap();
    outcome.recv_timeout(PATIENCE).unwrap();
    assert!(broker.wait_for_published("back", 1, PATIENCE));
    eventually("the client is back", || client.is_logged_on());
}

#[test]
fn trap_96_a_wrapped_error_keeps_its_kind() {
    let broker = broker();
    let client = logged_on(&broker, "wrapped");
    let other = logged_on(&broker, "other");
    let (sender, told) = mpsc::channel();
    client.set_exception_listener(move |error: &Error| {
        let inner = error.source().and_then(|source| source.downcast_ref());
        let is_bad_topic = matches!(inner, Some(Error::BadRegexTopic(_)));
        let _ = sender.send((matches!(error, Error::Handler(_)), is_bad_topic));
    });
    // A reason in the words of another kind changes nothing.
    let handler = move |_: &Message| other.subscribe("(not entitled").map(drop);
    client.subscribe_async(handler, "t", None).unwrap();
    client.publish("t", "x").unwrap();
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), (true, true));
}

#[test]
fn trap_98_what_asks_not_to_come_back_does_not_after_a_loss_on_its_way() {
    for is_retried in [false, true] {
        let server = Server::start();
        let client = Client::new("not-back");
        let manager = Arc::new(MemorySubscriptionManager::new());
        client.set_subscription_manager(manager.clone()).unwrap();
        client.set_retry_on_disconnect(is_retried);
        let uri = server.uri();
        client.set_disconnect_handler(move |client| {
            client.connect(&uri)?;
            client.logon()
        });
        let next = || {
            let mut peer = server.accept();
            server.answer(&mut peer, None);
            peer
        };
        let mut peer = server.logon(&client);
        let (handler, _messages) = channel();
        let outcome = during(
            || client.execute_async_no_resubscribe(subscribe("s"), handler),
            || {
                peer.expect_frame().unwrap();
                peer.close();
                peer = next();
                if is_retried {
                    peer.acknowledge("processed").unwrap();
                }
            },
        );
        assert_eq!(outcome.is_ok(), is_retried, "{outcome:?}");
        if is_retried {
            peer.close();
            peer = next();
        }
        assert!(manager.sub_ids().is_empty());
        eventually("it is back", || client.is_logged_on());
        client.publish("t", "marker").unwrap();
        let frame = peer.expect_frame().unwrap();
        assert!(frame.ends_with("marker"), "entered again: {frame}");
    }
}

#[test]
fn trap_38_records_that_are_kept_do_not_change() {
    let broker = start(Broker::builder());
    let client = logged_on(&broker, "records");
    for id in 0..500 {
        let record = format!(r#"{{"id":{id},"text":"{}"}}"#, id.to_string().repeat(10));
        client.publish("orders", record).unwrap();
    }
    let (handler, messages) = channel();
    let query = Command::new("sow").set_topic("orders").set_batch_size(7);
    client.execute_async(query, handler).unwrap();
    let kept = messages.iter().collect::<Vec<_>>();
    // More traffic through the same buffers.
    assert_eq!(client.sow("orders").unwrap().count(), 502);
    assert_eq!(kept.len(), 502);
    for message in &kept[1..501] {
        let fields = message.json::<serde_json::Value>().unwrap();
        let id = fields["id"].to_string();
        assert_eq!(fields["text"], id.repeat(10), "{}", data(message));
        assert!(!message.sow_key().is_empty());
        assert_eq!(message.topic(), "orders");
    }
}
