//! Subscriptions to a queue come and go.

use super::consumer::Consumer;
use super::{Delivery, Queue};
use crate::entitlement::Grant;
use crate::topic::Subscription;
use rustc_hash::FxHashSet;
use std::sync::Arc;
use std::time::Instant;

impl Queue {
    /// Adds a subscription, or puts it in the place of the one of the same connection and id: then
    /// it keeps what that one has not acknowledged.
    pub(crate) fn attach(
        &mut self,
        connection: u64,
        subscription: &Arc<Subscription>,
        grant: Grant,
    ) {
        let backlog = subscription.backlog.min(self.rules.max_backlog);
        let same =
            |one: &Consumer| one.connection == connection && one.subscription.id == subscription.id;
        let at = self.consumers.iter().position(same).unwrap_or_else(|| {
            self.numbers += 1;
            self.consumers.push(Consumer {
                number: self.numbers,
                connection,
                subscription: subscription.clone(),
                grant: Grant::Nothing,
                backlog,
                holds: FxHashSet::default(),
                wanted: None,
            });
            self.consumers.len() - 1
        });
        let consumer = &mut self.consumers[at];
        consumer.subscription = subscription.clone();
        consumer.grant = grant;
        consumer.backlog = backlog;
        consumer.wanted = (!consumer.is_plain()).then(|| {
            self.ready
                .iter()
                .filter(|place| {
                    let entry = self.entries.get(place);
                    entry.is_some_and(|entry| consumer.wants(&self.message_type, &self.name, entry))
                })
                .copied()
                .collect()
        });
    }

    /// Ends a subscription, unless another one has taken its place; false if it is not here.
    pub(crate) fn detach(
        &mut self,
        connection: u64,
        subscription: &Arc<Subscription>,
        now: Instant,
    ) -> bool {
        self.end(now, |one| {
            one.connection == connection && Arc::ptr_eq(&one.subscription, subscription)
        })
    }

    /// Ends every subscription of a connection; false if it has none.
    pub(crate) fn forget(&mut self, connection: u64, now: Instant) -> bool {
        self.end(now, |one| one.connection == connection)
    }

    /// Ends subscriptions; what they have not acknowledged goes back into the queue.
    fn end(&mut self, now: Instant, whose: impl Fn(&Consumer) -> bool) -> bool {
        let mut any = false;
        while let Some(at) = self.consumers.iter().position(&whose) {
            any = true;
            let ended = self.consumers.remove(at);
            for bookmark in ended.holds {
                if self.rules.delivery == Delivery::AtMostOnce {
                    self.sent.remove(&bookmark);
                    self.free(ended.number, bookmark);
                } else if let Some(&place) = self.index.get(&bookmark) {
                    self.give_back(place, now);
                }
            }
        }
        any
    }
}
