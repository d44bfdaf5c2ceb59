//! The client that stays connected.

use crate::chooser::{DefaultServerChooser, ServerChooser};
use crate::delay::{ExponentialDelayStrategy, FixedDelayStrategy, ReconnectDelayStrategy};
use crate::reconnect::{Reconnect, Settings};
#[cfg(doc)]
use amps_core::{Authenticator, Error, LogonOptions};
use amps_core::{Client, MemorySubscriptionManager, Result};
use amps_stores::{
    BookmarkFileOptions, FilePublishStore, FileStoreOptions, MemoryBookmarkStore,
    MemoryPublishStore, MmapBookmarkStore,
};
use std::fmt;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// For how many messages of up to 2 KiB the memory publish store has room before it grows, and its
/// resize handler is asked.
const MEMORY_STORE: usize = 10_000;

/// A [`Client`] that connects by itself, again and again, and loses nothing on the way.
///
/// It asks its [`ServerChooser`] for a server and its [`ReconnectDelayStrategy`] for a wait, and
/// goes on until it is logged on. Then, as after every logon, what the publish store holds is
/// replayed and subscriptions that were placed with a handler are entered again, bookmark
/// subscriptions where they left off. When the connection is lost, the thread of that connection
/// does all of this again; meanwhile publishes are stored, and commands that wait for the server
/// wait through it, within their own timeouts. Message streams end with their connection.
///
/// It dereferences to [`Client`], so everything that takes a `&Client` takes it, and
/// [`disconnect`](Client::disconnect) through either ends the reconnecting. `connect` and `logon`
/// are refused: use [`connect_and_logon`](HaClient::connect_and_logon). Clones are handles of one
/// client; when the last of them is dropped, it disconnects, also if plain handles and streams live
/// on. Guide chapter 9; rules J.
///
/// ```no_run
/// use amps_ha::{DefaultServerChooser, HaClient};
///
/// let client = HaClient::memory_backed("orders-publisher");
/// client.set_server_chooser(
///     DefaultServerChooser::new()
///         .add("tcp://primary:9007/amps/json")
///         .add("tcp://secondary:9007/amps/json"),
/// );
/// client.connect_and_logon()?;
/// client.publish("orders", r#"{"id":1,"qty":100}"#)?;
/// # Ok::<(), amps_core::Error>(())
/// ```
#[derive(Clone)]
pub struct HaClient {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    reconnect: Arc<Reconnect>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Nobody is left to hear of an error.
        let _ = self.client.disconnect();
    }
}

impl Deref for HaClient {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.inner.client
    }
}

impl HaClient {
    /// A client without stores: publishes need a connection, and bookmark subscriptions start anew.
    ///
    /// Give it stores of your own with [`Client::set_publish_store`] and
    /// [`Client::set_bookmark_store`]. Subscriptions are entered again by a
    /// [`MemorySubscriptionManager`], and commands are retried
    /// ([`Client::set_retry_on_disconnect`]). The name should be unique among the clients of a
    /// server and stay the same from run to run.
    pub fn new(name: impl AsRef<str>) -> HaClient {
        let client = Client::new(name);
        // A client that is not connected refuses none of this.
        let _ = client.set_subscription_manager(Arc::new(MemorySubscriptionManager::new()));
        client.set_retry_on_disconnect(true);
        let settings = Settings {
            timeout: Duration::from_secs(10),
            logon_options: String::new(),
            reconnect_delay: Duration::from_millis(200),
        };
        let reconnect = Arc::new(Reconnect::new(
            settings,
            DefaultServerChooser::new(),
            ExponentialDelayStrategy::new(),
        ));
        client.install_supervisor(reconnect.clone());
        HaClient {
            inner: Arc::new(Inner { client, reconnect }),
        }
    }

    /// A client with stores in memory: nothing is lost with a connection, everything with the
    /// process. Guide §9.2.
    pub fn memory_backed(name: impl AsRef<str>) -> HaClient {
        let client = HaClient::new(name);
        let _ = client.set_publish_store(Arc::new(MemoryPublishStore::new(MEMORY_STORE)));
        let _ = client.set_bookmark_store(Arc::new(MemoryBookmarkStore::new()));
        client
    }

    /// A client with stores in two files, which are made or recovered: nothing is lost with the
    /// process. Guide §9.2.
    ///
    /// # Errors
    ///
    /// [`Error::Store`]: a file cannot be opened, is in use, is damaged, or is of another client;
    /// it is left as it was.
    pub fn file_backed(
        name: impl AsRef<str>,
        publish_path: impl AsRef<Path>,
        bookmark_path: impl AsRef<Path>,
    ) -> Result<HaClient> {
        let name = name.as_ref();
        let options = FileStoreOptions::new().set_client_name(name);
        let publishes = FilePublishStore::open(publish_path, options)?;
        let options = BookmarkFileOptions::new().set_client_name(name);
        let bookmarks = MmapBookmarkStore::open_with(bookmark_path, options)?;
        let client = HaClient::new(name);
        client.set_publish_store(Arc::new(publishes))?;
        client.set_bookmark_store(Arc::new(bookmarks))?;
        Ok(client)
    }

    /// Connects to the first server that takes it, logs on, and recovers: publishes that are stored
    /// are replayed, subscriptions entered again. Blocks until that is done.
    ///
    /// If another thread is at it already, or the client is just reconnecting, this waits for the
    /// result of that. Choosers, strategies and authenticators run on this thread. Guide §9.3.
    ///
    /// # Errors
    ///
    /// [`Error::Connection`]: the chooser has no server (its own words are in the reason), or the
    /// strategy gave up (its error is the source). [`Error::Store`]: the publish store cannot agree
    /// with the server on numbers, or cannot be read; its records stay. [`Error::Disconnected`]:
    /// `disconnect` was called meanwhile. [`Error::AlreadyConnected`]: nothing changed.
    /// [`Error::Usage`]: called from a handler of this client, or from a callback of the recovery.
    pub fn connect_and_logon(&self) -> Result<()> {
        let (client, reconnect) = (&self.inner.client, &self.inner.reconnect);
        match client.begin_recovery()? {
            Some(recovery) => reconnect.connect(recovery),
            None => client.wait_for_recovery(),
        }
    }

    /// True when it is not connected, whether or not it is reconnecting.
    pub fn disconnected(&self) -> bool {
        !self.is_connected()
    }

    /// Sets how long one attempt may take: dial, TLS and logon together; zero is no limit. Default
    /// 10 s. The time of all attempts is limited by the delay strategy.
    pub fn set_timeout(&self, timeout: Duration) {
        self.inner.reconnect.settings.lock().timeout = timeout;
    }

    /// How long one attempt may take.
    pub fn timeout(&self) -> Duration {
        self.inner.reconnect.settings.lock().timeout
    }

    /// Sets the options of every logon; see [`LogonOptions::set_options`]. Default: none.
    pub fn set_logon_options(&self, options: impl AsRef<str>) {
        let options = options.as_ref().to_string();
        self.inner.reconnect.settings.lock().logon_options = options;
    }

    /// The options of every logon.
    pub fn logon_options(&self) -> String {
        self.inner.reconnect.settings.lock().logon_options.clone()
    }

    /// Waits this long before every attempt: sets a [`FixedDelayStrategy`].
    pub fn set_reconnect_delay(&self, delay: Duration) {
        self.set_reconnect_delay_strategy(FixedDelayStrategy::new(delay));
        self.inner.reconnect.settings.lock().reconnect_delay = delay;
    }

    /// The delay last set; 200 ms if none was, zero with a strategy of one's own.
    pub fn reconnect_delay(&self) -> Duration {
        self.inner.reconnect.settings.lock().reconnect_delay
    }

    /// Sets who says how long to wait before an attempt; from the next attempt on. Default:
    /// [`ExponentialDelayStrategy`].
    ///
    /// Its `reset` is called after each success; only while connections are lost within a second of
    /// being made it is not, so that a server that keeps nobody is not stormed.
    pub fn set_reconnect_delay_strategy(&self, strategy: impl ReconnectDelayStrategy + 'static) {
        self.inner.reconnect.set_delays(strategy);
        self.inner.reconnect.settings.lock().reconnect_delay = Duration::ZERO;
    }

    /// Sets who names the servers; from the next attempt on. Default: a [`DefaultServerChooser`]
    /// without servers.
    pub fn set_server_chooser(&self, chooser: impl ServerChooser + 'static) {
        self.inner.reconnect.set_chooser(chooser);
    }
}

impl fmt::Debug for HaClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HaClient").field(&self.inner.client).finish()
    }
}
