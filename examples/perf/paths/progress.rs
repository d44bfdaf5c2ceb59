//! Timing the messages that come in.

use crate::measure::per_message;
use amps::Message;
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// The first messages of a round are not timed: the sender must have come to speed.
pub(super) fn warm_up(messages: usize) -> usize {
    messages / 10
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

impl Progress {
    pub(super) fn new(messages: usize) -> (Arc<Progress>, Receiver<f64>) {
        let (done, receiver) = channel();
        let progress = Progress {
            count: AtomicUsize::new(0),
            messages,
            warm_up: warm_up(messages),
            start: Mutex::new(None),
            done,
        };
        (Arc::new(progress), receiver)
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
