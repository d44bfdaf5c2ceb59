//! The client: one connection, one receive thread, any number of handles.

mod acknowledging;
mod acks;
mod ask;
mod batch;
mod bookmarks;
mod callbacks;
mod connection;
mod dialling;
mod execute;
mod filter;
mod flush;
mod gate;
mod heartbeat;
mod held;
mod lifecycle;
mod listening;
mod logon;
mod outbox;
mod pending;
mod persisted;
mod plan;
mod publishing;
mod raw;
mod receive;
mod receiving;
mod recover;
mod replay;
mod resubscribe;
mod retry;
mod routes;
mod send;
mod shared;
mod stats;
mod stored;
mod stored_command;
mod stores;
pub(crate) mod supervise;
#[cfg(test)]
mod testing;
mod timer;
mod under_lock;
mod unsubscribe;
mod wire;

pub use bookmarks::BookmarkSubscribe;
pub use callbacks::{ConnectionState, ListenerId};
pub use filter::Direction;
pub use logon::LogonOptions;
pub(crate) use receiving::DEFAULT_TIMEOUT;
pub(crate) use routes::Route;
pub(crate) use shared::WeakShared;
pub use stats::ClientStats;

use crate::error::{ErrorContext, Result};
use crate::version::VersionInfo;
#[cfg(doc)]
use crate::{Error, MessageStream};
use log::warn;
use shared::Shared;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

/// A connection to an AMPS server.
///
/// A `Client` is a handle: cloning it is cheap, every method takes `&self`, and all clones share
/// one connection, which any number of threads may use at once. Dropping the last handle
/// disconnects; a [`MessageStream`] is a handle, too. Each connection has a thread of its own that
/// receives, runs the handlers, and fills the streams.
///
/// Everything that waits for the server has a bound or takes one, and ends at once when the
/// connection does. On the receive thread, that is in handlers, such calls are refused with
/// [`Error::Usage`]; publishing, unsubscribing, closing streams and disconnecting are fine there.
///
/// A handler that needs its client must not own a clone of it: the client owns the handler, so
/// neither would ever be dropped. Use [`Client::downgrade`]:
///
/// ```
/// # use amps_core::{Client, Command, Message};
/// # fn run(client: &Client) -> amps_core::Result<()> {
/// let weak = client.downgrade();
/// client.execute_async(
///     Command::new("subscribe").set_topic("requests"),
///     move |message: &Message| {
///         if let Some(client) = weak.upgrade() {
///             client.publish("replies", message.data())?;
///         }
///         Ok::<(), amps_core::Error>(())
///     },
/// )?;
/// # Ok(())
/// # }
/// ```
///
/// Guide chapters 3 and 4; rules B1 to B18.
#[derive(Clone)]
pub struct Client {
    pub(crate) handle: Arc<Handle>,
}

/// What the clones of a client count: the last one disconnects.
pub(crate) struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Err(error) = self.shared.disconnect() {
            warn!("nobody is left to hear of: {error}");
        }
    }
}

/// A handle that does not keep its client alive: for closures that the client itself owns.
#[derive(Clone)]
pub struct WeakClient {
    handle: Weak<Handle>,
}

impl WeakClient {
    /// The client, if a handle of it is left.
    pub fn upgrade(&self) -> Option<Client> {
        self.handle.upgrade().map(|handle| Client { handle })
    }
}

impl fmt::Debug for WeakClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakClient")
    }
}

/// Connecting and the state of the connection.
impl Client {
    /// Makes a client that is not connected.
    ///
    /// The name should be unique among the clients of a server and stay the same from run to run:
    /// the server tells publishers apart by it. Without a name the client makes one up that no
    /// other client has.
    pub fn new(name: impl AsRef<str>) -> Client {
        let name = match name.as_ref() {
            "" => unique_name(),
            name => name.to_string(),
        };
        let shared = Arc::new(Shared::new(name));
        let handle = Arc::new(Handle {
            shared: shared.clone(),
        });
        *shared.handle.lock() = Arc::downgrade(&handle);
        Client { handle }
    }

    /// A handle that does not keep the client alive.
    pub fn downgrade(&self) -> WeakClient {
        WeakClient {
            handle: Arc::downgrade(&self.handle),
        }
    }

    /// The name of this client.
    pub fn name(&self) -> String {
        self.shared().name()
    }

    /// Changes the name, for the next logon.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] while connected; the name stays (rule B17).
    pub fn set_name(&self, name: impl AsRef<str>) -> Result<()> {
        if self.is_connected() {
            return Err(ErrorContext::new("rename the client", self.name())
                .with_reason("it is connected")
                .Usage());
        }
        *self.shared().name.lock() = name.as_ref().to_string();
        Ok(())
    }

    /// Sets how long [`Client::connect`] may take; zero leaves it to the system. Default 10 s.
    pub fn set_connect_timeout(&self, timeout: Duration) {
        self.shared().settings.lock().dial.timeout = timeout;
    }

    /// Sets how many messages may wait in each stream made from now on; 0, the default, is no
    /// limit. See [`MessageStream::set_max_depth`].
    pub fn set_default_max_depth(&self, max_depth: usize) {
        self.shared().settings.lock().default_max_depth = max_depth;
    }

    /// How long [`Client::connect`] may take; zero leaves it to the system.
    pub fn connect_timeout(&self) -> Duration {
        self.shared().settings.lock().dial.timeout
    }

    /// How many messages may wait in a new stream; 0 is no limit.
    pub fn default_max_depth(&self) -> usize {
        self.shared().settings.lock().default_max_depth
    }

    /// Sets a token that goes out with every logon and shows in the server's log.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] if it has characters outside the Base64 alphabet; nothing changes
    /// (rule B11).
    pub fn set_logon_correlation_data(&self, data: impl AsRef<str>) -> Result<()> {
        let data = data.as_ref();
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
        if !data.bytes().all(allowed) {
            return Err(ErrorContext::new("set the logon correlation data to", data)
                .with_reason("only characters of the Base64 alphabet are allowed")
                .Usage());
        }
        self.shared().settings.lock().logon_correlation_data = data.to_string();
        Ok(())
    }

    /// The token that goes out with every logon; empty if there is none.
    pub fn logon_correlation_data(&self) -> String {
        self.shared().settings.lock().logon_correlation_data.clone()
    }

    /// Connects to the server at `uri` and starts the receive thread.
    ///
    /// The name look-up, the dial, the TLS handshake and the HTTP preflight together take no longer
    /// than [`set_connect_timeout`](Client::set_connect_timeout) and end at once when another thread
    /// calls [`disconnect`](Client::disconnect). Returns when the thread created callback and the
    /// listeners of the state `Connected` have run on the receive thread. Most servers want a
    /// [`logon`](Client::logon) next. Guide §3.2; rules A1 to A7, B1 to B3.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyConnected`]: nothing changed. [`Error::InvalidUri`],
    /// [`Error::TransportType`], [`Error::MessageType`], [`Error::InvalidTransportOptions`]: the
    /// connection string is wrong, nothing was opened. [`Error::ConnectionRefused`],
    /// [`Error::TimedOut`]: nobody answered; [`Error::Connection`]: the TLS handshake or the HTTP
    /// preflight failed. The client is disconnected and may try again. [`Error::Disconnected`]: `disconnect` was called meanwhile.
    pub fn connect(&self, uri: impl AsRef<str>) -> Result<()> {
        self.shared().connect(uri.as_ref())
    }

    /// Logs on with the credentials of the connection string; waits up to 10 s for the answer.
    ///
    /// Guide §3.2, §3.3; rules B4 to B12.
    ///
    /// # Errors
    ///
    /// As [`Client::logon_with`].
    pub fn logon(&self) -> Result<()> {
        self.logon_with(LogonOptions::default())
    }

    /// Logs on.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`]: there is no connection, or it was lost while waiting.
    /// [`Error::Authentication`], [`Error::NotEntitled`], [`Error::NameInUse`],
    /// [`Error::MessageTypeNotFound`] and the like: the server refused, and closes the connection.
    /// [`Error::RetryOperation`]: it asked for another attempt three times.
    /// [`Error::TimedOut`]: no answer; the connection is still there.
    /// [`Error::Usage`]: called from a handler of this client, or an `HaClient` does it.
    ///
    /// What follows the server's word is part of the logon, and if it fails the client is
    /// disconnected, without the disconnect handler being called: [`Error::Store`] if offline
    /// records of the publish store have numbers that the server has seen and cannot be given new
    /// ones, or the store cannot be read; [`Error::PublishStoreGap`] if the server lags behind the
    /// store and that is to be an error; whatever a subscription that is entered again failed with.
    /// Stores and tracked subscriptions stay as they are.
    pub fn logon_with(&self, options: LogonOptions) -> Result<()> {
        self.shared().logon(&options)
    }

    /// Ends the connection.
    ///
    /// What was published is delivered: the writing side is closed first, and the socket only
    /// when the server has closed its own, or after the lesser of the option `tcp_linger` and 1 s.
    /// Every waiting call ends with [`Error::Disconnected`], every stream after the messages that
    /// are queued in it. Returns when the receive thread has ended, or, if a handler is still
    /// running, after 2 s at the latest. No disconnect handler is called, also not if the
    /// connection was about to be lost. Settings and callbacks stay, and so does what is in the
    /// publish store; subscriptions do not, also not in the subscription manager.
    ///
    /// Disconnecting a client that is not connected does nothing, except that it waits for a
    /// disconnect that another thread has begun, and, for a second at most, for the thread that is
    /// making a loss good. May be called from any thread and cancels a `connect` in progress. In a handler it returns before the end: its thread goes on closing
    /// when the handler has returned. Rules B15, B16.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`]: the server did not confirm the end in time, so what was sent last
    /// may not have arrived; the client is disconnected all the same. With `tcp_linger=0` nothing
    /// is waited for, nothing is known of what was sent last, and that is no error. Publishes that
    /// were collected and did not leave at all are one in any case, which tells how many they are
    /// (see [`set_publish_batching`](Client::set_publish_batching)).
    pub fn disconnect(&self) -> Result<()> {
        let shared = self.shared();
        shared.check_not_in_store(|| ErrorContext::new("disconnect", shared.name()))?;
        shared.disconnect()
    }

    /// The same as [`Client::disconnect`].
    ///
    /// # Errors
    ///
    /// As [`Client::disconnect`].
    pub fn close(&self) -> Result<()> {
        self.disconnect()
    }

    /// True from a successful `connect` until the connection is lost or closed.
    pub fn is_connected(&self) -> bool {
        self.shared().state.lock().connection.is_some()
    }

    /// True from a successful logon until the connection is lost or closed.
    pub fn is_logged_on(&self) -> bool {
        self.shared().state.lock().session.is_some()
    }

    /// The connection string last given to `connect`, as it was given: with its password.
    pub fn uri(&self) -> Option<String> {
        self.shared().state.lock().last_uri.clone()
    }

    /// The version of the server, as the logon acknowledgement told; 0.0.0.0 before the logon.
    pub fn server_version_info(&self) -> VersionInfo {
        self.session(|session| session.version)
    }

    /// The version of the server as a number that can be compared; 0 before the logon.
    pub fn server_version(&self) -> u64 {
        self.server_version_info().to_number()
    }

    /// The publisher id that the server made of the client's name; empty before the logon.
    pub fn name_hash(&self) -> String {
        self.session(|session| session.name_hash.clone())
    }

    /// [`Client::name_hash`] as a number; 0 before the logon, and if it is none.
    pub fn name_hash_value(&self) -> u64 {
        self.name_hash().parse().unwrap_or(0)
    }

    fn session<T: Default>(&self, read: impl FnOnce(&shared::Session) -> T) -> T {
        let state = self.shared().state.lock();
        state.session.as_ref().map(read).unwrap_or_default()
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }
}

/// A name from the clock, the process and a count.
fn unique_name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let clock = since_epoch.unwrap_or_default().as_nanos();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("amps-{clock:x}-{}-{count}", std::process::id())
}

/// The name and the last connection string; never a password.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared().state.lock();
        let uri = state.connection.as_ref().map(|live| live.uri.to_string());
        let logged_on = state.session.is_some();
        drop(state);
        f.debug_struct("Client")
            .field("name", &self.name())
            .field("connected_to", &uri)
            .field("logged_on", &logged_on)
            .finish()
    }
}
