//! What the handles of a client, its threads and its streams share.

use super::callbacks::{Callbacks, ConnectionState};
use super::connection::{Connection, Phase, receiving};
use super::outbox::Outbox;
use super::pending::Pending;
use super::routes::{Route, RouteKind, Routes};
use super::send::Wire;
use super::{Client, Handle, receive};
use crate::CommandType;
use crate::error::{Error, ErrorContext, Result};
use crate::protocol::{Field, FrameWriter};
use crate::stream::EndReason;
use crate::transport::{DialCancel, DialGuard, dial};
use crate::uri::AmpsUri;
use crate::version::VersionInfo;
use crossbeam_channel::bounded;
use log::{debug, info, warn};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// The longest that a deliberate disconnect waits for what was sent to arrive.
const LONGEST_DRAIN: Duration = Duration::from_secs(1);

/// The state of a client. Handles hold it through [`Handle`]; threads hold it directly, so that
/// the last handle can go while they run.
pub(crate) struct Shared {
    /// Tells clients apart, for the mark on receive threads.
    id: u64,
    pub(crate) name: Mutex<String>,
    pub(crate) settings: Mutex<Settings>,
    pub(crate) state: Mutex<State>,
    /// The send lock.
    pub(crate) wire: Mutex<Wire>,
    pub(crate) outbox: Outbox,
    pub(crate) routes: Routes,
    pub(crate) pending: Pending,
    pub(crate) callbacks: Callbacks,
    next_command: AtomicU64,
    /// For callbacks that are given a client. Set once, when the first handle is made.
    pub(crate) handle: Mutex<Weak<Handle>>,
}

/// What the application configures between connections.
pub(crate) struct Settings {
    pub(crate) connect_timeout: Duration,
    pub(crate) logon_correlation_data: String,
}

/// The connection and what is known of its server. Held for moments only, never while anything
/// waits.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) connection: Option<Arc<Connection>>,
    /// Present while a dial is under way, under its number; dropping it cancels the dial.
    dialing: Option<(u64, DialGuard)>,
    /// How many connections were begun: the number of the last one.
    connections: u64,
    pub(crate) session: Option<Session>,
    pub(crate) last_uri: Option<String>,
}

/// What the server said when it accepted the logon.
#[derive(Debug, Clone, Default)]
pub(crate) struct Session {
    pub(crate) version: VersionInfo,
    /// The publisher id that the server made of the client's name.
    pub(crate) name_hash: String,
}

/// For those who must not keep a client alive.
#[derive(Clone)]
pub(crate) struct WeakShared(Weak<Shared>);

impl WeakShared {
    pub(crate) fn upgrade(&self) -> Option<Arc<Shared>> {
        self.0.upgrade()
    }
}

impl Shared {
    pub(crate) fn new(name: String) -> Shared {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Shared {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            name: Mutex::new(name),
            settings: Mutex::new(Settings {
                connect_timeout: Duration::from_secs(10),
                logon_correlation_data: String::new(),
            }),
            state: Mutex::default(),
            wire: Mutex::default(),
            outbox: Outbox::default(),
            routes: Routes::default(),
            pending: Pending::default(),
            callbacks: Callbacks::default(),
            next_command: AtomicU64::new(0),
            handle: Mutex::default(),
        }
    }

    pub(crate) fn downgrade(self: &Arc<Self>) -> WeakShared {
        WeakShared(Arc::downgrade(self))
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn name(&self) -> String {
        self.name.lock().clone()
    }

    /// An id that no waiting caller and no route has.
    pub(crate) fn new_command_id(&self) -> String {
        loop {
            let id = self
                .next_command
                .fetch_add(1, Ordering::Relaxed)
                .to_string();
            if !self.pending.contains(&id) && !self.routes.contains(&id) {
                return id;
            }
        }
    }

    /// The live connection.
    ///
    /// # Errors
    ///
    /// `Disconnected` if there is none.
    pub(crate) fn connection(
        &self,
        context: impl FnOnce() -> ErrorContext,
    ) -> Result<Arc<Connection>> {
        match &self.state.lock().connection {
            Some(connection) => Ok(connection.clone()),
            None => Err(context()
                .with_reason("the client is not connected")
                .Disconnected()),
        }
    }

    /// True on the thread that receives for the live connection: there, waiting for the server
    /// would wait for ever.
    pub(crate) fn is_on_receive_thread(&self) -> bool {
        receiving().is_some_and(|(client, _)| client == self.id)
    }

    /// Refuses a call that waits on the receive thread (rule C12).
    pub(crate) fn check_may_wait(&self, context: impl FnOnce() -> ErrorContext) -> Result<()> {
        if self.is_on_receive_thread() {
            return Err(context()
                .with_reason(
                    "a call that waits for the server cannot be made from a handler of the \
                     same client",
                )
                .Usage());
        }
        Ok(())
    }

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
        let timeout = self.settings.lock().connect_timeout;
        let dialed = dial(&uri, timeout, &cancel);
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
            connection
        };
        info!("{} connected to {uri}", self.name());
        let (shared, received) = (self.clone(), connection.clone());
        let name = format!("amps-receive-{}", self.name());
        // The thread drops `announce` when it has announced itself (rule B3).
        connection
            .spawn(name, move || receive::run(shared, received, announce))
            .map_err(|error| {
                connection.transport.shutdown();
                self.take_connection(Some(connection.number), Phase::Lost);
                context()
                    .with_reason("the receive thread could not be started")
                    .with_source(error)
                    .Connection()
            })?;
        connection.wait_until_announced(None);
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
        connection.enter(phase);
        Some(connection)
    }

    /// Ends the connection on purpose: no disconnect handler, no exception (rule B15).
    ///
    /// # Errors
    ///
    /// None at present.
    pub(crate) fn disconnect(self: &Arc<Self>) -> Result<()> {
        // A dial under way is cancelled by dropping its guard.
        let dialing = self.state.lock().dialing.take();
        drop(dialing);
        let Some(connection) = self.take_connection(None, Phase::Closing) else {
            return Ok(());
        };
        let linger = connection.uri.options().tcp_linger;
        let deadline = Instant::now() + linger.min(LONGEST_DRAIN);
        connection.set_drain_until(deadline);
        let on_own_thread = receiving() == Some((self.id, connection.number));
        if !on_own_thread {
            connection.wait_until_announced(Some(deadline));
        }
        self.callbacks.announce(ConnectionState::Shutdown);
        self.end_all(&connection);
        self.finish_writing(&connection, deadline);
        if on_own_thread {
            // This is a handler. When it has returned, its thread reads on until the server
            // closes or the deadline comes.
        } else if !connection.wait_for_threads(deadline) {
            connection.transport.abandon_unsent();
            connection.transport.shutdown();
            // A handler may still be running; its thread ends when it returns.
            connection.wait_for_threads(Instant::now() + LONGEST_DRAIN);
        }
        self.callbacks.announce(ConnectionState::Disconnected);
        info!("{} disconnected from {}", self.name(), connection.uri);
        Ok(())
    }

    /// Writes what was posted, as far as the socket takes it, and ends the writing side.
    fn finish_writing(&self, connection: &Connection, deadline: Instant) {
        match self.wire.try_lock_until(deadline) {
            Some(mut wire) => {
                // What does not go out is an unsubscribe, which the end of the connection does.
                let _ = wire.drain_some(connection, &self.outbox);
                connection.transport.shutdown_write();
            }
            None => {
                // A writer is stuck; this frees it, and it reports its own failure.
                connection.transport.abandon_unsent();
                connection.transport.shutdown();
            }
        }
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
        self.pending.disconnect(connection.number);
        self.callbacks.announce(ConnectionState::Disconnected);
        self.end_routes(connection);
        self.callbacks.report(&error);
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
        }
    }

    /// Ends a route whose owner does not want it any more, and tells the server.
    pub(crate) fn end_route(self: &Arc<Self>, route: &Arc<Route>) {
        let owned = self.routes.remove(route);
        if owned && route.kind != RouteKind::Acks {
            self.post_unsubscribe(route.connection, &route.sub_id, route_query(route));
        }
    }

    /// Sends an unsubscribe without waiting for anything; silent if the connection is gone.
    pub(crate) fn post_unsubscribe(self: &Arc<Self>, number: u64, sub_id: &str, query_id: &str) {
        let connection = self.state.lock().connection.clone();
        let Some(connection) = connection.filter(|connection| connection.number == number) else {
            return;
        };
        let mut bytes = Vec::new();
        let mut frame = FrameWriter::begin(&mut bytes, CommandType::Unsubscribe);
        frame.text(Field::CommandId, self.new_command_id().as_bytes());
        frame.text_if(Field::SubId, sub_id.as_bytes());
        frame.text_if(Field::QueryId, query_id.as_bytes());
        frame.finish(b"");
        debug!("unsubscribe {sub_id} {query_id}");
        self.post(&connection, &bytes);
    }
}

/// The query id to cancel: only of a query that is still running.
pub(crate) fn route_query(route: &Route) -> &str {
    if route.query_is_running() {
        &route.query_id
    } else {
        ""
    }
}
