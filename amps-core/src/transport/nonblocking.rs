//! The socket under a TLS session: it never blocks, and never refuses.

use rustix::event::PollFlags;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

/// More than this is never owed to a peer. A writer adds no record while there is a backlog, so
/// only a peer that asks for new keys again and again and reads nothing gets there.
const MAX_BACKLOG: usize = 1 << 20;

/// A non-blocking socket as a TLS session sees it.
///
/// What the socket does not take waits in the backlog, so a session never has a record half
/// written. That matters, because a session that reads may have to write: it answers a request for
/// new keys, or says why it ends. OpenSSL cannot do so while a record of the application is half
/// written, and a peer that stops reading until we have read must not stop us from reading.
pub(super) struct NonBlocking {
    socket: Arc<TcpStream>,
    backlog: Vec<u8>,
    sent: u64,
    ended: bool,
}

impl NonBlocking {
    /// The socket must be non-blocking already.
    pub(super) fn new(socket: Arc<TcpStream>) -> NonBlocking {
        NonBlocking {
            socket,
            backlog: Vec::new(),
            sent: 0,
            ended: false,
        }
    }

    /// The peer has closed its side.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// How many bytes the socket has taken: it grows while the peer reads, however slowly.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// What to wait for when the session can do nothing without input.
    pub(super) fn interest(&self) -> PollFlags {
        match self.backlog.is_empty() {
            true => PollFlags::IN,
            false => PollFlags::IN | PollFlags::OUT,
        }
    }

    /// Writes what the socket did not take; true if nothing is left of it. What a broken socket
    /// refuses is forgotten.
    pub(super) fn flush_backlog(&mut self) -> io::Result<bool> {
        let mut written = 0;
        let result = loop {
            if written == self.backlog.len() {
                break Ok(true);
            }
            match send(&self.socket, &self.backlog[written..], &mut self.sent) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(false),
                Err(error) => break Err(error),
            }
        };
        match &result {
            Ok(_) => drop(self.backlog.drain(..written)),
            Err(_) => self.backlog.clear(),
        }
        result
    }
}

/// Writes and counts.
fn send(mut socket: &TcpStream, bytes: &[u8], sent: &mut u64) -> io::Result<usize> {
    let count = socket.write(bytes)?;
    *sent += count as u64;
    Ok(count)
}

impl Read for NonBlocking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = (&*self.socket).read(buffer);
        if matches!(read, Ok(0)) && !buffer.is_empty() {
            self.ended = true;
        }
        read
    }
}

impl Write for NonBlocking {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.flush_backlog()? {
            match send(&self.socket, bytes, &mut self.sent) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return written,
            }
        }
        if self.backlog.len() + bytes.len() > MAX_BACKLOG {
            let reason = "the peer keeps asking for answers and does not read them";
            return Err(io::Error::other(reason));
        }
        self.backlog.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
