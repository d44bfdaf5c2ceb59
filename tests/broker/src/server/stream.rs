//! The socket of a connection: TCP, TLS or Unix.

use super::tls::TlsStream;
#[cfg(unix)]
use rustix::net::SendFlags;
use socket2::SockRef;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Used by two threads at once: one reads, one writes.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Tls(Box<TlsStream>),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Stream {
    fn socket(&self) -> SockRef<'_> {
        match self {
            Stream::Tcp(stream) => stream.into(),
            Stream::Tls(stream) => stream.socket().into(),
            #[cfg(unix)]
            Stream::Unix(stream) => stream.into(),
        }
    }

    /// Sends what goes out at once without waiting. TLS leaves all of it to the writer thread.
    #[cfg(unix)]
    pub(super) fn send_now(&self, bytes: &[u8]) -> io::Result<usize> {
        if matches!(self, Stream::Tls(_)) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        #[allow(unused_mut, reason = "not on every system")]
        let mut flags = SendFlags::DONTWAIT;
        // Where there is no such flag, the socket was made with an option that does the same.
        #[cfg(not(target_vendor = "apple"))]
        flags.insert(SendFlags::NOSIGNAL);
        Ok(rustix::net::send(&*self.socket(), bytes, flags)?)
    }

    #[cfg(not(unix))]
    pub(super) fn send_now(&self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Closes the writing side in good order, or both at once.
    pub(super) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if let (Stream::Tls(stream), Shutdown::Write) = (self, how) {
            stream.say_goodbye()?;
        }
        self.socket().shutdown(how)
    }

    pub(super) fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket().set_read_timeout(timeout)
    }
}

impl Read for &Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => (&mut &*stream).read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
            #[cfg(unix)]
            Stream::Unix(stream) => (&mut &*stream).read(buffer),
        }
    }
}

impl Write for &Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => (&mut &*stream).write(bytes),
            Stream::Tls(stream) => stream.write(bytes),
            #[cfg(unix)]
            Stream::Unix(stream) => (&mut &*stream).write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
