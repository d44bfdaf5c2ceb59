//! The send lock: one frame after the other, in the order of their numbers.
//!
//! Whoever sends encodes into the buffer under the lock and writes before letting go, so that the
//! order on the wire is the order in which the lock was taken: the server drops a publish whose
//! sequence is below one that it has seen.

use super::connection::Connection;
use super::outbox::Turn;
use super::shared::Shared;
use super::wire::{News, Wire};
use crate::error::{Error, ErrorContext, Result};
use crate::protocol::{MAX_FRAME, frames_in};
use log::warn;
use parking_lot::MutexGuard;
use std::io;
use std::sync::Arc;

/// Payloads up to this size are copied behind their header and leave in one plain write; larger
/// ones leave from where they are, in one vectored write.
const COPIED_PAYLOAD: usize = 8 << 10;

/// A buffer that grew beyond this for one frame is let go.
pub(crate) const KEPT_BUFFER: usize = 1 << 20;

impl Shared {
    /// Encodes a publish and writes it to the live connection, or lets it join the batch; with the
    /// send lock in hand.
    ///
    /// `encode` writes the header into the buffer and ends it for a payload of the given length
    /// (see [`FrameWriter::finish_header`](crate::protocol::FrameWriter::finish_header)).
    ///
    /// # Errors
    ///
    /// `Disconnected` if there is no connection, or it broke: then the server may have received
    /// the frame.
    #[inline]
    pub(crate) fn send(
        self: &Arc<Self>,
        mut wire: MutexGuard<'_, Wire>,
        payload: &[u8],
        context: impl Fn() -> ErrorContext,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Result<()> {
        let connection = match wire.connection.upgrade() {
            Some(connection) if connection.is_live() => connection,
            _ => match self.connection(&context) {
                Ok(connection) => {
                    wire.connection = Arc::downgrade(&connection);
                    connection
                }
                Err(error) => {
                    // A logon may have been posted meanwhile.
                    self.unlock(wire);
                    return Err(error);
                }
            },
        };
        let result = if wire.batch.takes(payload.len()) {
            self.collect_frame(&mut wire, &connection, payload, &context, encode)
        } else {
            self.write_frame(&mut wire, &connection, payload, &context, encode)
        };
        self.unlock(wire);
        result
    }

    /// Sends to one connection, as [`Shared::send`] does to the live one: a frame that was prepared for it never goes to a
    /// later one. If it may not join the batch, it leaves after it.
    pub(crate) fn send_on(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        may_wait: bool,
        payload: &[u8],
        context: impl Fn() -> ErrorContext,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Result<()> {
        self.check_not_in_store(&context)?;
        let mut wire = self.wire.lock();
        let result = if connection.is_live() {
            if may_wait && wire.batch.takes(payload.len()) {
                self.collect_frame(&mut wire, connection, payload, &context, encode)
            } else {
                self.write_frame(&mut wire, connection, payload, &context, encode)
            }
        } else {
            Err(context()
                .with_reason("the connection was lost before it was sent")
                .Disconnected())
        };
        self.unlock(wire);
        result
    }

    /// Lets a frame join the batch, and writes that if it is full now.
    fn collect_frame(
        self: &Arc<Self>,
        wire: &mut Wire,
        connection: &Connection,
        payload: &[u8],
        context: impl Fn() -> ErrorContext,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Result<()> {
        wire.turn_to(connection);
        let start = wire.batch.frames.len();
        self.join_batch(wire, connection, payload, encode)
            .map_err(|error| {
                // Its caller hears of this one; of the others the exception listener does.
                wire.take_back(start);
                broken(connection, error, &context)
            })
    }

    /// The same for a publish that the store has: whatever becomes of the batch, it is not lost.
    pub(crate) fn collect_stored(
        self: &Arc<Self>,
        wire: &mut Wire,
        connection: &Connection,
        payload: &[u8],
        encode: impl FnOnce(&mut Vec<u8>),
    ) {
        wire.turn_to(connection);
        wire.batch.stored += 1;
        if let Err(error) = self.join_batch(wire, connection, payload, encode) {
            connection.broken_by(error);
        }
    }

    fn join_batch(
        self: &Arc<Self>,
        wire: &mut Wire,
        connection: &Connection,
        payload: &[u8],
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> io::Result<()> {
        let start = wire.batch.frames.len();
        encode(&mut wire.batch.frames);
        wire.batch.frames.extend_from_slice(payload);
        wire.filter_batch(start);
        wire.batch.publishes += 1;
        wire.traffic.frames_sent.add(1);
        if wire.batch.is_full() {
            return wire.write_batch(connection, &self.outbox);
        }
        self.time_batch(&mut wire.batch);
        Ok(())
    }

    #[inline]
    pub(crate) fn write_frame(
        &self,
        wire: &mut Wire,
        connection: &Connection,
        payload: &[u8],
        context: impl Fn() -> ErrorContext,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Result<()> {
        if payload.len() > MAX_FRAME {
            let reason = format!(
                "a payload of {} bytes; the limit is {MAX_FRAME}",
                payload.len()
            );
            return Err(context().with_reason(reason).Usage());
        }
        wire.frame.clear();
        encode(&mut wire.frame);
        let rest = if payload.len() <= COPIED_PAYLOAD || wire.filter.is_some() {
            wire.frame.extend_from_slice(payload);
            &[]
        } else {
            payload
        };
        if let Some(filter) = &wire.filter {
            filter.outgoing(&mut wire.frame, 0, &mut wire.news.failures);
        }
        let written = wire
            .write_batch(connection, &self.outbox)
            .and_then(|()| wire.write(&*connection.transport, rest));
        written.map_err(|error| broken(connection, error, &context))
    }

    /// Writes frames that are encoded already, after everything that waits to be written.
    pub(crate) fn write_frames(
        &self,
        wire: &mut Wire,
        connection: &Connection,
        frames: &[u8],
        context: impl Fn() -> ErrorContext,
    ) -> Result<()> {
        let mut filtered = Vec::new();
        let frames = match &wire.filter {
            None => frames,
            Some(filter) => {
                filtered.extend_from_slice(frames);
                filter.outgoing(&mut filtered, 0, &mut wire.news.failures);
                &filtered
            }
        };
        let written = wire.write_batch(connection, &self.outbox).and_then(|()| {
            connection.transport.write_all(frames, b"")?;
            wire.traffic.frames_sent.add(frames_in(frames).count());
            wire.traffic.bytes_sent.add(frames.len());
            Ok(())
        });
        written.map_err(|error| broken(connection, error, &context))
    }

    /// Lets go of the send lock, and does what is left to whoever held it.
    #[inline]
    pub(crate) fn unlock(self: &Arc<Self>, mut wire: MutexGuard<'_, Wire>) {
        let news = wire.take_news();
        drop(wire);
        self.look_again();
        self.tell(news);
    }

    /// Posts frames: they leave as soon as they can, and the caller never waits.
    pub(crate) fn post(self: &Arc<Self>, connection: &Arc<Connection>, frames: &[u8], turn: Turn) {
        self.outbox.push(connection.number, frames, turn);
        self.look_again();
    }

    /// Writes what was posted, if the send lock is free and as far as the socket takes it; a rest
    /// is left to the flusher. Whoever let go of the lock calls this, too.
    #[inline]
    pub(crate) fn look_again(self: &Arc<Self>) {
        while self.outbox.has_any() {
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
        }
    }

    /// Tells the exception listener what happened under the send lock.
    #[inline]
    pub(crate) fn tell(&self, news: News) {
        if news.lost > 0 {
            self.report_lost(news.lost);
        }
        for failure in news.failures {
            self.callbacks.report(&failure);
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
                if let Err(error) = wire.drain(&flushed, &shared.outbox) {
                    flushed.broken_by(error);
                    break;
                }
                shared.unlock(wire);
            }
        });
        if let Err(error) = spawned {
            // The next sender finishes it instead.
            warn!("no thread could be started to finish a frame: {error}");
        }
    }
}

/// Ends a connection that a write failed on, and makes the error of the caller whose frame it was.
#[cold]
fn broken(connection: &Connection, error: io::Error, context: impl Fn() -> ErrorContext) -> Error {
    let reason = format!("{error}; the server may have received it or not");
    let source = io::Error::new(error.kind(), error.to_string());
    connection.broken_by(error);
    context()
        .with_reason(reason)
        .with_source(source)
        .Disconnected()
}
