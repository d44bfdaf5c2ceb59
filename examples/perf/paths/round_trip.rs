//! There and back with one message in flight: what an application waits for an answer.
//!
//! Floor: a plain socket that writes and reads the same bytes with the same echo. On one core
//! both sides take turns, and waking the other costs the least; on any core the system decides,
//! and waking a thread on another core may cost far more than all the rest.

use super::receivers::{SUB_ID, subscribe};
use crate::affinity::{first_core, pin};
use crate::endpoint::{Endpoint, PATIENCE};
use crate::measure::{Floor, Latency, Measured, Pairs, Plan, Row, ShownAs, in_turn};
use crate::peers::{Kind, Spec};
use crate::{Result, frames};
use amps::Message;
use hdrhistogram::Histogram;
use std::sync::mpsc::channel;
use std::time::Instant;

/// What the names of the two rows of a path end with.
pub(super) const SUFFIXES: [&str; 2] = [", p50", ", p99"];

const PAYLOAD: usize = 100;

/// The longest time that is told apart from longer ones: ten seconds.
const LONGEST: u64 = 10_000_000_000;

/// How a message goes there and back.
#[derive(Clone, Copy)]
pub(super) struct RoundTrip {
    /// Both sides on one core.
    pub(super) one_core: bool,
    /// `tcp_nodelay`, for the client and for the floor.
    pub(super) nodelay: bool,
    /// The answer is read from a stream on the thread that publishes; else it is handled, and the
    /// next message sent, on the receive thread.
    pub(super) stream: bool,
}

impl RoundTrip {
    /// With the targets of the two rows.
    pub(super) fn run(
        self,
        plan: &Plan,
        name: &str,
        targets: Option<[f64; 2]>,
    ) -> Result<Measured> {
        let core = self.one_core.then(first_core).flatten();
        let spec = Spec {
            core,
            ..Spec::new(Kind::Echo, PAYLOAD)
        };
        let peer = spec.start()?;
        let endpoint = peer.endpoint(self.nodelay)?;
        let _pinned = pin(core)?;
        let trips = plan.messages(7_000);
        self.compare(plan, &endpoint, trips, name, targets)
    }

    /// Both sides in turn, without a floor if no plain connection is possible.
    pub(super) fn compare(
        self,
        plan: &Plan,
        endpoint: &Endpoint,
        trips: usize,
        name: &str,
        targets: Option<[f64; 2]>,
    ) -> Result<Measured> {
        let mut floor = || floor(endpoint, trips);
        let floor: Floor<'_, Histogram<u64>> = match endpoint.is_plain() {
            true => Some(&mut floor),
            false => None,
        };
        let rounds = in_turn(plan, || self.ours(endpoint, trips), floor)?;
        Ok(measured(name, targets, rounds))
    }

    pub(super) fn ours(self, endpoint: &Endpoint, trips: usize) -> Result<Histogram<u64>> {
        match self.stream {
            true => through_stream(endpoint, trips),
            false => by_handler(endpoint, trips),
        }
    }
}

/// Two rows, and the times of all rounds together.
fn measured(
    name: &str,
    targets: Option<[f64; 2]>,
    rounds: Vec<(Histogram<u64>, Option<Histogram<u64>>)>,
) -> Measured {
    let row = |quantile: f64, at: usize| {
        let mut pairs = Pairs::default();
        for (ours, floor) in &rounds {
            let value = |times: &Histogram<u64>| times.value_at_quantile(quantile) as f64;
            pairs.push(value(ours), floor.as_ref().map(value));
        }
        let name = format!("{name}{}", SUFFIXES[at]);
        Row {
            shown_as: ShownAs::Latency,
            ..pairs.row(name, targets.map(|targets| targets[at]))
        }
    };
    let rows = vec![row(0.5, 0), row(0.99, 1)];
    let (mut ours, mut floor) = (empty(), None);
    for (our_times, floor_times) in &rounds {
        ours += our_times;
        if let Some(times) = floor_times {
            *floor.get_or_insert_with(empty) += times;
        }
    }
    let name = name.to_string();
    Measured {
        rows,
        latency: Some(Latency { name, ours, floor }),
    }
}

/// Nanoseconds in three significant digits; longer times than the longest count as that.
fn empty() -> Histogram<u64> {
    let mut times = Histogram::new_with_max(LONGEST, 3).unwrap_or_else(|_| unreachable!());
    times.auto(false);
    times
}

/// Round trips in nanoseconds.
struct Trips {
    times: Histogram<u64>,
    left: usize,
    warm_up: usize,
    sent: Instant,
}

impl Trips {
    fn new(trips: usize) -> Trips {
        Trips {
            times: empty(),
            left: trips,
            warm_up: trips / 10,
            sent: Instant::now(),
        }
    }

    fn sending(&mut self) {
        self.sent = Instant::now();
    }

    /// Takes the time; false when that was the last one.
    fn returned(&mut self) -> bool {
        let taken = self.sent.elapsed();
        if self.warm_up > 0 {
            self.warm_up -= 1;
            return true;
        }
        self.times.saturating_record(taken.as_nanos() as u64);
        self.left -= 1;
        self.left > 0
    }
}

fn by_handler(endpoint: &Endpoint, trips: usize) -> Result<Histogram<u64>> {
    let client = endpoint.client("perf")?;
    let payload = frames::payload(PAYLOAD);
    let mut trips = Trips::new(trips);
    let (done, result) = channel();
    // This keeps the client alive until the subscription ends, which `disconnect` below does.
    let publisher = client.clone();
    let (topic, data) = (endpoint.topic.clone(), payload.clone());
    client.execute_async(
        subscribe(SUB_ID, &endpoint.topic),
        move |_: &Message| -> amps::Result<()> {
            if trips.returned() {
                trips.sending();
                publisher.publish(&topic, &data)?;
            } else {
                // Nobody waits any more after a time-out: fine.
                let _ = done.send(trips.times.clone());
            }
            Ok(())
        },
    )?;
    client.publish(&endpoint.topic, &payload)?;
    let times = result.recv_timeout(PATIENCE);
    client.disconnect()?;
    Ok(times?)
}

fn through_stream(endpoint: &Endpoint, trips: usize) -> Result<Histogram<u64>> {
    let client = endpoint.client("perf")?;
    let payload = frames::payload(PAYLOAD);
    let mut trips = Trips::new(trips);
    let mut answers = client.execute(subscribe(SUB_ID, &endpoint.topic))?;
    loop {
        trips.sending();
        client.publish(&endpoint.topic, &payload)?;
        answers
            .next_timeout(PATIENCE)?
            .ok_or("the connection closed before the answer came")?;
        if !trips.returned() {
            return Ok(trips.times);
        }
    }
}

fn floor(endpoint: &Endpoint, trips: usize) -> Result<Histogram<u64>> {
    let mut raw = endpoint.raw()?;
    raw.write(&frames::subscribe(SUB_ID, &endpoint.topic))?;
    raw.read_one()?;
    let message = endpoint.published(&frames::payload(PAYLOAD));
    let mut trips = Trips::new(trips);
    loop {
        trips.sending();
        raw.write(&message)?;
        raw.read_one()?;
        if !trips.returned() {
            return Ok(trips.times);
        }
    }
}
