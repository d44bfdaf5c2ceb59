//! Tells an adapter of new points: one at a time for a subscription, newest last, no lock held.

use super::{DynamicRecoveryPoint, FixedRecoveryPoint, RecoveryPointAdapter};
use amps_core::Result;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

/// An adapter, and who is being told of.
pub(crate) struct Teller {
    adapter: Box<dyn RecoveryPointAdapter>,
    /// The subscriptions that a thread is telling of, and whether they have changed since.
    telling: Mutex<FxHashMap<Box<str>, bool>>,
}

impl Teller {
    /// Recovers the points that the adapter kept.
    pub(crate) fn new(
        mut adapter: Box<dyn RecoveryPointAdapter>,
    ) -> Result<(Teller, Vec<FixedRecoveryPoint>)> {
        let recovered = adapter.recover()?;
        let telling = Mutex::default();
        Ok((Teller { adapter, telling }, recovered))
    }

    /// The adapter.
    pub(crate) fn adapter(&self) -> &dyn RecoveryPointAdapter {
        &*self.adapter
    }

    /// Tells of the point of a subscription, which `ask` finds out. If another thread is telling
    /// of it, that one tells again.
    pub(crate) fn tell(&self, sub_id: &str, ask: &dyn Fn(&str) -> String) -> Result<()> {
        let mut telling = self.telling.lock();
        if let Some(changed) = telling.get_mut(sub_id) {
            *changed = true;
            return Ok(());
        }
        telling.insert(sub_id.into(), false);
        drop(telling);
        let turn = Turn {
            telling: &self.telling,
            sub_id,
        };
        let point = DynamicRecoveryPoint::new(sub_id, ask);
        loop {
            let told = self.adapter.update(&point);
            if turn.is_over() {
                return told;
            }
        }
    }
}

/// Ends the turn of a thread also if the adapter panics.
struct Turn<'a> {
    telling: &'a Mutex<FxHashMap<Box<str>, bool>>,
    sub_id: &'a str,
}

impl Turn<'_> {
    /// False if there is news to tell.
    fn is_over(&self) -> bool {
        let mut telling = self.telling.lock();
        match telling.get_mut(self.sub_id) {
            Some(changed) if *changed => {
                *changed = false;
                false
            }
            _ => {
                telling.remove(self.sub_id);
                true
            }
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.telling.lock().remove(self.sub_id);
        }
    }
}
