//! From a journal back to the state of a broker.

use super::journal::Restore;
use super::{Entry, Event, Log, QueueEvent};
use crate::config::NamedType;
use crate::server::Timers;
use crate::topic::Topics;

/// A broker that is about to start.
pub(crate) struct Restoring<'e> {
    pub(crate) types: &'e [NamedType],
    pub(crate) topics: &'e mut Topics,
    pub(crate) log: &'e mut Log,
    pub(crate) timers: &'e mut Timers,
}

impl Restoring<'_> {
    /// Does to the records what was done then.
    fn apply(&mut self, entry: &Entry) {
        match &entry.event {
            Event::Message(message) => {
                let version = self.topics.tick();
                let topic = self.topics.at_mut(message.topic);
                topic.restore(message, entry.processed, version, self.timers);
            }
            Event::Delete(records) => {
                for (topic, key) in records {
                    if let Some(sow) = &mut self.topics.at_mut(*topic).sow {
                        sow.remove(key);
                    }
                }
            }
        }
    }
}

impl Restore for Restoring<'_> {
    fn topic(&mut self, message_type: &str, name: &[u8]) -> Result<usize, String> {
        let mut types = self.types.iter();
        let type_at = types
            .position(|known| known.name == message_type)
            .ok_or_else(|| {
                let name = String::from_utf8_lossy(name);
                format!("topic {name} is of message type {message_type}, which is not configured")
            })?;
        Ok(self.topics.find_or_create(type_at, name))
    }

    fn logged(&mut self, entry: Entry) {
        self.apply(&entry);
        if let Event::Message(message) = &entry.event {
            self.topics
                .restore_queued(entry.bookmark, entry.processed, message);
        }
        self.log.push(entry);
    }

    fn kept(&mut self, entry: Entry) {
        self.apply(&entry);
    }

    fn queue(&mut self, topic: usize, event: QueueEvent) {
        self.topics.restore_queue_event(topic, event);
    }
}
