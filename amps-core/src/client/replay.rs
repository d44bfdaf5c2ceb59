//! After a logon: agreeing on the numbers with the server, and sending again what it does not have.

use super::connection::Connection;
use super::shared::Shared;
use super::stored::{Standing, encode_header};
use super::under_lock::under_send_lock;
use super::wire::Wire;
use crate::error::{Error, ErrorContext, Result};
use crate::store::PublishStore;
use log::{info, warn};
use std::ops::ControlFlow;
use std::sync::Arc;

/// How many bytes of frames are copied out of the store before they are written.
const BATCH: usize = 64 << 10;

impl Shared {
    /// Takes note of the last number that the server has of this client: forgets what has arrived,
    /// and gives new numbers to what cannot have arrived and yet has numbers at or below it (rules
    /// B12, K1, K4, K8; the project's design on numbers). An answer without a number says nothing,
    /// and nothing is done.
    ///
    /// # Errors
    ///
    /// `Store`: offline records could not be renumbered, or something could not be forgotten.
    /// `PublishStoreGap`: the server lags behind, and the store calls that an error. Whatever was
    /// stored is still there.
    pub(crate) fn agree_on_numbers(self: &Arc<Self>, acknowledged: Option<u64>) -> Result<()> {
        // Under the send lock, so that nothing is stored between the look at what is offline and
        // the decision; nothing is written here.
        let mut wire = self.wire.lock();
        let agreed =
            wire.live_connection(self.id())
                .and_then(|_| match (&wire.store, acknowledged) {
                    (Some(store), Some(acknowledged)) => {
                        under_send_lock(self.id(), || self.compare(&**store, acknowledged))
                    }
                    _ => Ok(()),
                });
        self.unlock(wire);
        self.persisted.notify();
        agreed
    }

    fn compare(&self, store: &dyn PublishStore, acknowledged: u64) -> Result<()> {
        let lowest = store.lowest_offline();
        if lowest > 0 && lowest <= acknowledged {
            let range = format!("{lowest} to {}", store.highest_unpersisted());
            warn!(
                "{}: the server has seen the number {acknowledged} under this name, but the \
                 records {range} were stored offline; they get new numbers",
                self.name()
            );
            store.renumber_offline(acknowledged).map_err(|error| {
                let reason = format!(
                    "the offline records {range} have numbers that the server has seen (up to \
                     {acknowledged}), and could not get new ones: {}",
                    error.reason()
                );
                self.logging_on()
                    .with_reason(reason)
                    .with_source(error)
                    .Store()
            })?;
            self.persisted.note_renumbering();
        }
        let persisted = store.last_persisted();
        if acknowledged < persisted && store.error_on_publish_gap() {
            let reason = format!(
                "the server has everything up to {acknowledged}, but what was published up to \
                 {persisted} is no longer in the store"
            );
            return Err(self.logging_on().with_reason(reason).PublishStoreGap());
        }
        store.discard_up_to(acknowledged)
    }

    fn logging_on(&self) -> ErrorContext {
        ErrorContext::new("log on as", self.name())
    }

    /// Sends again what the store holds, in the order of its numbers, and from then on lets
    /// publishes out as they come (rule K6, trap 60).
    ///
    /// What was there at the beginning goes out in batches, with the send lock free in between:
    /// meanwhile publishes only store. What came meanwhile goes out with the lock held, so that
    /// publishers cannot stay ahead of the replay for ever, and so that nothing is published
    /// between the last look at the store and the hand-over. Frames are copied out of the store
    /// first: it is never held up by a socket.
    ///
    /// # Errors
    ///
    /// `Disconnected`: the connection broke. `Store`: the store cannot be read. The records stay.
    pub(crate) fn replay(self: &Arc<Self>, connection: &Arc<Connection>) -> Result<()> {
        let Some(end) = self.begin_replay(connection)? else {
            return Ok(());
        };
        let mut replay = Replay::default();
        while replay.last < end {
            let mut wire = self.wire.lock();
            let written = self.write_batch(&mut wire, connection, &mut replay);
            self.unlock(wire);
            if !written? {
                break;
            }
        }
        let mut wire = self.wire.lock();
        let caught_up = loop {
            match self.write_batch(&mut wire, connection, &mut replay) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        if caught_up.is_ok() && connection.is_live() {
            wire.standing = Standing::Live(Arc::downgrade(connection));
        }
        self.unlock(wire);
        caught_up?;
        info!("{}: {} stored commands sent", self.name(), replay.count);
        Ok(())
    }

    /// From here on what is stored may be on its way. Tells up to where to replay before publishers
    /// have to wait; none without a store.
    fn begin_replay(self: &Arc<Self>, connection: &Arc<Connection>) -> Result<Option<u64>> {
        let mut wire = self.wire.lock();
        let begun = self.begin_replay_in(&mut wire, connection);
        self.unlock(wire);
        begun
    }

    fn begin_replay_in(
        &self,
        wire: &mut Wire,
        connection: &Arc<Connection>,
    ) -> Result<Option<u64>> {
        let Some(store) = wire.store.clone() else {
            return Ok(None);
        };
        // While this one is live there is no later one, whose replay this would undo.
        if !connection.is_live() {
            return Err(self.lost_meanwhile());
        }
        let end = under_send_lock(self.id(), || {
            store.set_online()?;
            Ok::<u64, Error>(store.highest_unpersisted())
        })?;
        wire.standing = Standing::Replaying(Arc::downgrade(connection));
        Ok(Some(end))
    }

    /// Copies frames out of the store and writes them; false if there was nothing left.
    fn write_batch(
        &self,
        wire: &mut Wire,
        connection: &Arc<Connection>,
        replay: &mut Replay,
    ) -> Result<bool> {
        let Some(store) = wire.store.clone() else {
            return Ok(false);
        };
        replay.frames.clear();
        under_send_lock(self.id(), || {
            store.replay(replay.last, &mut |stored| {
                encode_header(&mut replay.frames, stored.sequence, &stored.command);
                replay.frames.extend_from_slice(stored.command.data);
                replay.last = stored.sequence;
                replay.count += 1;
                match replay.frames.len() < BATCH {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                }
            })
        })?;
        if replay.frames.is_empty() {
            return Ok(false);
        }
        let context = || ErrorContext::new("replay to", connection.uri.to_string());
        self.write_frames(wire, connection, &replay.frames, context)?;
        Ok(true)
    }
}

/// How far a replay has come.
#[derive(Default)]
struct Replay {
    /// The last number that was sent.
    last: u64,
    count: usize,
    frames: Vec<u8>,
}
