//! The rules that all stores share: the order of one subscription, and where it is to resume.
//!
//! Messages are numbered in the order of their arrival. The *prefix* is what was discarded without
//! a gap, from the first on; its entries are freed, and of each publisher its last sequence is
//! kept. Up to that, its messages are duplicates, in whatever order another server's log has them.
//! See "Resume point" in the project's design.

mod snapshot;

use super::entry_point::EntryPoint;
use super::event::Event;
use super::list::List;
use super::position::{Position, is_now};
use super::publishers::{Publishers, Slot};
use amps_core::bookmark;
use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

/// How far before the call a subscription starts that is entered with [`bookmark::NOW`], until the
/// server has told the place in its log: clocks differ.
const CLOCKS_DIFFER: Duration = Duration::from_secs(60);

const OPAQUE: Slot = Slot(u32::MAX);
const ODD: Slot = Slot(u32::MAX - 1);

/// A message that arrived after the first one that is not discarded, or that one.
#[derive(Debug, Clone, Copy)]
struct Entry {
    sequence: u64,
    publisher: Slot,
    discarded: bool,
}

/// What a subscription knows of a bookmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// It never arrived.
    New,
    /// It is the entry of this number.
    Undiscarded(u64),
    /// The application is done with it.
    Discarded,
}

/// A persisted point and the number of the first message that arrived after it.
#[derive(Debug, Clone)]
struct Persisted {
    point: String,
    before: u64,
}

/// How a subscription is to be entered: an [`Event::Entered`] that owns its text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entering {
    pub(crate) point: String,
    pub(crate) now: bool,
    pub(crate) anew: bool,
}

impl Entering {
    /// The change that it is.
    pub(crate) fn event(&self) -> Event<'_> {
        Event::Entered {
            point: &self.point,
            now: self.now,
            anew: self.anew,
        }
    }
}

/// The state of one subscription.
#[derive(Debug)]
pub(crate) struct Subscription {
    /// The number of the first entry. Everything below is discarded.
    first: u64,
    /// Never begins with a discarded one.
    entries: VecDeque<Entry>,
    publishers: Publishers,
    entry_point: EntryPoint,
    /// The first number after the subscription was last entered anew.
    entered_at: u64,
    /// Set while the entry point stands for the end of the log and nothing has arrived since.
    now: bool,
    /// The replay is done: persisted points count.
    completed: bool,
    /// The oldest persisted point that is not yet the entry point.
    waiting: Option<Persisted>,
    /// The newest persisted point that counts.
    persisted: Option<Persisted>,
    /// Goes up whenever the resume point may be another one.
    revision: u64,
}

impl Subscription {
    /// A subscription that is not known yet, whose entries are numbered from here on.
    pub(crate) fn new(first: u64) -> Subscription {
        Subscription {
            first,
            entries: VecDeque::new(),
            publishers: Publishers::default(),
            entry_point: EntryPoint::Epoch,
            entered_at: first,
            now: false,
            completed: false,
            waiting: None,
            persisted: None,
            revision: 0,
        }
    }

    /// Restores the number of the first message after the subscription was entered anew.
    pub(crate) fn set_entered_at(&mut self, number: u64) {
        self.entered_at = number;
    }

    /// The number of the first entry; all below are discarded.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// The number of the first message after the subscription was last entered anew.
    pub(crate) fn entered_at(&self) -> u64 {
        self.entered_at
    }

    /// The number that the next message gets.
    pub(crate) fn next(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// How many entries it holds.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Goes up whenever the resume point may be another one.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// The lowest number that is not discarded; 0 if there is none (rule L16).
    pub(crate) fn oldest(&self) -> u64 {
        if self.entries.is_empty() {
            0
        } else {
            self.first
        }
    }

    /// What is known of a bookmark (rules L4 to L6).
    pub(crate) fn find(&self, position: Position<'_>) -> Known {
        let entry = match position {
            Position::Numbered {
                publisher,
                sequence,
                ..
            } => match self.publishers.find(publisher) {
                None => None,
                Some(known) if known.prefix.is_some_and(|last| sequence <= last) => {
                    return Known::Discarded;
                }
                Some(known) => known.entry(sequence),
            },
            Position::Opaque(text) => {
                let opaques = &self.publishers.opaques;
                if opaques.prefix.as_deref() == Some(text) {
                    return Known::Discarded;
                }
                opaques.entry(text)
            }
            // Nothing tells two of them apart: each is another message, and none is suppressed.
            Position::Odd => None,
        };
        match entry {
            None => Known::New,
            Some(number) if self.holds(number) => Known::Undiscarded(number),
            Some(_) => Known::Discarded,
        }
    }

    /// True if there is an entry of this number that is not discarded.
    pub(crate) fn holds(&self, number: u64) -> bool {
        self.place(number)
            .is_some_and(|place| !self.entries[place].discarded)
    }

    fn place(&self, number: u64) -> Option<usize> {
        let place = usize::try_from(number.checked_sub(self.first)?).ok()?;
        (place < self.entries.len()).then_some(place)
    }

    /// Where to start, so that nothing is skipped that is not discarded.
    pub(crate) fn resume_point(&self) -> String {
        self.resume_point_in(String::new())
    }

    /// As [`resume_point`](Subscription::resume_point), in the place of an older one.
    pub(crate) fn resume_point_in(&self, mut place: String) -> String {
        place.clear();
        let needs_entry_point = !self.publishers.any_listed() || self.publishers.any_unlisted();
        if needs_entry_point && !matches!(self.entry_point, EntryPoint::List(_)) {
            place.push_str(&self.entry_point.text());
            return place;
        }
        let mut list = List { text: place };
        for known in self.publishers.iter() {
            if let Some(last) = known.listed {
                list.push_numbers(known.id, last, known.padding);
            }
        }
        let opaques = &self.publishers.opaques;
        if let Some(last) = opaques.prefix.as_deref().filter(|_| opaques.listed) {
            list.push(last);
        }
        if let Some(persisted) = &self.persisted {
            list.push(&persisted.point);
        }
        if let (true, EntryPoint::List(points)) = (needs_entry_point, &self.entry_point) {
            points.iter().for_each(|point| list.push(point));
        }
        list.text
    }

    /// How the subscription is entered at this point; none if the point says nothing. `told` is
    /// the resume point that somebody was told for this entry, and may have moved since; any other
    /// point, an equal one as well, is where the application wants to begin anew.
    pub(crate) fn entering(&self, point: &str, told: Option<&str>) -> Option<Entering> {
        let point = point.trim();
        if point.is_empty() || point == bookmark::MOST_RECENT {
            return None;
        }
        if told == Some(point) {
            return Some(Entering {
                point: point.to_string(),
                now: false,
                anew: false,
            });
        }
        let resume = self.resume_point();
        let unfinished = !self.entries.is_empty();
        let now = is_now(point) && !unfinished;
        let point = match (is_now(point), unfinished) {
            (true, false) => bookmark::timestamp(
                SystemTime::now()
                    .checked_sub(CLOCKS_DIFFER)
                    .unwrap_or(SystemTime::UNIX_EPOCH),
            ),
            // What arrived and is not discarded lies before the end of the log.
            (true, true) => resume,
            (false, false) => EntryPoint::parse(point).text().into_owned(),
            (false, true) => {
                let both = EntryPoint::parse(point).earlier(EntryPoint::parse(&resume));
                both.text().into_owned()
            }
        };
        Some(Entering {
            point,
            now,
            anew: true,
        })
    }

    /// Makes a change.
    pub(crate) fn apply(&mut self, event: &Event<'_>) {
        match *event {
            Event::Entered { point, now, anew } => self.enter(point, now, anew),
            Event::Received(position) => self.receive(position),
            Event::Discarded(number) => self.discard(number),
            Event::Completed(point) => self.complete(point),
            Event::Persisted(point) => self.persist(point),
            Event::Prefix {
                position,
                known,
                listed,
            } => self.restore_prefix(position, known, listed),
            Event::Ahead(position) => self.restore_ahead(position),
        }
    }

    fn enter(&mut self, point: &str, now: bool, anew: bool) {
        self.entry_point = EntryPoint::parse(point);
        self.now = now;
        self.completed = false;
        self.waiting = None;
        self.persisted = None;
        if anew {
            self.entered_at = self.next();
            self.publishers.unlist();
        }
        self.revision += 1;
    }

    fn receive(&mut self, position: Position<'_>) {
        let number = self.next();
        let mut entry = Entry {
            sequence: 0,
            publisher: ODD,
            discarded: false,
        };
        match position {
            Position::Numbered {
                publisher,
                sequence,
                padding,
            } => {
                entry.sequence = sequence;
                entry.publisher = self.publishers.slot(publisher);
                let known = self.publishers.get_mut(entry.publisher);
                known.padding = padding;
                // Its first message: only the entry point comes before it for certain.
                let first = known.prefix.is_none() && known.after.is_empty();
                self.revision += u64::from(first);
                known.insert(sequence, number);
            }
            Position::Opaque(text) => {
                entry.publisher = OPAQUE;
                self.revision += u64::from(!self.publishers.opaques.seen());
                self.publishers.opaques.insert(text, number);
            }
            Position::Odd => {}
        }
        self.now = false;
        self.entries.push_back(entry);
    }

    fn discard(&mut self, number: u64) {
        let Some(place) = self.place(number) else {
            return;
        };
        self.entries[place].discarded = true;
        if place > 0 {
            return;
        }
        while let Some(entry) = self.entries.front().filter(|entry| entry.discarded) {
            let (left, entry) = (self.first, *entry);
            self.first += 1;
            self.entries.pop_front();
            match entry.publisher {
                ODD => {}
                OPAQUE => self.publishers.opaques.settle(left, self.entered_at),
                slot => {
                    let known = self.publishers.get_mut(slot);
                    known.settle(left, entry.sequence, self.entered_at);
                }
            }
        }
        self.free_memory();
        self.settle_persisted();
        self.revision += 1;
    }

    /// Gives back what a backlog needed that is worked off (rule L19).
    fn free_memory(&mut self) {
        const KEPT: usize = 4096;
        if self.entries.capacity() > KEPT && self.entries.len() < self.entries.capacity() / 8 {
            self.entries.shrink_to(KEPT.max(self.entries.len() * 2));
            self.publishers.free_memory(KEPT);
        }
    }

    fn complete(&mut self, point: &str) {
        if self.now && Position::parse(point) != Position::Odd {
            self.entry_point = EntryPoint::parse(point);
        }
        self.now = false;
        self.completed = true;
        self.revision += 1;
    }

    /// True if a persisted point counts: it can stand in a list, is news, and no replay is running,
    /// during which it is far ahead.
    pub(crate) fn counts(&self, point: &str) -> bool {
        let known = self.persisted.as_ref().map(|known| known.point.as_str());
        self.completed && Position::parse(point) != Position::Odd && known != Some(point)
    }

    fn persist(&mut self, point: &str) {
        if !self.counts(point) {
            return;
        }
        let persisted = Persisted {
            point: point.to_string(),
            before: self.next(),
        };
        if self.waiting.is_none() {
            self.waiting = Some(persisted.clone());
        }
        self.persisted = Some(persisted);
        self.settle_persisted();
        self.revision += 1;
    }

    /// A persisted point becomes the entry point once all that came before it is discarded.
    fn settle_persisted(&mut self) {
        let first = self.first;
        let Some(mut settled) = self.waiting.take_if(|waiting| waiting.before <= first) else {
            return;
        };
        match &self.persisted {
            Some(newest) if newest.before <= first => settled = newest.clone(),
            newest => self.waiting.clone_from(newest),
        }
        self.entry_point = EntryPoint::List(vec![settled.point]);
    }
}
