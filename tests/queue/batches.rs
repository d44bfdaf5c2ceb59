//! Acknowledgements that leave together.

use crate::{
    PATIENCE, SILENCE, acks, broker, deliver, during, grant, granted, logged_on, next_ack, publish,
    take, with_peer, work,
};
use amps::{Client, Message, MessageStream};
use amps_broker::{PeerConnection, field};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Delivers and acknowledges messages with these bookmarks.
fn done(peer: &mut PeerConnection, stream: &mut MessageStream, bookmarks: &[usize]) {
    for &bookmark in bookmarks {
        deliver(peer, "jobs", stream.sub_id(), bookmark);
        take(stream).ack().unwrap();
    }
}

/// Sends something to see that nothing else left before it.
fn expect_nothing(client: &Client, peer: &mut PeerConnection) {
    client.publish("marker", "x").unwrap();
    let frame = peer.expect_frame().unwrap();
    assert_eq!(field(&frame, "c"), "p", "{frame}");
}

#[test]
fn g4_the_defaults_and_what_a_batch_size_brings() {
    let client = Client::new("defaults");
    assert!(!client.auto_ack());
    assert_eq!(client.ack_batch_size(), 0);
    assert_eq!(client.ack_timeout(), Duration::ZERO);
    client.set_ack_batch_size(1);
    assert_eq!(client.ack_timeout(), Duration::ZERO);
    client.set_ack_batch_size(10);
    assert_eq!(client.ack_timeout(), Duration::from_secs(1));
    client.set_ack_timeout(Duration::ZERO);
    assert_eq!(client.ack_timeout(), Duration::ZERO);
    let client = Client::new("set-before");
    client.set_ack_timeout(PATIENCE);
    client.set_ack_batch_size(10);
    assert_eq!(client.ack_timeout(), PATIENCE);
}

#[test]
fn g3_a_batch_leaves_when_it_is_full_and_is_of_one_topic() {
    let (client, mut peer) = with_peer("full");
    client.set_ack_batch_size(3);
    client.set_ack_timeout(Duration::ZERO);
    let mut stream = granted(&client, &mut peer, "s", 100);
    done(&mut peer, &mut stream, &[1, 2]);
    for bookmark in 11..=12 {
        deliver(&mut peer, "other", "s", bookmark);
        take(&mut stream).ack().unwrap();
    }
    expect_nothing(&client, &mut peer);
    done(&mut peer, &mut stream, &[3]);
    assert_eq!(next_ack(&mut peer), "jobs 1,2,3");
    deliver(&mut peer, "other", "s", 13);
    take(&mut stream).ack().unwrap();
    assert_eq!(next_ack(&mut peer), "other 11,12,13");
}

#[test]
fn trap_53_the_oldest_acknowledgement_decides_when_a_batch_is_overdue() {
    let (client, mut peer) = with_peer("overdue");
    let timeout = Duration::from_millis(200);
    client.set_ack_batch_size(1_000_000);
    client.set_ack_timeout(timeout);
    let mut stream = granted(&client, &mut peer, "s", 1_000_000);
    let start = Instant::now();
    let came = AtomicBool::new(false);
    let first = thread::scope(|scope| {
        scope.spawn(|| {
            // A slow, steady flow, each a fraction of the timeout after the one before it: a clock
            // that starts anew with each of them would never run out.
            for bookmark in 1.. {
                if came.load(Ordering::Relaxed) {
                    return;
                }
                client.ack("jobs", format!("1|{bookmark}|"), None).unwrap();
                thread::sleep(timeout / 10);
            }
        });
        let first = next_ack(&mut peer);
        came.store(true, Ordering::Relaxed);
        first
    });
    assert!(start.elapsed() >= timeout);
    assert!(first.starts_with("jobs 1,2"), "{first}");
    assert!(stream.try_next().is_none());
}

#[test]
fn g3_the_timeout_works_while_the_receive_thread_is_busy() {
    let (client, mut peer) = with_peer("busy");
    client.set_ack_batch_size(10);
    client.set_ack_timeout(SILENCE);
    let (sender, acknowledged) = std::sync::mpsc::channel::<()>();
    let handler = move |message: &Message| {
        message.ack().unwrap();
        acknowledged.recv_timeout(PATIENCE).unwrap();
    };
    during(
        || client.execute_async(work("").set_sub_id("s"), handler),
        || grant(&mut peer, 10),
    )
    .unwrap();
    deliver(&mut peer, "jobs", "s", 1);
    assert_eq!(next_ack(&mut peer), "jobs 1");
    sender.send(()).unwrap();
}

#[test]
fn g5_trap_54_a_batch_is_never_larger_than_what_the_server_granted() {
    let broker = broker();
    publish(&broker, 9);
    let client = logged_on(&broker, "capped");
    client.set_ack_batch_size(1000);
    client.set_ack_timeout(Duration::ZERO);
    let mut stream = client.execute(work("max_backlog=3")).unwrap();
    for number in 0..9 {
        let message = take(&mut stream);
        assert_eq!(message.data(), number.to_string().as_bytes());
        message.ack().unwrap();
    }
    assert!(broker.wait_for_queue_depth("jobs", 0, PATIENCE));
    assert_eq!(acks(&broker, "capped").len(), 3);
}

#[test]
fn g5_the_backlog_counts_over_all_topics_of_a_subscription() {
    let (client, mut peer) = with_peer("pattern");
    client.set_ack_batch_size(100);
    client.set_ack_timeout(Duration::ZERO);
    let mut stream = granted(&client, &mut peer, "s", 3);
    for (topic, bookmark) in [("a", 1), ("b", 2), ("a", 3)] {
        deliver(&mut peer, topic, "s", bookmark);
        take(&mut stream).ack().unwrap();
    }
    // As many as it may have wait, in two batches of which none is full: the oldest makes room.
    assert_eq!(next_ack(&mut peer), "a 1,3");
    done(&mut peer, &mut stream, &[4, 5]);
    assert_eq!(next_ack(&mut peer), "b 2");
    done(&mut peer, &mut stream, &[6]);
    assert_eq!(next_ack(&mut peer), "jobs 4,5,6");
}

#[test]
fn g5_a_replaced_subscription_has_the_new_backlog() {
    let (client, mut peer) = with_peer("renegotiated");
    client.set_ack_batch_size(100);
    client.set_ack_timeout(Duration::ZERO);
    let mut stream = granted(&client, &mut peer, "s", 5);
    let replace = work("replace,max_backlog=2").set_sub_id("s");
    during(
        || client.execute_async_no_handler(replace),
        || grant(&mut peer, 2),
    )
    .unwrap();
    done(&mut peer, &mut stream, &[1, 2]);
    assert_eq!(next_ack(&mut peer), "jobs 1,2");
}

#[test]
fn g9_a_flush_sends_everything_in_order_and_nothing_if_nothing_waits() {
    let (client, mut peer) = with_peer("flushed");
    client.set_ack_batch_size(100);
    client.set_ack_timeout(Duration::ZERO);
    let mut stream = granted(&client, &mut peer, "s", 100);
    client.flush_acks().unwrap();
    expect_nothing(&client, &mut peer);
    for (topic, bookmark) in [("z", 1), ("a", 2), ("z", 3), ("m", 4)] {
        deliver(&mut peer, topic, "s", bookmark);
        take(&mut stream).ack().unwrap();
    }
    client.flush_acks().unwrap();
    for expected in ["z 1,3", "a 2", "m 4"] {
        assert_eq!(next_ack(&mut peer), expected);
    }
    client.flush_acks().unwrap();
    expect_nothing(&client, &mut peer);
}

#[test]
fn a_smaller_batch_size_sends_what_waits() {
    let (client, mut peer) = with_peer("smaller");
    client.set_ack_batch_size(100);
    client.set_ack_timeout(Duration::ZERO);
    let mut stream = granted(&client, &mut peer, "s", 100);
    done(&mut peer, &mut stream, &[1, 2]);
    client.set_ack_batch_size(0);
    assert_eq!(next_ack(&mut peer), "jobs 1,2");
    client.set_ack_timeout(PATIENCE);
}

#[test]
fn a_shorter_timeout_holds_for_what_waits() {
    let (client, mut peer) = with_peer("shorter");
    client.set_ack_batch_size(100);
    client.set_ack_timeout(Duration::from_secs(3600));
    let mut stream = granted(&client, &mut peer, "s", 100);
    done(&mut peer, &mut stream, &[1]);
    client.set_ack_timeout(SILENCE);
    assert_eq!(next_ack(&mut peer), "jobs 1");
}

#[test]
fn b15_a_disconnect_sends_what_waits() {
    let broker = broker();
    publish(&broker, 5);
    let client = logged_on(&broker, "last-word");
    client.set_ack_batch_size(100);
    client.set_ack_timeout(Duration::ZERO);
    let mut stream = client.execute(work("max_backlog=50")).unwrap();
    for _ in 0..5 {
        take(&mut stream).ack().unwrap();
    }
    client.disconnect().unwrap();
    assert!(broker.wait_for_queue_depth("jobs", 0, PATIENCE));
}

#[test]
fn an_unsubscribe_returns_nothing_to_the_queue_that_was_acknowledged() {
    let (client, mut peer) = with_peer("first-things");
    client.set_ack_batch_size(100);
    client.set_ack_timeout(Duration::ZERO);
    let mut stream = granted(&client, &mut peer, "s", 100);
    done(&mut peer, &mut stream, &[1]);
    drop(stream);
    assert_eq!(next_ack(&mut peer), "jobs 1");
    let frame = peer.expect_frame().unwrap();
    assert_eq!(field(&frame, "c"), "unsubscribe");
}

#[test]
fn what_was_published_for_a_message_leaves_before_its_acknowledgement() {
    let (client, mut peer) = with_peer("in-order");
    client.set_publish_batching(1 << 20, Duration::from_secs(3600));
    let publisher = client.clone();
    let handler = move |message: &Message| {
        publisher.publish("results", message.data()).unwrap();
        message.ack().unwrap();
    };
    during(
        || client.execute_async(work("").set_sub_id("s"), handler),
        || grant(&mut peer, 10),
    )
    .unwrap();
    deliver(&mut peer, "jobs", "s", 1);
    let frame = peer.expect_frame().unwrap();
    assert_eq!(field(&frame, "t"), "results");
    assert_eq!(next_ack(&mut peer), "jobs 1");
    // The handler holds a handle.
    client.disconnect().unwrap_or_default();
}
