//! Publishing through a store: rules C13, H, I8, K.

use crate::recovery::{Server, states};
use crate::small_stores::VecStore;
use crate::{PATIENCE, SILENCE, during, exceptions};
use amps::{AckType, Client, Command, CommandType, Error, PublishStore};
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

/// Trap 57.
#[test]
fn k3_a_publish_carries_its_number_and_asks_for_its_fate() {
    let server = Server::start();
    let (client, store) = server.publisher("carries");
    let mut peer = server.logon(&client);
    assert_eq!(client.publish("t", "{}").unwrap(), 1);
    let lifetime = Duration::from_secs(5);
    client.publish_with_expiration("t", "x", lifetime).unwrap();
    assert_eq!(client.delta_publish("t", "y").unwrap(), 3);
    let command = Command::new("publish")
        .set_topic("t")
        .set_correlation_id("x")
        .set_sow_key("k")
        .set_data("z");
    client.execute_async_no_handler(command).unwrap();
    let frames = [
        r#"{"c":"p","t":"t","s":1,"a":"persisted"}{}"#,
        r#"{"c":"p","t":"t","s":2,"e":5,"a":"persisted"}x"#,
        r#"{"c":"delta_publish","t":"t","s":3,"a":"persisted"}y"#,
        r#"{"c":"p","t":"t","k":"k","s":4,"x":"x","a":"persisted"}z"#,
    ];
    for frame in frames {
        assert_eq!(peer.expect_frame().unwrap(), frame);
    }
    assert_eq!(client.unpersisted_count(), 4);
    assert_eq!(store.numbers(), [1, 2, 3, 4]);
}

#[test]
fn c13_a_persisted_acknowledgement_lets_go_of_everything_up_to_it() {
    let server = Server::start();
    let (client, store) = server.publisher("lets-go");
    let mut peer = server.logon(&client);
    for _ in 0..3 {
        client.publish("t", "{}").unwrap();
    }
    peer.send(r#"{"c":"ack","s":2,"bm":"1|2|","a":"persisted","status":"success"}"#)
        .unwrap();
    crate::eventually("two are gone", || store.numbers() == [3]);
    // One with a command id is for that command alone.
    client.publish("t", "{}").unwrap();
    peer.send(r#"{"c":"ack","cid":"9","s":4,"a":"persisted","status":"success"}"#)
        .unwrap();
    crate::eventually("the last is gone", || store.numbers() == [3]);
}

/// Trap 56.
#[test]
fn h1_the_failed_write_handler_gets_the_message_itself_and_the_store_drops_it_alone() {
    let server = Server::start();
    let (client, store) = server.publisher("refused");
    let (sender, refused) = mpsc::channel();
    client.set_failed_write_handler(move |message, reason| {
        let told = format!(
            "{} {:?} {} {} {reason}",
            message.command(),
            message.sequence(),
            message.topic(),
            message.data_str().unwrap()
        );
        sender.send(told).unwrap();
    });
    let mut peer = server.logon(&client);
    for number in 1..=3 {
        client.publish("t", format!("{number}")).unwrap();
    }
    let refusal = r#"{"c":"ack","s":2,"a":"persisted","status":"failure","reason":"not entitled"}"#;
    peer.send(refusal).unwrap();
    let told = refused.recv_timeout(PATIENCE).unwrap();
    assert_eq!(told, "publish Some(2) t 2 not entitled");
    crate::eventually("it is dropped", || store.numbers() == [1, 3]);
    // A second word about it finds nothing in the store: the handler gets the acknowledgement.
    peer.send(refusal).unwrap();
    let told = refused.recv_timeout(PATIENCE).unwrap();
    assert_eq!(told, "ack Some(2)   not entitled");
}

#[test]
fn h2_without_a_handler_the_last_chance_handler_gets_the_acknowledgement() {
    let server = Server::start();
    let (client, store) = server.publisher("no-handler");
    let (handler, unexpected) = crate::channel();
    client.set_last_chance_message_handler(handler);
    let mut peer = server.logon(&client);
    client.publish("t", "1").unwrap();
    peer.send(r#"{"c":"ack","s":1,"a":"persisted","status":"failure","reason":"bad"}"#)
        .unwrap();
    let message = unexpected.recv_timeout(PATIENCE).unwrap();
    assert_eq!(message.command(), CommandType::Ack);
    // It would be refused at each replay.
    crate::eventually("it is dropped", || store.numbers().is_empty());
}

#[test]
fn h6_a_duplicate_counts_as_persisted() {
    let server = Server::start();
    let (client, store) = server.publisher("twice");
    let (sender, refused) = mpsc::channel();
    client.set_failed_write_handler(move |_, _| sender.send(()).unwrap());
    let mut peer = server.logon(&client);
    client.publish("t", "1").unwrap();
    peer.send(r#"{"c":"ack","s":1,"a":"persisted","status":"failure","reason":"duplicate"}"#)
        .unwrap();
    crate::eventually("it is gone", || store.numbers().is_empty());
    assert!(refused.recv_timeout(SILENCE).is_err());
}

#[test]
fn trap_74_what_a_store_cannot_do_on_the_receive_thread_is_told() {
    let server = Server::start();
    let (client, store) = server.publisher("full");
    let mut peer = server.logon(&client);
    let told = exceptions(&client);
    client.publish("t", "1").unwrap();
    store.fails.store(true, Ordering::SeqCst);
    peer.send(r#"{"c":"ack","s":1,"a":"persisted","status":"success"}"#)
        .unwrap();
    assert!(
        told.recv_timeout(PATIENCE)
            .unwrap()
            .contains("the disk is full")
    );
    assert!(client.is_logged_on());
}

#[test]
fn a_publish_that_cannot_be_stored_is_not_sent() {
    let server = Server::start();
    let (client, store) = server.publisher("unstored");
    let mut peer = server.logon(&client);
    store.fails.store(true, Ordering::SeqCst);
    let error = client.publish("t", "lost").unwrap_err();
    assert!(matches!(error, Error::Store(_)), "{error}");
    store.fails.store(false, Ordering::SeqCst);
    client.publish("t", "kept").unwrap();
    assert!(peer.expect_frame().unwrap().ends_with("kept"));
}

#[test]
fn i8_without_a_connection_a_publish_is_stored_and_sent_after_the_logon() {
    let server = Server::start();
    let (client, store) = server.publisher("offline");
    assert_eq!(client.publish("t", "1").unwrap(), 1);
    client.connect(server.uri()).unwrap();
    // Connected is not enough: the server would number it before what is replayed.
    assert_eq!(client.publish("t", "2").unwrap(), 2);
    let mut peer = server.accept();
    during(|| client.logon(), || server.answer(&mut peer, None)).unwrap();
    assert!(peer.expect_frame().unwrap().ends_with("}1"));
    assert!(peer.expect_frame().unwrap().ends_with("}2"));
    assert!(!store.is_offline());
}

#[test]
fn k2_a_loss_in_the_middle_of_publishing_loses_nothing() {
    let server = Server::start();
    let (client, store) = server.publisher("middle");
    let mut peer = server.logon(&client);
    client.publish("t", "1").unwrap();
    peer.expect_frame().unwrap();
    peer.close();
    crate::eventually("the loss is noticed", || !client.is_connected());
    assert_eq!(client.publish("t", "2").unwrap(), 2);
    assert!(store.is_offline());
    let mut peer = server.logon(&client);
    for number in 1..=2 {
        let frame = peer.expect_frame().unwrap();
        assert!(frame.contains(&format!(r#""s":{number},"#)), "{frame}");
    }
}

#[test]
fn k10_flushing_waits_for_the_store_to_empty() {
    let server = Server::start();
    let (client, store) = server.publisher("flush");
    let mut peer = server.logon(&client);
    client.publish("t", "1").unwrap();
    let short = Duration::from_millis(20);
    let error = client
        .publish_flush_ack(short, AckType::PERSISTED)
        .unwrap_err();
    assert!(matches!(error, Error::TimedOut(_)), "{error}");
    let asked = store.asked.load(Ordering::SeqCst);
    during(
        || client.publish_flush_ack(PATIENCE, AckType::PERSISTED),
        || {
            peer.expect_frame().unwrap();
            crate::eventually("it waits", || store.asked.load(Ordering::SeqCst) > asked);
            // What is published during the wait does not extend it (rule K9).
            client.publish("t", "2").unwrap();
            peer.send(r#"{"c":"ack","s":1,"a":"persisted","status":"success"}"#)
                .unwrap();
        },
    )
    .unwrap();
    assert_eq!(client.unpersisted_count(), 1);
}

#[test]
fn k10_flushing_the_store_ends_when_nobody_will_empty_it() {
    let server = Server::start();
    let (client, _store) = server.publisher("flush-loss");
    client.publish("t", "1").unwrap();
    let flush = || client.publish_flush_ack(Duration::ZERO, AckType::PERSISTED);
    assert!(matches!(flush(), Err(Error::Disconnected(_))));
    let peer = server.logon(&client);
    let lost = during(flush, || {
        thread::sleep(Duration::from_millis(5));
        peer.close();
    });
    assert!(matches!(lost, Err(Error::Disconnected(_))), "{lost:?}");
}

#[test]
fn k10_without_a_store_the_server_is_asked() {
    let (client, mut peer) = crate::with_peer("asked");
    during(
        || client.publish_flush_ack(PATIENCE, AckType::PERSISTED),
        || {
            let flush = peer.acknowledge("persisted").unwrap();
            assert!(flush.contains(r#""a":"persisted""#), "{flush}");
        },
    )
    .unwrap();
}

#[test]
fn a_call_from_the_resize_handler_is_refused_and_does_not_hang() {
    let server = Server::start();
    let (client, store) = server.publisher("resize");
    let weak = client.downgrade();
    let (sender, refused) = mpsc::channel();
    store.set_resize_handler(Box::new(move |store, _| {
        let client = weak.upgrade().unwrap();
        let published = client.publish("t", "inner");
        let flushed = client.publish_flush(PATIENCE);
        let closed = client.disconnect();
        sender.send((published, flushed.and(closed))).unwrap();
        // The store itself may be asked, and so may another client.
        assert_eq!(store.unpersisted_count(), 0);
        Client::new("other").is_connected();
        true
    }));
    let _peer = server.logon(&client);
    client.publish("t", "outer").unwrap();
    let (published, others) = refused.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(published, Err(Error::Usage(_))), "{published:?}");
    assert!(matches!(others, Err(Error::Usage(_))), "{others:?}");
    assert_eq!(store.numbers(), [1]);
    assert!(client.is_connected());
}

#[test]
fn k12_what_the_resize_handler_forbids_is_a_store_error() {
    let server = Server::start();
    let (client, store) = server.publisher("forbidden");
    store.set_resize_handler(Box::new(|_, _| false));
    assert!(matches!(client.publish("t", "1"), Err(Error::Store(_))));
}

#[test]
fn b17_stores_cannot_be_changed_while_connected() {
    let server = Server::start();
    let (client, _store) = server.publisher("fixed");
    let _peer = server.logon(&client);
    let error = client.set_publish_store(Arc::new(VecStore::default()));
    assert!(matches!(error, Err(Error::Usage(_))));
    client.disconnect().unwrap_or_default();
    client
        .set_publish_store(Arc::new(VecStore::default()))
        .unwrap();
}

#[test]
fn k3_a_delete_that_waits_is_stored_and_answered() {
    let server = Server::start();
    let (client, store) = server.publisher("delete");
    let mut peer = server.logon(&client);
    let deleted = during(
        || client.sow_delete("t", "1=1"),
        || {
            let delete = peer.acknowledge("processed").unwrap();
            assert!(delete.contains(r#""f":"1=1","s":1,"#), "{delete}");
            assert!(
                delete.contains(r#""a":"processed,persisted,stats""#),
                "{delete}"
            );
            let id = amps_broker::field(&delete, "cid");
            peer.send(&format!(
                r#"{{"c":"ack","cid":"{id}","a":"stats","status":"success","records_deleted":4}}"#
            ))
            .unwrap();
        },
    )
    .unwrap();
    assert_eq!(deleted.records_deleted(), Some(4));
    assert_eq!(store.numbers(), [1]);
}

#[test]
fn a_delete_that_is_refused_does_not_stay_in_the_store() {
    let server = Server::start();
    let (client, store) = server.publisher("refused-delete");
    let mut peer = server.logon(&client);
    let refused = during(
        || client.sow_delete("t", "(("),
        || {
            let delete = peer.expect_frame().unwrap();
            let id = amps_broker::field(&delete, "cid");
            peer.send(&format!(
                r#"{{"c":"ack","cid":"{id}","a":"processed","status":"failure","reason":"bad filter"}}"#
            ))
            .unwrap();
        },
    );
    assert!(matches!(refused, Err(Error::BadFilter(_))), "{refused:?}");
    assert!(store.numbers().is_empty());
}

#[test]
fn a_stored_command_that_loses_its_connection_says_that_it_will_be_sent_again() {
    let server = Server::start();
    let (client, store) = server.publisher("delete-loss");
    let offline = client.sow_delete("t", "1=1").unwrap_err();
    assert!(matches!(offline, Error::RetryOperation(_)), "{offline}");
    assert_eq!(offline.context().sequence(), Some(1));
    let mut peer = server.logon(&client);
    peer.expect_frame().unwrap();
    // Retrying is the store's business, also with retry on: it must not be sent twice.
    client.set_retry_on_disconnect(true);
    let lost = during(
        || client.sow_delete("t", "2=2"),
        || {
            peer.expect_frame().unwrap();
            peer.close();
        },
    )
    .unwrap_err();
    assert!(matches!(lost, Error::RetryOperation(_)), "{lost}");
    assert_eq!(lost.context().sequence(), Some(2));
    assert_eq!(store.numbers(), [1, 2]);
    let (states, _) = states(&client);
    let mut peer = server.logon(&client);
    for number in 1..=2 {
        let frame = peer.expect_frame().unwrap();
        assert!(
            frame.contains(&format!(r#""f":"{number}={number}","s":{number}"#)),
            "{frame}"
        );
    }
    drop(states);
}

#[test]
fn stored_publishes_that_were_collected_are_not_lost_with_their_connection() {
    let server = Server::start();
    let (client, store) = server.publisher("collected");
    client.set_publish_batching(1 << 20, Duration::ZERO);
    let told = exceptions(&client);
    let mut peer = server.logon(&client);
    client.publish("t", "1").unwrap();
    client.publish("t", "2").unwrap();
    // What is not for the store may be lost, and is the only thing that is told of.
    let mut raw = amps::Message::new("publish");
    raw.set_topic("t").set_data("raw");
    client.send(&raw).unwrap();
    peer.close();
    let lost = told.recv_timeout(PATIENCE).unwrap();
    assert!(lost.contains("closed the connection"), "{lost}");
    let batch = told.recv_timeout(PATIENCE).unwrap();
    assert!(batch.contains("before 1 publish had left"), "{batch}");
    assert_eq!(store.numbers(), [1, 2]);
    peer = server.logon(&client);
    for number in 1..=2 {
        let frame = peer.expect_frame().unwrap();
        assert!(frame.contains(&format!(r#""s":{number},"#)), "{frame}");
    }
}

#[test]
fn k10_a_flush_sends_what_was_collected_first() {
    let server = Server::start();
    let (client, _store) = server.publisher("collected-flush");
    client.set_publish_batching(1 << 20, Duration::ZERO);
    let mut peer = server.logon(&client);
    client.publish("t", "1").unwrap();
    client.publish("t", "2").unwrap();
    during(
        || client.publish_flush_ack(PATIENCE, AckType::PERSISTED),
        || {
            for number in 1..=2 {
                let frame = peer.expect_frame().unwrap();
                assert!(frame.contains(&format!(r#""s":{number},"#)), "{frame}");
            }
            peer.send(r#"{"c":"ack","s":2,"a":"persisted","status":"success"}"#)
                .unwrap();
        },
    )
    .unwrap();
}

#[test]
fn a_command_id_that_is_in_use_stores_nothing() {
    let server = Server::start();
    let (client, store) = server.publisher("in-use");
    let mut peer = server.logon(&client);
    let command = || {
        Command::new("sow_delete")
            .set_topic("t")
            .set_filter("1=1")
            .set_command_id("same")
            .set_timeout(PATIENCE)
    };
    during(
        || client.execute(command()),
        || {
            peer.expect_frame().unwrap();
            let second = client.execute(command());
            assert!(
                matches!(second, Err(Error::SubscriptionAlreadyExists(_))),
                "{second:?}"
            );
            peer.send(r#"{"c":"ack","cid":"same","a":"processed","status":"success"}"#)
                .unwrap();
        },
    )
    .unwrap();
    assert_eq!(store.numbers(), [1]);
}
