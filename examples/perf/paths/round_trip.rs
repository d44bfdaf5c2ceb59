//! There and back with one message in flight: what an application waits for an answer.
//!
//! Floor: a plain socket that writes and reads the same bytes with the same echo. On one core
//! both sides take turns, and waking the other costs the least; on any core the system decides,
//! and waking a thread on another core may cost far more than all the rest.

use super::log_on;
use super::receive::subscribe;
use crate::affinity::{first_core, pin};
use crate::measure::{Pairs, Plan, Row, ShownAs, in_turn};
use crate::peers::{Kind, Peer, Spec};
use crate::raw::Raw;
use crate::{Result, frames};
use amps::Message;
use hdrhistogram::Histogram;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// What the names of the two rows of a path end with.
pub(super) const SUFFIXES: [&str; 2] = [", p50", ", p99"];

const PATIENCE: Duration = Duration::from_secs(60);

const PAYLOAD: usize = 100;

/// The longest time that is told apart from longer ones: ten seconds.
const LONGEST: u64 = 10_000_000_000;

/// The answer is handled, and the next message sent, on the receive thread.
pub(super) fn run(plan: &Plan, name: &str, one_core: bool) -> Result<Vec<Row>> {
    let targets = one_core.then_some([1.25, 1.5]);
    measure(plan, name, one_core, targets, by_handler)
}

/// The answer is read from a stream on the thread that publishes.
pub(super) fn by_stream(plan: &Plan, name: &str) -> Result<Vec<Row>> {
    measure(plan, name, true, None, through_stream)
}

fn measure(
    plan: &Plan,
    name: &str,
    one_core: bool,
    targets: Option<[f64; 2]>,
    ours: fn(&Peer, usize) -> Result<Histogram<u64>>,
) -> Result<Vec<Row>> {
    let core = one_core.then(first_core).flatten();
    let spec = Spec {
        core,
        ..Spec::new(Kind::Echo, PAYLOAD)
    };
    let peer = spec.start()?;
    let _pinned = pin(core)?;
    let trips = plan.messages(if one_core { 10_000 } else { 4_000 });
    let rounds = in_turn(plan, || ours(&peer, trips), || floor(&peer, trips))?;
    let row = |quantile: f64, at: usize| {
        let mut pairs = Pairs::default();
        for (ours, floor) in &rounds {
            let value = |times: &Histogram<u64>| times.value_at_quantile(quantile) as f64;
            pairs.push(value(ours), value(floor));
        }
        let name = format!("{name}{}", SUFFIXES[at]);
        Row {
            shown_as: ShownAs::Latency,
            ..pairs.row(name, targets.map(|targets| targets[at]))
        }
    };
    Ok(vec![row(0.5, 0), row(0.99, 1)])
}

/// Round trips in nanoseconds, in three significant digits.
struct Trips {
    times: Histogram<u64>,
    left: usize,
    warm_up: usize,
    sent: Instant,
}

impl Trips {
    fn new(trips: usize) -> Result<Trips> {
        Ok(Trips {
            times: Histogram::new_with_max(LONGEST, 3)?,
            left: trips,
            warm_up: trips / 10,
            sent: Instant::now(),
        })
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

fn by_handler(peer: &Peer, trips: usize) -> Result<Histogram<u64>> {
    let client = log_on(peer.uri(true))?;
    let payload = frames::payload(PAYLOAD);
    let mut trips = Trips::new(trips)?;
    let (done, result) = channel();
    // This keeps the client alive until the subscription ends, which `disconnect` below does.
    let publisher = client.clone();
    let data = payload.clone();
    client.execute_async(
        subscribe("sub-00001"),
        move |_: &Message| -> amps::Result<()> {
            if trips.returned() {
                trips.sending();
                publisher.publish(frames::TOPIC, &data)?;
            } else {
                // Nobody waits any more after a time-out: fine.
                let _ = done.send(trips.times.clone());
            }
            Ok(())
        },
    )?;
    client.publish(frames::TOPIC, &payload)?;
    let times = result.recv_timeout(PATIENCE);
    client.disconnect()?;
    Ok(times?)
}

fn through_stream(peer: &Peer, trips: usize) -> Result<Histogram<u64>> {
    let client = log_on(peer.uri(true))?;
    let payload = frames::payload(PAYLOAD);
    let mut trips = Trips::new(trips)?;
    let mut answers = client.execute(subscribe("sub-00001"))?;
    loop {
        trips.sending();
        client.publish(frames::TOPIC, &payload)?;
        answers
            .next_timeout(PATIENCE)?
            .ok_or("the echo closed the connection")?;
        if !trips.returned() {
            return Ok(trips.times);
        }
    }
}

fn floor(peer: &Peer, trips: usize) -> Result<Histogram<u64>> {
    let mut raw = Raw::connect(peer.address(), true)?;
    raw.write(&frames::subscribe("sub-00001"))?;
    raw.read_one()?;
    let message = frames::published(&frames::payload(PAYLOAD));
    let mut trips = Trips::new(trips)?;
    loop {
        trips.sending();
        raw.write(&message)?;
        raw.read_one()?;
        if !trips.returned() {
            return Ok(trips.times);
        }
    }
}
