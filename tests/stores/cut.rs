//! Connections that are cut again and again.

use crate::{PATIENCE, broker, eventually, log_on, next, witness};
use amps::{
    AckType, BookmarkSubscribe, Client, MemoryBookmarkStore, MemoryPublishStore,
    MemorySubscriptionManager, Message, bookmark,
};
use amps_broker::Broker;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

/// Reconnects until it works: the simplest loop there is.
fn keep_connected(client: &Client, broker: &Broker) {
    let uri = broker.uri("json");
    client.set_disconnect_handler(move |client| {
        while client.connect(&uri).and_then(|()| client.logon()).is_err() {
            // Not `disconnect`, which would forget the subscriptions (rule B16).
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    });
}

/// Cuts the connections of a client until it is told to stop.
fn cutting<T>(broker: &Broker, name: &str, meanwhile: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                broker.disconnect_client(name);
                thread::sleep(Duration::from_millis(7));
            }
        });
        let result = meanwhile();
        stop.store(true, Ordering::SeqCst);
        result
    })
}

#[test]
fn every_message_is_delivered_once_and_in_order_however_often_its_publisher_is_cut_off() {
    const COUNT: u64 = 20_000;
    let broker = broker();
    let client = Client::new("publisher");
    let store = Arc::new(MemoryPublishStore::new(1000));
    client.set_publish_store(store).unwrap();
    log_on(&client, &broker);
    keep_connected(&client, &broker);
    cutting(&broker, "publisher", || {
        for number in 0..COUNT {
            client.publish("orders", number.to_string()).unwrap();
        }
    });
    eventually("it is back", || client.is_logged_on());
    client.set_retry_on_disconnect(true);
    eventually("everything is persisted", || {
        client
            .publish_flush_ack(Duration::from_secs(1), AckType::PERSISTED)
            .is_ok()
    });
    let mut delivered = witness(&broker);
    for number in 0..COUNT {
        assert_eq!(next(&mut delivered), number);
    }
    assert_eq!(broker.log_len(), COUNT);
}

#[test]
fn publishers_of_one_client_keep_their_own_order_across_cuts() {
    const EACH: u64 = 4000;
    let broker = broker();
    let client = Client::new("publisher");
    client
        .set_publish_store(Arc::new(MemoryPublishStore::new(1000)))
        .unwrap();
    client.set_publish_batching(4096, Duration::from_millis(1));
    log_on(&client, &broker);
    keep_connected(&client, &broker);
    cutting(&broker, "publisher", || {
        thread::scope(|scope| {
            for publisher in 0..3 {
                let client = &client;
                scope.spawn(move || {
                    for number in 0..EACH {
                        let payload = (publisher * EACH + number).to_string();
                        client.publish("orders", payload).unwrap();
                    }
                });
            }
        });
    });
    assert!(broker.wait_for_log_len(3 * EACH, PATIENCE));
    let mut delivered = witness(&broker);
    let mut expected = [0, EACH, 2 * EACH];
    for _ in 0..3 * EACH {
        let number = next(&mut delivered);
        let publisher = (number / EACH) as usize;
        assert_eq!(number, expected[publisher]);
        expected[publisher] += 1;
    }
    eventually("everything is persisted", || {
        client.unpersisted_count() == 0
    });
    assert_eq!(broker.log_len(), 3 * EACH);
}

#[test]
fn a_subscription_with_a_handler_misses_nothing_and_repeats_nothing_discarded() {
    const COUNT: u64 = 5000;
    let broker = broker();
    let client = Client::new("subscriber");
    client
        .set_bookmark_store(Arc::new(MemoryBookmarkStore::new()))
        .unwrap();
    client
        .set_subscription_manager(Arc::new(MemorySubscriptionManager::new()))
        .unwrap();
    log_on(&client, &broker);
    let weak = client.downgrade();
    let discarded = Arc::new(Mutex::new(HashSet::new()));
    let repeated = Arc::new(AtomicU64::new(0));
    let (sender, seen) = mpsc::channel();
    let (noted, twice) = (discarded.clone(), repeated.clone());
    let handler = move |message: &Message| {
        let number: u64 = message.data_str()?.parse().unwrap();
        if noted.lock().unwrap().contains(&number) {
            twice.fetch_add(1, Ordering::SeqCst);
        }
        sender.send(number).unwrap();
        // One in ten is never discarded, and may come again.
        if number % 10 != 3
            && let Some(client) = weak.upgrade()
        {
            client.discard(message)?;
            noted.lock().unwrap().insert(number);
        }
        Ok::<(), amps::Error>(())
    };
    let named = BookmarkSubscribe::new().set_sub_id("reader");
    client
        .bookmark_subscribe_async(handler, "orders", bookmark::MOST_RECENT, named)
        .unwrap();
    keep_connected(&client, &broker);
    let publisher = Client::new("publisher");
    log_on(&publisher, &broker);
    let mut missing = (0..COUNT).collect::<HashSet<_>>();
    cutting(&broker, "subscriber", || {
        for number in 0..COUNT {
            publisher.publish("orders", number.to_string()).unwrap();
            if number % 50 == 0 {
                thread::sleep(Duration::from_millis(1));
            }
        }
    });
    while !missing.is_empty() {
        let number = seen.recv_timeout(PATIENCE).expect("a message is missing");
        missing.remove(&number);
    }
    assert_eq!(repeated.load(Ordering::SeqCst), 0);
}

#[test]
fn a_write_that_the_server_refuses_is_told_with_its_message_and_dropped_alone() {
    let broker = broker();
    let client = Client::new("publisher");
    client
        .set_publish_store(Arc::new(MemoryPublishStore::new(100)))
        .unwrap();
    let (sender, refused) = mpsc::channel();
    client.set_failed_write_handler(move |message, reason| {
        let data = message.data_str().unwrap().to_string();
        sender.send((data, reason.to_string())).unwrap();
    });
    log_on(&client, &broker);
    client.publish("orders", "1").unwrap();
    client.publish_flush(PATIENCE).unwrap();
    broker.fail_next_writes("orders", 1, "not entitled");
    client.publish("orders", "2").unwrap();
    client.publish("orders", "3").unwrap();
    let told = refused.recv_timeout(PATIENCE).unwrap();
    assert_eq!(told, ("2".to_string(), "not entitled".to_string()));
    client
        .publish_flush_ack(PATIENCE, AckType::PERSISTED)
        .unwrap();
    let mut delivered = witness(&broker);
    assert_eq!([next(&mut delivered), next(&mut delivered)], [1, 3]);
}

#[test]
fn what_was_not_acknowledged_stays_in_the_store_until_it_is() {
    let broker = broker();
    let client = Client::new("publisher");
    client
        .set_publish_store(Arc::new(MemoryPublishStore::new(100)))
        .unwrap();
    log_on(&client, &broker);
    broker.hold_persisted_acks();
    for number in 0..10 {
        client.publish("orders", number.to_string()).unwrap();
    }
    client.publish_flush(PATIENCE).unwrap();
    assert_eq!(client.unpersisted_count(), 10);
    broker.release_persisted_acks();
    client
        .publish_flush_ack(PATIENCE, AckType::PERSISTED)
        .unwrap();
    assert_eq!(client.unpersisted_count(), 0);
}
