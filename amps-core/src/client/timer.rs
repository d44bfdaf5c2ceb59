//! The timer of a client: a thread that does later what nobody does by then.

use super::shared::Shared;
use log::warn;
use parking_lot::{Condvar, Mutex};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Instant;

/// What can be due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// Publishes that were collected must leave.
    PublishBatch = 0,
    /// Acknowledgements of queue messages that were collected must leave.
    AckBatches = 1,
}

/// Every task there is.
const TASKS: [Task; 2] = [Task::PublishBatch, Task::AckBatches];

/// One thread per client, started with the first task and parked in between. It holds the state of
/// its client weakly and ends with it.
#[derive(Default)]
pub(crate) struct Timer {
    clock: Arc<Clock>,
}

#[derive(Default)]
struct Clock {
    state: Mutex<ClockState>,
    changed: Condvar,
}

#[derive(Default)]
struct ClockState {
    due: [Option<Instant>; TASKS.len()],
    started: bool,
    stopped: bool,
}

impl Timer {
    /// Lets the timer thread do a task at `due`, or earlier if it is to be done earlier anyway;
    /// false if there is no such thread.
    pub(crate) fn at(&self, task: Task, due: Instant, shared: &Arc<Shared>) -> bool {
        let mut state = self.clock.state.lock();
        let slot = &mut state.due[task as usize];
        if slot.is_some_and(|earlier| earlier <= due) {
            return true;
        }
        *slot = Some(due);
        let start = !std::mem::replace(&mut state.started, true);
        drop(state);
        if !start {
            self.clock.changed.notify_one();
            return true;
        }
        let (clock, weak) = (self.clock.clone(), Arc::downgrade(shared));
        let spawned = thread::Builder::new()
            // The system takes no thread name with a zero byte, a client name may have one.
            .name(format!("amps-timer-{}", shared.name()).replace('\0', "?"))
            .spawn(move || run(&clock, &weak));
        if let Err(error) = &spawned {
            *self.clock.state.lock() = ClockState::default();
            warn!("no timer thread could be started: {error}");
        }
        spawned.is_ok()
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.clock.state.lock().stopped = true;
        self.clock.changed.notify_one();
    }
}

fn run(clock: &Clock, shared: &Weak<Shared>) {
    while let Some(task) = clock.wait() {
        let Some(shared) = shared.upgrade() else {
            return;
        };
        match task {
            Task::PublishBatch => shared.send_overdue_batch(),
            Task::AckBatches => shared.send_overdue_acks(),
        }
    }
}

impl Clock {
    /// Waits for the next task; `None` when the client is gone.
    fn wait(&self) -> Option<Task> {
        let mut state = self.state.lock();
        loop {
            if state.stopped {
                return None;
            }
            let next = TASKS
                .into_iter()
                .filter_map(|task| Some((state.due[task as usize]?, task)))
                .min_by_key(|(due, _)| *due);
            match next {
                None => self.changed.wait(&mut state),
                Some((due, task)) if due <= Instant::now() => {
                    state.due[task as usize] = None;
                    return Some(task);
                }
                Some((due, _)) => {
                    self.changed.wait_until(&mut state, due);
                }
            }
        }
    }
}
