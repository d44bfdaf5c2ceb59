//! `spark sow_delete`.

use crate::process::{spark, spark_with_input};
use crate::{address, broker, client, order, publish_orders, records};
use amps::CommandType;

#[test]
fn a_filter_deletes_what_matches_and_says_how_many() {
    let broker = broker();
    publish_orders(&client(&broker), 4);
    let address = address(&broker);
    let delete = |filter| {
        spark(&[
            "sow_delete",
            "-server",
            &address,
            "-topic",
            "orders",
            "-filter",
            filter,
        ])
        .ok()
    };
    assert_eq!(delete("/id > 2"), "2 records deleted\n");
    assert_eq!(delete("/id = 9"), "0 records deleted\n");
    assert_eq!(records(&broker, "orders"), [order(1), order(2)]);
}

#[test]
fn keys_delete_their_records() {
    let broker = broker();
    let client = client(&broker);
    publish_orders(&client, 3);
    let keys: Vec<String> = client
        .sow_filtered("orders", "/id != 2")
        .unwrap()
        .filter(|message| message.command() == CommandType::Sow)
        .map(|message| message.sow_key().to_string())
        .collect();
    let address = address(&broker);
    let keys = keys.join(",");
    let args = [
        "sow_delete",
        "-server",
        &address,
        "-topic",
        "orders",
        "-keys",
        &keys,
    ];
    assert_eq!(spark(&args).ok(), "2 records deleted\n");
    assert_eq!(records(&broker, "orders"), [order(2)]);
}

#[test]
fn messages_delete_the_records_that_they_would_update() {
    let broker = broker();
    publish_orders(&client(&broker), 5);
    let address = address(&broker);
    let args = ["sow_delete", "-server", &address, "-topic", "orders"];
    let input = b"{\"id\":1}\n{\"id\":2}\n{\"id\":77}\n";
    assert_eq!(spark_with_input(&args, input).ok(), "2 records deleted\n");
    let data = [&args[..], &["-data", r#"{"id":3}"#]].concat();
    assert_eq!(spark(&data).ok(), "1 record deleted\n");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("orders.json");
    std::fs::write(&file, "{\"id\":4}").unwrap();
    let file = [&args[..], &["-file", file.to_str().unwrap()]].concat();
    assert_eq!(spark(&file).ok(), "1 record deleted\n");
    assert_eq!(records(&broker, "orders"), [order(5)]);
}

#[test]
fn a_refusal_ends_with_1_and_says_what_was_deleted_before() {
    let broker = broker();
    publish_orders(&client(&broker), 2);
    let address = address(&broker);
    let args = ["sow_delete", "-server", &address, "-topic", "orders"];
    let finished = spark_with_input(&args, b"{\"id\":1}\n{\"no\":2}\n{\"id\":2}\n");
    assert_eq!(finished.out, "1 record deleted\n");
    assert!(finished.failed(1).contains("bad SOW key"));
    assert_eq!(records(&broker, "orders"), [order(2)]);

    let bad = [&args[..], &["-filter", "/id >"]].concat();
    let finished = spark(&bad);
    assert_eq!(finished.out, "");
    assert!(finished.failed(1).contains("check -filter"));

    let bad = [
        "sow_delete",
        "-server",
        &address,
        "-topic",
        "nothing",
        "-filter",
        "1=1",
    ];
    assert!(spark(&bad).failed(1).contains("check -topic"));
}
