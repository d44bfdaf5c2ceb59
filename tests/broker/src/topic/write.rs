//! What happens to a topic: messages, deltas, deletes, the end of lifetimes.

use super::Topic;
use super::change::{Change, Event};
use super::queueing::feed;
use super::route::Outlet;
use crate::filter::merge;
use crate::queue::Bookmark;
use crate::reason::{Refusal, text};
use crate::server::Task;
use crate::sow::Record;
use crate::time::now_micros;
use std::borrow::Cow;
use std::cell::OnceCell;
use std::time::Instant;

/// A message as it comes from its publisher.
pub(crate) struct Incoming<'a> {
    /// Merge it into the record, if there is one.
    pub(crate) delta: bool,
    pub(crate) payload: &'a [u8],
    /// The key that the publisher chose; may be empty.
    pub(crate) sow_key: Cow<'a, [u8]>,
    pub(crate) correlation_id: Cow<'a, [u8]>,
    /// Seconds to live.
    pub(crate) expiration: Option<u64>,
    /// What identifies it, if it goes to queues.
    pub(crate) bookmark: Option<Bookmark>,
}

impl Topic {
    /// Keeps the record, if the topic keeps records, and tells the subscribers.
    pub(crate) fn publish(
        &mut self,
        message: &Incoming<'_>,
        version: u64,
        outlet: &mut Outlet<'_>,
    ) -> Result<(), Refusal> {
        if self.sow.is_some() {
            return self.update(message, version, outlet);
        }
        self.published += 1;
        let change = Change {
            event: Event::Published,
            at: self.at,
            topic: &self.name,
            message_type: &self.message_type,
            payload: message.payload,
            key: b"",
            correlation_id: &message.correlation_id,
            processed: None,
            old: None,
            sow: None,
            delta: OnceCell::new(),
        };
        self.routes.deliver(&change, outlet);
        feed(&self.feeds, &change, message, outlet);
        Ok(())
    }

    fn update(
        &mut self,
        message: &Incoming<'_>,
        version: u64,
        outlet: &mut Outlet<'_>,
    ) -> Result<(), Refusal> {
        let Some(sow) = &mut self.sow else {
            return Ok(());
        };
        let supplied = Cow::Borrowed(&*message.sow_key);
        let key = sow.rule.of_publish(&self.name, message.payload, supplied)?;
        let mut record = Record {
            key: (&*key).into(),
            payload: Vec::new(),
            correlation_id: message.correlation_id.to_vec(),
            updated: now_micros(),
            version,
            expires: sow.end_of(message.expiration, Instant::now),
        };
        match sow.get(&key).filter(|_| message.delta) {
            Some(stored) => {
                record.payload = merge(&self.message_type, &stored.payload, message.payload)
                    .map_err(|error| Refusal::new(text::INVALID_MESSAGE, error.to_string()))?;
                if record.correlation_id.is_empty() {
                    record.correlation_id.clone_from(&stored.correlation_id);
                }
            }
            None => record.payload.extend_from_slice(message.payload),
        }
        let old = sow.put(record);
        if let Some(end) = sow.arm(&key) {
            let task = Task::Expiration {
                topic: self.at,
                key: (&*key).into(),
            };
            outlet.timers.add(end, task);
        }
        self.published += 1;
        let Some(record) = sow.get(&key) else {
            return Ok(());
        };
        let change = Change {
            event: Event::Published,
            at: self.at,
            topic: &self.name,
            message_type: &self.message_type,
            payload: &record.payload,
            key: &record.key,
            correlation_id: &record.correlation_id,
            processed: Some(record.updated),
            old: old.as_ref(),
            sow: Some(sow),
            delta: OnceCell::new(),
        };
        self.routes.deliver(&change, outlet);
        feed(&self.feeds, &change, message, outlet);
        Ok(())
    }

    /// Takes a record out and tells the subscribers; false if there is none.
    pub(crate) fn remove(&mut self, key: &[u8], event: Event, outlet: &mut Outlet<'_>) -> bool {
        let Some(sow) = &mut self.sow else {
            return false;
        };
        let Some(last) = sow.remove(key) else {
            return false;
        };
        let change = Change {
            event,
            at: self.at,
            topic: &self.name,
            message_type: &self.message_type,
            payload: &last.payload,
            key: &last.key,
            correlation_id: &last.correlation_id,
            processed: Some(now_micros()),
            old: Some(&last),
            sow: Some(sow),
            delta: OnceCell::new(),
        };
        self.routes.deliver(&change, outlet);
        true
    }

    /// The timer of a record has come: ends the record, unless it was updated since.
    pub(crate) fn expire(&mut self, key: &[u8], now: Instant, outlet: &mut Outlet<'_>) {
        let Some(sow) = &mut self.sow else {
            return;
        };
        if sow.is_over(key, now) {
            self.remove(key, Event::Expired, outlet);
        } else if let Some(end) = sow.arm(key) {
            let task = Task::Expiration {
                topic: self.at,
                key: key.into(),
            };
            outlet.timers.add(end, task);
        }
    }

    /// The timer of a conflated subscription has come: sends what is due.
    pub(crate) fn release(
        &mut self,
        connection: u64,
        since: u64,
        now: Instant,
        outlet: &mut Outlet<'_>,
    ) {
        let whose = (connection, since);
        self.routes
            .release(&self.name, whose, Some(now), outlet.wakes);
        if let Some(due) = self.routes.rearm(whose) {
            let task = Task::Conflation {
                topic: self.at,
                connection,
                since,
            };
            outlet.timers.add(due, task);
        }
    }
}
