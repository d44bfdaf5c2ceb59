//! R21, R22, R29, R30, R42 and R43: queries of what was, and subscriptions that begin there.

use crate::{PATIENCE, all, client, command, expect, group, next, publish, start};
use amps::{Client, Command, bookmark};
use amps_broker::{Broker, TopicConfig};
use std::thread;
use std::time::Duration;

/// A broker with a topic `positions` that has a history, and what happened to it: the bookmark
/// and the time of each message.
struct Past {
    broker: Broker,
    publisher: Client,
    bookmarks: Vec<String>,
    times: Vec<String>,
}

/// Three positions come, the second one is changed, the first one deleted.
fn past(name: &str) -> Past {
    let topic = TopicConfig::sow("positions", ["/id"]).history(Duration::from_secs(3600));
    let broker = start(Broker::builder().topic(topic));
    let publisher = client(&broker, &format!("{name}-publisher"));
    let watch = command("subscribe", "positions").set_options("bookmark,timestamp");
    let mut watch = publisher.execute(watch).unwrap();
    let (mut bookmarks, mut times) = (Vec::new(), Vec::new());
    for payload in [
        r#"{"id":1,"qty":10}"#,
        r#"{"id":2,"qty":20}"#,
        r#"{"id":3,"qty":30}"#,
        r#"{"id":2,"qty":25}"#,
    ] {
        publish(&publisher, "positions", &[payload]);
        let message = next(&mut watch);
        bookmarks.push(message.bookmark().to_owned());
        times.push(message.timestamp().to_owned());
        // So that each has a time of its own.
        thread::sleep(Duration::from_millis(1));
    }
    publisher.sow_delete("positions", "/id = 1").unwrap();
    Past {
        broker,
        publisher,
        bookmarks,
        times,
    }
}

fn at(name: &str, bookmark: &str) -> Command {
    command(name, "positions").set_bookmark(bookmark)
}

#[test]
fn r21_historical_query() {
    let past = past("r21");
    let reader = client(&past.broker, "r21");
    let after_three = [
        "group_begin",
        r#"sow {"id":1,"qty":10}"#,
        r#"sow {"id":2,"qty":20}"#,
        r#"sow {"id":3,"qty":30}"#,
        "group_end",
    ];
    for point in [&past.bookmarks[2], &past.times[2]] {
        let stream = reader.execute(at("sow", point)).unwrap();
        assert_eq!(all(stream), after_three, "{point}");
    }
    let stream = reader.execute(at("sow", bookmark::EPOCH)).unwrap();
    assert_eq!(all(stream), ["group_begin", "group_end"]);
    let stream = reader.sow("positions").unwrap();
    assert_eq!(
        all(stream),
        [
            "group_begin",
            r#"sow {"id":2,"qty":25}"#,
            r#"sow {"id":3,"qty":30}"#,
            "group_end"
        ]
    );
}

#[test]
fn r21_without_a_history_the_bookmark_of_a_query_is_ignored() {
    let past = past("r21-none");
    let reader = client(&past.broker, "r21-none");
    publish(&past.publisher, "orders", &[r#"{"id":1}"#]);
    past.publisher.publish_flush(PATIENCE).unwrap();
    let stream = reader.execute(command("sow", "orders").set_bookmark(bookmark::EPOCH));
    let result = ["group_begin", r#"sow {"id":1}"#, "group_end"];
    assert_eq!(all(stream.unwrap()), result);
}

#[test]
fn r22_historical_query_with_filter() {
    let past = past("r22");
    let reader = client(&past.broker, "r22");
    let query = at("sow", &past.times[2]).set_filter("/qty < 25");
    assert_eq!(
        all(reader.execute(query).unwrap()),
        [
            "group_begin",
            r#"sow {"id":1,"qty":10}"#,
            r#"sow {"id":2,"qty":20}"#,
            "group_end"
        ]
    );
}

#[test]
fn r29_historical_query_and_subscribe() {
    let past = past("r29");
    let reader = client(&past.broker, "r29");
    let mut stream = reader
        .execute(at("sow_and_subscribe", &past.bookmarks[1]))
        .unwrap();
    let state = [r#"sow {"id":1,"qty":10}"#, r#"sow {"id":2,"qty":20}"#];
    assert_eq!(group(&mut stream), state);
    expect(
        &mut stream,
        &[
            r#"publish {"id":3,"qty":30}"#,
            r#"publish {"id":2,"qty":25}"#,
        ],
    );
    publish(&past.publisher, "positions", &[r#"{"id":4,"qty":1}"#]);
    let live = next(&mut stream);
    assert_eq!(live.data_str().unwrap(), r#"{"id":4,"qty":1}"#);
    assert_ne!(live.bookmark(), "");
}

#[test]
fn r29_the_bookmark_now_needs_no_history() {
    let broker = start(Broker::builder().logged_topic("orders"));
    let publisher = client(&broker, "r29-now-publisher");
    let reader = client(&broker, "r29-now");
    publish(&publisher, "orders", &[r#"{"id":1}"#]);
    publisher.publish_flush(PATIENCE).unwrap();
    let now = command("sow_and_subscribe", "orders").set_bookmark(bookmark::NOW);
    let mut stream = reader.execute(now).unwrap();
    assert_eq!(group(&mut stream), [r#"sow {"id":1}"#]);
    publish(&publisher, "orders", &[r#"{"id":1,"a":1}"#]);
    expect(&mut stream, &[r#"publish {"id":1,"a":1}"#]);
    let epoch = command("sow_and_subscribe", "orders").set_bookmark(bookmark::EPOCH);
    let refused = reader.execute(epoch);
    assert!(
        matches!(refused, Err(amps::Error::InvalidBookmark(_))),
        "{refused:?}"
    );
}

#[test]
fn r30_historical_query_and_subscribe_with_filter() {
    let past = past("r30");
    let reader = client(&past.broker, "r30");
    let filtered = at("sow_and_subscribe", &past.bookmarks[1]).set_filter("/qty < 25");
    let mut stream = reader.execute(filtered).unwrap();
    let state = [r#"sow {"id":1,"qty":10}"#, r#"sow {"id":2,"qty":20}"#];
    assert_eq!(group(&mut stream), state);
    publish(
        &past.publisher,
        "positions",
        &[r#"{"id":5,"qty":50}"#, r#"{"id":6,"qty":6}"#],
    );
    expect(&mut stream, &[r#"publish {"id":6,"qty":6}"#]);
}

#[test]
fn r42_historical_query_and_deltas() {
    let past = past("r42");
    let reader = client(&past.broker, "r42");
    let mut stream = reader
        .execute(at("sow_and_delta_subscribe", &past.times[2]))
        .unwrap();
    assert_eq!(group(&mut stream).len(), 3);
    // What is replayed is whole.
    expect(&mut stream, &[r#"publish {"id":2,"qty":25}"#]);
    publish(
        &past.publisher,
        "positions",
        &[r#"{"id":2,"qty":25,"px":7}"#],
    );
    expect(&mut stream, &[r#"publish {"id":2,"px":7}"#]);
}

#[test]
fn r43_historical_query_and_deltas_with_filter() {
    let past = past("r43");
    let reader = client(&past.broker, "r43");
    let filtered = at("sow_and_delta_subscribe", &past.times[2]).set_filter("/id = 2");
    let mut stream = reader.execute(filtered).unwrap();
    assert_eq!(group(&mut stream), [r#"sow {"id":2,"qty":20}"#]);
    expect(&mut stream, &[r#"publish {"id":2,"qty":25}"#]);
    publish(
        &past.publisher,
        "positions",
        &[r#"{"id":3,"qty":31}"#, r#"{"id":2,"qty":26}"#],
    );
    expect(&mut stream, &[r#"publish {"id":2,"qty":26}"#]);
}

#[test]
fn r42_deltas_from_a_bookmark_are_refused_as_newer_servers_do() {
    let topic = TopicConfig::sow("positions", ["/id"]).history(None);
    let builder = Broker::builder().topic(topic);
    let broker = start(builder.refuse_bookmarks_with_deltas(true));
    let reader = client(&broker, "r42-refused");
    let refused = reader.execute(at("sow_and_delta_subscribe", bookmark::EPOCH));
    assert!(
        matches!(refused, Err(amps::Error::InvalidOptions(_))),
        "{refused:?}"
    );
}
