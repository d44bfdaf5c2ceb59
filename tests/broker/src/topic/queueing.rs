//! Where topics and queues meet: what is published goes into the queues over the topic, and what
//! the queues say is sent.

use super::pattern::Pattern;
use super::route::Outlet;
use super::{Topics, is_reserved};
use crate::config::NamedType;
use crate::engine::Client;
use crate::error::BrokerError;
use crate::queue::{End, Ledger, Now, Parcel, Queue, QueueConfig};
use crate::reason::Refusal;
use crate::server::Task;
use crate::sow::Record;
use crate::time::timestamp;
use crate::txlog::{Bookmark, Event, Log, Message, QueueEvent, Record as Written};
use amps_core::CommandType;
use amps_core::protocol::{Field, FrameWriter};
use rustc_hash::FxHashMap;
use std::time::{Duration, Instant};

/// The last instant that a header can name: the end of a lease that does not end.
const LAST_INSTANT: u64 = 253_402_300_799_999_999;

/// A message on its way into a queue.
pub(crate) struct Fed {
    /// The place of the queue.
    queue: usize,
    bookmark: Bookmark,
    record: Record,
    lifetime: Option<Duration>,
}

/// Lets the queues over a topic have the message that was just logged.
pub(super) fn feed(queues: &[usize], outlet: &mut Outlet<'_>) {
    if queues.is_empty() {
        return;
    }
    let last = outlet.log.at(outlet.log.end());
    if let Some(entry) = last
        && let Event::Message(message) = &entry.event
    {
        let fed = queues.iter().map(|&queue| Fed {
            queue,
            bookmark: entry.bookmark,
            record: record(entry.processed, message),
            lifetime: message.lifetime.map(Duration::from_secs),
        });
        outlet.fed.extend(fed);
    }
}

/// A message of the log as it stands in a queue: a record that nobody could name.
fn record(processed: u64, message: &Message) -> Record {
    Record {
        key: Box::default(),
        payload: message.payload.clone(),
        correlation_id: message.correlation_id.to_vec(),
        updated: processed,
        version: 0,
        expires: None,
    }
}

impl Topics {
    /// Creates the configured queues; the topics that keep records must be there.
    ///
    /// # Errors
    ///
    /// [`BrokerError::Topic`] for a queue that cannot work as configured.
    pub(crate) fn add_queues(
        &mut self,
        types: &[NamedType],
        configured: &[QueueConfig],
    ) -> Result<(), BrokerError> {
        for config in configured {
            self.add_queue(types, config)
                .map_err(|problem| BrokerError::Topic {
                    topic: config.name.clone(),
                    problem,
                })?;
        }
        Ok(())
    }

    fn add_queue(&mut self, types: &[NamedType], config: &QueueConfig) -> Result<(), String> {
        let type_at = types
            .iter()
            .position(|known| known.name == config.message_type)
            .ok_or_else(|| format!("unknown message type {}", config.message_type))?;
        let queue = Queue::new(config, &self.types[type_at])?;
        let names = std::iter::once(&config.name).chain(config.topics());
        if names
            .into_iter()
            .any(|name| name.is_empty() || is_reserved(name.as_bytes()))
        {
            return Err("this name cannot be configured".to_owned());
        }
        let at = self.find_or_create(type_at, config.name.as_bytes());
        if self.all[at].sow.is_some()
            || self.all[at].queue.is_some()
            || !self.all[at].feeds.is_empty()
        {
            return Err("there is another topic or queue of this name".to_owned());
        }
        self.all[at].queue = Some(Box::new(queue));
        for source in config.topics().iter().rev() {
            let source = self.find_or_create(type_at, source.as_bytes());
            if source != at && self.all[source].queue.is_some() {
                return Err("a queue collects topics, not queues".to_owned());
            }
            self.all[source].feeds.push(at);
            self.all[at].target = source;
        }
        Ok(())
    }

    /// Where a message goes that is published to this topic.
    pub(crate) fn target(&self, at: usize) -> usize {
        self.all[at].target
    }

    /// The queue of exactly this name.
    pub(crate) fn queue(&self, type_at: usize, name: &[u8]) -> Option<(usize, &Queue)> {
        let at = self.find(type_at, name)?;
        Some((at, self.all[at].queue.as_deref()?))
    }

    /// What a subscription reads from the log that names this topic: of a queue, the topics that
    /// it collects.
    pub(crate) fn behind(&self, type_at: usize, pattern: Pattern) -> Pattern {
        let Pattern::Literal(name) = &pattern else {
            return pattern;
        };
        let Some((at, _)) = self.queue(type_at, name) else {
            return pattern;
        };
        let collected = self.all.iter().filter(|topic| topic.feeds.contains(&at));
        Pattern::any_of(collected.map(|topic| topic.name.clone()).collect())
    }

    /// The queue at a place, to change it: it will be looked at again.
    pub(crate) fn queue_mut(&mut self, at: usize) -> Option<&mut Queue> {
        self.stirred.push(at);
        self.all[at].queue.as_deref_mut()
    }

    /// How many unacknowledged messages a subscription may have that asks for so many; `None` if
    /// there is no queue among its topics.
    pub(crate) fn granted_backlog(
        &self,
        type_at: usize,
        pattern: &Pattern,
        asked: usize,
    ) -> Option<usize> {
        self.matching(type_at, pattern)
            .into_iter()
            .filter_map(|at| self.all[at].queue.as_deref())
            .map(|queue| queue.max_backlog().min(asked))
            .min()
    }

    /// Lets the queues have what was published, and sends what they deliver.
    pub(crate) fn dispatch(
        &mut self,
        clients: &FxHashMap<u64, Client>,
        mut fed: Vec<Fed>,
        outlet: &mut Outlet<'_>,
    ) {
        let now = Now::read();
        for one in fed.drain(..) {
            if let Some(queue) = self.queue_mut(one.queue) {
                queue.enqueue(one.bookmark, one.record, one.lifetime, now);
            }
        }
        while let Some(at) = self.stirred.pop() {
            let topic = &mut self.all[at];
            let Some(queue) = &mut topic.queue else {
                continue;
            };
            let mut book = Book {
                log: outlet.log,
                at,
                type_at: topic.type_at,
                name: &topic.name,
            };
            queue.deliver(now, &mut book, |parcel| {
                if let Some(client) = clients.get(&parcel.connection) {
                    let write =
                        |out: &mut Vec<u8>| write(out, parcel, &topic.name, &topic.message_type);
                    client.connection.send(outlet.wakes, write);
                }
            });
            if let Some(due) = queue.arm() {
                outlet.timers.add(due, Task::Queue { topic: at });
            }
        }
        *outlet.fed = fed;
    }

    /// True if [`Topics::dispatch`] has something to do.
    pub(crate) fn is_stirred(&self) -> bool {
        !self.stirred.is_empty()
    }

    /// Puts a message back into the queues over its topic that a journal tells of.
    pub(crate) fn restore_queued(&mut self, bookmark: Bookmark, processed: u64, message: &Message) {
        let now = Now::read();
        let queues = self.all[message.topic].feeds.clone();
        for at in queues {
            if let Some(queue) = self.queue_mut(at) {
                let lifetime = message.lifetime.map(Duration::from_secs);
                queue.enqueue(bookmark, record(processed, message), lifetime, now);
            }
        }
    }

    /// Does to a queue what a journal tells of, if it is still one.
    pub(crate) fn restore_queue_event(&mut self, at: usize, event: QueueEvent) {
        let (QueueEvent::Acknowledged(bookmark) | QueueEvent::Expired(bookmark)) = event;
        if let Some(queue) = self.queue_mut(at) {
            queue.restore_end(bookmark, Instant::now());
        }
    }

    /// Something is to be done to a queue: its timer has come.
    pub(crate) fn stir(&mut self, at: usize) {
        self.stirred.push(at);
    }
}

/// The journal, as far as one queue is concerned.
pub(crate) struct Book<'e> {
    pub(crate) log: &'e mut Log,
    /// The place of the queue.
    pub(crate) at: usize,
    pub(crate) type_at: usize,
    pub(crate) name: &'e [u8],
}

impl Ledger for Book<'_> {
    fn ended(&mut self, bookmark: Bookmark, end: End) -> Result<(), Refusal> {
        if !self.log.has_journal() {
            return Ok(());
        }
        self.log.introduce(self.at, self.type_at, self.name)?;
        self.log.keep(&Written::Queue {
            topic: self.at,
            event: match end {
                End::Done => QueueEvent::Acknowledged(bookmark),
                End::Expired => QueueEvent::Expired(bookmark),
            },
        })
    }
}

/// Writes a message of a queue as its subscriber gets it (`protocol §4.2`).
fn write(
    out: &mut Vec<u8>,
    parcel: &Parcel<'_>,
    queue: &[u8],
    message_type: &crate::message_type::MessageType,
) {
    let Parcel {
        subscription,
        entry,
        ..
    } = parcel;
    let mut frame = FrameWriter::begin(out, CommandType::Publish);
    frame.text(Field::Topic, queue);
    frame.text(Field::SubIds, &subscription.id);
    frame.text(Field::Bookmark, entry.bookmark_text.as_bytes());
    if let Some(end) = parcel.lease_end {
        frame.text(Field::LeasePeriod, &timestamp(end.min(LAST_INSTANT)));
    }
    if subscription.timestamp {
        frame.text(Field::Timestamp, &timestamp(entry.record.updated));
    }
    frame.text_if(Field::CorrelationId, &entry.record.correlation_id);
    let payload = subscription.selected(message_type, &entry.record.payload);
    // The queue delivers nothing of which nothing can be selected.
    frame.finish(&payload.unwrap_or_default());
}
