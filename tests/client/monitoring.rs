//! What a client tells of itself, and what it never tells.

use crate::{PATIENCE, broker, eventually, exceptions, logged_on, with_peer};
use amps::{Client, Error};
use amps_broker::{Broker, Peer};
use serde_json::json;
use std::sync::Arc;

#[test]
fn the_statistics_count_frames_and_bytes_each_way() {
    let (client, mut peer) = with_peer("counting");
    let before = client.stats();
    assert_eq!((before.frames_sent, before.frames_received), (1, 1));
    assert_eq!((before.connections, before.reconnects()), (1, 0));
    client.publish("t", "12345").unwrap();
    client.publish("t", vec![b'x'; 20_000]).unwrap();
    client.unsubscribe("any").unwrap();
    let mut bytes = 0;
    for _ in 0..3 {
        bytes += peer.expect_frame().unwrap().len() as u64 + 4;
    }
    let after = client.stats();
    assert_eq!(after.frames_sent - before.frames_sent, 3);
    assert_eq!(after.bytes_sent - before.bytes_sent, bytes);
    let frame = r#"{"c":"p","t":"t","sids":"s"}x"#;
    for _ in 0..5 {
        peer.send(frame).unwrap();
    }
    eventually("all came", || {
        client.stats().frames_received - before.frames_received == 5
    });
    let received = client.stats().bytes_received - before.bytes_received;
    assert_eq!(received, 5 * (frame.len() as u64 + 4));
}

#[test]
fn the_statistics_go_on_over_a_reconnection_and_know_what_waits_in_streams() {
    let broker = broker();
    let client = logged_on(&broker, "again");
    let stream = client.subscribe("t").unwrap();
    let _other = client.subscribe("t").unwrap();
    for _ in 0..3 {
        client.publish("t", "x").unwrap();
    }
    eventually("all wait", || client.stats().stream_depth == 6);
    drop(stream);
    eventually("half are gone", || client.stats().stream_depth == 3);
    let before = client.stats();
    client.disconnect().unwrap();
    client.connect(broker.uri("json")).unwrap();
    client.logon().unwrap();
    let after = client.stats();
    assert_eq!((after.connections, after.reconnects()), (2, 1));
    assert!(after.frames_sent > before.frames_sent);
    assert!(after.bytes_received > before.bytes_received);
}

#[test]
fn the_statistics_tell_what_the_publish_store_holds() {
    let client = Client::new("stored");
    let store = Arc::new(amps::MemoryPublishStore::new(10));
    client.set_publish_store(store).unwrap();
    client.publish("t", "x").unwrap();
    client.publish("t", "y").unwrap();
    assert_eq!(client.stats().unpersisted, 2);
}

#[test]
fn the_connection_info_names_both_ends_and_no_password() {
    let broker = Broker::builder().server_version("5.3.4.0").start().unwrap();
    let client = Client::new("informed");
    assert_eq!(client.connection_info().to_string(), "client_name=informed");
    let uri = broker.uri("json").replace("tcp://", "tcp://ana:s3cret@");
    client.connect(&uri).unwrap();
    let info = client.connection_info();
    assert_eq!(info.get("server_version"), None);
    client.logon().unwrap();
    let info = client.connection_info();
    assert_eq!(info.get("transport"), Some("tcp"));
    assert_eq!(info.get("host"), Some("127.0.0.1"));
    assert_eq!(info.get("server_version"), Some("5.3.4.0"));
    let port = info.get("port").unwrap();
    assert_eq!(
        info.get("remote_address"),
        Some(&*format!("127.0.0.1:{port}"))
    );
    assert!(info.get("local_address").unwrap().starts_with("127.0.0.1:"));
    assert!(info.get("uri").unwrap().contains("ana"));
    client.disconnect().unwrap();
    // What was tried last is still known.
    let last = client.connection_info();
    assert_eq!(last.get("host"), Some("127.0.0.1"));
    assert_eq!(last.get("remote_address"), None);
    for shown in [format!("{info} {info:?}"), format!("{last} {client:?}")] {
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}

#[test]
fn the_publisher_id_is_a_number_too() {
    let client = Client::new("numbered");
    assert_eq!(client.name_hash_value(), 0);
    let (client, _peer) = with_peer("numbered");
    assert_eq!(client.name_hash(), "4418602183412675531");
    assert_eq!(client.name_hash_value(), 4_418_602_183_412_675_531);
    client.set_logon_correlation_data("token").unwrap();
    assert_eq!(client.logon_correlation_data(), "token");
    client.set_connect_timeout(PATIENCE);
    assert_eq!(client.connect_timeout(), PATIENCE);
}

#[test]
fn a_client_without_a_name_makes_one_up() {
    let broker = broker();
    let clients = [logged_on(&broker, ""), logged_on(&broker, "")];
    assert_ne!(clients[0].name(), clients[1].name());
    assert!(broker.client_names().contains(&clients[0].name()));
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Order {
    id: u64,
    qty: u32,
}

#[test]
fn a_stream_can_be_read_as_values() {
    let broker = broker();
    let client = logged_on(&broker, "typed");
    for id in 1..=3 {
        client
            .publish_json("orders", &Order { id, qty: 7 })
            .unwrap();
    }
    client
        .delta_publish_json("orders", &json!({"id": 2, "qty": 8}))
        .unwrap();
    client.publish_flush(PATIENCE).unwrap();
    let mut orders = client
        .sow("orders")
        .unwrap()
        .json::<Order>()
        .collect::<Result<Vec<_>, _>>()
        .unwrap();
    orders.sort_by_key(|order| order.id);
    let quantities = orders.iter().map(|order| order.qty).collect::<Vec<_>>();
    assert_eq!(quantities, [7, 8, 7]);
    let mut stream = client.subscribe("mixed").unwrap().json::<Order>();
    client.publish("mixed", r#"{"id":1}"#).unwrap();
    client.publish("mixed", r#"{"id":1,"qty":2}"#).unwrap();
    let error = stream.next().unwrap().unwrap_err();
    assert!(matches!(error, Error::Payload(_)), "{error}");
    assert_eq!(stream.next().unwrap().unwrap(), Order { id: 1, qty: 2 });
    assert_eq!(stream.stream().depth(), 0);
    assert!(format!("{stream:?}").starts_with("JsonStream(MessageStream"));
    stream.into_stream().close();
    // What JSON cannot say is refused, and nothing is sent.
    let wrong = std::collections::BTreeMap::from([((1, 2), 3)]);
    let error = client.publish_json("mixed", &wrong).unwrap_err();
    assert!(matches!(error, Error::Payload(_)), "{error}");
    assert_eq!(broker.published_count("mixed"), 2);
}

#[test]
fn what_is_public_can_be_sent_and_shown() {
    fn is_send<T: Send + std::fmt::Debug>() {}
    fn is_shared<T: Send + Sync + std::fmt::Debug>() {}
    is_send::<amps::MessageStream>();
    is_send::<amps::JsonStream<Order>>();
    is_shared::<amps::Client>();
    is_shared::<amps::WeakClient>();
    is_shared::<amps::StreamCanceller>();
    is_shared::<amps::Message>();
    is_shared::<amps::Command>();
    is_shared::<amps::Options>();
    is_shared::<amps::LogonOptions>();
    is_shared::<amps::AmpsUri>();
    is_shared::<amps::ClientStats>();
    is_shared::<amps::ConnectionInfo>();
    is_shared::<Error>();
}

#[test]
fn the_loss_of_a_connection_shows_no_password() {
    let peer = Peer::listen().unwrap();
    let client = Client::new("discreet");
    let told = exceptions(&client);
    let uri = peer.uri("json").replace("tcp://", "tcp://ana:s3cret@");
    client.connect(uri).unwrap();
    drop(peer.accept().unwrap());
    let error = told.recv_timeout(PATIENCE).unwrap();
    assert!(
        error.contains("ana") && !error.contains("s3cret"),
        "{error}"
    );
}
