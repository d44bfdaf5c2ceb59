//! Queues (`broker-behaviour §9`): what is in one, who works on it, and what is next.
//!
//! A [`Queue`] knows no sockets: it says which message goes to which subscription, and whoever
//! drives it sends it. Everything that happens to one message costs no more than the logarithm of
//! how many there are.

mod acknowledge;
mod config;
mod consumer;
mod entry;
mod late;
mod subscribing;
#[cfg(test)]
mod tests;

pub(crate) use acknowledge::{Answer, By};
pub use config::{Delivery, Fairness, LeaseOwner, QueueConfig};
pub(crate) use entry::Entry;

use crate::filter::Expression;
use crate::message_type::MessageType;
use crate::reason::Refusal;
use crate::sow::Record;
use crate::time::now_micros;
use crate::topic::Subscription;
use crate::txlog::Bookmark;
use consumer::{Consumer, choose};
use entry::{Lease, Place, priority_of};
use late::LateAcks;
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Both clocks at one instant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) instant: Instant,
    /// Microseconds since 1970.
    pub(crate) micros: u64,
}

impl Now {
    pub(crate) fn read() -> Now {
        Now {
            instant: Instant::now(),
            micros: now_micros(),
        }
    }
}

/// What is in effect of a queue's configuration.
#[derive(Debug)]
struct Rules {
    delivery: Delivery,
    fairness: Fairness,
    strict: bool,
    lease_period: Option<Duration>,
    max_backlog: usize,
    max_outstanding: usize,
    max_deliveries: u32,
    max_cancels: u32,
    lifetime: Option<Duration>,
    priority: Option<Expression>,
}

/// The messages of a queue, and who works on them.
#[derive(Debug)]
pub(crate) struct Queue {
    name: Box<[u8]>,
    message_type: MessageType,
    rules: Rules,
    /// Everything that was neither acknowledged nor expired; with at-most-once delivery,
    /// everything that was not sent.
    entries: BTreeMap<Place, Entry>,
    index: FxHashMap<Bookmark, Place>,
    /// What can be delivered.
    ready: BTreeSet<Place>,
    /// When a lease ends, or the life of a message that is not leased.
    alarms: BTreeSet<(Instant, Place)>,
    /// When the next timer comes.
    armed: Option<Instant>,
    /// In the order in which they subscribed.
    consumers: Vec<Consumer>,
    /// Counts the consumers.
    numbers: u64,
    /// The number of the consumer that got the last message.
    last_served: u64,
    /// How many messages all consumers have not acknowledged.
    outstanding: usize,
    /// With at-most-once delivery: who was sent what and has not acknowledged it.
    sent: FxHashMap<Bookmark, u64>,
    /// Counts the messages.
    arrivals: u64,
    late: LateAcks,
    /// Counts the messages that expired.
    expired: u64,
}

/// A message on its way to a subscription.
pub(crate) struct Parcel<'q> {
    pub(crate) connection: u64,
    pub(crate) subscription: &'q Subscription,
    pub(crate) entry: &'q Entry,
    /// When its lease ends, in microseconds since 1970; `None` if it is not leased.
    pub(crate) lease_end: Option<u64>,
}

/// Why a message is no longer in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It was acknowledged; with at-most-once delivery, sent.
    Done,
    Expired,
}

/// Where it is written down that a message leaves a queue, before it does.
///
/// What is in a queue follows from that and from the log: everything that was published and has
/// not left.
pub(crate) trait Ledger {
    /// Takes note.
    ///
    /// # Errors
    ///
    /// It could not be written: then the message must stay, or may come back one day.
    fn ended(&mut self, bookmark: Bookmark, end: End) -> Result<(), Refusal>;
}

impl Queue {
    /// An empty queue.
    ///
    /// # Errors
    ///
    /// Says what about the configuration cannot work.
    pub(crate) fn new(config: &QueueConfig, message_type: &MessageType) -> Result<Queue, String> {
        let priority = config.priority.as_deref().map(Expression::parse);
        let priority = priority
            .transpose()
            .map_err(|error| format!("priority: {error}"))?;
        Ok(Queue {
            name: config.name.as_bytes().into(),
            message_type: message_type.clone(),
            rules: Rules {
                delivery: config.delivery,
                fairness: config.check()?,
                strict: config.lease_owner == LeaseOwner::Strict,
                lease_period: config.lease_period,
                max_backlog: config.max_backlog,
                max_outstanding: config.max_outstanding.unwrap_or(usize::MAX),
                max_deliveries: config.max_deliveries,
                max_cancels: config.max_cancels,
                lifetime: config.expiration,
                priority,
            },
            entries: BTreeMap::new(),
            index: FxHashMap::default(),
            ready: BTreeSet::new(),
            alarms: BTreeSet::new(),
            armed: None,
            consumers: Vec::new(),
            numbers: 0,
            last_served: 0,
            outstanding: 0,
            sent: FxHashMap::default(),
            arrivals: 0,
            late: LateAcks::new(config.late_ack_memory),
            expired: 0,
        })
    }

    /// The most unacknowledged messages that one subscription may have.
    pub(crate) fn max_backlog(&self) -> usize {
        self.rules.max_backlog
    }

    /// How many messages are in the queue, those included that somebody works on.
    pub(crate) fn depth(&self) -> usize {
        self.entries.len()
    }

    /// How many messages were delivered and are not acknowledged.
    pub(crate) fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// How many messages have expired.
    pub(crate) fn expired(&self) -> u64 {
        self.expired
    }

    /// The messages that could be delivered, in their order.
    pub(crate) fn deliverable(&self) -> impl Iterator<Item = &Entry> {
        self.ready
            .iter()
            .filter_map(|place| self.entries.get(place))
    }

    /// Puts a message into the queue, unless it was acknowledged already. `lifetime` is what its
    /// publisher says, zero if that is for ever; it counts from when the message was processed.
    pub(crate) fn enqueue(
        &mut self,
        bookmark: Bookmark,
        mut record: Record,
        lifetime: Option<Duration>,
        now: Now,
    ) {
        if self.late.arrives(bookmark, now.instant) || self.index.contains_key(&bookmark) {
            return;
        }
        let lifetime = lifetime.or(self.rules.lifetime);
        let age = Duration::from_micros(now.micros.saturating_sub(record.updated));
        record.expires = lifetime
            .filter(|lifetime| !lifetime.is_zero())
            .and_then(|lifetime| now.instant.checked_add(lifetime.saturating_sub(age)));
        let entry = Entry::new(bookmark, record);
        let priority = self.rules.priority.as_ref().and_then(|expression| {
            priority_of(&expression.evaluate(&entry.seen(&self.message_type, &self.name)))
        });
        self.arrivals += 1;
        let place = Place {
            priority: Reverse(priority),
            arrival: self.arrivals,
        };
        self.index.insert(bookmark, place);
        self.entries.insert(place, entry);
        self.offer(place);
    }

    /// A message that is nobody's can be delivered, as long as it lives.
    fn offer(&mut self, place: Place) {
        let Some(entry) = self.entries.get(&place) else {
            return;
        };
        self.alarms.extend(entry.alarm().map(|end| (end, place)));
        self.ready.insert(place);
        for consumer in &mut self.consumers {
            if let Some(mut wanted) = consumer.wanted.take() {
                if consumer.wants(&self.message_type, &self.name, entry) {
                    wanted.insert(place);
                }
                consumer.wanted = Some(wanted);
            }
        }
    }

    /// The opposite of [`Queue::offer`].
    fn withdraw(&mut self, place: Place) {
        let alarm = self.entries.get(&place).and_then(Entry::alarm);
        if let Some(end) = alarm {
            self.alarms.remove(&(end, place));
        }
        if self.ready.remove(&place) {
            for wanted in self
                .consumers
                .iter_mut()
                .filter_map(|one| one.wanted.as_mut())
            {
                wanted.remove(&place);
            }
        }
    }

    /// Does again what a ledger says: the message is no longer here, or will not come.
    pub(crate) fn restore_end(&mut self, bookmark: Bookmark, now: Instant) {
        match self.index.get(&bookmark) {
            Some(&place) => drop(self.remove(place)),
            None => self.late.remember(bookmark, now),
        }
    }

    /// Takes a message out that has expired. If that cannot be written down it is out all the
    /// same: at worst it expires again one day.
    fn expire(&mut self, place: Place, ledger: &mut dyn Ledger) {
        let Some(entry) = self.remove(place) else {
            return;
        };
        self.expired += 1;
        if let Err(refusal) = ledger.ended(entry.bookmark, End::Expired) {
            let queue = String::from_utf8_lossy(&self.name);
            log::warn!(
                "a message of {queue} has expired, which cannot be written down: {refusal:?}"
            );
        }
    }

    /// Takes a message out for good.
    fn remove(&mut self, place: Place) -> Option<Entry> {
        self.withdraw(place);
        let entry = self.entries.remove(&place)?;
        self.index.remove(&entry.bookmark);
        if let Some(lease) = entry.lease {
            self.free(lease.consumer, entry.bookmark);
        }
        Some(entry)
    }

    /// A message no longer counts against the backlog of its consumer.
    fn free(&mut self, consumer: u64, bookmark: Bookmark) {
        self.outstanding = self.outstanding.saturating_sub(1);
        let holder = self.consumers.iter_mut().find(|one| one.number == consumer);
        if let Some(holder) = holder {
            holder.holds.remove(&bookmark);
        }
    }

    /// The oldest message that somebody wants and has room for, and who gets it.
    fn next(&self) -> Option<(usize, Place)> {
        if self.outstanding >= self.rules.max_outstanding {
            return None;
        }
        let place = self
            .consumers
            .iter()
            .filter(|consumer| consumer.has_room())
            .filter_map(|consumer| consumer.first(&self.ready))
            .min()?;
        let consumer = choose(
            &self.consumers,
            place,
            self.rules.fairness,
            self.last_served,
        )?;
        Some((consumer, place))
    }

    /// Ends the leases and the messages whose time is over, and delivers whatever can be.
    pub(crate) fn deliver(
        &mut self,
        now: Now,
        ledger: &mut dyn Ledger,
        mut send: impl FnMut(&Parcel<'_>),
    ) {
        self.due(now.instant, ledger);
        while let Some((at, place)) = self.next() {
            match self.rules.delivery {
                Delivery::AtLeastOnce => self.lease(at, place, now, &mut send),
                Delivery::AtMostOnce => {
                    if let Err(refusal) = self.hand_over(at, place, ledger, &mut send) {
                        let queue = String::from_utf8_lossy(&self.name);
                        log::warn!(
                            "a message of {queue} must not be sent twice, so it waits: {refusal:?}"
                        );
                        return;
                    }
                }
            }
        }
    }

    fn lease(&mut self, at: usize, place: Place, now: Now, send: &mut impl FnMut(&Parcel<'_>)) {
        self.withdraw(place);
        let Some(entry) = self.entries.get_mut(&place) else {
            return;
        };
        let period = self.rules.lease_period;
        let consumer = &mut self.consumers[at];
        entry.lease = Some(Lease {
            consumer: consumer.number,
            until: period.and_then(|period| now.instant.checked_add(period)),
        });
        entry.deliveries = entry.deliveries.saturating_add(1);
        entry.last_leased = Some(now.micros);
        self.alarms.extend(entry.alarm().map(|end| (end, place)));
        consumer.holds.insert(entry.bookmark);
        self.outstanding += 1;
        self.last_served = consumer.number;
        let micros = |period: Duration| u64::try_from(period.as_micros()).unwrap_or(u64::MAX);
        send(&Parcel {
            connection: consumer.connection,
            subscription: &consumer.subscription,
            entry,
            lease_end: Some(
                period.map_or(u64::MAX, |period| now.micros.saturating_add(micros(period))),
            ),
        });
    }

    fn hand_over(
        &mut self,
        at: usize,
        place: Place,
        ledger: &mut dyn Ledger,
        send: &mut impl FnMut(&Parcel<'_>),
    ) -> Result<(), Refusal> {
        if let Some(entry) = self.entries.get(&place) {
            ledger.ended(entry.bookmark, End::Done)?;
        }
        let Some(entry) = self.remove(place) else {
            return Ok(());
        };
        let consumer = &mut self.consumers[at];
        consumer.holds.insert(entry.bookmark);
        self.outstanding += 1;
        self.last_served = consumer.number;
        self.sent.insert(entry.bookmark, consumer.number);
        send(&Parcel {
            connection: consumer.connection,
            subscription: &consumer.subscription,
            entry: &entry,
            lease_end: None,
        });
        Ok(())
    }

    fn due(&mut self, now: Instant, ledger: &mut dyn Ledger) {
        if self.armed.is_some_and(|armed| armed <= now) {
            self.armed = None;
        }
        while let Some(&(end, place)) = self.alarms.first()
            && end <= now
        {
            let leased = self
                .entries
                .get(&place)
                .is_some_and(|entry| entry.lease.is_some());
            if leased {
                self.give_back(place, now);
            } else {
                self.expire(place, ledger);
            }
        }
    }

    /// When a timer is to come, if none comes in time already.
    pub(crate) fn arm(&mut self) -> Option<Instant> {
        let (first, _) = self.alarms.first()?;
        if self.armed.is_some_and(|armed| armed <= *first) {
            return None;
        }
        self.armed = Some(*first);
        self.armed
    }
}
