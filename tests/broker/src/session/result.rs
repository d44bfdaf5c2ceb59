//! The result of a query: which records, in which order, in which frames.

use super::Session;
use super::query::Query;
use crate::ack::Counters;
use crate::engine::{Engine, Identity};
use crate::entitlement::{Access, Grant};
use crate::filter::{Candidate, Projection, SortKey};
use crate::sow::Record;
use crate::time::timestamp;
use crate::topic::{Seen, Topic, Topics, compare_on_page};
use amps_core::CommandType;
use amps_core::protocol::{Field, FrameWriter};
use rustc_hash::FxHashMap;
use std::borrow::Cow;

/// A frame is closed beyond this, so that large records do not add up to a frame that nobody
/// accepts.
const MAX_BATCH_BYTES: usize = 8 << 20;

/// A record that matches.
struct Found<'e> {
    topic: &'e Topic,
    record: &'e Record,
    /// Of a message in a queue.
    bookmark: Option<&'e str>,
    /// Nothing if there is no order.
    sort: Option<SortKey>,
}

impl<'e> Found<'e> {
    fn new(
        topic: &'e Topic,
        record: &'e Record,
        bookmark: Option<&'e str>,
        query: &Query<'_>,
    ) -> Found<'e> {
        let order = query.order.as_ref();
        Found {
            topic,
            record,
            bookmark,
            sort: order.map(|order| order.key(&topic.message_type, &record.payload)),
        }
    }
}

/// A record as it is sent.
struct Line<'e> {
    topic: &'e Topic,
    record: &'e Record,
    bookmark: Option<&'e str>,
    payload: Cow<'e, [u8]>,
}

impl Session {
    /// Sends the result: one group, whatever the number of topics and of records. Leaves out what
    /// the client is known to have.
    pub(super) fn run(
        &self,
        engine: &mut Engine,
        type_at: usize,
        query: &Query<'_>,
        mut known: impl FnMut(&Topic, &Record) -> bool,
    ) -> Counters {
        let who = engine.identity(self.connection.id());
        let Engine { topics, wakes, .. } = engine;
        let mut counters = Counters::default();
        let mut found = find(topics, type_at, &who, query, &mut counters);
        counters.matches = found.len() as u64;
        let groups;
        if let Some(projection) = &query.criteria.wanted.projection {
            groups = group(found, projection);
            found = groups
                .iter()
                .map(|(topic, record)| Found::new(topic, record, None, query))
                .collect();
        }
        sort(&mut found, query);
        let wanted = &query.criteria.wanted;
        let count = |number: Option<u64>| number.and_then(|number| usize::try_from(number).ok());
        let lines = found
            .into_iter()
            .skip(count(wanted.skip_n).unwrap_or(0))
            .take(count(wanted.top_n).unwrap_or(usize::MAX))
            .filter(|one| !known(one.topic, one.record))
            .filter_map(|one| {
                let payload = match &wanted.select {
                    None => Cow::Borrowed(&*one.record.payload),
                    // What cannot be read cannot be selected from.
                    Some(select) => select
                        .apply(&one.topic.message_type, &one.record.payload)
                        .ok()?,
                };
                Some(Line {
                    topic: one.topic,
                    record: one.record,
                    bookmark: one.bookmark,
                    payload,
                })
            })
            .collect::<Vec<_>>();
        counters.returned = Some(lines.len() as u64);
        let marker = |command| {
            move |out: &mut Vec<u8>| {
                let mut frame = FrameWriter::begin(out, command);
                frame.text(Field::QueryId, &query.query_id);
                frame.finish(b"");
            }
        };
        self.connection.send(wakes, marker(CommandType::GroupBegin));
        let mut rest = &lines[..];
        while !rest.is_empty() {
            let (batch, later) = rest.split_at(batch_length(rest, query.batch));
            self.connection
                .send(wakes, |out| write_batch(out, query, batch));
            rest = later;
        }
        self.connection.send(wakes, marker(CommandType::GroupEnd));
        counters
    }
}

/// The records that match and that the client may see, in the order of topics and insertion.
fn find<'e>(
    topics: &'e Topics,
    type_at: usize,
    who: &Identity,
    query: &'e Query<'_>,
    counters: &mut Counters,
) -> Vec<Found<'e>> {
    let criteria = &query.criteria;
    let mut found = Vec::new();
    for at in topics.matching(type_at, &criteria.pattern) {
        let topic = topics.at(at);
        let grant = topics.entitlements().grant(who, &topic.name, Access::Read);
        if matches!(grant, Grant::Nothing) {
            continue;
        }
        let mut look_at = |record: &'e Record, bookmark, seen: &dyn Candidate| {
            counters.topic_matches += 1;
            let filter = criteria.filter.as_ref();
            if grant.covers(seen) && filter.is_none_or(|filter| filter.matches(seen)) {
                found.push(Found::new(topic, record, bookmark, query));
            }
        };
        if let Some(sow) = &topic.sow {
            let mut look_at = |record| {
                let seen = Seen::record(&topic.message_type, &topic.name, record);
                look_at(record, None, &seen);
            };
            let past = query.past.as_ref().and_then(|past| past.of(at));
            match (&query.keys, past) {
                (Some(keys), Some(past)) => past
                    .iter()
                    .filter(|record| keys.iter().any(|key| **key == *record.key))
                    .for_each(&mut look_at),
                (None, Some(past)) => past.iter().for_each(&mut look_at),
                (Some(keys), None) => keys
                    .iter()
                    .filter_map(|key| sow.get(key))
                    .for_each(&mut look_at),
                (None, None) => sow.records().for_each(&mut look_at),
            }
        }
        // A queue is browsed: nothing is leased. Its messages have no keys to be asked for by.
        if let (Some(queue), None) = (&topic.queue, &query.keys) {
            for entry in queue.deliverable() {
                let seen = entry.seen(&topic.message_type, &topic.name);
                look_at(&entry.record, Some(&*entry.bookmark_text), &seen);
            }
        }
    }
    found
}

/// Makes one record of each group, in the order in which the groups are found.
fn group<'e>(found: Vec<Found<'e>>, projection: &Projection) -> Vec<(&'e Topic, Record)> {
    let mut places = FxHashMap::default();
    let mut groups: Vec<(Vec<u8>, Vec<Found<'e>>)> = Vec::new();
    for one in found {
        let seen = Seen::record(&one.topic.message_type, &one.topic.name, one.record);
        let key = projection.group(&seen);
        let place = *places.entry(key.clone()).or_insert(groups.len());
        if place == groups.len() {
            groups.push((key, Vec::new()));
        }
        groups[place].1.push(one);
    }
    let make = |(key, mut members): (Vec<u8>, Vec<Found<'e>>)| {
        // Fields outside the groups have the value that was processed last.
        members.sort_by_key(|member| member.record.version);
        let seen =
            |one: &Found<'e>| Seen::record(&one.topic.message_type, &one.topic.name, one.record);
        let inputs = members
            .iter()
            .map(|one| projection.inputs(&seen(one)))
            .collect::<Vec<_>>();
        let last = members.last()?;
        let inputs = inputs.iter().map(|inputs| &inputs[..]);
        let record = Record {
            key: key.into(),
            payload: projection.record(&seen(last), inputs).into(),
            correlation_id: Vec::new(),
            updated: last.record.updated,
            version: last.record.version,
            expires: None,
        };
        Some((last.topic, record))
    };
    groups.into_iter().filter_map(make).collect()
}

/// Pages need an order that no two records share, so that none is on two pages or on none.
fn sort(found: &mut [Found<'_>], query: &Query<'_>) {
    if query.criteria.wanted.skip_n.is_some() {
        found.sort_by(|left, right| {
            compare_on_page(
                query.order.as_ref(),
                (&left.sort, &left.record.key),
                (&right.sort, &right.record.key),
            )
        });
    } else if let Some(order) = &query.order {
        found.sort_by(|left, right| match (&left.sort, &right.sort) {
            (Some(left), Some(right)) => order.compare(left, right),
            _ => std::cmp::Ordering::Equal,
        });
    }
}

/// How many of the records go into the next frame: at least one, and of one topic only.
fn batch_length(lines: &[Line<'_>], most: usize) -> usize {
    let mut bytes = 0;
    let fitting = lines
        .iter()
        .take(most)
        .take_while(|line| {
            let fits = bytes < MAX_BATCH_BYTES && line.topic.at == lines[0].topic.at;
            bytes += line.payload.len();
            fits
        })
        .count();
    fitting.max(1)
}

fn write_batch(out: &mut Vec<u8>, query: &Query<'_>, lines: &[Line<'_>]) {
    let wanted = &query.criteria.wanted;
    let mut frame = FrameWriter::begin(out, CommandType::Sow);
    frame.text(Field::QueryId, &query.query_id);
    frame.text(Field::Topic, &lines[0].topic.name);
    frame.number(Field::BatchSize, lines.len() as u64);
    let mut batch = frame.records();
    for Line {
        record,
        bookmark,
        payload,
        ..
    } in lines
    {
        let updated = timestamp(record.updated);
        let fields = [
            (!wanted.no_sow_key && bookmark.is_none()).then_some((Field::SowKey, &*record.key)),
            bookmark.map(|bookmark| (Field::Bookmark, bookmark.as_bytes())),
            (!record.correlation_id.is_empty())
                .then_some((Field::CorrelationId, &*record.correlation_id)),
            wanted.timestamp.then_some((Field::Timestamp, &updated[..])),
        ];
        batch.record(fields.into_iter().flatten(), payload);
    }
    batch.finish();
}
