//! The send lock: one frame after the other, in the order of their numbers.
//!
//! Whoever sends encodes into the buffer under the lock and writes before letting go, so that the
//! order on the wire is the order in which the lock was taken: the server drops a publish whose
//! sequence is below one that it has seen.

use super::connection::Connection;
use super::shared::Shared;
use super::wire::{News, Wire};
use crate::error::{Error, ErrorContext, Result};
use crate::protocol::{MAX_FRAME, frames_in};
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
        let connection = match wire.connection.take() {
            Some(connection) if connection.is_live() => Ok(connection),
            _ => self.look_up(&context),
        };
        // No return before the lock is let go of as it must be: somebody may have posted a frame.
        let result = match connection {
            Ok(connection) => {
                let sent = self.collect_or_write(&mut wire, &connection, payload, context, encode);
                wire.keep(connection);
                sent
            }
            Err(error) => Err(error),
        };
        self.unlock(wire);
        result
    }

    /// The connection of the client, which is not the one at hand.
    #[cold]
    #[inline(never)]
    fn look_up(&self, context: impl Fn() -> ErrorContext) -> Result<Arc<Connection>> {
        self.connection(context)
    }

    /// Sends to one connection, as [`Shared::send`] does to the live one: a frame that was
    /// prepared for it never goes to a later one.
    pub(crate) fn send_on(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        payload: &[u8],
        context: impl Fn() -> ErrorContext,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Result<()> {
        self.check_not_in_store(&context)?;
        let mut wire = self.wire.lock();
        let result = connection
            .check_live(&context)
            .and_then(|()| self.collect_or_write(&mut wire, connection, payload, context, encode));
        self.unlock(wire);
        result
    }

    #[inline]
    fn collect_or_write(
        self: &Arc<Self>,
        wire: &mut Wire,
        connection: &Connection,
        payload: &[u8],
        context: impl Fn() -> ErrorContext,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Result<()> {
        // First of all: what is kept of the connection is given up by its number.
        wire.turn_to(connection);
        check_size(payload, &context)?;
        if wire.batch.takes(payload.len()) {
            self.collect_frame(wire, connection, payload, context, encode)
        } else {
            self.write_frame(wire, connection, payload, context, encode)
        }
    }

    /// Lets a frame join the batch, and writes that if it is full now.
    #[inline]
    fn collect_frame(
        self: &Arc<Self>,
        wire: &mut Wire,
        connection: &Connection,
        payload: &[u8],
        context: impl Fn() -> ErrorContext,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Result<()> {
        wire.make_way(connection, &self.outbox)
            .map_err(|error| broken(connection, error, &context))?;
        let start = wire.batch.frames.len();
        self.join_batch(wire, connection, payload, encode)
            .map_err(|error| {
                // Its caller hears of this one; of the others the exception listener does.
                wire.take_back(start);
                broken(connection, error, &context)
            })
    }

    /// The same for a publish that the store has: whatever becomes of the batch, it is not lost.
    #[inline]
    pub(crate) fn collect_stored(
        self: &Arc<Self>,
        wire: &mut Wire,
        connection: &Connection,
        payload: &[u8],
        encode: impl FnOnce(&mut Vec<u8>),
    ) {
        let joined = wire.make_way(connection, &self.outbox).and_then(|()| {
            wire.batch.stored += 1;
            self.join_batch(wire, connection, payload, encode)
        });
        if let Err(error) = joined {
            connection.broken_by(error);
        }
    }

    #[inline]
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
        let news = (!wire.news.is_empty()).then(|| wire.take_news());
        drop(wire);
        self.look_again();
        if let Some(news) = news {
            self.tell(news);
        }
    }

    /// Tells the exception listener what happened under the send lock.
    #[cold]
    #[inline(never)]
    pub(crate) fn tell(&self, news: News) {
        if news.lost > 0 {
            self.report_lost(news.lost);
        }
        for failure in news.failures {
            self.callbacks.report(&failure);
        }
    }
}

/// Refuses what no frame can carry, before anything is encoded or stored.
#[inline]
pub(crate) fn check_size(payload: &[u8], context: impl Fn() -> ErrorContext) -> Result<()> {
    match payload.len() {
        ..=MAX_FRAME => Ok(()),
        length => Err(too_long(length, context)),
    }
}

#[cold]
#[inline(never)]
fn too_long(length: usize, context: impl Fn() -> ErrorContext) -> Error {
    let reason = format!("a payload of {length} bytes; the limit is {MAX_FRAME}");
    context().with_reason(reason).Usage()
}

/// Ends a connection that a write failed on, and makes the error of the caller whose frame it was.
#[cold]
#[inline(never)]
fn broken(connection: &Connection, error: io::Error, context: impl Fn() -> ErrorContext) -> Error {
    let reason = format!("{error}; the server may have received it or not");
    let source = io::Error::new(error.kind(), error.to_string());
    connection.broken_by(error);
    context()
        .with_reason(reason)
        .with_source(source)
        .Disconnected()
}

#[cfg(test)]
mod tests;
