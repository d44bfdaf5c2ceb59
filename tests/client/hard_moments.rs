//! A publisher that is stuck, a peer that lies, a loss at the wrong moment.

use crate::{PATIENCE, broker, data, during, exceptions, logged_on, subscribed, with_peer};
use amps::{Client, Command, Error, Message};
use amps_broker::{Peer, framed};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Publishes until the socket takes no more, and reports how the last publish ended.
fn stuck_publisher(client: &Client) -> (thread::JoinHandle<Error>, impl Fn()) {
    use std::sync::Arc;
    let published = Arc::new(AtomicUsize::new(0));
    let (publisher, counted) = (client.clone(), published.clone());
    let thread = thread::spawn(move || {
        let payload = vec![b'x'; 64 << 10];
        loop {
            if let Err(error) = publisher.publish("flood", &payload) {
                return error;
            }
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let wait_until_stuck = move || {
        let mut last = usize::MAX;
        loop {
            let now = published.load(Ordering::Relaxed);
            if now == last && now > 0 {
                return;
            }
            last = now;
            thread::sleep(Duration::from_millis(100));
        }
    };
    (thread, wait_until_stuck)
}

#[test]
fn a_publisher_stuck_in_a_write_does_not_stop_the_receive_thread() {
    let (client, mut peer) = with_peer("stuck");
    let mut stream = subscribed(
        &client,
        &mut peer,
        Command::new("subscribe").set_topic("t").set_sub_id("s"),
    );
    let other = subscribed(
        &client,
        &mut peer,
        Command::new("subscribe").set_topic("t").set_sub_id("o"),
    );
    let (publisher, wait_until_stuck) = stuck_publisher(&client);
    wait_until_stuck();
    // Messages still come in, and what the client itself has to say does not wait.
    peer.send(r#"{"c":"p","t":"t","sids":"s"}through"#).unwrap();
    let message = stream.next_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!(data(&message), "through");
    let start = Instant::now();
    drop(other);
    client.unsubscribe("s").unwrap();
    assert!(start.elapsed() < Duration::from_secs(1));
    // Nor does the publisher outlive a disconnect, which cannot promise that all arrived.
    let error = client.disconnect().unwrap_err();
    assert!(matches!(error, Error::Disconnected(_)), "{error}");
    assert!(start.elapsed() < PATIENCE);
    let error = publisher.join().unwrap();
    assert!(matches!(error, Error::Disconnected(_)), "{error}");
}

#[test]
fn a_command_that_waits_for_no_answer_does_not_wait_for_a_stuck_publisher() {
    let (client, _peer) = with_peer("unhindered");
    let (publisher, wait_until_stuck) = stuck_publisher(&client);
    wait_until_stuck();
    let (done, is_done) = mpsc::channel();
    let caller = client.clone();
    thread::spawn(move || {
        let command = Command::new("unsubscribe").set_sub_id("s");
        done.send(caller.execute_async_no_handler(command))
    });
    is_done.recv_timeout(PATIENCE).unwrap().unwrap();
    let _ = client.disconnect();
    publisher.join().unwrap();
}

#[test]
fn a_stuck_publisher_is_freed_when_the_peer_goes_away() {
    let (client, peer) = with_peer("freed");
    let told = exceptions(&client);
    let (publisher, wait_until_stuck) = stuck_publisher(&client);
    wait_until_stuck();
    drop(peer);
    let error = publisher.join().unwrap();
    assert!(matches!(error, Error::Disconnected(_)), "{error}");
    told.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn a_posted_frame_leaves_when_the_peer_reads_again() {
    let (client, mut peer) = with_peer("resumed");
    let stream = subscribed(
        &client,
        &mut peer,
        Command::new("subscribe").set_topic("t").set_sub_id("s"),
    );
    let (publisher, wait_until_stuck) = stuck_publisher(&client);
    wait_until_stuck();
    drop(stream);
    let unsubscribed = loop {
        let frame = peer.expect_frame().unwrap();
        if frame.starts_with(r#"{"c":"unsubscribe""#) {
            break frame;
        }
    };
    assert!(unsubscribed.contains(r#""sub_id":"s""#));
    peer.close();
    publisher.join().unwrap();
}

#[test]
fn a_posted_frame_that_the_socket_does_not_take_is_finished_without_help() {
    // Nobody publishes: the socket is full, and only the client's own thread can finish.
    let (client, mut peer) = with_peer("own-thread");
    let streams = (0..2000)
        .map(|number| {
            let id = format!("{number}-{}", "s".repeat(8000));
            subscribed(
                &client,
                &mut peer,
                Command::new("subscribe").set_topic("t").set_sub_id(id),
            )
        })
        .collect::<Vec<_>>();
    drop(streams);
    for number in 0..2000 {
        let frame = peer.expect_frame().unwrap();
        assert!(frame.starts_with(r#"{"c":"unsubscribe""#));
        assert!(
            frame.contains(&format!(r#""sub_id":"{number}-s"#)),
            "{number}"
        );
    }
}

/// Trap 1.
#[test]
fn i1_a_loss_is_told_once_with_its_reason_and_wakes_everybody() {
    let (client, mut peer) = with_peer("lost");
    let told = exceptions(&client);
    let losses = std::sync::Arc::new(AtomicUsize::new(0));
    let counted = losses.clone();
    client.set_disconnect_handler(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        Ok(())
    });
    thread::scope(|scope| {
        let waiting = [0; 4].map(|_| scope.spawn(|| client.publish_flush(Duration::ZERO)));
        for _ in 0..4 {
            peer.expect_frame().unwrap();
        }
        peer.close();
        for waiting in waiting {
            let error = waiting.join().unwrap().unwrap_err();
            assert!(matches!(error, Error::Disconnected(_)), "{error}");
        }
    });
    let error = told.recv_timeout(PATIENCE).unwrap();
    assert!(
        error.contains("the server closed the connection"),
        "{error}"
    );
    crate::eventually("the handler ran", || losses.load(Ordering::SeqCst) == 1);
    assert!(told.try_recv().is_err());
}

#[test]
fn i3_the_disconnect_handler_may_connect_log_on_and_subscribe() {
    let broker = broker();
    let publisher = logged_on(&broker, "publisher");
    let client = Client::new("failover");
    let uri = broker.uri("json");
    let (sender, messages) = mpsc::channel();
    let enter = move |client: &Client| {
        client.connect(&uri)?;
        client.logon()?;
        let sender = sender.clone();
        let handler = move |message: &Message| {
            let _ = sender.send(data(message).to_string());
        };
        client.subscribe_async(handler, "t", None)?;
        Ok(())
    };
    enter(&client).unwrap();
    client.set_disconnect_handler(enter);
    for round in ["1", "2", "3"] {
        publisher.publish("t", round).unwrap();
        assert_eq!(messages.recv_timeout(PATIENCE).unwrap(), round);
        broker.disconnect_client("failover");
        assert!(broker.wait_until(PATIENCE, |state| {
            state.client_names().iter().any(|name| name == "failover")
                && state.subscription_count("t") == 1
        }));
    }
}

#[test]
fn i4_a_failing_disconnect_handler_leaves_the_client_disconnected() {
    let (client, peer) = with_peer("unlucky");
    let told = exceptions(&client);
    client.set_disconnect_handler(|client| client.connect("tcp://nowhere"));
    drop(peer);
    assert!(told.recv_timeout(PATIENCE).unwrap().contains("closed"));
    let failed = told.recv_timeout(PATIENCE).unwrap();
    assert!(failed.contains("disconnect handler"), "{failed}");
    assert!(matches!(
        client.publish("t", "x"),
        Err(Error::Disconnected(_))
    ));
}

#[test]
fn a_connection_cut_in_the_middle_of_a_message_says_so() {
    let (client, mut peer) = with_peer("cut");
    let told = exceptions(&client);
    peer.send_bytes(&framed(b"{\"c\":\"p\"}payload")[..10])
        .unwrap();
    peer.close();
    let error = told.recv_timeout(PATIENCE).unwrap();
    assert!(error.contains("in the middle of a message"), "{error}");
}

#[test]
fn a_peer_that_accepts_and_says_nothing_hangs_nobody() {
    let peer = Peer::listen().unwrap();
    let client = Client::new("silence");
    client.connect(peer.uri("json")).unwrap();
    let _connection = peer.accept().unwrap();
    let command = Command::new("subscribe")
        .set_topic("t")
        .set_timeout(Duration::from_millis(20));
    assert!(matches!(client.execute(command), Err(Error::TimedOut(_))));
    let error = client.publish_flush(Duration::from_millis(20)).unwrap_err();
    assert!(matches!(error, Error::TimedOut(_)), "{error}");
    // It does not answer our end of the stream either, and that is told.
    let start = Instant::now();
    let error = client.disconnect().unwrap_err();
    assert!(matches!(error, Error::Disconnected(_)), "{error}");
    assert!(!client.is_connected() && start.elapsed() < PATIENCE);
}

#[test]
fn commands_from_many_threads_survive_a_broker_that_drops_the_connection() {
    let broker = broker();
    let uri = broker.uri("json");
    let client = Client::new("stormy");
    let reconnect = move |client: &Client| {
        client.connect(&uri)?;
        client.logon()
    };
    reconnect(&client).unwrap();
    client.set_disconnect_handler(reconnect);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for number in 0..4 {
            let (client, stop) = (&client, &stop);
            scope.spawn(move || {
                let topic = format!("t{number}");
                while !stop.load(Ordering::Relaxed) {
                    let outcome = client.subscribe(&topic).and_then(|mut stream| {
                        client.publish(&topic, "x")?;
                        client.publish_flush(PATIENCE)?;
                        stream.try_next();
                        Ok(())
                    });
                    if let Err(error) = outcome {
                        let expected = matches!(
                            error,
                            Error::Disconnected(_) | Error::LogonRequired(_) | Error::Usage(_)
                        );
                        assert!(expected, "{error}");
                    }
                }
            });
        }
        for _ in 0..50 {
            assert!(broker.wait_for_client("stormy", PATIENCE));
            broker.disconnect_client("stormy");
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(broker.wait_for_client("stormy", PATIENCE));
    crate::eventually("the last recovery is done", || client.is_logged_on());
    client.publish_flush(PATIENCE).unwrap();
}

#[test]
fn messages_of_one_subscription_come_in_order_while_others_come_and_go() {
    let broker = broker();
    let client = logged_on(&broker, "ordered");
    let mut stream = client.subscribe("n").unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..2000 {
                client.publish("n", number.to_string()).unwrap();
            }
        });
        scope.spawn(|| {
            for _ in 0..100 {
                drop(client.subscribe("other").unwrap());
            }
        });
        for number in 0..2000 {
            assert_eq!(data(&stream.next().unwrap()), number.to_string());
        }
    });
}

#[test]
fn a_refused_command_does_not_disturb_those_that_wait() {
    let (client, mut peer) = with_peer("undisturbed");
    let result = during(
        || client.publish_flush(PATIENCE),
        || {
            let flush = peer.expect_frame().unwrap();
            client.unsubscribe("whatever").unwrap();
            peer.expect_frame().unwrap();
            let id = amps_broker::field(&flush, "cid");
            peer.send(&format!(
                r#"{{"c":"ack","cid":"{id}","a":"completed","status":"success"}}"#
            ))
            .unwrap();
        },
    );
    // Trap 97: an unsubscribe cancels nobody's wait.
    result.unwrap();
}

#[test]
fn bad_input_gives_its_error_and_leaves_the_client_usable() {
    let broker = broker();
    let client = Client::new("unharmed");
    let told = exceptions(&client);
    let is = |text: &str, error: &Error| match text {
        "uri" => matches!(error, Error::InvalidUri(_)),
        "transport" => matches!(error, Error::TransportType(_)),
        "protocol" => matches!(error, Error::MessageType(_)),
        _ => matches!(error, Error::InvalidTransportOptions(_)),
    };
    for (kind, uri) in [
        ("uri", "localhost"),
        ("uri", "tcp://host/amps/json"),
        ("transport", "udp://h:1/amps/json"),
        ("protocol", "tcp://h:1/fix"),
        ("option", "tcp://h:1/amps/json?sparkle=1"),
    ] {
        let error = client.connect(uri).unwrap_err();
        assert!(is(kind, &error), "{uri}: {error}");
        assert!(error.to_string().contains(uri), "{error}");
        assert!(!client.is_connected());
    }
    let length = u32::MAX.to_be_bytes().to_vec();
    for bytes in [
        length,
        framed(b"{"),
        framed(b"{\"c\":\"p\""),
        framed(br#"{"c":"sow","query_id":"9"}{"l":5}abc"#),
    ] {
        let peer = Peer::listen().unwrap();
        client.connect(peer.uri("json")).unwrap();
        let mut connection = peer.accept().unwrap();
        connection.send_bytes(&bytes).unwrap();
        let error = told.recv_timeout(PATIENCE).unwrap();
        assert!(error.contains(&peer.address().to_string()), "{error}");
        assert!(error.starts_with("protocol error"), "{error}");
        client.connect(broker.uri("json")).unwrap();
        client.logon().unwrap();
        client.publish("t", "x").unwrap();
        client.publish_flush(PATIENCE).unwrap();
        client.disconnect().unwrap();
    }
}
