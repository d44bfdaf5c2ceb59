//! Publishing, one write per message.
//!
//! Floor: one plain write of the same bytes per message to the same sink. What a write costs
//! depends on the reader: one that blocks in its read must be woken by each small write, and the
//! writer pays for that. One that naps between reads is never woken, which leaves the write alone
//! and shows more of what the client adds.

use super::log_on;
use crate::measure::{Plan, Row, pairs, per_message};
use crate::peers::{Kind, Peer, Spec};
use crate::raw::Raw;
use crate::{Result, frames};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn run(plan: &Plan, name: &str, payload: usize, naps: bool) -> Result<Vec<Row>> {
    let spec = Spec {
        naps,
        ..Spec::new(Kind::Sink, payload)
    };
    let peer = spec.start()?;
    let count = plan.messages(40_000);
    let payload = frames::payload(payload);
    let pairs = pairs(
        plan,
        || ours(&peer, &payload, count),
        || floor(&peer, &payload, count),
    )?;
    Ok(vec![pairs.row(name, 1.1)])
}

/// Until the sink has read the last one.
fn ours(peer: &Peer, payload: &[u8], count: usize) -> Result<f64> {
    let client = log_on(peer.uri(true))?;
    for _ in 0..count / 10 {
        client.publish(frames::TOPIC, payload)?;
    }
    client.publish_flush(PATIENCE)?;
    let start = Instant::now();
    for _ in 0..count {
        client.publish(frames::TOPIC, payload)?;
    }
    client.publish_flush(PATIENCE)?;
    let taken = start.elapsed();
    client.disconnect()?;
    Ok(per_message(taken, count))
}

fn floor(peer: &Peer, payload: &[u8], count: usize) -> Result<f64> {
    let mut raw = Raw::connect(peer.address(), true)?;
    let (message, flush) = (frames::published(payload), frames::flush());
    for _ in 0..count / 10 {
        raw.write(&message)?;
    }
    raw.write(&flush)?;
    raw.read_one()?;
    let start = Instant::now();
    for _ in 0..count {
        raw.write(&message)?;
    }
    raw.write(&flush)?;
    raw.read_one()?;
    Ok(per_message(start.elapsed(), count))
}
