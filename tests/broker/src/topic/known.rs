//! Which records a client has.

use rustc_hash::{FxHashMap, FxHashSet};

/// Records of several topics.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Their keys, by the place of the topic.
    records: FxHashMap<usize, FxHashSet<Box<[u8]>>>,
}

impl Known {
    pub(crate) fn insert(&mut self, topic_at: usize, key: &[u8]) {
        let keys = self.records.entry(topic_at).or_default();
        if !keys.contains(key) {
            keys.insert(key.into());
        }
    }

    pub(crate) fn has(&self, topic_at: usize, key: &[u8]) -> bool {
        let keys = self.records.get(&topic_at);
        keys.is_some_and(|keys| keys.contains(key))
    }

    /// Every record: the place of its topic, and its key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.records
            .iter()
            .flat_map(|(at, keys)| keys.iter().map(move |key| (*at, &**key)))
    }
}

/// What a client got when it subscribed.
#[derive(Debug)]
pub(crate) enum Had {
    /// It did not ask.
    Nothing,
    /// Every record that matched.
    Everything,
    /// These; its query left out others.
    Only(Known),
}

impl Had {
    /// True if the record was among it, if it matched.
    pub(crate) fn has(&self, topic_at: usize, key: &[u8]) -> bool {
        match self {
            Had::Nothing => false,
            Had::Everything => true,
            Had::Only(known) => known.has(topic_at, key),
        }
    }
}
