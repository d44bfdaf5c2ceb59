//! Threads that execute, subscribe, publish and unsubscribe while the broker drops the connection
//! at random moments.

use crate::{PATIENCE, broker, eventually};
use amps::{Client, Error, Message, Result};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What may happen to a call while the connection comes and goes.
fn is_expected(error: &Error) -> bool {
    // A new connection is there before its logon.
    matches!(error, Error::Disconnected(_) | Error::LogonRequired(_))
}

/// Numbers without order, but the same ones in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// One of the things that applications do.
fn act(client: &Client, topic: &str, choice: u64, handled: &'static AtomicUsize) -> Result<()> {
    match choice {
        0 => drop(client.subscribe(topic)?),
        1 => {
            let handler = move |_: &Message| {
                handled.fetch_add(1, Ordering::Relaxed);
            };
            let id = client.subscribe_async(handler, topic, None)?;
            client.publish(topic, "x")?;
            client.publish_flush(PATIENCE)?;
            client.unsubscribe(id)?;
        }
        2 => drop(client.sow("orders")?.count()),
        3 => {
            client.publish("orders", r#"{"id":1}"#)?;
            client.sow_delete("orders", "/id = 1")?;
        }
        4 => {
            let mut stream = client.subscribe(topic)?;
            stream.set_max_depth(2);
            for _ in 0..5 {
                client.publish(topic, "x")?;
            }
            while let Ok(Some(_)) = stream.next_timeout(Duration::from_millis(1)) {}
        }
        5 => client.unsubscribe_all()?,
        _ => client.publish_flush(PATIENCE)?,
    }
    Ok(())
}

fn storm(name: &str, length: Duration) {
    static HANDLED: AtomicUsize = AtomicUsize::new(0);
    let broker = broker();
    let uri = broker.uri("json");
    let client = Client::new(name);
    client.set_publish_batching(1000, Duration::from_millis(1));
    client.set_heartbeat(Duration::from_secs(5));
    let reconnect = move |client: &Client| {
        // The storm may break the new connection, too: then its own thread tries again.
        client.connect(&uri)?;
        client.logon()
    };
    reconnect(&client).unwrap();
    client.set_disconnect_handler(reconnect);
    let (stop, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for number in 0..2 {
            let (client, stop, done) = (&client, &stop, &done);
            scope.spawn(move || {
                let mut random = Random(number + 1);
                let topic = format!("t{number}");
                while !stop.load(Ordering::Relaxed) {
                    match act(client, &topic, random.below(7), &HANDLED) {
                        Ok(()) => drop(done.fetch_add(1, Ordering::Relaxed)),
                        Err(error) => assert!(is_expected(&error), "{error}"),
                    }
                }
            });
        }
        let (mut random, start) = (Random(99), Instant::now());
        while start.elapsed() < length {
            assert!(broker.wait_for_client(name, PATIENCE), "it is not back");
            thread::sleep(Duration::from_millis(random.below(40)));
            broker.disconnect_client(name);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(done.load(Ordering::Relaxed) > 0, "nothing ever succeeded");
    eventually("the last recovery is done", || client.is_logged_on());
    client.unsubscribe_all().unwrap();
    client.publish_flush(PATIENCE).unwrap();
    assert_eq!(client.stats().stream_depth, 0);
    let stats = client.stats();
    assert!(stats.reconnects() > 0, "{stats:?}");
    client.set_disconnect_handler(|_| Ok(()));
    client.disconnect().unwrap();
}

/// Trap 29.
#[test]
fn threads_that_do_everything_survive_a_connection_that_comes_and_goes() {
    storm("squall", Duration::from_secs(3));
}

#[test]
#[ignore = "takes a minute"]
fn threads_that_do_everything_survive_a_minute_of_it() {
    storm("hurricane", Duration::from_secs(60));
}
