//! A subscription of one connection.

use super::known::Had;
use super::news::{News, Reason};
use super::pattern::Pattern;
use crate::engine::Identity;
use crate::filter::{Extractor, Filter, OrderBy, Projection, Select};
use crate::message_type::MessageType;
use crate::sow::Record;
use std::borrow::Cow;
use std::time::Duration;

/// What a client subscribed to. It never changes: `replace` puts another one in its place.
#[derive(Debug)]
pub(crate) struct Subscription {
    /// Unique on its connection.
    pub(crate) id: Box<[u8]>,
    /// Who subscribed.
    pub(crate) owner: Identity,
    /// The topic as the client wrote it.
    pub(crate) topic: Box<[u8]>,
    /// Which topics that means.
    pub(crate) pattern: Pattern,
    /// Which messages.
    pub(crate) filter: Option<Filter>,
    /// Which of their fields.
    pub(crate) select: Option<Select>,
    /// Only the fields that changed, where that is known.
    pub(crate) delta: bool,
    /// No deltas in which nothing changed.
    pub(crate) no_empties: bool,
    /// Say when a record no longer matches.
    pub(crate) oof: bool,
    /// Say when each message was processed.
    pub(crate) timestamp: bool,
    /// Say what each message is called in the transaction log.
    pub(crate) bookmark: bool,
    /// Say which record each message belongs to.
    pub(crate) sow_key: bool,
    /// At most one update per record and interval.
    pub(crate) conflation: Option<Conflation>,
    /// One record for each group of records.
    pub(crate) projection: Option<Projection>,
    /// Only a page of the records.
    pub(crate) page: Option<Page>,
    /// The most unacknowledged messages that it may have of a queue.
    pub(crate) backlog: usize,
    /// What the query told its client that it came with.
    pub(crate) had: Had,
    /// Where it stands in the order of all messages and subscriptions; no two stand at the same
    /// place.
    pub(crate) since: u64,
}

impl Subscription {
    /// The fields that the client selected. Of a payload that cannot be read nothing can be
    /// selected: it is not sent.
    pub(crate) fn selected<'p>(
        &self,
        message_type: &MessageType,
        payload: &'p [u8],
    ) -> Option<Cow<'p, [u8]>> {
        let Some(select) = &self.select else {
            return Some(Cow::Borrowed(payload));
        };
        match select.apply(message_type, payload) {
            Ok(selected) => Some(selected),
            Err(error) => {
                log::debug!("a message without the fields to select: {error}");
                None
            }
        }
    }

    /// News of a record that changed for this client only.
    pub(crate) fn record_news<'r>(
        &self,
        message_type: &MessageType,
        record: &'r Record,
        oof: Option<Reason>,
    ) -> Option<News<'r>> {
        Some(News {
            oof,
            payload: self.selected(message_type, &record.payload)?,
            whole: true,
            key: Cow::Borrowed(&record.key),
            correlation_id: Cow::Borrowed(&record.correlation_id),
            processed: Some(record.updated),
            bookmark: None,
        })
    }
}

/// How updates are conflated.
#[derive(Debug)]
pub(crate) struct Conflation {
    pub(crate) interval: Duration,
    /// What tells records apart, with the number of fields; the record key if it is not said.
    pub(crate) key: Option<(Extractor, usize)>,
}

/// A page of the records that match.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) skip: usize,
    pub(crate) top: usize,
    /// The order; by record key if there is none.
    pub(crate) order: Option<OrderBy>,
}

#[cfg(test)]
impl Subscription {
    /// A subscription to a queue.
    pub(crate) fn of_queue(id: &str, filter: Option<&str>, backlog: usize) -> Subscription {
        Subscription {
            id: id.as_bytes().into(),
            owner: Identity::default(),
            topic: b"q"[..].into(),
            pattern: Pattern::Literal(b"q"[..].into()),
            filter: filter.map(|filter| Filter::parse(filter).unwrap()),
            select: None,
            delta: false,
            no_empties: false,
            oof: false,
            timestamp: false,
            bookmark: false,
            sow_key: true,
            conflation: None,
            projection: None,
            page: None,
            backlog,
            had: Had::Nothing,
            since: 0,
        }
    }
}
