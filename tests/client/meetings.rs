//! Where a recovery meets what other threads do at the same time.

use crate::recovery::Server;
use crate::{PATIENCE, SILENCE, broker, channel, during, eventually, exceptions};
use amps::{
    Authenticator, Client, Command, ConnectionInfo, DefaultAuthenticator, DefaultServerChooser,
    Error, HaClient, MemorySubscriptionManager, ReconnectDelayStrategy, Result, ServerChooser,
};
use amps_broker::{Peer, field};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

#[test]
fn i8_without_a_store_no_publish_goes_ahead_of_the_logon() {
    let server = Server::start();
    let client = HaClient::new("ahead");
    client.set_reconnect_delay(Duration::ZERO);
    client.set_server_chooser(DefaultServerChooser::new().add(server.uri()));
    let mut peer = None;
    during(
        || client.connect_and_logon(),
        || {
            let mut accepted = server.accept();
            server.answer(&mut accepted, None);
            peer = Some(accepted);
        },
    )
    .unwrap();
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::SeqCst) {
                let _ = client.publish("t", "early");
                let command = Command::new("publish").set_topic("t");
                let _ = client.execute(command.set_data("early"));
            }
        });
        for _ in 0..5 {
            peer.take().unwrap().close();
            let mut accepted = server.accept();
            let first = accepted.expect_frame().unwrap();
            if !first.contains(r#""c":"logon""#) {
                is_done.store(true, Ordering::SeqCst);
                panic!("ahead of the logon: {first}");
            }
            let id = field(&first, "cid").to_string();
            accepted
                .send(&format!(
                    r#"{{"c":"ack","cid":"{id}","a":"processed","status":"success"}}"#
                ))
                .unwrap();
            // Publishing goes on over the new connection.
            accepted.expect_frame().unwrap();
            peer = Some(accepted);
        }
        is_done.store(true, Ordering::SeqCst);
    });
}

#[test]
fn b15_a_disconnect_by_the_exception_listener_leaves_nothing_to_the_disconnect_handler() {
    let server = Server::start();
    let client = Client::new("final");
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    client.set_disconnect_handler(move |_: &Client| -> Result<()> {
        counted.fetch_add(1, Ordering::SeqCst);
        Ok(())
    });
    let weak = client.downgrade();
    let (sender, told) = mpsc::channel();
    client.set_exception_listener(move |_: &Error| {
        if let Some(client) = weak.upgrade() {
            let _ = sender.send(client.disconnect());
        }
    });
    let peer = server.logon(&client);
    peer.close();
    told.recv_timeout(PATIENCE).unwrap().unwrap();
    thread::sleep(SILENCE);
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[test]
fn i2_a_loss_within_a_recovery_is_left_to_it_and_not_to_the_disconnect_handler() {
    let (bad, good) = (Peer::listen().unwrap(), Peer::listen().unwrap());
    let client = HaClient::new("left-to-it");
    // While it waits, there is no connection.
    client.set_reconnect_delay(SILENCE);
    let uris = [bad.uri("json"), good.uri("json")].map(|uri| format!("{uri}?tcp_linger=0"));
    client.set_server_chooser(InTurn(uris.to_vec()));
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    client.set_disconnect_handler(move |_: &Client| -> Result<()> {
        counted.fetch_add(1, Ordering::SeqCst);
        Ok(())
    });
    let mut peer = None;
    during(
        || client.connect_and_logon(),
        || {
            let mut accepted = bad.accept().unwrap();
            accepted.expect_frame().unwrap();
            accepted.close();
            let mut accepted = good.accept().unwrap();
            accepted.answer_logon().unwrap();
            peer = Some(accepted);
        },
    )
    .unwrap();
    thread::sleep(SILENCE);
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    // One of a connection that was recovered is its own.
    peer.unwrap().close();
    eventually("the handler is called", || {
        calls.load(Ordering::SeqCst) == 1
    });
}

/// Each server once, in turn.
struct InTurn(Vec<String>);

impl ServerChooser for InTurn {
    fn current_uri(&mut self) -> Option<String> {
        match self.0.is_empty() {
            true => None,
            false => Some(self.0.remove(0)),
        }
    }

    fn current_authenticator(&mut self) -> Arc<dyn Authenticator> {
        Arc::new(DefaultAuthenticator)
    }

    fn report_failure(&mut self, _: &Error, _: &ConnectionInfo) {}

    fn report_success(&mut self, _: &ConnectionInfo) {}

    fn error(&self) -> String {
        String::new()
    }
}

#[test]
fn q7_what_was_collected_for_a_logon_that_fails_is_told() {
    let server = Server::start();
    let client = Client::new("collected");
    let manager = MemorySubscriptionManager::new();
    client.set_subscription_manager(Arc::new(manager)).unwrap();
    client.set_publish_batching(1 << 20, Duration::ZERO);
    let mut peer = server.logon(&client);
    let command = Command::new("subscribe").set_topic("t").set_sub_id("s");
    let (handler, _messages) = channel();
    during(
        || client.execute_async(command.set_timeout(PATIENCE), handler),
        || {
            peer.acknowledge("processed").unwrap();
        },
    )
    .unwrap();
    peer.close();
    eventually("the loss is noticed", || !client.is_connected());
    let told = exceptions(&client);
    client.connect(server.uri()).unwrap();
    let mut peer = server.accept();
    let refused = during(
        || client.logon(),
        || {
            server.answer(&mut peer, None);
            let entered = peer.expect_frame().unwrap();
            client.publish("t", "collected").unwrap();
            let (id, why) = (field(&entered, "cid"), r#""reason":"not entitled""#);
            peer.send(&format!(
                r#"{{"c":"ack","cid":"{id}","a":"processed","status":"failure",{why}}}"#
            ))
            .unwrap();
        },
    );
    assert!(matches!(refused, Err(Error::NotEntitled(_))), "{refused:?}");
    // The loss itself may be told only now.
    while !told.recv_timeout(PATIENCE).unwrap().contains("1 publish ") {}
}

#[test]
fn a_strategy_that_panics_at_its_reset_does_not_make_a_success_an_error() {
    /// Begins well: it is reset before the first attempt, too.
    struct Panics(usize);
    impl ReconnectDelayStrategy for Panics {
        fn connect_wait_duration(&mut self, _: &str) -> Result<Duration> {
            Ok(Duration::ZERO)
        }
        fn reset(&mut self) {
            self.0 += 1;
            assert!(self.0 == 1, "a bug");
        }
    }
    let broker = broker();
    let client = HaClient::new("reset");
    client.set_server_chooser(DefaultServerChooser::new().add(broker.uri("json")));
    client.set_reconnect_delay_strategy(Panics(0));
    let told = exceptions(&client);
    client.connect_and_logon().unwrap();
    assert!(client.is_logged_on());
    let told = told.recv_timeout(PATIENCE).unwrap();
    assert!(told.contains("panicked"), "{told}");
}
