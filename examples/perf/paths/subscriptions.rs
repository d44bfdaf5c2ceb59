//! Receiving with 10,000 subscriptions on the connection, each with its own handler.
//!
//! Floor: the same messages with one. With many, they go to all of them in an order that is not
//! the one they came in.

use super::receivers::Handlers;
use crate::Result;
use crate::measure::{Measured, Plan, pairs};
use crate::peers::{Kind, Spec};

const MANY: usize = 10_000;

pub(super) fn run(plan: &Plan, name: &str, target: Option<f64>) -> Result<Measured> {
    let messages = plan.messages(600_000);
    let spec = Spec {
        messages,
        // Both firehoses send as many different messages, from a buffer of the same length.
        prepared: MANY,
        ..Spec::new(Kind::Firehose, 100)
    };
    let peer = spec.start()?;
    let endpoint = &peer.endpoint(true)?;
    let many = Handlers::subscribed(endpoint, messages, MANY)?;
    let one = Handlers::subscribed(endpoint, messages, 1)?;
    // Grows buffers and windows; not timed.
    many.receive_again(endpoint)?;
    one.receive_again(endpoint)?;
    let pairs = pairs(
        plan,
        || many.receive_again(endpoint),
        Some(&mut || one.receive_again(endpoint)),
    )?;
    Ok(pairs.row(name, target).into())
}
