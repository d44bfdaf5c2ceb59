//! Calls that wait when the client is disconnected, and handlers that do what handlers should not.

use crate::{
    PATIENCE, broker, channel, data, during, eventually, exceptions, logged_on, subscribed,
    with_peer,
};
use amps::{AckType, Client, Command, EndReason, Error, Message};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

type Wait = (&'static str, Box<dyn FnOnce(&Client) -> Error + Send>);

/// Every call that waits for the server.
fn waits() -> Vec<Wait> {
    let command = |name: &str| Command::new(name).set_topic("t").set_timeout(PATIENCE);
    vec![
        ("log on", Box::new(|client| client.logon().unwrap_err())),
        (
            "execute",
            Box::new(move |client| client.execute(command("subscribe")).unwrap_err()),
        ),
        (
            "execute without a timeout",
            Box::new(move |client| {
                let command = command("sow").set_timeout(Duration::ZERO);
                client.execute(command).unwrap_err()
            }),
        ),
        (
            "execute with a handler",
            Box::new(move |client| {
                let command = command("sow_and_subscribe");
                client.execute_async(command, |_: &Message| ()).unwrap_err()
            }),
        ),
        (
            "flush",
            Box::new(|client| client.publish_flush(Duration::ZERO).unwrap_err()),
        ),
        (
            "delete",
            Box::new(|client| client.sow_delete("t", "1=1").unwrap_err()),
        ),
        (
            "send with a handler",
            Box::new(|client| {
                let mut message = Message::new("sow");
                message.set_topic("t").set_ack_type(AckType::PROCESSED);
                client
                    .send_with_handler(|_: &Message| (), &message, Duration::ZERO)
                    .unwrap_err()
            }),
        ),
    ]
}

/// Interrupts every call that waits, and says how long it went on.
fn interrupt(interruption: impl Fn(&Client, &amps_broker::PeerConnection)) {
    for (what, wait) in waits() {
        let (client, mut peer) = with_peer("interrupted");
        thread::scope(|scope| {
            let waiting = scope.spawn(|| wait(&client));
            peer.expect_frame().unwrap();
            let start = Instant::now();
            interruption(&client, &peer);
            let error = waiting.join().unwrap();
            assert!(matches!(error, Error::Disconnected(_)), "{what}: {error}");
            assert!(start.elapsed() < PATIENCE / 2, "{what}");
        });
        assert!(!client.is_connected(), "{what}");
    }
}

#[test]
fn trap_14_a_disconnect_ends_every_call_that_waits() {
    interrupt(|client, _| {
        // The peer never confirms the end, which is told.
        let _ = client.disconnect();
    });
}

#[test]
fn trap_14_a_loss_ends_every_call_that_waits() {
    interrupt(|client, peer| {
        peer.close();
        eventually("the loss", || !client.is_connected());
    });
}

#[test]
fn a_disconnect_between_the_two_answers_of_a_delete_ends_it() {
    let (client, mut peer) = with_peer("halfway");
    thread::scope(|scope| {
        let waiting = scope.spawn(|| client.sow_delete("t", "1=1").unwrap_err());
        peer.acknowledge("processed").unwrap();
        thread::sleep(crate::SILENCE);
        let _ = client.disconnect();
        let error = waiting.join().unwrap();
        assert!(matches!(error, Error::Disconnected(_)), "{error}");
    });
}

#[test]
fn a_disconnect_ends_every_kind_of_reading() {
    let (client, mut peer) = with_peer("readers");
    let mut streams = (0..3)
        .map(|number| {
            let command = Command::new("subscribe")
                .set_topic("t")
                .set_sub_id(format!("s{number}"));
            subscribed(&client, &mut peer, command)
        })
        .collect::<Vec<_>>();
    let (third, second) = (streams.pop().unwrap(), streams.pop().unwrap());
    let (mut first, mut second, mut third) = (streams.pop().unwrap(), second, third);
    thread::scope(|scope| {
        let readers = [
            scope.spawn(move || {
                assert!(first.next().is_none());
                first.end_reason()
            }),
            scope.spawn(move || {
                assert!(second.next_timeout(PATIENCE).unwrap().is_none());
                second.end_reason()
            }),
            scope.spawn(move || {
                assert_eq!(third.timeout_iter(PATIENCE).count(), 0);
                third.end_reason()
            }),
        ];
        thread::sleep(crate::SILENCE);
        let _ = client.disconnect();
        for reader in readers {
            assert_eq!(reader.join().unwrap(), Some(EndReason::Disconnected));
        }
    });
}

/// Runs a handler on the messages `1` to `3`, and returns those that it saw.
fn seen_by(
    name: &str,
    act: impl Fn(&Client, &Message) -> Result<(), Error> + Send + 'static,
) -> (amps_broker::Broker, Client, Arc<Mutex<Vec<String>>>) {
    let broker = broker();
    let client = logged_on(&broker, name);
    let publisher = logged_on(&broker, "publisher");
    let (weak, seen) = (client.downgrade(), Arc::new(Mutex::new(Vec::new())));
    let recorded = seen.clone();
    let handler = move |message: &Message| {
        recorded.lock().push(data(message).to_string());
        match weak.upgrade() {
            Some(client) => act(&client, message),
            None => Ok(()),
        }
    };
    client.subscribe_async(handler, "t", None).unwrap();
    for number in 1..=3 {
        publisher.publish("t", number.to_string()).unwrap();
    }
    publisher.publish_flush(PATIENCE).unwrap();
    (broker, client, seen)
}

#[test]
fn a_handler_may_unsubscribe_itself_and_hears_nothing_more() {
    let (broker, client, seen) = seen_by("leaving", |client, message| {
        client.unsubscribe(message.sub_id())
    });
    assert!(broker.wait_until(PATIENCE, |state| state.subscription_count("t") == 0));
    client.publish_flush(PATIENCE).unwrap();
    assert_eq!(*seen.lock(), ["1"]);
}

#[test]
fn a_handler_may_publish_to_its_own_subscription() {
    let (_broker, client, seen) = seen_by("echoing", |client, message| {
        if message.data().len() < 3 {
            client.publish("t", format!("{}+", data(message)))?;
        }
        Ok(())
    });
    eventually("every echo came", || seen.lock().len() == 9);
    client.publish_flush(PATIENCE).unwrap();
    let mut seen = std::mem::take(&mut *seen.lock());
    seen.sort();
    assert_eq!(seen, ["1", "1+", "1++", "2", "2+", "2++", "3", "3+", "3++"]);
}

#[test]
fn a_handler_may_disconnect_and_the_client_connect_again() {
    let (broker, client, seen) = seen_by("quitting", |client, _| client.disconnect());
    eventually("it is gone", || !client.is_connected());
    assert_eq!(*seen.lock(), ["1"]);
    client.connect(broker.uri("json")).unwrap();
    client.logon().unwrap();
    client.publish_flush(PATIENCE).unwrap();
}

#[test]
fn a_handler_may_drop_a_stream_that_is_full_or_read_by_nobody() {
    let broker = broker();
    let client = logged_on(&broker, "dropping");
    let mut stream = client.subscribe("t").unwrap();
    stream.set_max_depth(10);
    let mut stream = Some(stream);
    let (sender, dropped) = std::sync::mpsc::channel();
    client
        .subscribe_async(
            move |_: &Message| {
                drop(stream.take());
                sender.send(()).unwrap();
            },
            "t",
            None,
        )
        .unwrap();
    for _ in 0..20 {
        client.publish("t", "x").unwrap();
    }
    for _ in 0..20 {
        dropped.recv_timeout(PATIENCE).unwrap();
    }
    assert!(broker.wait_until(PATIENCE, |state| state.subscription_count("t") == 1));
}

#[test]
fn a_failing_handler_that_is_told_of_may_act_on_its_client() {
    let (client, mut peer) = with_peer("acting");
    let told = exceptions(&client);
    let weak = client.downgrade();
    client.set_exception_listener(move |error: &Error| {
        let client = weak.upgrade().unwrap();
        client.publish("errors", error.reason()).unwrap();
        client.unsubscribe("all").unwrap();
    });
    let handler = |_: &Message| Err::<(), _>("no good");
    during(
        || {
            client.execute_async(
                Command::new("subscribe").set_topic("t").set_sub_id("s"),
                handler,
            )
        },
        || drop(peer.acknowledge("processed").unwrap()),
    )
    .unwrap();
    peer.send(r#"{"c":"p","t":"t","sids":"s"}x"#).unwrap();
    assert!(peer.expect_frame().unwrap().ends_with("no good"));
    assert!(peer.expect_frame().unwrap().contains("unsubscribe"));
    assert!(told.try_recv().is_err());
}

#[test]
fn everything_published_before_a_disconnect_arrives_although_the_client_receives() {
    let broker = broker();
    for (batch, timeout) in [(0, 0), (4 << 10, 1), (1 << 20, 1), (1 << 20, 0)] {
        let client = logged_on(&broker, "both-ways");
        client.set_publish_batching(batch, Duration::from_millis(timeout));
        let handled = Arc::new(AtomicUsize::new(0));
        let count = handled.clone();
        let handler = move |_: &Message| {
            count.fetch_add(1, Ordering::Relaxed);
        };
        let topic = format!("t{batch}-{timeout}");
        client.subscribe_async(handler, &topic, None).unwrap();
        let (stream, _more) = (client.subscribe(&topic).unwrap(), channel());
        for _ in 0..10_000 {
            client.publish(&topic, vec![b'x'; 100]).unwrap();
        }
        client.disconnect().unwrap();
        assert_eq!(broker.published_count(&topic), 10_000);
        drop(stream);
        assert!(handled.load(Ordering::Relaxed) <= 10_000);
    }
}
