//! TCP and Unix sockets, with plain blocking calls.

use super::{Addresses, Transport, no_space_in_time};
#[cfg(unix)]
use rustix::io::Errno;
#[cfg(unix)]
use rustix::net::{SendAncillaryBuffer, SendFlags, send, sendmsg};
use socket2::SockRef;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

pub(crate) struct SocketTransport<S> {
    stream: S,
}

/// No signal where the peer is gone. Where there is no such flag, the socket was made with an option
/// that does the same.
#[cfg(all(unix, not(target_vendor = "apple")))]
const NO_SIGNAL: SendFlags = SendFlags::NOSIGNAL;
#[cfg(target_vendor = "apple")]
const NO_SIGNAL: SendFlags = SendFlags::empty();

impl<S> SocketTransport<S>
where
    for<'a> &'a S: Read + Write,
    for<'a> SockRef<'a>: From<&'a S>,
{
    pub(crate) fn new(stream: S) -> SocketTransport<S> {
        SocketTransport { stream }
    }

    /// The call itself, without the one of the C library around it, which costs a small write more
    /// than all that we add to it.
    #[cfg(unix)]
    #[inline]
    fn write_one(&self, mut bytes: &[u8]) -> io::Result<()> {
        let socket = SockRef::from(&self.stream);
        while !bytes.is_empty() {
            match send(&*socket, bytes, NO_SIGNAL) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => bytes = &bytes[count..],
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    #[cfg(not(unix))]
    fn write_one(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.stream).write_all(bytes)
    }

    fn write_both(&self, mut header: &[u8], mut payload: &[u8]) -> io::Result<()> {
        while !header.is_empty() {
            match self.send_both([IoSlice::new(header), IoSlice::new(payload)]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    let of_header = count.min(header.len());
                    header = &header[of_header..];
                    payload = &payload[count - of_header..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.write_one(payload)
    }

    /// A vectored write of the standard library raises the signal.
    #[cfg(unix)]
    fn send_both(&self, parts: [IoSlice<'_>; 2]) -> io::Result<usize> {
        let (socket, mut nothing) = (SockRef::from(&self.stream), SendAncillaryBuffer::default());
        Ok(sendmsg(&*socket, &parts, &mut nothing, NO_SIGNAL)?)
    }

    #[cfg(not(unix))]
    fn send_both(&self, parts: [IoSlice<'_>; 2]) -> io::Result<usize> {
        (&self.stream).write_vectored(&parts)
    }
}

impl<S: Send + Sync> Transport for SocketTransport<S>
where
    for<'a> &'a S: Read + Write,
    for<'a> SockRef<'a>: From<&'a S>,
{
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.stream).read(buffer)
    }

    fn write_all(&self, header: &[u8], payload: &[u8]) -> io::Result<()> {
        let written = if payload.is_empty() {
            self.write_one(header)
        } else {
            self.write_both(header, payload)
        };
        written.map_err(|error| match error.kind() {
            // How a blocking socket tells that its write timeout is over.
            io::ErrorKind::WouldBlock => no_space_in_time(),
            _ => error,
        })
    }

    #[cfg(unix)]
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let flags = NO_SIGNAL | SendFlags::DONTWAIT;
        Ok(send(&*SockRef::from(&self.stream), bytes, flags)?)
    }

    /// Without a call that does not wait, all is left to the thread that may wait.
    #[cfg(not(unix))]
    fn try_write(&self, _bytes: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn set_timeouts(&self, timeout: Option<Duration>) -> io::Result<()> {
        let socket = SockRef::from(&self.stream);
        // What is below the resolution of the system would be rounded down to "none".
        let timeout = timeout.map(|timeout| timeout.max(Duration::from_millis(1)));
        socket.set_read_timeout(timeout)?;
        socket.set_write_timeout(timeout)
    }

    // Shutting down fails only if the connection is gone already.

    fn shutdown_write(&self, _until: Instant) {
        let _ = SockRef::from(&self.stream).shutdown(Shutdown::Write);
    }

    fn shutdown(&self) {
        let _ = SockRef::from(&self.stream).shutdown(Shutdown::Both);
    }

    fn abandon_unsent(&self) {
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    fn addresses(&self) -> Addresses {
        Addresses::of(&SockRef::from(&self.stream))
    }
}

#[cfg(all(test, unix))]
mod tests;
