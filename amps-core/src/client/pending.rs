//! Callers that wait for an acknowledgement.

use crate::ack::AckType;
use crate::message::Message;
use crate::protocol::Status;
use parking_lot::{Condvar, Mutex};
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::time::Instant;

/// The waiting callers by command id: each is woken by its own acknowledgement, so any number of
/// threads wait at once (rule C5).
#[derive(Default)]
pub(crate) struct Pending {
    waiters: Mutex<FxHashMap<String, Arc<Waiter>>>,
}

/// One caller.
struct Waiter {
    connection: u64,
    /// The acknowledgement that ends the wait; a refusal of any type ends it, too.
    awaited: AckType,
    outcome: Mutex<Option<Outcome>>,
    decided: Condvar,
}

/// How a wait ended.
pub(crate) enum Outcome {
    /// With this acknowledgement.
    Acknowledged(Message),
    /// The connection was lost or closed.
    Disconnected,
    /// The time is over.
    TimedOut,
}

/// A place in [`Pending`]; dropping it gives the place up.
pub(crate) struct Wait<'a> {
    pending: &'a Pending,
    id: String,
    waiter: Arc<Waiter>,
}

impl Pending {
    /// Registers a caller before its command is sent; `None` if somebody waits under this id.
    pub(crate) fn register(&self, id: &str, awaited: AckType, connection: u64) -> Option<Wait<'_>> {
        let waiter = Arc::new(Waiter {
            connection,
            awaited,
            outcome: Mutex::new(None),
            decided: Condvar::new(),
        });
        let mut waiters = self.waiters.lock();
        if waiters.contains_key(id) {
            return None;
        }
        waiters.insert(id.to_string(), waiter.clone());
        drop(waiters);
        Some(Wait {
            pending: self,
            id: id.to_string(),
            waiter,
        })
    }

    pub(crate) fn contains(&self, id: &str) -> bool {
        self.waiters.lock().contains_key(id)
    }

    /// Gives an acknowledgement to the caller who waits for it; true if there is one.
    pub(crate) fn acknowledge(&self, ack: &Message) -> bool {
        let waiter = self.waiters.lock().get(ack.command_id()).cloned();
        let Some(waiter) = waiter else {
            return false;
        };
        if waiter.awaited.intersects(ack.ack_type()) || ack.status_kind() == Status::Failure {
            waiter.decide(|| Outcome::Acknowledged(ack.clone()));
        }
        // Also what comes before the awaited one is no news to anybody else.
        true
    }

    /// Wakes every caller who waits on this connection or an earlier one.
    pub(crate) fn disconnect(&self, connection: u64) {
        let lost = self
            .waiters
            .lock()
            .values()
            .filter(|waiter| waiter.connection <= connection)
            .cloned()
            .collect::<Vec<_>>();
        for waiter in lost {
            waiter.decide(|| Outcome::Disconnected);
        }
    }
}

impl Waiter {
    /// The first decision stands.
    fn decide(&self, outcome: impl FnOnce() -> Outcome) {
        let mut decided = self.outcome.lock();
        if decided.is_none() {
            *decided = Some(outcome());
            self.decided.notify_all();
        }
    }
}

impl Wait<'_> {
    /// Waits until `deadline`, or for ever.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> Outcome {
        let mut outcome = self.waiter.outcome.lock();
        loop {
            if let Some(outcome) = outcome.take() {
                return outcome;
            }
            match deadline {
                None => self.waiter.decided.wait(&mut outcome),
                Some(deadline) => {
                    let waited = self.waiter.decided.wait_until(&mut outcome, deadline);
                    if waited.timed_out() && outcome.is_none() {
                        return Outcome::TimedOut;
                    }
                }
            }
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.pending.waiters.lock().remove(&self.id);
    }
}
