//! What the handles of a client, its threads and its streams share.

use super::Handle;
use super::acks::Acks;
use super::callbacks::{Callbacks, ConnectionState};
use super::connection::{Connection, receiving};
use super::filter::FilterSlot;
use super::flush::Persisted;
use super::gate::Drivers;
use super::heartbeat::Heartbeat;
use super::outbox::{Outbox, Turn};
use super::pending::Pending;
use super::recover::Deferred;
use super::retry::Retries;
use super::route::{Route, RouteKind};
use super::routes::Routes;
use super::stats::Traffic;
use super::stores::Stores;
use super::supervise::Supervisor;
use super::timer::Timer;
use super::wire::Wire;
use crate::CommandType;
use crate::error::{ErrorContext, Result};
use crate::protocol::{Field, FrameWriter};
use crate::tls_config::TlsConfig;
use crate::transport::{DialGuard, DialSettings, PreflightHeaders};
use crate::version::VersionInfo;
use crate::waits::Waits;
use log::debug;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

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
    pub(crate) waits: Waits,
    pub(crate) acks: Acks,
    pub(crate) callbacks: Callbacks,
    pub(crate) stores: Mutex<Stores>,
    /// Told whenever something is persisted, or the connection ends.
    pub(crate) persisted: Persisted,
    /// Opened, with the state, when nobody drives a recovery any more.
    pub(crate) gate: Condvar,
    pub(crate) retries: Retries,
    pub(crate) deferred: Deferred,
    pub(crate) supervisor: Mutex<Option<Arc<dyn Supervisor>>>,
    pub(crate) timer: Timer,
    pub(crate) traffic: Arc<Traffic>,
    /// For the receive thread; the send lock has its own.
    pub(crate) filter: FilterSlot,
    next_command: AtomicU64,
    /// For callbacks that are given a client. Set once, when the first handle is made.
    pub(crate) handle: Mutex<Weak<Handle>>,
}

/// What the application configures between connections.
pub(crate) struct Settings {
    pub(crate) dial: DialSettings,
    pub(crate) logon_correlation_data: String,
    pub(crate) default_max_depth: usize,
    pub(crate) heartbeat: Option<Heartbeat>,
    pub(crate) retry_on_disconnect: bool,
}

/// The connection and what is known of its server. Held for moments only, never while anything
/// waits.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) connection: Option<Arc<Connection>>,
    /// The connection that was last closed on purpose: another `disconnect` waits for its end.
    pub(crate) closing: Weak<Connection>,
    /// Present while a dial is under way, under its number; dropping it cancels the dial.
    pub(crate) dialing: Option<(u64, DialGuard)>,
    /// How many connections were begun: the number of the last one.
    pub(crate) connections: u64,
    /// What the connection state listeners have not been told yet.
    news: VecDeque<ConnectionState>,
    /// Some thread is telling them.
    announcing: bool,
    pub(crate) session: Option<Session>,
    /// The connection that was lost last: its thread may be making the loss good, and `disconnect`
    /// waits for its end.
    pub(crate) lost: Weak<Connection>,
    /// Who is making a lost connection good.
    pub(crate) drivers: Drivers,
    /// The recovery that a supervisor has under way, by its number.
    pub(crate) recovery: Option<u64>,
    /// How many of those were begun.
    pub(crate) recoveries: u64,
    pub(crate) last_uri: Option<String>,
}

impl State {
    /// Queues news for the connection state listeners. Under the state lock, together with the
    /// change that it tells of, so that they hear of the changes in the order they happened in.
    pub(crate) fn tell(&mut self, news: ConnectionState) {
        self.news.push_back(news);
    }

    /// The connection in use, or why there is none.
    ///
    /// Before a logon it is for the thread that makes it good alone: a server closes a connection
    /// on whatever comes ahead of the logon.
    pub(crate) fn usable_connection(&self) -> Result<Arc<Connection>, &'static str> {
        match &self.connection {
            None => Err("the client is not connected"),
            Some(_) if self.is_logging_on() && !self.drivers.has_this_thread() => {
                Err("the client is logging on")
            }
            Some(connection) => Ok(connection.clone()),
        }
    }

    /// True if somebody is about to log on.
    pub(crate) fn is_logging_on(&self) -> bool {
        self.session.is_none() && !self.drivers.is_empty()
    }

    /// True if this is the connection in use.
    pub(crate) fn is_current(&self, connection: &Connection) -> bool {
        let current = self.connection.as_ref();
        current.is_some_and(|current| current.number == connection.number)
    }
}

/// What the server said when it accepted the logon.
#[derive(Debug, Clone, Default)]
pub(crate) struct Session {
    pub(crate) version: VersionInfo,
    /// The publisher id that the server made of the client's name.
    pub(crate) name_hash: String,
}

/// For those who must not keep a client alive.
#[derive(Clone, Default)]
pub(crate) struct WeakShared(Weak<Shared>);

impl WeakShared {
    pub(crate) fn upgrade(&self) -> Option<Arc<Shared>> {
        self.0.upgrade()
    }
}

impl Shared {
    pub(crate) fn new(name: String) -> Shared {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let wire = Wire::default();
        let traffic = wire.traffic.clone();
        Shared {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            name: Mutex::new(name),
            settings: Mutex::new(Settings {
                dial: DialSettings {
                    timeout: Duration::from_secs(10),
                    tls: TlsConfig::of_the_process(),
                    preflight: PreflightHeaders::default(),
                },
                logon_correlation_data: String::new(),
                default_max_depth: 0,
                heartbeat: None,
                retry_on_disconnect: false,
            }),
            state: Mutex::default(),
            wire: Mutex::new(wire),
            outbox: Outbox::default(),
            routes: Routes::default(),
            pending: Pending::default(),
            waits: Waits::default(),
            acks: Acks::default(),
            callbacks: Callbacks::default(),
            stores: Mutex::default(),
            persisted: Persisted::default(),
            gate: Condvar::new(),
            retries: Retries::default(),
            deferred: Deferred::default(),
            supervisor: Mutex::default(),
            timer: Timer::default(),
            traffic,
            filter: FilterSlot::default(),
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
    /// `Disconnected` if there is none, or another thread is about to log on over it. `Usage` under
    /// the send lock.
    pub(crate) fn connection(&self, context: impl Fn() -> ErrorContext) -> Result<Arc<Connection>> {
        self.check_not_in_store(&context)?;
        let state = self.state.lock();
        let usable = state.usable_connection();
        drop(state);
        usable.map_err(|reason| context().with_reason(reason).Disconnected())
    }

    /// True on a receive thread of this client. There, waiting for the server would wait for ever;
    /// also on that of a connection just closed, whose handler may hold what the new one needs.
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

    /// Tells the listeners what was queued. If another thread, or a listener on this one, is at it
    /// already, that one goes on with what is new.
    pub(crate) fn announce(&self) {
        let mut own_turn = false;
        loop {
            let news = {
                let mut state = self.state.lock();
                if state.announcing && !own_turn {
                    return;
                }
                let news = state.news.pop_front();
                state.announcing = news.is_some();
                own_turn = true;
                news
            };
            match news {
                Some(news) => self.callbacks.announce(news),
                None => return,
            }
        }
    }

    /// Ends a route whose owner does not want it any more, and tells the server.
    pub(crate) fn end_route(self: &Arc<Self>, route: &Arc<Route>) {
        let owned = self.routes.remove(route);
        if owned && route.kind != RouteKind::Acks {
            self.post_unsubscribe(route.connection, &route.sub_id, route_query(route));
        }
    }

    /// Sends an unsubscribe without waiting for anything; silent if the connection is gone, or if
    /// there is nothing to unsubscribe.
    pub(crate) fn post_unsubscribe(self: &Arc<Self>, number: u64, sub_id: &str, query_id: &str) {
        if sub_id.is_empty() && query_id.is_empty() {
            return;
        }
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
        // It ends the leases: what was done by then must be known first.
        self.flush_acks();
        let turn = match self.is_on_receive_thread() {
            true => Turn::AtOnce,
            false => Turn::AfterBatch,
        };
        self.post(&connection, &bytes, turn);
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
