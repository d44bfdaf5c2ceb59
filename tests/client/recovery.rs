//! What follows a logon: rule B12, and the numbers of the publish store.

use crate::small_stores::{Marks, VecStore};
use crate::{PATIENCE, SILENCE, channel, during, exceptions};
use amps::{
    Client, Command, ConnectionState, Error, MemorySubscriptionManager, PublishStore,
    SubscriptionManager,
};
use amps_broker::{Peer, PeerConnection, field};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

/// A peer that takes one connection after the other.
pub(crate) struct Server {
    peer: Peer,
}

impl Server {
    pub(crate) fn start() -> Server {
        Server {
            peer: Peer::listen().unwrap(),
        }
    }

    pub(crate) fn uri(&self) -> String {
        // A peer that a test is done with need not confirm the end.
        format!("{}?tcp_linger=0", self.peer.uri("json"))
    }

    pub(crate) fn accept(&self) -> PeerConnection {
        self.peer.accept().unwrap()
    }

    /// A client with a publish store.
    pub(crate) fn publisher(&self, name: &str) -> (Client, Arc<VecStore>) {
        let client = Client::new(name);
        let store = Arc::new(VecStore::default());
        client.set_publish_store(store.clone()).unwrap();
        (client, store)
    }

    /// Answers a logon with the last number that the server knows of the client.
    pub(crate) fn answer(&self, peer: &mut PeerConnection, sequence: Option<u64>) {
        let logon = peer.expect_frame().unwrap();
        let id = field(&logon, "cid");
        let sequence = sequence.map_or(String::new(), |number| format!(r#""s":{number},"#));
        peer.send(&format!(
            r#"{{"c":"ack","cid":"{id}",{sequence}"a":"processed","status":"success","version":"5.3.5.0"}}"#
        ))
        .unwrap();
    }

    /// Connects and logs on a client for which there is nothing to enter again.
    pub(crate) fn logon(&self, client: &Client) -> PeerConnection {
        self.logon_at(client, None).unwrap()
    }

    pub(crate) fn logon_at(
        &self,
        client: &Client,
        sequence: Option<u64>,
    ) -> amps::Result<PeerConnection> {
        client.connect(self.uri())?;
        let mut peer = self.accept();
        during(|| client.logon(), || self.answer(&mut peer, sequence))?;
        Ok(peer)
    }
}

/// The steps of the connection as they are told.
pub(crate) fn states(client: &Client) -> (mpsc::Receiver<ConnectionState>, amps::ListenerId) {
    let (sender, receiver) = mpsc::channel();
    let id = client.add_connection_state_listener(move |state| {
        let _ = sender.send(state);
    });
    (receiver, id)
}

fn subscribe(client: &Client, topic: &str, sub_id: &str) -> mpsc::Receiver<amps::Message> {
    let (handler, messages) = channel();
    let command = Command::new("subscribe")
        .set_topic(topic)
        .set_sub_id(sub_id)
        .set_timeout(PATIENCE);
    client.execute_async(command, handler).unwrap();
    messages
}

#[test]
fn b12_the_steps_of_a_logon_come_in_their_order() {
    let server = Server::start();
    let (client, _store) = server.publisher("steps");
    let marks = Arc::new(Marks::default());
    client.set_bookmark_store(marks.clone()).unwrap();
    let manager = Arc::new(MemorySubscriptionManager::new());
    client.set_subscription_manager(manager.clone()).unwrap();
    client.set_heartbeat(Duration::from_secs(60));
    client.connect(server.uri()).unwrap();
    let mut peer = server.accept();
    let begin = |peer: &mut PeerConnection| {
        server.answer(peer, None);
        let heartbeat = peer.acknowledge("processed").unwrap();
        assert!(heartbeat.contains("start,60"), "{heartbeat}");
    };
    during(|| client.logon(), || begin(&mut peer)).unwrap();
    let _messages = during(
        || subscribe(&client, "t", "s"),
        || {
            peer.acknowledge("processed").unwrap();
        },
    );
    client.publish("t", "1").unwrap();
    peer.close();
    crate::eventually("the loss is noticed", || !client.is_connected());

    let steps = Arc::new(Mutex::new(Vec::new()));
    let noted = steps.clone();
    client.add_connection_state_listener(move |state| noted.lock().push(format!("{state:?}")));
    let noted = steps.clone();
    client.deferred_execution(move |client| {
        assert!(client.is_logged_on());
        noted.lock().push("deferred".to_string());
    });
    client.connect(server.uri()).unwrap();
    let mut peer = server.accept();
    during(
        || client.logon(),
        || {
            begin(&mut peer);
            assert!(peer.expect_frame().unwrap().ends_with("}1"));
            let again = peer.acknowledge("processed").unwrap();
            assert!(again.starts_with(r#"{"c":"subscribe""#), "{again}");
        },
    )
    .unwrap();
    let expected = [
        "Connected",
        "LoggedOn",
        "HeartbeatInitiated",
        "PublishReplayed",
        "Resubscribed",
        "deferred",
    ];
    steps.lock().retain(|step| step != "Disconnected");
    assert_eq!(*steps.lock(), expected);
    assert_eq!(marks.told(), ["version 5030500", "version 5030500"]);
    assert_eq!(manager.sub_ids(), ["s"]);
}

#[test]
fn b13_steps_that_there_is_nothing_for_are_not_told() {
    let server = Server::start();
    let client = Client::new("bare");
    let (steps, _) = states(&client);
    let _peer = server.logon(&client);
    assert_eq!(steps.recv_timeout(PATIENCE), Ok(ConnectionState::Connected));
    assert_eq!(steps.recv_timeout(PATIENCE), Ok(ConnectionState::LoggedOn));
    assert!(steps.try_recv().is_err());
}

#[test]
fn the_number_of_the_logon_discards_what_has_arrived_and_raises_the_next() {
    let server = Server::start();
    let (client, store) = server.publisher("arrived");
    let peer = server.logon(&client);
    for _ in 0..3 {
        client.publish("t", "x").unwrap();
    }
    peer.close();
    crate::eventually("the loss is noticed", || !client.is_connected());
    let mut peer = server.logon_at(&client, Some(2)).unwrap();
    assert!(peer.expect_frame().unwrap().contains(r#""s":3,"#));
    assert_eq!(store.numbers(), [3]);
    peer.close();
    crate::eventually("the loss is noticed", || !client.is_connected());
    let _peer = server.logon_at(&client, Some(10)).unwrap();
    assert_eq!(client.publish("t", "y").unwrap(), 11);
}

#[test]
fn trap_15_an_answer_without_a_number_discards_nothing() {
    let server = Server::start();
    let (client, store) = server.publisher("no-number");
    let peer = server.logon_at(&client, Some(5)).unwrap();
    peer.close();
    crate::eventually("the loss is noticed", || !client.is_connected());
    client.publish("t", "6").unwrap();
    let mut peer = server.logon_at(&client, None).unwrap();
    assert!(peer.expect_frame().unwrap().ends_with("}6"));
    assert_eq!(store.numbers(), [6]);
}

#[test]
fn offline_records_below_the_number_of_the_server_get_new_ones_and_are_sent() {
    let server = Server::start();
    let (client, store) = server.publisher("renumbered");
    client.publish("t", "a").unwrap();
    client.publish("t", "b").unwrap();
    // The clock was set back, or another store was used under this name.
    let mut peer = server.logon_at(&client, Some(100)).unwrap();
    for (number, data) in [(101, "a"), (102, "b")] {
        let frame = peer.expect_frame().unwrap();
        assert!(frame.contains(&format!(r#""s":{number},"#)), "{frame}");
        assert!(frame.ends_with(data), "{frame}");
    }
    assert_eq!(store.numbers(), [101, 102]);
    assert_eq!(client.publish("t", "c").unwrap(), 103);
}

#[test]
fn records_that_may_have_been_sent_are_not_renumbered_but_discarded() {
    let server = Server::start();
    let (client, store) = server.publisher("sent");
    let peer = server.logon(&client);
    client.publish("t", "sent").unwrap();
    peer.close();
    crate::eventually("the loss is noticed", || !client.is_connected());
    client.publish("t", "offline").unwrap();
    assert_eq!(store.lowest_offline(), 2);
    let mut peer = server.logon_at(&client, Some(1)).unwrap();
    assert!(peer.expect_frame().unwrap().ends_with("offline"));
    assert_eq!(store.numbers(), [2]);
}

#[test]
fn a_store_that_cannot_renumber_fails_the_logon_and_keeps_the_records() {
    let server = Server::start();
    let (client, store) = server.publisher("simple");
    store.is_simple.store(true, Ordering::SeqCst);
    client.publish("t", "a").unwrap();
    client.publish("t", "b").unwrap();
    let error = server.logon_at(&client, Some(100)).unwrap_err();
    assert!(matches!(error, Error::Store(_)), "{error}");
    assert!(error.to_string().contains("1 to 2"), "{error}");
    assert_eq!(store.numbers(), [1, 2]);
    assert!(!client.is_connected());
    // The client is usable, and the next server may know less.
    let _peer = server.logon_at(&client, Some(0)).unwrap();
}

#[test]
fn k8_a_gap_fails_the_logon_if_it_is_asked_for() {
    let server = Server::start();
    let (client, store) = server.publisher("gap");
    store.discard_up_to(7).unwrap();
    let peer = server.logon_at(&client, Some(3)).unwrap();
    peer.close();
    crate::eventually("the loss is noticed", || !client.is_connected());
    store.set_error_on_publish_gap(true);
    let error = server.logon_at(&client, Some(3)).unwrap_err();
    assert!(matches!(error, Error::PublishStoreGap(_)), "{error}");
    assert!(!client.is_connected());
}

#[test]
fn trap_60_publishes_never_overtake_the_replay() {
    const OFFLINE: u64 = 3000;
    let server = Server::start();
    let (client, _store) = server.publisher("overtake");
    let data = [b'x'; 100];
    for _ in 0..OFFLINE {
        client.publish("t", data).unwrap();
    }
    client.connect(server.uri()).unwrap();
    let mut peer = server.accept();
    let stop = AtomicBool::new(false);
    let published = thread::scope(|scope| {
        let publishers = [(); 2].map(|()| {
            scope.spawn(|| {
                let mut last = 0;
                while !stop.load(Ordering::SeqCst) {
                    last = client.publish("t", data).unwrap();
                    thread::yield_now();
                }
                last
            })
        });
        let logon = scope.spawn(|| client.logon());
        server.answer(&mut peer, None);
        let mut expected = 0;
        while expected < 2 * OFFLINE {
            expected += 1;
            let frame = peer.expect_frame().unwrap();
            assert!(frame.contains(&format!(r#""s":{expected},"#)), "{frame}");
        }
        stop.store(true, Ordering::SeqCst);
        // Whoever is in a write must come out of it.
        let rest = scope.spawn(move || {
            while let Ok(Some(frame)) = peer.read_frame() {
                expected += 1;
                assert!(frame.contains(&format!(r#""s":{expected},"#)), "{frame}");
            }
            expected
        });
        logon.join().unwrap().unwrap();
        let last = publishers.map(|publisher| publisher.join().unwrap());
        let _ = client.disconnect();
        assert_eq!(rest.join().unwrap(), last.into_iter().max().unwrap());
        last.into_iter().max().unwrap()
    });
    assert!(published >= 2 * OFFLINE);
}

#[test]
fn trap_58_a_loss_during_the_replay_fails_the_logon_and_keeps_the_store() {
    let server = Server::start();
    let (client, store) = server.publisher("cut");
    for _ in 0..200 {
        client.publish("t", [b'x'; 100_000]).unwrap();
    }
    let (steps, _) = states(&client);
    client.connect(server.uri()).unwrap();
    let mut peer = server.accept();
    let failed = during(
        || client.logon(),
        || {
            server.answer(&mut peer, None);
            peer.expect_frame().unwrap();
            peer.close();
        },
    );
    assert!(matches!(failed, Err(Error::Disconnected(_))), "{failed:?}");
    assert_eq!(store.unpersisted_count(), 200);
    crate::eventually("the end is told", || {
        let mut seen = Vec::new();
        seen.extend(steps.try_iter());
        assert!(!seen.contains(&ConnectionState::PublishReplayed));
        seen.contains(&ConnectionState::Disconnected)
    });
}

#[test]
fn trap_95_a_store_that_cannot_be_read_fails_the_logon() {
    let server = Server::start();
    let (client, store) = server.publisher("unreadable");
    client.publish("t", "1").unwrap();
    store.fails.store(true, Ordering::SeqCst);
    let error = server.logon_at(&client, None).unwrap_err();
    assert!(matches!(error, Error::Store(_)), "{error}");
    assert!(!client.is_connected());
}

#[test]
fn trap_59_deferred_executions_run_once_and_in_order_whatever_they_do() {
    let server = Server::start();
    let client = Client::new("deferred");
    let errors = exceptions(&client);
    let (sender, ran) = mpsc::channel();
    for number in 0..3 {
        let sender = sender.clone();
        client.deferred_execution(move |client| {
            sender.send(number).unwrap();
            if number == 0 {
                let later = sender.clone();
                client.deferred_execution(move |_| later.send(10).unwrap());
            }
            assert_ne!(number, 1, "a panic");
        });
    }
    let peer = server.logon(&client);
    assert_eq!(ran.try_iter().collect::<Vec<_>>(), [0, 1, 2]);
    assert!(errors.recv_timeout(PATIENCE).unwrap().contains("a panic"));
    peer.close();
    crate::eventually("the loss is noticed", || !client.is_connected());
    let _peer = server.logon(&client);
    assert_eq!(ran.try_iter().collect::<Vec<_>>(), [10]);
}

#[test]
fn a_logon_that_fails_leaves_deferred_executions_for_the_next() {
    let server = Server::start();
    let (client, store) = server.publisher("deferred-later");
    let (sender, ran) = mpsc::channel();
    client.deferred_execution(move |_| sender.send(()).unwrap());
    store.fails.store(true, Ordering::SeqCst);
    server.logon_at(&client, Some(1)).unwrap_err();
    assert!(ran.recv_timeout(SILENCE).is_err());
    store.fails.store(false, Ordering::SeqCst);
    let _peer = server.logon(&client);
    ran.try_recv().unwrap();
}

#[test]
fn a_deferred_execution_may_wait_for_the_server() {
    let server = Server::start();
    let client = Client::new("deferred-waits");
    client.set_retry_on_disconnect(true);
    let (sender, flushed) = mpsc::channel();
    client.deferred_execution(move |client| {
        sender.send(client.publish_flush(PATIENCE)).unwrap();
    });
    client.connect(server.uri()).unwrap();
    let mut peer = server.accept();
    during(
        || client.logon(),
        || {
            server.answer(&mut peer, None);
            peer.acknowledge("completed").unwrap();
        },
    )
    .unwrap();
    flushed.recv_timeout(PATIENCE).unwrap().unwrap();
}

#[test]
fn b16_a_deliberate_disconnect_forgets_the_subscriptions() {
    let server = Server::start();
    let client = Client::new("forgets");
    let manager = Arc::new(MemorySubscriptionManager::new());
    client.set_subscription_manager(manager.clone()).unwrap();
    let mut peer = server.logon(&client);
    let _messages = during(
        || subscribe(&client, "t", "s"),
        || {
            peer.acknowledge("processed").unwrap();
        },
    );
    assert_eq!(manager.sub_ids(), ["s"]);
    client.disconnect().unwrap();
    assert!(manager.sub_ids().is_empty());
    manager.clear();
}
