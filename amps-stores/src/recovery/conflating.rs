//! An adapter that writes seldom.

use super::{FixedRecoveryPoint, RecoveryPoint, RecoveryPointAdapter};
use amps_core::{Error, ErrorContext, Result};
use parking_lot::{Condvar, Mutex};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::thread::{self, JoinHandle, ThreadId};
use std::time::{Duration, Instant};

type ExceptionListener = Box<dyn Fn(&Error) + Send + Sync>;

/// Keeps the newest point of each subscription and gives it to another adapter now and then.
///
/// A thread of its own looks at what is pending once per interval, and writes the points that were
/// updated often enough or are old enough. So [`update`](RecoveryPointAdapter::update) costs a copy,
/// and never waits for the other adapter. Rule P5.
///
/// A point that cannot be written stays pending, unless a newer one comes, and the exception
/// listener is told.
pub struct ConflatingRecoveryPointAdapter {
    shared: Arc<Shared>,
    /// Started with the first update.
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// How a [`ConflatingRecoveryPointAdapter`] is to be made.
#[must_use]
pub struct ConflatingRecoveryPointAdapterBuilder {
    delegate: Box<dyn RecoveryPointAdapter>,
    pace: Pace,
    listener: Option<ExceptionListener>,
}

#[derive(Debug, Clone, Copy)]
struct Pace {
    threshold: u64,
    timeout: Duration,
    interval: Duration,
}

struct Shared {
    delegate: Box<dyn RecoveryPointAdapter>,
    pace: Pace,
    listener: Option<ExceptionListener>,
    state: Mutex<State>,
    /// Something is pending, a write is over, or it is time to end.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    pending: BTreeMap<String, Pending>,
    /// The thread, while it is in the other adapter.
    writing: Option<ThreadId>,
    closing: bool,
}

struct Pending {
    bookmark: String,
    updates: u64,
    since: Instant,
}

impl ConflatingRecoveryPointAdapter {
    /// Begins to make one that gives its points to this adapter.
    pub fn builder(
        delegate: impl RecoveryPointAdapter + 'static,
    ) -> ConflatingRecoveryPointAdapterBuilder {
        ConflatingRecoveryPointAdapterBuilder {
            delegate: Box::new(delegate),
            pace: Pace {
                threshold: 10,
                timeout: Duration::from_secs(2),
                interval: Duration::from_secs(2),
            },
            listener: None,
        }
    }
}

impl ConflatingRecoveryPointAdapterBuilder {
    /// After how many updates a point is written at the next look; 10 by default.
    pub fn set_update_threshold(mut self, updates: u64) -> Self {
        self.pace.threshold = updates;
        self
    }

    /// How old the oldest update may be that is not written at the next look; 2 s by default.
    pub fn set_timeout(mut self, timeout: Duration) -> Self {
        self.pace.timeout = timeout;
        self
    }

    /// How long it is from one look to the next; 2 s by default, at least 1 ms.
    pub fn set_update_interval(mut self, interval: Duration) -> Self {
        self.pace.interval = interval.max(Duration::from_millis(1));
        self
    }

    /// Who is told of points that could not be written, on the thread of the adapter. None by
    /// default: they are logged.
    pub fn set_exception_listener(
        mut self,
        listener: impl Fn(&Error) + Send + Sync + 'static,
    ) -> Self {
        self.listener = Some(Box::new(listener));
        self
    }

    /// Makes the adapter.
    pub fn build(self) -> ConflatingRecoveryPointAdapter {
        ConflatingRecoveryPointAdapter {
            shared: Arc::new(Shared {
                delegate: self.delegate,
                pace: self.pace,
                listener: self.listener,
                state: Mutex::default(),
                changed: Condvar::new(),
            }),
            thread: Mutex::new(None),
        }
    }
}

impl RecoveryPointAdapter for ConflatingRecoveryPointAdapter {
    fn recover(&mut self) -> Result<Vec<FixedRecoveryPoint>> {
        match Arc::get_mut(&mut self.shared) {
            Some(shared) => shared.delegate.recover(),
            None => Err(refused("recover", "it has been updated before")),
        }
    }

    fn update(&self, point: &dyn RecoveryPoint) -> Result<()> {
        let bookmark = point.bookmark().into_owned();
        let mut state = self.shared.state.lock();
        if state.closing {
            return Err(refused("update", "the adapter is closed"));
        }
        match state.pending.get_mut(point.sub_id()) {
            Some(pending) => {
                pending.bookmark = bookmark;
                pending.updates += 1;
                return Ok(());
            }
            None => {
                let pending = Pending {
                    bookmark,
                    updates: 1,
                    since: Instant::now(),
                };
                state.pending.insert(point.sub_id().to_string(), pending);
            }
        }
        drop(state);
        self.shared.changed.notify_all();
        self.start()
    }

    fn purge(&self) -> Result<()> {
        self.shared.drop_pending(|pending| pending.clear());
        self.shared.delegate.purge()
    }

    fn purge_sub(&self, sub_id: &str) -> Result<()> {
        self.shared
            .drop_pending(|pending| drop(pending.remove(sub_id)));
        self.shared.delegate.purge_sub(sub_id)
    }

    /// Writes all that is pending, ends the thread, and closes the other adapter. Called again, it
    /// does nothing.
    fn close(&self) -> Result<()> {
        let first = !std::mem::replace(&mut self.shared.state.lock().closing, true);
        self.shared.changed.notify_all();
        let thread = self.thread.lock().take();
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != thread::current().id())
        {
            // A panic of the other adapter has been printed; what it did not write is lost.
            let _ = thread.join();
        }
        if !first {
            return Ok(());
        }
        let lost = self.shared.state.lock().pending.len();
        let closed = self.shared.delegate.close();
        if lost > 0 {
            let why = format!("{lost} points could not be written");
            return Err(refused("close", &why));
        }
        closed
    }
}

impl ConflatingRecoveryPointAdapter {
    fn start(&self) -> Result<()> {
        let mut thread = self.thread.lock();
        if thread.is_none() {
            let shared = Arc::clone(&self.shared);
            let started = thread::Builder::new()
                .name("amps-recovery-points".to_string())
                .spawn(move || shared.run())
                .map_err(|source| {
                    ErrorContext::new("start the thread of", "a conflating recovery point adapter")
                        .with_source(source)
                        .Store()
                })?;
            *thread = Some(started);
        }
        Ok(())
    }
}

impl Shared {
    /// Forgets pending points, once none is being written: one that fails is pending again. On the
    /// thread that writes, which is in the listener then, it does not wait.
    fn drop_pending(&self, forget: impl FnOnce(&mut BTreeMap<String, Pending>)) {
        let me = thread::current().id();
        let mut state = self.state.lock();
        while state.writing.is_some_and(|writer| writer != me) {
            self.changed.wait(&mut state);
        }
        forget(&mut state.pending);
    }

    fn run(&self) {
        let mut state = self.state.lock();
        loop {
            while state.pending.is_empty() && !state.closing {
                self.changed.wait(&mut state);
            }
            let next_look = Instant::now() + self.pace.interval;
            while !state.closing && !self.changed.wait_until(&mut state, next_look).timed_out() {}
            let closing = state.closing;
            let due = self.take_due(&mut state, closing);
            state.writing = Some(thread::current().id());
            drop(state);
            let failed = self.write(due);
            state = self.state.lock();
            state.writing = None;
            for (sub_id, pending) in failed {
                state.pending.entry(sub_id).or_insert(pending);
            }
            self.changed.notify_all();
            if closing {
                return;
            }
        }
    }

    fn take_due(&self, state: &mut State, all: bool) -> Vec<(String, Pending)> {
        let pace = self.pace;
        let is_due = |pending: &Pending| {
            all || pending.updates >= pace.threshold || pending.since.elapsed() >= pace.timeout
        };
        let pending = std::mem::take(&mut state.pending);
        let (due, later) = pending
            .into_iter()
            .partition::<Vec<_>, _>(|(_, p)| is_due(p));
        state.pending.extend(later);
        due
    }

    /// Returns what could not be written.
    fn write(&self, due: Vec<(String, Pending)>) -> Vec<(String, Pending)> {
        let mut failed = Vec::new();
        for (sub_id, pending) in due {
            let point = FixedRecoveryPoint::new(&sub_id, &pending.bookmark);
            if let Err(error) = self.delegate.update(&point) {
                match &self.listener {
                    Some(listener) => listener(&error),
                    None => log::warn!("the recovery point of {sub_id} was not written: {error}"),
                }
                failed.push((sub_id, pending));
            }
        }
        failed
    }
}

impl Drop for ConflatingRecoveryPointAdapter {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            log::warn!("{error}");
        }
    }
}

impl fmt::Debug for ConflatingRecoveryPointAdapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConflatingRecoveryPointAdapter")
            .field("pace", &self.shared.pace)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ConflatingRecoveryPointAdapterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConflatingRecoveryPointAdapterBuilder")
            .field("pace", &self.pace)
            .finish_non_exhaustive()
    }
}

fn refused(what: &str, why: &str) -> Error {
    ErrorContext::new(format!("{what} recovery points"), "")
        .with_reason(why)
        .Store()
}
