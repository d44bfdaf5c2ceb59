//! R44 to R47: deleting records.

use crate::{broker, client, command, expect, payloads, publish, publish_ids, records};
use amps::{AckType, Client, Command, Error, Message};

/// Runs a delete and returns its statistics, which must be all it brings.
#[track_caller]
fn statistics(client: &Client, delete: Command) -> Message {
    let delete = delete.add_ack_type(AckType::STATS);
    let mut acks = client.execute(delete).unwrap().collect::<Vec<_>>();
    assert_eq!(acks.len(), 1);
    let stats = acks.remove(0);
    assert_eq!(stats.ack_type(), AckType::STATS);
    assert_eq!(stats.status(), "success");
    stats
}

fn left(client: &Client) -> usize {
    records(client.sow("orders").unwrap()).len()
}

#[test]
fn r44_delete_everything() {
    let broker = broker();
    let client = client(&broker, "r44");
    publish_ids(&client, "orders", 1..=3);
    let mut told = client
        .execute(command("subscribe", "orders").set_options("oof"))
        .unwrap();
    let mut untold = client.subscribe("orders").unwrap();
    let everything = command("sow_delete", "orders").set_filter("1=1");
    let stats = statistics(&client, everything.clone());
    assert_eq!(stats.records_deleted(), Some(3));
    assert_eq!(stats.matches(), Some(3));
    assert_eq!(stats.topic_matches(), Some(3));
    assert_eq!(left(&client), 0);
    expect(
        &mut told,
        &[
            r#"oof deleted {"id":1}"#,
            r#"oof deleted {"id":2}"#,
            r#"oof deleted {"id":3}"#,
        ],
    );
    publish(&client, "orders", &[r#"{"id":9}"#]);
    expect(&mut told, &[r#"publish {"id":9}"#]);
    expect(&mut untold, &[r#"publish {"id":9}"#]);
    assert_eq!(
        statistics(&client, everything.clone()).records_deleted(),
        Some(1)
    );
    assert_eq!(statistics(&client, everything).records_deleted(), Some(0));
    // The topic may be a pattern.
    publish_ids(&client, "orders", 1..=3);
    let pattern = command("sow_delete", "^(orders|blobs)$").set_filter("1=1");
    assert_eq!(statistics(&client, pattern).records_deleted(), Some(3));
}

#[test]
fn r45_delete_by_filter() {
    let broker = broker();
    let client = client(&broker, "r45");
    publish_ids(&client, "orders", 1..=10);
    let delete = command("sow_delete", "orders").set_filter("/id > 7");
    let stats = statistics(&client, delete.clone());
    assert_eq!(stats.records_deleted(), Some(3));
    assert_eq!(stats.matches(), Some(3));
    assert_eq!(stats.topic_matches(), Some(10));
    assert_eq!(left(&client), 7);
    assert_eq!(
        statistics(&client, delete.clone()).records_deleted(),
        Some(0)
    );
    let bad = delete.set_filter("/id >").add_ack_type(AckType::PROCESSED);
    let refused = client
        .execute(bad)
        .map(|acks| acks.map(|ack| ack.to_result()).collect::<Vec<_>>());
    match refused {
        Err(error) => assert!(matches!(error, Error::BadFilter(_)), "{error}"),
        Ok(acks) => assert!(matches!(acks[..], [Err(Error::BadFilter(_))]), "{acks:?}"),
    }
    assert_eq!(left(&client), 7);
}

#[test]
fn r46_delete_by_data() {
    let broker = broker();
    let client = client(&broker, "r46");
    publish(
        &client,
        "orders",
        &[r#"{"id":1,"qty":1}"#, r#"{"id":2,"qty":2}"#],
    );
    // Only the key counts.
    let delete = command("sow_delete", "orders").set_data(r#"{"qty":77,"id":1,"more":true}"#);
    assert_eq!(
        statistics(&client, delete.clone()).records_deleted(),
        Some(1)
    );
    let found = records(client.sow("orders").unwrap());
    assert_eq!(payloads(&found), [r#"{"id":2,"qty":2}"#]);
    assert_eq!(statistics(&client, delete).records_deleted(), Some(0));
}

#[test]
fn r47_delete_by_keys() {
    let broker = broker();
    let client = client(&broker, "r47");
    publish_ids(&client, "orders", 1..=5);
    let stored = records(client.sow("orders").unwrap());
    let keys = format!("{},17,{}", stored[1].sow_key(), stored[3].sow_key());
    let delete = command("sow_delete", "orders").set_sow_keys(keys);
    let stats = statistics(&client, delete);
    assert_eq!(
        stats.records_deleted(),
        Some(2),
        "the unknown key is ignored"
    );
    let found = records(client.sow("orders").unwrap());
    assert_eq!(
        payloads(&found),
        [r#"{"id":1}"#, r#"{"id":3}"#, r#"{"id":5}"#]
    );
}
