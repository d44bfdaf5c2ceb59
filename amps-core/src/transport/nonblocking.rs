//! The socket under a TLS session: it never blocks, and remembers what it would have waited for.

use rustix::event::PollFlags;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

/// More than this is never owed to the peer: a peer that makes us answer and does not read the
/// answers has to wait.
const MAX_BACKLOG: usize = 64 << 10;

/// A non-blocking socket as a TLS session sees it.
///
/// A session that reads may have to write: it answers a request for new keys, or ends with an
/// alert. If the socket has no space for that, the bytes wait in the backlog and reading goes on;
/// else a peer that stops reading until we have read would wait for ever.
pub(super) struct NonBlocking {
    socket: Arc<TcpStream>,
    /// What the last call that could not go on waits for.
    blocked_on: PollFlags,
    backlog: Vec<u8>,
    buffering: bool,
    ended: bool,
}

impl NonBlocking {
    /// The socket must be non-blocking already.
    pub(super) fn new(socket: Arc<TcpStream>) -> NonBlocking {
        NonBlocking {
            socket,
            blocked_on: PollFlags::IN,
            backlog: Vec::new(),
            buffering: false,
            ended: false,
        }
    }

    /// What the last call that could not go on waits for.
    pub(super) fn blocked_on(&self) -> PollFlags {
        self.blocked_on
    }

    /// The peer has closed its side.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether writes go to the backlog when there is no space, instead of failing.
    pub(super) fn set_buffering(&mut self, buffering: bool) {
        self.buffering = buffering;
    }

    pub(super) fn has_backlog(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Writes what the session said while there was no space; true if nothing is left of it. What
    /// a broken socket refuses is forgotten.
    pub(super) fn flush_backlog(&mut self) -> io::Result<bool> {
        let mut written = 0;
        let result = loop {
            if written == self.backlog.len() {
                break Ok(true);
            }
            match (&*self.socket).write(&self.backlog[written..]) {
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

impl Read for NonBlocking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = (&*self.socket).read(buffer);
        match &read {
            Ok(0) => self.ended |= !buffer.is_empty(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.blocked_on = PollFlags::IN;
            }
            _ => {}
        }
        read
    }
}

impl Write for NonBlocking {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.flush_backlog()? {
            match (&*self.socket).write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return written,
            }
        }
        if self.buffering && self.backlog.len() + bytes.len() <= MAX_BACKLOG {
            self.backlog.extend_from_slice(bytes);
            return Ok(bytes.len());
        }
        self.blocked_on = PollFlags::OUT;
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
