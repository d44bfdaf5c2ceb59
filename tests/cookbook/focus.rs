//! Out-of-focus messages: the four reasons and their bodies; expiration; replacing a query.

use crate::{
    at_one_stroke, broker, client, command, expect, group, next, publish, publish_ids, records,
    start,
};
use amps::{Client, CommandType, Error, MessageStream};
use amps_broker::{Access, Broker, Entitlement, TopicConfig};
use std::time::Duration;

fn focused(client: &Client, filter: &str) -> MessageStream {
    let subscribe = command("sow_and_subscribe", "orders")
        .set_filter(filter)
        .set_options("oof");
    client.execute(subscribe).unwrap()
}

#[test]
fn a_record_that_no_longer_matches_is_shown_as_it_is_now() {
    let broker = broker();
    let client = client(&broker, "match");
    publish(
        &client,
        "orders",
        &[r#"{"id":1,"qty":60}"#, r#"{"id":2,"qty":1}"#],
    );
    let mut stream = focused(&client, "/qty > 50");
    let mut plain = client.subscribe_filtered("orders", "/qty > 50").unwrap();
    assert_eq!(group(&mut stream), [r#"sow {"id":1,"qty":60}"#]);
    // Never in focus: silence. In focus: out, then in again, in full.
    publish(
        &client,
        "orders",
        &[
            r#"{"id":2,"qty":2}"#,
            r#"{"id":1,"qty":5}"#,
            r#"{"id":1,"qty":4}"#,
        ],
    );
    client
        .delta_publish("orders", r#"{"id":1,"qty":70}"#)
        .unwrap();
    client
        .delta_publish("orders", r#"{"id":1,"qty":6}"#)
        .unwrap();
    publish(&client, "orders", &[r#"{"id":3,"qty":99}"#]);
    expect(
        &mut stream,
        &[
            r#"oof match {"id":1,"qty":5}"#,
            r#"publish {"id":1,"qty":70}"#,
            r#"oof match {"id":1,"qty":6}"#,
            r#"publish {"id":3,"qty":99}"#,
        ],
    );
    expect(
        &mut plain,
        &[
            r#"publish {"id":1,"qty":70}"#,
            r#"publish {"id":3,"qty":99}"#,
        ],
    );
}

#[test]
fn an_out_of_focus_message_has_the_headers_of_the_record() {
    let broker = broker();
    let client = client(&broker, "headers");
    let put = command("publish", "orders").set_correlation_id("Zm9v");
    client
        .execute(put.set_data(r#"{"id":1,"qty":60}"#))
        .unwrap();
    let mut stream = focused(&client, "/qty > 50");
    let record = loop {
        let message = next(&mut stream);
        if message.command() == CommandType::Sow {
            break message;
        }
    };
    expect(&mut stream, &["group_end"]);
    let delete = command("sow_delete", "orders").set_filter("/id = 1");
    client.execute_async_no_handler(delete).unwrap();
    let gone = next(&mut stream);
    assert_eq!(gone.command(), CommandType::Oof);
    assert_eq!((gone.topic(), gone.reason()), ("orders", "deleted"));
    assert_eq!(gone.sow_key(), record.sow_key());
    assert_eq!(gone.sub_id(), stream.sub_id());
    assert_eq!(gone.correlation_id(), "Zm9v");
    assert_eq!(gone.data(), br#"{"id":1,"qty":60}"#);
}

#[test]
fn a_record_that_expires_is_shown_as_it_was() {
    let lifetime = Duration::from_millis(200);
    let broker = Broker::builder()
        .topic(TopicConfig::sow("orders", ["/id"]).expiration(lifetime))
        .start()
        .unwrap();
    let client = client(&broker, "expired");
    let mut stream = focused(&client, "1=1");
    assert_eq!(group(&mut stream), [""; 0]);
    at_one_stroke(&broker, &client, || {
        publish(&client, "orders", &[r#"{"id":1}"#]);
        // The publisher's time beats that of the topic; 0 is for ever.
        let forever = Duration::ZERO;
        client
            .publish_with_expiration("orders", r#"{"id":2}"#, forever)
            .unwrap();
    });
    expect(
        &mut stream,
        &[
            r#"publish {"id":1}"#,
            r#"publish {"id":2}"#,
            r#"oof expired {"id":1}"#,
        ],
    );
    assert_eq!(records(client.sow("orders").unwrap()).len(), 1);
    // It was the record that ended, not its key.
    publish(&client, "orders", &[r#"{"id":1,"again":true}"#]);
    expect(
        &mut stream,
        &[
            r#"publish {"id":1,"again":true}"#,
            r#"oof expired {"id":1,"again":true}"#,
        ],
    );
}

#[test]
fn a_lifetime_counts_only_where_expiration_is_enabled_and_starts_anew_with_each_update() {
    let broker =
        start(Broker::builder().topic(TopicConfig::sow("quotes", ["/id"]).expiration(None)));
    let client = client(&broker, "lifetimes");
    let second = Duration::from_secs(1);
    let mut quotes = client
        .execute(command("subscribe", "quotes|orders").set_options("oof"))
        .unwrap();
    client
        .publish_with_expiration("orders", r#"{"id":1}"#, second)
        .unwrap();
    client
        .publish_with_expiration("quotes", r#"{"id":2}"#, second)
        .unwrap();
    client
        .publish_with_expiration("quotes", r#"{"id":3}"#, second)
        .unwrap();
    publish(&client, "quotes", &[r#"{"id":2,"for":"ever"}"#]);
    expect(
        &mut quotes,
        &[
            r#"publish {"id":1}"#,
            r#"publish {"id":2}"#,
            r#"publish {"id":3}"#,
            r#"publish {"id":2,"for":"ever"}"#,
            r#"oof expired {"id":3}"#,
        ],
    );
    publish(&client, "quotes", &[r#"{"id":4}"#]);
    expect(&mut quotes, &[r#"publish {"id":4}"#]);
    assert_eq!(broker.record_count("quotes"), 2);
    assert_eq!(broker.record_count("orders"), 1);
}

#[test]
fn a_record_that_may_no_longer_be_seen_is_shown_as_it_could_be_seen() {
    let builder = Broker::builder().entitle(|request| match request.access {
        Access::Read => Entitlement::Filtered("/owner = 'ana'".to_owned()),
        _ => Entitlement::Granted,
    });
    let broker = start(builder);
    let client = client(&broker, "ana");
    publish(
        &client,
        "orders",
        &[r#"{"id":1,"owner":"ana"}"#, r#"{"id":2,"owner":"bob"}"#],
    );
    let mut stream = focused(&client, "/id < 10");
    assert_eq!(group(&mut stream), [r#"sow {"id":1,"owner":"ana"}"#]);
    publish(
        &client,
        "orders",
        &[r#"{"id":1,"owner":"bob"}"#, r#"{"id":2,"owner":"ana"}"#],
    );
    expect(
        &mut stream,
        &[
            r#"oof entitlement {"id":1,"owner":"ana"}"#,
            r#"publish {"id":2,"owner":"ana"}"#,
        ],
    );
}

#[test]
fn replacing_a_query_sends_the_difference() {
    let broker = broker();
    let client = client(&broker, "difference");
    publish_ids(&client, "orders", 1..=6);
    let mut old = focused(&client, "/id <= 4");
    assert_eq!(group(&mut old).len(), 4);
    let replace = command("sow_and_subscribe", "orders")
        .set_sub_id(old.sub_id())
        .set_options("replace,oof")
        .set_filter("/id >= 3");
    let mut new = client.execute(replace.clone()).unwrap();
    // 3 and 4 are known already; 1 and 2 are out of scope now.
    assert_eq!(group(&mut new), [r#"sow {"id":5}"#, r#"sow {"id":6}"#]);
    let mut gone = [(); 2].map(|()| next(&mut new));
    gone.sort_by(|a, b| a.data().cmp(b.data()));
    for (message, id) in gone.iter().zip(1..) {
        assert_eq!(message.command(), CommandType::Oof);
        assert_eq!(message.reason(), "match");
        assert_eq!(message.data_str().unwrap(), format!(r#"{{"id":{id}}}"#));
    }
    publish_ids(&client, "orders", [1, 3]);
    expect(&mut new, &[r#"publish {"id":3}"#]);

    let bad = client.execute(replace.clone().set_filter("/id >"));
    assert!(matches!(bad, Err(Error::BadFilter(_))));
    publish_ids(&client, "orders", [2, 4]);
    expect(&mut new, &[r#"publish {"id":4}"#]);

    // A subscription without a query has shown what was published since, and nothing else.
    let mut plain = client.subscribe("orders").unwrap();
    publish_ids(&client, "orders", [6]);
    expect(&mut plain, &[r#"publish {"id":6}"#]);
    let replace = replace.set_sub_id(plain.sub_id()).set_filter("/id > 4");
    let mut queried = client.execute(replace).unwrap();
    assert_eq!(group(&mut queried), [r#"sow {"id":5}"#]);
}
