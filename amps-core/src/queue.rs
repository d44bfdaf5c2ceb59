//! The queue between the receive thread and the owner of a stream.

use crate::message::{Batch, Message, Messages};
use crate::stream::EndReason;
use crate::waits::Waits;
use parking_lot::{Condvar, Mutex, MutexGuard};
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::thread::{self, ThreadId};
use std::time::Instant;

/// Messages on their way from the receive thread to the reader of a stream.
///
/// With a limit, the receive thread waits for room in it, unless that could be a deadlock (see
/// [`Waits`]): then the queue grows past its limit.
pub(crate) struct StreamQueue {
    state: Mutex<QueueState>,
    /// Something for the reader: a message, or the end.
    readable: Condvar,
    /// Something for the receive thread: room, the end, or a wait that must not be held up.
    writable: Condvar,
}

struct QueueState {
    messages: Messages,
    ended: Option<EndReason>,
    /// 0 is no limit.
    max_depth: usize,
    /// Present while unread messages are replaced by newer ones of the same record.
    conflation: Option<Conflation>,
    /// Who took the last message.
    reader: Option<ThreadId>,
    /// Spares the receive thread a wake-up when nobody waits.
    reader_waits: bool,
}

/// Where the unread message of each record stands, counted from the first message ever queued.
#[derive(Default)]
struct Conflation {
    places: FxHashMap<Box<[u8]>, usize>,
    /// How many messages were taken before the one that is first in the queue now.
    taken: usize,
}

/// How a wait for a message ended.
pub(crate) enum Waited {
    /// There is one.
    Ready,
    /// There will be none.
    Ended(EndReason),
    /// The time is over.
    TimedOut,
}

impl StreamQueue {
    pub(crate) fn new(max_depth: usize) -> StreamQueue {
        StreamQueue {
            state: Mutex::new(QueueState {
                messages: Messages::default(),
                ended: None,
                max_depth,
                conflation: None,
                reader: None,
                reader_waits: false,
            }),
            readable: Condvar::new(),
            writable: Condvar::new(),
        }
    }

    /// Adds messages, on the receive thread; those that come after the end are dropped.
    pub(crate) fn push(self: &Arc<Self>, batch: &mut Batch, waits: &Waits) {
        let mut state = self.state.lock();
        if state.takes_all() && state.ended.is_none() {
            state.messages.append(batch);
        } else {
            for message in batch.drain() {
                self.push_one(&mut state, message, waits);
            }
        }
        let wake = state.reader_waits;
        drop(state);
        if wake {
            self.readable.notify_all();
        }
    }

    fn push_one(
        self: &Arc<Self>,
        state: &mut MutexGuard<'_, QueueState>,
        mut message: Message,
        waits: &Waits,
    ) {
        loop {
            if state.replace(&mut message) {
                return;
            }
            let conflated = state.conflation.is_some();
            self.wait_for_room(state, waits);
            if state.conflation.is_some() == conflated {
                break;
            }
        }
        if state.ended.is_none() {
            state.add(message);
        }
    }

    /// Waits until there is room, or until conflation begins, which may need none.
    fn wait_for_room(self: &Arc<Self>, state: &mut MutexGuard<'_, QueueState>, waits: &Waits) {
        if !state.is_full() {
            return;
        }
        let conflated = state.conflation.is_some();
        if state.reader_waits {
            // It was not told yet of what came before in the same batch.
            self.readable.notify_all();
        }
        waits.producer_blocks_on(self);
        while state.is_full()
            && state.conflation.is_some() == conflated
            && !waits.must_not_block(self, state.reader)
        {
            self.writable.wait(state);
        }
        waits.producer_goes_on();
    }

    /// Lets a blocked receive thread look again at whether it must not block.
    pub(crate) fn reconsider(&self) {
        // Under the lock, so that it is either before its look or in its wait.
        let _state = self.state.lock();
        self.writable.notify_all();
    }

    /// Ends the queue; what is in it is still delivered. The first reason stands.
    pub(crate) fn end(&self, reason: EndReason) {
        self.state.lock().ended.get_or_insert(reason);
        self.readable.notify_all();
        self.writable.notify_all();
    }

    /// Drops what is queued.
    pub(crate) fn clear(&self) {
        let mut state = self.state.lock();
        let messages = std::mem::take(&mut state.messages);
        if let Some(conflation) = &mut state.conflation {
            *conflation = Conflation::default();
        }
        drop(state);
        self.writable.notify_all();
        drop(messages);
    }

    /// Takes messages into `taken`, which is empty: all of them, or if there is a limit or
    /// conflation just one, because what was taken no longer counts and is no longer replaced.
    pub(crate) fn take(&self, taken: &mut Messages) -> Option<EndReason> {
        let mut state = self.state.lock();
        if state.takes_all() {
            std::mem::swap(&mut state.messages, taken);
            return state.ended;
        }
        state.reader = Some(thread::current().id());
        if let Some(message) = state.messages.pop() {
            state.forget_place(&message);
            taken.push(message);
        }
        let ended = state.ended;
        drop(state);
        self.writable.notify_all();
        ended
    }

    /// Waits until there is a message or the end.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> Waited {
        let mut state = self.state.lock();
        loop {
            if !state.messages.is_empty() {
                return Waited::Ready;
            }
            if let Some(reason) = state.ended {
                return Waited::Ended(reason);
            }
            state.reader_waits = true;
            let timed_out = match deadline {
                None => {
                    self.readable.wait(&mut state);
                    false
                }
                Some(deadline) => self.readable.wait_until(&mut state, deadline).timed_out(),
            };
            state.reader_waits = false;
            if timed_out && state.messages.is_empty() && state.ended.is_none() {
                return Waited::TimedOut;
            }
        }
    }

    pub(crate) fn depth(&self) -> usize {
        self.state.lock().messages.len()
    }

    pub(crate) fn max_depth(&self) -> usize {
        self.state.lock().max_depth
    }

    pub(crate) fn set_max_depth(&self, max_depth: usize) {
        self.state.lock().max_depth = max_depth;
        self.writable.notify_all();
    }

    /// Replaces unread messages from now on, those that are queued already included: first those
    /// that the reader took in advance.
    pub(crate) fn conflate(&self, taken: &mut Messages) {
        let mut state = self.state.lock();
        if state.conflation.is_some() {
            return;
        }
        state.conflation = Some(Conflation::default());
        let mut queued = std::mem::take(&mut state.messages);
        while let Some(mut message) = taken.pop().or_else(|| queued.pop()) {
            if !state.replace(&mut message) {
                state.add(message);
            }
        }
        drop(state);
        self.writable.notify_all();
    }
}

impl QueueState {
    /// True if nothing limits or replaces what is queued.
    fn takes_all(&self) -> bool {
        self.max_depth == 0 && self.conflation.is_none()
    }

    fn is_full(&self) -> bool {
        self.max_depth > 0 && self.messages.len() >= self.max_depth && self.ended.is_none()
    }

    /// Puts a message in the place of the unread one of the same record; false if it is to be added.
    fn replace(&mut self, message: &mut Message) -> bool {
        let Some(conflation) = &self.conflation else {
            return false;
        };
        // What is kept for each record must not keep the buffer of everything around it.
        *message = message.detach();
        let Some(place) = key_of(message).and_then(|key| conflation.places.get(key)) else {
            return false;
        };
        self.messages.replace(place - conflation.taken, message)
    }

    /// Queues a message, and remembers where it stands.
    fn add(&mut self, message: Message) {
        if let Some(conflation) = &mut self.conflation
            && let Some(key) = key_of(&message)
        {
            let place = conflation.taken + self.messages.len();
            conflation.places.insert(key.into(), place);
        }
        self.messages.push(message);
    }

    /// Forgets the place of a message that was taken from the front.
    fn forget_place(&mut self, message: &Message) {
        if let Some(conflation) = &mut self.conflation {
            conflation.taken += 1;
            if let Some(key) = key_of(message) {
                conflation.places.remove(key);
            }
        }
    }
}

/// By what a message is replaced; messages of a queue are not, because each is to be acknowledged.
fn key_of(message: &Message) -> Option<&[u8]> {
    let key = message.sow_key().as_bytes();
    (!key.is_empty() && !message.has_lease()).then_some(key)
}

#[cfg(test)]
mod tests;
