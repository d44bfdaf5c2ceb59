//! The difference that a new query makes to a client that has part of the result
//! (`broker-behaviour §4`, replace).

use super::Session;
use crate::engine::Engine;
use crate::topic::{Addressees, Known, Reason, Seen, Subscription};

impl Session {
    /// What the client has, as it is now: the records that its subscription shows, unless they are
    /// older than the subscription and were not in the result of its query.
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
                let delivered = record.version > old.since || old.had.has(topic.at, &record.key);
                if delivered && listener.shows(&seen, &record.key) {
                    known.insert(topic.at, &record.key);
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
        for (at, key) in known.iter() {
            let topic = engine.topics.at(at);
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
