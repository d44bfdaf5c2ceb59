//! What a subscription knows of each publisher whose messages it saw.

use super::position::Padding;
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, VecDeque};

/// Stands for a publisher within one subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot(pub(crate) u32);

/// One publisher of bookmarks of the usual form.
#[derive(Debug)]
pub(crate) struct Publisher {
    pub(crate) id: u64,
    /// As last seen.
    pub(crate) padding: Padding,
    /// The last sequence of the discarded prefix: all up to it are duplicates.
    pub(crate) prefix: Option<u64>,
    /// The point to start at: the one of its messages that left the entries last, in the order of
    /// arrival, of those that arrived since the subscription was last entered anew. Never above the
    /// prefix.
    pub(crate) listed: Option<u64>,
    /// Sequence and entry of what comes after the prefix, ascending by sequence. The entry of a
    /// message that left the entries before one with a lower sequence did stays here.
    pub(crate) after: VecDeque<(u64, u64)>,
}

impl Publisher {
    /// The entry of this sequence.
    pub(crate) fn entry(&self, sequence: u64) -> Option<u64> {
        let place = self.after.binary_search_by_key(&sequence, |pair| pair.0);
        place.ok().map(|place| self.after[place].1)
    }

    /// Notes the entry of a sequence that is not there. Publishers send in order, so it is the
    /// last one but for a server that does not.
    pub(crate) fn insert(&mut self, sequence: u64, entry: u64) {
        if self.after.back().is_none_or(|last| last.0 < sequence) {
            self.after.push_back((sequence, entry));
        } else if let Err(place) = self.after.binary_search_by_key(&sequence, |pair| pair.0) {
            self.after.insert(place, (sequence, entry));
        }
    }

    /// Notes that the entry `left`, of this sequence, has left the entries, and moves the prefix
    /// over everything that has. `listed_from` is the first entry that is a point to start at.
    pub(crate) fn settle(&mut self, left: u64, sequence: u64, listed_from: u64) {
        while let Some(&(next, entry)) = self.after.front() {
            if entry > left {
                break;
            }
            self.prefix = Some(next);
            self.after.pop_front();
        }
        if left >= listed_from && self.prefix >= Some(sequence) {
            self.listed = Some(sequence);
        }
    }
}

/// Bookmarks that cannot be compared. They count as one publisher, whose duplicates are those that
/// are equal to the last one of the prefix or to one in the entries.
#[derive(Debug, Default)]
pub(crate) struct Opaques {
    pub(crate) prefix: Option<Box<str>>,
    pub(crate) listed: bool,
    entries: FxHashMap<Box<str>, u64>,
    texts: BTreeMap<u64, Box<str>>,
}

impl Opaques {
    /// The entry of this bookmark.
    pub(crate) fn entry(&self, text: &str) -> Option<u64> {
        self.entries.get(text).copied()
    }

    /// The bookmark of this entry.
    pub(crate) fn text(&self, entry: u64) -> &str {
        self.texts.get(&entry).map_or("", |text| text)
    }

    /// Notes the entry of a bookmark.
    pub(crate) fn insert(&mut self, text: &str, entry: u64) {
        self.entries.insert(text.into(), entry);
        self.texts.insert(entry, text.into());
    }

    /// Moves the prefix to the bookmark of an entry that has left.
    pub(crate) fn settle(&mut self, entry: u64, listed_from: u64) {
        if let Some(text) = self.texts.remove(&entry) {
            self.entries.remove(&text);
            self.prefix = Some(text);
            self.listed |= entry >= listed_from;
        }
    }

    /// True if one was seen.
    pub(crate) fn seen(&self) -> bool {
        self.prefix.is_some() || !self.texts.is_empty()
    }
}

/// All publishers of a subscription, in the order in which they were first seen (trap 80).
#[derive(Debug, Default)]
pub(crate) struct Publishers {
    list: Vec<Publisher>,
    slots: FxHashMap<u64, Slot>,
    pub(crate) opaques: Opaques,
}

impl Publishers {
    /// The publisher with this id, if it was seen.
    pub(crate) fn find(&self, id: u64) -> Option<&Publisher> {
        // Most topics have few publishers: no hashing for the first.
        match self.list.first() {
            Some(first) if first.id == id => Some(first),
            _ => Some(&self.list[self.slots.get(&id)?.0 as usize]),
        }
    }

    /// The publisher with this id; noted now, if it was not seen before.
    pub(crate) fn slot(&mut self, id: u64) -> Slot {
        if self.list.first().is_some_and(|first| first.id == id) {
            return Slot(0);
        }
        if let Some(slot) = self.slots.get(&id) {
            return *slot;
        }
        let slot = Slot(self.list.len() as u32);
        self.list.push(Publisher {
            id,
            padding: Padding::default(),
            prefix: None,
            listed: None,
            after: VecDeque::new(),
        });
        self.slots.insert(id, slot);
        slot
    }

    /// The publisher in a slot.
    pub(crate) fn get(&self, slot: Slot) -> &Publisher {
        &self.list[slot.0 as usize]
    }

    /// The publisher in a slot.
    pub(crate) fn get_mut(&mut self, slot: Slot) -> &mut Publisher {
        &mut self.list[slot.0 as usize]
    }

    /// All of them, in the order in which they were first seen.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Publisher> {
        self.list.iter()
    }

    /// Takes every prefix out of the points to start at; they still tell duplicates.
    pub(crate) fn unlist(&mut self) {
        self.opaques.listed = false;
        self.list.iter_mut().for_each(|known| known.listed = None);
    }

    /// Gives back what a backlog needed that is worked off; this much may stay.
    pub(crate) fn free_memory(&mut self, kept: usize) {
        for known in &mut self.list {
            known.after.shrink_to(kept);
        }
        self.opaques.entries.shrink_to(kept);
    }

    /// True if a publisher was seen whose prefix is no point to start at: only the entry point
    /// comes before its messages in the log of every server.
    pub(crate) fn any_unlisted(&self) -> bool {
        self.list.iter().any(|known| known.listed.is_none())
            || (self.opaques.seen() && !self.opaques.listed)
    }

    /// True if a prefix is a point to start at.
    pub(crate) fn any_listed(&self) -> bool {
        self.opaques.listed || self.list.iter().any(|known| known.listed.is_some())
    }
}
