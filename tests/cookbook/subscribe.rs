//! R4 to R6 and R14: subscribing.

use crate::{broker, client, command, expect, is_timestamp, next, publish, short};
use amps::{EndReason, Error};
use std::sync::mpsc;

#[test]
fn r04_basic_subscription() {
    let broker = broker();
    let client = client(&broker, "r4");
    let mut literal = client.subscribe("fx/spot").unwrap();
    let mut pattern = client.subscribe("^fx/(spot|swap)$").unwrap();
    for topic in ["fx/spot", "fx/forward", "eq/fx/spot", "fx/swap", "fx/spot"] {
        client.publish(topic, topic).unwrap();
    }
    for topic in ["fx/spot", "fx/swap", "fx/spot"] {
        let message = next(&mut pattern);
        assert_eq!((message.topic(), message.data()), (topic, topic.as_bytes()));
        assert_eq!(message.sub_id(), pattern.sub_id());
    }
    for _ in 0..2 {
        assert_eq!(next(&mut literal).topic(), "fx/spot");
    }
    assert_eq!((literal.depth(), pattern.depth()), (0, 0));
}

#[test]
fn r05_subscription_with_options() {
    let broker = broker();
    let client = client(&broker, "r5");
    let subscribe = command("subscribe", "orders");
    let mut plain = client.execute(subscribe.clone()).unwrap();
    publish(&client, "orders", &[r#"{"id":1}"#]);
    let message = next(&mut plain);
    assert_eq!(message.timestamp(), "");
    assert_ne!(message.sow_key(), "");
    plain.close();

    let options = "timestamp,no_sowkey,non_regex_topic";
    let mut with = client
        .execute(subscribe.clone().set_options(options))
        .unwrap();
    publish(&client, "orders", &[r#"{"id":1}"#]);
    let message = next(&mut with);
    assert!(is_timestamp(message.timestamp()), "{}", message.timestamp());
    assert_eq!(message.sow_key(), "");

    for bad in ["sparkle", "timestamp=7", "select=id", "skip_n=1"] {
        let refused = client.execute(subscribe.clone().set_options(bad));
        assert!(
            matches!(refused, Err(Error::InvalidOptions(_))),
            "{bad}: {refused:?}"
        );
    }
    let literal = command("subscribe", "a.b").set_options("non_regex_topic");
    let mut literal = client.execute(literal).unwrap();
    client.publish("a/b", "other").unwrap();
    client.publish("a.b", "marker").unwrap();
    expect(&mut literal, &["publish marker"]);
}

#[test]
fn r06_content_filter() {
    let broker = broker();
    let client = client(&broker, "r6");
    let filter = "/qty > 50 AND /symbol LIKE '^I'";
    let mut stream = client.subscribe_filtered("trades", filter).unwrap();
    publish(
        &client,
        "trades",
        &[
            r#"{"symbol":"IBM","qty":50}"#,
            r#"{"symbol":"IBM","qty":51}"#,
            r#"{"symbol":"MSFT","qty":99}"#,
            "no JSON at all",
            r#"{"symbol":"INTC","qty":"60"}"#,
        ],
    );
    expect(
        &mut stream,
        &[
            r#"publish {"symbol":"IBM","qty":51}"#,
            r#"publish {"symbol":"INTC","qty":"60"}"#,
        ],
    );
    for bad in [
        "/qty >",
        "/symbol CONTAINS 'I'",
        "qty > 1",
        "'",
        "/a LIKE '('",
    ] {
        let refused = client.subscribe_filtered("bad", bad);
        assert!(
            matches!(refused, Err(Error::BadFilter(_))),
            "{bad}: {refused:?}"
        );
    }
    assert_eq!(
        broker.subscription_count("bad"),
        0,
        "nothing is left of them"
    );
}

#[test]
fn r14_replace_filter() {
    let broker = broker();
    let client = client(&broker, "r14");
    let (sender, received) = mpsc::channel();
    let handler = move |message: &amps::Message| {
        let _ = sender.send(short(message));
    };
    let original = Some("/qty < 10");
    let id = client.subscribe_async(handler, "trades", original).unwrap();
    let trade = |qty: u32| {
        client
            .publish("trades", format!(r#"{{"qty":{qty}}}"#))
            .unwrap()
    };
    for qty in [5, 50] {
        trade(qty);
    }
    let replace = command("subscribe", "trades")
        .set_sub_id(&id)
        .set_options("replace")
        .set_filter("/qty > 10");
    // No new handler: the old one stays.
    let same = client.execute_async_no_handler(replace.clone()).unwrap();
    assert_eq!(same, id);
    for qty in [6, 60, 7, 70] {
        trade(qty);
    }
    for qty in [5, 60, 70] {
        let message = received.recv_timeout(crate::PATIENCE).unwrap();
        assert_eq!(message, format!(r#"publish {{"qty":{qty}}}"#));
    }
    assert_eq!(broker.subscription_count("trades"), 1);

    // A filter that is refused leaves the subscription as it was.
    let bad = client.execute_async_no_handler(replace.clone().set_filter("/qty >"));
    assert!(matches!(bad, Err(Error::BadFilter(_))));
    for qty in [8, 80] {
        trade(qty);
    }
    let message = received.recv_timeout(crate::PATIENCE).unwrap();
    assert_eq!(message, r#"publish {"qty":80}"#);

    // A stream takes over; a stream that is replaced ends.
    let mut stream = client.execute(replace.clone()).unwrap();
    trade(90);
    expect(&mut stream, &[r#"publish {"qty":90}"#]);
    let mut last = client.execute(replace.set_filter("/qty = 1")).unwrap();
    trade(91);
    trade(1);
    expect(&mut last, &[r#"publish {"qty":1}"#]);
    assert!(stream.next().is_none());
    assert_eq!(stream.end_reason(), Some(EndReason::Replaced));
    assert!(received.try_recv().is_err());
}
