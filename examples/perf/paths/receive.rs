//! Receiving as fast as the socket gives.
//!
//! Floor: read the same stream and find the frames in it, nothing else.

use super::log_on;
use crate::measure::{Plan, Row, pairs, per_message};
use crate::peers::{Kind, Peer, Spec};
use crate::raw::Raw;
use crate::{Result, frames};
use amps::{Command, Message};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn handler(plan: &Plan, name: &str, payload: usize, target: f64) -> Result<Vec<Row>> {
    measure(plan, name, payload, target, by_handler)
}

pub(super) fn stream(plan: &Plan, name: &str, payload: usize, target: f64) -> Result<Vec<Row>> {
    measure(plan, name, payload, target, by_stream)
}

fn measure(
    plan: &Plan,
    name: &str,
    payload: usize,
    target: f64,
    ours: fn(&Peer, usize) -> Result<f64>,
) -> Result<Vec<Row>> {
    let messages = plan.messages(if payload > 500 { 150_000 } else { 400_000 });
    let spec = Spec {
        messages,
        ..Spec::new(Kind::Firehose, payload)
    };
    let peer = spec.start()?;
    let pairs = pairs(plan, || ours(&peer, messages), || floor(&peer, messages))?;
    Ok(vec![pairs.row(name, target)])
}

fn by_handler(peer: &Peer, messages: usize) -> Result<f64> {
    let client = log_on(peer.uri(true))?;
    let (progress, done) = Progress::new(messages);
    client.execute_async(subscribe("sub-00001"), move |message: &Message| {
        progress.step(message);
    })?;
    let taken = done.recv_timeout(PATIENCE)?;
    client.disconnect()?;
    Ok(taken)
}

fn by_stream(peer: &Peer, messages: usize) -> Result<f64> {
    let client = log_on(peer.uri(true))?;
    let (progress, done) = Progress::new(messages);
    for message in client.execute(subscribe("sub-00001"))?.take(messages) {
        progress.step(&message);
    }
    let taken = done.recv_timeout(PATIENCE)?;
    client.disconnect()?;
    Ok(taken)
}

/// The frames of the stream, of which the first is the answer to the subscription.
fn floor(peer: &Peer, messages: usize) -> Result<f64> {
    let mut raw = Raw::connect(peer.address(), true)?;
    raw.write(&frames::subscribe("sub-00001"))?;
    let mut count = 0;
    while count < warm_up(messages) {
        count += raw.read(|_| ())?;
    }
    let (first, start) = (count, Instant::now());
    while count < messages {
        count += raw.read(|_| ())?;
    }
    Ok(per_message(start.elapsed(), count - first))
}

/// A subscription under an id of a length that many have.
pub(super) fn subscribe(sub_id: &str) -> Command {
    Command::new("subscribe")
        .set_sub_id(sub_id)
        .set_topic(frames::TOPIC)
        .set_timeout(PATIENCE)
}

/// The first messages are not timed: buffers grow and caches fill.
fn warm_up(messages: usize) -> usize {
    messages / 10
}

/// Counts messages, and reports the time per message when the last one has come.
pub(super) struct Progress {
    /// Changed by the receiving thread only, so a load and a store are enough.
    count: AtomicUsize,
    messages: usize,
    warm_up: usize,
    start: Mutex<Option<Instant>>,
    done: Sender<f64>,
}

impl Progress {
    pub(super) fn new(messages: usize) -> (Progress, Receiver<f64>) {
        let (done, receiver) = channel();
        let progress = Progress {
            count: AtomicUsize::new(0),
            messages,
            warm_up: warm_up(messages),
            start: Mutex::new(None),
            done,
        };
        (progress, receiver)
    }

    #[inline]
    pub(super) fn step(&self, message: &Message) {
        black_box(message.data());
        let count = self.count.load(Ordering::Relaxed) + 1;
        self.count.store(count, Ordering::Relaxed);
        if count == self.warm_up || count == self.messages {
            self.mark(count);
        }
    }

    #[cold]
    fn mark(&self, count: usize) {
        let mut start = self.start.lock().unwrap_or_else(PoisonError::into_inner);
        match *start {
            None => *start = Some(Instant::now()),
            Some(begun) => {
                // From here on it counts anew, should more come.
                *start = None;
                self.count.store(0, Ordering::Relaxed);
                // Nobody waits any more after a time-out: fine.
                let _ = self
                    .done
                    .send(per_message(begun.elapsed(), count - self.warm_up));
            }
        }
    }
}
