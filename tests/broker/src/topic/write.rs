//! What happens to a topic: messages, deltas, deletes, the end of lifetimes.

use super::Topic;
use super::change::{Change, Event};
use super::queueing::feed;
use super::route::Outlet;
use crate::filter::merge;
use crate::reason::{Refusal, text};
use crate::server::{Task, Timers};
use crate::sow::Record;
use crate::time::now_micros;
use crate::txlog::{Bookmark, Entry, Event as Logged, Message};
use bytes::Bytes;
use std::borrow::Cow;
use std::cell::OnceCell;
use std::time::{Duration, Instant};

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
    /// What it is called in the log; `None` if there is no log.
    pub(crate) bookmark: Option<Bookmark>,
    /// The number of the broker that brings it; 0 for a client.
    pub(crate) from: u64,
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
        let bookmark = message.bookmark.filter(|_| self.logged);
        let mut processed = None;
        if let Some(bookmark) = bookmark {
            let clock = outlet.log.clock();
            let payload = Bytes::copy_from_slice(message.payload);
            outlet.log.introduce(self.at, self.type_at, &self.name)?;
            outlet.log.append(Entry {
                bookmark,
                processed: clock,
                from: message.from,
                event: Logged::Message(Message {
                    topic: self.at,
                    key: Box::default(),
                    payload,
                    correlation_id: (&*message.correlation_id).into(),
                    lifetime: message.expiration,
                    old: None,
                }),
            })?;
            processed = Some(clock);
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
            processed,
            bookmark,
            old: None,
            sow: None,
            delta: OnceCell::new(),
        };
        self.routes.deliver(&change, outlet);
        feed(&self.feeds, outlet);
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
        let bookmark = message.bookmark.filter(|_| self.logged);
        let supplied = Cow::Borrowed(&*message.sow_key);
        let key = sow.rule.of_publish(&self.name, message.payload, supplied)?;
        let mut record = Record {
            key: (&*key).into(),
            payload: Bytes::new(),
            correlation_id: message.correlation_id.to_vec(),
            updated: match bookmark {
                Some(_) => outlet.log.clock(),
                None => now_micros(),
            },
            version,
            expires: sow.end_of(message.expiration, Instant::now),
        };
        match sow.get(&key).filter(|_| message.delta) {
            Some(stored) => {
                record.payload = merge(&self.message_type, &stored.payload, message.payload)
                    .map_err(|error| Refusal::new(text::INVALID_MESSAGE, error.to_string()))?
                    .into();
                if record.correlation_id.is_empty() {
                    record.correlation_id.clone_from(&stored.correlation_id);
                }
            }
            None => record.payload = Bytes::copy_from_slice(message.payload),
        }
        // Before anything is changed: what cannot be logged has not happened.
        if let Some(bookmark) = bookmark {
            outlet.log.introduce(self.at, self.type_at, &self.name)?;
            outlet
                .log
                .append(entry(self.at, message, bookmark, &record))?;
        } else if outlet.log.has_journal() {
            outlet.log.introduce(self.at, self.type_at, &self.name)?;
            let entry = entry(self.at, message, Bookmark::NONE, &record);
            outlet.log.keep(&crate::txlog::Record::Kept(entry))?;
        }
        let old = sow.put(record);
        if let (Some(_), Some(old)) = (bookmark, &old) {
            outlet.log.note_old(old);
        }
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
            bookmark,
            old: old.as_ref(),
            sow: Some(sow),
            delta: OnceCell::new(),
        };
        self.routes.deliver(&change, outlet);
        feed(&self.feeds, outlet);
        Ok(())
    }

    /// Puts a record back that a journal tells of, unless its time is over by now.
    pub(crate) fn restore(
        &mut self,
        message: &Message,
        processed: u64,
        version: u64,
        timers: &mut Timers,
    ) {
        let Some(sow) = &mut self.sow else {
            return;
        };
        if message.key.is_empty() {
            // It was published when the topic kept no records.
            return;
        }
        let age = Duration::from_micros(now_micros().saturating_sub(processed));
        let now = Instant::now();
        let end = sow.end_of(message.lifetime, || now);
        let expires = end.map(|end| end.checked_sub(age).unwrap_or(now));
        if expires.is_some_and(|end| end <= now) {
            sow.remove(&message.key);
            return;
        }
        sow.put(Record {
            key: message.key.clone(),
            payload: message.payload.clone(),
            correlation_id: message.correlation_id.to_vec(),
            updated: processed,
            version,
            expires,
        });
        if let Some(end) = sow.arm(&message.key) {
            let task = Task::Expiration {
                topic: self.at,
                key: message.key.clone(),
            };
            timers.add(end, task);
        }
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
            bookmark: None,
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

/// What the log says of a message that makes a record.
fn entry(topic: usize, message: &Incoming<'_>, bookmark: Bookmark, record: &Record) -> Entry {
    Entry {
        bookmark,
        processed: record.updated,
        from: message.from,
        event: Logged::Message(Message {
            topic,
            key: record.key.clone(),
            payload: record.payload.clone(),
            correlation_id: (&*record.correlation_id).into(),
            lifetime: message.expiration,
            old: None,
        }),
    }
}
