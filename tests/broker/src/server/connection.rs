//! One connection, as everybody but its own threads sees it.

use super::outbox::{Appended, Outbox};
use super::stream::Stream;
use parking_lot::{Condvar, Mutex};
use std::io::{self, Read};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Connections to be flushed when the batch at hand is complete.
pub(crate) type Wakes = Vec<Arc<Connection>>;

/// See [`Connection::has_room`].
const ROOM: usize = 128 << 10;

/// A socket and what waits to be written to it.
pub(crate) struct Connection {
    id: u64,
    peer: String,
    socket: Stream,
    outbox: Outbox,
    /// How much may wait to be written when a replay adds to it.
    room: usize,
    closed: AtomicBool,
    opened: Instant,
    /// Milliseconds after `opened`.
    last_input: AtomicU64,
    stalled: Mutex<bool>,
    resumed: Condvar,
}

impl Connection {
    pub(crate) fn new(id: u64, socket: Stream, peer: String, limit: usize) -> Connection {
        Connection {
            id,
            peer,
            socket,
            outbox: Outbox::new(limit),
            room: ROOM.min(limit / 2),
            closed: AtomicBool::new(false),
            opened: Instant::now(),
            last_input: AtomicU64::new(0),
            stalled: Mutex::new(false),
            resumed: Condvar::new(),
        }
    }

    /// Unique in this broker.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Adds to the output. A client that lets too much pile up loses its connection.
    #[inline]
    pub(crate) fn send(
        self: &Arc<Connection>,
        wakes: &mut Wakes,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        match self.outbox.append(write) {
            Appended::Nothing => {}
            Appended::Flush => wakes.push(self.clone()),
            Appended::Overflow => self.close("slow client"),
        }
    }

    /// Sets in motion what was added. Not to be called with the engine's lock held: it may be a
    /// system call.
    pub(crate) fn flush(&self) {
        self.outbox.flush(|bytes| self.socket.send_now(bytes));
    }

    /// How many bytes wait to be written.
    pub(crate) fn waiting(&self) -> usize {
        self.outbox.waiting()
    }

    /// True if a replay may add to the output: what it adds at a time stays little, and so does
    /// what piles up for a client that does not read.
    /// `more` is what it has in hand already.
    pub(crate) fn has_room(&self, more: usize) -> bool {
        self.outbox.waiting() + more < self.room
    }

    /// Lets the writer carry on with the replays of this connection when it has written what there
    /// is.
    pub(crate) fn ask_for_more(&self) {
        self.outbox.ask_for_more();
    }

    /// Lets what is pending go out, then closes our side.
    pub(crate) fn finish(&self) {
        self.outbox.finish();
    }

    /// After [`Connection::finish`]: waits until everything is out, or `patience` is over.
    pub(super) fn wait_written(&self, patience: Duration) {
        self.outbox.wait_written(patience);
    }

    /// Ends the connection now. Its threads notice and end.
    pub(crate) fn close(&self, reason: &str) {
        if self.closed.swap(true, Ordering::Relaxed) {
            return;
        }
        log::info!("connection {} from {}: {reason}", self.id, self.peer);
        self.outbox.close();
        self.set_stalled(false);
        // Fails if the peer was faster; closed it is all the same.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// True once [`Connection::close`] was called.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Stops or resumes reading.
    pub(crate) fn set_stalled(&self, stalled: bool) {
        *self.stalled.lock() = stalled;
        self.resumed.notify_all();
    }

    /// Stops or resumes writing.
    pub(crate) fn set_muted(&self, muted: bool) {
        self.outbox.set_muted(muted);
    }

    /// How long nothing has come from the client. A connection that we do not read from on
    /// purpose is never silent.
    pub(crate) fn silence(&self) -> Duration {
        if *self.stalled.lock() {
            return Duration::ZERO;
        }
        let last = Duration::from_millis(self.last_input.load(Ordering::Relaxed));
        self.opened.elapsed().saturating_sub(last)
    }

    /// Reads once; waits while the connection is stalled.
    pub(super) fn read(&self, space: &mut [u8]) -> io::Result<usize> {
        loop {
            match (&self.socket).read(space) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => {
                    self.wait_while_stalled();
                    self.note_input();
                    return read;
                }
            }
        }
    }

    /// Waits until the connection is closed from this side, but no longer than this.
    pub(crate) fn wait_closed(&self, at_most: Duration) {
        let deadline = Instant::now() + at_most;
        let mut stalled = self.stalled.lock();
        while !self.is_closed() {
            let wait = self.resumed.wait_until(&mut stalled, deadline);
            if wait.timed_out() {
                return;
            }
        }
    }

    fn wait_while_stalled(&self) {
        let mut stalled = self.stalled.lock();
        while *stalled && !self.is_closed() {
            self.resumed.wait(&mut stalled);
        }
    }

    fn note_input(&self) {
        let now = self.opened.elapsed().as_millis();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        self.last_input.store(now, Ordering::Relaxed);
    }

    /// The body of the writer thread. Calls `more` when there is room for replays to go on.
    pub(super) fn write_all(&self, more: impl FnMut()) {
        match self.outbox.drain(&self.socket, more) {
            // Finished: the peer sees the end of the stream after the last frame.
            Ok(()) => {
                let _ = self.socket.shutdown(Shutdown::Write);
            }
            Err(error) => self.close(&format!("cannot write: {error}")),
        }
    }

    /// Reads and drops what the peer still sends, until it closes or `patience` is over.
    ///
    /// Closing a socket with unread input makes the kernel reset the connection, and the peer
    /// may then lose the answer that tells it why.
    pub(super) fn linger(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let mut dropped = [0; 4096];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.socket.set_read_timeout(Some(left)).is_err() {
                return;
            }
            match (&self.socket).read(&mut dropped) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }
}
