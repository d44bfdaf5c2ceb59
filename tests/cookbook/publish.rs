//! R1 to R3: publishing.

use crate::{broker, client, command, expect, next, records};
use amps::{CommandType, EndReason};

#[test]
fn r01_basic_publish() {
    let broker = broker();
    let client = client(&broker, "r1");
    let mut stream = client.subscribe("news").unwrap();
    let payload = "{\"text\":\"\u{0}\\\"}\n\u{7f}\u{e9}\"}";
    let publish = command("publish", "news").set_data(payload);
    let mut nothing = client.execute(publish).unwrap();
    assert!(nothing.next().is_none());
    assert_eq!(nothing.end_reason(), Some(EndReason::Completed));
    let message = next(&mut stream);
    assert_eq!(message.command(), CommandType::Publish);
    assert_eq!(
        (message.topic(), message.data()),
        ("news", payload.as_bytes())
    );
    assert_eq!((message.sow_key(), message.correlation_id()), ("", ""));
    // A topic that reads as a pattern is a name to a publisher.
    client.publish("ne.s", "pattern").unwrap();
    client.publish("news", "marker").unwrap();
    expect(&mut stream, &["publish marker"]);
    assert_eq!(broker.published_count("ne.s"), 1);
}

#[test]
fn r02_publish_with_correlation_id() {
    let broker = broker();
    let client = client(&broker, "r2");
    let mut stream = client.subscribe("orders").unwrap();
    let publish = command("publish", "orders").set_data(r#"{"id":1}"#);
    client
        .execute(publish.clone().set_correlation_id("Zm9v+/="))
        .unwrap();
    client.execute(publish).unwrap();
    assert_eq!(next(&mut stream).correlation_id(), "Zm9v+/=");
    assert_eq!(next(&mut stream).correlation_id(), "");
}

#[test]
fn r03_publish_with_explicit_key() {
    let broker = broker();
    let client = client(&broker, "r3");
    let mut stream = client.subscribe("blobs").unwrap();
    for (key, payload) in [("a+/=", "one"), ("b", "two"), ("a+/=", "three")] {
        let publish = command("publish", "blobs").set_sow_key(key);
        client.execute(publish.set_data(payload)).unwrap();
        let message = next(&mut stream);
        assert_eq!(message.sow_key(), key);
        assert_eq!(message.data(), payload.as_bytes());
    }
    let stored = records(client.sow("blobs").unwrap());
    let stored = stored
        .iter()
        .map(|record| (record.sow_key(), record.data_str().unwrap()))
        .collect::<Vec<_>>();
    assert_eq!(stored, [("a+/=", "three"), ("b", "two")]);
    // Without a key there is no record to store it under, and nobody gets it.
    client.publish("blobs", "keyless").unwrap();
    let marker = command("publish", "blobs")
        .set_sow_key("c")
        .set_data("marker");
    client.execute(marker).unwrap();
    expect(&mut stream, &["publish marker"]);
    assert_eq!(broker.record_count("blobs"), 3);
}
