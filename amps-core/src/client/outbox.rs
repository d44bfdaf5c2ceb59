//! Frames that must leave soon but for which nobody may wait.

use super::connection::Connection;
use super::send::KEPT_BUFFER;
use super::shared::Shared;
use super::wire::empty;
use log::warn;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Frames posted by threads that must not wait for the send lock: first of all the receive
/// thread. Whoever holds the send lock writes them, and looks again after unlocking.
#[derive(Default)]
pub(crate) struct Outbox {
    waiting: Mutex<Waiting>,
    /// [`ANY`], and above it a count of looks.
    signal: AtomicUsize,
}

/// Frames are waiting. Changed under the lock of what waits.
const ANY: usize = 1;

/// A look of somebody who let go of the send lock.
const LOOK: usize = 2;

/// Whole frames for one connection; those of an earlier one are dropped.
#[derive(Default)]
struct Waiting {
    connection: u64,
    frames: Vec<u8>,
    /// Publishes that were collected before one of them leave first.
    after_batch: bool,
}

/// What a posted frame may overtake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nothing: it is of the application, as the publishes are that it collected before.
    AfterBatch,
    /// Publishes that are being collected: it is of the client's own.
    AtOnce,
}

impl Outbox {
    /// Adds frames. After this the caller tries the send lock; if it is taken, its holder finds
    /// them (see [`Outbox::has_any`]).
    pub(crate) fn push(&self, connection: u64, frames: &[u8], turn: Turn) {
        let mut waiting = self.waiting.lock();
        if waiting.connection > connection {
            return;
        }
        if waiting.connection < connection {
            waiting.connection = connection;
            waiting.frames.clear();
            waiting.after_batch = false;
        }
        waiting.frames.extend_from_slice(frames);
        waiting.after_batch |= turn == Turn::AfterBatch;
        // Pairs with the change in `has_any`. One of the two comes first, and the other sees it:
        // either the holder of the send lock finds the frames when it looks after unlocking, or
        // its unlock has happened before this, and this thread then finds the lock free.
        self.signal.fetch_or(ANY, Ordering::AcqRel);
    }

    /// True if frames are waiting. Asked after unlocking the send lock, too, so that no frame is
    /// stranded between the last look of a holder and its unlock.
    #[inline]
    pub(crate) fn has_any(&self) -> bool {
        // A change, and not a mere look after a fence: it is ordered with that in `push`, and
        // costs a publish much less.
        self.signal.fetch_add(LOOK, Ordering::AcqRel) & ANY != 0
    }

    /// True if frames are waiting that this thread posted itself, or that were posted before it got
    /// the send lock.
    #[inline]
    pub(crate) fn knows_of_any(&self) -> bool {
        self.signal.load(Ordering::Acquire) & ANY != 0
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.waiting.lock().frames.capacity()
    }

    /// Moves what waits for `connection` to the end of `out`; `batch` adds what leaves first, if
    /// anything asks for that.
    pub(crate) fn take(
        &self,
        connection: u64,
        out: &mut Vec<u8>,
        batch: impl FnOnce(&mut Vec<u8>),
    ) {
        if !self.knows_of_any() {
            return;
        }
        let mut waiting = self.waiting.lock();
        if waiting.connection > connection {
            return;
        }
        if waiting.connection == connection {
            if waiting.after_batch {
                batch(out);
            }
            out.extend_from_slice(&waiting.frames);
        }
        empty(&mut waiting.frames, KEPT_BUFFER);
        waiting.after_batch = false;
        self.signal.fetch_and(!ANY, Ordering::AcqRel);
    }
}

impl Shared {
    /// Posts frames: they leave as soon as they can, and the caller never waits.
    pub(crate) fn post(self: &Arc<Self>, connection: &Arc<Connection>, frames: &[u8], turn: Turn) {
        self.outbox.push(connection.number, frames, turn);
        self.look_again();
    }

    /// Writes what was posted, if the send lock is free and as far as the socket takes it; a rest
    /// is left to the flusher. Whoever let go of the lock calls this, too.
    #[inline]
    pub(crate) fn look_again(self: &Arc<Self>) {
        if self.outbox.has_any() {
            self.write_posted();
        }
    }

    #[cold]
    #[inline(never)]
    fn write_posted(self: &Arc<Self>) {
        loop {
            if self.is_under_send_lock() {
                // From a transport filter; whoever runs it looks again.
                return;
            }
            // Before the lock: a thread that finds it taken relies on its holder to look at the
            // connection that is live by then.
            let connection = self.state.lock().connection.clone();
            let Some(connection) = connection else {
                // For a connection that is gone; the next one clears it.
                return;
            };
            let Some(mut wire) = self.wire.try_lock() else {
                // Its holder looks again when it lets go.
                return;
            };
            let drained = wire.drain_some(&connection, &self.outbox);
            let news = wire.take_news();
            drop(wire);
            match drained {
                Ok(true) => {}
                Ok(false) => self.flush_later(&connection),
                Err(error) => connection.broken_by(error),
            }
            self.tell(news);
            if !self.outbox.has_any() {
                return;
            }
        }
    }

    /// Lets a thread that may wait finish what the socket did not take.
    fn flush_later(self: &Arc<Self>, connection: &Arc<Connection>) {
        if !connection.want_flush() {
            return;
        }
        let (shared, flushed) = (self.clone(), connection.clone());
        let name = format!("amps-flush-{}", self.name());
        let spawned = connection.spawn(&name, move || {
            while flushed.wait_for_flush() {
                let mut wire = shared.wire.lock();
                let drained = wire.drain(&flushed, &shared.outbox);
                let is_broken = drained.map_err(|error| flushed.broken_by(error)).is_err();
                // Also after a failure: what was posted meanwhile may be for a later connection.
                shared.unlock(wire);
                if is_broken {
                    break;
                }
            }
        });
        if let Err(error) = spawned {
            // The next sender finishes it instead.
            warn!("no thread could be started to finish a frame: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(outbox: &Outbox, connection: u64) -> Vec<u8> {
        let mut out = Vec::new();
        outbox.take(connection, &mut out, |out| out.push(b'*'));
        out
    }

    #[test]
    fn frames_come_out_once_and_in_order() {
        let outbox = Outbox::default();
        outbox.push(1, b"a", Turn::AtOnce);
        outbox.push(1, b"b", Turn::AtOnce);
        assert!(outbox.has_any());
        assert_eq!(taken(&outbox, 1), b"ab");
        assert!(!outbox.has_any());
        assert_eq!(taken(&outbox, 1), b"");
    }

    #[test]
    fn frames_of_an_earlier_connection_never_reach_a_later_one() {
        let outbox = Outbox::default();
        outbox.push(1, b"old", Turn::AfterBatch);
        assert_eq!(taken(&outbox, 2), b"");
        outbox.push(1, b"old", Turn::AfterBatch);
        outbox.push(2, b"new", Turn::AtOnce);
        outbox.push(1, b"late", Turn::AfterBatch);
        assert_eq!(taken(&outbox, 1), b"");
        assert_eq!(taken(&outbox, 2), b"new");
    }

    #[test]
    fn what_the_application_posts_comes_after_the_batch_and_the_rest_does_not_ask_for_it() {
        let outbox = Outbox::default();
        outbox.push(1, b"a", Turn::AtOnce);
        assert_eq!(taken(&outbox, 1), b"a");
        outbox.push(1, b"b", Turn::AtOnce);
        outbox.push(1, b"c", Turn::AfterBatch);
        assert_eq!(taken(&outbox, 1), b"*bc");
        outbox.push(1, b"d", Turn::AtOnce);
        assert_eq!(taken(&outbox, 1), b"d");
    }
}
