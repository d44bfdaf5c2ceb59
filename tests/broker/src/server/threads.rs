//! The threads of the connections, so that a broker that ends can wait for each of them.

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use std::io;
use std::thread::{self, JoinHandle};

/// Parsing the deepest filter that is allowed takes up to 2 MiB in a build without optimisation.
/// Writers have as much, as they evaluate filters for replays.
pub(super) const STACK: usize = 4 << 20;

/// Every thread that was started and is not yet joined.
#[derive(Default)]
pub(crate) struct Threads {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    running: FxHashMap<u64, JoinHandle<()>>,
    finished: Vec<JoinHandle<()>>,
    closed: bool,
}

impl Threads {
    /// Starts a thread, unless [`Threads::join`] has begun.
    pub(super) fn start(&self, id: u64, body: impl FnOnce() + Send + 'static) -> io::Result<bool> {
        // The lock is held until the handle is in its place: the thread may end at once.
        let mut inner = self.inner.lock();
        if inner.closed {
            return Ok(false);
        }
        let finished = std::mem::take(&mut inner.finished);
        let thread = thread::Builder::new()
            .name(format!("broker-read-{id}"))
            .stack_size(STACK)
            .spawn(body)?;
        inner.running.insert(id, thread);
        drop(inner);
        // These are past their last lock: joining them takes no time.
        for thread in finished {
            let _ = thread.join();
        }
        Ok(true)
    }

    /// Called by a thread as the last thing it does.
    pub(super) fn finished(&self, id: u64) {
        let mut inner = self.inner.lock();
        if let Some(thread) = inner.running.remove(&id) {
            inner.finished.push(thread);
        }
    }

    /// Waits for every thread and starts no other.
    pub(super) fn join(&self) {
        let mut inner = self.inner.lock();
        inner.closed = true;
        let mut threads = std::mem::take(&mut inner.finished);
        threads.extend(inner.running.drain().map(|(_, thread)| thread));
        drop(inner);
        for thread in threads {
            // A hook that drops the broker runs on one of these threads.
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}
