//! What has to happen at a certain time, and the thread that lets it happen.

use super::Shared;
use parking_lot::MutexGuard;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// Something to do later. What it is about may be gone by then; that is no error.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Task {
    /// Beat, and look whether the client beats.
    Heartbeat {
        /// The connection.
        connection: u64,
        /// Which of the connection's timers this is: starting one anew ends the one before.
        generation: u64,
    },
    /// End a record, if its time is over.
    Expiration {
        /// The place of the topic.
        topic: usize,
        /// The record.
        key: Box<[u8]>,
    },
    /// Send what a conflated subscription holds back of a topic.
    Conflation {
        /// The place of the topic.
        topic: usize,
        /// The connection.
        connection: u64,
        /// The subscription, by its place in the order of all things.
        since: u64,
    },
    /// Acknowledge what a connection has published.
    Acks {
        /// The connection.
        connection: u64,
    },
}

/// The tasks by time.
#[derive(Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, Task)>>,
    changed: bool,
}

impl Timers {
    pub(crate) fn add(&mut self, at: Instant, task: Task) {
        self.heap.push(Reverse((at, task)));
        self.changed = true;
    }

    /// The next task that is due.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Task> {
        match self.heap.peek() {
            Some(Reverse((at, _))) if *at <= now => self.heap.pop().map(|Reverse((_, task))| task),
            _ => None,
        }
    }

    fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// True if tasks were added since this was last asked.
    pub(crate) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }
}

/// The body of the thread.
pub(super) fn run(shared: &Shared) {
    let mut engine = shared.engine.lock();
    while !engine.stopping {
        let now = Instant::now();
        while let Some(task) = engine.timers.due(now) {
            engine.perform(task, now);
        }
        let wakes = shared.settle(&mut engine);
        if !wakes.is_empty() {
            MutexGuard::unlocked(&mut engine, || {
                for connection in wakes {
                    connection.flush();
                }
            });
            // The engine may have changed meanwhile.
            continue;
        }
        match engine.timers.next() {
            Some(at) => {
                shared.timer.wait_until(&mut engine, at);
            }
            None => shared.timer.wait(&mut engine),
        }
    }
}
