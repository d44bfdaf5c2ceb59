//! The hook for whoever keeps a client connected: the reconnect loop of `amps-ha`.
//!
//! A supervisor decides where to connect and when; what a recovery consists of is decided here. So
//! that `disconnect` through any handle of the client ends the loop, the state holds the number of
//! the recovery under way: `disconnect` takes it away, and from then on every step of that recovery
//! is refused.

use super::Client;
use super::connection::Connection;
use super::gate::Driving;
use super::logon::LogonOptions;
use super::shared::{Shared, State};
use crate::error::{Error, ErrorContext, Result};
use crate::message::Message;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Keeps a client connected. Called with no lock held.
pub trait Supervisor: Send + Sync {
    /// The connection was lost, and nobody else is recovering: runs the reconnect loop on this
    /// thread, that of the lost connection, until it has finished the recovery or given up.
    ///
    /// Streams have ended and the exception listener knows. Not called if a disconnect handler is
    /// set, which then stands in for it.
    fn lost(&self, recovery: Recovery, error: &Error);

    /// Whether the application may call `connect` and `logon` itself.
    ///
    /// # Errors
    ///
    /// `Usage` if it may not.
    fn may_connect(&self) -> Result<()>;
}

/// A recovery that a supervisor has under way: one per client at a time. It ends with
/// [`finish`](Recovery::finish), or without success when it is dropped; until then waiting commands
/// of other threads wait.
///
/// Its methods are called on one thread, which passes the gate. It keeps no handle of the client.
pub struct Recovery {
    shared: Arc<Shared>,
    number: u64,
    driving: Driving,
    connection: Option<Arc<Connection>>,
    /// What the server answered to the logon.
    accepted: Option<Message>,
}

impl fmt::Debug for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recovery({} of {})", self.number, self.shared.name())
    }
}

/// For supervisors.
#[doc(hidden)]
impl Client {
    /// Installs who keeps this client connected.
    pub fn install_supervisor(&self, supervisor: Arc<dyn Supervisor>) {
        let old = self.shared().supervisor.lock().replace(supervisor);
        drop(old);
    }

    /// Begins a recovery on this thread; `None` if another thread has one under way.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyConnected`]; [`Error::Usage`] in a handler of this client, and on the thread
    /// that has one under way.
    pub fn begin_recovery(&self) -> Result<Option<Recovery>> {
        let shared = self.shared();
        let context = || ErrorContext::new("connect and log on", shared.name());
        shared.check_may_wait(context)?;
        shared.check_not_in_store(context)?;
        let mut state = shared.state.lock();
        if state.recovery.is_some() {
            if state.drivers.has_this_thread() {
                let context = context();
                return Err(context.with_reason("this thread is at it already").Usage());
            }
            return Ok(None);
        }
        let obstacle = match (&state.connection, &state.dialing) {
            (Some(connection), _) => Some(format!("connected to {}", connection.uri)),
            (None, Some(_)) => Some("another thread is connecting".to_string()),
            (None, None) => None,
        };
        if let Some(obstacle) = obstacle {
            return Err(context().with_reason(obstacle).AlreadyConnected());
        }
        let driving = shared.drive_in(&mut state);
        let number = state.begin_recovery();
        drop(state);
        Ok(Some(Recovery::new(shared.clone(), number, driving)))
    }

    /// Waits until no recovery of a supervisor is under way any more.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`]: it did not succeed.
    pub fn wait_for_recovery(&self) -> Result<()> {
        let shared = self.shared();
        let mut state = shared.state.lock();
        while state.recovery.is_some() {
            shared.gate.wait(&mut state);
        }
        if state.session.is_some() {
            return Ok(());
        }
        Err(ErrorContext::new("connect and log on", shared.name())
            .with_reason("another thread was at it, and did not succeed")
            .Disconnected())
    }
}

impl State {
    /// A new recovery, which replaces none.
    pub(crate) fn begin_recovery(&mut self) -> u64 {
        self.recoveries += 1;
        self.recovery = Some(self.recoveries);
        self.recoveries
    }
}

impl Recovery {
    pub(crate) fn new(shared: Arc<Shared>, number: u64, driving: Driving) -> Recovery {
        Recovery {
            shared,
            number,
            driving,
            connection: None,
            accepted: None,
        }
    }

    /// True once `disconnect` was called: every step fails from now on, and the loop must end.
    pub fn is_cancelled(&self) -> bool {
        self.shared.state.lock().recovery != Some(self.number)
    }

    /// The name of the client.
    pub fn name(&self) -> String {
        self.shared.name()
    }

    /// Waits for so long; false, at once, if `disconnect` is called.
    pub fn sleep(&self, duration: Duration) -> bool {
        let deadline = Instant::now().checked_add(duration);
        let mut state = self.shared.state.lock();
        loop {
            if state.recovery != Some(self.number) {
                return false;
            }
            match deadline {
                Some(deadline) if Instant::now() >= deadline => return true,
                Some(deadline) => {
                    self.shared.gate.wait_until(&mut state, deadline);
                }
                None => self.shared.gate.wait(&mut state),
            }
        }
    }

    /// Ends the recovery without success, and tells the exception listener why: in this order, so
    /// that whoever reacts to it finds a client that can be connected again.
    pub fn give_up(self, error: &Error) {
        let shared = self.shared.clone();
        drop(self);
        shared.callbacks.report(error);
    }

    /// Tells the exception listener of an error that no caller can be told of.
    pub fn report(&self, error: &Error) {
        self.shared.callbacks.report(error);
    }

    /// The client, if a handle of it is left; if not, the loop must end.
    pub fn client(&self) -> Option<Client> {
        let handle = self.shared.handle.lock().upgrade()?;
        Some(Client { handle })
    }

    /// Dials, within `timeout` (zero: the system's), and starts the receive thread. What is left of
    /// an earlier attempt is given up first.
    ///
    /// # Errors
    ///
    /// As [`Client::connect`]; [`Error::Disconnected`] if `disconnect` was called.
    pub fn connect(&mut self, uri: &str, timeout: Duration) -> Result<()> {
        self.abandon();
        let connection = self.shared.dial(uri, timeout, Some(self.number))?;
        self.connection = Some(connection);
        Ok(())
    }

    /// Logs on over the connection of this attempt: the handshake alone.
    ///
    /// # Errors
    ///
    /// As [`Client::logon_with`]. The connection is given up.
    pub fn logon(&mut self, options: &LogonOptions) -> Result<()> {
        let connection = self.connection()?;
        match self.shared.handshake(&connection, options) {
            Ok(ack) => {
                self.accepted = Some(ack);
                Ok(())
            }
            Err(error) => {
                self.abandon();
                Err(error)
            }
        }
    }

    /// Agrees on numbers with the server, replays the publish store, and enters subscriptions
    /// again, telling the listeners of each step (rule B12).
    ///
    /// # Errors
    ///
    /// Whatever a step failed with. The connection is given up. After [`Error::Store`] no further
    /// attempt helps.
    pub fn restore(&mut self) -> Result<()> {
        let connection = self.connection()?;
        let Some(ack) = self.accepted.take() else {
            return Err(self.shared.lost_meanwhile());
        };
        let restored = self.shared.restore(&connection, &ack);
        if restored.is_err() {
            self.abandon();
        }
        restored
    }

    /// Ends the recovery, if its connection is still the live one: lets waiting commands go on and
    /// runs deferred executions.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`]: the connection was lost meanwhile, and the recovery is still to
    /// be done; or it is cancelled.
    pub fn finish(&mut self) -> Result<()> {
        let connection = self.connection()?;
        {
            let mut state = self.shared.state.lock();
            if state.recovery != Some(self.number) || !state.is_current(&connection) {
                drop(state);
                return Err(self.shared.lost_meanwhile());
            }
            state.recovery = None;
            self.driving.end(&mut state);
        }
        self.shared.gate.notify_all();
        self.connection = None;
        self.shared.run_deferred();
        Ok(())
    }

    /// Gives up the connection of this attempt, if there is one; no handler is called.
    pub fn abandon(&mut self) {
        self.accepted = None;
        if let Some(connection) = self.connection.take() {
            self.shared.abandon(&connection);
        }
    }

    fn connection(&self) -> Result<Arc<Connection>> {
        match &self.connection {
            Some(connection) if !self.is_cancelled() => Ok(connection.clone()),
            _ => Err(self.shared.lost_meanwhile()),
        }
    }
}

impl Drop for Recovery {
    fn drop(&mut self) {
        self.abandon();
        let mut state = self.shared.state.lock();
        if state.recovery == Some(self.number) {
            state.recovery = None;
        }
        // Dropping `driving` then opens the gate.
    }
}
