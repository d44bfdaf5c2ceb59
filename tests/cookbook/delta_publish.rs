//! R31 to R33: publishing changed fields.

use crate::{broker, client, command, expect, next, payloads, publish, records};

#[test]
fn r31_delta_publish() {
    let broker = broker();
    let client = client(&broker, "r31");
    let mut stream = client.subscribe("orders").unwrap();
    publish(
        &client,
        "orders",
        &[r#"{"id":1,"qty":1,"at":{"x":1,"y":1},"tags":["a","b"]}"#],
    );
    for delta in [
        r#"{"id":1,"qty":2}"#,
        // The same again is still an update.
        r#"{"id":1,"qty":2}"#,
        // Objects merge path by path, arrays are replaced, null changes nothing.
        r#"{"id":1,"at":{"y":2},"tags":["c"],"qty":null,"new":true}"#,
        // A record that is not there is inserted.
        r#"{"id":2,"qty":9}"#,
    ] {
        client.delta_publish("orders", delta).unwrap();
    }
    let merged = r#"{"id":1,"qty":2,"at":{"x":1,"y":2},"tags":["c"],"new":true}"#;
    expect(
        &mut stream,
        &[
            r#"publish {"id":1,"qty":1,"at":{"x":1,"y":1},"tags":["a","b"]}"#,
            r#"publish {"id":1,"qty":2,"at":{"x":1,"y":1},"tags":["a","b"]}"#,
            r#"publish {"id":1,"qty":2,"at":{"x":1,"y":1},"tags":["a","b"]}"#,
            &format!("publish {merged}"),
            r#"publish {"id":2,"qty":9}"#,
        ],
    );
    let stored = records(client.sow("orders").unwrap());
    assert_eq!(payloads(&stored), [merged, r#"{"id":2,"qty":9}"#]);
    // Where nothing is kept, the delta is the message.
    let mut adhoc = client.subscribe("adhoc").unwrap();
    client.delta_publish("adhoc", r#"{"qty":1}"#).unwrap();
    expect(&mut adhoc, &[r#"publish {"qty":1}"#]);
}

#[test]
fn r32_delta_publish_with_correlation_id() {
    let broker = broker();
    let client = client(&broker, "r32");
    let mut stream = client.subscribe("orders").unwrap();
    let publish = command("publish", "orders").set_correlation_id("old=");
    client
        .execute(publish.set_data(r#"{"id":1,"qty":1}"#))
        .unwrap();
    let delta = command("delta_publish", "orders").set_data(r#"{"id":1,"qty":2}"#);
    client.execute(delta.clone()).unwrap();
    client
        .execute(delta.clone().set_correlation_id("new="))
        .unwrap();
    client.execute(delta).unwrap();
    for expected in ["old=", "old=", "new=", "new="] {
        assert_eq!(next(&mut stream).correlation_id(), expected);
    }
    let stored = records(client.sow("orders").unwrap());
    assert_eq!(stored[0].correlation_id(), "new=");
}

#[test]
fn r33_delta_publish_with_explicit_key() {
    let broker = broker();
    let client = client(&broker, "r33");
    let mut stream = client.subscribe("blobs").unwrap();
    let delta = |key: &str, data: &str| {
        let command = command("delta_publish", "blobs").set_sow_key(key);
        client.execute(command.set_data(data)).unwrap();
    };
    delta("Zm9v", r#"{"a":1}"#);
    delta("Zm9v", r#"{"b":2}"#);
    delta("YmFy", r#"{"b":3}"#);
    delta("Zm9v", r#"{"a":4}"#);
    for (key, payload) in [
        ("Zm9v", r#"{"a":1}"#),
        ("Zm9v", r#"{"a":1,"b":2}"#),
        ("YmFy", r#"{"b":3}"#),
        ("Zm9v", r#"{"a":4,"b":2}"#),
    ] {
        let message = next(&mut stream);
        assert_eq!(
            (message.sow_key(), message.data()),
            (key, payload.as_bytes())
        );
    }
    assert_eq!(broker.record_count("blobs"), 2);
}
