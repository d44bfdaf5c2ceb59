//! Commands that outlive a loss: rules I6, I9, I11.

use crate::recovery::Server;
use crate::{PATIENCE, SILENCE, channel, during};
use amps::{
    AckType, Client, Command, EndReason, Error, MemorySubscriptionManager, SubscriptionManager,
};
use amps_broker::{PeerConnection, field};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

/// A client that makes a loss good, and its first connection.
fn lasting(server: &Server, name: &str) -> (Client, PeerConnection) {
    let client = Client::new(name);
    client.set_retry_on_disconnect(true);
    let uri = server.uri();
    client.set_disconnect_handler(move |client| {
        client.connect(&uri)?;
        client.logon()
    });
    let peer = server.logon(&client);
    (client, peer)
}

fn next(server: &Server) -> PeerConnection {
    let mut peer = server.accept();
    server.answer(&mut peer, None);
    peer
}

#[test]
fn i6_a_command_in_flight_is_sent_again_and_its_caller_waits() {
    let server = Server::start();
    let (client, mut peer) = lasting(&server, "in-flight");
    let mut stream = during(
        || client.execute(Command::new("sow").set_topic("t").set_timeout(PATIENCE)),
        || {
            peer.expect_frame().unwrap();
            peer.close();
            peer = next(&server);
            let frame = peer.acknowledge("processed").unwrap();
            assert!(frame.starts_with(r#"{"c":"sow""#), "{frame}");
            let id = field(&frame, "query_id").to_string();
            for body in ["group_begin", "group_end"] {
                peer.send(&format!(r#"{{"c":"{body}","query_id":"{id}"}}"#))
                    .unwrap();
            }
        },
    )
    .unwrap();
    // The stream is the one that was there before the loss, and has not ended with it.
    assert_eq!(stream.by_ref().count(), 2);
    assert_eq!(stream.end_reason(), Some(EndReason::Completed));
}

#[test]
fn i6_without_retry_it_ends() {
    let (client, mut peer) = crate::with_peer("no-retry");
    let lost = during(
        || client.execute(Command::new("sow").set_topic("t")),
        || {
            peer.expect_frame().unwrap();
            peer.close();
        },
    );
    assert!(matches!(lost, Err(Error::Disconnected(_))), "{lost:?}");
}

#[test]
fn i4_with_nobody_to_recover_the_client_it_ends() {
    let server = Server::start();
    let client = Client::new("nobody");
    client.set_retry_on_disconnect(true);
    let mut peer = server.logon(&client);
    let lost = during(
        || client.subscribe("t"),
        || {
            peer.expect_frame().unwrap();
            peer.close();
        },
    );
    assert!(matches!(lost, Err(Error::Disconnected(_))), "{lost:?}");
    assert!(matches!(client.subscribe("t"), Err(Error::Disconnected(_))));
}

/// Trap 32.
#[test]
fn i9_an_interrupted_subscription_is_entered_once() {
    let server = Server::start();
    let client = Client::new("once");
    let manager = Arc::new(MemorySubscriptionManager::new());
    client.set_subscription_manager(manager.clone()).unwrap();
    client.set_retry_on_disconnect(true);
    let uri = server.uri();
    client.set_disconnect_handler(move |client| {
        client.connect(&uri)?;
        client.logon()
    });
    let mut peer = server.logon(&client);
    let (handler, messages) = channel();
    let command = Command::new("subscribe")
        .set_topic("t")
        .set_timeout(PATIENCE);
    during(
        || client.execute_async(command, handler),
        || {
            peer.expect_frame().unwrap();
            peer.close();
            peer = next(&server);
            peer.acknowledge("processed").unwrap();
        },
    )
    .unwrap();
    client.publish("t", "marker").unwrap();
    let frame = peer.expect_frame().unwrap();
    assert!(frame.ends_with("marker"), "{frame}");
    let id = manager.sub_ids().remove(0);
    peer.send(&format!(r#"{{"c":"p","t":"t","sids":"{id}"}}x"#))
        .unwrap();
    messages.recv_timeout(PATIENCE).unwrap();
    manager.clear();
}

#[test]
fn i6_the_timeout_of_a_command_covers_the_recovery() {
    let server = Server::start();
    let (client, mut peer) = lasting(&server, "timeout");
    let command = Command::new("flush").set_timeout(Duration::from_millis(50));
    let late = during(
        || client.execute(command),
        || {
            peer.expect_frame().unwrap();
            peer.close();
            // The server is there and says nothing.
            peer = server.accept();
        },
    );
    assert!(matches!(late, Err(Error::TimedOut(_))), "{late:?}");
    server.answer(&mut peer, None);
    crate::eventually("it recovers all the same", || client.is_logged_on());
}

#[test]
fn a_command_that_is_executed_during_a_recovery_waits_for_its_end() {
    let server = Server::start();
    let (client, peer) = lasting(&server, "during");
    peer.close();
    let mut peer = server.accept();
    let flushed = during(
        || client.publish_flush(PATIENCE),
        || {
            let logon = peer.expect_frame().unwrap();
            assert!(logon.starts_with(r#"{"c":"logon""#), "{logon}");
            let id = field(&logon, "cid");
            // Nothing comes before the logon is answered.
            thread::sleep(SILENCE);
            peer.send(&format!(
                r#"{{"c":"ack","cid":"{id}","a":"processed","status":"success"}}"#
            ))
            .unwrap();
            let flush = peer.acknowledge("completed").unwrap();
            assert!(flush.starts_with(r#"{"c":"flush""#), "{flush}");
        },
    );
    flushed.unwrap();
}

#[test]
fn what_the_disconnect_handler_itself_executes_does_not_wait_for_itself() {
    let server = Server::start();
    let client = Client::new("itself");
    client.set_retry_on_disconnect(true);
    let uri = server.uri();
    let (sender, outcome) = mpsc::channel();
    client.set_disconnect_handler(move |client| {
        // Nobody else makes a connection: this must not wait for one.
        let before = client.publish_flush(Duration::ZERO);
        client.connect(&uri)?;
        client.logon()?;
        let _ = sender.send((before, client.publish_flush(Duration::ZERO)));
        Ok(())
    });
    let peer = server.logon(&client);
    peer.close();
    let mut peer = next(&server);
    peer.acknowledge("completed").unwrap();
    let (before, after) = outcome.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(before, Err(Error::Disconnected(_))), "{before:?}");
    after.unwrap();
}

#[test]
fn what_is_unsubscribed_while_it_waits_for_a_recovery_is_not_entered() {
    let server = Server::start();
    let (client, mut peer) = lasting(&server, "taken-back");
    let command = Command::new("subscribe").set_topic("t").set_sub_id("s");
    let mut stream = during(
        || client.execute(command.set_timeout(PATIENCE)),
        || {
            peer.expect_frame().unwrap();
            peer.close();
            peer = server.accept();
            client.unsubscribe("s").unwrap();
            server.answer(&mut peer, None);
        },
    )
    .unwrap();
    assert!(stream.next().is_none());
    assert_eq!(stream.end_reason(), Some(EndReason::Unsubscribed));
    client.publish("t", "marker").unwrap();
    let frame = peer.expect_frame().unwrap();
    assert!(frame.ends_with("marker"), "{frame}");
}

#[test]
fn disconnecting_ends_what_waits_for_a_recovery() {
    let server = Server::start();
    let (client, mut peer) = lasting(&server, "given-up");
    let ended = during(
        || client.execute(Command::new("flush").set_ack_type(AckType::COMPLETED)),
        || {
            peer.expect_frame().unwrap();
            peer.close();
            peer = server.accept();
            client.disconnect().unwrap();
        },
    );
    assert!(matches!(ended, Err(Error::Disconnected(_))), "{ended:?}");
}

#[test]
fn a_stream_that_was_accepted_just_before_a_loss_ends_with_it() {
    for _ in 0..20 {
        let server = Server::start();
        let (client, mut peer) = lasting(&server, "just-before");
        let command = Command::new("subscribe")
            .set_topic("t")
            .set_timeout(PATIENCE);
        let mut stream = during(
            || client.execute(command),
            || {
                peer.acknowledge("processed").unwrap();
                peer.close();
                peer = next(&server);
            },
        )
        .unwrap();
        assert!(stream.next().is_none());
        assert_eq!(stream.end_reason(), Some(EndReason::Disconnected));
    }
}

/// Many threads, a connection that is cut again and again: every command is decided, and each
/// subscription is entered.
#[test]
fn commands_of_many_threads_outlive_many_losses() {
    let broker = crate::broker();
    let client = Client::new("many");
    client.set_retry_on_disconnect(true);
    let manager = Arc::new(MemorySubscriptionManager::new());
    client.set_subscription_manager(manager.clone()).unwrap();
    let uri = broker.uri("json");
    client.set_disconnect_handler(move |client| {
        while client.connect(&uri).and_then(|()| client.logon()).is_err() {
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    });
    client.connect(broker.uri("json")).unwrap();
    client.logon().unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::SeqCst) {
                broker.disconnect_client("many");
                // Long enough for a recovery to get to its end now and then.
                thread::sleep(Duration::from_millis(40));
            }
        });
        let callers = [0, 1, 2].map(|caller| {
            let client = &client;
            scope.spawn(move || {
                for number in 0..20 {
                    client.publish_flush(PATIENCE).unwrap();
                    let (handler, _messages) = channel();
                    let command = Command::new("subscribe")
                        .set_topic("t")
                        .set_sub_id(format!("{caller}-{number}"))
                        .set_timeout(PATIENCE);
                    client.execute_async(command, handler).unwrap();
                    if number % 2 == 0 {
                        client.unsubscribe(format!("{caller}-{number}")).unwrap();
                    }
                }
            })
        });
        for caller in callers {
            caller.join().unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::SeqCst);
    });
    // Let the last loss be made good.
    client.publish_flush(PATIENCE).unwrap();
    assert_eq!(manager.sub_ids().len(), 30);
    crate::eventually("the server has the same", || {
        let count = broker.subscription_count("t");
        let _ = client.publish_flush(PATIENCE);
        count == 30
    });
}
