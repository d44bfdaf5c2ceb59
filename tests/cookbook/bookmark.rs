//! R9, R11, R37, R38 and X4: subscriptions that begin at a bookmark.

use crate::{PATIENCE, client, command, expect, is_timestamp, next, publish, publish_ids, start};
use amps::{AckType, Client, Command, CommandType, Error, MessageStream, bookmark};
use amps_broker::{Broker, Builder};
use std::thread;
use std::time::{Duration, SystemTime};

fn builder() -> Builder {
    Broker::builder().logged_topic("^(orders|trades)$")
}

fn broker() -> Broker {
    start(builder())
}

fn subscribe(topic: &str, bookmark: &str) -> Command {
    command("subscribe", topic).set_bookmark(bookmark)
}

/// The next messages, whose payloads are `{"id":n}` with these numbers; returns their bookmarks.
#[track_caller]
fn expect_ids(stream: &mut MessageStream, ids: impl IntoIterator<Item = u32>) -> Vec<String> {
    ids.into_iter()
        .map(|id| {
            let message = next(stream);
            assert_eq!(message.data_str().unwrap(), format!(r#"{{"id":{id}}}"#));
            message.bookmark().to_owned()
        })
        .collect()
}

/// A marker is published, and is the next thing that comes.
#[track_caller]
fn expect_nothing_before(stream: &mut MessageStream, publisher: &Client, topic: &str) {
    publish(publisher, topic, &[r#"{"id":0}"#]);
    expect_ids(stream, [0]);
}

#[test]
fn r09_bookmark_subscription_from_the_beginning_and_after_a_message() {
    let broker = broker();
    let publisher = client(&broker, "r9-publisher");
    let reader = client(&broker, "r9");
    publish_ids(&publisher, "trades", 1..=5);
    let mut stream = reader
        .execute(subscribe("trades", bookmark::EPOCH))
        .unwrap();
    let bookmarks = expect_ids(&mut stream, 1..=5);
    publish_ids(&publisher, "trades", 6..=7);
    expect_ids(&mut stream, 6..=7);

    let mut later = reader.execute(subscribe("trades", &bookmarks[2])).unwrap();
    assert_eq!(expect_ids(&mut later, 4..=7)[..2], bookmarks[3..]);
    publish_ids(&publisher, "trades", 8..=8);
    expect_ids(&mut later, [8]);
    expect_ids(&mut stream, [8]);
}

#[test]
fn r09_the_bookmark_now_replays_nothing_and_most_recent_everything_the_first_time() {
    let broker = broker();
    let publisher = client(&broker, "r9-now-publisher");
    let reader = client(&broker, "r9-now");
    publish_ids(&publisher, "trades", 1..=2);
    let mut now = reader.execute(subscribe("trades", bookmark::NOW)).unwrap();
    let mut recent = reader
        .execute(subscribe("trades", bookmark::MOST_RECENT))
        .unwrap();
    publish_ids(&publisher, "trades", 3..=3);
    let bookmarks = expect_ids(&mut now, [3]);
    assert_ne!(bookmarks[0], "");
    expect_ids(&mut recent, 1..=3);
}

#[test]
fn r09_a_list_starts_at_the_earliest_of_its_bookmarks() {
    let broker = broker();
    let reader = client(&broker, "r9-list");
    let mut live = reader.execute(subscribe("trades", bookmark::NOW)).unwrap();
    let mut bookmarks = Vec::new();
    for (name, id) in [("r9-a", 1), ("r9-b", 2), ("r9-a", 3), ("r9-b", 4)] {
        publish_ids(&client(&broker, name), "trades", [id]);
        bookmarks.extend(expect_ids(&mut live, [id]));
    }
    let list = bookmark::list([&bookmarks[2], &bookmarks[1]]);
    let mut stream = reader.execute(subscribe("trades", &list)).unwrap();
    expect_ids(&mut stream, [3, 4]);
    let range = format!("[{}:{}]", bookmarks[1], bookmarks[2]);
    let mut range = reader.execute(subscribe("trades", &range)).unwrap();
    expect_ids(&mut range, [2, 3]);
}

#[test]
fn r09_a_time_is_a_bookmark_too() {
    let broker = broker();
    let publisher = client(&broker, "r9-time-publisher");
    let reader = client(&broker, "r9-time");
    publish_ids(&publisher, "trades", [1]);
    let hour = Duration::from_secs(3600);
    let past = bookmark::timestamp(SystemTime::now() - hour);
    let from_past = subscribe("trades", &past).set_options("timestamp");
    let mut stream = reader.execute(from_past).unwrap();
    let first = next(&mut stream);
    assert!(is_timestamp(first.timestamp()), "{}", first.timestamp());
    thread::sleep(Duration::from_millis(2));
    publish_ids(&publisher, "trades", [2]);
    let second = next(&mut stream).timestamp().to_owned();
    let mut stream = reader.execute(subscribe("trades", &second)).unwrap();
    expect_ids(&mut stream, [2]);
    let future = bookmark::timestamp(SystemTime::now() + hour);
    let mut stream = reader.execute(subscribe("trades", &future)).unwrap();
    expect_nothing_before(&mut stream, &publisher, "trades");
}

#[test]
fn r09_a_pattern_replays_logged_topics_in_the_order_of_the_log() {
    let broker = broker();
    let publisher = client(&broker, "r9-pattern-publisher");
    let reader = client(&broker, "r9-pattern");
    for (topic, id) in [("trades", 1), ("orders", 2), ("adhoc", 3), ("trades", 4)] {
        publish_ids(&publisher, topic, [id]);
    }
    let mut stream = reader.execute(subscribe(".*", bookmark::EPOCH)).unwrap();
    expect_ids(&mut stream, [1, 2, 4]);
    publish_ids(&publisher, "adhoc", [5]);
    expect_nothing_before(&mut stream, &publisher, "trades");
}

#[test]
fn r09_what_is_no_bookmark_is_refused_and_an_unknown_one_is_as_the_option_says() {
    let broker = broker();
    let publisher = client(&broker, "r9-unknown-publisher");
    let reader = client(&broker, "r9-unknown");
    publish_ids(&publisher, "trades", [1]);
    for (bookmark, options) in [("yesterday", ""), ("17|4|", "bookmark_not_found=fail")] {
        let refused = reader.execute(subscribe("trades", bookmark).set_options(options));
        assert!(
            matches!(refused, Err(Error::InvalidBookmark(_))),
            "{refused:?}"
        );
    }
    let epoch = subscribe("trades", "17|4|").set_options("bookmark_not_found=epoch");
    expect_ids(&mut reader.execute(epoch).unwrap(), [1]);
    let mut unknown = reader.execute(subscribe("trades", "17|4|")).unwrap();
    expect_nothing_before(&mut unknown, &publisher, "trades");
}

#[test]
fn r09_nothing_is_lost_or_doubled_between_replay_and_live() {
    const LAST: u32 = 3000;
    let broker = broker();
    let publisher = client(&broker, "r9-seam-publisher");
    thread::scope(|scope| {
        scope.spawn(|| publish_ids(&publisher, "trades", 1..=LAST));
        for reader in 0..3 {
            let broker = &broker;
            scope.spawn(move || {
                assert!(broker.wait_for_log_len(reader * 900, PATIENCE));
                let client = client(broker, &format!("r9-seam-{reader}"));
                let mut stream = client.execute(subscribe("trades", "0")).unwrap();
                expect_ids(&mut stream, 1..=LAST);
            });
        }
    });
}

#[test]
fn r11_bookmark_with_filter() {
    let broker = broker();
    let publisher = client(&broker, "r11-publisher");
    let reader = client(&broker, "r11");
    publish_ids(&publisher, "trades", 1..=10);
    let filtered = subscribe("trades", bookmark::EPOCH).set_filter("/id > 7");
    let mut stream = reader.execute(filtered).unwrap();
    expect_ids(&mut stream, 8..=10);
    publish_ids(&publisher, "trades", [3, 11]);
    expect_ids(&mut stream, [11]);
}

#[test]
fn r37_bookmark_with_delta_is_whole_in_the_past_and_then_deltas() {
    let broker = broker();
    let publisher = client(&broker, "r37-publisher");
    let reader = client(&broker, "r37");
    publish(
        &publisher,
        "orders",
        &[r#"{"id":1,"a":1}"#, r#"{"id":1,"a":2,"b":1}"#],
    );
    publisher.publish_flush(PATIENCE).unwrap();
    let deltas = command("delta_subscribe", "orders").set_bookmark(bookmark::EPOCH);
    let mut stream = reader.execute(deltas).unwrap();
    expect(
        &mut stream,
        &[
            r#"publish {"id":1,"a":1}"#,
            r#"publish {"id":1,"a":2,"b":1}"#,
        ],
    );
    publish(&publisher, "orders", &[r#"{"id":1,"a":2,"b":3}"#]);
    publisher
        .delta_publish("orders", r#"{"id":1,"c":4}"#)
        .unwrap();
    let message = next(&mut stream);
    assert_eq!(message.data_str().unwrap(), r#"{"id":1,"b":3}"#);
    assert_ne!(message.bookmark(), "");
    expect(&mut stream, &[r#"publish {"id":1,"c":4}"#]);
}

#[test]
fn r37_bookmark_with_delta_is_refused_as_newer_servers_do() {
    let broker = start(builder().refuse_bookmarks_with_deltas(true));
    let reader = client(&broker, "r37-refused");
    let deltas = command("delta_subscribe", "orders").set_bookmark(bookmark::EPOCH);
    let refused = reader.execute(deltas);
    assert!(
        matches!(refused, Err(Error::InvalidOptions(_))),
        "{refused:?}"
    );
}

#[test]
fn r38_bookmark_with_delta_and_filter() {
    let broker = broker();
    let publisher = client(&broker, "r38-publisher");
    let reader = client(&broker, "r38");
    publish(
        &publisher,
        "orders",
        &[r#"{"id":1,"a":1}"#, r#"{"id":2,"a":2}"#],
    );
    publisher.publish_flush(PATIENCE).unwrap();
    let deltas = command("delta_subscribe", "orders")
        .set_bookmark(bookmark::EPOCH)
        .set_filter("/a > 1");
    let mut stream = reader.execute(deltas).unwrap();
    expect(&mut stream, &[r#"publish {"id":2,"a":2}"#]);
    publish(
        &publisher,
        "orders",
        &[r#"{"id":1,"a":1,"b":1}"#, r#"{"id":2,"a":2,"b":1}"#],
    );
    expect(&mut stream, &[r#"publish {"id":2,"b":1}"#]);
}

#[test]
fn x4_a_completed_ack_stands_between_replay_and_live() {
    let broker = broker();
    let publisher = client(&broker, "x4-publisher");
    let reader = client(&broker, "x4");
    publish_ids(&publisher, "trades", 1..=3);
    let subscribe = subscribe("trades", bookmark::EPOCH).add_ack_type(AckType::COMPLETED);
    let mut stream = reader.execute(subscribe).unwrap();
    let bookmarks = expect_ids(&mut stream, 1..=3);
    let ack = next(&mut stream);
    assert_eq!(ack.command(), CommandType::Ack);
    assert_eq!(ack.ack_type(), AckType::COMPLETED);
    assert_eq!(ack.bookmark(), bookmarks[2]);
    publish_ids(&publisher, "trades", 4..=4);
    expect_ids(&mut stream, [4]);
}
