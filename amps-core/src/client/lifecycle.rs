//! Connecting, disconnecting on purpose, and losing a connection.

use super::batch::lost_publishes;
use super::callbacks::ConnectionState;
use super::connection::{Connection, Phase, receiving};
use super::shared::{Shared, State};
use super::supervise::{Recovery, Supervisor};
use super::wire::News;
use super::{Client, receive};
use crate::error::{Error, ErrorContext, Result};
use crate::handler::{drop_guarded, guarded};
use crate::transport::{DialCancel, dial};
use crate::uri::AmpsUri;
use crossbeam_channel::bounded;
use log::{info, warn};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest that a deliberate disconnect waits for what was sent to arrive.
const LONGEST_DRAIN: Duration = Duration::from_secs(1);

impl Shared {
    /// What the application calls to connect.
    pub(crate) fn connect(self: &Arc<Self>, uri: &str) -> Result<()> {
        self.check_not_in_store(|| ErrorContext::new("connect", self.name()))?;
        self.check_may_connect()?;
        let timeout = self.settings.lock().dial.timeout;
        self.dial(uri, timeout, None)?;
        Ok(())
    }

    /// Refuses to connect or log on if a supervisor does that.
    pub(crate) fn check_may_connect(&self) -> Result<()> {
        let supervisor = self.supervisor.lock().clone();
        supervisor.map_or(Ok(()), |supervisor| supervisor.may_connect())
    }

    /// Dials and starts the receive thread; for a recovery, as long as that is under way.
    pub(crate) fn dial(
        self: &Arc<Self>,
        uri: &str,
        timeout: Duration,
        recovery: Option<u64>,
    ) -> Result<Arc<Connection>> {
        let uri_text = uri.trim();
        let uri = AmpsUri::parse(uri_text)?;
        let context = || ErrorContext::new("connect to", uri.to_string());
        let (guard, cancel) =
            DialCancel::new().map_err(|error| context().with_source(error).Connection())?;
        let number = {
            let mut state = self.state.lock();
            let obstacle = match (&state.connection, &state.dialing) {
                (Some(connection), _) => Some(format!("connected to {}", connection.uri)),
                (None, Some(_)) => Some("another thread is connecting".to_string()),
                (None, None) => None,
            };
            if let Some(obstacle) = obstacle {
                return Err(context().with_reason(obstacle).AlreadyConnected());
            }
            if recovery.is_some() && state.recovery != recovery {
                return Err(context()
                    .with_reason("disconnect was called")
                    .Disconnected());
            }
            state.connections += 1;
            state.dialing = Some((state.connections, guard));
            state.last_uri = Some(uri_text.to_string());
            state.connections
        };
        let (announce, announced) = bounded(0);
        let mut settings = self.settings.lock().dial.clone();
        settings.timeout = timeout;
        let dialed = dial(&uri, &settings, &cancel);
        let connection = {
            let mut state = self.state.lock();
            // After a `disconnect`, the dial of another thread may be in its place.
            let ours = state.dialing.take_if(|(other, _)| *other == number);
            let transport = dialed?;
            if ours.is_none() {
                return Err(context()
                    .with_reason("disconnect was called meanwhile")
                    .Disconnected());
            }
            let connection = Arc::new(Connection::new(number, uri.clone(), transport, announced));
            state.connection = Some(connection.clone());
            state.tell(ConnectionState::Connected);
            self.traffic.connections.add(1);
            connection
        };
        info!("{} connected to {uri}", self.name());
        let (shared, received) = (self.clone(), connection.clone());
        let name = format!("amps-receive-{}", self.name());
        // The thread drops `announce` when it has announced itself (rule B3).
        let spawned = connection.spawn(&name, move || receive::run(shared, received, announce));
        if let Err(error) = spawned {
            connection.transport.shutdown();
            self.take_connection(Some(connection.number), Phase::Lost, |_| {});
            self.end_all(&connection);
            self.lose_batch(&connection);
            self.announce();
            return Err(context()
                .with_reason("the receive thread could not be started")
                .with_source(error)
                .Connection());
        }
        connection.wait_until_announced();
        Ok(connection)
    }

    /// Takes the connection that is in use out of the state, into another phase. Whoever gets it
    /// is the one who ends it: `disconnect`, or the receive thread that found it broken. `also` is
    /// done under the same lock.
    pub(crate) fn take_connection(
        &self,
        number: Option<u64>,
        phase: Phase,
        also: impl FnOnce(&mut State),
    ) -> Option<Arc<Connection>> {
        let mut state = self.state.lock();
        let connection = state
            .connection
            .take_if(|connection| number.is_none_or(|number| number == connection.number))?;
        state.session = None;
        if phase == Phase::Closing {
            // Before the receive thread sees the phase, in which it looks at the deadline.
            let linger = connection.uri.options().tcp_linger;
            connection.set_drain_until(Instant::now() + linger.min(LONGEST_DRAIN));
            state.closing = Arc::downgrade(&connection);
            state.tell(ConnectionState::Shutdown);
        }
        state.tell(ConnectionState::Disconnected);
        also(&mut state);
        connection.enter(phase);
        // For commands that wait until this is seen.
        self.gate.notify_all();
        Some(connection)
    }

    /// Ends the connection on purpose: no disconnect handler, no exception (rule B15).
    ///
    /// # Errors
    ///
    /// `Disconnected` if the server did not confirm the end in time. The client is disconnected
    /// all the same.
    pub(crate) fn disconnect(self: &Arc<Self>) -> Result<()> {
        let (dialing, lost) = {
            let mut state = self.state.lock();
            let was_recovering = state.recovery.take().is_some();
            if was_recovering && state.connection.is_none() {
                state.tell(ConnectionState::Shutdown);
                state.tell(ConnectionState::Disconnected);
            }
            state.drivers.cancel();
            (state.dialing.take(), state.lost.upgrade())
        };
        // A dial under way is cancelled by dropping its guard, commands that wait for a recovery
        // find that there is none.
        drop(dialing);
        self.gate.notify_all();
        let result = self.end_connection();
        if let Some(lost) = lost.filter(|lost| !lost.is_own_thread()) {
            // The thread that was making the loss good, or is still in a disconnect handler.
            lost.wait_for_threads(Instant::now() + LONGEST_DRAIN);
        }
        result
    }

    /// Ends the connection in use, or waits for the end of the one that is being closed.
    fn end_connection(self: &Arc<Self>) -> Result<()> {
        let Some(connection) = self.take_connection(None, Phase::Closing, |_| {}) else {
            self.announce();
            self.forget_subscriptions();
            self.persisted.notify();
            let closing = self.state.lock().closing.upgrade();
            return match closing {
                Some(connection) => self.wait_for_end(&connection),
                None => Ok(()),
            };
        };
        self.announce();
        self.end_all(&connection);
        // When nothing is dispatched any more that would bring one.
        self.forget_subscriptions();
        self.flush_acks();
        let lost = self.finish_writing(&connection);
        self.go_offline();
        self.persisted.notify();
        let result = self.wait_for_end(&connection);
        info!("{} disconnected from {}", self.name(), connection.uri);
        if lost > 0 {
            let context = ErrorContext::new("disconnect from", connection.uri.to_string());
            return Err(context.with_reason(lost_publishes(lost)).Disconnected());
        }
        result
    }

    /// Waits until a connection that is being closed has ended.
    fn wait_for_end(&self, connection: &Arc<Connection>) -> Result<()> {
        if receiving() == Some((self.id(), connection.number)) {
            // This is a handler. When it has returned, its thread reads on until the server
            // closes or the deadline comes.
            return Ok(());
        }
        let deadline = connection.drain_deadline();
        if !connection.wait_for_threads(deadline) {
            connection.cut();
            // A handler may still be running; its thread ends when it returns.
            connection.wait_for_threads(Instant::now() + LONGEST_DRAIN);
        }
        let asked_not_to_wait = connection.uri.options().tcp_linger.is_zero();
        if connection.has_ended_cleanly() || asked_not_to_wait {
            return Ok(());
        }
        Err(
            ErrorContext::new("disconnect from", connection.uri.to_string())
                .with_reason(
                    "the server did not confirm the end in time; what was sent last may be lost",
                )
                .Disconnected(),
        )
    }

    /// Writes what was posted and what was collected, and ends the writing side. Returns how many
    /// collected publishes did not leave.
    fn finish_writing(self: &Arc<Self>, connection: &Connection) -> usize {
        let deadline = connection.drain_deadline();
        let mut news = News::default();
        match self.wire.try_lock_until(deadline) {
            Some(mut wire) => {
                wire.write_last(connection, &self.outbox, deadline);
                news = wire.take_news();
                connection.transport.shutdown_write(deadline);
            }
            // A writer is stuck; this frees it, and it reports its own failure.
            None => {
                connection.cut();
                self.lose_batch(connection);
            }
        }
        self.acks.forget(connection.number);
        self.look_again();
        let lost = std::mem::take(&mut news.lost);
        self.tell(news);
        lost
    }

    /// What the receive thread does when it finds its connection broken (rule I1).
    pub(crate) fn lose(self: &Arc<Self>, connection: &Arc<Connection>, error: Error) {
        let supervisor = self.supervisor.lock().clone();
        // A disconnect handler stands in for the supervisor.
        let supervisor = supervisor.filter(|_| !self.callbacks.has_disconnect_handler());
        let mut driving = None;
        let mut recovery = None;
        let mut is_left_to_another = false;
        let taken = self.take_connection(Some(connection.number), Phase::Lost, |state| {
            state.lost = Arc::downgrade(connection);
            // From here on waiting commands find somebody who makes the loss good.
            driving = Some(self.drive_in(state));
            // A loop that is under way has lost an attempt, and makes the next one.
            is_left_to_another = state.recovery.is_some();
            if supervisor.is_some() && !is_left_to_another {
                recovery = Some(state.begin_recovery());
            }
        });
        if taken.is_none() {
            // `disconnect` came first: this is the end that it waits for.
            return;
        }
        connection.transport.abandon_unsent();
        connection.transport.shutdown();
        warn!("{} lost its connection: {error}", self.name());
        self.acks.forget(connection.number);
        self.go_offline();
        self.pending.disconnect(connection.number);
        self.announce();
        self.end_routes(connection.number);
        self.callbacks.report(&error);
        self.lose_batch(connection);
        match (supervisor, recovery, driving.take()) {
            (Some(supervisor), Some(number), Some(driving)) => {
                let recovery = Recovery::new(self.clone(), number, driving);
                self.supervise(&*supervisor, recovery, &error);
            }
            (_, _, driving) => {
                let handle = self.handle.lock().upgrade();
                if let (Some(handle), false) = (handle, is_left_to_another) {
                    // Not after a `disconnect` that came meanwhile (rule B15).
                    let is_needed = || {
                        let state = self.state.lock();
                        let is_wanted = driving.as_ref().is_some_and(|own| own.is_on(&state));
                        is_wanted && state.connection.is_none()
                    };
                    self.callbacks.disconnected(&Client { handle }, is_needed);
                }
                drop(driving);
            }
        }
    }

    fn supervise(&self, supervisor: &dyn Supervisor, recovery: Recovery, error: &Error) {
        if recovery.client().is_none() {
            return;
        }
        let supervised = guarded(
            "reconnect the client",
            || self.name(),
            || {
                supervisor.lost(recovery, error);
                Ok(())
            },
        );
        if let Err(failure) = supervised {
            self.callbacks.report(&failure);
        }
    }

    /// Wakes every waiting caller and ends every stream.
    pub(crate) fn end_all(&self, connection: &Connection) {
        self.pending.disconnect(connection.number);
        self.end_routes(connection.number);
    }

    /// Ends what came over this connection and earlier ones.
    pub(crate) fn end_routes(&self, connection: u64) {
        for route in self.routes.disconnect(connection) {
            route.end_by_loss();
            drop_guarded(route);
        }
    }
}
