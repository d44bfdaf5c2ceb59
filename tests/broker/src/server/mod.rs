//! The running broker: its threads and how they end.
//!
//! One thread accepts, one keeps time, and each connection has two: one reads and carries out
//! commands, one writes. Commands are carried out under one lock, the engine's, in the order in
//! which the readers get it: that is the one total order of `broker-behaviour §1`.

mod connection;
mod listener;
mod outbox;
mod reader;
mod stream;
mod threads;
mod timer;
mod tls;

pub(crate) use connection::{Connection, Wakes};
pub(crate) use timer::{Task, Timers};

use crate::builder::Builder;
use crate::config::Settings;
use crate::engine::Engine;
use crate::error::BrokerError;
use listener::{Endpoint, Listener};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use stream::Stream;
use threads::Threads;

/// What all threads of a broker share.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) engine: Mutex<Engine>,
    /// Wakes the timer thread; goes with `engine`.
    pub(crate) timer: Condvar,
    /// Wakes those who wait for a state; goes with `engine`.
    pub(crate) changed: Condvar,
    /// Wakes those who send the log to other brokers; goes with `engine`.
    pub(crate) replicating: Condvar,
    threads: Threads,
    last_connection: AtomicU64,
}

impl Shared {
    /// Does something with the engine's lock held, such as a batch of commands, and then lets
    /// out what came of it: each connection that got something is flushed once, without the lock.
    pub(crate) fn turn<T>(&self, work: impl FnOnce(&mut Engine) -> T) -> T {
        let mut engine = self.engine.lock();
        let result = work(&mut engine);
        let wakes = self.settle(&mut engine);
        drop(engine);
        for connection in wakes {
            connection.flush();
        }
        result
    }

    /// Lets the replays of a connection go on for a bit; see [`crate::txlog::Replays`].
    fn refill(&self, connection: u64) {
        let mut engine = self.engine.lock();
        engine.replay(connection);
        let wakes = self.settle(&mut engine);
        // A long replay takes the lock again and again: others come between.
        MutexGuard::unlock_fair(engine);
        for connection in wakes {
            connection.flush();
        }
    }

    /// Tells those who wait for the engine that it may have changed; what is to be flushed is
    /// for the caller to flush.
    fn settle(&self, engine: &mut Engine) -> Wakes {
        engine.dispatch();
        if engine.timers.take_changed() {
            self.timer.notify_one();
        }
        if engine.log.is_replicated() {
            self.replicating.notify_all();
        }
        if engine.watchers > 0 {
            self.changed.notify_all();
        }
        std::mem::take(&mut engine.wakes)
    }

    /// Starts the threads of a connection.
    fn welcome(self: &Arc<Shared>, socket: Stream, peer: String) {
        let id = self.last_connection.fetch_add(1, Ordering::Relaxed) + 1;
        log::info!("connection {id} from {peer}");
        let limit = self.settings.output_limit;
        let connection = Arc::new(Connection::new(id, socket, peer, limit));
        if !self.turn(|engine| engine.arrived(&connection)) {
            return;
        }
        let (shared, served) = (self.clone(), connection.clone());
        match self
            .threads
            .start(id, move || reader::serve(&shared, &served))
        {
            Ok(true) => {}
            Ok(false) => self.turn(|engine| engine.forget(id)),
            Err(error) => {
                connection.close(&format!("no thread for it: {error}"));
                self.turn(|engine| engine.forget(id));
            }
        }
    }
}

/// A running stand-in for an AMPS server.
///
/// Dropping it closes every connection and waits for every thread.
///
/// ```
/// use amps_broker::Broker;
///
/// # fn main() -> Result<(), amps_broker::BrokerError> {
/// let broker = Broker::builder().sow_topic("orders", ["/id"]).start()?;
/// let uri = broker.uri("json");
/// assert!(uri.starts_with("tcp://127.0.0.1:"));
/// assert!(uri.ends_with("/amps/json"));
/// # Ok(())
/// # }
/// ```
pub struct Broker {
    pub(crate) shared: Arc<Shared>,
    /// Empty while the broker does not listen.
    listeners: Mutex<Vec<Listener>>,
    /// Where it listens when it does; the first is the one for plain TCP.
    endpoints: Vec<Endpoint>,
    timer: Option<JoinHandle<()>>,
    pub(crate) replicators: Mutex<Vec<JoinHandle<()>>>,
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Broker({})", self.address())
    }
}

impl Broker {
    /// A broker to be set up: on a free port of this machine, with no topics configured.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn start(settings: Settings) -> Result<Broker, BrokerError> {
        let engine = Engine::new(&settings)?;
        let shared = Arc::new(Shared {
            settings,
            engine: Mutex::new(engine),
            timer: Condvar::new(),
            changed: Condvar::new(),
            replicating: Condvar::new(),
            threads: Threads::default(),
            last_connection: AtomicU64::new(0),
        });
        let listeners = listen(Endpoint::all(&shared.settings)?, &shared)?;
        let timed = shared.clone();
        let timer = thread::Builder::new()
            .name("broker-timer".to_owned())
            .spawn(move || timer::run(&timed))
            .map_err(BrokerError::Thread)?;
        Ok(Broker {
            endpoints: listeners.iter().map(|l| l.endpoint().clone()).collect(),
            listeners: Mutex::new(listeners),
            shared,
            timer: Some(timer),
            replicators: Mutex::new(Vec::new()),
        })
    }

    /// The address that the broker listens on, with the port that the system chose.
    pub fn address(&self) -> SocketAddr {
        let plain = self.endpoints.iter().find_map(|endpoint| match endpoint {
            Endpoint::Tcp(address) => Some(*address),
            _ => None,
        });
        plain.unwrap_or_else(|| unreachable!("a broker always listens for plain TCP"))
    }

    /// What a client connects to, such as `tcp://127.0.0.1:9007/amps/json`.
    pub fn uri(&self, message_type: &str) -> String {
        format!(
            "tcp://{}/amps/{message_type}",
            listener::reachable(self.address())
        )
    }

    /// The address that the broker listens on for TLS, if it was set up for that.
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.endpoints.iter().find_map(|endpoint| match endpoint {
            Endpoint::Tls(address, _) => Some(*address),
            _ => None,
        })
    }

    /// What a client connects to by TLS, such as `tcps://127.0.0.1:9008/amps/json`.
    ///
    /// # Panics
    ///
    /// If the broker was not set up with [`Builder::tls`].
    pub fn tls_uri(&self, message_type: &str) -> String {
        let Some(address) = self.tls_address() else {
            panic!("this broker does not listen for TLS: see Builder::tls");
        };
        format!(
            "tcps://{}/amps/{message_type}",
            listener::reachable(address)
        )
    }

    /// The file of the Unix socket that the broker listens on, if it was set up with one.
    pub fn unix_socket(&self) -> Option<&Path> {
        self.endpoints.iter().find_map(|endpoint| match endpoint {
            Endpoint::Unix(path) => Some(path.as_path()),
            _ => None,
        })
    }

    /// What a client connects to over the Unix socket, such as
    /// `unix://localhost:0/amps/json?path=/tmp/amps`.
    ///
    /// # Panics
    ///
    /// If the broker was not set up with [`Builder::unix_socket`].
    pub fn unix_uri(&self, message_type: &str) -> String {
        let Some(path) = self.unix_socket() else {
            panic!("this broker has no Unix socket: see Builder::unix_socket");
        };
        // What would end the option, or is read as something else in one.
        let mut escaped = String::new();
        for character in path.to_string_lossy().chars() {
            match character {
                '%' | '&' | '#' | '+' | ' ' => {
                    escaped.push_str(&format!("%{:02X}", u32::from(character)));
                }
                _ => escaped.push(character),
            }
        }
        format!("unix://localhost:0/amps/{message_type}?path={escaped}")
    }

    /// Closes every connection and waits for every thread, as dropping the broker does.
    pub fn stop(self) {}

    /// Closes the listening sockets: connecting is refused from now on. Connections stay.
    ///
    /// Does nothing if the broker is not listening.
    pub fn stop_listening(&self) {
        let listeners = std::mem::take(&mut *self.listeners.lock());
        drop(listeners);
    }

    /// Listens on the same ports, and the same Unix socket, again.
    ///
    /// Does nothing if the broker is listening.
    ///
    /// # Errors
    ///
    /// [`BrokerError::Listen`] if a port was taken by somebody else meanwhile.
    pub fn restart_listening(&self) -> Result<(), BrokerError> {
        let mut listeners = self.listeners.lock();
        if listeners.is_empty() {
            *listeners = listen(self.endpoints.clone(), &self.shared)?;
        }
        Ok(())
    }
}

fn listen(endpoints: Vec<Endpoint>, shared: &Arc<Shared>) -> Result<Vec<Listener>, BrokerError> {
    let start = |endpoint| Listener::start(endpoint, shared.clone());
    endpoints.into_iter().map(start).collect()
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop_listening();
        self.shared.turn(Engine::stop);
        self.shared.timer.notify_all();
        if let Some(timer) = self.timer.take() {
            let _ = timer.join();
        }
        self.shared.threads.join();
        self.shared.replicating.notify_all();
        for replicator in self.replicators.get_mut().drain(..) {
            let _ = replicator.join();
        }
        // Others that send to this one may hold it for a moment yet.
        self.shared.engine.lock().log.detach();
    }
}
