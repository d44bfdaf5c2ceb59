//! Acknowledging without being asked.

use crate::{
    PATIENCE, SILENCE, acks, broker, deliver, during, grant, granted, logged_on, next_ack, publish,
    take, with_peer, work,
};
use amps::{Client, Error, Message};
use amps_broker::PeerConnection;
use std::sync::mpsc;
use std::time::Duration;

/// Subscribes with a handler to the queue of a peer.
fn handled<O: amps::HandlerOutcome>(
    client: &Client,
    peer: &mut PeerConnection,
    handler: impl FnMut(&Message) -> O + Send + 'static,
) {
    let command = work("").set_sub_id("s");
    during(
        || client.execute_async(command, handler),
        || grant(peer, 10),
    )
    .unwrap();
}

#[test]
fn g6_a_message_is_acknowledged_when_its_handler_has_returned() {
    let broker = broker();
    publish(&broker, 10);
    let client = logged_on(&broker, "handler");
    client.set_auto_ack(true);
    assert!(client.auto_ack());
    let (sender, handled) = mpsc::channel();
    client
        .execute_async(work(""), move |message: &Message| {
            sender.send(message.data().to_vec()).unwrap();
        })
        .unwrap();
    for number in 0..10 {
        let data = handled.recv_timeout(PATIENCE).unwrap();
        assert_eq!(data, number.to_string().into_bytes());
    }
    assert!(broker.wait_for_queue_depth("jobs", 0, PATIENCE));
}

/// Trap 54.
#[test]
fn g6_a_handler_that_fails_or_panics_returns_its_message_at_once() {
    let (client, mut peer) = with_peer("failing");
    client.set_auto_ack(true);
    client.set_ack_batch_size(2);
    client.set_ack_timeout(Duration::ZERO);
    let (sender, told) = mpsc::channel();
    client.set_exception_listener(move |error: &Error| {
        let _ = sender.send(error.to_string());
    });
    handled(&client, &mut peer, |message: &Message| {
        match message.data() {
            b"2" => Err("no"),
            b"3" => panic!("on purpose"),
            _ => Ok(()),
        }
    });
    for bookmark in 1..=4 {
        deliver(&mut peer, "jobs", "s", bookmark);
    }
    assert_eq!(next_ack(&mut peer), "jobs 2 cancel");
    assert_eq!(next_ack(&mut peer), "jobs 3 cancel");
    assert_eq!(next_ack(&mut peer), "jobs 1,4");
    for reason in ["no", "on purpose"] {
        let error = told.recv_timeout(PATIENCE).unwrap();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn g6_a_returned_message_is_delivered_again() {
    let broker = broker();
    publish(&broker, 1);
    let client = logged_on(&broker, "second-try");
    client.set_auto_ack(true);
    let mut tries = 0;
    client
        .execute_async(work(""), move |_: &Message| {
            tries += 1;
            if tries < 3 { Err("not yet") } else { Ok(()) }
        })
        .unwrap();
    assert!(broker.wait_for_queue_depth("jobs", 0, PATIENCE));
    let options = acks(&broker, "second-try");
    let options = options.iter().map(|(_, option)| option.as_str());
    assert_eq!(options.collect::<Vec<_>>(), ["cancel", "cancel", ""]);
}

#[test]
fn g6_ignore_auto_ack_suppresses_both() {
    let (client, mut peer) = with_peer("ignoring");
    client.set_auto_ack(true);
    handled(&client, &mut peer, |message: &Message| {
        if message.data() != b"3" {
            message.set_ignore_auto_ack(true);
            assert!(message.ignore_auto_ack());
        }
        if message.data() == b"2" {
            Err("no")
        } else {
            Ok(())
        }
    });
    for bookmark in 1..=3 {
        deliver(&mut peer, "jobs", "s", bookmark);
    }
    assert_eq!(next_ack(&mut peer), "jobs 3");
    client.ack_deferred_auto_ack("jobs", "1|1|", None).unwrap();
    assert_eq!(next_ack(&mut peer), "jobs 1");
}

#[test]
fn g6_what_the_handler_acknowledges_itself_is_left_alone() {
    let (client, mut peer) = with_peer("own-hand");
    client.set_auto_ack(true);
    handled(&client, &mut peer, |message: &Message| {
        match message.data() {
            b"1" => message.ack(),
            b"2" => message.ack_with("cancel"),
            _ => Ok(()),
        }
    });
    for bookmark in 1..=3 {
        deliver(&mut peer, "jobs", "s", bookmark);
    }
    assert_eq!(next_ack(&mut peer), "jobs 1");
    assert_eq!(next_ack(&mut peer), "jobs 2 cancel");
    assert_eq!(next_ack(&mut peer), "jobs 3");
}

#[test]
fn trap_39_a_copy_of_a_handled_message_may_be_left_out_or_acknowledged() {
    let (client, mut peer) = with_peer("copied");
    client.set_auto_ack(true);
    handled(&client, &mut peer, |message: &Message| {
        let copy = message.clone();
        match message.data() {
            b"1" => copy.ack(),
            b"2" => copy.detach().ack_with("cancel"),
            b"3" => {
                copy.set_ignore_auto_ack(true);
                assert!(message.ignore_auto_ack());
                Ok(())
            }
            _ => Ok(()),
        }
    });
    for bookmark in 1..=4 {
        deliver(&mut peer, "jobs", "s", bookmark);
    }
    assert_eq!(next_ack(&mut peer), "jobs 1");
    assert_eq!(next_ack(&mut peer), "jobs 2 cancel");
    assert_eq!(next_ack(&mut peer), "jobs 4");
}

#[test]
fn g7_only_messages_of_queues_are_acknowledged() {
    let broker = broker();
    let client = logged_on(&broker, "plain");
    client.set_auto_ack(true);
    let (sender, handled) = mpsc::channel();
    client
        .subscribe_async(
            move |_: &Message| sender.send(()).map_err(|_| "gone"),
            "news",
            None,
        )
        .unwrap();
    let mut stream = client.subscribe("news").unwrap();
    for _ in 0..3 {
        client.publish("news", "x").unwrap();
        take(&mut stream);
        handled.recv_timeout(PATIENCE).unwrap();
    }
    client.publish_flush(PATIENCE).unwrap();
    assert_eq!(acks(&broker, "plain"), []);
}

#[test]
fn e8_asking_for_the_next_message_acknowledges_the_last_one() {
    let (client, mut peer) = with_peer("streaming");
    client.set_auto_ack(true);
    let mut stream = granted(&client, &mut peer, "s", 10);
    for bookmark in 1..=4 {
        deliver(&mut peer, "jobs", "s", bookmark);
    }
    assert_eq!(stream.next().unwrap().data(), b"1");
    assert_eq!(take(&mut stream).data(), b"2");
    assert_eq!(next_ack(&mut peer), "jobs 1");
    while stream.depth() < 2 {}
    assert_eq!(stream.try_next().unwrap().data(), b"3");
    assert_eq!(next_ack(&mut peer), "jobs 2");
    assert_eq!(take(&mut stream).data(), b"4");
    assert_eq!(next_ack(&mut peer), "jobs 3");
    // Also when there is no next one.
    assert!(stream.next_timeout(SILENCE).is_err());
    assert_eq!(next_ack(&mut peer), "jobs 4");
    // Closing does not: it is not known whether the last one was done with.
    deliver(&mut peer, "jobs", "s", 5);
    take(&mut stream);
    drop(stream);
    let frame = peer.expect_frame().unwrap();
    assert!(frame.contains("unsubscribe"), "{frame}");
}

#[test]
fn trap_39_a_copy_of_a_streamed_message_may_be_left_out_or_acknowledged() {
    let (client, mut peer) = with_peer("settled");
    client.set_auto_ack(true);
    let mut stream = granted(&client, &mut peer, "s", 10);
    for bookmark in 1..=5 {
        deliver(&mut peer, "jobs", "s", bookmark);
    }
    let first = take(&mut stream);
    first.clone().set_ignore_auto_ack(true);
    assert!(first.ignore_auto_ack());
    let second = take(&mut stream);
    assert!(!second.ignore_auto_ack());
    // Too late for the first one to matter for the second.
    first.set_ignore_auto_ack(true);
    let third = take(&mut stream);
    assert_eq!(next_ack(&mut peer), "jobs 2");
    third.detach().ack_with("cancel").unwrap();
    assert_eq!(next_ack(&mut peer), "jobs 3 cancel");
    let fourth = take(&mut stream);
    fourth.set_ignore_auto_ack(true);
    fourth.set_ignore_auto_ack(false);
    take(&mut stream);
    assert_eq!(next_ack(&mut peer), "jobs 4");
}

#[test]
fn g10_turning_it_off_drops_nothing_that_waits() {
    let (client, mut peer) = with_peer("off");
    client.set_auto_ack(true);
    client.set_ack_batch_size(10);
    client.set_ack_timeout(SILENCE);
    let mut stream = granted(&client, &mut peer, "s", 10);
    deliver(&mut peer, "jobs", "s", 1);
    deliver(&mut peer, "jobs", "s", 2);
    take(&mut stream);
    take(&mut stream);
    client.set_auto_ack(false);
    assert_eq!(next_ack(&mut peer), "jobs 1");
    assert!(stream.next_timeout(SILENCE).is_err());
    client.flush_acks().unwrap();
    client.publish("marker", "x").unwrap();
    assert!(peer.expect_frame().unwrap().contains("marker"));
}

#[test]
fn a_handler_may_unsubscribe_itself_and_still_be_acknowledged() {
    let (client, mut peer) = with_peer("leaving");
    client.set_auto_ack(true);
    let weak = client.downgrade();
    handled(&client, &mut peer, move |message: &Message| {
        weak.upgrade().unwrap().unsubscribe(message.sub_id())
    });
    deliver(&mut peer, "jobs", "s", 1);
    let frame = peer.expect_frame().unwrap();
    assert!(frame.contains("unsubscribe"), "{frame}");
    assert_eq!(next_ack(&mut peer), "jobs 1");
}

#[test]
fn e7_messages_of_a_queue_are_never_conflated_away() {
    let (client, mut peer) = with_peer("kept");
    let mut stream = granted(&client, &mut peer, "s", 10);
    stream.conflate();
    for bookmark in 1..=3 {
        peer.send(&format!(
            r#"{{"c":"p","t":"jobs","sids":"s","k":"7","bm":"1|{bookmark}|","lp":"20991231T235959Z"}}x"#
        ))
        .unwrap();
    }
    for bookmark in 1..=3 {
        assert_eq!(take(&mut stream).bookmark(), format!("1|{bookmark}|"));
    }
}
