//! What has to happen at a certain time, and the thread that lets it happen.

use super::Shared;
use crate::engine::Engine;
use parking_lot::MutexGuard;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::panic::{AssertUnwindSafe, catch_unwind};
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
    /// End leases and messages of a queue, if their time is over.
    Queue {
        /// The place of the queue.
        topic: usize,
    },
    /// Look after a replay: a range may end, or its pace lets it go on.
    Replay {
        /// Which one.
        replay: u64,
    },
    /// Tell the bookmark subscriptions of a replay what is safe.
    Safe {
        /// Which one.
        replay: u64,
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

    /// The next task that is due, and since when.
    pub(crate) fn due(&mut self, now: Instant) -> Option<(Instant, Task)> {
        match self.heap.peek() {
            Some(Reverse((at, _))) if *at <= now => self.heap.pop().map(|Reverse(due)| due),
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
        while let Some((at, task)) = engine.timers.due(now) {
            perform(&mut engine, &task, at);
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

/// Does one task. If that panics the task is lost, but not the thread: all clients need it.
fn perform(engine: &mut Engine, task: &Task, due: Instant) {
    // What the task left half done is of its own topic or connection.
    let done = catch_unwind(AssertUnwindSafe(|| {
        engine.perform(task, due, Instant::now());
    }));
    if done.is_err() {
        log::warn!("{task:?} broke off");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    #[test]
    fn a_task_that_panics_does_not_end_the_thread_that_performs_it() {
        let mut engine = Engine::new(&Settings::default()).unwrap();
        let task = Task::Expiration {
            topic: usize::MAX,
            key: b"key"[..].into(),
        };
        perform(&mut engine, &task, Instant::now());
    }
}
