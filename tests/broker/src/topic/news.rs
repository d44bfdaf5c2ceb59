//! What a subscriber is told, and the frame that says it.

use super::change::Change;
use crate::time::{now_micros, timestamp};
use crate::txlog::Bookmark;
use amps_core::CommandType;
use amps_core::protocol::{Field, FrameWriter};
use std::borrow::Cow;
use std::io::Write;

/// Why a record is out of focus (`broker-behaviour §4`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    Match,
    Deleted,
    Expired,
    Entitlement,
}

impl Reason {
    const fn name(self) -> &'static [u8] {
        match self {
            Reason::Match => b"match",
            Reason::Deleted => b"deleted",
            Reason::Expired => b"expired",
            Reason::Entitlement => b"entitlement",
        }
    }
}

/// A message, or an out-of-focus notice if there is a reason.
#[derive(Debug, Clone)]
pub(crate) struct News<'a> {
    pub(crate) oof: Option<Reason>,
    pub(crate) payload: Cow<'a, [u8]>,
    /// The payload has every field that the subscription wants, not just those that changed.
    pub(crate) whole: bool,
    /// Empty if the topic keeps no records.
    pub(crate) key: Cow<'a, [u8]>,
    pub(crate) correlation_id: Cow<'a, [u8]>,
    pub(crate) processed: Option<u64>,
    /// What the message is called in the transaction log, if it stands there.
    pub(crate) bookmark: Option<Bookmark>,
}

impl<'a> News<'a> {
    /// The message of a change, with this payload.
    #[inline]
    pub(super) fn message(change: &'a Change<'_>, payload: Cow<'a, [u8]>, whole: bool) -> News<'a> {
        News {
            oof: None,
            payload,
            whole,
            key: Cow::Borrowed(change.key),
            correlation_id: Cow::Borrowed(change.correlation_id),
            processed: change.processed,
            bookmark: change.bookmark,
        }
    }

    /// True if one frame can say both.
    fn equals(&self, other: &News<'_>) -> bool {
        self.oof == other.oof && self.key == other.key && self.payload == other.payload
    }
}

/// The same news for some subscriptions of one connection.
///
/// A frame carries a field if one of the subscriptions wants it: the reference is silent on what
/// two subscriptions with different options do.
pub(crate) struct Parcel<'a> {
    news: News<'a>,
    addressees: Addressees,
}

/// Whom a frame is for, and which fields it has for them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Addressees {
    ids: Vec<u8>,
    timestamp: bool,
    sow_key: bool,
    bookmark: bool,
}

impl Addressees {
    pub(crate) fn add(&mut self, subscription: &super::Subscription) {
        if !self.ids.is_empty() {
            self.ids.push(b',');
        }
        self.ids.extend_from_slice(&subscription.id);
        self.timestamp |= subscription.timestamp;
        self.sow_key |= subscription.sow_key;
        self.bookmark |= subscription.bookmark;
    }

    /// Writes news for all of them.
    #[inline]
    pub(crate) fn write(&self, out: &mut Vec<u8>, topic: &[u8], news: &News<'_>) {
        let command = match news.oof {
            None => CommandType::Publish,
            Some(_) => CommandType::Oof,
        };
        let mut frame = FrameWriter::begin(out, command);
        frame.text(Field::Topic, topic);
        frame.text(Field::SubIds, &self.ids);
        if self.timestamp {
            let processed = news.processed.unwrap_or_else(now_micros);
            frame.text(Field::Timestamp, &timestamp(processed));
        }
        if let Some(bookmark) = news.bookmark.filter(|_| self.bookmark) {
            // Two numbers of at most twenty digits, and two bars: writing does not fail.
            let mut text = [0; 42];
            let mut rest = &mut text[..];
            let _ = write!(rest, "{bookmark}");
            let length = 42 - rest.len();
            frame.text(Field::Bookmark, &text[..length]);
        }
        if self.sow_key {
            frame.text_if(Field::SowKey, &news.key);
        }
        if let Some(reason) = news.oof {
            frame.text(Field::Reason, reason.name());
        }
        frame.text_if(Field::CorrelationId, &news.correlation_id);
        frame.finish(&news.payload);
    }
}

/// The parcels of one change for one connection.
#[derive(Default)]
pub(crate) struct Parcels<'a> {
    parcels: Vec<Parcel<'a>>,
}

impl<'a> Parcels<'a> {
    /// Adds news for a subscription: to the parcel that says the same, if there is one.
    pub(crate) fn add(&mut self, subscription: &super::Subscription, news: News<'a>) {
        let known = self.parcels.iter_mut().find(|one| one.news.equals(&news));
        match known {
            Some(parcel) => parcel.addressees.add(subscription),
            None => {
                let mut addressees = Addressees::default();
                addressees.add(subscription);
                self.parcels.push(Parcel { news, addressees });
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.parcels.is_empty()
    }

    /// Writes a frame for each parcel.
    pub(crate) fn write(&self, out: &mut Vec<u8>, topic: &[u8]) {
        for parcel in &self.parcels {
            parcel.addressees.write(out, topic, &parcel.news);
        }
    }
}
