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

use super::{Entry, Event, Log, Message, Stop};
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

/// What a replay works with.
pub(crate) struct World<'e> {
    pub(crate) topics: &'e Topics,
    pub(crate) log: &'e Log,
    pub(crate) wakes: &'e mut Wakes,
    pub(crate) timers: &'e mut Timers,
    /// A test holds back persisted acknowledgements.
    pub(crate) acks_held: bool,
}

/// One subscription that reads the log.
pub(crate) struct Reader {
    pub(crate) subscription: Arc<Subscription>,
    pub(crate) command_id: Box<[u8]>,
    /// Where the log ended when the command arrived: up to there it is a replay.
    pub(crate) arrived: u64,
    /// Where it ends, if it does.
    pub(crate) stop: Option<Stop>,
    /// How many messages are still to be sent, if they are limited.
    pub(crate) left: Option<u64>,
    /// After the replay, do not wait for the client to read.
    pub(crate) live: bool,
    /// Only what is safe everywhere.
    pub(crate) fully_durable: bool,
    /// An acknowledgement is owed when the replay is over.
    pub(crate) completed: bool,
    /// Tell what is safe, now and then.
    pub(crate) persisted: bool,
    /// The position that was told last.
    pub(crate) told: u64,
    /// It has got everything.
    pub(crate) done: bool,
}

impl Reader {
    /// Writes the acknowledgement that the replay is over, if it is owed.
    fn complete(&mut self, log: &Log, position: u64, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.completed) {
            let bookmark = log.name(position);
            let ack = Ack {
                command_id: &self.command_id,
                sub_id: &self.subscription.id,
                bookmark: bookmark.as_bytes(),
                kind: Kind::Completed,
                ..Ack::default()
            };
            ack.write(out);
        }
    }

    /// Ends it before the entry at this position.
    fn end(&mut self, log: &Log, next: u64, out: &mut Vec<u8>) {
        self.complete(log, next.saturating_sub(1), out);
        self.done = true;
    }

    /// Notes what is due before the entry at `next`, processed at `time`, is looked at.
    fn come_to(&mut self, log: &Log, next: u64, time: u64, out: &mut Vec<u8>) {
        if self.done {
            return;
        }
        match self.stop {
            _ if self.left == Some(0) => self.end(log, next, out),
            Some(stop) if stop.is_before(next, time) => self.end(log, next, out),
            // The end of a range is where it is complete.
            Some(_) => {}
            None if next > self.arrived => self.complete(log, self.arrived, out),
            None => {}
        }
    }

    /// The position up to which everything is safe, as this client should hear it.
    ///
    /// During the replay that is said of the whole log (`broker-behaviour §7`). Afterwards it is
    /// not said of what the client may not have been sent yet, as it would resume after that.
    fn safe_point(&self, log: &Log, next: u64) -> u64 {
        match next > self.arrived {
            true => log.durable().min(next - 1),
            false => log.durable(),
        }
    }
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
    connection: Arc<Connection>,
    /// The place of the message type.
    type_at: usize,
    readers: Vec<Reader>,
    /// The position of the entry that is looked at next.
    next: u64,
    /// Who listens to which topic, by the place of the topic.
    listeners: FxHashMap<usize, Vec<Place>>,
    /// The writer of the connection carries on with it.
    behind: bool,
    /// A timer is set for the end of a range.
    timed: bool,
    /// A timer is set for acknowledgements.
    armed: bool,
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
            timed: false,
            armed: false,
        }
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
    fn advance(&mut self, world: &mut World<'_>) {
        let log = world.log;
        let mut out = Vec::new();
        let mut budget = STEP;
        self.behind = false;
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
            if let Event::Message(message) = &entry.event {
                self.deliver(world.topics, entry, message, &mut out);
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
        }
        if !out.is_empty() {
            self.connection
                .send(world.wakes, |pending| pending.extend_from_slice(&out));
        }
        if self.behind {
            self.connection.ask_for_more();
        }
        self.set_timers(world);
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

    fn deliver(&mut self, topics: &Topics, entry: &Entry, message: &Message, out: &mut Vec<u8>) {
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
        for (place, verdict) in places.iter().zip(verdicts) {
            let Some(news) = place.listener.news(verdict, &change, whole) else {
                continue;
            };
            let reader = &mut readers[place.reader];
            match places.len() {
                1 => place.addressee.write(out, &topic.name, &news),
                _ => parcels.add(&reader.subscription, news),
            }
            reader.left = reader.left.map(|left| left.saturating_sub(1));
        }
        parcels.write(out, &topic.name);
    }

    fn set_timers(&mut self, world: &mut World<'_>) {
        let connection = self.connection.id();
        let end = |reader: &Reader| reader.stop?.time.filter(|_| !reader.done);
        if self.next > world.log.end()
            && !self.timed
            && let Some(end) = self.readers.iter().filter_map(end).min()
        {
            self.timed = true;
            let wait = Duration::from_micros(end.saturating_sub(now_micros()).saturating_add(1));
            let due = Instant::now() + wait.min(LONGEST_WAIT);
            world.timers.add(due, Task::Replay { connection });
        }
    }

    /// Sends what is safe to those who want to hear it, if it is more than they know.
    fn tell(&mut self, log: &Log, wakes: &mut Wakes) {
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
    fn has_news(&self, log: &Log) -> bool {
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

/// The end of a range may be in any year. A timer that comes too early is set anew.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);

/// Every replay of the broker.
#[derive(Default)]
pub(crate) struct Replays {
    all: Vec<Replay>,
    /// How often clients are told what is safe.
    interval: Duration,
}

impl Replays {
    pub(crate) fn new(interval: Duration) -> Replays {
        Replays {
            all: Vec::new(),
            interval,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Takes in a replay and lets it begin.
    pub(crate) fn start(&mut self, mut replay: Replay, world: &mut World<'_>) {
        replay.advance(world);
        self.all.push(replay);
        self.arm(world);
    }

    /// The log has grown, or more of it is safe: lets those go on that have caught up.
    pub(crate) fn follow(&mut self, world: &mut World<'_>) {
        for replay in self.all.iter_mut().filter(|replay| !replay.behind) {
            replay.advance(world);
        }
        self.arm(world);
    }

    /// There is room in the output of a connection.
    pub(crate) fn refill(&mut self, connection: u64, world: &mut World<'_>) {
        for replay in self.of(connection) {
            if replay.behind {
                replay.advance(world);
            }
        }
        self.arm(world);
    }

    /// The time has come for which a replay set a timer.
    pub(crate) fn wake(&mut self, connection: u64, world: &mut World<'_>) {
        for replay in self.of(connection) {
            replay.timed = false;
            if !replay.behind {
                replay.advance(world);
            }
        }
        self.arm(world);
    }

    /// The interval of acknowledgements is over.
    pub(crate) fn tell(&mut self, connection: u64, world: &mut World<'_>) {
        for replay in self.of(connection) {
            replay.armed = false;
            if !world.acks_held {
                replay.tell(world.log, world.wakes);
            }
        }
    }

    /// Sees to it that those who want to hear what is safe are told.
    pub(crate) fn arm(&mut self, world: &mut World<'_>) {
        if world.acks_held {
            return;
        }
        for replay in &mut self.all {
            if !replay.has_news(world.log) {
                continue;
            }
            if self.interval.is_zero() {
                replay.tell(world.log, world.wakes);
                continue;
            }
            replay.armed = true;
            let connection = replay.connection.id();
            let due = Instant::now() + self.interval;
            world.timers.add(due, Task::Safe { connection });
        }
    }

    /// The reader of a subscription, and with whom it reads.
    pub(crate) fn find(
        &self,
        connection: u64,
        subscription: &Subscription,
    ) -> Option<(&Replay, &Reader)> {
        self.all
            .iter()
            .filter(|replay| replay.connection.id() == connection)
            .flat_map(|replay| replay.readers.iter().map(move |reader| (replay, reader)))
            .find(|(_, reader)| reader.subscription.since == subscription.since)
    }

    /// Ends the reading of a subscription, if it does, and gives back what it was.
    pub(crate) fn remove(&mut self, subscription: &Subscription) -> Option<Reader> {
        for at in 0..self.all.len() {
            let replay = &mut self.all[at];
            let mut readers = replay.readers.iter();
            let found = readers.position(|reader| reader.subscription.since == subscription.since);
            let Some(found) = found else {
                continue;
            };
            let reader = replay.readers.remove(found);
            replay.listeners.clear();
            if replay.readers.is_empty() {
                self.all.remove(at);
            }
            return Some(reader);
        }
        None
    }

    /// Ends everything of a connection.
    pub(crate) fn forget(&mut self, connection: u64) {
        self.all
            .retain(|replay| replay.connection.id() != connection);
    }

    /// True if somebody wants to know what records were before.
    pub(crate) fn want_old(&self) -> bool {
        self.all.iter().any(Replay::wants_old)
    }

    fn of(&mut self, connection: u64) -> impl Iterator<Item = &mut Replay> {
        self.all
            .iter_mut()
            .filter(move |replay| replay.connection.id() == connection)
    }
}
