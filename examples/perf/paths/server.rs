//! Measuring against a server of one's own.
//!
//! What a server does belongs to each figure. So the floor, where there is one, talks to the same
//! server in the same words: the ratio tells what the client adds, the figures what to expect.
//! Nobody else may publish to the topic meanwhile.

use super::Path;
use super::progress::disconnect_late;
use super::publish::{BATCH, BATCH_TIMEOUT, Publish};
use super::receivers::{Handlers, Reader};
use super::round_trip::RoundTrip;
use crate::endpoint::{Endpoint, PATIENCE};
use crate::measure::{Measured, Plan, pairs};
use crate::{Result, frames};
use amps::Client;
use std::thread;
use std::time::Duration;

const PAYLOAD: usize = 100;

/// A round takes about so long, however fast the server is.
const ROUND: Duration = Duration::from_millis(200);

/// All of them, in the order of the table.
pub(crate) fn all(endpoint: &Endpoint) -> Vec<Path> {
    let path = |name, measure: fn(&Endpoint, &Plan, &str) -> Result<Measured>| {
        let endpoint = endpoint.clone();
        Path::new(name, move |plan, name| measure(&endpoint, plan, name))
    };
    vec![
        path("publish 100 B", |endpoint, plan, name| {
            publish(Publish::plain(PAYLOAD), endpoint, plan, name)
        }),
        path("publish 100 B, batching 64 KiB", |endpoint, plan, name| {
            publish(Publish::batched(PAYLOAD), endpoint, plan, name)
        }),
        path("publish to handler 100 B, batching 64 KiB", to_handler),
        path("publish to stream 100 B, batching 64 KiB", to_stream),
        path("round trip", |endpoint, plan, name| {
            round_trip(false, endpoint, plan, name)
        })
        .of_latency(),
        path("round trip by stream", |endpoint, plan, name| {
            round_trip(true, endpoint, plan, name)
        })
        .of_latency(),
    ]
}

fn publish(how: Publish, endpoint: &Endpoint, plan: &Plan, name: &str) -> Result<Measured> {
    let count = fitting(plan, 1_000, how.ours(endpoint, 1_000)?);
    how.compare(plan, endpoint, count, name, None)
}

/// From the publisher to the handler of a subscriber: messages per second that come.
fn to_handler(endpoint: &Endpoint, plan: &Plan, name: &str) -> Result<Measured> {
    through(endpoint, plan, name, |count| {
        let handler = Handlers::subscribed(endpoint, count, 1)?;
        Ok(Box::new(move || handler.receive()))
    })
}

fn to_stream(endpoint: &Endpoint, plan: &Plan, name: &str) -> Result<Measured> {
    through(endpoint, plan, name, |count| {
        let mut reader = Reader::subscribed(endpoint, count)?;
        Ok(Box::new(move || reader.receive()))
    })
}

type Receive<'a> = Box<dyn FnMut() -> Result<f64> + 'a>;

fn through<'a>(
    endpoint: &Endpoint,
    plan: &Plan,
    name: &str,
    subscribed: impl Fn(usize) -> Result<Receive<'a>>,
) -> Result<Measured> {
    let publisher = endpoint.client("perf-publisher")?;
    publisher.set_publish_batching(BATCH, BATCH_TIMEOUT);
    let round = |receive: &mut Receive<'_>, count: usize| -> Result<f64> {
        thread::scope(|scope| {
            let publishing = scope.spawn(|| publish_all(&publisher, &endpoint.topic, count));
            let taken = receive();
            publishing.join().map_err(|_| "the publisher panicked")??;
            taken
        })
    };
    let count = fitting(plan, 1_000, round(&mut subscribed(1_000)?, 1_000)?);
    let mut receive = subscribed(count)?;
    let pairs = pairs(plan, || round(&mut receive, count), None)?;
    Ok(pairs.row(name, None).into())
}

fn publish_all(client: &Client, topic: &str, count: usize) -> amps::Result<()> {
    let _in_time = disconnect_late(client);
    let payload = frames::payload(PAYLOAD);
    for _ in 0..count {
        client.publish(topic, &payload)?;
    }
    client.publish_flush(PATIENCE)
}

fn round_trip(stream: bool, endpoint: &Endpoint, plan: &Plan, name: &str) -> Result<Measured> {
    let trip = RoundTrip {
        one_core: false,
        nodelay: true,
        stream,
    };
    let first = trip.ours(endpoint, 50)?.mean();
    trip.compare(plan, endpoint, fitting(plan, 50, first), name, None)
}

/// How many messages a round has, if one takes so many nanoseconds; not fewer than `least`.
fn fitting(plan: &Plan, least: usize, nanoseconds: f64) -> usize {
    let full = ROUND.as_nanos() as f64 / nanoseconds.max(1.0);
    plan.messages(full as usize).clamp(least, 1_000_000)
}
