//! The transaction log: every publish and delete of logged topics, in one order.
//!
//! It is kept in memory from its beginning to the end of the broker, and replays read it there;
//! a [journal] keeps it from one broker to the next.
//! Positions count from 1; they are places in this log and of no meaning to anybody else, who
//! knows messages by their [`Bookmark`]. Everything here happens under the engine's lock.

mod bookmark;
mod entry;
mod history;
mod journal;
mod logged;
mod pace;
mod position;
mod reader;
mod record;
mod replay;
mod replays;
mod replicate;
mod restore;

pub(crate) use bookmark::{Bookmark, Limit, Point, Range};
pub(crate) use entry::{Entry, Event, Message};
pub(crate) use history::{History, Moment};
pub(crate) use journal::Journal;
pub(crate) use logged::LoggedTopics;
pub(crate) use pace::{Pace, Rate};
pub(crate) use position::Stop;
pub(crate) use reader::Reader;
pub(crate) use record::{QueueEvent, Record};
pub(crate) use replay::{Replay, World};
pub(crate) use replays::Replays;
pub(crate) use replicate::start as start_replication;
pub(crate) use restore::Restoring;

use crate::hash::stable_hash;
use crate::reason::Refusal;
use crate::time::now_micros;
use rustc_hash::FxHashMap;
use std::hash::BuildHasher;

/// The log of one broker.
#[derive(Default)]
pub(crate) struct Log {
    /// Some topic is logged. Without it nobody's sequence numbers are looked at.
    enabled: bool,
    entries: Vec<Entry>,
    publishers: FxHashMap<u64, Publisher>,
    journal: Option<Journal>,
    /// The brokers that everything is sent to.
    links: Vec<replicate::Link>,
    last_link: u64,
    /// The names of the message types, by their places.
    type_names: Vec<String>,
    /// Tells this broker from others that may replicate to it.
    instance: u64,
    /// A subscription wants to know what records were before.
    pub(crate) keep_old: bool,
}

/// What is known of a publisher.
#[derive(Default)]
struct Publisher {
    /// The highest sequence number that was seen, of logged topics or not.
    highest: u64,
    /// Where the log ended then.
    highest_at: u64,
    /// The numbers of what is logged, with their positions; both increase.
    logged: Vec<(u64, u64)>,
}

impl Publisher {
    fn position(&self, sequence: u64) -> Option<u64> {
        let at = self
            .logged
            .binary_search_by_key(&sequence, |&(sequence, _)| sequence)
            .ok()?;
        Some(self.logged[at].1)
    }
}

impl Log {
    pub(crate) fn new(enabled: bool, type_names: Vec<String>) -> Log {
        Log {
            type_names,
            enabled,
            instance: new_instance(),
            ..Log::default()
        }
    }

    /// The number of this broker; the one that a journal was begun with stays with it.
    pub(crate) fn instance(&self) -> u64 {
        self.instance
    }

    /// Gives the journal back to the system: another broker may open it.
    pub(crate) fn detach(&mut self) {
        self.journal = None;
    }

    /// From now on everything goes into this journal too.
    pub(crate) fn attach(&mut self, journal: Journal, instance: u64) {
        self.journal = Some(journal);
        self.instance = instance;
    }

    /// True if what happens outlives the broker.
    pub(crate) fn has_journal(&self) -> bool {
        self.journal.is_some()
    }

    /// Makes a topic known to the journal, if there is one. To be called before something of the
    /// topic is appended or kept.
    ///
    /// # Errors
    ///
    /// The journal did not take it.
    pub(crate) fn introduce(
        &mut self,
        place: usize,
        type_at: usize,
        name: &[u8],
    ) -> Result<(), Refusal> {
        let Some(journal) = &mut self.journal else {
            return Ok(());
        };
        let type_name = self.type_names.get(type_at).map_or("", String::as_str);
        journal.introduce(place, type_name, name)
    }

    /// Writes something into the journal, if there is one, and nowhere else.
    ///
    /// # Errors
    ///
    /// The journal did not take it.
    pub(crate) fn keep(&mut self, record: &Record) -> Result<(), Refusal> {
        match &mut self.journal {
            Some(journal) => journal.write(record),
            None => Ok(()),
        }
    }

    /// True if there is a log at all.
    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// The publisher of what a client publishes without a sequence number.
    pub(crate) fn stand_in(&self, client_name: &str) -> u64 {
        let instance = self.instance.to_be_bytes();
        stable_hash([&b"without sequence"[..], &instance, client_name.as_bytes()])
    }

    /// What a message without a sequence number is called.
    pub(crate) fn next_of(&self, publisher: u64) -> Bookmark {
        Bookmark {
            publisher,
            sequence: self.highest(publisher) + 1,
        }
    }

    /// The position of the last entry; 0 if there is none.
    pub(crate) fn end(&self) -> u64 {
        self.entries.len() as u64
    }

    /// The entry at a position.
    pub(crate) fn at(&self, position: u64) -> Option<&Entry> {
        let at = usize::try_from(position.checked_sub(1)?).ok()?;
        self.entries.get(at)
    }

    /// How a position is called for clients: the bookmark of its entry, or the beginning.
    pub(crate) fn name(&self, position: u64) -> String {
        match self.at(position) {
            Some(entry) => entry.bookmark.to_string(),
            None => "0".to_owned(),
        }
    }

    /// Up to where everything is safe, so that it may be acknowledged as persisted.
    pub(crate) fn durable(&self) -> u64 {
        let elsewhere = self.links.iter().map(|link| link.position).min();
        elsewhere.unwrap_or(u64::MAX).min(self.end())
    }

    fn type_name(&self, type_at: usize) -> &str {
        self.type_names.get(type_at).map_or("", String::as_str)
    }

    fn type_at(&self, name: &str) -> Option<usize> {
        self.type_names.iter().position(|known| known == name)
    }

    /// The time that an entry gets which is appended now: the log never goes back in time.
    pub(crate) fn clock(&self) -> u64 {
        now_micros().max(self.last_time())
    }

    /// When the last entry was processed.
    pub(crate) fn last_time(&self) -> u64 {
        self.entries.last().map_or(0, |last| last.processed)
    }

    /// Appends what was done to logged topics.
    ///
    /// # Errors
    ///
    /// It could not be made durable; nothing is appended.
    pub(crate) fn append(&mut self, entry: Entry) -> Result<(), Refusal> {
        if let Some(journal) = &mut self.journal {
            journal.write_logged(&entry)?;
        }
        self.push(entry);
        Ok(())
    }

    /// As [`Log::append`], of what stands in the journal already.
    pub(super) fn push(&mut self, entry: Entry) {
        let Bookmark {
            publisher,
            sequence,
        } = entry.bookmark;
        self.entries.push(entry);
        let position = self.end();
        let publisher = self.publishers.entry(publisher).or_default();
        publisher.logged.push((sequence, position));
        publisher.highest = sequence;
        publisher.highest_at = position;
    }

    /// Notes what a record was before the message that was just appended, if somebody wants to
    /// know.
    pub(crate) fn note_old(&mut self, old: &crate::sow::Record) {
        if self.keep_old
            && let Some(Entry {
                event: Event::Message(message),
                ..
            }) = self.entries.last_mut()
        {
            message.old = Some(Box::new(old.clone()));
        }
    }

    /// Notes a sequence number of something that is not logged.
    pub(crate) fn note_sequence(&mut self, bookmark: Bookmark) {
        let end = self.end();
        let publisher = self.publishers.entry(bookmark.publisher).or_default();
        publisher.highest = publisher.highest.max(bookmark.sequence);
        publisher.highest_at = end;
    }

    /// The highest sequence number that was seen of a publisher; 0 if there is none.
    pub(crate) fn highest(&self, publisher: u64) -> u64 {
        self.publishers
            .get(&publisher)
            .map_or(0, |publisher| publisher.highest)
    }

    /// The highest sequence number of a publisher up to which everything is safe; 0 if there is
    /// none.
    pub(crate) fn last_persisted(&self, publisher: u64) -> u64 {
        let Some(publisher) = self.publishers.get(&publisher) else {
            return 0;
        };
        let durable = self.durable();
        if publisher.highest_at <= durable {
            return publisher.highest;
        }
        let safe = publisher
            .logged
            .partition_point(|&(_, position)| position <= durable);
        match safe.checked_sub(1) {
            Some(last) => publisher.logged[last].0,
            None => 0,
        }
    }

    /// The position of a message.
    pub(crate) fn find(&self, bookmark: Bookmark) -> Option<u64> {
        self.publishers
            .get(&bookmark.publisher)?
            .position(bookmark.sequence)
    }
}

/// A number that no other broker has.
fn new_instance() -> u64 {
    // Keyed with random numbers of the system.
    let state = std::hash::RandomState::new();
    state.hash_one(std::process::id())
}

#[cfg(test)]
mod tests;
