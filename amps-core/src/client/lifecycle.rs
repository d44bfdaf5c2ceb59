//! Connecting, disconnecting on purpose, and losing a connection.

use super::batch::lost_publishes;
use super::callbacks::ConnectionState;
use super::connection::{Connection, Phase, receiving};
use super::send::News;
use super::shared::Shared;
use super::{Client, receive};
use crate::error::{Error, ErrorContext, Result};
use crate::handler::drop_guarded;
use crate::stream::EndReason;
use crate::transport::{DialCancel, dial};
use crate::uri::AmpsUri;
use crossbeam_channel::bounded;
use log::{info, warn};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest that a deliberate disconnect waits for what was sent to arrive.
const LONGEST_DRAIN: Duration = Duration::from_secs(1);

impl Shared {
    /// Dials and starts the receive thread.
    pub(crate) fn connect(self: &Arc<Self>, uri: &str) -> Result<()> {
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
            state.connections += 1;
            state.dialing = Some((state.connections, guard));
            state.last_uri = Some(uri_text.to_string());
            state.connections
        };
        let (announce, announced) = bounded(0);
        let settings = self.settings.lock().dial.clone();
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
            self.take_connection(Some(connection.number), Phase::Lost);
            self.end_all(&connection);
            self.announce();
            return Err(context()
                .with_reason("the receive thread could not be started")
                .with_source(error)
                .Connection());
        }
        connection.wait_until_announced();
        Ok(())
    }

    /// Takes the connection that is in use out of the state, into another phase. Whoever gets it
    /// is the one who ends it: `disconnect`, or the receive thread that found it broken.
    fn take_connection(&self, number: Option<u64>, phase: Phase) -> Option<Arc<Connection>> {
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
        connection.enter(phase);
        Some(connection)
    }

    /// Ends the connection on purpose: no disconnect handler, no exception (rule B15).
    ///
    /// # Errors
    ///
    /// `Disconnected` if the server did not confirm the end in time. The client is disconnected
    /// all the same.
    pub(crate) fn disconnect(self: &Arc<Self>) -> Result<()> {
        // A dial under way is cancelled by dropping its guard.
        let dialing = self.state.lock().dialing.take();
        drop(dialing);
        let Some(connection) = self.take_connection(None, Phase::Closing) else {
            let closing = self.state.lock().closing.upgrade();
            return match closing {
                Some(connection) => self.wait_for_end(&connection),
                None => Ok(()),
            };
        };
        self.announce();
        self.end_all(&connection);
        self.flush_acks();
        let lost = self.finish_writing(&connection);
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
        if self
            .take_connection(Some(connection.number), Phase::Lost)
            .is_none()
        {
            // `disconnect` came first: this is the end that it waits for.
            return;
        }
        connection.transport.abandon_unsent();
        connection.transport.shutdown();
        warn!("{} lost its connection: {error}", self.name());
        self.acks.forget(connection.number);
        self.pending.disconnect(connection.number);
        self.announce();
        self.end_routes(connection);
        self.callbacks.report(&error);
        self.lose_batch(connection);
        let handle = self.handle.lock().upgrade();
        if let Some(handle) = handle {
            self.callbacks.disconnected(&Client { handle });
        }
    }

    /// Wakes every waiting caller and ends every stream.
    fn end_all(&self, connection: &Connection) {
        self.pending.disconnect(connection.number);
        self.end_routes(connection);
    }

    fn end_routes(&self, connection: &Connection) {
        for route in self.routes.disconnect(connection.number) {
            route.end(EndReason::Disconnected);
            drop_guarded(route);
        }
    }
}
