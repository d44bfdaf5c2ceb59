//! The message types beside JSON, from builder to reader through the broker.

use crate::{client_of_type, command, next, records};
use amps::{
    AckType, CommandType, CompositeMessageBuilder, CompositeMessageParser, FixBuilder, FixShredder,
    NvfixBuilder, NvfixShredder,
};
use amps_broker::message_type::MessageType::{Binary, CompositeGlobal, CompositeLocal, Json};
use amps_broker::{Broker, TopicConfig};

#[test]
fn fix_messages_are_stored_filtered_and_read_back() {
    let broker = Broker::builder()
        .topic(TopicConfig::sow("orders", ["/11"]).message_type("fix"))
        .start()
        .unwrap();
    let client = client_of_type(&broker, "fix", "fix");
    let mut stream = client
        .subscribe_filtered("orders", "/38 > 50 AND /55 = 'ROL'")
        .unwrap();
    let mut order = FixBuilder::with_capacity(64);
    for (id, symbol, quantity) in [
        ("A1", "ROL", 50),
        ("A2", "ROL", 51),
        ("A3", "XYZ", 99),
        ("A1", "ROL", 60),
    ] {
        order.clear();
        order.append(35, "D").unwrap();
        order.append(11, id).unwrap();
        order.append(55, symbol).unwrap();
        order.append_integer(38, quantity).unwrap();
        client.publish("orders", order.as_bytes()).unwrap();
    }
    for (id, quantity) in [("A2", 51), ("A1", 60)] {
        let message = next(&mut stream);
        let read = FixShredder::new(message.data());
        assert_eq!(read.get(11).unwrap(), id);
        assert_eq!(read.get(38).unwrap().as_integer().unwrap(), quantity);
    }
    let found = records(
        client
            .sow_filtered("orders", "/38 BETWEEN 55 AND 65")
            .unwrap(),
    );
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].data(), order.as_bytes());

    // Only the fields that changed.
    let mut deltas = client
        .execute(command("delta_subscribe", "orders"))
        .unwrap();
    order.clear();
    order.append(11, "A3").unwrap();
    order.append_integer(38, 98).unwrap();
    client.delta_publish("orders", order.as_bytes()).unwrap();
    // The connection has a full subscription, too, but not to this message.
    let delta = next(&mut deltas);
    let delta = FixShredder::new(delta.data());
    assert_eq!(delta.fields().count(), 2);
    assert_eq!(delta.get(38).unwrap().as_integer().unwrap(), 98);
    let merged = records(client.sow_filtered("orders", "/11 = 'A3'").unwrap());
    let merged = FixShredder::new(merged[0].data());
    assert_eq!(merged.get(55).unwrap(), "XYZ");
    assert_eq!(merged.get(38).unwrap().as_integer().unwrap(), 98);
}

#[test]
fn nvfix_messages_are_stored_filtered_and_read_back() {
    let broker = Broker::builder()
        .topic(TopicConfig::sow("quotes", ["/symbol"]).message_type("nvfix"))
        .start()
        .unwrap();
    let client = client_of_type(&broker, "nvfix", "nvfix");
    let subscribe = command("sow_and_subscribe", "quotes")
        .set_filter("/px >= 90 AND /symbol LIKE '^R'")
        .set_options("oof,select=[-/,+/symbol,+/px]");
    let mut stream = client.execute(subscribe).unwrap();
    for marker in [CommandType::GroupBegin, CommandType::GroupEnd] {
        assert_eq!(next(&mut stream).command(), marker);
    }
    let mut quote = NvfixBuilder::new();
    for (symbol, price) in [("ROL", "90.50"), ("XYZ", "99"), ("ROL", "89.99")] {
        quote.clear();
        quote.append("symbol", symbol).unwrap();
        quote.append("px", price).unwrap();
        quote.append("venue", "X").unwrap();
        client.publish("quotes", quote.as_bytes()).unwrap();
    }
    for (command, price) in [(CommandType::Publish, "90.50"), (CommandType::Oof, "89.99")] {
        let message = next(&mut stream);
        assert_eq!(message.command(), command);
        let read = NvfixShredder::new(message.data());
        assert_eq!(read.get("symbol").unwrap(), "ROL");
        assert_eq!(read.get("px").unwrap(), price);
        assert!(read.get("venue").is_none(), "not selected");
    }
}

/// A message of a JSON part and an opaque one.
fn composite(json: &str, blob: &[u8]) -> CompositeMessageBuilder {
    let mut message = CompositeMessageBuilder::new();
    message.append(json).unwrap();
    message.append(blob).unwrap();
    message
}

#[test]
fn composite_messages_are_filtered_by_part_and_read_back() {
    let broker = Broker::builder()
        .composite_type("orders-with-blob", CompositeLocal(vec![Json, Binary]))
        .topic(TopicConfig::sow("orders", ["/0/id"]).message_type("orders-with-blob"))
        .start()
        .unwrap();
    let client = client_of_type(&broker, "composite", "orders-with-blob");
    let mut stream = client.subscribe_filtered("orders", "/0/qty > 50").unwrap();
    for (id, quantity, blob) in [(1, 50, b"one"), (2, 51, b"two"), (3, 99, b"\0\xff\0")] {
        let message = composite(&format!(r#"{{"id":{id},"qty":{quantity}}}"#), blob);
        client.publish("orders", message.data()).unwrap();
    }
    for (id, blob) in [(2, b"two"), (3, b"\0\xff\0")] {
        let message = next(&mut stream);
        let parts = CompositeMessageParser::parse(message.data()).unwrap();
        assert_eq!(parts.len(), 2);
        let json: serde_json::Value = serde_json::from_slice(parts.get(0).unwrap()).unwrap();
        assert_eq!(json["id"], id);
        assert_eq!(parts.get(1).unwrap(), blob);
    }
    // An empty part of a delta leaves the part as it is.
    let delta = composite(r#"{"id":1,"qty":60}"#, b"");
    client.delta_publish("orders", delta.data()).unwrap();
    let merged = next(&mut stream);
    assert_eq!(
        merged.data(),
        composite(r#"{"id":1,"qty":60}"#, b"one").data()
    );
    let query = command("sow", "orders")
        .set_order_by("/0/qty DESC")
        .set_top_n(1);
    let found = records(client.execute(query).unwrap());
    assert_eq!(
        found[0].data(),
        composite(r#"{"id":3,"qty":99}"#, b"\0\xff\0").data()
    );
}

#[test]
fn composite_messages_are_filtered_as_one_set_of_fields() {
    let broker = Broker::builder()
        .composite_type("pair", CompositeGlobal(vec![Json, Json]))
        .topic(TopicConfig::sow("pairs", ["/id"]).message_type("pair"))
        .start()
        .unwrap();
    let client = client_of_type(&broker, "pairs", "pair");
    let mut stream = client
        .subscribe_filtered("pairs", "/a = 2 AND /id < 3")
        .unwrap();
    let pair = |left: &str, right: &str| composite(left, right.as_bytes());
    let messages = [
        pair(r#"{"id":1,"a":1}"#, r#"{"b":2}"#),
        pair(r#"{"id":2,"a":1}"#, r#"{"a":2}"#),
        pair(r#"{"a":2}"#, r#"{"id":1}"#),
    ];
    for message in &messages {
        client.publish("pairs", message.data()).unwrap();
    }
    for message in &messages[1..] {
        assert_eq!(next(&mut stream).data(), message.data());
    }
    assert_eq!(records(client.sow("pairs").unwrap()).len(), 2);
    // There are no deltas of such messages: the delta is the record.
    let delta = pair(r#"{"id":2,"a":2}"#, "");
    client.delta_publish("pairs", delta.data()).unwrap();
    assert_eq!(next(&mut stream).data(), delta.data());
}

#[test]
fn binary_messages_are_opaque() {
    let blobs = TopicConfig::sow_with_explicit_keys("blobs").message_type("binary");
    let broker = Broker::builder().topic(blobs).start().unwrap();
    let client = client_of_type(&broker, "binary", "binary");
    let mut stream = client.execute(command("delta_subscribe", "blobs")).unwrap();
    let every_byte = (0..=255).collect::<Vec<u8>>();
    for blob in [&every_byte[..], &[0], &every_byte] {
        let publish = command("publish", "blobs").set_sow_key("k").set_data(blob);
        client.execute(publish).unwrap();
        assert_eq!(next(&mut stream).data(), blob);
    }
    assert!(matches!(
        client.subscribe_filtered("blobs", "/id = 1"),
        Err(amps::Error::BadFilter(_))
    ));
    let delete = command("sow_delete", "blobs")
        .set_filter("1=1")
        .add_ack_type(AckType::STATS);
    let stats = client.execute(delete).unwrap().next().unwrap();
    assert_eq!(stats.records_deleted(), Some(1));
}

#[test]
fn topics_of_one_name_and_different_types_are_different_topics() {
    let broker = Broker::builder().start().unwrap();
    let json = client_of_type(&broker, "types-json", "json");
    let fix = client_of_type(&broker, "types-fix", "fix");
    let mut stream = json.subscribe("orders").unwrap();
    fix.publish("orders", "35=D\x01").unwrap();
    fix.publish_flush(crate::PATIENCE).unwrap();
    json.publish("orders", "marker").unwrap();
    assert_eq!(next(&mut stream).data(), b"marker");
}
