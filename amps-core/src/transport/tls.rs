//! TLS over TCP.
//!
//! A TLS session cannot be split into a reading and a writing half. So it sits behind a lock that
//! is held only for calls that cannot block, over a socket that does not block; whoever has to
//! wait for the socket does so outside the lock. A writer that waits for space never keeps the
//! reader from draining, nor the other way round.

use super::nonblocking::NonBlocking;
use super::patience::{Patience, ready};
use super::{Addresses, Transport, no_space_in_time};
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

/// Why there is no session.
pub(super) enum HandshakeFailure {
    /// The handshake itself, such as a certificate that is not trusted.
    Tls(native_tls::Error),
    /// The socket, the time was over, or the dial was cancelled.
    Socket(io::Error),
}

/// Does the handshake over a socket that is just connected, within the bounds of the dial.
pub(super) fn handshake(
    connector: &TlsConnector,
    host: &str,
    stream: TcpStream,
    patience: Patience<'_>,
) -> Result<TlsTransport, HandshakeFailure> {
    let failed = HandshakeFailure::Socket;
    stream.set_nonblocking(true).map_err(failed)?;
    let socket = Arc::new(stream);
    let mut step = connector.connect(host, NonBlocking::new(socket.clone()));
    loop {
        match step {
            Ok(stream) => return Ok(TlsTransport::new(socket, stream)),
            Err(HandshakeError::Failure(error)) => return Err(HandshakeFailure::Tls(error)),
            Err(HandshakeError::WouldBlock(mut begun)) => {
                begun.get_mut().flush_backlog().map_err(failed)?;
                let interest = begun.get_ref().interest();
                patience
                    .wait(&SockRef::from(&*socket), interest)
                    .map_err(failed)?;
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

struct Session {
    stream: TlsStream<NonBlocking>,
    /// How many bytes of the application are encrypted and in the backlog: they count as written
    /// when the socket has taken them.
    unsent: usize,
    /// A write has failed, in the middle of a frame perhaps: nothing may follow it.
    broken: bool,
}

/// What a call of a session has done, or what it waits for.
type Attempt = io::Result<Result<usize, PollFlags>>;

impl Session {
    /// Reads what is there.
    fn try_read(&mut self, buffer: &mut [u8]) -> Attempt {
        // If the socket takes nothing any more, there may still be something to read.
        self.broken |= self.stream.get_mut().flush_backlog().is_err();
        match self.stream.read(buffer) {
            Ok(count) => Ok(Ok(count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Ok(Err(self.stream.get_ref().interest()))
            }
            // An end without the message that should announce it. Over plain TCP that is an end,
            // too: whether it was in the middle of a message is seen by the length of the frame.
            Err(_) if self.stream.get_ref().has_ended() => Ok(Ok(0)),
            Err(error) => Err(error),
        }
    }

    /// Writes one record. What is not written yet must come first in the next call.
    fn try_write(&mut self, bytes: &[u8]) -> Attempt {
        if self.broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let attempt = self.try_record(bytes);
        self.broken = attempt.is_err();
        attempt
    }

    fn try_record(&mut self, bytes: &[u8]) -> Attempt {
        if !self.stream.get_mut().flush_backlog()? {
            return Ok(Err(PollFlags::OUT));
        }
        if self.unsent > 0 {
            return Ok(Ok(std::mem::take(&mut self.unsent)));
        }
        let count = loop {
            match self.stream.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Err(PollFlags::IN));
                }
                written => break written?,
            }
        };
        if self.stream.get_mut().flush_backlog()? {
            return Ok(Ok(count));
        }
        self.unsent = count;
        Ok(Err(PollFlags::OUT))
    }
}

impl TlsTransport {
    fn new(socket: Arc<TcpStream>, stream: TlsStream<NonBlocking>) -> TlsTransport {
        TlsTransport {
            socket,
            session: Mutex::new(Session {
                stream,
                unsent: 0,
                broken: false,
            }),
            timeout: AtomicU64::new(0),
        }
    }

    /// The socket under the session, for waiting.
    pub(super) fn socket(&self) -> SockRef<'_> {
        SockRef::from(&*self.socket)
    }

    fn timeout(&self) -> Option<Duration> {
        match self.timeout.load(Ordering::Acquire) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    /// Waits until a write can go on that waits for `interest` and is stuck `since` then.
    fn wait_to_write(&self, interest: PollFlags, since: Instant) -> io::Result<()> {
        let mut left = match self.timeout() {
            None => None,
            Some(timeout) => match timeout.saturating_sub(since.elapsed()) {
                Duration::ZERO => return Err(no_space_in_time()),
                left => Some(left),
            },
        };
        if interest != PollFlags::OUT {
            left = Some(left.map_or(LOOK_AGAIN, |left| left.min(LOOK_AGAIN)));
        }
        ready(&self.socket(), interest, left).map(drop)
    }
}

impl Transport for TlsTransport {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let timeout = self.timeout();
        loop {
            let attempt = self.session.lock().try_read(buffer)?;
            let interest = match attempt {
                Ok(count) => return Ok(count),
                Err(interest) => interest,
            };
            if !ready(&self.socket(), interest, timeout)? {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }

    fn write_all(&self, header: &[u8], payload: &[u8]) -> io::Result<()> {
        // How much was sent when this began to wait, and since when it waits.
        let mut stuck = None;
        for mut bytes in [header, payload] {
            while !bytes.is_empty() {
                // The lock is let go of after each record, so that the reader gets its turn.
                let (attempt, sent) = {
                    let mut session = self.session.lock();
                    (session.try_write(bytes)?, session.stream.get_ref().sent())
                };
                let interest = match attempt {
                    Ok(count) => {
                        bytes = &bytes[count..];
                        continue;
                    }
                    Err(interest) => interest,
                };
                let since = match stuck {
                    Some((then, since)) if then == sent => since,
                    _ => stuck.insert((sent, Instant::now())).1,
                };
                if let Err(error) = self.wait_to_write(interest, since) {
                    self.session.lock().broken = true;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let attempt = self.session.lock().try_write(bytes)?;
        attempt.map_err(|_| io::ErrorKind::WouldBlock.into())
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
        // Fails if the connection is gone: then there is nobody to say it to.
        let _ = session.stream.shutdown();
        while let Ok(false) = session.stream.get_mut().flush_backlog() {
            let left = until.saturating_duration_since(Instant::now());
            let waited = MutexGuard::unlocked(&mut session, || {
                ready(&self.socket(), PollFlags::OUT, Some(left))
            });
            if !matches!(waited, Ok(true)) {
                break;
            }
        }
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    fn shutdown(&self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    fn abandon_unsent(&self) {
        let _ = self.socket().set_linger(Some(Duration::ZERO));
    }

    fn addresses(&self) -> Addresses {
        Addresses::of(&self.socket())
    }
}

/// Without waiting, for the preflight.
impl Read for &TlsTransport {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let attempt = self.session.lock().try_read(buffer)?;
        attempt.map_err(|_| io::ErrorKind::WouldBlock.into())
    }
}

/// Without waiting, for the preflight.
impl Write for &TlsTransport {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
