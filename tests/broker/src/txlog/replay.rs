//! Subscriptions that read the log: those that came with a bookmark.
//!
//! Such a subscription stays a reader of the log when it has caught up: what is appended then is
//! delivered from the log in the same turn, so that there is no seam between the past and the
//! present at which a message could be lost or doubled. It is also why its client is never too
//! slow: while it does not read, its replay simply stands still and nothing piles up but a
//! bounded amount of output.
//!
//! A replay goes on in small steps, each under the engine's lock: in the turn that appends to the
//! log, if it has caught up; else on the writer thread of its connection, whenever that has
//! written what there was.

use super::{Entry, Event, Log, Message, Pace, Reader};
use crate::ack::{Ack, Kind};
use crate::server::{Connection, Task, Timers, Wakes};
use crate::time::now_micros;
use crate::topic::{Addressees, Change, Listener, Parcels, Subscription, Topic, Topics, Verdict};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many entries one step looks at.
const STEP: usize = 64;

/// The end of a range may be in any year. A timer that comes too early is set anew.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);

/// What a replay works with.
pub(crate) struct World<'e> {
    pub(crate) topics: &'e Topics,
    pub(crate) log: &'e Log,
    pub(crate) wakes: &'e mut Wakes,
    pub(crate) timers: &'e mut Timers,
    /// A test holds back persisted acknowledgements.
    pub(crate) acks_held: bool,
}

/// A reader at one topic.
struct Place {
    /// The place of the reader.
    reader: usize,
    /// What it makes of a message.
    listener: Listener,
    /// How it is addressed if it is alone.
    addressee: Addressees,
}

/// Some subscriptions of one connection that read together, in most cases one.
pub(crate) struct Replay {
    pub(super) connection: Arc<Connection>,
    /// The place of the message type.
    type_at: usize,
    pub(super) readers: Vec<Reader>,
    /// The position of the entry that is looked at next.
    next: u64,
    /// Who listens to which topic, by the place of the topic.
    listeners: FxHashMap<usize, Vec<Place>>,
    /// The writer of the connection carries on with it.
    pub(super) behind: bool,
    /// It stands still until it is resumed.
    pub(super) paused: bool,
    pub(super) pace: Option<Pace>,
    /// Unique in this broker.
    pub(super) id: u64,
    /// When a timer comes that lets it go on.
    pub(super) timer: Option<Instant>,
    /// A timer is set for acknowledgements.
    pub(super) armed: bool,
}

impl Replay {
    pub(crate) fn new(
        connection: &Arc<Connection>,
        type_at: usize,
        reader: Reader,
        next: u64,
    ) -> Replay {
        Replay {
            connection: connection.clone(),
            type_at,
            readers: vec![reader],
            next,
            listeners: FxHashMap::default(),
            behind: false,
            paused: false,
            pace: None,
            id: 0,
            timer: None,
            armed: false,
        }
    }

    /// Lets it go no faster than this.
    pub(crate) fn at_pace(self, pace: Option<Pace>) -> Replay {
        Replay { pace, ..self }
    }

    /// Lets it begin paused, or go on.
    pub(crate) fn paused(self, paused: bool) -> Replay {
        Replay { paused, ..self }
    }

    pub(super) fn has(&self, subscription: &Subscription) -> bool {
        let mut readers = self.readers.iter();
        readers.any(|reader| reader.subscription.since == subscription.since)
    }

    /// Takes a subscription out, as a replay of its own.
    pub(super) fn take(&mut self, subscription: &Subscription) -> Option<Replay> {
        let is_it = |reader: &Reader| reader.subscription.since == subscription.since;
        let reader = self.readers.remove(self.readers.iter().position(is_it)?);
        // They tell the readers by their places.
        self.listeners.clear();
        let taken = Replay::new(&self.connection, self.type_at, reader, self.next)
            .at_pace(self.pace.clone())
            .paused(self.paused);
        Some(taken)
    }

    /// True if both can read on together.
    pub(super) fn goes_with(&self, other: &Replay) -> bool {
        let same_pace = match (&self.pace, &other.pace) {
            (None, None) => true,
            (Some(one), Some(other)) => one.equals(other),
            _ => false,
        };
        same_pace && self.next == other.next && self.type_at == other.type_at
    }

    /// The position of the entry that is looked at next.
    pub(crate) fn position(&self) -> u64 {
        self.next
    }

    /// True if somebody wants to know what records were before.
    pub(crate) fn wants_old(&self) -> bool {
        self.readers.iter().any(|reader| reader.subscription.delta)
    }

    /// Goes on for a bit. What is then left to do is left to the writer of the connection, or to
    /// a timer, or there is nothing.
    pub(super) fn advance(&mut self, world: &mut World<'_>) {
        let log = world.log;
        let mut out = Vec::new();
        let mut budget = STEP;
        self.behind = false;
        if self.paused {
            return;
        }
        let now = Instant::now();
        let bound = self.bound(log);
        while self.next <= bound && !self.is_done() {
            let Some(entry) = log.at(self.next) else {
                break;
            };
            if budget == 0 || !self.may_send(out.len()) {
                self.behind = true;
                break;
            }
            for reader in &mut self.readers {
                reader.come_to(log, self.next, entry.processed, &mut out);
            }
            let due = |pace: &mut Pace| pace.due(entry.processed, now);
            if let Some(due) = self.pace.as_mut().and_then(due) {
                self.set_timer(due, world.timers);
                break;
            }
            if let Event::Message(message) = &entry.event {
                let sent = self.deliver(world.topics, entry, message, &mut out);
                if let (true, Some(pace)) = (sent, &mut self.pace) {
                    pace.sent(message.payload.len(), now);
                }
            }
            self.next += 1;
            budget -= 1;
        }
        if self.next > log.end() {
            // Nothing older than now will come any more.
            let now = now_micros().max(log.last_time());
            for reader in &mut self.readers {
                reader.come_to(log, self.next, now, &mut out);
            }
            self.wait_for_end(world.timers);
        }
        if !out.is_empty() {
            self.connection
                .send(world.wakes, |pending| pending.extend_from_slice(&out));
        }
        if self.behind {
            self.connection.ask_for_more();
        }
    }

    fn is_done(&self) -> bool {
        self.readers.iter().all(|reader| reader.done)
    }

    /// The last position that may be looked at.
    fn bound(&self, log: &Log) -> u64 {
        match self.readers.iter().any(|reader| reader.fully_durable) {
            true => log.durable(),
            false => log.end(),
        }
    }

    /// True if there is room for more output than this.
    fn may_send(&self, already: usize) -> bool {
        let mut readers = self.readers.iter();
        self.connection.has_room(already)
            || readers.any(|reader| reader.live && self.next > reader.arrived)
    }

    /// Writes what a message means to the readers; false if that is nothing.
    fn deliver(
        &mut self,
        topics: &Topics,
        entry: &Entry,
        message: &Message,
        out: &mut Vec<u8>,
    ) -> bool {
        let topic = topics.at(message.topic);
        let (readers, next) = (&mut self.readers, self.next);
        let places = self.listeners.entry(message.topic).or_insert_with(|| {
            match topic.type_at == self.type_at && topic.logged {
                true => listening(topics, topic, readers),
                false => Vec::new(),
            }
        });
        // Of a replayed message it is not known what the client has seen before.
        let with_old = places
            .iter()
            .all(|place| next > readers[place.reader].arrived);
        let change = Change::logged(topic, entry, message, with_old);
        let verdicts = places
            .iter()
            .map(|place| match readers[place.reader].done {
                true => Verdict::Silent,
                false => place.listener.judge(&change),
            })
            .collect::<SmallVec<[Verdict; 2]>>();
        // If one gets all fields, so do the others (`broker-behaviour §1`).
        let whole = verdicts.contains(&Verdict::Message { whole: true });
        let mut parcels = Parcels::default();
        let mut sent = false;
        for (place, verdict) in places.iter().zip(verdicts) {
            let Some(news) = place.listener.news(verdict, &change, whole) else {
                continue;
            };
            let reader = &mut readers[place.reader];
            match places.len() {
                1 => place.addressee.write(out, &topic.name, &news),
                _ => parcels.add(&reader.subscription, news),
            }
            sent = true;
            reader.left = reader.left.map(|left| left.saturating_sub(1));
        }
        parcels.write(out, &topic.name);
        sent
    }

    /// Sets a timer for the end of a range that is in the future.
    fn wait_for_end(&mut self, timers: &mut Timers) {
        let end = |reader: &Reader| reader.stop?.time.filter(|_| !reader.done);
        if let Some(end) = self.readers.iter().filter_map(end).min() {
            let wait = Duration::from_micros(end.saturating_sub(now_micros()).saturating_add(1));
            self.set_timer(Instant::now() + wait.min(LONGEST_WAIT), timers);
        }
    }

    /// Sets a timer, unless one comes as early anyway.
    fn set_timer(&mut self, due: Instant, timers: &mut Timers) {
        if self.timer.is_none_or(|timer| due < timer) {
            self.timer = Some(due);
            timers.add(due, Task::Replay { replay: self.id });
        }
    }

    /// Sends what is safe to those who want to hear it, if it is more than they know.
    pub(super) fn tell(&mut self, log: &Log, wakes: &mut Wakes) {
        for reader in &mut self.readers {
            let point = reader.safe_point(log, self.next);
            if !reader.persisted || point <= reader.told {
                continue;
            }
            reader.told = point;
            let bookmark = log.name(point);
            let ack = Ack {
                sub_id: &reader.subscription.id,
                bookmark: bookmark.as_bytes(),
                kind: Kind::Persisted,
                ..Ack::default()
            };
            self.connection.send(wakes, |out| ack.write(out));
        }
    }

    /// True if somebody is to be told what is safe, and no timer is set for it.
    pub(super) fn has_news(&self, log: &Log) -> bool {
        let wants =
            |reader: &Reader| reader.persisted && reader.safe_point(log, self.next) > reader.told;
        !self.armed && self.readers.iter().any(wants)
    }
}

/// Those of the readers that listen to a topic.
fn listening(topics: &Topics, topic: &Topic, readers: &[Reader]) -> Vec<Place> {
    let at_topic = |(at, reader): (usize, &Reader)| {
        let subscription = &reader.subscription;
        let mut addressee = Addressees::default();
        addressee.add(subscription);
        Some(Place {
            reader: at,
            listener: topics.listener(subscription, topic)?,
            addressee,
        })
    };
    readers.iter().enumerate().filter_map(at_topic).collect()
}
