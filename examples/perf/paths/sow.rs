//! A query result of 100,000 records in batches of 100.
//!
//! Floor: read the same stream and find the records in it. Timed from the start of the group to
//! its end, so that what the server does before is left out.

use crate::endpoint::{Endpoint, PATIENCE};
use crate::measure::{Measured, Plan, pairs, per_message};
use crate::peers::{Kind, Spec};
use crate::raw::each_record;
use crate::{Result, frames};
use amps::{Command, CommandType, Message};
use std::hint::black_box;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

const RECORDS: usize = 100_000;

/// For both sides, so that their bytes are the same; as long as any other.
fn query_id(number: usize) -> String {
    format!("query-{number:03}")
}

pub(super) fn run(plan: &Plan, name: &str, target: Option<f64>) -> Result<Measured> {
    let spec = Spec {
        messages: RECORDS,
        ..Spec::new(Kind::Sow, 100)
    };
    let peer = spec.start()?;
    let queries = plan.messages(4);
    let endpoint = peer.endpoint(true)?;
    let pairs = pairs(
        plan,
        || ours(&endpoint, queries),
        Some(&mut || floor(&endpoint, queries)),
    )?;
    Ok(pairs.row(name, target).into())
}

fn ours(endpoint: &Endpoint, queries: usize) -> Result<f64> {
    let client = endpoint.client("perf-query")?;
    let mut taken = Duration::ZERO;
    for query in 0..=queries {
        let (done, result) = channel();
        let (mut start, mut records) = (Instant::now(), 0);
        let command = Command::new("sow")
            .set_topic(frames::TOPIC)
            .set_query_id(query_id(query))
            .set_batch_size(100)
            .set_timeout(PATIENCE);
        client.execute_async(command, move |message: &Message| match message.command() {
            CommandType::GroupBegin => start = Instant::now(),
            CommandType::GroupEnd => {
                // Nobody waits any more after a time-out: fine.
                let _ = done.send((start.elapsed(), records));
            }
            _ => {
                black_box(message.data());
                records += 1;
            }
        })?;
        let (time, records) = result.recv_timeout(PATIENCE)?;
        if records != RECORDS {
            return Err(format!("{records} records came instead of {RECORDS}").into());
        }
        // The first query warms up.
        if query > 0 {
            taken += time;
        }
    }
    client.disconnect()?;
    Ok(per_message(taken, RECORDS * queries))
}

fn floor(endpoint: &Endpoint, queries: usize) -> Result<f64> {
    let mut raw = endpoint.raw()?;
    let mut taken = Duration::ZERO;
    for query in 0..=queries {
        raw.write(&frames::sow(&query_id(query)))?;
        let (mut start, mut end) = (Instant::now(), None);
        let (mut records, mut over) = (0, false);
        while !over {
            raw.read(|frame| match frame.get(6) {
                Some(b's') => each_record(frame, |_| records += 1),
                Some(b'g') if records == 0 => start = Instant::now(),
                Some(b'g') => end = Some(start.elapsed()),
                // The second acknowledgement, after the group.
                _ => over = end.is_some(),
            })?;
        }
        if records != RECORDS {
            return Err(format!("{records} records came instead of {RECORDS}").into());
        }
        if query > 0 {
            taken += end.unwrap_or_default();
        }
    }
    Ok(per_message(taken, RECORDS * queries))
}
