//! Timing the messages that come in.

use crate::Result;
use crate::endpoint::PATIENCE;
use crate::measure::per_message;
use amps::{Client, Message};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

/// The first messages of a round are not timed: the sender must have come to speed.
pub(super) fn warm_up(messages: usize) -> usize {
    messages / 10
}

/// Does something when a round has not ended in time: unless the result is dropped before.
pub(super) fn when_late(act: impl FnOnce() + Send + 'static) -> Sender<()> {
    let (in_time, end) = channel();
    thread::spawn(move || {
        if end.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            act();
        }
    });
    in_time
}

/// Disconnects a client when a round has not ended in time: a server that reads no more would hold
/// up its publishes for ever.
pub(super) fn disconnect_late(client: &Client) -> Sender<()> {
    let client = client.downgrade();
    when_late(move || {
        // Who publishes hears of it.
        let _ = client.upgrade().map(|client| client.disconnect());
    })
}

/// Counts messages, and reports the time per message when the last one of a round has come.
pub(super) struct Progress {
    /// Changed by the receiving thread only, so a load and a store are enough.
    count: AtomicUsize,
    messages: usize,
    warm_up: usize,
    start: Mutex<Option<Instant>>,
    done: Sender<f64>,
}

/// Waits for the end of rounds.
pub(super) struct Rounds {
    pub(super) progress: Arc<Progress>,
    done: Receiver<f64>,
}

impl Rounds {
    pub(super) fn new(messages: usize) -> Rounds {
        let (done, receiver) = channel();
        let progress = Progress {
            count: AtomicUsize::new(0),
            messages,
            warm_up: warm_up(messages),
            start: Mutex::new(None),
            done,
        };
        Rounds {
            progress: Arc::new(progress),
            done: receiver,
        }
    }

    /// The time per message of the next round.
    pub(super) fn wait(&self) -> Result<f64> {
        self.done.recv_timeout(PATIENCE).map_err(|_| {
            let count = self.progress.count.load(Ordering::Relaxed);
            let messages = self.progress.messages;
            format!("only {count} of {messages} messages came within {PATIENCE:?}").into()
        })
    }
}

impl Progress {
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
