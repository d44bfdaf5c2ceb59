//! The last value of every record of one topic.

mod key;

pub(crate) use key::{KeyRule, is_key_text};

use rustc_hash::FxHashMap;

/// One record.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) key: Box<[u8]>,
    pub(crate) payload: Vec<u8>,
    /// The publisher's token on the last message; may be empty.
    pub(crate) correlation_id: Vec<u8>,
    /// When the last message was processed, in microseconds since 1970.
    pub(crate) updated: u64,
}

/// The records of a topic.
///
/// AMPS does not say in which order a query returns them; here it is the order in which they were
/// inserted, so that a run can be repeated.
#[derive(Debug)]
pub(crate) struct Sow {
    /// Where keys come from.
    pub(crate) rule: KeyRule,
    index: FxHashMap<Box<[u8]>, usize>,
    /// In order of insertion; a deleted record leaves a gap.
    slots: Vec<Option<Record>>,
}

impl Sow {
    pub(crate) fn new(rule: KeyRule) -> Sow {
        Sow {
            rule,
            index: FxHashMap::default(),
            slots: Vec::new(),
        }
    }

    /// Inserts a record, or replaces the one of the same key.
    pub(crate) fn put(&mut self, key: &[u8], payload: &[u8], correlation_id: &[u8], updated: u64) {
        if let Some(record) = self.index.get(key).and_then(|&at| self.slots[at].as_mut()) {
            record.payload.clear();
            record.payload.extend_from_slice(payload);
            record.correlation_id.clear();
            record.correlation_id.extend_from_slice(correlation_id);
            record.updated = updated;
            return;
        }
        self.index.insert(key.into(), self.slots.len());
        self.slots.push(Some(Record {
            key: key.into(),
            payload: payload.to_vec(),
            correlation_id: correlation_id.to_vec(),
            updated,
        }));
    }

    /// Takes a record out.
    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<Record> {
        let at = self.index.remove(key)?;
        let removed = self.slots[at].take();
        if self.slots.len() > 64 && self.index.len() < self.slots.len() / 2 {
            self.close_gaps();
        }
        removed
    }

    /// Takes every record out; says how many there were.
    pub(crate) fn clear(&mut self) -> u64 {
        let count = self.len();
        self.index.clear();
        self.slots.clear();
        count
    }

    /// The record of a key.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&Record> {
        self.slots[*self.index.get(key)?].as_ref()
    }

    /// Every record.
    pub(crate) fn records(&self) -> impl Iterator<Item = &Record> {
        self.slots.iter().flatten()
    }

    /// How many records there are.
    pub(crate) fn len(&self) -> u64 {
        self.index.len() as u64
    }

    fn close_gaps(&mut self) {
        self.slots.retain(Option::is_some);
        for (at, record) in self.slots.iter().flatten().enumerate() {
            if let Some(place) = self.index.get_mut(&record.key) {
                *place = at;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(sow: &Sow) -> Vec<u64> {
        sow.records()
            .map(|record| String::from_utf8_lossy(&record.key).parse().unwrap())
            .collect()
    }

    #[test]
    fn records_stay_in_order_of_insertion_through_updates_and_deletes() {
        let mut sow = Sow::new(KeyRule::Explicit);
        for key in 0..1000u64 {
            sow.put(key.to_string().as_bytes(), b"old", b"", 1);
        }
        sow.put(b"7", b"new", b"x", 2);
        for key in (0..1000u64).filter(|key| key % 7 != 0) {
            assert!(sow.remove(key.to_string().as_bytes()).is_some());
        }
        let left = (0..1000).filter(|key| key % 7 == 0).collect::<Vec<_>>();
        assert_eq!(keys(&sow), left);
        assert_eq!(sow.len(), left.len() as u64);
        assert!(sow.slots.len() < 500, "gaps are closed");
        for key in left {
            let record = sow.get(key.to_string().as_bytes()).unwrap();
            assert_eq!(record.payload == b"new", key == 7);
        }
        assert!(sow.get(b"1").is_none());
        assert!(sow.remove(b"1").is_none());
        assert_eq!(sow.clear(), 143);
        assert_eq!(sow.records().count(), 0);
    }
}
