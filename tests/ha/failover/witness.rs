//! What the application of a subscriber sees.

use crate::PATIENCE;
use amps::{Client, Message, WeakClient};
use parking_lot::{Condvar, Mutex};
use std::collections::{HashMap, HashSet};
use std::sync::mpsc::Receiver;
use std::time::{Instant, SystemTime};

/// The most faults that are told.
const FAULTS: usize = 20;

/// How many messages are not discarded at any time, with late discards.
const KEPT: usize = 50;

#[derive(Default)]
struct Seen {
    /// The last number of each publisher.
    last: Vec<u64>,
    /// When the discard of a message was done.
    discarded: HashMap<(usize, u64), SystemTime>,
    repeats: u64,
    /// What came again since [`Witness::keep`].
    repeated: HashSet<(usize, u64)>,
    faults: Vec<String>,
}

/// Notes what comes, and what should not have come.
pub(super) struct Witness {
    seen: Mutex<Seen>,
    changed: Condvar,
    /// Set when nothing is discarded late any more; held while something is.
    is_keeping: Mutex<bool>,
}

impl Witness {
    pub(super) fn new(publishers: usize) -> Witness {
        Witness {
            seen: Mutex::new(Seen {
                last: vec![0; publishers],
                ..Seen::default()
            }),
            changed: Condvar::new(),
            is_keeping: Mutex::new(false),
        }
    }

    pub(super) fn see(&self, message: &Message) {
        let (publisher, number) = parse(message);
        let mut seen = self.seen.lock();
        let last = seen.last[publisher];
        let fault = if number == last + 1 {
            seen.last[publisher] = number;
            None
        } else if number > last {
            Some(format!("{publisher}:{number} came after {last}"))
        } else {
            seen.repeats += 1;
            seen.repeated.insert((publisher, number));
            // The store was asked after the frame was received.
            let done = seen.discarded.get(&(publisher, number));
            done.filter(|done| **done < message.received_at())
                .map(|_| format!("{publisher}:{number} came again, last was {last}"))
        };
        let bookmark = message.bookmark();
        seen.faults
            .extend(fault.map(|fault| format!("{fault} ({bookmark})")));
        drop(seen);
        self.changed.notify_all();
    }

    pub(super) fn discard(&self, client: &Client, message: &Message) {
        client.discard(message).unwrap();
        let done = SystemTime::now();
        let mut seen = self.seen.lock();
        seen.discarded.entry(parse(message)).or_insert(done);
    }

    /// Discards in any order, and some not for a long time, until nothing comes any more.
    pub(super) fn discard_late(
        &self,
        received: &Receiver<(WeakClient, Message)>,
        mut rng: fastrand::Rng,
    ) {
        let mut kept = Vec::new();
        while let Ok(next) = received.recv() {
            kept.push(next);
            let is_keeping = self.is_keeping.lock();
            if kept.len() > KEPT && !*is_keeping {
                let (client, message) = kept.swap_remove(rng.usize(..kept.len()));
                if let Some(client) = client.upgrade() {
                    self.discard(&client, &message);
                }
            }
        }
    }

    /// Ends the late discards; returns what was seen and is not discarded, all of which must come
    /// again after the next loss.
    pub(super) fn keep(&self) -> HashSet<(usize, u64)> {
        *self.is_keeping.lock() = true;
        let mut seen = self.seen.lock();
        seen.repeated.clear();
        let each = seen.last.iter().enumerate();
        each.flat_map(|(publisher, last)| (1..=*last).map(move |number| (publisher, number)))
            .filter(|message| !seen.discarded.contains_key(message))
            .collect()
    }

    /// Fails if something was not discarded and did not come again.
    pub(super) fn check_repeated(&self, kept: &HashSet<(usize, u64)>) {
        let seen = self.seen.lock();
        let lost: Vec<_> = kept.difference(&seen.repeated).collect();
        assert!(lost.is_empty(), "never again: {lost:?} of {}", kept.len());
    }

    /// Waits until this number has come from every publisher, and fails as soon as one is missing
    /// or too many.
    pub(super) fn wait_for(&self, number: u64, who: impl AsRef<str>) {
        let deadline = Instant::now() + 3 * PATIENCE;
        let mut seen = self.seen.lock();
        while seen.last.iter().any(|last| *last < number) && seen.faults.is_empty() {
            let waited = self.changed.wait_until(&mut seen, deadline);
            assert!(
                !waited.timed_out(),
                "{} has seen only {:?} of {number}",
                who.as_ref(),
                seen.last
            );
        }
        let told = &seen.faults[..seen.faults.len().min(FAULTS)];
        assert!(told.is_empty(), "{}: {told:#?}", who.as_ref());
    }

    /// The number of repeats, all of which were allowed.
    pub(super) fn verdict(&self) -> u64 {
        let seen = self.seen.lock();
        assert_eq!(seen.faults, [""; 0]);
        seen.repeats
    }
}

fn parse(message: &Message) -> (usize, u64) {
    let (publisher, number) = message.data_str().unwrap().split_once(':').unwrap();
    (publisher.parse().unwrap(), number.parse().unwrap())
}
