//! Acknowledging one message after the other.

use crate::{
    PATIENCE, SILENCE, acks, broker, deliver, eventually, granted, logged_on, next_ack, publish,
    take, with_peer, work,
};
use amps::{Error, Message};
use amps_broker::{Broker, QueueConfig, field};
use std::thread;
use std::time::Duration;

/// Trap 54.
#[test]
fn g1_an_acknowledgement_is_a_delete_by_bookmark_that_asks_for_nothing() {
    let broker = broker();
    publish(&broker, 1);
    let client = logged_on(&broker, "worker");
    let mut stream = client.execute(work("")).unwrap();
    let message = take(&mut stream);
    message.ack().unwrap();
    assert!(broker.wait_for_queue_depth("jobs", 0, PATIENCE));
    let frames = broker.frames_from("worker");
    let expected = format!(
        r#"{{"c":"sow_delete","t":"jobs","bm":"{}"}}"#,
        message.bookmark()
    );
    assert!(frames.contains(&expected.into_bytes()));
}

#[test]
fn g2_messages_that_are_not_of_a_queue_are_not_acknowledged() {
    let broker = broker();
    let client = logged_on(&broker, "reader");
    let mut stream = client.subscribe("news").unwrap();
    client.publish("news", "x").unwrap();
    let message = take(&mut stream);
    message.ack().unwrap();
    message.ack_with("cancel").unwrap();
    client.ack_message(&message).unwrap();
    Message::new("publish").ack().unwrap();
    client.publish_flush(PATIENCE).unwrap();
    assert_eq!(acks(&broker, "reader"), []);
}

#[test]
fn g3_without_batches_each_acknowledgement_leaves_at_once() {
    let (client, mut peer) = with_peer("at-once");
    let mut stream = granted(&client, &mut peer, "s", 10);
    for size in [0, 1] {
        client.set_ack_batch_size(size);
        deliver(&mut peer, "jobs", "s", 7);
        take(&mut stream).ack().unwrap();
        assert_eq!(next_ack(&mut peer), "jobs 7");
    }
}

#[test]
fn g8_cancel_returns_a_message_and_expire_removes_it() {
    let broker = broker();
    publish(&broker, 1);
    let client = logged_on(&broker, "choosy");
    let mut stream = client.execute(work("")).unwrap();
    let first = take(&mut stream);
    first.ack_with("cancel").unwrap();
    let again = take(&mut stream);
    assert_eq!(again.data(), first.data());
    assert_eq!(broker.queue_depth("jobs"), 1);
    again.ack_with("expire").unwrap();
    assert!(broker.wait_for_queue_depth("jobs", 0, PATIENCE));
    assert_eq!(broker.expired_count("jobs"), 1);
}

#[test]
fn g8_an_acknowledgement_with_options_leaves_at_once_and_apart_from_the_others() {
    let (client, mut peer) = with_peer("apart");
    let mut stream = granted(&client, &mut peer, "s", 10);
    client.set_ack_batch_size(3);
    client.set_ack_timeout(Duration::ZERO);
    for bookmark in 1..=4 {
        deliver(&mut peer, "jobs", "s", bookmark);
    }
    let messages = (0..4).map(|_| take(&mut stream)).collect::<Vec<_>>();
    messages[0].ack().unwrap();
    messages[1].ack_with("cancel").unwrap();
    assert_eq!(next_ack(&mut peer), "jobs 2 cancel");
    messages[2].ack().unwrap();
    messages[3].ack().unwrap();
    assert_eq!(next_ack(&mut peer), "jobs 1,3,4");
}

#[test]
fn a_message_may_be_acknowledged_by_topic_and_bookmark() {
    let broker = broker();
    publish(&broker, 4);
    let client = logged_on(&broker, "by-name");
    let mut stream = client.execute(work("max_backlog=3")).unwrap();
    let bookmarks = (0..3)
        .map(|_| take(&mut stream).bookmark().to_string())
        .collect::<Vec<_>>();
    client.ack("jobs", bookmarks[..2].join(","), None).unwrap();
    assert_eq!(take(&mut stream).data(), b"3");
    client
        .ack_deferred_auto_ack("jobs", &bookmarks[2], Some("cancel"))
        .unwrap();
    assert_eq!(take(&mut stream).data(), b"2");
    assert_eq!(broker.queue_depth("jobs"), 2);
    let error = client.ack("", "1|2|", None).unwrap_err();
    assert!(matches!(error, Error::InvalidTopic(_)), "{error}");
    let error = client.ack("jobs", "", None).unwrap_err();
    assert!(matches!(error, Error::InvalidBookmark(_)), "{error}");
}

#[test]
fn any_copy_may_be_acknowledged_on_any_thread() {
    let broker = broker();
    publish(&broker, 2);
    let client = logged_on(&broker, "copies");
    let mut stream = client.execute(work("max_backlog=2")).unwrap();
    let (clone, detached) = (take(&mut stream).clone(), take(&mut stream).detach());
    thread::spawn(move || clone.ack()).join().unwrap().unwrap();
    thread::spawn(move || detached.ack())
        .join()
        .unwrap()
        .unwrap();
    assert!(broker.wait_for_queue_depth("jobs", 0, PATIENCE));
}

#[test]
fn g11_an_application_may_send_its_own_acknowledgement() {
    let broker = broker();
    publish(&broker, 1);
    let client = logged_on(&broker, "manual");
    let mut stream = client.execute(work("")).unwrap();
    let message = take(&mut stream);
    let mut acknowledgement = Message::new("sow_delete");
    acknowledgement
        .set_topic(message.topic())
        .set_bookmark(message.bookmark());
    client.send(&acknowledgement).unwrap();
    assert!(broker.wait_for_queue_depth("jobs", 0, PATIENCE));
}

#[test]
fn an_acknowledgement_does_not_wait_for_a_publisher_that_is_stuck() {
    let (client, mut peer) = with_peer("unhindered");
    let mut stream = granted(&client, &mut peer, "s", 10);
    let publisher = client.clone();
    let stuck = thread::spawn(move || {
        let payload = vec![b'x'; 64 << 10];
        while publisher.publish("flood", &payload).is_ok() {}
    });
    deliver(&mut peer, "jobs", "s", 5);
    let message = take(&mut stream);
    thread::sleep(4 * SILENCE);
    message.ack().unwrap();
    // The peer reads again, and finds it behind what was on its way.
    loop {
        let frame = peer.expect_frame().unwrap();
        if field(&frame, "c") == "sow_delete" {
            assert_eq!(field(&frame, "bm"), "1|5|");
            break;
        }
    }
    peer.close();
    stuck.join().unwrap();
}

#[test]
fn a_message_that_is_left_alone_comes_again_after_its_lease() {
    let queue = QueueConfig::new("jobs").lease_period(SILENCE);
    let broker = Broker::builder().queue(queue).start().unwrap();
    publish(&broker, 1);
    let client = logged_on(&broker, "forgetful");
    let mut stream = client.execute(work("")).unwrap();
    assert_eq!(take(&mut stream).data(), b"0");
    let again = take(&mut stream);
    assert_eq!(again.data(), b"0");
    again.ack().unwrap();
    eventually("it is gone", || broker.queue_depth("jobs") == 0);
}
