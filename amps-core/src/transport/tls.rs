//! TLS over TCP.
//!
//! A TLS session cannot be split into a reading and a writing half. So it sits behind a lock that
//! is held only for calls that cannot block, over a socket that does not block; whoever has to
//! wait for the socket does so outside the lock. A writer that waits for space never keeps the
//! reader from draining, nor the other way round.

use super::nonblocking::NonBlocking;
use super::patience::{Patience, ready};
use super::{Transport, no_space_in_time};
use native_tls::{HandshakeError, TlsConnector, TlsStream};
use parking_lot::{Mutex, MutexGuard};
use rustix::event::PollFlags;
use socket2::SockRef;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A writer that needs input, in the middle of a handshake that the peer began anew, looks again
/// after this long: the reader may have taken that input.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A session whose handshake is done.
pub(super) type Session = TlsStream<NonBlocking>;

/// Why there is no session.
pub(super) enum HandshakeFailure {
    /// The handshake itself, such as a certificate that is not trusted.
    Tls(native_tls::Error),
    /// The time was over, or the dial was cancelled.
    Waiting(io::Error),
}

/// Does the handshake over a socket that is just connected, within the bounds of the dial.
pub(super) fn handshake(
    connector: &TlsConnector,
    host: &str,
    stream: TcpStream,
    patience: Patience<'_>,
) -> Result<TlsTransport, HandshakeFailure> {
    stream
        .set_nonblocking(true)
        .map_err(HandshakeFailure::Waiting)?;
    let socket = Arc::new(stream);
    let mut step = connector.connect(host, NonBlocking::new(socket.clone()));
    loop {
        match step {
            Ok(session) => return Ok(TlsTransport::new(socket, session)),
            Err(HandshakeError::Failure(error)) => return Err(HandshakeFailure::Tls(error)),
            Err(HandshakeError::WouldBlock(begun)) => {
                let interest = begun.get_ref().blocked_on();
                patience
                    .wait(&SockRef::from(&*socket), interest)
                    .map_err(HandshakeFailure::Waiting)?;
                step = begun.handshake();
            }
        }
    }
}

pub(super) struct TlsTransport {
    /// The socket under the session, for waiting and for shutting down.
    socket: Arc<TcpStream>,
    session: Mutex<Session>,
    /// In nanoseconds; 0 is none.
    timeout: AtomicU64,
}

impl TlsTransport {
    fn new(socket: Arc<TcpStream>, session: Session) -> TlsTransport {
        TlsTransport {
            socket,
            session: Mutex::new(session),
            timeout: AtomicU64::new(0),
        }
    }

    /// The session and its socket, before any other thread knows of them.
    pub(super) fn parts(&mut self) -> (&TcpStream, &mut Session) {
        (&self.socket, self.session.get_mut())
    }

    fn timeout(&self) -> Option<Duration> {
        match self.timeout.load(Ordering::Acquire) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    fn ready(&self, interest: PollFlags, timeout: Option<Duration>) -> io::Result<bool> {
        ready(&SockRef::from(&*self.socket), interest, timeout)
    }

    /// Writes one record; else says what to wait for.
    fn try_record(&self, bytes: &[u8]) -> io::Result<Result<usize, PollFlags>> {
        let mut session = self.session.lock();
        match session.write(bytes) {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => Ok(Ok(count)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Ok(0)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Ok(Err(session.get_ref().blocked_on()))
            }
            Err(error) => Err(error),
        }
    }

    /// Waits until a write can go on that has met `blocked_on` and is stuck `since` then.
    fn wait_to_write(&self, blocked_on: PollFlags, since: Instant) -> io::Result<()> {
        let mut left = match self.timeout() {
            None => None,
            Some(timeout) => match timeout.saturating_sub(since.elapsed()) {
                Duration::ZERO => return Err(no_space_in_time()),
                left => Some(left),
            },
        };
        if blocked_on != PollFlags::OUT {
            left = Some(left.map_or(LOOK_AGAIN, |left| left.min(LOOK_AGAIN)));
        }
        self.ready(blocked_on, left).map(drop)
    }
}

/// Reads what is there; else says what to wait for.
fn try_read(session: &mut Session, buffer: &mut [u8]) -> io::Result<Result<usize, PollFlags>> {
    let socket = session.get_mut();
    // If the socket takes nothing any more, there may still be something to read.
    let _ = socket.flush_backlog();
    socket.set_buffering(true);
    let read = session.read(buffer);
    let socket = session.get_mut();
    socket.set_buffering(false);
    match read {
        Ok(count) => Ok(Ok(count)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            let mut interest = socket.blocked_on();
            if socket.has_backlog() {
                interest |= PollFlags::OUT;
            }
            Ok(Err(interest))
        }
        // An end without the message that should announce it. Over plain TCP that is an end, too:
        // whether it was in the middle of a message is seen by the length of the frame.
        Err(_) if socket.has_ended() => Ok(Ok(0)),
        Err(error) => Err(error),
    }
}

impl Transport for TlsTransport {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let timeout = self.timeout();
        loop {
            let attempt = try_read(&mut self.session.lock(), buffer)?;
            let interest = match attempt {
                Ok(count) => return Ok(count),
                Err(interest) => interest,
            };
            if !self.ready(interest, timeout)? {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }

    fn write_all(&self, header: &[u8], payload: &[u8]) -> io::Result<()> {
        let mut stuck_since = None;
        for mut bytes in [header, payload] {
            while !bytes.is_empty() {
                // The lock is let go of after each record, so that the reader gets its turn.
                let blocked_on = match self.try_record(bytes)? {
                    Ok(count) => {
                        bytes = &bytes[count..];
                        stuck_since = None;
                        continue;
                    }
                    Err(blocked_on) => blocked_on,
                };
                let since = *stuck_since.get_or_insert_with(Instant::now);
                self.wait_to_write(blocked_on, since)?;
            }
        }
        Ok(())
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.session.lock().write(bytes)
    }

    fn set_timeouts(&self, timeout: Option<Duration>) -> io::Result<()> {
        let nanos = timeout.map_or(0, |timeout| {
            u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX).max(1)
        });
        self.timeout.store(nanos, Ordering::Release);
        Ok(())
    }

    fn shutdown_write(&self, until: Instant) {
        let mut session = self.session.lock();
        session.get_mut().set_buffering(true);
        // Fails if a record is half written, or the connection is gone: then the end of the
        // stream itself has to do.
        let _ = session.shutdown();
        session.get_mut().set_buffering(false);
        while let Ok(false) = session.get_mut().flush_backlog() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited =
                MutexGuard::unlocked(&mut session, || self.ready(PollFlags::OUT, Some(left)));
            if waited.is_err() {
                break;
            }
        }
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    fn shutdown(&self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    fn abandon_unsent(&self) {
        let _ = SockRef::from(&*self.socket).set_linger(Some(Duration::ZERO));
    }
}
