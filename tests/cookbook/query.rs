//! R16 to R20, R23 and R24: querying.

use crate::{all, broker, client, command, is_timestamp, payloads, publish, publish_ids, records};
use amps::{AckType, CommandType, EndReason, Error};

#[test]
fn r16_basic_query() {
    let broker = broker();
    let client = client(&broker, "r16");
    assert_eq!(
        all(client.sow("orders").unwrap()),
        ["group_begin", "group_end"]
    );
    // More than one frame's worth of records.
    publish_ids(&client, "orders", 1..=25);
    let mut stream = client.sow("orders").unwrap();
    let messages = stream.by_ref().collect::<Vec<_>>();
    assert_eq!(stream.end_reason(), Some(EndReason::Completed));
    assert_eq!(messages.len(), 27);
    assert_eq!(messages[0].command(), CommandType::GroupBegin);
    assert_eq!(messages[26].command(), CommandType::GroupEnd);
    let mut keys = Vec::new();
    for (message, id) in messages[1..26].iter().zip(1..) {
        assert_eq!(message.command(), CommandType::Sow);
        assert_eq!(message.data_str().unwrap(), format!(r#"{{"id":{id}}}"#));
        assert_eq!(message.topic(), "orders");
        keys.push(message.sow_key().parse::<u64>().unwrap());
    }
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 25, "each record has a key of its own");
    let refused = client.sow("adhoc");
    assert!(
        matches!(refused, Err(Error::InvalidTopic(_))),
        "{refused:?}"
    );
}

#[test]
fn r17_query_with_options() {
    let broker = broker();
    let client = client(&broker, "r17");
    publish_ids(&client, "orders", 1..=3);
    let query = command("sow", "orders").set_options("timestamp,no_sowkey");
    let found = records(client.execute(query).unwrap());
    assert_eq!(
        payloads(&found),
        [r#"{"id":1}"#, r#"{"id":2}"#, r#"{"id":3}"#]
    );
    for record in &found {
        assert!(is_timestamp(record.timestamp()));
        assert_eq!(record.sow_key(), "");
    }
    for record in records(client.sow("orders").unwrap()) {
        assert_eq!(record.timestamp(), "");
        assert_ne!(record.sow_key(), "");
    }
}

#[test]
fn r18_ordered_query() {
    let broker = broker();
    let client = client(&broker, "r18");
    publish(
        &client,
        "orders",
        &[
            r#"{"id":1,"day":1,"name":"bob"}"#,
            r#"{"id":2,"day":3,"name":"eve"}"#,
            r#"{"id":3,"day":20,"name":"dan"}"#,
            r#"{"id":4,"day":3,"name":"ann"}"#,
        ],
    );
    let ids = |order: &str| {
        let query = command("sow", "orders").set_order_by(order);
        let found = records(client.execute(query).unwrap());
        let id = |payload: &&str| payload[6..7].parse::<u32>().unwrap();
        payloads(&found).iter().map(id).collect::<Vec<_>>()
    };
    assert_eq!(ids("/day DESC, /name ASC"), [3, 4, 2, 1]);
    assert_eq!(ids("/day, /name DESC"), [1, 2, 4, 3]);
    assert_eq!(ids("/name"), [4, 1, 3, 2]);
    let refused = client.execute(command("sow", "orders").set_order_by("/day UPWARDS"));
    assert!(
        matches!(refused, Err(Error::InvalidOrderBy(_))),
        "{refused:?}"
    );
}

#[test]
fn r19_top_n_query() {
    let broker = broker();
    let client = client(&broker, "r19");
    publish_ids(&client, "orders", 1..=25);
    let top = |query: amps::Command| records(client.execute(query).unwrap());
    let query = command("sow", "orders").set_order_by("/id DESC");
    let found = top(query.clone().set_top_n(3));
    assert_eq!(
        payloads(&found),
        [r#"{"id":25}"#, r#"{"id":24}"#, r#"{"id":23}"#]
    );
    // The newer way to say it; not rounded up to whole frames.
    let found = top(query.clone().set_options("top_n=12"));
    assert_eq!(found.len(), 12);
    assert_eq!(found[11].data(), br#"{"id":14}"#);
    assert_eq!(top(command("sow", "orders").set_top_n(4)).len(), 4);
    // None at all, to count.
    let count = query.set_top_n(0).add_ack_type(AckType::STATS);
    let messages = client.execute(count).unwrap().collect::<Vec<_>>();
    let stats = messages.last().unwrap();
    assert_eq!(messages.len(), 3);
    assert_eq!(stats.ack_type(), AckType::STATS);
    assert_eq!(stats.matches(), Some(25));
    assert_eq!(stats.topic_matches(), Some(25));
    assert_eq!(stats.records_returned(), Some(0));
}

#[test]
fn r20_query_with_a_filter() {
    let broker = broker();
    let client = client(&broker, "r20");
    publish_ids(&client, "orders", 1..=25);
    let found = records(
        client
            .sow_filtered("orders", "/id BETWEEN 7 AND 9")
            .unwrap(),
    );
    assert_eq!(
        payloads(&found),
        [r#"{"id":7}"#, r#"{"id":8}"#, r#"{"id":9}"#]
    );
    assert_eq!(
        all(client.sow_filtered("orders", "/id > 99").unwrap()),
        ["group_begin", "group_end"]
    );
    let counted = command("sow", "orders")
        .set_filter("/id % 5 = 0")
        .set_top_n(2)
        .add_ack_type(AckType::STATS);
    let stats = client.execute(counted).unwrap().last().unwrap();
    assert_eq!(stats.topic_matches(), Some(25));
    assert_eq!(stats.matches(), Some(5));
    assert_eq!(stats.records_returned(), Some(2));
    let refused = client.sow_filtered("orders", "/id LIKES 1");
    assert!(matches!(refused, Err(Error::BadFilter(_))), "{refused:?}");
}

#[test]
fn r23_query_by_key() {
    let broker = broker();
    let client = client(&broker, "r23");
    publish_ids(&client, "orders", 1..=25);
    let stored = records(client.sow("orders").unwrap());
    let keys = [2, 24, 7].map(|at| stored[at].sow_key());
    let query =
        command("sow", "orders").set_sow_keys(format!("{},17,{},{}", keys[0], keys[1], keys[2]));
    let found = records(client.execute(query.clone()).unwrap());
    let mut found = payloads(&found);
    found.sort_unstable();
    assert_eq!(found, [r#"{"id":25}"#, r#"{"id":3}"#, r#"{"id":8}"#]);
    let both = records(client.execute(query.set_filter("/id < 9")).unwrap());
    assert_eq!(both.len(), 2, "a filter counts as well");
    let none = command("sow", "orders").set_sow_keys("17,18");
    assert_eq!(records(client.execute(none).unwrap()).len(), 0);
}

#[test]
fn r24_pagination() {
    let broker = broker();
    let client = client(&broker, "r24");
    // Not in the order of the pages.
    publish_ids(&client, "orders", (1..=45).rev());
    let page = |options: &str| {
        let query = command("sow", "orders")
            .set_order_by("/id")
            .set_options(options);
        let found = records(client.execute(query).unwrap());
        payloads(&found)
            .iter()
            .map(|payload| payload[6..payload.len() - 1].parse::<u32>().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(page("top_n=10,skip_n=30"), (31..=40).collect::<Vec<_>>());
    assert_eq!(page("top_n=10,skip_n=40"), (41..=45).collect::<Vec<_>>());
    assert_eq!(page("top_n=10,skip_n=50"), [0; 0]);
    // Without an order the pages still hold each record once.
    let unordered = |skip: usize| {
        let options = format!("top_n=15,skip_n={skip}");
        let query = command("sow", "orders").set_options(options);
        records(client.execute(query).unwrap())
    };
    let mut keys = [0, 15, 30]
        .into_iter()
        .flat_map(unordered)
        .map(|record| record.sow_key().to_owned())
        .collect::<Vec<_>>();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 45);
    for (topic, options) in [("orders", "skip_n=10"), ("^orders$", "top_n=10,skip_n=10")] {
        let refused = client.execute(command("sow", topic).set_options(options));
        assert!(
            matches!(refused, Err(Error::InvalidOptions(_))),
            "{topic} {options}"
        );
    }
}
