//! What a client has sent and received, for monitoring.

use super::Client;
use super::shared::Shared;
use crate::connection_info::ConnectionInfo;
use crate::uri::AmpsUri;
#[cfg(doc)]
use crate::{Error, MessageStream};
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of a client since it was made, over all its connections.
///
/// ```
/// let client = amps_core::Client::new("fresh");
/// assert_eq!(client.stats(), amps_core::ClientStats::default());
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientStats {
    /// Frames that were handed on to be sent; publishes that wait in a batch are among them.
    pub frames_sent: u64,
    /// Bytes that the operating system took, before encryption.
    pub bytes_sent: u64,
    /// Frames that came in; a batch of records is one.
    pub frames_received: u64,
    /// Bytes of these frames, after decryption.
    pub bytes_received: u64,
    /// Connections that were made.
    pub connections: u64,
    /// Messages that wait to be read between the receive thread and all streams.
    pub stream_depth: usize,
    /// Commands in the publish store that the server has not persisted; 0 without a store.
    pub unpersisted: usize,
}

impl ClientStats {
    /// How often the client has connected again.
    pub fn reconnects(&self) -> u64 {
        self.connections.saturating_sub(1)
    }
}

/// The counters behind [`ClientStats`]. Each has one writer at a time: the holder of the send lock,
/// the receive thread, or the holder of the state lock.
#[derive(Default)]
pub(crate) struct Traffic {
    pub(crate) frames_sent: Counter,
    pub(crate) bytes_sent: Counter,
    pub(crate) frames_received: Counter,
    pub(crate) bytes_received: Counter,
    pub(crate) connections: Counter,
}

/// A number that one thread at a time changes and any thread reads.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Two plain instructions: there is no other writer.
    #[inline]
    pub(crate) fn add(&self, count: usize) {
        let sum = self.get().wrapping_add(count as u64);
        self.0.store(sum, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Monitoring.
impl Client {
    /// What this client has sent and received so far. Cheap; fine in a handler.
    pub fn stats(&self) -> ClientStats {
        let traffic = &self.shared().traffic;
        ClientStats {
            frames_sent: traffic.frames_sent.get(),
            bytes_sent: traffic.bytes_sent.get(),
            frames_received: traffic.frames_received.get(),
            bytes_received: traffic.bytes_received.get(),
            connections: traffic.connections.get(),
            stream_depth: self.shared().routes.stream_depth(),
            unpersisted: self.unpersisted_count(),
        }
    }

    /// What is known of the connection in use, or if there is none of the last one that was tried;
    /// never a password.
    pub fn connection_info(&self) -> ConnectionInfo {
        self.shared().connection_info()
    }
}

impl Shared {
    fn connection_info(&self) -> ConnectionInfo {
        let (live, last, version) = {
            let state = self.state.lock();
            let version = state.session.as_ref().map(|session| session.version);
            (state.connection.clone(), state.last_uri.clone(), version)
        };
        let uri = match &live {
            Some(live) => Some(live.uri.clone()),
            None => last.and_then(|uri| AmpsUri::parse(uri).ok()),
        };
        let mut info = ConnectionInfo::of_attempt(uri.as_ref(), &self.name());
        if let Some(live) = live {
            let addresses = live.transport.addresses();
            info.add("local_address", addresses.local);
            info.add("remote_address", addresses.remote);
        }
        if let Some(version) = version {
            info.add("server_version", version.to_string());
        }
        info
    }
}
