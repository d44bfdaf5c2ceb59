//! What is refused, and how publishers hear of it.

use crate::{
    PATIENCE, at_one_stroke, broker, client, command, expect, publish, publish_ids, start,
};
use amps::{AckType, Client, Command, Error, LogonOptions, Message};
use amps_broker::{Broker, Logon, TopicConfig};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// A command that is refused: how it is put, and the error that the caller sees.
type Refused = (
    &'static str,
    &'static str,
    fn(Command) -> Command,
    fn(&Error) -> bool,
);

macro_rules! error {
    ($variant:ident) => {
        |error: &Error| matches!(error, Error::$variant(_))
    };
}

/// The refusals listed in `commands §2`.
const REFUSED: &[Refused] = &[
    (
        "subscribe",
        "orders",
        |c| c.set_filter("/id >"),
        error!(BadFilter),
    ),
    ("subscribe", "(orders", |c| c, error!(BadRegexTopic)),
    (
        "subscribe",
        "orders",
        |c| c.set_options("sparkle"),
        error!(InvalidOptions),
    ),
    (
        "subscribe",
        "adhoc",
        |c| c.set_options("conflation=1s"),
        error!(InvalidOptions),
    ),
    (
        "subscribe",
        "orders",
        |c| c.set_order_by("/id"),
        error!(InvalidOrderBy),
    ),
    (
        "subscribe",
        "orders",
        |c| c.set_sub_id("all"),
        error!(InvalidSubId),
    ),
    (
        "delta_subscribe",
        "orders",
        |c| c.set_filter("/id >"),
        error!(BadFilter),
    ),
    ("delta_subscribe", "[", |c| c, error!(BadRegexTopic)),
    (
        "delta_subscribe",
        "orders",
        |c| c.set_options("no_empties=1"),
        error!(InvalidOptions),
    ),
    ("sow", "adhoc", |c| c, error!(InvalidTopic)),
    (
        "sow",
        "orders",
        |c| c.set_filter("/id >"),
        error!(BadFilter),
    ),
    ("sow", "*", |c| c, error!(BadRegexTopic)),
    (
        "sow",
        "orders",
        |c| c.set_batch_size(10_001),
        error!(InvalidOptions),
    ),
    (
        "sow",
        "orders",
        |c| c.set_options("skip_n=3"),
        error!(InvalidOptions),
    ),
    (
        "sow",
        "orders",
        |c| c.set_options("projection=[SUM(/q) AS /q]"),
        error!(InvalidOptions),
    ),
    (
        "sow",
        "orders",
        |c| c.set_options("grouping=[/q]"),
        error!(InvalidOptions),
    ),
    (
        "sow",
        "orders",
        |c| c.set_order_by("id"),
        error!(InvalidOrderBy),
    ),
    (
        "sow",
        "orders",
        |c| c.set_sow_keys("1,;"),
        error!(BadSowKey),
    ),
    (
        "sow_and_subscribe",
        "orders",
        |c| c.set_filter("/id >"),
        error!(BadFilter),
    ),
    ("sow_and_subscribe", "(", |c| c, error!(BadRegexTopic)),
    (
        "sow_and_subscribe",
        "orders",
        |c| c.set_options("skip_n=1"),
        error!(InvalidOptions),
    ),
    (
        "sow_and_delta_subscribe",
        "orders",
        |c| c.set_filter("'"),
        error!(BadFilter),
    ),
    (
        "sow_and_delta_subscribe",
        "^o",
        |c| c.set_options("top_n=1,skip_n=1"),
        error!(InvalidOptions),
    ),
];

#[test]
fn each_refusal_is_the_documented_error_and_leaves_nothing_behind() {
    let broker = broker();
    let client = client(&broker, "refused");
    for (name, topic, set, is_expected) in REFUSED {
        let refused = client.execute(set(command(name, topic)));
        match refused {
            Err(error) => assert!(is_expected(&error), "{name} {topic}: {error}"),
            Ok(_) => panic!("{name} {topic} is accepted"),
        }
        assert_eq!(broker.subscription_count(topic), 0, "{name} {topic}");
    }
    // The connection is as good as before.
    let mut stream = client.subscribe("orders").unwrap();
    publish(&client, "orders", &[r#"{"id":1}"#]);
    expect(&mut stream, &[r#"publish {"id":1}"#]);
}

#[test]
fn a_delete_that_is_refused_deletes_nothing() {
    let broker = broker();
    let client = client(&broker, "deletes");
    publish_ids(&client, "orders", 1..=3);
    let refused: &[Refused] = &[
        (
            "sow_delete",
            "adhoc",
            |c| c.set_filter("1=1"),
            error!(InvalidTopic),
        ),
        (
            "sow_delete",
            "orders",
            |c| c.set_filter("1="),
            error!(BadFilter),
        ),
        (
            "sow_delete",
            "orders",
            |c| c.set_sow_keys("1,;"),
            error!(BadSowKey),
        ),
        (
            "sow_delete",
            "orders",
            |c| c.set_data(r#"{"qty":1}"#),
            error!(BadSowKey),
        ),
        (
            "sow_delete",
            "orders",
            |c| c.set_data("{"),
            error!(BadSowKey),
        ),
        (
            "sow_delete",
            "blobs",
            |c| c.set_data(r#"{"id":1}"#),
            error!(BadSowKey),
        ),
        ("sow_delete", "orders", |c| c, error!(BadSowKey)),
        (
            "sow_delete",
            "orders",
            |c| c.set_bookmark("1|1|"),
            error!(InvalidTopic),
        ),
        (
            "sow_delete",
            "(",
            |c| c.set_filter("1=1"),
            error!(BadRegexTopic),
        ),
    ];
    for (name, topic, set, is_expected) in refused {
        let delete = set(command(name, topic)).add_ack_type(AckType::PROCESSED);
        // The acknowledgement was asked for: whether the call fails or the stream brings it is
        // not what this is about.
        let answer = client.execute(delete).and_then(|mut acks| {
            let ack = acks.next().expect("an answer");
            ack.to_result()
        });
        let error = answer.expect_err(topic);
        assert!(is_expected(&error), "{topic}: {error}");
    }
    assert_eq!(broker.record_count("orders"), 3);
}

#[test]
fn a_logon_that_is_refused_is_the_documented_error() {
    let unknown = broker();
    let client = Client::new("typeless");
    client.connect(unknown.uri("telepathy")).unwrap();
    let refused = client.logon();
    assert!(
        matches!(refused, Err(Error::MessageTypeNotFound(_))),
        "{refused:?}"
    );

    let builder = Broker::builder()
        .unique_client_names(true)
        .authenticate(|who| match who.password {
            "" => Logon::Refuse("auth failure".to_owned()),
            _ => Logon::Accept,
        });
    let broker = start(builder);
    let log_on = |credentials: &str| {
        let client = Client::new("taken");
        let uri = broker.uri("json");
        client
            .connect(uri.replace("//", &format!("//{credentials}")))
            .unwrap();
        client.logon().map(|()| client)
    };
    let first = log_on("ana:a@").unwrap();
    let refused = log_on("bob:b@");
    assert!(matches!(refused, Err(Error::NameInUse(_))), "{refused:?}");
    let refused = log_on("");
    assert!(
        matches!(refused, Err(Error::Authentication(_))),
        "{refused:?}"
    );
    assert!(first.is_logged_on());
    assert!(
        log_on("ana:a@").is_ok(),
        "the same user takes its name over"
    );
}

#[test]
fn a_filter_nested_a_thousand_levels_deep_is_refused() {
    let broker = broker();
    let client = client(&broker, "deep");
    let deep =
        |open: &str, close: &str| format!("{}/a = 1{}", open.repeat(1000), close.repeat(1000));
    for filter in [
        deep("(", ")"),
        deep("NOT ", ""),
        deep("(NOT ", ")"),
        deep("ABS(", ")"),
    ] {
        let refused = client.subscribe_filtered("orders", filter);
        assert!(matches!(refused, Err(Error::BadFilter(_))));
    }
    assert!(
        client
            .subscribe_filtered("orders", "((((/a = 1))))")
            .is_ok()
    );
}

#[test]
fn what_cannot_be_stored_fails_through_its_acknowledgement() {
    let broker = start(
        Broker::builder().topic(TopicConfig::sow("quotes", ["/symbol"]).message_type("nvfix")),
    );
    let json = client(&broker, "unreadable");
    let nvfix = crate::client_of_type(&broker, "unreadable-nvfix", "nvfix");
    for (client, topic, payload, expected) in [
        (&json, "orders", "no JSON", "bad sow key"),
        (&json, "orders", r#"{"id":1"#, "bad sow key"),
        (&json, "orders", r#"{"qty":1}"#, "bad sow key"),
        (&json, "blobs", "keyless", "bad sow key"),
        (&json, "/AMPS/SOWStats", "reserved", "invalid topic"),
        (&nvfix, "quotes", "nonsense", "bad sow key"),
    ] {
        let (sender, acks) = channel();
        let publish = command("publish", topic)
            .set_data(payload)
            .set_ack_type(AckType::PERSISTED);
        client
            .execute_async(publish, move |ack: &Message| {
                let _ = sender.send((ack.status().to_owned(), ack.reason().to_owned()));
            })
            .unwrap();
        let (status, reason) = acks.recv_timeout(PATIENCE).unwrap();
        let answer = (&*status, &*reason);
        assert_eq!(answer, ("failure", expected), "{topic} {payload}");
        assert_eq!(broker.record_count(topic), 0);
    }
}

/// Publishes with sequence numbers and collects the acknowledgements, in short: those that name
/// their command, and the conflated ones that do not.
struct Publisher {
    client: Client,
    sender: Sender<String>,
    acks: Receiver<String>,
}

impl Publisher {
    fn new(client: &Client) -> Publisher {
        let (sender, acks) = channel();
        client.set_last_chance_message_handler(collector(&sender));
        Publisher {
            client: client.clone(),
            sender,
            acks,
        }
    }

    fn publish(&self, sequence: u64, payload: &str) {
        let publish = command("publish", "orders")
            .set_sequence(sequence)
            .set_data(payload)
            .set_ack_type(AckType::PERSISTED);
        let handler = collector(&self.sender);
        self.client.execute_async(publish, handler).unwrap();
    }

    #[track_caller]
    fn expect(&self, acks: &[&str]) {
        for expected in acks {
            assert_eq!(self.acks.recv_timeout(PATIENCE).unwrap(), *expected);
        }
    }
}

fn collector(sender: &Sender<String>) -> impl FnMut(&Message) + Send + 'static {
    let sender = sender.clone();
    move |ack| {
        let sequence = ack.sequence().unwrap_or_default();
        let text = format!("{sequence} {} {}", ack.status(), ack.reason());
        let _ = sender.send(text.trim_end().to_owned());
    }
}

#[test]
fn a_failure_is_told_at_once_and_after_the_successes_before_it() {
    let minute = Duration::from_secs(60);
    let broker = start(Broker::builder().conflate_acks(minute));
    let client = Client::new("two-three-five");
    client.connect(broker.uri("json")).unwrap();
    // The logon says how long successes may wait; a failure does not wait for them.
    let options = LogonOptions::new().set_options("ack_conflation=200ms");
    client.logon_with(options).unwrap();
    let publisher = Publisher::new(&client);
    at_one_stroke(&broker, &client, || {
        for sequence in 1..=5 {
            let payload = match sequence {
                3 => "unreadable".to_owned(),
                _ => format!(r#"{{"id":{sequence}}}"#),
            };
            publisher.publish(sequence, &payload);
        }
    });
    publisher.expect(&["2 success", "3 failure bad sow key", "5 success"]);
    assert_eq!(broker.record_count("orders"), 4);
}

#[test]
fn a_flush_does_not_wait_for_conflated_acknowledgements() {
    let broker = start(Broker::builder().conflate_acks(Duration::from_secs(60)));
    let client = client(&broker, "flushing");
    let publisher = Publisher::new(&client);
    for sequence in 1..=3 {
        publisher.publish(sequence, &format!(r#"{{"id":{sequence}}}"#));
    }
    let flush = Command::new("flush").set_ack_type(AckType::PERSISTED);
    assert_eq!(client.execute(flush).unwrap().count(), 1);
    publisher.expect(&["3 success"]);
}

#[test]
fn a_test_lets_writes_fail() {
    let broker = broker();
    let client = client(&broker, "failing");
    let mut stream = client.subscribe("orders").unwrap();
    broker.fail_next_writes("orders", 2, "disk full");
    let publisher = Publisher::new(&client);
    for sequence in 1..=3 {
        publisher.publish(sequence, &format!(r#"{{"id":{sequence}}}"#));
    }
    publisher.expect(&["1 failure disk full", "2 failure disk full", "3 success"]);
    expect(&mut stream, &[r#"publish {"id":3}"#]);
    assert_eq!(broker.record_count("orders"), 1);
    broker.fail_next_writes("orders", 1, "disk full");
    let delete = command("sow_delete", "orders")
        .set_filter("1=1")
        .set_ack_type(AckType::PROCESSED);
    let refused = client
        .execute(delete)
        .and_then(|mut acks| match acks.next() {
            Some(ack) => ack.to_result(),
            None => Ok(()),
        });
    assert!(refused.unwrap_err().to_string().contains("disk full"));
    assert_eq!(broker.record_count("orders"), 1);
}
