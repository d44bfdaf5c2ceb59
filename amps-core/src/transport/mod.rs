//! Sockets. Nothing outside this module touches `std::net`.

mod dial;
mod nonblocking;
mod patience;
mod preflight;
mod socket;
mod tls;

pub(crate) use dial::{DialSettings, dial};
pub(crate) use patience::{DialCancel, DialGuard};
pub(crate) use preflight::PreflightHeaders;

use socket2::{SockAddr, SockRef};
use std::io;
use std::time::{Duration, Instant};

/// One connected byte stream, used by several threads at once: one reads, one at a time writes.
///
/// There is one descriptor per connection; it is closed when the last reference is dropped.
pub(crate) trait Transport: Send + Sync {
    /// Waits for bytes; 0 at the end of the stream.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes a header and a payload in as few calls as the system allows; waits for space.
    fn write_all(&self, header: &[u8], payload: &[u8]) -> io::Result<()>;

    /// Writes what the system takes without waiting: `WouldBlock` if that is nothing.
    ///
    /// What is written next must begin with the bytes that were not taken: under TLS they may be
    /// encrypted already.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// How long reads and writes that start after this call wait without any progress.
    fn set_timeouts(&self, timeout: Option<Duration>) -> io::Result<()>;

    /// Tells the peer that nothing more comes; reading goes on. TLS has a last message to send,
    /// which may wait for space, but not beyond `until`.
    fn shutdown_write(&self, until: Instant);

    /// Ends both directions: wakes a thread that waits in `read` or `write_all`.
    fn shutdown(&self);

    /// Lets the coming close drop what was not sent, instead of sending it in the background.
    fn abandon_unsent(&self);

    /// Where the two ends are: `host:port`, or the path of a socket that has one.
    fn addresses(&self) -> Addresses;
}

/// The two ends of a connection; empty where the system does not tell.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    pub(crate) local: String,
    pub(crate) remote: String,
}

impl Addresses {
    fn of(socket: &SockRef<'_>) -> Addresses {
        let shown = |address: io::Result<SockAddr>| {
            let Ok(address) = address else {
                return String::new();
            };
            match address.as_socket() {
                Some(address) => address.to_string(),
                None => path_of(&address),
            }
        };
        Addresses {
            local: shown(socket.local_addr()),
            remote: shown(socket.peer_addr()),
        }
    }
}

#[cfg(unix)]
fn path_of(address: &SockAddr) -> String {
    let path = address.as_pathname();
    path.map(|path| path.display().to_string())
        .unwrap_or_default()
}

#[cfg(not(unix))]
fn path_of(_address: &SockAddr) -> String {
    String::new()
}

/// What a write timeout is called, whichever way the system tells of it.
fn no_space_in_time() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the peer takes no more data")
}
