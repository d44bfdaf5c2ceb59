//! A connection whose socket does what a test says, for the moments that no server can time.

use super::connection::Connection;
use super::shared::Shared;
use crate::transport::{Addresses, Transport};
use crate::uri::AmpsUri;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A socket: takes everything and shows it, or nothing.
struct Socket {
    written: Sender<Vec<u8>>,
    /// Present if it takes nothing: a write that waits says so, and fails when it is released.
    full: Option<(Sender<()>, Receiver<()>)>,
}

impl Transport for Socket {
    fn read(&self, _: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }

    fn write_all(&self, header: &[u8], payload: &[u8]) -> io::Result<()> {
        if let Some((waits, release)) = &self.full {
            let _ = waits.send(());
            let _ = release.recv_timeout(PATIENCE);
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let _ = self.written.send([header, payload].concat());
        Ok(())
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        if self.full.is_some() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let _ = self.written.send(bytes.to_vec());
        Ok(bytes.len())
    }

    fn set_timeouts(&self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn shutdown_write(&self, _: Instant) {}

    fn shutdown(&self) {}

    fn abandon_unsent(&self) {}

    fn addresses(&self) -> Addresses {
        Addresses::default()
    }
}

/// A connection that takes everything, and what it takes.
pub(crate) fn open(number: u64) -> (Arc<Connection>, Receiver<Vec<u8>>) {
    let (written, taken) = unbounded();
    (
        connection(
            number,
            Socket {
                written,
                full: None,
            },
        ),
        taken,
    )
}

/// A connection that takes nothing; tells when a write waits, which fails when it is released.
pub(crate) fn full(number: u64) -> (Arc<Connection>, Receiver<()>, Sender<()>) {
    let (waits, is_waiting) = unbounded();
    let (release, released) = bounded(1);
    let socket = Socket {
        written: unbounded().0,
        full: Some((waits, released)),
    };
    (connection(number, socket), is_waiting, release)
}

#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
fn connection(number: u64, socket: Socket) -> Arc<Connection> {
    let uri = AmpsUri::parse("tcp://127.0.0.1:9007/amps/json").unwrap();
    let announced = bounded(0).1;
    Arc::new(Connection::new(number, uri, Box::new(socket), announced))
}

/// Makes it the connection in use.
pub(crate) fn connect(shared: &Shared, connection: &Arc<Connection>) {
    shared.state.lock().connection = Some(connection.clone());
}

/// A frame around a body.
pub(crate) fn framed(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_be_bytes(), body].concat()
}
