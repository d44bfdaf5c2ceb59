//! What a subscriber is told, and the frame that says it.

use crate::time::{now_micros, timestamp};
use amps_core::CommandType;
use amps_core::protocol::{Field, FrameWriter};
use std::borrow::Cow;

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
}

impl News<'_> {
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
}

impl Addressees {
    pub(crate) fn add(&mut self, subscription: &super::Subscription) {
        if !self.ids.is_empty() {
            self.ids.push(b',');
        }
        self.ids.extend_from_slice(&subscription.id);
        self.timestamp |= subscription.timestamp;
        self.sow_key |= subscription.sow_key;
    }

    /// Writes a message for all of them.
    #[inline]
    pub(crate) fn write_message(
        &self,
        out: &mut Vec<u8>,
        topic: &[u8],
        key: &[u8],
        correlation_id: &[u8],
        processed: Option<u64>,
        payload: &[u8],
    ) {
        let mut frame = FrameWriter::begin(out, CommandType::Publish);
        self.write_header(&mut frame, topic, key, processed);
        frame.text_if(Field::CorrelationId, correlation_id);
        frame.finish(payload);
    }

    #[inline]
    fn write_header(
        &self,
        frame: &mut FrameWriter<'_>,
        topic: &[u8],
        key: &[u8],
        processed: Option<u64>,
    ) {
        frame.text(Field::Topic, topic);
        frame.text(Field::SubIds, &self.ids);
        if self.timestamp {
            let processed = processed.unwrap_or_else(now_micros);
            frame.text(Field::Timestamp, &timestamp(processed));
        }
        if self.sow_key {
            frame.text_if(Field::SowKey, key);
        }
    }

    /// Writes news for all of them.
    pub(crate) fn write(&self, out: &mut Vec<u8>, topic: &[u8], news: &News<'_>) {
        let News {
            key,
            correlation_id,
            processed,
            payload,
            ..
        } = news;
        let Some(reason) = news.oof else {
            self.write_message(out, topic, key, correlation_id, *processed, payload);
            return;
        };
        let mut frame = FrameWriter::begin(out, CommandType::Oof);
        self.write_header(&mut frame, topic, key, *processed);
        frame.text(Field::Reason, reason.name());
        frame.text_if(Field::CorrelationId, correlation_id);
        frame.finish(payload);
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
