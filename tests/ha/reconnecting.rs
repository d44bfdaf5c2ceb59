//! What survives the loss of a connection.

use crate::scripted::{Delays, Record, Servers};
use crate::{PATIENCE, broker, client_of, connected, eventually, exceptions, payloads, uri};
use amps::{Command, ConnectionState, Error, HaClient, Message};
use amps_broker::{Peer, field};
use parking_lot::Mutex;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn m1_subscriptions_with_a_handler_go_on_after_a_loss() {
    let broker = broker();
    let client = connected(&broker, "subscriber");
    let messages = payloads(&client, "t");
    let publisher = connected(&broker, "publisher");
    for number in 0..20 {
        assert_eq!(broker.disconnect_client("subscriber"), 1);
        assert!(broker.wait_for_subscription("t", PATIENCE));
        publisher.publish("t", number.to_string()).unwrap();
        let message = messages.recv_timeout(PATIENCE).unwrap();
        assert_eq!(message, number.to_string());
    }
}

#[test]
fn e10_streams_end_with_their_connection() {
    let broker = broker();
    let client = connected(&broker, "streamer");
    let mut stream = client.subscribe("t").unwrap();
    broker.disconnect_client("streamer");
    assert!(stream.next().is_none());
    eventually("it reconnects", || client.is_logged_on());
    assert!(stream.next().is_none());
    assert_eq!(broker.subscription_count("t"), 0);
}

#[test]
fn i8_publishes_while_disconnected_are_stored_and_arrive_in_order() {
    let broker = broker();
    let client = connected(&broker, "publisher");
    let reader = connected(&broker, "reader");
    let messages = payloads(&reader, "t");
    broker.stop_listening();
    broker.disconnect_client("publisher");
    eventually("the loss is noticed", || client.disconnected());
    let mut last = 0;
    for number in 0..100 {
        let sequence = client.publish("t", number.to_string()).unwrap();
        assert!(sequence > last);
        last = sequence;
    }
    broker.restart_listening().unwrap();
    for number in 0..100 {
        let message = messages.recv_timeout(PATIENCE).unwrap();
        assert_eq!(message, number.to_string());
    }
}

#[test]
fn i6_a_command_that_waits_rides_through_a_loss() {
    let broker = broker();
    let client = connected(&broker, "waiter");
    client.publish("orders", r#"{"id":1}"#).unwrap();
    client.publish_flush(PATIENCE).unwrap();
    broker.stop_listening();
    broker.disconnect_client("waiter");
    eventually("the loss is noticed", || client.disconnected());
    thread::scope(|scope| {
        let query = scope.spawn(|| {
            let command = Command::new("sow")
                .set_topic("orders")
                .set_timeout(PATIENCE);
            let stream = client.execute(command).unwrap();
            stream
                .filter(|message| message.data() == br#"{"id":1}"#)
                .count()
        });
        broker.restart_listening().unwrap();
        assert_eq!(query.join().unwrap(), 1);
    });
}

#[test]
fn o2_a_lost_connection_is_reported_and_the_same_server_tried_first() {
    let (first, second) = (broker(), broker());
    let client = client_of("loyal", [uri(&first), uri(&second)]);
    let record = Record::default();
    let states = record.clone();
    client.add_connection_state_listener(move |state| states.note(format!("{state:?}")));
    client.connect_and_logon().unwrap();
    for times in 2..4 {
        first.disconnect_client("loyal");
        eventually("it is back", || record.count("Resubscribed") == times);
    }
    assert_eq!(second.connection_count(), 0);
    first.stop_listening();
    first.disconnect_client("loyal");
    assert!(second.wait_for_client("loyal", PATIENCE));
}

/// Trap 4.
#[test]
fn j2_when_the_chooser_gives_up_the_exception_listener_hears_of_it() {
    let broker = broker();
    let record = Record::default();
    let client = HaClient::memory_backed("given-up");
    client.set_server_chooser(Servers::new(&record, [uri(&broker)]));
    client.connect_and_logon().unwrap();
    let exceptions = exceptions(&client);
    broker.disconnect_client("given-up");
    let lost = exceptions.recv_timeout(PATIENCE).unwrap();
    let gave_up = exceptions.recv_timeout(PATIENCE).unwrap();
    assert!(gave_up.contains("out of servers"), "{lost} | {gave_up}");
    assert_eq!(record.count("failure"), 1);
    // What waits does not wait for a loop that has ended.
    eventually("the loop has ended", || {
        matches!(client.sow("orders"), Err(Error::Disconnected(_)))
    });
}

#[test]
fn a_disconnect_handler_stands_in_for_the_loop() {
    let broker = broker();
    let client = connected(&broker, "by-hand");
    let record = Record::default();
    let lost = record.clone();
    client.set_disconnect_handler(move |_: &amps::Client| {
        lost.note("lost");
        Ok::<(), Error>(())
    });
    broker.disconnect_client("by-hand");
    eventually("the handler ran", || record.count("lost") == 1);
    assert!(client.disconnected());
    client.connect_and_logon().unwrap();
}

#[test]
fn a_server_that_keeps_nobody_is_not_stormed() {
    let broker = broker();
    let client = connected(&broker, "bounced");
    let record = Record::default();
    client.set_reconnect_delay_strategy(Delays {
        record: record.clone(),
        delays: [Duration::ZERO; 6].into(),
    });
    let begun = Instant::now();
    for _ in 0..5 {
        assert!(broker.wait_for_client("bounced", PATIENCE));
        broker.disconnect_client("bounced");
    }
    eventually("it is connected", || {
        record.count("delay") >= 5 && client.is_logged_on()
    });
    // If no connection lived for a second, the strategy goes on where it was.
    assert!(record.count("reset") == 0 || begun.elapsed() > Duration::from_secs(1));
}

#[test]
fn m2_a_loss_that_listeners_are_still_told_of_does_not_stand_in_the_way_of_resubscribing() {
    let peer = Peer::listen().unwrap();
    let client = client_of("interrupted", [peer.uri("json")]);
    let record = Record::default();
    client.set_server_chooser(Servers::new(&record, [(); 3].map(|()| peer.uri("json"))));
    let told = record.clone();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let threads = Arc::new(Mutex::new(Vec::new()));
    let created = threads.clone();
    client.set_thread_created_callback(move || created.lock().push(thread::current().id()));
    client.add_connection_state_listener(move |state| {
        told.note(format!("{state:?}"));
        let is_second = threads.lock().get(1) == Some(&thread::current().id());
        if is_second && state == ConnectionState::Disconnected {
            let _ = released.lock().recv_timeout(PATIENCE);
        }
    });
    thread::scope(|scope| {
        scope.spawn(|| {
            client.connect_and_logon().unwrap();
            for id in ["a", "b"] {
                let command = Command::new("subscribe").set_topic("t").set_sub_id(id);
                client.execute_async(command, |_: &Message| ()).unwrap();
            }
        });
        let mut first = peer.accept_logon().unwrap();
        first.acknowledge("processed").unwrap();
        first.acknowledge("processed").unwrap();
        first.close();
        // The first of two subscriptions is there again when the connection is lost once more.
        let mut second = peer.accept_logon().unwrap();
        second.acknowledge("processed").unwrap();
        second.expect_frame().unwrap();
        second.close();
        let mut third = peer.accept_logon().unwrap();
        for id in ["a", "b"] {
            let frame = third.acknowledge("processed").unwrap();
            assert_eq!(field(&frame, "sub_id"), id, "{frame}");
        }
        release.send(()).unwrap();
        eventually("it is back", || record.count("Resubscribed") == 2);
        assert_eq!(record.count("failure"), 2, "{:?}", record.take());
        drop(third);
    });
}
