//! Publish batching: publishes are collected and leave in one write.
//!
//! A batch lives under the send lock. It leaves when it is full, when its oldest publish has waited
//! for the timeout, and ahead of everything else that the application sends.

use super::Client;
use super::connection::Connection;
use super::send::KEPT_BUFFER;
use super::shared::Shared;
use super::timer::Task;
use super::wire::{Wire, empty};
#[cfg(doc)]
use crate::error::Error;
use crate::error::ErrorContext;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The publishes that have not left yet, and when they have to.
#[derive(Default)]
pub(crate) struct Batch {
    /// It leaves when it has this many bytes; 0: every publish leaves at once.
    limit: usize,
    /// It leaves when the first publish in it has waited for so long; zero: for ever.
    timeout: Duration,
    /// The frames, whole.
    pub(crate) frames: Vec<u8>,
    /// How many there are.
    pub(crate) publishes: usize,
    /// How many of them the publish store has: those cannot be lost.
    pub(crate) stored: usize,
    /// Until when the first of them may wait.
    due: Option<Instant>,
    /// The timer will look at it.
    timed: bool,
}

impl Batch {
    /// True if a publish of this size joins the batch; else it leaves by itself, after the batch.
    #[inline]
    pub(crate) fn takes(&self, payload: usize) -> bool {
        payload < self.limit
    }

    #[cfg(test)]
    pub(crate) fn collect_up_to(&mut self, limit: usize) {
        self.limit = limit;
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.publishes == 0
    }

    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.frames.len() >= self.limit
    }

    /// Forgets the frames; returns how many there were that no store has.
    pub(crate) fn clear(&mut self) -> usize {
        empty(&mut self.frames, self.limit.saturating_add(KEPT_BUFFER));
        std::mem::take(&mut self.publishes) - std::mem::take(&mut self.stored)
    }

    /// Moves the frames to the end of `out`; returns how many there were that no store has.
    pub(crate) fn move_to(&mut self, out: &mut Vec<u8>) -> usize {
        out.extend_from_slice(&self.frames);
        self.clear()
    }
}

/// Collecting publishes.
impl Client {
    /// Collects publishes and sends them together: when they have `bytes`, when the oldest has
    /// waited for `timeout`, and before anything else that the application sends.
    ///
    /// Zero bytes and a zero timeout, the default, turn it off; zero bytes alone leave it to the
    /// timeout (with a limit of 1 MiB), a zero timeout alone to the size. What has been collected
    /// so far leaves first, which may wait for space in the socket.
    ///
    /// A publish that joins a batch returns before it is handed to the operating system. Every
    /// command, [`publish_flush`](Client::publish_flush), the acknowledgement of a queue message
    /// and [`disconnect`](Client::disconnect) send the batch first, so the order is that of the
    /// calls. A thread of the client does what the timeout asks for: no handler can hold it up.
    ///
    /// If the connection is lost, so is what was collected, unless a publish store has it: then it
    /// is replayed. Without one the exception listener is told with an [`Error::Disconnected`] that
    /// says how many publishes there were. Rule Q7.
    pub fn set_publish_batching(&self, bytes: usize, timeout: Duration) {
        self.shared().set_batching(bytes, timeout);
    }
}

impl Shared {
    fn set_batching(self: &Arc<Self>, bytes: usize, timeout: Duration) {
        let context = || ErrorContext::new("set the publish batching of", self.name());
        if let Err(error) = self.check_not_in_store(context) {
            self.callbacks.report(&error);
            return;
        }
        let mut wire = self.wire.lock();
        self.write_waiting(&mut wire);
        wire.batch.limit = match (bytes, timeout.is_zero()) {
            (0, false) => KEPT_BUFFER,
            (bytes, _) => bytes,
        };
        wire.batch.timeout = timeout;
        self.unlock(wire);
    }

    /// Sends the batch now; false if the send lock was not free before `deadline`.
    pub(crate) fn send_batch(self: &Arc<Self>, deadline: Option<Instant>) -> bool {
        let wire = match deadline {
            None => Some(self.wire.lock()),
            Some(deadline) => self.wire.try_lock_until(deadline),
        };
        let Some(mut wire) = wire else {
            return false;
        };
        self.write_waiting(&mut wire);
        self.unlock(wire);
        true
    }

    fn write_waiting(&self, wire: &mut Wire) {
        let connection = self.state.lock().connection.clone();
        if let Some(connection) = connection
            && let Err(error) = wire.write_batch(&connection, &self.outbox)
        {
            connection.broken_by(error);
        }
    }

    /// Notes that a publish joined the batch: the first one starts the clock.
    #[inline]
    pub(crate) fn time_batch(self: &Arc<Self>, batch: &mut Batch) {
        if batch.publishes == 1 && !batch.timeout.is_zero() {
            self.start_clock(batch);
        }
    }

    #[inline(never)]
    fn start_clock(self: &Arc<Self>, batch: &mut Batch) {
        batch.due = Instant::now().checked_add(batch.timeout);
        // A batch that fills up in time and the next one need no more than one look.
        if let Some(due) = batch.due.filter(|_| !batch.timed) {
            batch.timed = self.timer.at(Task::PublishBatch, due, self);
        }
    }

    /// Sends the batch if it has waited for long enough; on the timer thread.
    pub(crate) fn send_overdue_batch(self: &Arc<Self>) {
        let mut wire = self.wire.lock();
        wire.batch.timed = false;
        let (connection, closing) = {
            let state = self.state.lock();
            (state.connection.clone(), state.closing.upgrade())
        };
        if closing.is_some_and(|closing| wire.belongs_to(&closing) && !closing.was_cut()) {
            // A disconnect is about to send it, or to say that it could not.
            self.unlock(wire);
            return;
        }
        match connection {
            Some(connection) if wire.belongs_to(&connection) => {
                let due = wire.batch.due.filter(|_| !wire.batch.is_empty());
                match due {
                    Some(due) if due > Instant::now() => {
                        wire.batch.timed = self.timer.at(Task::PublishBatch, due, self);
                    }
                    Some(_) => {
                        if let Err(error) = wire.write_batch(&connection, &self.outbox) {
                            connection.broken_by(error);
                        }
                    }
                    None => {}
                }
            }
            _ => wire.give_up(),
        }
        self.unlock(wire);
    }

    /// Tells the exception listener of the publishes that a lost connection takes along. The
    /// receive thread does not wait for the send lock: if it is taken, the timer looks.
    pub(crate) fn lose_batch(self: &Arc<Self>, connection: &Connection) {
        match self.wire.try_lock() {
            Some(mut wire) => {
                if wire.belongs_to(connection) {
                    wire.give_up();
                }
                self.unlock(wire);
            }
            None => {
                self.timer.at(Task::PublishBatch, Instant::now(), self);
            }
        }
    }

    /// Tells the exception listener that publishes are lost; no lock is held.
    pub(crate) fn report_lost(&self, publishes: usize) {
        let error = ErrorContext::new("send a batch of publishes as", self.name())
            .with_reason(lost_publishes(publishes))
            .Disconnected();
        self.callbacks.report(&error);
    }
}

/// How an error tells of publishes that were collected and did not all leave.
pub(crate) fn lost_publishes(count: usize) -> String {
    let publishes = match count {
        1 => "1 publish".to_string(),
        count => format!("{count} publishes"),
    };
    format!("the connection ended before {publishes} had left; the server may have received some")
}
