//! R25 to R27: querying and subscribing in one step.

use crate::{
    all, broker, client, command, expect, group, is_timestamp, next, publish, publish_ids,
};
use amps::{CommandType, Message};
use std::thread;

#[test]
fn r25_query_and_subscribe() {
    let broker = broker();
    let client = client(&broker, "r25");
    publish_ids(&client, "orders", 1..=3);
    let mut stream = client.sow_and_subscribe("orders").unwrap();
    let result = group(&mut stream);
    assert_eq!(
        result,
        [r#"sow {"id":1}"#, r#"sow {"id":2}"#, r#"sow {"id":3}"#]
    );
    publish(&client, "orders", &[r#"{"id":2,"qty":1}"#, r#"{"id":4}"#]);
    let update = next(&mut stream);
    assert_eq!(update.command(), CommandType::Publish);
    assert_eq!(update.data(), br#"{"id":2,"qty":1}"#);
    assert_ne!(update.sow_key(), "");
    expect(&mut stream, &[r#"publish {"id":4}"#]);
    // A topic that keeps nothing has an empty result.
    let mut adhoc = client.sow_and_subscribe("adhoc").unwrap();
    client.publish("adhoc", "live").unwrap();
    expect(&mut adhoc, &["group_begin", "group_end", "publish live"]);
}

#[test]
fn r25_every_update_is_in_the_result_or_after_it_and_none_is_in_both() {
    const UPDATES: u32 = 3000;
    let broker = broker();
    let publisher = client(&broker, "r25-publisher");
    let subscriber = client(&broker, "r25-subscriber");
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..UPDATES {
                let update = format!(r#"{{"id":{},"n":{n}}}"#, n % 10);
                publisher.publish("orders", update).unwrap();
            }
        });
        let mut last = 0;
        while last + 1 < UPDATES {
            let mut stream = subscriber.sow_and_subscribe("orders").unwrap();
            let number = |message: &Message| {
                let value: serde_json::Value = message.json().unwrap();
                value["n"].as_u64().unwrap() as u32
            };
            let newest = stream
                .by_ref()
                .take_while(|message| message.command() != CommandType::GroupEnd)
                .filter(|message| message.command() == CommandType::Sow)
                .map(|message| number(&message))
                .max();
            // What is live goes on exactly where the result stopped.
            last = newest.unwrap_or(0);
            let first = newest.map_or(0, |newest| newest + 1);
            for expected in (first..UPDATES).take(20) {
                last = number(&next(&mut stream));
                assert_eq!(last, expected);
            }
        }
    });
}

#[test]
fn r26_query_and_subscribe_with_options() {
    let broker = broker();
    let client = client(&broker, "r26");
    publish_ids(&client, "orders", 1..=1);
    let subscribe = command("sow_and_subscribe", "orders").set_options("oof,timestamp");
    let mut stream = client.execute(subscribe).unwrap();
    expect(&mut stream, &["group_begin"]);
    let record = next(&mut stream);
    assert!(is_timestamp(record.timestamp()));
    expect(&mut stream, &["group_end"]);
    publish(&client, "orders", &[r#"{"id":1,"qty":2}"#]);
    let update = next(&mut stream);
    assert!(is_timestamp(update.timestamp()));
    assert!(update.timestamp() >= record.timestamp());
    let delete = command("sow_delete", "orders").set_data(r#"{"id":1}"#);
    client.execute_async_no_handler(delete).unwrap();
    let gone = next(&mut stream);
    assert_eq!(gone.command(), CommandType::Oof);
    assert_eq!(gone.reason(), "deleted");
    assert_eq!(gone.data(), br#"{"id":1,"qty":2}"#);
    assert_eq!(gone.sow_key(), record.sow_key());
    assert!(is_timestamp(gone.timestamp()));
}

#[test]
fn r27_query_and_subscribe_with_a_filter() {
    let broker = broker();
    let client = client(&broker, "r27");
    publish(
        &client,
        "orders",
        &[r#"{"id":1,"qty":10}"#, r#"{"id":2,"qty":99}"#],
    );
    let filter = "/qty > 50";
    let mut stream = client.sow_and_subscribe_filtered("orders", filter).unwrap();
    assert_eq!(group(&mut stream), [r#"sow {"id":2,"qty":99}"#]);
    publish(
        &client,
        "orders",
        &[
            r#"{"id":3,"qty":50}"#,
            r#"{"id":1,"qty":60}"#,
            // It leaves, and as nobody asked, nothing is said.
            r#"{"id":2,"qty":1}"#,
            r#"{"id":3,"qty":51}"#,
        ],
    );
    expect(
        &mut stream,
        &[
            r#"publish {"id":1,"qty":60}"#,
            r#"publish {"id":3,"qty":51}"#,
        ],
    );
    let query = client.sow_filtered("orders", filter).unwrap();
    assert_eq!(all(query).len(), 4);
}
