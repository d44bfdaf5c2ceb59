//! R10, R12, R13, X3 and X7: slowing down, pausing and resuming what is read from the log.

use crate::{PATIENCE, client, command, next, publish_ids, start};
use amps::{Client, Command, Error, Message, MessageStream, bookmark};
use amps_broker::Broker;
use std::thread;
use std::time::{Duration, Instant};

fn broker() -> Broker {
    start(Broker::builder().logged_topic("^(trades|quotes)$"))
}

fn subscribe(topic: &str, sub_id: &str) -> Command {
    command("subscribe", topic)
        .set_sub_id(sub_id)
        .set_bookmark(bookmark::EPOCH)
}

/// Pauses or resumes a list of subscriptions.
fn tell(client: &Client, option: &str, ids: &str) {
    let command = command("subscribe", "trades")
        .set_sub_id(ids)
        .set_options(option);
    // It brings nothing: messages go where those of the subscriptions go.
    client.execute(command).unwrap();
}

#[track_caller]
fn expect_ids(stream: &mut MessageStream, ids: impl IntoIterator<Item = u32>) {
    for id in ids {
        let message = next(stream);
        assert_eq!(message.data_str().unwrap(), format!(r#"{{"id":{id}}}"#));
    }
}

/// Asserts that nothing has come: whatever the broker sent before the answer to this flush would
/// be here.
#[track_caller]
fn expect_silence(client: &Client, streams: &[&MessageStream]) {
    client.publish_flush(PATIENCE).unwrap();
    for stream in streams {
        assert_eq!(stream.depth(), 0);
    }
}

#[test]
fn r10_a_replay_is_never_faster_than_its_rate() {
    const RATE: u32 = 250;
    let broker = broker();
    let publisher = client(&broker, "r10-publisher");
    let reader = client(&broker, "r10");
    publish_ids(&publisher, "trades", 1..=60);
    let began = Instant::now();
    let slow = subscribe("trades", "r10").set_options(format!("rate={RATE}"));
    let mut stream = reader.execute(slow).unwrap();
    for sent in 0..60 {
        expect_ids(&mut stream, [sent + 1]);
        // The first comes at once; a late timer may be made up for by 1 ms.
        let least = Duration::from_secs(1) * sent / RATE;
        assert!(
            began.elapsed() + Duration::from_millis(1) >= least,
            "{sent}"
        );
    }
}

#[test]
fn r10_a_rate_does_not_go_with_live_messages() {
    let broker = broker();
    let reader = client(&broker, "r10-live");
    for options in ["rate=750,live", "rate=0", "rate=soon"] {
        let refused = reader.execute(subscribe("trades", "r10").set_options(options));
        assert!(
            matches!(refused, Err(Error::InvalidOptions(_))),
            "{options}: {refused:?}"
        );
    }
}

#[test]
fn r12_subscriptions_paused_together_are_silent_and_go_on_exactly_where_they_stopped() {
    let broker = broker();
    let publisher = client(&broker, "r12-publisher");
    let reader = client(&broker, "r12");
    publish_ids(&publisher, "trades", [1]);
    publish_ids(&publisher, "quotes", [2]);
    let mut trades = reader.execute(subscribe("trades", "t")).unwrap();
    let mut quotes = reader.execute(subscribe("quotes", "q")).unwrap();
    expect_ids(&mut trades, [1]);
    expect_ids(&mut quotes, [2]);
    tell(&reader, "pause", "t,q");
    publish_ids(&publisher, "trades", 3..=500);
    publish_ids(&publisher, "quotes", 501..=600);
    expect_silence(&reader, &[&trades, &quotes]);
    tell(&reader, "resume", "q,t");
    expect_ids(&mut trades, 3..=500);
    expect_ids(&mut quotes, 501..=600);
    publish_ids(&publisher, "trades", [601]);
    expect_ids(&mut trades, [601]);
    expect_silence(&reader, &[&trades, &quotes]);
}

#[test]
fn r13_one_of_two_is_paused_and_resumed_by_its_id_without_a_gap_or_a_duplicate() {
    let broker = broker();
    let publisher = client(&broker, "r13-publisher");
    let reader = client(&broker, "r13");
    let mut paused = reader.execute(subscribe("trades", "paused")).unwrap();
    let mut other = reader.execute(subscribe("trades", "other")).unwrap();
    let mut last = 0;
    for _ in 0..3 {
        let (before, meanwhile, after) = (last + 1, last + 101, last + 201);
        last += 300;
        publish_ids(&publisher, "trades", before..meanwhile);
        expect_ids(&mut paused, before..meanwhile);
        tell(&reader, "pause", "paused");
        publish_ids(&publisher, "trades", meanwhile..after);
        expect_ids(&mut other, before..after);
        expect_silence(&reader, &[&paused]);
        tell(&reader, "resume", "paused");
        publish_ids(&publisher, "trades", after..=last);
        expect_ids(&mut paused, meanwhile..=last);
        expect_ids(&mut other, after..=last);
    }
    expect_silence(&reader, &[&paused, &other]);
}

#[test]
fn x7_entered_paused_and_resumed_together_they_keep_the_order_of_the_log() {
    let broker = broker();
    let publisher = client(&broker, "x7-publisher");
    let reader = client(&broker, "x7");
    for id in 1..=20 {
        let topic = ["trades", "quotes"][id as usize % 2];
        publish_ids(&publisher, topic, [id]);
    }
    let (sender, both) = std::sync::mpsc::channel();
    for (topic, id) in [("trades", "t"), ("quotes", "q")] {
        let sender = sender.clone();
        let paused = subscribe(topic, id).set_options("pause");
        reader
            .execute_async(paused, move |message: &Message| {
                let _ = sender.send(message.data_str().unwrap().to_owned());
            })
            .unwrap();
    }
    reader.publish_flush(PATIENCE).unwrap();
    assert!(both.try_recv().is_err(), "they are paused");
    tell(&reader, "resume", "t,q");
    for id in 1..=20 {
        let data = both.recv_timeout(PATIENCE).unwrap();
        assert_eq!(data, format!(r#"{{"id":{id}}}"#));
    }
}

#[test]
fn x3_no_gap_is_longer_than_the_greatest_that_is_wanted() {
    let broker = broker();
    let publisher = client(&broker, "x3-publisher");
    let reader = client(&broker, "x3");
    publish_ids(&publisher, "trades", [1]);
    thread::sleep(Duration::from_millis(20));
    publish_ids(&publisher, "trades", [2]);
    // Alone, the rate would make an hour of these milliseconds.
    let gap = Duration::from_millis(100);
    let began = Instant::now();
    let slow = subscribe("trades", "x3").set_options("rate=0.000005X,rate_max_gap=100ms");
    let mut stream = reader.execute(slow).unwrap();
    expect_ids(&mut stream, [1, 2]);
    assert!(began.elapsed() >= gap);
    // At the original pace, the time between the two is what it was.
    let began = Instant::now();
    let original = subscribe("trades", "x3-original").set_options("rate=1X,rate_max_gap=10s");
    let mut stream = reader.execute(original).unwrap();
    expect_ids(&mut stream, [1, 2]);
    assert!(began.elapsed() >= Duration::from_millis(19));
}
