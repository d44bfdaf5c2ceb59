//! From the log of one broker to that of another.
//!
//! A thread of the sending broker takes over what is appended to its log, some time after that,
//! and publishes it in the other one: under the same bookmarks, in a log of its own. So both logs
//! have the messages of each publisher in the same order, and different publishers in whatever
//! order they came. What the other broker has already, from a client that came over to it for
//! example, is a duplicate there and dropped. What came from the other broker is not sent back.
//!
//! Replication is synchronous: nothing counts as persisted before the other broker has it.

use super::{Bookmark, Entry, Event};
use crate::engine::Engine;
use crate::reason::text;
use crate::server::{Broker, Shared};
use crate::topic::{Event as Removal, Incoming};
use bytes::Bytes;
use std::borrow::Cow;
use std::io;
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How many entries are taken over at a time.
const BATCH: usize = 64;

/// How long to wait when the journal of the other broker does not take something.
const PAUSE: Duration = Duration::from_millis(20);

/// Where another broker stands.
pub(crate) struct Link {
    /// Unique in this broker.
    id: u64,
    /// The number of the other broker.
    to: u64,
    /// Up to here the other broker has everything.
    pub(super) position: u64,
    /// How long an entry waits before it is sent.
    pub(super) lag: Duration,
    /// The other broker has ended.
    ended: bool,
}

impl super::Log {
    /// True if somebody waits for what is appended.
    pub(crate) fn is_replicated(&self) -> bool {
        !self.links.is_empty()
    }

    /// Sets how long entries wait before they are sent.
    pub(crate) fn set_lag(&mut self, lag: Duration) {
        for link in &mut self.links {
            link.lag = lag;
        }
    }

    /// Forgets all other brokers.
    pub(crate) fn unlink(&mut self) {
        self.links.clear();
    }

    fn link(&mut self, id: u64) -> Option<&mut Link> {
        self.links.iter_mut().find(|link| link.id == id)
    }
}

/// Something to be done in the other broker, which has its own places for topics.
struct Parcel {
    bookmark: Bookmark,
    what: What,
}

enum What {
    Message {
        topic: TopicName,
        key: Box<[u8]>,
        payload: Bytes,
        correlation_id: Box<[u8]>,
        lifetime: Option<u64>,
    },
    Delete(Vec<(TopicName, Box<[u8]>)>),
}

/// What a topic is called in every broker.
struct TopicName {
    message_type: String,
    name: Box<[u8]>,
}

/// What there is to send.
enum Next {
    Parcels(Vec<Parcel>, u64),
    Wait(Option<Instant>),
    /// The link is gone, or one of the brokers.
    End,
}

impl Engine {
    fn pack(&self, entry: &Entry) -> Parcel {
        let name = |at: usize| {
            let topic = self.topics.at(at);
            TopicName {
                message_type: self.log.type_name(topic.type_at).to_owned(),
                name: topic.name.clone(),
            }
        };
        let what = match &entry.event {
            Event::Message(message) => What::Message {
                topic: name(message.topic),
                key: message.key.clone(),
                payload: message.payload.clone(),
                correlation_id: message.correlation_id.clone(),
                lifetime: message.lifetime,
            },
            Event::Delete(records) => What::Delete(
                records
                    .iter()
                    .map(|(at, key)| (name(*at), key.clone()))
                    .collect(),
            ),
        };
        Parcel {
            bookmark: entry.bookmark,
            what,
        }
    }

    /// What is to be sent next. With `hurry` there is no lag.
    fn next_parcels(&mut self, id: u64, hurry: bool) -> Next {
        if self.stopping {
            return Next::End;
        }
        let end = self.log.end();
        let Some(link) = self.log.link(id) else {
            return Next::End;
        };
        let (mut position, lag, to) = (link.position, link.lag, link.to);
        let now = crate::time::now_micros();
        let mut parcels = Vec::new();
        while position < end && parcels.len() < BATCH {
            let Some(entry) = self.log.at(position + 1) else {
                break;
            };
            if entry.from != to {
                let age = Duration::from_micros(now.saturating_sub(entry.processed));
                if age < lag && !hurry {
                    if parcels.is_empty() && position == self.position_of(id) {
                        return Next::Wait(Instant::now().checked_add(lag - age));
                    }
                    break;
                }
                parcels.push(self.pack(entry));
            }
            position += 1;
        }
        match position == self.position_of(id) {
            true => Next::Wait(None),
            false => Next::Parcels(parcels, position),
        }
    }

    fn position_of(&self, id: u64) -> u64 {
        let mut links = self.log.links.iter();
        links
            .find(|link| link.id == id)
            .map_or(0, |link| link.position)
    }

    /// The other broker has everything up to here.
    fn arrived_there(&mut self, id: u64, position: u64) {
        if let Some(link) = self.log.link(id) {
            link.position = position;
        }
        self.follow_log();
        self.tell_persisted();
    }

    /// Does what was done in another broker; `Err` if it has to be tried again.
    fn unpack(&mut self, parcel: &Parcel, from: u64) -> Result<(), ()> {
        let Bookmark {
            publisher,
            sequence,
        } = parcel.bookmark;
        if sequence <= self.log.highest(publisher) {
            return Ok(());
        }
        let done = match &parcel.what {
            What::Message {
                topic,
                key,
                payload,
                correlation_id,
                lifetime,
            } => {
                let Some(type_at) = self.log.type_at(&topic.message_type) else {
                    log::warn!("message type {:?} is not configured", topic.message_type);
                    return Ok(());
                };
                let message = Incoming {
                    delta: false,
                    payload,
                    sow_key: Cow::Borrowed(key),
                    correlation_id: Cow::Borrowed(correlation_id),
                    expiration: *lifetime,
                    bookmark: Some(parcel.bookmark),
                    from,
                };
                let (topics, mut outlet) = self.delivering();
                let version = topics.tick();
                let at = topics.find_or_create(type_at, &topic.name);
                topics.at_mut(at).publish(&message, version, &mut outlet)
            }
            What::Delete(records) => {
                let found = records
                    .iter()
                    .filter_map(|(topic, key)| {
                        let type_at = self.log.type_at(&topic.message_type)?;
                        Some((
                            self.topics.find_or_create(type_at, &topic.name),
                            key.clone(),
                        ))
                    })
                    .collect::<Vec<_>>();
                let logged = self.log_removal(&found, parcel.bookmark, from);
                if logged.is_ok() {
                    let (topics, mut outlet) = self.delivering();
                    for (at, key) in &found {
                        topics
                            .at_mut(*at)
                            .remove(key, Removal::Deleted, &mut outlet);
                    }
                }
                logged
            }
        };
        match done {
            Err(refusal) if refusal.reason == text::NOT_JOURNALED => return Err(()),
            // The brokers are configured differently.
            Err(refusal) => log::warn!("cannot take over {}: {}", parcel.bookmark, refusal.why),
            Ok(()) => {}
        }
        self.log.note_sequence(parcel.bookmark);
        self.follow_log();
        self.dispatch();
        Ok(())
    }

    fn log_removal(
        &mut self,
        records: &[(usize, Box<[u8]>)],
        bookmark: Bookmark,
        from: u64,
    ) -> Result<(), crate::reason::Refusal> {
        for (at, _) in records {
            let topic = self.topics.at(*at);
            self.log.introduce(*at, topic.type_at, &topic.name)?;
        }
        let processed = self.log.clock();
        self.log.append(Entry {
            bookmark,
            processed,
            from,
            event: Event::Delete(records.to_vec()),
        })
    }
}

/// The sending side.
struct Replicator {
    id: u64,
    here: Arc<Shared>,
    /// Not held, so that the other broker ends when its owner wants it to.
    there: Weak<Shared>,
}

impl Replicator {
    /// Brings over what is due; says until when there is nothing to do, `None` if it is over.
    fn send(&self, hurry: bool) -> Option<Option<Instant>> {
        loop {
            // Not a turn, which would wake all who wait for the log to grow.
            let next = self.here.engine.lock().next_parcels(self.id, hurry);
            let (parcels, position) = match next {
                Next::Parcels(parcels, position) => (parcels, position),
                Next::Wait(until) => return Some(until),
                Next::End => return None,
            };
            if !self.deliver(&parcels) {
                self.here.turn(|engine| {
                    if let Some(link) = engine.log.link(self.id) {
                        link.ended = true;
                    }
                });
                return None;
            }
            self.here
                .turn(|engine| engine.arrived_there(self.id, position));
        }
    }

    /// False if the other broker has ended, or this one ends.
    fn deliver(&self, mut parcels: &[Parcel]) -> bool {
        let from = self.here.engine.lock().log.instance();
        while !parcels.is_empty() {
            let Some(there) = self.there.upgrade() else {
                return false;
            };
            let taken = there.turn(|engine| {
                if engine.stopping {
                    return None;
                }
                let taken = parcels.iter();
                let taken = taken.take_while(|parcel| engine.unpack(parcel, from).is_ok());
                Some(taken.count())
            });
            drop(there);
            let Some(taken) = taken else {
                return false;
            };
            parcels = &parcels[taken..];
            if !parcels.is_empty() {
                if self.here.engine.lock().stopping {
                    return false;
                }
                thread::sleep(PAUSE);
            }
        }
        true
    }

    /// The body of the thread.
    fn run(&self) {
        while let Some(until) = self.send(false) {
            let mut engine = self.here.engine.lock();
            // Something may have come since.
            match engine.next_parcels(self.id, false) {
                Next::Wait(_) => {}
                Next::Parcels(..) => continue,
                Next::End => return,
            }
            match until {
                Some(until) => {
                    self.here.replicating.wait_until(&mut engine, until);
                }
                None => self.here.replicating.wait(&mut engine),
            }
        }
    }
}

/// Begins to send the log of one broker to another.
pub(crate) fn start(here: &Broker, there: &Broker, lag: Duration) -> io::Result<JoinHandle<()>> {
    let to = there.shared.engine.lock().log.instance();
    let id = here.shared.turn(|engine| {
        let log = &mut engine.log;
        log.links.retain(|link| !link.ended && link.to != to);
        log.last_link += 1;
        let id = log.last_link;
        log.links.push(Link {
            id,
            to,
            position: 0,
            lag,
            ended: false,
        });
        id
    });
    let replicator = Replicator {
        id,
        here: here.shared.clone(),
        there: Arc::downgrade(&there.shared),
    };
    // What is there already does not wait.
    replicator.send(true);
    thread::Builder::new()
        .name("broker-replicate".to_owned())
        .spawn(move || replicator.run())
}
