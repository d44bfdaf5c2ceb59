//! What all publish stores do alike: one lock around the records, growth, and waiting for a flush.

use super::log::Log;
use super::region::Region;
use super::resize::Resize;
use amps_core::{
    ErrorContext, OutgoingCommand, PublishResizeHandler, PublishStore, Result, StoredCommand,
};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::fmt;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What [`Shared`] must be asked to grow by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Growth {
    /// Which of the logs of a backlog.
    pub(super) log: usize,
    /// How many segments it is to have.
    pub(super) segments: u32,
    /// How many bytes all logs have then.
    pub(super) bytes: usize,
}

/// The records of a store.
pub(super) trait Backlog: Send {
    /// True if there is room for a payload as it is.
    fn has_room(&self, payload: usize) -> bool;
    /// Does what can be done without growing to make room for a payload; tells what growth it
    /// takes, if it takes any.
    fn make_room(&mut self, payload: usize) -> Result<Option<Growth>>;
    fn grow(&mut self, growth: Growth) -> Result<()>;
    fn append(&mut self, command: &OutgoingCommand<'_>, payload: usize) -> Result<u64>;
    fn discard_up_to(&mut self, number: u64) -> Result<()>;
    fn discard_one(&mut self, number: u64) -> Result<bool>;
    fn replay(
        &self,
        after: u64,
        visitor: &mut dyn FnMut(StoredCommand<'_>) -> ControlFlow<()>,
    ) -> Result<()>;
    fn count(&self) -> usize;
    fn lowest(&self) -> u64;
    fn highest(&self) -> u64;
    fn last_persisted(&self) -> u64;
    /// Called when somebody begins to wait for a flush.
    fn flush(&mut self) -> Result<()>;
    fn set_offline(&mut self) -> Result<()>;
    fn set_online(&mut self) -> Result<()>;
    fn lowest_offline(&self) -> Result<u64>;
    /// Moves all records from `from` on up by `add`.
    fn renumber(&mut self, from: u64, add: u64) -> Result<()>;
    /// Numbers up to this one are not given any more.
    fn raise_to(&mut self, number: u64);
    fn name(&self) -> String;
}

/// A log in memory is a backlog as it is.
impl<R: Region> Backlog for Log<R> {
    #[inline]
    fn has_room(&self, payload: usize) -> bool {
        Log::has_room(self, payload)
    }

    fn make_room(&mut self, payload: usize) -> Result<Option<Growth>> {
        let growth = self.wants(payload).map(|segments| Growth {
            log: 0,
            segments,
            bytes: self.size_of(segments),
        });
        Ok(growth)
    }

    fn grow(&mut self, growth: Growth) -> Result<()> {
        Log::grow(self, growth.segments)
    }

    #[inline]
    fn append(&mut self, command: &OutgoingCommand<'_>, payload: usize) -> Result<u64> {
        let number = self.next_number()?;
        Log::append(self, number, command, payload)?;
        Ok(number)
    }

    fn discard_up_to(&mut self, number: u64) -> Result<()> {
        Log::discard_up_to(self, number)
    }

    fn discard_one(&mut self, number: u64) -> Result<bool> {
        Log::discard_one(self, number)
    }

    fn replay(
        &self,
        after: u64,
        visitor: &mut dyn FnMut(StoredCommand<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        Log::replay(self, after, visitor).map(drop)
    }

    fn count(&self) -> usize {
        Log::count(self)
    }

    fn lowest(&self) -> u64 {
        Log::lowest(self)
    }

    fn highest(&self) -> u64 {
        Log::highest(self)
    }

    fn last_persisted(&self) -> u64 {
        self.header.last_persisted
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    fn set_offline(&mut self) -> Result<()> {
        let next = Log::last(self).saturating_add(1);
        Log::set_offline(self, next);
        Ok(())
    }

    fn set_online(&mut self) -> Result<()> {
        Log::set_online(self);
        Ok(())
    }

    fn lowest_offline(&self) -> Result<u64> {
        Log::lowest_offline(self)
    }

    fn renumber(&mut self, from: u64, add: u64) -> Result<()> {
        let header = self.moved(from, add)?;
        self.put(header)
    }

    fn raise_to(&mut self, number: u64) {
        Log::raise_to(self, number);
    }

    fn name(&self) -> String {
        self.region.name()
    }
}

/// A store: records behind a lock.
pub(super) struct Shared<B> {
    state: Mutex<State<B>>,
    discarded: Condvar,
    resize: Resize,
    error_on_gap: AtomicBool,
}

struct State<B> {
    backlog: B,
    /// Who waits for a flush, up to which number.
    waiters: Vec<Waiter>,
    next_waiter: u64,
}

struct Waiter {
    id: u64,
    target: u64,
}

impl<B: Backlog> Shared<B> {
    pub(super) fn new(backlog: B) -> Shared<B> {
        Shared {
            state: Mutex::new(State {
                backlog,
                waiters: Vec::new(),
                next_waiter: 0,
            }),
            discarded: Condvar::new(),
            resize: Resize::default(),
            error_on_gap: AtomicBool::new(false),
        }
    }

    pub(super) fn describe(&self, f: &mut fmt::Formatter<'_>, kind: &str) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct(kind)
            .field("name", &state.backlog.name())
            .field("unpersisted", &state.backlog.count())
            .field("last_persisted", &state.backlog.last_persisted())
            .field("waiting", &state.waiters.len())
            .finish_non_exhaustive()
    }

    pub(super) fn with<T>(&self, work: impl FnOnce(&mut B) -> T) -> T {
        work(&mut self.state.lock().backlog)
    }

    /// `this` is the store that the resize handler is shown.
    #[inline]
    pub(super) fn store(
        &self,
        this: &dyn PublishStore,
        command: &OutgoingCommand<'_>,
    ) -> Result<u64> {
        let payload = command.encoded_len();
        let mut state = self.state.lock();
        if !state.backlog.has_room(payload) {
            state = self.make_room(this, state, payload)?;
        }
        state.backlog.append(command, payload)
    }

    #[cold]
    fn make_room<'a>(
        &'a self,
        this: &dyn PublishStore,
        mut state: MutexGuard<'a, State<B>>,
        payload: usize,
    ) -> Result<MutexGuard<'a, State<B>>> {
        let mut allowed = 0;
        while let Some(growth) = state.backlog.make_room(payload)? {
            if growth.bytes <= allowed {
                state.backlog.grow(growth)?;
                continue;
            }
            drop(state);
            if !self.resize.allows(this, growth.bytes) {
                return Err(self.refused(growth.bytes));
            }
            allowed = growth.bytes;
            state = self.state.lock();
        }
        Ok(state)
    }

    #[cold]
    fn refused(&self, bytes: usize) -> amps_core::Error {
        ErrorContext::new("store a message", self.with(|backlog| backlog.name()))
            .with_reason(format!(
                "the resize handler does not let the store grow to {bytes} bytes"
            ))
            .Store()
    }

    pub(super) fn discard_up_to(&self, number: u64) -> Result<()> {
        let mut state = self.state.lock();
        let done = state.backlog.discard_up_to(number);
        self.wake(&state);
        done
    }

    pub(super) fn discard_one(&self, number: u64) -> Result<bool> {
        let mut state = self.state.lock();
        let done = state.backlog.discard_one(number);
        self.wake(&state);
        done
    }

    fn wake(&self, state: &State<B>) {
        if !state.waiters.is_empty() {
            self.discarded.notify_all();
        }
    }

    pub(super) fn replay_single(
        &self,
        number: u64,
        visitor: &mut dyn FnMut(StoredCommand<'_>),
    ) -> Result<bool> {
        let mut shown = false;
        let Some(before) = number.checked_sub(1) else {
            return Ok(false);
        };
        self.state.lock().backlog.replay(before, &mut |stored| {
            if stored.sequence == number {
                visitor(stored);
                shown = true;
            }
            ControlFlow::Break(())
        })?;
        Ok(shown)
    }

    /// Rule K9: what is stored after the call does not extend the wait, and every waiter is
    /// released as soon as what it waits for is gone (trap 71).
    pub(super) fn flush(&self, timeout: Duration) -> Result<()> {
        let deadline = match timeout {
            Duration::ZERO => None,
            timeout => Instant::now().checked_add(timeout),
        };
        let mut state = self.state.lock();
        state.backlog.flush()?;
        let target = state.backlog.highest();
        let id = state.next_waiter;
        state.next_waiter += 1;
        state.waiters.push(Waiter { id, target });
        loop {
            let index = state.waiters.iter().position(|waiter| waiter.id == id);
            // Looked up each time: renumbering moves what is waited for.
            let target = index.map_or(0, |index| state.waiters[index].target);
            let lowest = state.backlog.lowest();
            let done = lowest == 0 || lowest > target;
            let late = deadline.is_some_and(|deadline| deadline <= Instant::now());
            if done || late {
                if let Some(index) = index {
                    state.waiters.swap_remove(index);
                }
                return if done { Ok(()) } else { Err(self.late(&state)) };
            }
            match deadline {
                None => self.discarded.wait(&mut state),
                Some(deadline) => drop(self.discarded.wait_until(&mut state, deadline)),
            }
        }
    }

    fn late(&self, state: &State<B>) -> amps_core::Error {
        let count = state.backlog.count();
        ErrorContext::new("flush the publish store", state.backlog.name())
            .with_reason(format!("{count} messages are not persisted yet"))
            .TimedOut()
    }

    pub(super) fn set_error_on_publish_gap(&self, fail: bool) {
        self.error_on_gap.store(fail, Ordering::Relaxed);
    }

    pub(super) fn error_on_publish_gap(&self) -> bool {
        self.error_on_gap.load(Ordering::Relaxed)
    }

    pub(super) fn set_resize_handler(&self, handler: PublishResizeHandler) {
        self.resize.set(handler);
    }

    pub(super) fn renumber_offline(&self, above: u64) -> Result<()> {
        let mut state = self.state.lock();
        let state = &mut *state;
        let lowest = state.backlog.lowest_offline()?;
        if lowest == 0 || lowest > above {
            state.backlog.raise_to(above);
            return Ok(());
        }
        let highest = state.backlog.highest();
        let from = above.saturating_add(1);
        let add = from - lowest;
        if add == 0 || highest.checked_add(add).is_none() {
            let range = format!("{lowest} to {highest}");
            return Err(ErrorContext::new("renumber the offline messages", range)
                .with_reason("there are no sequence numbers left")
                .Store());
        }
        state.backlog.renumber(lowest, add)?;
        log::warn!(
            "publish store {}: the server knows the number {above}, which this store has given to a \
             message that was never sent; the messages {lowest} to {highest} are {from} to {} now",
            state.backlog.name(),
            highest + add,
        );
        for waiter in &mut state.waiters {
            if waiter.target >= lowest {
                waiter.target += add;
            }
        }
        Ok(())
    }
}

/// Has a store with a field `shared` be a [`PublishStore`].
macro_rules! publish_store {
    ($store:ty) => {
        impl amps_core::PublishStore for $store {
            #[inline]
            fn store(&self, command: &amps_core::OutgoingCommand<'_>) -> amps_core::Result<u64> {
                self.shared.store(self, command)
            }

            fn discard_up_to(&self, sequence: u64) -> amps_core::Result<()> {
                self.shared.discard_up_to(sequence)
            }

            fn discard_one(&self, sequence: u64) -> amps_core::Result<bool> {
                self.shared.discard_one(sequence)
            }

            fn replay(
                &self,
                after: u64,
                visitor: &mut dyn FnMut(amps_core::StoredCommand<'_>) -> std::ops::ControlFlow<()>,
            ) -> amps_core::Result<()> {
                self.shared.with(|backlog| {
                    crate::publish::shared::Backlog::replay(backlog, after, visitor)
                })
            }

            fn replay_single(
                &self,
                sequence: u64,
                visitor: &mut dyn FnMut(amps_core::StoredCommand<'_>),
            ) -> amps_core::Result<bool> {
                self.shared.replay_single(sequence, visitor)
            }

            fn unpersisted_count(&self) -> usize {
                self.shared
                    .with(|backlog| crate::publish::shared::Backlog::count(backlog))
            }

            fn lowest_unpersisted(&self) -> u64 {
                self.shared
                    .with(|backlog| crate::publish::shared::Backlog::lowest(backlog))
            }

            fn highest_unpersisted(&self) -> u64 {
                self.shared
                    .with(|backlog| crate::publish::shared::Backlog::highest(backlog))
            }

            fn last_persisted(&self) -> u64 {
                self.shared
                    .with(|backlog| crate::publish::shared::Backlog::last_persisted(backlog))
            }

            fn flush(&self, timeout: std::time::Duration) -> amps_core::Result<()> {
                self.shared.flush(timeout)
            }

            fn set_error_on_publish_gap(&self, fail: bool) {
                self.shared.set_error_on_publish_gap(fail);
            }

            fn error_on_publish_gap(&self) -> bool {
                self.shared.error_on_publish_gap()
            }

            fn set_resize_handler(&self, handler: amps_core::PublishResizeHandler) {
                self.shared.set_resize_handler(handler);
            }

            fn set_offline(&self) -> amps_core::Result<()> {
                self.shared
                    .with(|backlog| crate::publish::shared::Backlog::set_offline(backlog))
            }

            fn set_online(&self) -> amps_core::Result<()> {
                self.shared
                    .with(|backlog| crate::publish::shared::Backlog::set_online(backlog))
            }

            fn lowest_offline(&self) -> u64 {
                // A record that cannot be read is told of when it is replayed.
                self.shared
                    .with(|backlog| crate::publish::shared::Backlog::lowest_offline(backlog))
                    .unwrap_or_default()
            }

            fn renumber_offline(&self, above: u64) -> amps_core::Result<()> {
                self.shared.renumber_offline(above)
            }
        }
    };
}
pub(super) use publish_store;
