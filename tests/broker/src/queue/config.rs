//! How a queue is set up.

use std::time::Duration;

/// Whether a message stays in the queue while somebody works on it (`broker-behaviour §9`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Delivery {
    /// A message is leased to one subscription and stays in the queue until it is acknowledged.
    #[default]
    AtLeastOnce,
    /// A message leaves the queue when it is sent.
    AtMostOnce,
}

/// Who gets the next message, of the subscriptions that want it and have room for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fairness {
    /// The one that uses the least part of its backlog; the oldest of several such. This is the
    /// default for at-least-once delivery.
    Proportional,
    /// Each in its turn. This is the default for at-most-once delivery, and the only choice.
    RoundRobin,
    /// The oldest one.
    Fast,
}

/// Whose acknowledgements count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum LeaseOwner {
    /// Everybody's who may read the queue.
    #[default]
    Sublet,
    /// For a leased message, only those of the connection that holds the lease.
    Strict,
}

/// A queue: each message that is published to its topic goes to one of its subscribers.
///
/// ```
/// use amps_broker::{Broker, QueueConfig};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), amps_broker::BrokerError> {
/// let broker = Broker::builder()
///     // What is published to "jobs" is what is in the queue.
///     .queue(QueueConfig::new("jobs").max_backlog(10))
///     // The queue is made of what is published to "orders"; who subscribes to "orders" still
///     // gets everything.
///     .queue(
///         QueueConfig::new("orders-to-check")
///             .over("orders")
///             .lease_period(Duration::from_secs(30)),
///     )
///     .start()?;
/// assert_eq!(broker.queue_depth("jobs"), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueConfig {
    pub(crate) name: String,
    pub(crate) message_type: String,
    pub(crate) sources: Vec<String>,
    pub(crate) delivery: Delivery,
    pub(crate) fairness: Option<Fairness>,
    pub(crate) lease_owner: LeaseOwner,
    pub(crate) lease_period: Option<Duration>,
    pub(crate) max_backlog: usize,
    pub(crate) max_outstanding: Option<usize>,
    pub(crate) max_deliveries: u32,
    pub(crate) max_cancels: u32,
    pub(crate) expiration: Option<Duration>,
    pub(crate) priority: Option<String>,
    pub(crate) late_ack_memory: Duration,
}

impl QueueConfig {
    /// A queue of JSON messages with at-least-once delivery, over the topic of its own name unless
    /// [`QueueConfig::over`] names others.
    pub fn new(name: impl Into<String>) -> QueueConfig {
        QueueConfig {
            name: name.into(),
            message_type: "json".to_owned(),
            sources: Vec::new(),
            delivery: Delivery::default(),
            fairness: None,
            lease_owner: LeaseOwner::default(),
            lease_period: None,
            max_backlog: 1,
            max_outstanding: None,
            max_deliveries: 0,
            max_cancels: 0,
            expiration: None,
            priority: None,
            late_ack_memory: Duration::from_secs(86_400),
        }
    }

    /// Lets the queue collect what is published to this topic. May be called again, for several
    /// topics; what is published to the queue by its name goes to the first.
    #[must_use]
    pub fn over(mut self, topic: impl Into<String>) -> QueueConfig {
        self.sources.push(topic.into());
        self
    }

    /// The message type of the queue and its topics; `json` unless it is set.
    #[must_use]
    pub fn message_type(mut self, message_type: impl Into<String>) -> QueueConfig {
        self.message_type = message_type.into();
        self
    }

    /// Whether messages stay in the queue until they are acknowledged;
    /// [`Delivery::AtLeastOnce`] unless it is set.
    #[must_use]
    pub fn delivery(mut self, delivery: Delivery) -> QueueConfig {
        self.delivery = delivery;
        self
    }

    /// Who gets the next message; [`Fairness::Proportional`] unless it is set, with at-most-once
    /// delivery [`Fairness::RoundRobin`].
    #[must_use]
    pub fn fairness(mut self, fairness: Fairness) -> QueueConfig {
        self.fairness = Some(fairness);
        self
    }

    /// Whose acknowledgements count; [`LeaseOwner::Sublet`] unless it is set.
    #[must_use]
    pub fn lease_owner(mut self, owner: LeaseOwner) -> QueueConfig {
        self.lease_owner = owner;
        self
    }

    /// After what time a message that was not acknowledged is delivered again; never unless it is
    /// set. The end of a subscription ends its leases in any case.
    #[must_use]
    pub fn lease_period(mut self, period: Duration) -> QueueConfig {
        self.lease_period = Some(period);
        self
    }

    /// The most unacknowledged messages that one subscription may have, whatever it asks for; 1
    /// unless it is set.
    #[must_use]
    pub fn max_backlog(mut self, messages: usize) -> QueueConfig {
        self.max_backlog = messages;
        self
    }

    /// The most unacknowledged messages that all subscriptions together may have; no limit unless
    /// it is set.
    #[must_use]
    pub fn max_outstanding(mut self, messages: usize) -> QueueConfig {
        self.max_outstanding = Some(messages);
        self
    }

    /// A message that was delivered this often without being acknowledged expires when it comes
    /// back; 0, which is no limit, unless it is set.
    #[must_use]
    pub fn max_deliveries(mut self, times: u32) -> QueueConfig {
        self.max_deliveries = times;
        self
    }

    /// A message that subscribers gave back this often expires; 0, which is no limit, unless it is
    /// set.
    #[must_use]
    pub fn max_cancels(mut self, times: u32) -> QueueConfig {
        self.max_cancels = times;
        self
    }

    /// How long a message stays in the queue whose publisher says no lifetime; for ever unless it
    /// is set. One that is leased stays until its lease ends.
    ///
    /// Publishers count in whole seconds; `lifetime` may be shorter, to save tests time.
    #[must_use]
    pub fn expiration(mut self, lifetime: Duration) -> QueueConfig {
        self.expiration = Some(lifetime);
        self
    }

    /// An expression over the message: those with the highest value go first, those for which it
    /// is no unsigned number last. Messages of the same priority go by age, as all do unless it is
    /// set.
    #[must_use]
    pub fn priority(mut self, expression: impl Into<String>) -> QueueConfig {
        self.priority = Some(expression.into());
        self
    }

    /// How long the queue remembers an acknowledgement that comes before its message; a day unless
    /// it is set.
    #[must_use]
    pub fn late_ack_memory(mut self, period: Duration) -> QueueConfig {
        self.late_ack_memory = period;
        self
    }

    /// The topics that the queue collects.
    pub(crate) fn topics(&self) -> &[String] {
        match &self.sources[..] {
            [] => std::slice::from_ref(&self.name),
            sources => sources,
        }
    }

    /// The fairness that is in effect, or what cannot work about the whole.
    pub(crate) fn check(&self) -> Result<Fairness, String> {
        let at_most_once = self.delivery == Delivery::AtMostOnce;
        let zero = |period: Option<Duration>| period.is_some_and(|period| period.is_zero());
        let problem = if self.max_backlog == 0 || self.max_outstanding == Some(0) {
            "a queue that may deliver nothing"
        } else if zero(self.lease_period) {
            "a lease that ends as it begins"
        } else if at_most_once && self.lease_period.is_some() {
            "there are no leases with at-most-once delivery"
        } else {
            return match self.fairness {
                None if at_most_once => Ok(Fairness::RoundRobin),
                None => Ok(Fairness::Proportional),
                Some(other) if at_most_once && other != Fairness::RoundRobin => {
                    Err("at-most-once delivery goes round robin".to_owned())
                }
                Some(fairness) => Ok(fairness),
            };
        };
        Err(problem.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_refused() {
        let queue = || QueueConfig::new("q");
        for wrong in [
            queue().max_backlog(0),
            queue().max_outstanding(0),
            queue().lease_period(Duration::ZERO),
            queue()
                .delivery(Delivery::AtMostOnce)
                .lease_period(Duration::from_secs(1)),
            queue()
                .delivery(Delivery::AtMostOnce)
                .fairness(Fairness::Fast),
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
        assert_eq!(queue().check(), Ok(Fairness::Proportional));
        let once = queue().delivery(Delivery::AtMostOnce);
        assert_eq!(once.check(), Ok(Fairness::RoundRobin));
    }
}
