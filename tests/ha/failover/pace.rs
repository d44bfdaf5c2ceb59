//! Keeps publishers and disturbances in step, however fast the machine is.

use crate::PATIENCE;
use parking_lot::{Condvar, Mutex};
use std::time::Instant;

#[derive(Default)]
struct Progress {
    done: u64,
    allowed: u64,
}

/// How much was published, and how much may be.
#[derive(Default)]
pub(super) struct Pace {
    progress: Mutex<Progress>,
    changed: Condvar,
}

impl Pace {
    /// Takes the right to publish one message.
    pub(super) fn step(&self) {
        self.once(|progress| progress.done < progress.allowed).done += 1;
        self.changed.notify_all();
    }

    pub(super) fn allow_up_to(&self, allowed: u64) {
        self.progress.lock().allowed = allowed;
        self.changed.notify_all();
    }

    pub(super) fn wait_for(&self, done: u64) {
        drop(self.once(|progress| progress.done >= done));
    }

    fn once(&self, ready: impl Fn(&Progress) -> bool) -> parking_lot::MutexGuard<'_, Progress> {
        let deadline = Instant::now() + 3 * PATIENCE;
        let mut progress = self.progress.lock();
        while !ready(&progress) {
            let waited = self.changed.wait_until(&mut progress, deadline);
            assert!(!waited.timed_out(), "no progress after {}", progress.done);
        }
        progress
    }
}
