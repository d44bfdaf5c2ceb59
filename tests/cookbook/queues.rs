//! R15 and R48: consuming queues and acknowledging their messages.

use crate::{
    PATIENCE, client, command, is_timestamp, next, payloads, publish, publish_ids, records,
};
use amps::{AckType, Client, Command, CommandType, Message, MessageStream};
use amps_broker::{Broker, Delivery, Fairness, QueueConfig, State};
use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

fn jobs(config: impl FnOnce(QueueConfig) -> QueueConfig) -> Broker {
    let queue = QueueConfig::new("jobs").max_backlog(10);
    Broker::builder().queue(config(queue)).start().unwrap()
}

/// Subscribes to the queue.
fn consume(client: &Client, options: &str) -> MessageStream {
    let subscribe = command("subscribe", "jobs").set_options(options);
    client.execute(subscribe).unwrap()
}

/// Says what becomes of messages; nothing is answered.
fn answer(client: &Client, bookmarks: &[&str], option: &str) {
    let answer = Command::new("sow_delete")
        .set_topic("jobs")
        .set_bookmark(bookmarks.join(","))
        .set_options(option);
    client.execute_async_no_handler(answer).unwrap();
}

fn acknowledge(client: &Client, messages: &[Message]) {
    let bookmarks = messages.iter().map(Message::bookmark).collect::<Vec<_>>();
    answer(client, &bookmarks, "");
}

#[track_caller]
fn take(stream: &mut MessageStream, count: usize) -> Vec<Message> {
    (0..count).map(|_| next(stream)).collect()
}

/// Waits until every command of the client is carried out, and asserts that nothing has come.
#[track_caller]
fn expect_nothing(client: &Client, stream: &mut MessageStream) {
    client.publish_flush(PATIENCE).unwrap();
    assert!(stream.try_next().is_none());
}

#[test]
fn r15_subscribe_to_a_queue_with_a_backlog() {
    let broker = jobs(|queue| queue.lease_period(Duration::from_secs(60)));
    let client = client(&broker, "r15");
    publish_ids(&client, "jobs", 1..=10);
    let mut stream = consume(&client, "max_backlog=7");
    let first = take(&mut stream, 7);
    for (message, id) in first.iter().zip(1..) {
        assert_eq!(message.command(), CommandType::Publish);
        assert_eq!(message.topic(), "jobs");
        assert_eq!(message.data_str().unwrap(), format!(r#"{{"id":{id}}}"#));
        assert!(is_timestamp(message.lease_period()), "{message:?}");
        assert!(!message.bookmark().is_empty());
    }
    expect_nothing(&client, &mut stream);
    assert_eq!(broker.leased_count("jobs"), 7);
    // Each acknowledgement makes room for one more.
    acknowledge(&client, &first[2..3]);
    assert_eq!(next(&mut stream).data(), br#"{"id":8}"#);
    expect_nothing(&client, &mut stream);
    acknowledge(&client, &first[..2]);
    assert_eq!(
        payloads(&take(&mut stream, 2)),
        [r#"{"id":9}"#, r#"{"id":10}"#]
    );
    assert_eq!(broker.queue_depth("jobs"), 7);
}

#[test]
fn r15_without_the_option_one_message_comes_at_a_time_and_never_more_than_the_queue_allows() {
    let broker = jobs(|queue| queue.max_backlog(3));
    let client = client(&broker, "r15");
    publish_ids(&client, "jobs", 1..=5);
    let mut stream = consume(&client, "");
    take(&mut stream, 1);
    expect_nothing(&client, &mut stream);
    drop(stream);
    assert!(broker.wait_for_leased("jobs", 0, PATIENCE));
    let granted = command("subscribe", "jobs")
        .set_options("max_backlog=7")
        .add_ack_type(AckType::PROCESSED);
    let mut stream = client.execute(granted).unwrap();
    let ack = next(&mut stream);
    assert_eq!(ack.options(), "max_backlog=3");
    take(&mut stream, 3);
    expect_nothing(&client, &mut stream);
}

#[test]
fn r15_each_message_goes_to_one_of_the_consumers() {
    const JOBS: u32 = 400;
    const CONSUMERS: u32 = 4;
    let broker = jobs(|queue| queue);
    let publisher = client(&broker, "r15-publisher");
    let done = thread::scope(|scope| {
        let workers = (0..CONSUMERS).map(|number| {
            let client = client(&broker, &format!("r15-{number}"));
            let broker = &broker;
            scope.spawn(move || {
                let mut stream = consume(&client, "max_backlog=5");
                let mut mine = Vec::new();
                while broker.published_count("jobs") < JOBS.into() || broker.queue_depth("jobs") > 0
                {
                    if let Ok(Some(message)) = stream.next_timeout(Duration::from_millis(20)) {
                        answer(&client, &[message.bookmark()], "");
                        mine.push(message.data_str().unwrap().to_owned());
                    }
                }
                mine
            })
        });
        let workers = workers.collect::<Vec<_>>();
        let all_there = |state: &State<'_>| state.subscription_count("jobs") == CONSUMERS as usize;
        assert!(broker.wait_until(PATIENCE, all_there));
        publish_ids(&publisher, "jobs", 1..=JOBS);
        let all = workers.into_iter().map(|worker| worker.join().unwrap());
        all.collect::<Vec<_>>()
    });
    let count = done.iter().map(Vec::len).sum::<usize>();
    let different = done.iter().flatten().collect::<BTreeSet<_>>();
    assert_eq!((count, different.len()), (JOBS as usize, JOBS as usize));
    assert!(done.iter().all(|mine| !mine.is_empty()), "all of them work");
}

#[test]
fn r48_acknowledged_messages_leave_the_queue_for_good() {
    let broker = jobs(|queue| queue);
    let client = client(&broker, "r48");
    publish_ids(&client, "jobs", 1..=4);
    let mut stream = consume(&client, "max_backlog=3");
    let taken = take(&mut stream, 3);
    let bookmarks = format!("{},{}", taken[0].bookmark(), taken[1].bookmark());
    let delete = command("sow_delete", "jobs")
        .set_bookmark(bookmarks)
        .add_ack_type(AckType::STATS);
    let acks = client.execute(delete).unwrap().collect::<Vec<_>>();
    assert_eq!(acks.len(), 1);
    assert_eq!(acks[0].records_deleted(), Some(2));
    assert_eq!(next(&mut stream).data(), br#"{"id":4}"#);
    // What was not acknowledged comes again when the consumer goes.
    drop(stream);
    assert!(broker.wait_for_leased("jobs", 0, PATIENCE));
    let mut stream = consume(&client, "max_backlog=10");
    assert_eq!(
        payloads(&take(&mut stream, 2)),
        [r#"{"id":3}"#, r#"{"id":4}"#]
    );
    expect_nothing(&client, &mut stream);
}

#[test]
fn r48_bookmarks_are_for_queues_only() {
    let broker = Broker::builder()
        .sow_topic("orders", ["/id"])
        .queue(QueueConfig::new("jobs"))
        .start()
        .unwrap();
    let client = client(&broker, "r48");
    publish_ids(&client, "orders", 1..=1);
    for (topic, bookmark) in [("orders", "1|1|"), ("jobs", "tomorrow")] {
        let delete = command("sow_delete", topic)
            .set_bookmark(bookmark)
            .add_ack_type(AckType::PROCESSED);
        let refused = match client.execute(delete) {
            Err(_) => true,
            Ok(acks) => acks.into_iter().any(|ack| ack.to_result().is_err()),
        };
        assert!(refused, "{topic}");
    }
    assert_eq!(broker.record_count("orders"), 1);
}

#[test]
fn r48_a_message_can_be_given_back_or_expired() {
    let broker = jobs(|queue| queue);
    let client = client(&broker, "r48");
    publish_ids(&client, "jobs", 1..=2);
    let mut stream = consume(&client, "");
    let first = next(&mut stream);
    answer(&client, &[first.bookmark()], "cancel");
    let again = next(&mut stream);
    assert_eq!(again.bookmark(), first.bookmark());
    answer(&client, &[first.bookmark()], "expire");
    assert_eq!(next(&mut stream).data(), br#"{"id":2}"#);
    assert_eq!(broker.expired_count("jobs"), 1);
}

#[test]
fn r48_a_message_that_nobody_acknowledges_in_time_is_delivered_again() {
    let broker = jobs(|queue| {
        let queue = queue.lease_period(Duration::from_millis(60));
        queue.fairness(Fairness::RoundRobin)
    });
    let lazy = client(&broker, "lazy");
    let mut lazy = consume(&lazy, "");
    let worker = client(&broker, "worker");
    publish_ids(&worker, "jobs", 1..=1);
    let mut stream = consume(&worker, "");
    let first = next(&mut lazy);
    // The lease ends, and it is the turn of the other one.
    let again = next(&mut stream);
    assert_eq!(again.bookmark(), first.bookmark());
    acknowledge(&worker, &[again]);
    assert!(broker.wait_for_queue_depth("jobs", 0, PATIENCE));
}

#[test]
fn r48_delivered_once_at_most_messages_are_acknowledged_for_the_backlog_only() {
    let broker = jobs(|queue| queue.delivery(Delivery::AtMostOnce));
    let client = client(&broker, "r48");
    publish_ids(&client, "jobs", 1..=3);
    let mut stream = consume(&client, "max_backlog=2");
    let taken = take(&mut stream, 2);
    assert_eq!(taken[0].lease_period(), "");
    expect_nothing(&client, &mut stream);
    acknowledge(&client, &taken[1..]);
    assert_eq!(next(&mut stream).data(), br#"{"id":3}"#);
    assert_eq!(broker.queue_depth("jobs"), 0);
}

#[test]
fn r48_a_queue_is_browsed_by_a_query() {
    let broker = jobs(|queue| queue);
    let client = client(&broker, "r48");
    publish(
        &client,
        "jobs",
        &[r#"{"id":1}"#, r#"{"id":2}"#, r#"{"id":3}"#],
    );
    let mut stream = consume(&client, "");
    let leased = next(&mut stream);
    let browsed = records(client.sow("jobs").unwrap());
    assert_eq!(payloads(&browsed), [r#"{"id":2}"#, r#"{"id":3}"#]);
    assert!(browsed.iter().all(|message| !message.has_lease()));
    assert_ne!(browsed[0].bookmark(), leased.bookmark());
    assert_eq!(
        (broker.queue_depth("jobs"), broker.leased_count("jobs")),
        (3, 1)
    );
}
