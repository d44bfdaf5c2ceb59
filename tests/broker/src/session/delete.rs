//! `sow_delete`.

use super::Session;
use super::criteria::{check_keeps_records, read_filter, read_keys, read_topic};
use super::sequence::Known;
use crate::ack::{Ack, Counters, Kind};
use crate::engine::Engine;
use crate::entitlement::{Access, Grant};
use crate::filter::Filter;
use crate::options;
use crate::reason::{Refusal, text};
use crate::request::Request;
use crate::topic::{Event, Pattern, Seen, Topic};
use crate::txlog::{Bookmark, Entry, Event as Logged, Record};
use amps_core::AckType;
use amps_core::protocol::Field;

/// The keys of records, by the place of their topic.
type Found = (usize, Vec<Box<[u8]>>);

/// Which records go.
enum Doomed {
    /// Those that match.
    Matching(Filter),
    /// Those of these keys, if they match.
    Keys(Vec<Vec<u8>>, Option<Filter>),
    /// The one that publishing this data would update.
    Data,
}

impl Session {
    pub(super) fn sow_delete(
        &self,
        engine: &mut Engine,
        type_at: usize,
        request: &Request<'_>,
    ) -> Result<(), Refusal> {
        let known = self.recognize(engine, request);
        if let Some(at) = self.queue_of(engine, type_at, request) {
            return self.answer_messages(engine, type_at, at, request, &known);
        }
        let pattern = read_topic(request, false)?;
        let doomed = read_doomed(engine, type_at, request)?;
        check_keeps_records(engine, type_at, &pattern)?;
        self.check_entitled(engine, &pattern, Access::Write)?;
        let counters = match known {
            Known::Duplicate(_) => Counters {
                deleted: Some(0),
                ..Counters::default()
            },
            _ => self.delete(engine, type_at, &pattern, &doomed, request.payload, &known)?,
        };
        let sequence = Session::sequence_to_acknowledge(request, &known);
        let by_filter = matches!(doomed, Doomed::Matching(_));
        self.deleted(engine, request, counters, by_filter, sequence);
        Ok(())
    }

    /// Acknowledges a delete.
    pub(super) fn deleted(
        &self,
        engine: &mut Engine,
        request: &Request<'_>,
        counters: Counters,
        by_filter: bool,
        sequence: Option<u64>,
    ) {
        for (wanted, kind) in [
            (AckType::PROCESSED, Kind::Processed),
            (AckType::COMPLETED, Kind::Completed),
            (AckType::STATS, Kind::Stats),
            (AckType::PERSISTED, Kind::Persisted),
        ] {
            if !request.wants(wanted) || (kind == Kind::Completed && !by_filter) {
                continue;
            }
            if kind == Kind::Persisted {
                self.written(engine, request, kind, sequence);
                continue;
            }
            let ack = Ack {
                command_id: &request.text(Field::CommandId),
                kind,
                counters: (kind == Kind::Stats).then_some(counters),
                ..Ack::default()
            };
            engine.send(&self.connection, |out| ack.write(out));
        }
    }

    /// Finds the records first and removes them then: a refusal leaves all of them.
    fn delete(
        &self,
        engine: &mut Engine,
        type_at: usize,
        pattern: &Pattern,
        doomed: &Doomed,
        data: &[u8],
        known: &Known,
    ) -> Result<Counters, Refusal> {
        let who = engine.identity(self.connection.id());
        let mut counters = Counters::default();
        let mut found = Vec::new();
        for at in engine.topics.matching(type_at, pattern) {
            let topic = engine.topics.at(at);
            let entitlements = engine.topics.entitlements();
            let grant = entitlements.grant(&who, &topic.name, Access::Write);
            if topic.sow.is_some() && !matches!(grant, Grant::Nothing) {
                found.push((at, find(topic, doomed, data, &grant, &mut counters)?));
            }
        }
        for (at, _) in &found {
            let name = engine.topics.at(*at).name.clone();
            engine.check_fault(&name)?;
        }
        self.log_delete(engine, &found, known)?;
        let (topics, mut outlet) = engine.delivering();
        let mut deleted = 0;
        for (at, keys) in found {
            let topic = topics.at_mut(at);
            for key in keys {
                deleted += u64::from(topic.remove(&key, Event::Deleted, &mut outlet));
            }
        }
        counters.deleted = Some(deleted);
        engine.follow_log();
        Ok(counters)
    }

    /// Logs the delete, if it concerns a logged topic, be there records to delete or not.
    fn log_delete(
        &self,
        engine: &mut Engine,
        found: &[Found],
        known: &Known,
    ) -> Result<(), Refusal> {
        let (topics, log) = (&engine.topics, &mut engine.log);
        for (at, _) in found {
            let topic = topics.at(*at);
            log.introduce(*at, topic.type_at, &topic.name)?;
        }
        let (logged, others) = found
            .iter()
            .partition::<Vec<_>, _>(|(at, _)| topics.at(*at).logged);
        let processed = log.clock();
        if log.has_journal() && !others.is_empty() {
            log.keep(&Record::Kept(Entry {
                bookmark: Bookmark::NONE,
                processed,
                from: 0,
                event: Logged::Delete(in_one_list(&others)),
            }))?;
        }
        if let (Some(bookmark), false) = (known.bookmark(), logged.is_empty()) {
            log.append(Entry {
                bookmark,
                processed,
                from: 0,
                event: Logged::Delete(in_one_list(&logged)),
            })?;
        }
        self.note_written(engine, known);
        Ok(())
    }
}

fn in_one_list(found: &[&Found]) -> Vec<(usize, Box<[u8]>)> {
    let mut list = Vec::new();
    for (at, keys) in found {
        list.extend(keys.iter().map(|key| (*at, key.clone())));
    }
    list
}

/// The keys of the records of a topic that are to go. All of them must be the client's to delete.
fn find(
    topic: &Topic,
    doomed: &Doomed,
    data: &[u8],
    grant: &Grant,
    counters: &mut Counters,
) -> Result<Vec<Box<[u8]>>, Refusal> {
    let Some(sow) = &topic.sow else {
        return Ok(Vec::new());
    };
    let (candidates, filter): (Vec<_>, _) = match doomed {
        Doomed::Matching(filter) => (sow.records().collect(), Some(filter)),
        Doomed::Keys(keys, filter) => (
            keys.iter().filter_map(|key| sow.get(key)).collect(),
            filter.as_ref(),
        ),
        Doomed::Data => {
            let key = sow.rule.of_data(&topic.name, data)?;
            (sow.get(&key).into_iter().collect(), None)
        }
    };
    counters.topic_matches += candidates.len() as u64;
    let mut keys = Vec::new();
    for record in candidates {
        let seen = Seen::record(&topic.message_type, &topic.name, record);
        if filter.is_some_and(|filter| !filter.matches(&seen)) {
            continue;
        }
        if !grant.covers(&seen) {
            return Err(Refusal::new(text::NOT_ENTITLED, "to delete every record"));
        }
        keys.push(record.key.clone());
    }
    counters.matches += keys.len() as u64;
    Ok(keys)
}

/// Exactly one way to select; only keys and a filter may go together, as they do in a query.
fn read_doomed(engine: &Engine, type_at: usize, request: &Request<'_>) -> Result<Doomed, Refusal> {
    if let Some(item) = options::items(&request.text(Field::Options)).first() {
        return Err(Refusal::new(
            text::INVALID_OPTIONS,
            format!("{}: the topic is no queue", item.name),
        ));
    }
    if request.has(Field::Bookmark) {
        return Err(Refusal::new(
            text::INVALID_TOPIC,
            "only a queue takes bookmarks, and the topic is none",
        ));
    }
    let filter = read_filter(engine, type_at, request)?;
    let keys = read_keys(request)?;
    let has_data = !request.payload.is_empty();
    match (keys, filter, has_data) {
        (Some(keys), filter, false) => Ok(Doomed::Keys(keys, filter)),
        (None, Some(filter), false) => Ok(Doomed::Matching(filter)),
        (None, None, true) => Ok(Doomed::Data),
        (None, None, false) => Err(Refusal::new(text::BAD_SOW_KEY, "nothing to delete")),
        _ => Err(Refusal::new(
            text::INVALID_OPTIONS,
            "data and another way to select records",
        )),
    }
}
