//! Waiting until what was published is safe.

use super::Client;
use super::ask::Patience;
use super::route::Sink;
use super::shared::Shared;
use crate::ack::AckType;
use crate::command::Command;
use crate::command_type::CommandType;
#[cfg(doc)]
use crate::error::Error;
use crate::error::{ErrorContext, Result};
use crate::store::PublishStore;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Wakes those who wait for the publish store to empty. The store is asked each time, with no lock
/// held: it is the one that knows.
#[derive(Default)]
pub(crate) struct Persisted {
    /// How much has happened that a waiter wants to know of.
    events: Mutex<u64>,
    happened: Condvar,
    /// How often offline records were given new numbers.
    renumberings: AtomicU64,
}

impl Persisted {
    /// Something was persisted, or the connection has ended.
    pub(crate) fn notify(&self) {
        *self.events.lock() += 1;
        self.happened.notify_all();
    }

    /// The numbers that are waited for may be others now.
    pub(crate) fn note_renumbering(&self) {
        self.renumberings.fetch_add(1, Ordering::SeqCst);
        self.notify();
    }

    /// Waits for an event after those seen; false if `deadline` came first.
    fn wait(&self, seen: u64, deadline: Option<Instant>) -> bool {
        let mut events = self.events.lock();
        while *events == seen {
            match deadline {
                None => self.happened.wait(&mut events),
                Some(deadline) => {
                    let waited = self.happened.wait_until(&mut events, deadline);
                    if waited.timed_out() {
                        return *events != seen;
                    }
                }
            }
        }
        true
    }
}

/// Waiting for what was published.
impl Client {
    /// Waits until the server has processed everything that this client sent before; zero waits
    /// for ever. What is only in the publish store, because there is no connection, is not waited
    /// for: see [`Client::publish_flush_ack`]. Guide §3.2, §9.5; rule K10.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`]: no answer in time; the messages are on their way all the same.
    /// [`Error::Disconnected`]: not connected, or lost while waiting: nothing is known of what was
    /// sent last and is in no store. [`Error::Usage`]: called from a handler of this client.
    pub fn publish_flush(&self, timeout: Duration) -> Result<()> {
        self.publish_flush_ack(timeout, AckType::COMPLETED)
    }

    /// Waits for one of two things. With [`AckType::PERSISTED`]: until everything that was
    /// published before is persisted; with a publish store, that is until the store has let it all
    /// go. With any other type: until the server has processed it, as [`Client::publish_flush`].
    ///
    /// # Errors
    ///
    /// As [`Client::publish_flush`]. With a publish store nothing is lost: what was not persisted
    /// is still in it.
    pub fn publish_flush_ack(&self, timeout: Duration, ack: AckType) -> Result<()> {
        let shared = self.shared();
        let ack = match ack.contains(AckType::PERSISTED) {
            true => AckType::PERSISTED,
            false => AckType::COMPLETED,
        };
        let store = shared.stores.lock().publish.clone();
        match store {
            Some(store) if ack == AckType::PERSISTED => shared.wait_for_store(&*store, timeout),
            _ => {
                let flush = Command::from(CommandType::Flush)
                    .set_ack_type(ack)
                    .set_timeout(timeout);
                shared.execute(flush, Sink::Nobody)?;
                Ok(())
            }
        }
    }
}

impl Shared {
    /// Waits until what is stored now is persisted. Without a connection, and with nobody who is
    /// making one, it will not be.
    fn wait_for_store(self: &Arc<Self>, store: &dyn PublishStore, timeout: Duration) -> Result<()> {
        let context = || ErrorContext::new("flush the publishes of", self.name());
        self.check_may_wait(context)?;
        self.check_not_in_store(context)?;
        let patience = Patience::of(timeout);
        let _waiting = self.waits.for_ack();
        let left = || {
            let count = store.unpersisted_count();
            format!("{count} commands are not persisted; they stay in the store")
        };
        if !self.send_batch(patience.deadline()) {
            let reason = format!("no end within {timeout:?}; {}", left());
            return Err(context().with_reason(reason).TimedOut());
        }
        let mut renumberings = self.persisted.renumberings.load(Ordering::SeqCst);
        let mut last = store.highest_unpersisted();
        loop {
            let seen = *self.persisted.events.lock();
            let renumbered = self.persisted.renumberings.load(Ordering::SeqCst);
            if std::mem::replace(&mut renumberings, renumbered) != renumbered {
                last = store.highest_unpersisted();
            }
            let lowest = store.lowest_unpersisted();
            if lowest == 0 || lowest > last {
                return Ok(());
            }
            if !self.may_become_connected() {
                let reason = format!("there is no connection; {}", left());
                return Err(context().with_reason(reason).Disconnected());
            }
            if !self.persisted.wait(seen, patience.deadline()) {
                let reason = format!("no end within {timeout:?}; {}", left());
                return Err(context().with_reason(reason).TimedOut());
            }
        }
    }

    /// True if there is a connection, or somebody is making one.
    fn may_become_connected(&self) -> bool {
        let state = self.state.lock();
        state.connection.is_some() || !state.drivers.is_empty()
    }
}
