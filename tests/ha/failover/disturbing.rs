//! What goes wrong with connections, at random.

use super::Victim;
use crate::eventually;
use amps_broker::Broker;
use std::time::Duration;

pub(super) struct Disturber<'a> {
    brokers: &'a [Broker; 2],
    victims: &'a [Victim],
    rng: &'a mut fastrand::Rng,
    /// The broker that does not listen.
    deaf: Option<&'a Broker>,
}

impl<'a> Disturber<'a> {
    pub(super) fn new(
        brokers: &'a [Broker; 2],
        victims: &'a [Victim],
        rng: &'a mut fastrand::Rng,
    ) -> Self {
        Disturber {
            brokers,
            victims,
            rng,
            deaf: None,
        }
    }

    /// Breaks one connection, and more or less makes it hard to come back.
    pub(super) fn disturb(&mut self) {
        self.listen();
        let victim = self.choose();
        let [first, second] = self.brokers;
        match self.rng.u32(..10) {
            0..5 => {}
            5..7 => {
                let count = self.rng.u64(1..4);
                first.refuse_logons(count, "refused by a test");
            }
            7 => second.refuse_logons(1, "refused by a test"),
            _ => {
                let deaf = if self.rng.bool() { first } else { second };
                deaf.stop_listening();
                self.deaf = Some(deaf);
            }
        }
        let lag = Duration::from_millis(self.rng.u64(..20));
        self.brokers[self.rng.usize(..2)].set_replication_lag(lag);
        cut(self.brokers, victim);
    }

    /// Lets a socket go silent in both directions, which only a heartbeat finds out.
    pub(super) fn stall(&mut self) {
        self.listen();
        let victim = self.choose();
        let (name, logons) = (victim.client.name(), victim.logons());
        let each = |act: &dyn Fn(&Broker)| self.brokers.iter().for_each(act);
        each(&|broker| {
            broker.stall_client(&name);
            broker.mute_client(&name);
        });
        eventually("the heartbeat finds the stall", || victim.logons() > logons);
        // The brokers notice that the other end has gone.
        each(&|broker| {
            broker.resume_client(&name);
            broker.unmute_client(&name);
        });
    }

    pub(super) fn finish(&mut self) {
        self.listen();
        for broker in self.brokers {
            broker.refuse_logons(0, "");
        }
        for victim in self.victims {
            let client = &victim.client;
            eventually("everybody is back", || client.is_logged_on());
        }
    }

    fn choose(&mut self) -> &'a Victim {
        let victim = &self.victims[self.rng.usize(..self.victims.len())];
        eventually("it is back", || victim.client.is_logged_on());
        victim
    }

    fn listen(&mut self) {
        if let Some(broker) = self.deaf.take() {
            broker.restart_listening().unwrap();
        }
    }
}

/// Cuts the connection of a client, which is logged on, and waits until it has noticed.
pub(super) fn cut(brokers: &[Broker; 2], victim: &Victim) {
    let (name, logons) = (victim.client.name(), victim.logons());
    eventually("the loss is noticed", || {
        // More than once: what is cut may be the rest of a connection that was lost before.
        for broker in brokers {
            broker.disconnect_client(&name);
        }
        !victim.client.is_logged_on() || victim.logons() > logons
    });
}
