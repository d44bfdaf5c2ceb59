//! Publishing through a store: number, keep, encode and write in one step, under the send lock.
//!
//! Once the store has a command it is safe, whatever the socket does: what does not go out now goes
//! out with the replay of a later logon. So nothing is written before the replay of a connection
//! has caught up, and what is written afterwards is in the order of the numbers (rules K2, K6).

use super::connection::Connection;
use super::send::check_size;
use super::shared::Shared;
use super::under_lock::under_send_lock;
use super::wire::Wire;
use crate::error::{ErrorContext, Result};
use crate::protocol::{Field, FrameWriter};
use crate::store::OutgoingCommand;
use log::warn;
use parking_lot::MutexGuard;
use std::ptr;
use std::sync::{Arc, Weak};

/// Where what is stored goes; guarded by the send lock.
///
/// A loss is not noted here at once, because the receive thread does not wait for the send lock:
/// whoever takes the lock next sees that the connection is no longer live, and goes offline before
/// anything else is stored.
#[derive(Default)]
pub(crate) enum Standing {
    /// No connection is logged on: into the store and no further. The store knows it.
    #[default]
    Offline,
    /// The store is being replayed to this connection: into the store, the replay will come by.
    Replaying(Weak<Connection>),
    /// Into the store and to this connection.
    Live(Weak<Connection>),
}

impl Wire {
    /// The connection that what is stored now is written to; to be kept ([`Wire::keep`]). Goes
    /// offline first if it is no longer live.
    ///
    /// # Errors
    ///
    /// `Store`: the store could not note it; nothing may be stored now.
    #[inline]
    pub(crate) fn live_connection(&mut self, client: u64) -> Result<Option<Arc<Connection>>> {
        let known = match &self.standing {
            Standing::Offline => return Ok(None),
            Standing::Replaying(known) | Standing::Live(known) => known,
        };
        let connection = match self.connection.take() {
            Some(at_hand) if ptr::eq(Arc::as_ptr(&at_hand), known.as_ptr()) => Some(at_hand),
            _ => known.upgrade(),
        };
        match connection.filter(|connection| connection.is_live()) {
            Some(connection) => Ok(match self.standing {
                Standing::Live(_) => Some(connection),
                _ => None,
            }),
            None => {
                if let Some(store) = &self.store {
                    under_send_lock(client, || store.set_offline())?;
                }
                self.standing = Standing::Offline;
                Ok(None)
            }
        }
    }
}

impl Shared {
    /// Stores a command and, if the client is logged on and has caught up, writes it, or lets it
    /// join the batch if it may; returns its number. With the send lock in hand, and a store.
    ///
    /// `encode` writes the header for the number.
    ///
    /// # Errors
    ///
    /// `Store`, `Usage`: nothing was stored and nothing sent.
    #[inline]
    pub(crate) fn store_and_send(
        self: &Arc<Self>,
        mut wire: MutexGuard<'_, Wire>,
        command: &OutgoingCommand<'_>,
        may_join: bool,
        context: impl Fn() -> ErrorContext,
        encode: impl FnOnce(&mut Vec<u8>, u64),
    ) -> Result<u64> {
        let stored = self.store_in(&mut wire, command, may_join, context, encode);
        self.unlock(wire);
        stored
    }

    fn store_in(
        self: &Arc<Self>,
        wire: &mut Wire,
        command: &OutgoingCommand<'_>,
        may_join: bool,
        context: impl Fn() -> ErrorContext,
        encode: impl FnOnce(&mut Vec<u8>, u64),
    ) -> Result<u64> {
        check_size(command.data, &context)?;
        let live = wire.live_connection(self.id())?;
        let Some(store) = &wire.store else {
            return Err(context().with_reason("there is no publish store").Usage());
        };
        let sequence = under_send_lock(self.id(), || store.store(command))?;
        if let Some(connection) = live {
            // Whether it arrives or not: it is stored. A failure wakes the receive thread.
            let encode = |out: &mut Vec<u8>| encode(out, sequence);
            if may_join && wire.batch.takes(command.data.len()) {
                self.collect_stored(wire, &connection, command.data, encode);
            } else {
                let _ = self.write_frame(wire, &connection, command.data, context, encode);
            }
            wire.keep(connection);
        }
        Ok(sequence)
    }

    /// Lets the store know of a loss as soon as possible, and not only when something is published
    /// again. If the send lock is taken, its next holder does it.
    pub(crate) fn go_offline(self: &Arc<Self>) {
        let Some(mut wire) = self.wire.try_lock() else {
            return;
        };
        let noted = wire.live_connection(self.id());
        self.unlock(wire);
        if let Err(error) = noted {
            warn!(
                "{}: the publish store does not know of the loss",
                self.name()
            );
            self.callbacks.report(&error);
        }
    }
}

/// Writes the header of a stored command for the payload that follows.
#[inline]
pub(crate) fn encode_header(out: &mut Vec<u8>, sequence: u64, command: &OutgoingCommand<'_>) {
    let mut frame = FrameWriter::begin(out, command.command);
    frame.text(Field::Topic, command.topic.as_bytes());
    frame.text_if(Field::Filter, command.filter.as_bytes());
    frame.text_if(Field::SowKeys, command.sow_keys.as_bytes());
    frame.text_if(Field::SowKey, command.sow_key.as_bytes());
    frame.text_if(Field::Bookmark, command.bookmark.as_bytes());
    frame.number(Field::Sequence, sequence);
    frame.text_if(Field::Options, command.options.as_bytes());
    if let Some(seconds) = command.expiration {
        frame.number(Field::Expiration, seconds);
    }
    frame.text_if(Field::CorrelationId, command.correlation_id.as_bytes());
    frame.plain_text(Field::AckType, PERSISTED);
    frame.finish_header(command.data.len());
}

/// The acknowledgement that every stored command asks for.
const PERSISTED: &[u8] = b"persisted";
