//! What only happens if threads meet at the wrong moment.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use super::Settled;
use crate::client::shared::Shared;
use crate::client::testing::{PATIENCE, connect, open};
use crate::error::{Error, Result};
use std::sync::Arc;

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
