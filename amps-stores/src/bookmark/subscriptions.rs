//! All subscriptions of a store, by name.

use super::subscription::Subscription;
use rustc_hash::FxHashMap;

/// How many entries a subscription holds before its resize handler is asked.
const ENTRIES_UNASKED: usize = 1024;

/// A subscription and what the store knows of it beside its order.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) name: Box<str>,
    /// Stands for the name in files.
    pub(super) index: u32,
    pub(super) state: Subscription,
    /// How many entries it may hold without asking.
    pub(super) allowed: usize,
    /// The resume point that was last told.
    pub(super) told: Option<String>,
    /// True if the file knows the name.
    pub(super) defined: bool,
    /// The revision whose resume point the file has.
    pub(super) written: u64,
}

/// The subscriptions of a store.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    by_name: FxHashMap<Box<str>, u32>,
    /// By index. An index is not used again, so that a file's records stay clear.
    all: Vec<Option<Box<Named>>>,
    /// The highest number that was ever given and then forgotten. New subscriptions go on above
    /// it: a message of before that is discarded late must not hit another one (rule L15).
    floor: u64,
}

impl Subscriptions {
    /// The index of a subscription that is known.
    pub(super) fn find(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    /// The index of a subscription, which is made now if it is not known.
    pub(super) fn find_or_add(&mut self, name: &str) -> u32 {
        match self.find(name) {
            Some(index) => index,
            None => {
                let index = self.all.len() as u32;
                self.add(index, name, Subscription::new(self.floor + 1));
                index
            }
        }
    }

    /// Makes a subscription under an index that is free.
    pub(super) fn add(&mut self, index: u32, name: &str, state: Subscription) {
        let place = index as usize;
        if self.all.len() <= place {
            self.all.resize_with(place + 1, || None);
        }
        self.by_name.insert(name.into(), index);
        self.all[place] = Some(Box::new(Named {
            name: name.into(),
            index,
            state,
            allowed: ENTRIES_UNASKED,
            told: None,
            defined: false,
            written: 0,
        }));
    }

    /// The subscription of an index.
    pub(super) fn get(&self, index: u32) -> Option<&Named> {
        self.all.get(index as usize)?.as_deref()
    }

    /// The subscription of an index.
    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Named> {
        self.all.get_mut(index as usize)?.as_deref_mut()
    }

    /// The subscription of a name, if it is known.
    pub(super) fn named(&self, name: &str) -> Option<&Named> {
        self.get(self.find(name)?)
    }

    /// All of them, by index.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Named> {
        self.all.iter().flatten().map(|named| &**named)
    }

    /// All of them, by index.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Named> {
        self.all.iter_mut().flatten().map(|named| &mut **named)
    }

    /// Forgets one.
    pub(super) fn remove(&mut self, index: u32) {
        let Some(named) = self.all.get_mut(index as usize).and_then(Option::take) else {
            return;
        };
        self.by_name.remove(&named.name);
        self.floor = self.floor.max(named.state.next() - 1);
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        for index in 0..self.all.len() as u32 {
            self.remove(index);
        }
        self.all.clear();
    }
}
