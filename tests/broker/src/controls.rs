//! What tests can see and disturb.

use crate::engine::Engine;
use crate::error::BrokerError;
use crate::queue::Queue;
use crate::server::Broker;
use crate::txlog;
use std::fmt;
use std::time::{Duration, Instant};

/// What the broker knows at one instant; see [`Broker::wait_until`].
pub struct State<'a> {
    engine: &'a Engine,
}

impl fmt::Debug for State<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "State(clients {:?})", self.client_names())
    }
}

impl State<'_> {
    /// The names of the clients that are logged on, sorted.
    pub fn client_names(&self) -> Vec<String> {
        let mut names = self
            .engine
            .clients
            .values()
            .filter_map(|client| Some(client.identity.as_ref()?.name.clone()))
            .collect::<Vec<_>>();
        names.sort();
        names
    }

    /// How many connections there are, logged on or not.
    pub fn connection_count(&self) -> usize {
        self.engine.clients.len()
    }

    /// How many subscriptions were made with this topic, as the clients wrote it.
    pub fn subscription_count(&self, topic: &str) -> usize {
        self.subscriptions()
            .filter(|subscription| *subscription.topic == *topic.as_bytes())
            .count()
    }

    /// True if a client of this name has a subscription of this id.
    pub fn has_subscription(&self, client_name: &str, sub_id: &str) -> bool {
        self.engine.clients.values().any(|client| {
            matches!(&client.identity, Some(one) if one.name == client_name)
                && client.subscriptions.contains_key(sub_id.as_bytes())
        })
    }

    /// How many messages were published to the topic and accepted.
    pub fn published_count(&self, topic: &str) -> u64 {
        self.engine
            .topics
            .named(topic)
            .map(|topic| topic.published)
            .sum()
    }

    /// How many records the topic keeps.
    pub fn record_count(&self, topic: &str) -> u64 {
        self.engine
            .topics
            .named(topic)
            .filter_map(|topic| topic.sow.as_ref())
            .map(|sow| sow.len())
            .sum()
    }

    /// How many messages are in the queue of this name: those that can be delivered and those that
    /// somebody works on. With at-most-once delivery a message is gone when it is sent.
    pub fn queue_depth(&self, queue: &str) -> usize {
        self.queues(queue).map(Queue::depth).sum()
    }

    /// How many messages of the queue were delivered and are not acknowledged.
    pub fn leased_count(&self, queue: &str) -> usize {
        self.queues(queue).map(Queue::outstanding).sum()
    }

    /// How many messages of the queue have expired, for whatever reason.
    pub fn expired_count(&self, queue: &str) -> u64 {
        self.queues(queue).map(Queue::expired).sum()
    }

    fn queues<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Queue> {
        self.engine
            .topics
            .named(name)
            .filter_map(|topic| topic.queue.as_deref())
    }

    /// How many publishes and deletes are in the transaction log.
    pub fn log_len(&self) -> u64 {
        self.engine.log.end()
    }

    /// How many bytes wait to be written to the clients of this name.
    pub fn output_waiting(&self, client_name: &str) -> usize {
        let connections = self.engine.named(client_name);
        connections.iter().map(|one| one.waiting()).sum()
    }

    fn subscriptions(&self) -> impl Iterator<Item = &crate::topic::Subscription> {
        self.engine
            .clients
            .values()
            .flat_map(|client| client.subscriptions.values())
            .map(|subscription| &**subscription)
    }
}

/// For tests: looking in from outside, and causing trouble.
impl Broker {
    /// Waits until a condition holds; false if it did not within `timeout`.
    ///
    /// The condition is looked at whenever something may have changed, with the broker's lock
    /// held: it must ask the state and not the broker.
    ///
    /// ```
    /// # use amps_broker::Broker;
    /// # use std::time::Duration;
    /// # fn main() -> Result<(), amps_broker::BrokerError> {
    /// let broker = Broker::builder().start()?;
    /// let quiet = |state: &amps_broker::State<'_>| state.connection_count() == 0;
    /// assert!(broker.wait_until(Duration::from_secs(1), quiet));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn wait_until(
        &self,
        timeout: Duration,
        mut condition: impl FnMut(&State<'_>) -> bool,
    ) -> bool {
        let deadline = Instant::now() + timeout;
        let mut engine = self.shared.engine.lock();
        engine.watchers += 1;
        let met = loop {
            if condition(&State { engine: &engine }) {
                break true;
            }
            let wait = self.shared.changed.wait_until(&mut engine, deadline);
            if wait.timed_out() {
                break condition(&State { engine: &engine });
            }
        };
        engine.watchers -= 1;
        met
    }

    /// Waits until some client has subscribed with this topic, as it wrote it.
    #[must_use]
    pub fn wait_for_subscription(&self, topic: &str, timeout: Duration) -> bool {
        self.wait_until(timeout, |state| state.subscription_count(topic) > 0)
    }

    /// Waits until a client of this name is logged on.
    #[must_use]
    pub fn wait_for_client(&self, name: &str, timeout: Duration) -> bool {
        self.wait_until(timeout, |state| {
            state.client_names().iter().any(|known| known == name)
        })
    }

    /// Waits until this many messages were published to the topic.
    #[must_use]
    pub fn wait_for_published(&self, topic: &str, count: u64, timeout: Duration) -> bool {
        self.wait_until(timeout, |state| state.published_count(topic) >= count)
    }

    /// Waits until there are exactly this many messages in the queue, those included that somebody
    /// works on.
    #[must_use]
    pub fn wait_for_queue_depth(&self, queue: &str, depth: usize, timeout: Duration) -> bool {
        self.wait_until(timeout, |state| state.queue_depth(queue) == depth)
    }

    /// Waits until exactly this many messages of the queue are delivered and not acknowledged.
    #[must_use]
    pub fn wait_for_leased(&self, queue: &str, count: usize, timeout: Duration) -> bool {
        self.wait_until(timeout, |state| state.leased_count(queue) == count)
    }

    /// The names of the clients that are logged on, sorted.
    pub fn client_names(&self) -> Vec<String> {
        self.look(|state| state.client_names())
    }

    /// How many connections there are, logged on or not.
    pub fn connection_count(&self) -> usize {
        self.look(|state| state.connection_count())
    }

    /// How many subscriptions were made with this topic, as the clients wrote it.
    pub fn subscription_count(&self, topic: &str) -> usize {
        self.look(|state| state.subscription_count(topic))
    }

    /// How many messages were published to the topic and accepted.
    pub fn published_count(&self, topic: &str) -> u64 {
        self.look(|state| state.published_count(topic))
    }

    /// How many records the topic keeps.
    pub fn record_count(&self, topic: &str) -> u64 {
        self.look(|state| state.record_count(topic))
    }

    /// How many messages are in the queue, those included that somebody works on.
    pub fn queue_depth(&self, queue: &str) -> usize {
        self.look(|state| state.queue_depth(queue))
    }

    /// How many messages of the queue were delivered and are not acknowledged.
    pub fn leased_count(&self, queue: &str) -> usize {
        self.look(|state| state.leased_count(queue))
    }

    /// How many messages of the queue have expired, for whatever reason.
    pub fn expired_count(&self, queue: &str) -> u64 {
        self.look(|state| state.expired_count(queue))
    }

    /// How many publishes and deletes are in the transaction log.
    pub fn log_len(&self) -> u64 {
        self.look(|state| state.log_len())
    }

    /// Waits until this many publishes and deletes are in the transaction log.
    #[must_use]
    pub fn wait_for_log_len(&self, count: u64, timeout: Duration) -> bool {
        self.wait_until(timeout, |state| state.log_len() >= count)
    }

    /// How many bytes wait to be written to the clients of this name. For a bookmark
    /// subscription whose client does not read, that stays little.
    pub fn output_waiting(&self, client_name: &str) -> usize {
        self.look(|state| state.output_waiting(client_name))
    }

    /// Every frame that clients of this name sent, the logon included, without their lengths;
    /// also of connections that have ended. Empty unless
    /// [`record_frames`](crate::Builder::record_frames) is set.
    pub fn frames_from(&self, client_name: &str) -> Vec<Vec<u8>> {
        let engine = self.shared.engine.lock();
        engine
            .recordings
            .values()
            .filter(|recording| recording.name.as_deref() == Some(client_name))
            .flat_map(|recording| recording.frames.iter().cloned())
            .collect()
    }

    /// Cuts the connections of a client, as a network failure would; says how many there were.
    pub fn disconnect_client(&self, name: &str) -> usize {
        self.shared.turn(|engine| {
            let connections = engine.named(name);
            for connection in &connections {
                engine.disconnect(connection.id(), "cut by a test");
            }
            connections.len()
        })
    }

    /// Stops reading from a client, so that its writes pile up; says how many connections that
    /// concerns. What one read had already fetched is not carried out before
    /// [`Broker::resume_client`]. Heartbeats of the client are not missed meanwhile.
    pub fn stall_client(&self, name: &str) -> usize {
        self.each(name, |connection| connection.set_stalled(true))
    }

    /// Reads from a client again.
    pub fn resume_client(&self, name: &str) -> usize {
        self.each(name, |connection| connection.set_stalled(false))
    }

    /// Stops writing to a client, heartbeats included; says how many connections that concerns.
    /// What would be written waits.
    pub fn mute_client(&self, name: &str) -> usize {
        self.each(name, |connection| connection.set_muted(true))
    }

    /// Writes to a client again.
    pub fn unmute_client(&self, name: &str) -> usize {
        self.each(name, |connection| connection.set_muted(false))
    }

    /// Lets the next `count` publishes and deletes of a topic fail with this reason; they change
    /// nothing. Replaces what was said before about the topic; 0 ends it.
    pub fn fail_next_writes(&self, topic: &str, count: u64, reason: &str) {
        self.shared
            .turn(|engine| engine.fail_writes(topic, count, reason));
    }

    /// Holds back `persisted` acknowledgements, those of publishes as well as those of bookmark
    /// subscriptions, until [`Broker::release_persisted_acks`]. Everything else goes on; a logon
    /// is told the truth.
    pub fn hold_persisted_acks(&self) {
        self.shared.turn(|engine| engine.acks_held = true);
    }

    /// Sends the `persisted` acknowledgements that were held back, and holds back no more.
    pub fn release_persisted_acks(&self) {
        self.shared.turn(|engine| {
            engine.acks_held = false;
            engine.tell_persisted();
        });
    }

    /// Sends the transaction log to another broker as well, each entry this long after it was
    /// appended. What is in the log now is there when this returns.
    ///
    /// The other broker keeps the bookmarks, and has an order of its own: only what one publisher
    /// published is in the same order in both. It may send its log to this one, too. Publishers
    /// and bookmark subscriptions are told that something is persisted when the other broker has
    /// it, and not before.
    ///
    /// Topics should be logged in both brokers. If the other broker has ended, nothing more
    /// counts as persisted until its successor takes its place in another call of this, or
    /// [`Broker::stop_replicating`] says that nobody has to have it. The same call is due when
    /// this broker starts anew; what the other has already is left out.
    ///
    /// # Errors
    ///
    /// [`BrokerError::Thread`] if the thread that sends cannot be started.
    pub fn replicate_to(&self, other: &Broker, lag: Duration) -> Result<(), BrokerError> {
        let replicator = txlog::start_replication(self, other, lag).map_err(BrokerError::Thread)?;
        self.replicators.lock().push(replicator);
        Ok(())
    }

    /// Changes the lag of every replication from this broker.
    pub fn set_replication_lag(&self, lag: Duration) {
        self.shared.turn(|engine| engine.log.set_lag(lag));
    }

    /// Sends the log nowhere any more. What it waited for counts as persisted.
    pub fn stop_replicating(&self) {
        self.shared.turn(|engine| {
            engine.log.unlink();
            engine.follow_log();
            engine.tell_persisted();
        });
        self.shared.replicating.notify_all();
    }

    /// Refuses the next `count` logons with this reason, which ends their connections. Replaces
    /// what was said before; 0 ends it.
    pub fn refuse_logons(&self, count: u64, reason: &str) {
        self.shared
            .turn(|engine| engine.logon_faults.refuse(count, reason));
    }

    /// Lets each logon that comes from now on wait this long before it is looked at; zero ends
    /// it. What its client sends after it waits as well.
    pub fn delay_logons(&self, delay: Duration) {
        self.shared.turn(|engine| engine.logon_faults.delay = delay);
    }

    /// Sends bytes to a client as they are, be they frames or not; says to how many connections.
    pub fn send_raw(&self, name: &str, bytes: &[u8]) -> usize {
        self.shared.turn(|engine| {
            let connections = engine.named(name);
            for connection in &connections {
                engine.send(connection, |out| out.extend_from_slice(bytes));
            }
            connections.len()
        })
    }

    fn each(&self, name: &str, action: impl Fn(&crate::server::Connection)) -> usize {
        let connections = self.shared.engine.lock().named(name);
        for connection in &connections {
            action(connection);
        }
        connections.len()
    }

    fn look<T>(&self, question: impl FnOnce(&State<'_>) -> T) -> T {
        let engine = self.shared.engine.lock();
        question(&State { engine: &engine })
    }
}
