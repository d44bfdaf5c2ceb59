//! The groups of an aggregated subscription, kept up to date (`broker-behaviour §12`).

use super::change::{Change, Seen};
use crate::filter::{Projection, Value};
use crate::message_type::MessageType;
use crate::sow::{Record, Sow};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// The records that match, by group.
///
/// What a record contributes is kept, so that a change costs one pass over the values of its group
/// and no payload but two is read.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    /// By the keys of the records.
    members: FxHashMap<Box<[u8]>, Member>,
    /// By the keys of the groups.
    groups: FxHashMap<Box<[u8]>, Group>,
}

#[derive(Debug)]
struct Member {
    group: Box<[u8]>,
    version: u64,
    inputs: Vec<Value<'static>>,
}

#[derive(Debug, Default)]
struct Group {
    /// The keys of the records, in the order in which they were processed.
    records: BTreeMap<u64, Box<[u8]>>,
    /// What the group is made into.
    payload: Vec<u8>,
}

/// What became of a group.
#[derive(Debug)]
pub(super) struct Regrouped {
    pub(super) key: Box<[u8]>,
    /// `None` if the group is new.
    pub(super) old: Option<Vec<u8>>,
    /// `None` if no record is left.
    pub(super) new: Option<Vec<u8>>,
}

/// The topic that the records are of.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) message_type: &'a MessageType,
    pub(super) topic: &'a [u8],
    pub(super) sow: &'a Sow,
}

impl Groups {
    /// Puts records in that are there already.
    pub(super) fn fill<'r>(
        &mut self,
        projection: &Projection,
        source: Source<'_>,
        records: impl Iterator<Item = &'r Record>,
    ) {
        for record in records {
            self.add(projection, source, record);
        }
        let keys = self.groups.keys().cloned().collect::<Vec<_>>();
        for key in keys {
            self.refresh(projection, source, key);
        }
    }

    /// Every group and its record.
    pub(super) fn all(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.groups
            .iter()
            .map(|(key, group)| (&**key, &*group.payload))
    }

    /// Moves the record of a change to where it belongs, and says what that does to the groups:
    /// first to the one that it leaves.
    pub(super) fn update(
        &mut self,
        projection: &Projection,
        change: &Change<'_>,
        covered: bool,
    ) -> Vec<Regrouped> {
        let Some(sow) = change.sow else {
            return Vec::new();
        };
        let source = Source {
            message_type: change.message_type,
            topic: change.topic,
            sow,
        };
        let mut concerned = Vec::new();
        if let Some(member) = self.members.remove(change.key) {
            if let Some(group) = self.groups.get_mut(&member.group) {
                group.records.remove(&member.version);
            }
            concerned.push(member.group);
        }
        if let Some(record) = sow.get(change.key).filter(|_| covered) {
            let group = self.add(projection, source, record);
            if !concerned.contains(&group) {
                concerned.push(group);
            }
        }
        concerned
            .into_iter()
            .map(|key| self.refresh(projection, source, key))
            .collect()
    }

    fn add(&mut self, projection: &Projection, source: Source<'_>, record: &Record) -> Box<[u8]> {
        let seen = Seen::record(source.message_type, source.topic, record);
        let key = projection.group(&seen).into_boxed_slice();
        let group = self.groups.entry(key.clone()).or_default();
        group.records.insert(record.version, record.key.clone());
        let member = Member {
            group: key.clone(),
            version: record.version,
            inputs: projection.inputs(&seen),
        };
        self.members.insert(record.key.clone(), member);
        key
    }

    /// Works the record of a group out anew.
    fn refresh(
        &mut self,
        projection: &Projection,
        source: Source<'_>,
        key: Box<[u8]>,
    ) -> Regrouped {
        let group = self.groups.entry(key.clone()).or_default();
        let old = std::mem::take(&mut group.payload);
        let last = group.records.last_key_value();
        let new = last.and_then(|(_, last)| source.sow.get(last)).map(|last| {
            let members = group
                .records
                .values()
                .filter_map(|key| self.members.get(key));
            let inputs = members.map(|member| &member.inputs[..]);
            let seen = Seen::record(source.message_type, source.topic, last);
            projection.record(&seen, inputs)
        });
        match &new {
            Some(payload) => group.payload.clone_from(payload),
            None => {
                self.groups.remove(&key);
            }
        }
        Regrouped {
            key,
            // No record is empty.
            old: (!old.is_empty()).then_some(old),
            new,
        }
    }
}
