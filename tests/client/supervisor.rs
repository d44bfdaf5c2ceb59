//! The hook for whoever keeps a client connected: rules J1 to J4, traps 1, 2, 8.

use crate::recovery::Server;
use crate::small_stores::VecStore;
use crate::{PATIENCE, SILENCE, during};
use amps::{Client, Error, LogonOptions, Result};
use amps_broker::PeerConnection;
use amps_core::ErrorContext;
use amps_core::supervise::{Recovery, Supervisor};
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Tries one address again and again.
struct Loop {
    uri: String,
    /// How the loops ended.
    ended: Mutex<Vec<Result<()>>>,
    change: Condvar,
}

impl Loop {
    fn install(client: &Client, uri: String) -> Arc<Loop> {
        let supervisor = Arc::new(Loop {
            uri,
            ended: Mutex::new(Vec::new()),
            change: Condvar::new(),
        });
        client.install_supervisor(supervisor.clone());
        client.set_retry_on_disconnect(true);
        supervisor
    }

    fn run(&self, recovery: &mut Recovery) -> Result<()> {
        loop {
            let attempt = recovery
                .connect(&self.uri, PATIENCE)
                .and_then(|()| recovery.logon(&LogonOptions::new()))
                .and_then(|()| recovery.restore())
                .and_then(|()| recovery.finish());
            match attempt {
                Err(Error::Store(reason)) => return Err(Error::Store(reason)),
                Err(error) if recovery.is_cancelled() => return Err(error),
                Err(_) => {
                    recovery.sleep(Duration::from_millis(1));
                }
                Ok(()) => return Ok(()),
            }
        }
    }

    /// What `connect_and_logon` of a client with a loop does.
    fn connect_and_logon(&self, client: &Client) -> Result<()> {
        match client.begin_recovery()? {
            Some(mut recovery) => self.run(&mut recovery),
            None => client.wait_for_recovery(),
        }
    }

    fn wait_for_ends(&self, count: usize) {
        let mut ended = self.ended.lock();
        while ended.len() < count {
            let waited = self.change.wait_for(&mut ended, PATIENCE);
            assert!(!waited.timed_out(), "{count} loops have not ended");
        }
    }
}

impl Supervisor for Loop {
    fn lost(&self, mut recovery: Recovery, _error: &Error) {
        let ended = self.run(&mut recovery);
        drop(recovery);
        self.ended.lock().push(ended);
        self.change.notify_all();
    }

    fn may_connect(&self) -> Result<()> {
        Err(ErrorContext::new("connect", "")
            .with_reason("the loop does")
            .Usage())
    }
}

fn supervised(server: &Server, name: &str) -> (Client, Arc<Loop>, PeerConnection) {
    let client = Client::new(name);
    let supervisor = Loop::install(&client, server.uri());
    let mut peer = None;
    during(
        || supervisor.connect_and_logon(&client),
        || {
            let mut accepted = server.accept();
            server.answer(&mut accepted, None);
            peer = Some(accepted);
        },
    )
    .unwrap();
    (client, supervisor, peer.unwrap())
}

#[test]
fn a_loss_is_made_good_on_the_thread_of_the_lost_connection() {
    let server = Server::start();
    let (client, supervisor, mut peer) = supervised(&server, "made-good");
    for ends in 1..=3 {
        peer.close();
        peer = server.accept();
        server.answer(&mut peer, None);
        supervisor.wait_for_ends(ends);
        assert!(client.is_logged_on());
    }
    assert!(supervisor.ended.lock().iter().all(Result::is_ok));
}

#[test]
fn connect_and_logon_through_a_supervised_client_are_refused() {
    let server = Server::start();
    let (client, _supervisor, _peer) = supervised(&server, "refused");
    let connected = client.connect(server.uri());
    assert!(matches!(connected, Err(Error::Usage(_))), "{connected:?}");
    assert!(matches!(client.logon(), Err(Error::Usage(_))));
    assert!(client.is_logged_on());
}

#[test]
fn j4_disconnect_through_a_plain_handle_stops_the_loop_in_a_logon() {
    let server = Server::start();
    let (client, supervisor, peer) = supervised(&server, "stops");
    peer.close();
    // The loop has connected and waits for the answer to its logon.
    let mut silent = server.accept();
    silent.expect_frame().unwrap();
    let plain = client.clone();
    plain.disconnect().unwrap();
    supervisor.wait_for_ends(1);
    assert!(supervisor.ended.lock()[0].is_err());
    assert!(!client.is_connected());
    // No late reconnection (trap 2), and it can begin anew (trap 3).
    thread::sleep(SILENCE);
    assert!(!client.is_connected());
    let mut peer = None;
    during(
        || supervisor.connect_and_logon(&client),
        || server.answer(peer.insert(server.accept()), None),
    )
    .unwrap();
}

/// Trap 2.
#[test]
fn j4_a_disconnect_between_two_attempts_leaves_no_connection() {
    for _ in 0..20 {
        let server = Server::start();
        let (client, supervisor, peer) = supervised(&server, "between");
        peer.close();
        let other = client.clone();
        let disconnecting = thread::spawn(move || {
            crate::eventually("the loss is noticed", || !other.is_logged_on());
            other.disconnect().unwrap_or_default();
        });
        disconnecting.join().unwrap();
        supervisor.wait_for_ends(1);
        assert!(!client.is_connected());
        // Whatever connection was begun is left over in the backlog.
        drop(client);
    }
}

#[test]
fn a_connection_that_dies_in_a_recovery_leaves_it_to_the_recovery() {
    let server = Server::start();
    let (client, supervisor, peer) = supervised(&server, "dies");
    peer.close();
    for _ in 0..3 {
        let dying = server.accept();
        dying.close();
    }
    let mut peer = server.accept();
    server.answer(&mut peer, None);
    supervisor.wait_for_ends(1);
    assert!(client.is_logged_on());
    // One loop, however many connections it took (trap 1).
    thread::sleep(SILENCE);
    assert_eq!(supervisor.ended.lock().len(), 1);
}

#[test]
fn j8_commands_and_publishes_of_other_threads_wait_and_are_stored() {
    let server = Server::start();
    let client = Client::new("others");
    let store = Arc::new(VecStore::default());
    client.set_publish_store(store.clone()).unwrap();
    let supervisor = Loop::install(&client, server.uri());
    during(
        || supervisor.connect_and_logon(&client),
        || {
            let mut peer = server.accept();
            let logon = peer.expect_frame().unwrap();
            // While the loop logs on.
            assert_eq!(client.publish("t", "1").unwrap(), 1);
            let flushing = thread::spawn({
                let client = client.clone();
                move || client.publish_flush(PATIENCE)
            });
            let id = amps_broker::field(&logon, "cid");
            peer.send(&format!(
                r#"{{"c":"ack","cid":"{id}","a":"processed","status":"success"}}"#
            ))
            .unwrap();
            assert!(peer.expect_frame().unwrap().ends_with("}1"));
            let flush = peer.acknowledge("completed").unwrap();
            assert!(flush.starts_with(r#"{"c":"flush""#), "{flush}");
            flushing.join().unwrap().unwrap();
        },
    )
    .unwrap();
}

#[test]
fn a_second_caller_shares_the_recovery_that_is_under_way() {
    let server = Server::start();
    let client = Client::new("shares");
    let supervisor = Loop::install(&client, server.uri());
    let mut peer = None;
    let both = during(
        || {
            thread::scope(|scope| {
                let callers =
                    [(); 2].map(|()| scope.spawn(|| supervisor.connect_and_logon(&client)));
                callers.map(|caller| caller.join().unwrap())
            })
        },
        || {
            let peer = peer.insert(server.accept());
            thread::sleep(SILENCE);
            server.answer(peer, None);
        },
    );
    for outcome in both {
        assert!(
            matches!(outcome, Ok(()) | Err(Error::AlreadyConnected(_))),
            "{outcome:?}"
        );
    }
    assert!(client.is_logged_on());
}

#[test]
fn no_retry_cures_a_store_that_cannot_renumber() {
    let server = Server::start();
    let client = Client::new("incurable");
    let store = Arc::new(VecStore::default());
    store
        .is_simple
        .store(true, std::sync::atomic::Ordering::SeqCst);
    client.set_publish_store(store.clone()).unwrap();
    client.publish("t", "1").unwrap();
    let supervisor = Loop::install(&client, server.uri());
    let ended = during(
        || supervisor.connect_and_logon(&client),
        || {
            let mut peer = server.accept();
            server.answer(&mut peer, Some(100));
        },
    );
    assert!(matches!(ended, Err(Error::Store(_))), "{ended:?}");
    assert!(!client.is_connected());
    let waiting = client.publish_flush(Duration::ZERO);
    assert!(
        matches!(waiting, Err(Error::Disconnected(_))),
        "{waiting:?}"
    );
}

#[test]
fn a_disconnect_handler_stands_in_for_the_supervisor() {
    let server = Server::start();
    let (client, supervisor, peer) = supervised(&server, "stands-in");
    let (sender, called) = std::sync::mpsc::channel();
    client.set_disconnect_handler(move |_| {
        sender.send(()).unwrap();
        Ok(())
    });
    peer.close();
    called.recv_timeout(PATIENCE).unwrap();
    assert!(supervisor.ended.lock().is_empty());
}

#[test]
fn the_last_handle_ends_the_loop() {
    let server = Server::start();
    let (client, supervisor, peer) = supervised(&server, "last-handle");
    peer.close();
    let mut silent = server.accept();
    silent.expect_frame().unwrap();
    drop(client);
    supervisor.wait_for_ends(1);
    assert!(supervisor.ended.lock()[0].is_err());
}
