//! Queries of what was (`broker-behaviour §3` and `§7`, History): the records of a topic as they
//! were at a point of the transaction log.

use crate::engine::Engine;
use crate::options::NotFound;
use crate::reason::{Refusal, text};
use crate::sow::Record;
use crate::time::now_micros;
use crate::topic::Pattern;
use crate::txlog::{Event, Moment, Range};
use rustc_hash::FxHashMap;

/// The records of topics as they were; only of topics with a history.
#[derive(Debug, Default)]
pub(super) struct Past {
    records: FxHashMap<usize, Vec<Record>>,
    /// The position up to which all of them had come.
    pub(super) position: u64,
}

impl Past {
    /// The records of a topic, if it has a history.
    pub(super) fn of(&self, topic_at: usize) -> Option<&[Record]> {
        self.records.get(&topic_at).map(Vec::as_slice)
    }

    /// Looks up what was at a point. Of a topic without a history a query shows what is now; one
    /// that goes on as a subscription shows nothing, as that would be newer than what follows.
    pub(super) fn read(
        engine: &Engine,
        type_at: usize,
        pattern: &Pattern,
        at: Moment,
        subscribes: bool,
    ) -> Past {
        let mut past = Past {
            position: at.position,
            ..Past::default()
        };
        for place in engine.topics.matching(type_at, pattern) {
            let topic = engine.topics.at(place);
            let Some(history) = &topic.history else {
                if subscribes && topic.logged {
                    past.records.insert(place, Vec::new());
                }
                continue;
            };
            let saved = engine.log.saved(at, history);
            let records = match history.reaches(at.time, now_micros()) {
                true => records_at(engine, place, saved),
                // Nothing is known of what was then.
                false => Vec::new(),
            };
            past.position = past.position.min(saved);
            past.records.insert(place, records);
        }
        past
    }
}

/// The point of a query; the present if the log does not know it, unless the client wants
/// something else then.
pub(super) fn point(
    engine: &Engine,
    range: &Range,
    not_found: NotFound,
) -> Result<Moment, Refusal> {
    let log = &engine.log;
    match (log.moment(&range.start), not_found) {
        (Some(moment), _) => Ok(moment),
        (None, NotFound::Now) => Ok(log.now()),
        (None, NotFound::Epoch) => Ok(Moment::default()),
        (None, NotFound::Fail) => Err(Refusal::new(
            text::INVALID_BOOKMARK,
            "none of the bookmarks is in the log",
        )),
    }
}

/// The records of a topic when the log ended at this position, in the order in which they came.
fn records_at(engine: &Engine, topic_at: usize, position: u64) -> Vec<Record> {
    let mut records = Vec::<Option<Record>>::new();
    let mut index = FxHashMap::<&[u8], usize>::default();
    for entry in engine.log.up_to(position) {
        match &entry.event {
            Event::Message(message) if message.topic == topic_at => {
                let record = Record {
                    key: message.key.clone(),
                    payload: message.payload.clone(),
                    correlation_id: message.correlation_id.to_vec(),
                    updated: entry.processed,
                    version: 0,
                    expires: None,
                };
                let next = records.len();
                let place = *index.entry(&*message.key).or_insert(next);
                match records.get_mut(place) {
                    Some(known) => *known = Some(record),
                    None => records.push(Some(record)),
                }
            }
            Event::Message(_) => {}
            Event::Delete(deleted) => {
                let here = deleted.iter().filter(|(at, _)| *at == topic_at);
                for (_, key) in here {
                    if let Some(place) = index.remove(&**key) {
                        records[place] = None;
                    }
                }
            }
        }
    }
    records.into_iter().flatten().collect()
}
