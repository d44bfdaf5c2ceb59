//! A subscription to a queue, and which of several gets a message.

use super::config::Fairness;
use super::entry::{Entry, Place};
use crate::entitlement::Grant;
use crate::message_type::MessageType;
use crate::topic::Subscription;
use crate::txlog::Bookmark;
use rustc_hash::FxHashSet;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A subscription to a queue.
#[derive(Debug)]
pub(super) struct Consumer {
    /// Unique in the queue, and higher than those of all that came before.
    pub(super) number: u64,
    pub(super) connection: u64,
    pub(super) subscription: Arc<Subscription>,
    /// What its owner may see.
    pub(super) grant: Grant,
    /// The most unacknowledged messages it may have.
    pub(super) backlog: usize,
    /// The messages it has not acknowledged.
    pub(super) holds: FxHashSet<Bookmark>,
    /// Those of the deliverable messages that it wants; `None` if it wants all of them.
    pub(super) wanted: Option<BTreeSet<Place>>,
}

impl Consumer {
    /// True if it takes whatever there is.
    pub(super) fn is_plain(&self) -> bool {
        self.subscription.filter.is_none()
            && self.subscription.select.is_none()
            && matches!(self.grant, Grant::Everything)
    }

    /// True if the message is what the client wants and may see.
    pub(super) fn wants(&self, message_type: &MessageType, queue: &[u8], entry: &Entry) -> bool {
        let seen = entry.seen(message_type, queue);
        let filter = self.subscription.filter.as_ref();
        self.grant.covers(&seen)
            && filter.is_none_or(|filter| filter.matches(&seen))
            // What nothing can be selected from cannot be sent, so it must not be leased.
            && self
                .subscription
                .selected(message_type, &entry.record.payload)
                .is_some()
    }

    pub(super) fn has_room(&self) -> bool {
        self.holds.len() < self.backlog
    }

    /// The first deliverable message that it wants.
    pub(super) fn first(&self, ready: &BTreeSet<Place>) -> Option<Place> {
        self.wanted.as_ref().unwrap_or(ready).first().copied()
    }

    /// Whether it wants a message that is deliverable.
    fn takes(&self, place: Place) -> bool {
        self.wanted
            .as_ref()
            .is_none_or(|wanted| wanted.contains(&place))
    }
}

/// Who gets the message: of those that want it and have room, in the order in which they came.
pub(super) fn choose(
    consumers: &[Consumer],
    place: Place,
    fairness: Fairness,
    last: u64,
) -> Option<usize> {
    let mut able = consumers
        .iter()
        .enumerate()
        .filter(|(_, consumer)| consumer.has_room() && consumer.takes(place));
    let (at, _) = match fairness {
        Fairness::Fast => able.next(),
        // The first of several with the least.
        Fairness::Proportional => able.min_by(|(_, left), (_, right)| {
            let used =
                |one: &Consumer, other: &Consumer| one.holds.len() as u128 * other.backlog as u128;
            used(left, right).cmp(&used(right, left))
        }),
        Fairness::RoundRobin => {
            let first = able.next()?;
            std::iter::once(first)
                .chain(able)
                .find(|(_, consumer)| consumer.number > last)
                .or(Some(first))
        }
    }?;
    Some(at)
}
