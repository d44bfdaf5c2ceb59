//! Recovery points as records of a SOW topic, against a server: rule P6.

use crate::support::{SUB, log, log_all, recent, work_off};
use amps_broker::Broker;
use amps_core::{BookmarkStore, Client, Error};
use amps_stores::{ConflatingRecoveryPointAdapter, MemoryBookmarkStore, SowRecoveryPointAdapter};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

fn broker() -> Broker {
    Broker::builder()
        .sow_topic("/ADMIN/bookmark_store", ["/clientName", "/subId"])
        .sow_topic("points", ["/who", "/what"])
        .start()
        .unwrap()
}

fn keeper(broker: &Broker) -> Client {
    let client = Client::new("keeper");
    client.connect(broker.uri("json")).unwrap();
    client.logon().unwrap();
    client
}

#[test]
fn p6_points_survive_as_records_of_a_sow_topic() {
    let broker = broker();
    let client = keeper(&broker);
    let adapter = |name: &str| SowRecoveryPointAdapter::builder(&client, name).build();
    // Names and ids that need care in JSON and in filters.
    for name in ["viewer", "it's", "\"both' of\\them\""] {
        let store = MemoryBookmarkStore::with_adapter(adapter(name)).unwrap();
        assert_eq!(recent(&store), "0");
        work_off(&store, &["1|1|", "2|1|", "1|2|"]);
        store.log("sub \"é\"", "3|3|").unwrap();
        store.discard("sub \"é\"", 1).unwrap();
        log(&store, "1|3|");
        drop(store);
        let store = MemoryBookmarkStore::with_adapter(adapter(name)).unwrap();
        assert_eq!(recent(&store), "1|2|,2|1|", "{name}");
        assert_eq!(store.most_recent("sub \"é\"").unwrap(), "3|3|");
    }
    assert_eq!(broker.record_count("/ADMIN/bookmark_store"), 6);
}

#[test]
fn p6_purges_delete_the_records_of_the_tracked_client_only() {
    let broker = broker();
    let client = keeper(&broker);
    let adapter = |name: &str| SowRecoveryPointAdapter::builder(&client, name).build();
    let open = |name: &str| MemoryBookmarkStore::with_adapter(adapter(name)).unwrap();
    for name in ["one", "other"] {
        let store = open(name);
        for sub in ["a", "b", "c"] {
            store.log(sub, "1|1|").unwrap();
            store.discard(sub, 1).unwrap();
        }
    }
    open("one").purge_sub("b").unwrap();
    let store = open("one");
    let points = ["a", "b", "c"].map(|sub| store.most_recent(sub).unwrap());
    assert_eq!(points, ["1|1|", "0", "1|1|"]);
    store.purge().unwrap();
    store.purge().unwrap();
    drop(store);
    assert_eq!(open("one").most_recent("a").unwrap(), "0");
    assert_eq!(open("other").most_recent("b").unwrap(), "1|1|");
}

#[test]
fn p6_topic_and_fields_can_be_named_and_the_time_be_added() {
    let broker = broker();
    let client = keeper(&broker);
    let builder = || {
        SowRecoveryPointAdapter::builder(&client, "viewer")
            .set_topic("points")
            .set_client_name_field("who")
            .set_sub_id_field("what")
            .set_bookmark_field("where")
    };
    let store = MemoryBookmarkStore::with_adapter(builder().build()).unwrap();
    work_off(&store, &["1|1|"]);
    drop(store);
    let records: Vec<String> = client
        .sow("points")
        .unwrap()
        .map(|message| message.data_str().unwrap().to_string())
        .filter(|data| !data.is_empty())
        .collect();
    assert_eq!(records.len(), 1, "{records:?}");
    for part in [
        r#""who":"viewer""#,
        r#""what":"orders""#,
        r#""where":"1|1|""#,
    ] {
        assert!(records[0].contains(part), "{records:?}");
    }
    let timed = builder().set_use_timestamp(true).build();
    let store = MemoryBookmarkStore::with_adapter(timed).unwrap();
    let point = recent(&store);
    let (bookmark, instant) = point.split_once(',').unwrap();
    assert_eq!(bookmark, "1|1|");
    let now = amps_core::bookmark::timestamp(std::time::SystemTime::now());
    assert!(
        instant.len() == now.len() && *instant <= *now && instant > "20240101",
        "{point}"
    );
}

#[test]
fn p6_a_lost_connection_breaks_discards_only_if_asked() {
    for throws in [false, true] {
        let broker = broker();
        let client = keeper(&broker);
        let adapter = SowRecoveryPointAdapter::builder(&client, "viewer")
            .set_update_failure_throws(throws)
            .set_timeout(Duration::from_millis(100))
            .build();
        let store = MemoryBookmarkStore::with_adapter(adapter).unwrap();
        log_all(&store, &["1|1|"]);
        client.disconnect().unwrap();
        assert_eq!(store.discard(SUB, 1).is_err(), throws);
        assert_eq!(recent(&store), "1|1|");
        assert!(store.purge().is_err());
    }
}

#[test]
fn p6_a_record_that_is_no_recovery_point_is_an_error() {
    let broker = broker();
    let client = keeper(&broker);
    let record = r#"{"clientName":"viewer","subId":"a","bookmark":7}"#;
    client.publish("/ADMIN/bookmark_store", record).unwrap();
    client.publish_flush(PATIENCE).unwrap();
    let adapter = SowRecoveryPointAdapter::builder(&client, "viewer").build();
    let error = MemoryBookmarkStore::with_adapter(adapter).unwrap_err();
    assert!(matches!(error, Error::Payload(_)), "{error}");
    assert!(
        error.to_string().contains("no text in its field bookmark"),
        "{error}"
    );
}

#[test]
fn p6_closing_disconnects_the_client_only_if_asked() {
    for close in [false, true] {
        let broker = broker();
        let client = keeper(&broker);
        let adapter = SowRecoveryPointAdapter::builder(&client, "viewer")
            .set_close_client(close)
            .build();
        drop(MemoryBookmarkStore::with_adapter(adapter).unwrap());
        assert_eq!(client.is_connected(), !close);
    }
}

#[test]
fn p3_a_conflating_adapter_over_a_sow_topic_recovers_the_last_point() {
    let broker = broker();
    let client = keeper(&broker);
    let open = || {
        let sow = SowRecoveryPointAdapter::builder(&client, "viewer").build();
        let conflating = ConflatingRecoveryPointAdapter::builder(sow).build();
        MemoryBookmarkStore::with_adapter(conflating).unwrap()
    };
    let store = open();
    for number in 1..=500 {
        work_off(&store, &[&format!("1|{number}|")]);
    }
    drop(store);
    assert_eq!(recent(&open()), "1|500|");
    assert!(broker.published_count("/ADMIN/bookmark_store") < 10);
}
