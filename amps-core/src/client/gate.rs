//! The gate: where waiting commands stand while a lost connection is made good.
//!
//! A recovery is driven by one thread: that of the lost connection while it runs the disconnect
//! handler or the supervisor, the caller of `logon`, or the caller that asked a supervisor to
//! connect. With retry on, a command that waits for the server waits here first until nobody drives
//! any more; what the driving thread itself executes passes, or a recovery would wait for itself.

use super::ask::Patience;
use super::connection::Connection;
use super::shared::{Shared, State};
use crate::error::{ErrorContext, Result};
use std::sync::Arc;
use std::thread::{self, ThreadId};

/// A thread that drives a recovery.
pub(crate) struct Driver {
    number: u64,
    thread: ThreadId,
    /// The connection that it is making good, once there is one.
    connection: Option<u64>,
}

/// Who drives at the moment; part of the state.
#[derive(Default)]
pub(crate) struct Drivers {
    begun: u64,
    now: Vec<Driver>,
}

impl Drivers {
    /// This thread drives from now on, until the number that is returned is ended.
    fn begin(&mut self) -> u64 {
        self.begun += 1;
        self.now.push(Driver {
            number: self.begun,
            thread: thread::current().id(),
            connection: None,
        });
        self.begun
    }

    fn end(&mut self, number: u64) {
        self.now.retain(|driver| driver.number != number);
    }

    /// Nobody drives any more, whatever they think: `disconnect` was called.
    pub(crate) fn cancel(&mut self) {
        self.now.clear();
    }

    /// This thread makes this connection good from now on.
    fn note_connection(&mut self, connection: u64) {
        let here = thread::current().id();
        for driver in self.now.iter_mut().filter(|driver| driver.thread == here) {
            driver.connection = Some(connection);
        }
    }

    /// The connection that this thread is making good.
    fn connection_here(&self) -> Option<u64> {
        let here = thread::current().id();
        let mut drivers = self.now.iter().filter(|driver| driver.thread == here);
        drivers.find_map(|driver| driver.connection)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.now.is_empty()
    }

    pub(crate) fn has_this_thread(&self) -> bool {
        let here = thread::current().id();
        self.now.iter().any(|driver| driver.thread == here)
    }

    fn let_pass(&self) -> bool {
        self.now.is_empty() || self.has_this_thread()
    }
}

/// This thread drives a recovery while it holds this.
pub(crate) struct Driving {
    shared: Arc<Shared>,
    number: u64,
}

impl Driving {
    /// False once `disconnect` was called.
    pub(crate) fn is_on(&self, state: &State) -> bool {
        let mut drivers = state.drivers.now.iter();
        drivers.any(|driver| driver.number == self.number)
    }

    /// Ends it under the state lock, together with the change that ends the recovery. The caller
    /// opens the gate when it has let go of the lock.
    pub(crate) fn end(&self, state: &mut State) {
        state.drivers.end(self.number);
    }
}

impl Drop for Driving {
    fn drop(&mut self) {
        self.shared.state.lock().drivers.end(self.number);
        self.shared.gate.notify_all();
        self.shared.persisted.notify();
    }
}

impl Shared {
    /// Makes this thread a driver, under a state lock that is held: together with the loss of the
    /// connection, so that no command finds neither a connection nor somebody who makes one.
    pub(crate) fn drive_in(self: &Arc<Self>, state: &mut State) -> Driving {
        Driving {
            shared: self.clone(),
            number: state.drivers.begin(),
        }
    }

    /// Makes this thread a driver.
    pub(crate) fn drive(self: &Arc<Self>) -> Driving {
        self.drive_in(&mut self.state.lock())
    }

    /// What this thread enters again from now on, it enters over this connection.
    pub(crate) fn restores(&self, connection: &Connection) {
        let mut state = self.state.lock();
        state.drivers.note_connection(connection.number);
    }

    /// The connection that this thread is making good, or the live one if it is not doing that.
    ///
    /// # Errors
    ///
    /// `Disconnected`: it is lost. There may be a later one, but that is for others to make good.
    pub(crate) fn restored_connection(
        &self,
        context: impl FnOnce() -> ErrorContext,
    ) -> Result<Arc<Connection>> {
        let state = self.state.lock();
        let ours = state.drivers.connection_here();
        let connection = state.connection.clone();
        drop(state);
        connection
            .filter(|connection| ours.is_none_or(|ours| ours == connection.number))
            .ok_or_else(|| {
                context()
                    .with_reason("the connection was lost")
                    .Disconnected()
            })
    }

    /// The connection to send a command to; with `waits`, once nobody drives a recovery. On a
    /// receive thread nothing is waited for: it may be the one that the recovery waits for.
    ///
    /// # Errors
    ///
    /// `Disconnected` if there is none, and nobody is making one; `TimedOut`.
    pub(crate) fn ready_connection(
        &self,
        waits: bool,
        patience: Patience,
        context: impl Fn() -> ErrorContext,
    ) -> Result<Arc<Connection>> {
        let waits = waits && !self.is_on_receive_thread();
        let mut state = self.state.lock();
        while waits && !state.drivers.let_pass() {
            let timed_out = match patience.deadline() {
                None => {
                    self.gate.wait(&mut state);
                    false
                }
                Some(deadline) => self.gate.wait_until(&mut state, deadline).timed_out(),
            };
            if timed_out && !state.drivers.let_pass() {
                return Err(context()
                    .with_reason(format!(
                        "the connection was not recovered within {:?}",
                        patience.timeout()
                    ))
                    .TimedOut());
            }
        }
        let usable = state.usable_connection();
        drop(state);
        usable.map_err(|reason| context().with_reason(reason).Disconnected())
    }
}
