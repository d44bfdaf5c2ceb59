//! The send lock: one frame after the other, in the order of their numbers.
//!
//! Whoever sends encodes into the buffer under the lock and writes before letting go, so that the
//! order on the wire is the order in which the lock was taken: the server drops a publish whose
//! sequence is below one that it has seen.

use super::connection::Connection;
use super::outbox::Outbox;
use super::shared::Shared;
use super::stored::Standing;
use crate::error::{Error, ErrorContext, Result};
use crate::protocol::MAX_FRAME;
use crate::store::PublishStore;
use crate::transport::Transport;
use log::warn;
use std::io;
use std::sync::{Arc, Weak};

/// Payloads up to this size are copied behind their header and leave in one plain write; larger
/// ones leave from where they are, in one vectored write.
const COPIED_PAYLOAD: usize = 8 << 10;

/// A buffer that grew beyond this for one frame is let go.
const KEPT_BUFFER: usize = 1 << 20;

/// What the send lock guards.
#[derive(Default)]
pub(crate) struct Wire {
    /// The frame at hand.
    frame: Vec<u8>,
    /// Posted frames that are not written yet, whole or from the byte where the socket stopped
    /// taking them. Nothing may be written before they are.
    unfinished: Vec<u8>,
    /// The connection that they belong to.
    unfinished_for: u64,
    /// The connection last used, to spare the state lock while it lives. Weak, so that an idle
    /// client does not keep the socket of a connection that is gone.
    connection: Weak<Connection>,
    /// What is published goes through it first.
    pub(crate) store: Option<Arc<dyn PublishStore>>,
    /// Where what is stored goes.
    pub(crate) standing: Standing,
}

impl Wire {
    /// Takes over what the outbox holds; false if this connection is older than what is here.
    fn collect(&mut self, connection: &Connection, outbox: &Outbox) -> bool {
        if self.unfinished_for > connection.number {
            return false;
        }
        if self.unfinished_for < connection.number {
            self.unfinished.clear();
            self.unfinished_for = connection.number;
        }
        outbox.take(connection.number, &mut self.unfinished);
        true
    }

    /// Writes what was posted, waiting for the socket.
    fn drain(&mut self, connection: &Connection, outbox: &Outbox) -> io::Result<()> {
        if self.collect(connection, outbox) && !self.unfinished.is_empty() {
            connection.transport.write_all(&self.unfinished, b"")?;
            self.unfinished.clear();
        }
        Ok(())
    }

    /// Writes of what was posted as much as the socket takes; true if that was all.
    pub(crate) fn drain_some(
        &mut self,
        connection: &Connection,
        outbox: &Outbox,
    ) -> io::Result<bool> {
        if !self.collect(connection, outbox) {
            return Ok(true);
        }
        let mut written = 0;
        let result = loop {
            if written == self.unfinished.len() {
                break Ok(true);
            }
            match connection.transport.try_write(&self.unfinished[written..]) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(false),
                Err(error) => break Err(error),
            }
        };
        self.unfinished.drain(..written);
        result
    }

    fn write(&mut self, transport: &dyn Transport, payload: &[u8]) -> io::Result<()> {
        let result = transport.write_all(&self.frame, payload);
        if self.frame.capacity() > KEPT_BUFFER {
            self.frame = Vec::new();
        }
        result
    }
}

impl Shared {
    /// Encodes one frame and writes it to the live connection.
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
        payload: &[u8],
        context: impl Fn() -> ErrorContext,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Result<()> {
        self.check_not_in_store(&context)?;
        let mut wire = self.wire.lock();
        let connection = match wire.connection.upgrade() {
            Some(connection) if connection.is_live() => connection,
            _ => {
                let connection = self.connection(&context)?;
                wire.connection = Arc::downgrade(&connection);
                connection
            }
        };
        let result = self.write_frame(&mut wire, &connection, payload, &context, encode);
        drop(wire);
        self.look_again();
        result
    }

    /// As [`Shared::send`], to one connection: a frame that was prepared for it never goes to a
    /// later one.
    pub(crate) fn send_on(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        payload: &[u8],
        context: impl Fn() -> ErrorContext,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Result<()> {
        self.check_not_in_store(&context)?;
        let mut wire = self.wire.lock();
        let result = if connection.is_live() {
            self.write_frame(&mut wire, connection, payload, &context, encode)
        } else {
            Err(context()
                .with_reason("the connection was lost before it was sent")
                .Disconnected())
        };
        drop(wire);
        self.look_again();
        result
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
        let rest = if payload.len() <= COPIED_PAYLOAD {
            wire.frame.extend_from_slice(payload);
            &[]
        } else {
            payload
        };
        let written = wire
            .drain(connection, &self.outbox)
            .and_then(|()| wire.write(&*connection.transport, rest));
        written.map_err(|error| broken(connection, error, context))
    }

    /// Writes frames that are encoded already, after what was posted before.
    pub(crate) fn write_frames(
        &self,
        wire: &mut Wire,
        connection: &Connection,
        frames: &[u8],
        context: impl Fn() -> ErrorContext,
    ) -> Result<()> {
        let written = wire
            .drain(connection, &self.outbox)
            .and_then(|()| connection.transport.write_all(frames, b""));
        written.map_err(|error| broken(connection, error, context))
    }

    /// Posts frames: they leave as soon as they can, and the caller never waits.
    pub(crate) fn post(self: &Arc<Self>, connection: &Arc<Connection>, frames: &[u8]) {
        self.outbox.push(connection.number, frames);
        self.look_again();
    }

    /// Writes what was posted, if the send lock is free and as far as the socket takes it; a rest
    /// is left to the flusher. Whoever let go of the lock calls this, too.
    #[inline]
    pub(crate) fn look_again(self: &Arc<Self>) {
        while self.outbox.has_any() {
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
            drop(wire);
            match drained {
                Ok(true) => {}
                Ok(false) => self.flush_later(&connection),
                Err(error) => connection.broken_by(error),
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
                if let Err(error) = wire.drain(&flushed, &shared.outbox) {
                    flushed.broken_by(error);
                    break;
                }
                drop(wire);
                shared.look_again();
            }
        });
        if let Err(error) = spawned {
            // The next sender finishes it instead.
            warn!("no thread could be started to finish a frame: {error}");
        }
    }
}

/// A write failed: the receive thread is woken for the rest.
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
