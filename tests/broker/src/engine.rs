//! What the broker knows, under one lock.

use crate::config::{ACK_CONFLATION, Settings, Strict};
use crate::entitlement::Entitlements;
use crate::error::BrokerError;
use crate::reason::Refusal;
use crate::server::{Connection, Task, Timers, Wakes};
use crate::session::WriteAcks;
use crate::topic::{Fed, Outlet, Subscription, Topics};
use crate::txlog::{Journal, Log, LoggedTopics, Replay, Replays, Restoring, World};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Who a client said it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Identity {
    pub(crate) name: String,
    /// Empty unless logons are authenticated.
    pub(crate) user: String,
}

/// The state of one connection.
pub(crate) struct Client {
    pub(crate) connection: Arc<Connection>,
    /// Set by the logon.
    pub(crate) identity: Option<Identity>,
    pub(crate) subscriptions: FxHashMap<Box<[u8]>, Arc<Subscription>>,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) write_acks: WriteAcks,
}

/// Writes that a test wants to fail.
struct Fault {
    left: u64,
    reason: String,
}

/// What a test wants to happen to logons.
#[derive(Default)]
pub(crate) struct LogonFaults {
    /// How many are still to be refused, and why.
    refused: u64,
    reason: String,
    /// How long each one takes.
    pub(crate) delay: Duration,
}

impl LogonFaults {
    /// Lets the next logons fail.
    pub(crate) fn refuse(&mut self, count: u64, reason: &str) {
        self.refused = count;
        self.reason = reason.to_owned();
    }

    /// Why this logon fails, if it does.
    pub(crate) fn take(&mut self) -> Option<Refusal> {
        self.refused = self.refused.checked_sub(1)?;
        Some(Refusal::new(self.reason.clone(), "a test wants it so"))
    }
}

/// The heartbeat timer of a client.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Heartbeat {
    pub(crate) interval: Duration,
    /// Counts the starts; 0 is never started.
    pub(crate) generation: u64,
}

impl Heartbeat {
    /// Whether the client counts as silent, at a check that is this late. A check is late when
    /// something held the engine; what the client sent meanwhile was not read either, so a check
    /// later than half an interval decides nothing, and the next one does.
    fn is_over(&self, silence: Duration, late: Duration, tolerance: u32) -> bool {
        late <= self.interval / 2 && silence > self.interval.saturating_mul(tolerance)
    }
}

/// What one connection sent.
#[derive(Default)]
pub(crate) struct Recording {
    pub(crate) name: Option<String>,
    pub(crate) frames: Vec<Vec<u8>>,
}

/// Everything that commands read and change.
pub(crate) struct Engine {
    /// By connection.
    pub(crate) clients: FxHashMap<u64, Client>,
    pub(crate) topics: Topics,
    pub(crate) log: Log,
    /// The subscriptions that read the log.
    pub(crate) replays: Replays,
    pub(crate) timers: Timers,
    /// Connections to flush when the turn is over.
    pub(crate) wakes: Wakes,
    /// By connection, kept after its end; only if frames are recorded.
    pub(crate) recordings: BTreeMap<u64, Recording>,
    /// How many threads wait for a state.
    pub(crate) watchers: usize,
    /// A test holds back persisted acknowledgements.
    pub(crate) acks_held: bool,
    pub(crate) logon_faults: LogonFaults,
    /// What is refused that is allowed otherwise.
    pub(crate) strict: Strict,
    /// The broker ends.
    pub(crate) stopping: bool,
    /// What was published and is to go into queues.
    fed: Vec<Fed>,
    heartbeat_tolerance: u32,
    /// By topic.
    faults: FxHashMap<Box<[u8]>, Fault>,
}

impl Engine {
    pub(crate) fn new(settings: &Settings) -> Result<Engine, BrokerError> {
        let logged = LoggedTopics::configure(settings)?;
        let types = &settings.message_types;
        let type_names = types.iter().map(|known| known.name.clone()).collect();
        let mut log = Log::new(logged.any(), type_names);
        let mut topics = Topics::configure(
            types,
            &settings.topics,
            Entitlements::new(settings.entitle.clone()),
            logged,
        )?;
        topics.add_queues(types, &settings.queues)?;
        let mut timers = Timers::default();
        if let Some(file) = &settings.journal {
            let instance = log.instance();
            let mut restoring = Restoring {
                types,
                topics: &mut topics,
                log: &mut log,
                timers: &mut timers,
            };
            let (journal, instance) = Journal::open(file, instance, &mut restoring)?;
            log.attach(journal, instance);
        }
        Ok(Engine {
            log,
            topics,
            timers,
            replays: Replays::new(settings.ack_conflation().unwrap_or(ACK_CONFLATION)),
            clients: FxHashMap::default(),
            wakes: Wakes::new(),
            recordings: BTreeMap::new(),
            watchers: 0,
            acks_held: false,
            logon_faults: LogonFaults::default(),
            strict: settings.strict,
            stopping: false,
            fed: Vec::new(),
            heartbeat_tolerance: settings.heartbeat_tolerance,
            faults: FxHashMap::default(),
        })
    }

    /// Takes in a connection; false if the broker ends.
    pub(crate) fn arrived(&mut self, connection: &Arc<Connection>) -> bool {
        if self.stopping {
            return false;
        }
        self.clients.insert(
            connection.id(),
            Client {
                connection: connection.clone(),
                identity: None,
                subscriptions: FxHashMap::default(),
                heartbeat: Heartbeat::default(),
                write_acks: WriteAcks::default(),
            },
        );
        true
    }

    /// Notes who a connection belongs to.
    pub(crate) fn introduce(&mut self, connection: u64, identity: Identity) {
        if let Some(recording) = self.recordings.get_mut(&connection) {
            recording.name = Some(identity.name.clone());
        }
        if let Some(client) = self.clients.get_mut(&connection) {
            client.identity = Some(identity);
        }
    }

    /// Forgets a connection and what it subscribed to.
    pub(crate) fn forget(&mut self, connection: u64) {
        if let Some(client) = self.clients.remove(&connection)
            && !client.subscriptions.is_empty()
        {
            self.forget_subscriptions(connection);
        }
    }

    /// Ends every subscription of a connection.
    pub(crate) fn forget_subscriptions(&mut self, connection: u64) {
        self.topics.forget(connection);
        self.replays.forget(connection);
        self.log.keep_old = self.replays.want_old();
    }

    /// Closes a connection and forgets it at once, not when its threads notice.
    pub(crate) fn disconnect(&mut self, connection: u64, reason: &str) {
        if let Some(client) = self.clients.get(&connection) {
            client.connection.close(reason);
        }
        self.forget(connection);
    }

    /// Closes every connection and accepts none.
    pub(crate) fn stop(&mut self) {
        self.stopping = true;
        for client in self.clients.values() {
            client.connection.close("the broker ends");
        }
    }

    /// The connections that are logged on under this name.
    pub(crate) fn named(&self, name: &str) -> Vec<Arc<Connection>> {
        self.clients
            .values()
            .filter(|client| matches!(&client.identity, Some(one) if one.name == name))
            .map(|client| client.connection.clone())
            .collect()
    }

    /// Adds to the output of a connection.
    pub(crate) fn send(&mut self, to: &Arc<Connection>, write: impl FnOnce(&mut Vec<u8>)) {
        to.send(&mut self.wakes, write);
    }

    /// Who a connection belongs to; nobody until it is logged on.
    pub(crate) fn identity(&self, connection: u64) -> Identity {
        self.clients
            .get(&connection)
            .and_then(|client| client.identity.clone())
            .unwrap_or_default()
    }

    /// The topics, and where their deliveries go.
    pub(crate) fn delivering(&mut self) -> (&mut Topics, Outlet<'_>) {
        let outlet = Outlet {
            wakes: &mut self.wakes,
            timers: &mut self.timers,
            fed: &mut self.fed,
            log: &mut self.log,
        };
        (&mut self.topics, outlet)
    }

    /// Lets the queues have what was published, and sends what they deliver. To be called after
    /// each command, so that what it leads to comes before what the next one does.
    #[inline]
    pub(crate) fn dispatch(&mut self) {
        if self.fed.is_empty() && !self.topics.is_stirred() {
            return;
        }
        let fed = std::mem::take(&mut self.fed);
        let mut outlet = Outlet {
            wakes: &mut self.wakes,
            timers: &mut self.timers,
            fed: &mut self.fed,
            log: &mut self.log,
        };
        self.topics.dispatch(&self.clients, fed, &mut outlet);
    }

    /// The replays, and what they work with.
    fn replaying(&mut self) -> (&mut Replays, World<'_>) {
        let world = World {
            topics: &self.topics,
            log: &self.log,
            wakes: &mut self.wakes,
            timers: &mut self.timers,
            acks_held: self.acks_held,
        };
        (&mut self.replays, world)
    }

    /// The log has grown, or more of it is safe.
    #[inline]
    pub(crate) fn follow_log(&mut self) {
        if !self.replays.is_empty() {
            let (replays, mut world) = self.replaying();
            replays.follow(&mut world);
        }
    }

    /// Lets a replay begin.
    pub(crate) fn start_replay(&mut self, replay: Replay) {
        self.log.keep_old |= replay.wants_old();
        let (replays, mut world) = self.replaying();
        replays.start(replay, &mut world);
    }

    /// Lets the replays of a connection go on for a bit: there is room in its output.
    pub(crate) fn replay(&mut self, connection: u64) {
        let (replays, mut world) = self.replaying();
        replays.refill(connection, &mut world);
    }

    /// Stops subscriptions in the log.
    pub(crate) fn pause(&mut self, subscriptions: &[Arc<Subscription>]) {
        let (replays, mut world) = self.replaying();
        replays.pause(subscriptions, &mut world);
    }

    /// Lets subscriptions go on in the log.
    pub(crate) fn resume(&mut self, subscriptions: &[Arc<Subscription>]) {
        let (replays, mut world) = self.replaying();
        replays.resume(subscriptions, &mut world);
    }

    /// More may be told to be persisted than before.
    pub(crate) fn tell_persisted(&mut self) {
        crate::session::tell_write_acks(self);
        let (replays, mut world) = self.replaying();
        replays.arm(&mut world);
    }

    /// Ends a subscription.
    pub(crate) fn unsubscribe(&mut self, connection: u64, ended: &Arc<Subscription>) {
        self.topics.unsubscribe(connection, ended);
        if self.replays.remove(ended) {
            self.log.keep_old = self.replays.want_old();
        }
    }

    /// Lets the next writes to a topic fail.
    pub(crate) fn fail_writes(&mut self, topic: &str, count: u64, reason: &str) {
        let fault = Fault {
            left: count,
            reason: reason.to_owned(),
        };
        self.faults.insert(topic.as_bytes().into(), fault);
    }

    /// Refuses a write to a topic if a test wants it to fail.
    pub(crate) fn check_fault(&mut self, topic: &[u8]) -> Result<(), Refusal> {
        if self.faults.is_empty() {
            return Ok(());
        }
        match self.faults.get_mut(topic) {
            Some(fault) if fault.left > 0 => {
                fault.left -= 1;
                Err(Refusal::new(fault.reason.clone(), "a test wants it so"))
            }
            _ => Ok(()),
        }
    }

    /// Keeps a frame for tests to look at.
    pub(crate) fn record(&mut self, connection: u64, frame: &[u8]) {
        let recording = self.recordings.entry(connection).or_default();
        recording.frames.push(frame.to_vec());
    }

    /// Does what was due at that time.
    pub(crate) fn perform(&mut self, task: &Task, due: Instant, now: Instant) {
        match *task {
            Task::Heartbeat {
                connection,
                generation,
            } => self.beat(connection, generation, due, now),
            Task::Expiration { topic, ref key } => {
                let (topics, mut outlet) = self.delivering();
                topics.at_mut(topic).expire(key, now, &mut outlet);
            }
            Task::Conflation {
                topic,
                connection,
                since,
            } => {
                let (topics, mut outlet) = self.delivering();
                let topic = topics.at_mut(topic);
                topic.release(connection, since, now, &mut outlet);
            }
            Task::Queue { topic } => self.topics.stir(topic),
            Task::Replay { replay } => {
                let (replays, mut world) = self.replaying();
                replays.wake(replay, due, &mut world);
            }
            Task::Safe { replay } => {
                let (replays, mut world) = self.replaying();
                replays.tell(replay, &mut world);
            }
            Task::Acks { connection } => crate::session::write_acks_due(self, connection),
        }
    }

    fn beat(&mut self, connection: u64, generation: u64, due: Instant, now: Instant) {
        let Some(client) = self.clients.get(&connection) else {
            return;
        };
        let heartbeat = client.heartbeat;
        let interval = heartbeat.interval;
        if generation != heartbeat.generation {
            return;
        }
        let late = now.saturating_duration_since(due);
        let silence = client.connection.silence();
        if heartbeat.is_over(silence, late, self.heartbeat_tolerance) {
            self.disconnect(connection, "heartbeat");
            return;
        }
        let to = client.connection.clone();
        crate::session::send_beat(self, &to);
        self.timers.add(
            now + interval,
            Task::Heartbeat {
                connection,
                generation,
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_not_cut_for_silence_at_a_check_that_is_late() {
        let heartbeat = Heartbeat {
            interval: Duration::from_secs(2),
            generation: 1,
        };
        let silence = Duration::from_secs(7);
        assert!(heartbeat.is_over(silence, Duration::from_secs(1), 3));
        assert!(!heartbeat.is_over(silence, Duration::from_millis(1001), 3));
        assert!(!heartbeat.is_over(Duration::from_secs(6), Duration::ZERO, 3));
    }
}
