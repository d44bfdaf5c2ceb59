//! What only happens if threads meet at the wrong moment.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use super::Settled;
use crate::client::shared::Shared;
use crate::client::testing::{PATIENCE, connect, framed, open};
use crate::error::{Error, Result};
use crate::message::{Origin, Reader};
use std::sync::Arc;
use std::time::SystemTime;

fn acknowledge(shared: &Arc<Shared>, connection: u64, bookmarks: &str) -> Result<()> {
    shared.send_ack(&Settled {
        connection,
        topic: "jobs",
        bookmarks,
        options: "",
        backlog: None,
    })
}

#[test]
fn g10_a_late_acknowledgement_of_a_lost_connection_drops_none_of_the_next_one() {
    let shared = Arc::new(Shared::new("late".to_string()));
    shared.set_ack_batch_size(10);
    let [(first, _), (second, taken)] = [open(1), open(2)];
    connect(&shared, &second);
    acknowledge(&shared, 2, "1|2|").unwrap();
    // A thread that had looked at the connection before the loss goes on only now.
    connect(&shared, &first);
    let late = acknowledge(&shared, 1, "1|1|");
    connect(&shared, &second);
    assert!(matches!(late, Err(Error::Disconnected(_))), "{late:?}");
    shared.flush_acks();
    let sent = String::from_utf8(taken.recv_timeout(PATIENCE).unwrap()).unwrap();
    assert!(sent.contains(r#""bm":"1|2|""#), "{sent}");
}

#[test]
fn g5_the_grants_of_a_connection_outlive_the_end_of_the_one_before() {
    let shared = Arc::new(Shared::new("granted".to_string()));
    let mut reader = Reader::new(Origin {
        client: shared.downgrade(),
        connection: 2,
    });
    let ack = br#"{"c":"ack","cid":"1","a":"processed","status":"success","o":"max_backlog=4"}"#;
    let backlog = Arc::default();
    reader
        .each_in(framed(ack).into(), SystemTime::now(), |ack| {
            shared.acks.note_grant(ack, &backlog);
        })
        .unwrap();
    // Another thread, which disconnected the first one, goes on only now.
    shared.acks.forget(1);
    assert!(shared.acks.least_backlog().is_some());
    shared.acks.forget(2);
    assert!(shared.acks.least_backlog().is_none());
}
