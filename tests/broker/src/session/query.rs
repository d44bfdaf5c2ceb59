//! `sow`, and the query part of `sow_and_subscribe`.

use super::Session;
use crate::ack::{Ack, Counters, Kind};
use crate::engine::Engine;
use crate::filter_gate;
use crate::options::Wanted;
use crate::reason::{Refusal, text};
use crate::request::Request;
use crate::sow::{Record, Sow, is_key_text};
use crate::time::timestamp;
use crate::topic::{Pattern, is_reserved};
use amps_core::AckType;
use amps_core::CommandType;
use amps_core::protocol::{Field, FrameWriter};
use std::borrow::Cow;
use std::collections::HashSet;

/// The most records per frame that may be asked for (`broker-behaviour §3`).
const MAX_BATCH: u64 = 10_000;

/// A frame is closed beyond this, so that large records do not add up to a frame that nobody
/// accepts.
const MAX_BATCH_BYTES: usize = 8 << 20;

/// A query that was checked and can run.
pub(super) struct Query<'a> {
    pub(super) pattern: Pattern,
    pub(super) wanted: Wanted,
    pub(super) query_id: Cow<'a, [u8]>,
    batch: usize,
    /// Only these records.
    keys: Option<Vec<Vec<u8>>>,
}

impl<'a> Query<'a> {
    /// Reads a query and refuses what cannot be carried out.
    pub(super) fn read(request: &Request<'a>) -> Result<Query<'a>, Refusal> {
        let wanted = Wanted::read(request)?;
        let pattern = read_topic(request, wanted.literal_topic)?;
        filter_gate::check(request)?;
        refuse_unsupported(request)?;
        let batch = request.number(Field::BatchSize).unwrap_or(1);
        if batch > MAX_BATCH {
            return Err(Refusal::new(
                text::INVALID_OPTIONS,
                format!("a batch size of {batch}"),
            ));
        }
        let query_id = [Field::QueryId, Field::SubId, Field::CommandId]
            .into_iter()
            .map(|field| request.text(field))
            .find(|id| !id.is_empty())
            .ok_or_else(|| Refusal::new(text::INVALID_SUB_ID, "the query has no id"))?;
        Ok(Query {
            pattern,
            wanted,
            query_id,
            batch: batch.max(1) as usize,
            keys: read_keys(request)?,
        })
    }
}

/// The topic of a subscription, a query or a delete.
pub(super) fn read_topic(request: &Request<'_>, literal: bool) -> Result<Pattern, Refusal> {
    let pattern = Pattern::parse(&request.text(Field::Topic), literal)?;
    match &pattern {
        Pattern::Literal(name) if is_reserved(name) => Err(Refusal::new(
            text::INVALID_TOPIC,
            "the server publishes nothing there",
        )),
        _ => Ok(pattern),
    }
}

/// The fields that would change what is delivered, and are not understood yet.
pub(super) fn refuse_unsupported(request: &Request<'_>) -> Result<(), Refusal> {
    for (field, reason) in [
        (Field::Bookmark, text::INVALID_BOOKMARK),
        (Field::OrderBy, text::INVALID_ORDER_BY),
        (Field::SkipN, text::INVALID_OPTIONS),
    ] {
        if request.has(field) {
            return Err(Refusal::new(
                reason,
                format!("the field {} is not supported yet", field.key()),
            ));
        }
    }
    if request.command.is_subscribe() && *request.text(Field::SendOof) == *b"true" {
        return Err(Refusal::new(
            text::INVALID_OPTIONS,
            "out-of-focus messages are not supported yet",
        ));
    }
    Ok(())
}

/// The keys in `sow_keys`, each once; `None` if the field is absent.
pub(super) fn read_keys(request: &Request<'_>) -> Result<Option<Vec<Vec<u8>>>, Refusal> {
    if !request.has(Field::SowKeys) {
        return Ok(None);
    }
    let list = request.text(Field::SowKeys);
    let mut seen = HashSet::new();
    let mut keys = Vec::new();
    for key in list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
        if !is_key_text(key) {
            return Err(Refusal::new(
                text::BAD_SOW_KEY,
                format!("{:?} is no key", String::from_utf8_lossy(key)),
            ));
        }
        if seen.insert(key) {
            keys.push(key.to_vec());
        }
    }
    Ok(Some(keys))
}

impl Session {
    pub(super) fn sow(
        &self,
        engine: &mut Engine,
        message_type: usize,
        request: &Request<'_>,
    ) -> Result<(), Refusal> {
        let query = Query::read(request)?;
        if let Pattern::Literal(name) = &query.pattern
            && !keeps_records(engine, message_type, name)
        {
            return Err(Refusal::new(
                text::INVALID_TOPIC,
                "the topic keeps no records",
            ));
        }
        let acks = self.query_acks(request, &query, b"");
        if request.wants(AckType::PROCESSED) {
            engine.send(&self.connection, |out| acks.write(out));
        }
        let counters = self.run(engine, message_type, &query);
        self.query_done(engine, request, acks, counters);
        Ok(())
    }

    /// What the acknowledgements of a query have in common. `ids` are borrowed from the request.
    pub(super) fn query_acks<'q>(
        &self,
        request: &Request<'q>,
        query: &'q Query<'_>,
        sub_id: &'q [u8],
    ) -> QueryAck<'q> {
        QueryAck {
            command_id: request.text(Field::CommandId),
            query_id: &query.query_id,
            sub_id,
        }
    }

    /// The acknowledgements that follow the result.
    pub(super) fn query_done(
        &self,
        engine: &mut Engine,
        request: &Request<'_>,
        acks: QueryAck<'_>,
        counters: Counters,
    ) {
        if request.wants(AckType::COMPLETED) {
            let ack = Ack {
                kind: Kind::Completed,
                ..acks.plain()
            };
            engine.send(&self.connection, |out| ack.write(out));
        }
        if request.wants(AckType::STATS) {
            let ack = Ack {
                kind: Kind::Stats,
                counters: Some(counters),
                ..acks.plain()
            };
            engine.send(&self.connection, |out| ack.write(out));
        }
    }

    /// Sends the result: one group, whatever the number of topics and of records.
    pub(super) fn run(
        &self,
        engine: &mut Engine,
        message_type: usize,
        query: &Query<'_>,
    ) -> Counters {
        let Engine { topics, wakes, .. } = engine;
        let mut counters = Counters::default();
        let mut left = query.wanted.top_n.unwrap_or(u64::MAX);
        let mut returned = 0;
        let marker = |command| {
            move |out: &mut Vec<u8>| {
                let mut frame = FrameWriter::begin(out, command);
                frame.text(Field::QueryId, &query.query_id);
                frame.finish(b"");
            }
        };
        self.connection.send(wakes, marker(CommandType::GroupBegin));
        for at in topics.matching(message_type, &query.pattern) {
            let topic = topics.at(at);
            let Some(sow) = &topic.sow else {
                continue;
            };
            let found = select(sow, query);
            counters.topic_matches += found.len() as u64;
            counters.matches += found.len() as u64;
            let sent = usize::try_from(left).unwrap_or(usize::MAX).min(found.len());
            left -= sent as u64;
            returned += sent as u64;
            let mut rest = &found[..sent];
            while !rest.is_empty() {
                let (batch, later) = rest.split_at(batch_length(rest, query.batch));
                self.connection
                    .send(wakes, |out| write_batch(out, query, &topic.name, batch));
                rest = later;
            }
        }
        self.connection.send(wakes, marker(CommandType::GroupEnd));
        counters.returned = Some(returned);
        counters
    }
}

/// The ids that every acknowledgement of a query carries.
pub(super) struct QueryAck<'q> {
    command_id: Cow<'q, [u8]>,
    query_id: &'q [u8],
    sub_id: &'q [u8],
}

impl QueryAck<'_> {
    fn plain(&self) -> Ack<'_> {
        Ack {
            command_id: &self.command_id,
            query_id: self.query_id,
            sub_id: self.sub_id,
            ..Ack::default()
        }
    }

    /// Writes the `processed` acknowledgement.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.plain().write(out);
    }
}

/// True if a topic of this name is configured to keep records.
pub(super) fn keeps_records(engine: &Engine, message_type: usize, name: &[u8]) -> bool {
    engine
        .topics
        .find(message_type, name)
        .is_some_and(|at| engine.topics.at(at).sow.is_some())
}

fn select<'s>(sow: &'s Sow, query: &Query<'_>) -> Vec<&'s Record> {
    match &query.keys {
        Some(keys) => keys.iter().filter_map(|key| sow.get(key)).collect(),
        None => sow.records().collect(),
    }
}

/// How many of the records go into the next frame: at least one.
fn batch_length(records: &[&Record], most: usize) -> usize {
    let mut bytes = 0;
    let fitting = records
        .iter()
        .take(most)
        .take_while(|record| {
            let fits = bytes < MAX_BATCH_BYTES;
            bytes += record.payload.len();
            fits
        })
        .count();
    fitting.max(1)
}

fn write_batch(out: &mut Vec<u8>, query: &Query<'_>, topic: &[u8], records: &[&Record]) {
    let mut frame = FrameWriter::begin(out, CommandType::Sow);
    frame.text(Field::QueryId, &query.query_id);
    frame.text(Field::Topic, topic);
    frame.number(Field::BatchSize, records.len() as u64);
    let mut batch = frame.records();
    for record in records {
        let updated = timestamp(record.updated);
        let fields = [
            (!query.wanted.no_sow_key).then_some((Field::SowKey, &*record.key)),
            (!record.correlation_id.is_empty())
                .then_some((Field::CorrelationId, &*record.correlation_id)),
            query
                .wanted
                .timestamp
                .then_some((Field::Timestamp, &updated[..])),
        ];
        batch.record(fields.into_iter().flatten(), &record.payload);
    }
    batch.finish();
}
