//! R34 to R36 and R39 to R41: receiving changed fields.

use crate::{broker, client, command, expect, group, is_timestamp, next, publish};
use amps::CommandType;

#[test]
fn r34_delta_subscription() {
    let broker = broker();
    let client = client(&broker, "r34");
    publish(
        &client,
        "orders",
        &[r#"{"id":1,"qty":1,"px":5,"at":{"x":1,"y":1}}"#],
    );
    let mut stream = client
        .execute(command("delta_subscribe", "orders"))
        .unwrap();
    publish(
        &client,
        "orders",
        &[
            r#"{"id":1,"qty":2,"px":5,"at":{"x":1,"y":2}}"#,
            r#"{"id":1,"qty":2,"px":5,"at":{"x":1,"y":2}}"#,
            r#"{"id":2,"qty":7,"px":8}"#,
        ],
    );
    client
        .delta_publish("orders", r#"{"id":2,"px":8,"qty":6}"#)
        .unwrap();
    let first = next(&mut stream);
    assert_eq!(first.command(), CommandType::Publish);
    assert_eq!(first.data(), br#"{"id":1,"qty":2,"at":{"y":2}}"#);
    assert_ne!(first.sow_key(), "");
    expect(
        &mut stream,
        &[
            // Nothing changed: the key alone.
            r#"publish {"id":1}"#,
            // New to the topic: in full.
            r#"publish {"id":2,"qty":7,"px":8}"#,
            r#"publish {"id":2,"qty":6}"#,
        ],
    );
    // Nothing is kept, so nothing is known to have changed.
    let mut adhoc = client.execute(command("delta_subscribe", "adhoc")).unwrap();
    publish(
        &client,
        "adhoc",
        &[r#"{"id":1,"a":1}"#, r#"{"id":1,"a":1}"#],
    );
    expect(
        &mut adhoc,
        &[r#"publish {"id":1,"a":1}"#, r#"publish {"id":1,"a":1}"#],
    );
}

#[test]
fn r34_another_subscription_to_full_messages_makes_both_full() {
    let broker = broker();
    let client = client(&broker, "r34-both");
    let other = crate::client(&broker, "r34-other");
    publish(&client, "orders", &[r#"{"id":1,"qty":1,"px":5}"#]);
    let mut deltas = client
        .execute(command("delta_subscribe", "orders"))
        .unwrap();
    let mut others = other.execute(command("delta_subscribe", "orders")).unwrap();
    let mut full = client.subscribe_filtered("orders", "/qty < 10").unwrap();
    publish(
        &client,
        "orders",
        &[r#"{"id":1,"qty":2,"px":5}"#, r#"{"id":1,"qty":11,"px":5}"#],
    );
    expect(
        &mut deltas,
        &[
            r#"publish {"id":1,"qty":2,"px":5}"#,
            r#"publish {"id":1,"qty":11}"#,
        ],
    );
    expect(&mut full, &[r#"publish {"id":1,"qty":2,"px":5}"#]);
    expect(
        &mut others,
        &[
            r#"publish {"id":1,"qty":2}"#,
            r#"publish {"id":1,"qty":11}"#,
        ],
    );
}

#[test]
fn r35_delta_subscription_with_options() {
    let broker = broker();
    let client = client(&broker, "r35");
    publish(&client, "orders", &[r#"{"id":1,"qty":1}"#]);
    let options = "no_empties,oof,no_sowkey,timestamp,send_keys";
    let subscribe = command("delta_subscribe", "orders").set_options(options);
    let mut stream = client.execute(subscribe).unwrap();
    publish(
        &client,
        "orders",
        &[r#"{"id":1,"qty":1}"#, r#"{"id":1,"qty":2}"#],
    );
    let change = next(&mut stream);
    assert_eq!(
        change.data(),
        br#"{"id":1,"qty":2}"#,
        "the first one changed nothing"
    );
    assert_eq!(change.sow_key(), "");
    assert!(is_timestamp(change.timestamp()));
    let delete = command("sow_delete", "orders").set_data(r#"{"id":1}"#);
    client.execute_async_no_handler(delete).unwrap();
    expect(&mut stream, &[r#"oof deleted {"id":1,"qty":2}"#]);
}

#[test]
fn r36_delta_subscription_with_a_filter() {
    let broker = broker();
    let client = client(&broker, "r36");
    publish(
        &client,
        "orders",
        &[
            r#"{"id":1,"qty":1,"side":"B"}"#,
            r#"{"id":2,"qty":1,"side":"S"}"#,
        ],
    );
    let subscribe = command("delta_subscribe", "orders").set_filter("/side = 'B'");
    let mut stream = client.execute(subscribe).unwrap();
    // The filter sees the whole record, though the delta does not have the field.
    for delta in [
        r#"{"id":1,"qty":2}"#,
        r#"{"id":2,"qty":2}"#,
        r#"{"id":2,"side":"B"}"#,
    ] {
        client.delta_publish("orders", delta).unwrap();
    }
    expect(
        &mut stream,
        &[
            r#"publish {"id":1,"qty":2}"#,
            r#"publish {"id":2,"side":"B"}"#,
        ],
    );
}

#[test]
fn r39_query_and_delta_subscribe() {
    let broker = broker();
    let client = client(&broker, "r39");
    publish(&client, "orders", &[r#"{"id":1,"qty":1,"px":5}"#]);
    let subscribe = command("sow_and_delta_subscribe", "orders");
    let mut stream = client.execute(subscribe).unwrap();
    assert_eq!(group(&mut stream), [r#"sow {"id":1,"qty":1,"px":5}"#]);
    publish(
        &client,
        "orders",
        &[r#"{"id":1,"qty":2,"px":5}"#, r#"{"id":2,"qty":2}"#],
    );
    expect(
        &mut stream,
        &[r#"publish {"id":1,"qty":2}"#, r#"publish {"id":2,"qty":2}"#],
    );
}

#[test]
fn r40_query_and_delta_subscribe_with_options() {
    let broker = broker();
    let client = client(&broker, "r40");
    publish(&client, "orders", &[r#"{"id":1,"qty":60,"px":5}"#]);
    let subscribe = command("sow_and_delta_subscribe", "orders")
        .set_filter("/qty > 50")
        .set_options("oof,timestamp");
    let mut stream = client.execute(subscribe).unwrap();
    expect(&mut stream, &["group_begin"]);
    assert!(is_timestamp(next(&mut stream).timestamp()));
    expect(&mut stream, &["group_end"]);
    for qty in [61, 1, 62, 63] {
        client
            .delta_publish("orders", format!(r#"{{"id":1,"qty":{qty}}}"#))
            .unwrap();
    }
    let change = next(&mut stream);
    assert_eq!(change.data(), br#"{"id":1,"qty":61}"#);
    assert!(is_timestamp(change.timestamp()));
    let gone = next(&mut stream);
    assert_eq!((gone.command(), gone.reason()), (CommandType::Oof, "match"));
    assert_eq!(
        gone.data(),
        br#"{"id":1,"qty":1,"px":5}"#,
        "the merged record"
    );
    assert!(is_timestamp(gone.timestamp()));
    expect(
        &mut stream,
        &[
            // Back in focus: in full.
            r#"publish {"id":1,"qty":62,"px":5}"#,
            r#"publish {"id":1,"qty":63}"#,
        ],
    );
}

#[test]
fn r41_query_and_delta_subscribe_with_a_filter() {
    let broker = broker();
    let client = client(&broker, "r41");
    publish(
        &client,
        "orders",
        &[r#"{"id":1,"qty":60,"px":5}"#, r#"{"id":2,"qty":1,"px":6}"#],
    );
    let subscribe = command("sow_and_delta_subscribe", "orders").set_filter("/qty > 50");
    let mut stream = client.execute(subscribe).unwrap();
    assert_eq!(group(&mut stream), [r#"sow {"id":1,"qty":60,"px":5}"#]);
    publish(
        &client,
        "orders",
        &[
            r#"{"id":2,"qty":2,"px":6}"#,
            r#"{"id":1,"qty":61,"px":5}"#,
            r#"{"id":2,"qty":70,"px":6}"#,
        ],
    );
    expect(
        &mut stream,
        &[
            r#"publish {"id":1,"qty":61}"#,
            // Not new to the topic, so only what changed, though this client has never seen it.
            r#"publish {"id":2,"qty":70}"#,
        ],
    );
}
