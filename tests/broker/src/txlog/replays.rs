//! Every replay of the broker: who goes on when, and together with whom.

use super::{Reader, Replay, World};
use crate::server::Task;
use crate::topic::Subscription;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Every replay of the broker.
#[derive(Default)]
pub(crate) struct Replays {
    all: Vec<Replay>,
    last_id: u64,
    /// How often clients are told what is safe.
    interval: Duration,
}

impl Replays {
    pub(crate) fn new(interval: Duration) -> Replays {
        Replays {
            all: Vec::new(),
            last_id: 0,
            interval,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Takes in a replay and lets it begin.
    pub(crate) fn start(&mut self, mut replay: Replay, world: &mut World<'_>) {
        self.last_id += 1;
        replay.id = self.last_id;
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

    /// The timer of a replay has come that was set for `due`.
    pub(crate) fn wake(&mut self, replay: u64, due: Instant, world: &mut World<'_>) {
        let woken = self.all.iter_mut().find(|one| one.id == replay);
        // An earlier one may have been set since, which made this one idle.
        if let Some(replay) = woken.filter(|one| one.timer == Some(due)) {
            replay.timer = None;
            if !replay.behind {
                replay.advance(world);
            }
        }
        self.arm(world);
    }

    /// The interval of acknowledgements of a replay is over.
    pub(crate) fn tell(&mut self, replay: u64, world: &mut World<'_>) {
        if let Some(replay) = self.all.iter_mut().find(|one| one.id == replay) {
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
            let due = Instant::now() + self.interval;
            world.timers.add(due, Task::Safe { replay: replay.id });
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

    /// Stops these where they are.
    pub(crate) fn pause(&mut self, subscriptions: &[Arc<Subscription>], world: &mut World<'_>) {
        for subscription in subscriptions {
            if let Some(replay) = self.take(subscription) {
                self.start(replay.paused(true), world);
            }
        }
    }

    /// Lets these go on: together, if they stand at the same point and go at the same pace, so
    /// that messages come in the order of the log. Those that are not paused go on as they do.
    pub(crate) fn resume(&mut self, subscriptions: &[Arc<Subscription>], world: &mut World<'_>) {
        let mut together = Vec::<Replay>::new();
        for subscription in subscriptions {
            let is_paused = |replay: &Replay| replay.paused && replay.has(subscription);
            if !self.all.iter().any(is_paused) {
                continue;
            }
            let Some(mut replay) = self.take(subscription) else {
                continue;
            };
            match together.iter_mut().find(|other| other.goes_with(&replay)) {
                Some(other) => other.readers.append(&mut replay.readers),
                None => together.push(replay),
            }
        }
        for mut replay in together {
            if let Some(pace) = &mut replay.pace {
                pace.resume(Instant::now());
            }
            self.start(replay.paused(false), world);
        }
    }

    /// Takes a subscription out of the replay that it belongs to, as a replay of its own.
    fn take(&mut self, subscription: &Subscription) -> Option<Replay> {
        let at = self.all.iter().position(|one| one.has(subscription))?;
        let taken = self.all[at].take(subscription);
        if self.all[at].readers.is_empty() {
            self.all.remove(at);
        }
        taken
    }

    /// Ends the reading of a subscription; false if it reads no log.
    pub(crate) fn remove(&mut self, subscription: &Subscription) -> bool {
        self.take(subscription).is_some()
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
