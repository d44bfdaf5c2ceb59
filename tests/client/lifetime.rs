//! Rules F and B18: how long messages, handles and threads live.

use crate::{PATIENCE, broker, channel, data, during, eventually, logged_on, with_peer};
use amps::{Client, Command, Message};
use std::cell::RefCell;
use std::sync::mpsc;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

/// How many threads and descriptors this process has.
fn resources() -> (usize, usize) {
    let threads = std::fs::read_dir("/proc/self/task").unwrap().count();
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().count();
    (threads, descriptors)
}

/// Trap 38.
#[test]
fn f1_messages_that_are_kept_do_not_change() {
    let broker = broker();
    let client = logged_on(&broker, "keeper");
    let (handler, messages) = channel();
    client.subscribe_async(handler, "t", None).unwrap();
    for number in 0..5000 {
        client.publish("t", number.to_string().repeat(10)).unwrap();
    }
    let kept = (0..5000)
        .map(|_| messages.recv_timeout(PATIENCE).unwrap())
        .collect::<Vec<_>>();
    for (number, message) in kept.iter().enumerate() {
        assert_eq!(data(message), number.to_string().repeat(10));
        assert_eq!(message.topic(), "t");
    }
}

#[test]
fn f2_clones_are_equal_and_independent() {
    let broker = broker();
    let client = logged_on(&broker, "cloner");
    let mut stream = client.subscribe("t").unwrap();
    client.publish("t", "x").unwrap();
    let message = stream.next().unwrap();
    let copy = message.clone();
    let detached = message.detach();
    drop(message);
    drop(stream);
    client.disconnect().unwrap();
    assert_eq!((copy.topic(), data(&copy)), ("t", "x"));
    assert_eq!((detached.topic(), data(&detached)), ("t", "x"));
}

#[test]
fn b18_dropping_the_last_handle_disconnects() {
    let broker = broker();
    let client = logged_on(&broker, "dropped");
    let clone = client.clone();
    drop(client);
    assert!(clone.is_connected());
    drop(clone);
    assert!(broker.wait_until(PATIENCE, |state| state.connection_count() == 0));
}

#[test]
fn a_stream_is_a_handle() {
    let broker = broker();
    let client = logged_on(&broker, "stream-keeps");
    let publisher = logged_on(&broker, "other");
    let mut stream = client.subscribe("t").unwrap();
    drop(client);
    publisher.publish("t", "x").unwrap();
    assert_eq!(data(&stream.next().unwrap()), "x");
    drop(stream);
    assert!(broker.wait_until(PATIENCE, |state| state.connection_count() == 1));
}

#[test]
fn the_last_handle_may_be_dropped_in_a_handler_of_the_client() {
    let broker = broker();
    let publisher = logged_on(&broker, "publisher");
    let client = logged_on(&broker, "own-handler");
    let (sender, handle) = mpsc::channel::<Client>();
    let weak = client.downgrade();
    let handler = move |_: &Message| drop(handle.recv());
    client.subscribe_async(handler, "t", None).unwrap();
    sender.send(client).unwrap();
    publisher.publish("t", "x").unwrap();
    eventually("the last handle is gone", || weak.upgrade().is_none());
    assert!(broker.wait_until(PATIENCE, |state| state.client_names() == ["publisher"]));
}

#[test]
fn a_handler_that_owns_a_clone_of_its_client_keeps_it_until_disconnect() {
    let broker = broker();
    let client = logged_on(&broker, "leak");
    let weak = client.downgrade();
    let captured = client.clone();
    let handler = move |_: &Message| {
        let _ = captured.name();
    };
    client.subscribe_async(handler, "t", None).unwrap();
    drop(client);
    // This is the documented leak: the client owns the handler, which owns the client.
    let leaked = weak.upgrade().expect("the handler keeps its client alive");
    assert!(leaked.is_connected());
    // Disconnecting ends it: routes and their handlers are dropped.
    leaked.disconnect().unwrap();
    drop(leaked);
    assert!(weak.upgrade().is_none());
}

#[test]
fn a_weak_handle_does_not_keep_the_client() {
    let broker = broker();
    let client = logged_on(&broker, "weak");
    let weak = client.downgrade();
    let inner = weak.clone();
    let handler = move |message: &Message| {
        if let Some(client) = inner.upgrade() {
            let _ = client.publish("reply", message.data());
        }
    };
    let mut replies = client.subscribe("reply").unwrap();
    client.subscribe_async(handler, "t", None).unwrap();
    client.publish("t", "x").unwrap();
    assert_eq!(data(&replies.next().unwrap()), "x");
    drop(replies);
    drop(client);
    eventually("the client is gone", || weak.upgrade().is_none());
}

#[test]
fn a_disconnect_in_a_handler_does_not_wait_for_itself() {
    let broker = broker();
    let client = logged_on(&broker, "self-ender");
    let weak = client.downgrade();
    let (sender, done) = mpsc::channel();
    let handler = move |_: &Message| {
        if let Some(client) = weak.upgrade() {
            let _ = sender.send(client.disconnect().is_ok());
        }
    };
    client.subscribe_async(handler, "t", None).unwrap();
    client.publish("t", "1").unwrap();
    // What comes after is not handled any more.
    let _ = client.publish("t", "2");
    assert!(done.recv_timeout(PATIENCE).unwrap());
    assert!(broker.wait_until(PATIENCE, |state| state.connection_count() == 0));
    assert!(done.recv_timeout(PATIENCE).is_err());
}

/// Runs in a process of its own, because other tests make threads and descriptors, too.
/// Trap 100.
#[test]
fn two_hundred_clients_come_and_go_fifty_times_and_leave_nothing_behind() {
    let inside = std::env::var_os("AMPS_TEST_ALONE").is_some();
    if !inside {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg("lifetime::two_hundred_clients_come_and_go_fifty_times_and_leave_nothing_behind")
            .env("AMPS_TEST_ALONE", "1")
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    const CLIENTS: usize = 200;
    const ROUNDS: usize = 50;
    let broker = broker();
    let uri = broker.uri("json");
    let settled = |state: &amps_broker::State<'_>| state.connection_count() == 0;
    drop(logged_on(&broker, "warm-up"));
    assert!(broker.wait_until(PATIENCE, settled));
    let before = resources();
    for round in 0..ROUNDS {
        let barrier = Barrier::new(CLIENTS);
        thread::scope(|scope| {
            for number in 0..CLIENTS {
                let (uri, barrier) = (&uri, &barrier);
                scope.spawn(move || {
                    let client = Client::new(format!("client-{number}"));
                    barrier.wait();
                    client.connect(uri).unwrap();
                    client.logon().unwrap();
                    let (handler, _messages) = channel();
                    let topic = format!("topic-{}", number % 10);
                    client.subscribe_async(handler, &topic, None).unwrap();
                    let stream = client.subscribe(&topic).unwrap();
                    client.publish(&topic, "x").unwrap();
                    match (number + round) % 3 {
                        0 => client.disconnect().unwrap(),
                        1 => drop(stream),
                        _ => client.unsubscribe_all().unwrap(),
                    }
                });
            }
        });
    }
    assert!(broker.wait_until(PATIENCE, settled));
    eventually("every thread and descriptor is gone", || {
        let now = resources();
        now.0 <= before.0 && now.1 <= before.1
    });
}

#[test]
fn a_stream_and_its_client_can_be_dropped_on_different_threads() {
    let broker = broker();
    for _ in 0..50 {
        let client = logged_on(&broker, "racer");
        let stream = client
            .execute(Command::new("subscribe").set_topic("t"))
            .unwrap();
        let start = Arc::new(Barrier::new(2));
        let other = start.clone();
        let thread = thread::spawn(move || {
            other.wait();
            drop(stream);
        });
        start.wait();
        drop(client);
        thread.join().unwrap();
    }
    assert!(broker.wait_until(PATIENCE, |state| state.connection_count() == 0));
}

#[test]
fn a_connection_is_closed_with_the_client_and_not_with_its_next_use() {
    let (client, mut peer) = with_peer("closed");
    client.publish("t", "x").unwrap();
    peer.expect_frame().unwrap();
    let end = || assert!(peer.finish().unwrap().is_empty());
    during(|| client.disconnect(), end).unwrap();
    let start = std::time::Instant::now();
    drop(client);
    assert!(start.elapsed() < Duration::from_secs(1));
}

thread_local! {
    /// Dropped with its thread.
    static END: RefCell<Option<mpsc::Sender<()>>> = const { RefCell::new(None) };
}

#[test]
fn a_client_whose_last_handle_is_dropped_in_its_own_handler_ends_its_thread() {
    let broker = broker();
    let publisher = logged_on(&broker, "publisher");
    let (ended, end) = mpsc::channel::<()>();
    let client = Client::new("own-thread");
    client.set_thread_created_callback(move || {
        END.with(|end| *end.borrow_mut() = Some(ended.clone()));
    });
    client.connect(broker.uri("json")).unwrap();
    client.logon().unwrap();
    let (sender, handle) = mpsc::channel::<Client>();
    client
        .subscribe_async(move |_: &Message| drop(handle.recv()), "t", None)
        .unwrap();
    sender.send(client).unwrap();
    assert_eq!(end.try_recv(), Err(mpsc::TryRecvError::Empty));
    publisher.publish("t", "x").unwrap();
    // The thread and all that the client owned are gone.
    let gone = end.recv_timeout(PATIENCE);
    assert_eq!(gone, Err(mpsc::RecvTimeoutError::Disconnected));
}
