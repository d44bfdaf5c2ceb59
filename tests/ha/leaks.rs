//! A client that reconnects again and again has as many threads and descriptors as after the first
//! time.

use crate::alone::{role, run_alone};
use crate::{PATIENCE, broker, connected, eventually, payloads};
use amps::ConnectionState;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

#[test]
fn threads_and_descriptors_after_many_reconnects_are_as_many_as_after_one() {
    match role() {
        None => run_alone(
            "leaks::threads_and_descriptors_after_many_reconnects_are_as_many_as_after_one",
        ),
        Some(_) => reconnect_times(200),
    }
}

#[test]
#[ignore = "takes longer"]
fn threads_and_descriptors_after_a_thousand_reconnects_are_as_many_as_after_one() {
    match role() {
        None => run_alone(
            "leaks::threads_and_descriptors_after_a_thousand_reconnects_are_as_many_as_after_one",
        ),
        Some(_) => reconnect_times(1_000),
    }
}

fn count(folder: &str) -> usize {
    fs::read_dir(folder).unwrap().count()
}

/// How many threads and descriptors this process has.
fn used() -> (usize, usize) {
    (count("/proc/self/task"), count("/proc/self/fd"))
}

fn reconnect_times(times: u64) {
    let broker = broker();
    let client = connected(&broker, "restless");
    client.set_publish_batching(1 << 10, Duration::from_millis(1));
    let messages = payloads(&client, "t");
    let recovered = Arc::new(AtomicU64::new(0));
    let count = recovered.clone();
    client.add_connection_state_listener(move |state| {
        if state == ConnectionState::Resubscribed {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    let mut after_one = (0, 0);
    for number in 1..=times {
        // A stream that ends with the connection, and an attempt in between that fails.
        let stream = client.subscribe("t").unwrap();
        broker.refuse_logons(number % 2, "refused by a test");
        broker.disconnect_client("restless");
        eventually("it is back", || recovered.load(Ordering::SeqCst) >= number);
        drop(stream);
        client.publish("t", number.to_string()).unwrap();
        let message = messages.recv_timeout(PATIENCE).unwrap();
        assert_eq!(message, number.to_string());
        if number == 1 {
            // Threads of the lost connection and of its other end are still going.
            let mut before = used();
            eventually("it settles", || {
                thread::sleep(Duration::from_millis(50));
                let now = used();
                std::mem::replace(&mut before, now) == now
            });
            after_one = used();
        }
    }
    eventually(
        &format!("{after_one:?} threads and descriptors, not {:?}", used()),
        || used() == after_one,
    );
    println!(
        "{times} reconnects, (threads, descriptors) {after_one:?} and {:?}",
        used()
    );
}
