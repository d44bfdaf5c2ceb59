//! What subscribers say about the messages that they got.

use super::config::Delivery;
use super::entry::{Entry, Place};
use super::{End, Ledger, Queue};
use crate::entitlement::Grant;
use crate::filter::Filter;
use crate::reason::Refusal;
use crate::txlog::Bookmark;
use std::time::Instant;

/// What is to happen to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is done with.
    Done,
    /// It goes back into the queue.
    Cancel,
    /// It expires now.
    Expire,
}

/// Who answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct By<'a> {
    pub(crate) connection: u64,
    /// What the client may see of the queue.
    pub(crate) grant: &'a Grant,
    pub(crate) now: Instant,
}

impl Queue {
    /// Takes an answer; false if it has no effect on any message that is there.
    ///
    /// # Errors
    ///
    /// It could not be written down, and has no effect.
    pub(crate) fn answer(
        &mut self,
        bookmark: Bookmark,
        answer: Answer,
        by: By<'_>,
        ledger: &mut dyn Ledger,
    ) -> Result<bool, Refusal> {
        let Some(&place) = self.index.get(&bookmark) else {
            return match answer {
                Answer::Done => self.answer_absent(bookmark, by, ledger),
                Answer::Cancel | Answer::Expire => Ok(false),
            };
        };
        let Some(entry) = self.entries.get(&place) else {
            return Ok(false);
        };
        let leased = entry.lease.map(|lease| lease.consumer);
        let visible = by.grant.covers(&entry.seen(&self.message_type, &self.name));
        if !visible || leased.is_some_and(|holder| !self.may_answer(holder, by)) {
            return Ok(false);
        }
        match answer {
            Answer::Done => {
                ledger.ended(bookmark, End::Done)?;
                self.remove(place);
            }
            // Both do nothing to what is delivered once at most.
            _ if self.rules.delivery == Delivery::AtMostOnce => return Ok(false),
            Answer::Expire => self.expire(place, ledger),
            Answer::Cancel if leased.is_none() => return Ok(false),
            Answer::Cancel => {
                if let Some(entry) = self.entries.get_mut(&place) {
                    entry.cancels = entry.cancels.saturating_add(1);
                }
                self.give_back(place, by.now);
            }
        }
        Ok(true)
    }

    /// The message has been sent for good, is done with, or has not come yet.
    fn answer_absent(
        &mut self,
        bookmark: Bookmark,
        by: By<'_>,
        ledger: &mut dyn Ledger,
    ) -> Result<bool, Refusal> {
        let Some(&holder) = self.sent.get(&bookmark) else {
            if self.late.may_come(bookmark) {
                ledger.ended(bookmark, End::Done)?;
                self.late.remember(bookmark, by.now);
            }
            return Ok(false);
        };
        if !self.may_answer(holder, by) {
            return Ok(false);
        }
        self.sent.remove(&bookmark);
        self.free(holder, bookmark);
        Ok(true)
    }

    fn may_answer(&self, holder: u64, by: By<'_>) -> bool {
        !self.rules.strict
            || self
                .consumers
                .iter()
                .any(|one| one.number == holder && one.connection == by.connection)
    }

    /// The messages in the queue that match, whoever works on them.
    pub(crate) fn matching(&self, filter: &Filter) -> Vec<Bookmark> {
        self.entries
            .values()
            .filter(|entry| filter.matches(&entry.seen(&self.message_type, &self.name)))
            .map(|entry| entry.bookmark)
            .collect()
    }

    /// True if the message is in the queue.
    pub(crate) fn has(&self, bookmark: Bookmark) -> bool {
        self.index.contains_key(&bookmark)
    }

    /// Ends the lease of a message; it can be delivered again, unless its time is over: then it is
    /// taken out before the next delivery.
    pub(super) fn give_back(&mut self, place: Place, now: Instant) {
        self.withdraw(place);
        let Some(entry) = self.entries.get_mut(&place) else {
            return;
        };
        let Some(lease) = entry.lease.take() else {
            return;
        };
        let bookmark = entry.bookmark;
        if is_exhausted(entry, self.rules.max_deliveries, self.rules.max_cancels) {
            entry.record.expires = Some(now);
        }
        self.free(lease.consumer, bookmark);
        self.offer(place);
    }
}

/// Whether a message that comes back is delivered no more, however long it would live.
fn is_exhausted(entry: &Entry, max_deliveries: u32, max_cancels: u32) -> bool {
    let reached = |count: u32, limit: u32| limit > 0 && count >= limit;
    reached(entry.deliveries, max_deliveries) || reached(entry.cancels, max_cancels)
}
