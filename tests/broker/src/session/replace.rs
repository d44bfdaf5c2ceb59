//! The difference that a new query makes to a client that has part of the result
//! (`broker-behaviour §4`, replace).

use super::Session;
use crate::engine::Engine;
use crate::sow::Record;
use crate::topic::{Addressees, Reason, Seen, Subscription, Topic};
use rustc_hash::{FxHashMap, FxHashSet};

/// The records that a client has got through one subscription, as they are now.
#[derive(Default)]
pub(super) struct Known {
    /// Their keys, by the place of the topic.
    records: FxHashMap<usize, FxHashSet<Box<[u8]>>>,
}

impl Known {
    pub(super) fn has(&self, topic: &Topic, record: &Record) -> bool {
        let keys = self.records.get(&topic.at);
        keys.is_some_and(|keys| keys.contains(&record.key))
    }
}

impl Session {
    /// What the client has: the records that its subscription shows, unless they are older than
    /// the subscription and it had no query.
    pub(super) fn known_through(&self, engine: &Engine, old: &Subscription) -> Known {
        let mut known = Known::default();
        for topic in engine.topics.all() {
            let (Some(sow), Some(listener)) = (
                &topic.sow,
                topic.routes.listener(self.connection.id(), old.since),
            ) else {
                continue;
            };
            for record in sow.records() {
                let seen = Seen::record(&topic.message_type, &topic.name, record);
                let delivered = old.queried || record.version > old.since;
                if delivered && listener.shows(&seen, &record.key) {
                    known
                        .records
                        .entry(topic.at)
                        .or_default()
                        .insert(record.key.clone());
                }
            }
        }
        known
    }

    /// Tells the client which of the records that it has are out of focus now.
    pub(super) fn take_back(&self, engine: &mut Engine, new: &Subscription, known: &Known) {
        let mut addressees = Addressees::default();
        addressees.add(new);
        let mut frames = Vec::new();
        let records = known
            .records
            .iter()
            .flat_map(|(at, keys)| keys.iter().map(move |key| (at, key)));
        for (at, key) in records {
            let topic = engine.topics.at(*at);
            let Some(record) = topic.sow.as_ref().and_then(|sow| sow.get(key)) else {
                continue;
            };
            let seen = Seen::record(&topic.message_type, &topic.name, record);
            let stays = topic
                .routes
                .listener(self.connection.id(), new.since)
                .is_some_and(|listener| listener.shows(&seen, key));
            if stays {
                continue;
            }
            let news = new.record_news(&topic.message_type, record, Some(Reason::Match));
            if let Some(news) = news {
                addressees.write(&mut frames, &topic.name, &news);
            }
        }
        if !frames.is_empty() {
            engine.send(&self.connection, |out| out.extend_from_slice(&frames));
        }
    }
}
