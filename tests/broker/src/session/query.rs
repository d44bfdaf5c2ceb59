//! `sow`, and what the queries of subscriptions have in common with it.

use super::Session;
use super::criteria::{Criteria, check_keeps_records, read_keys, read_order};
use super::history::{self, Past};
use crate::ack::{Ack, Counters, Kind};
use crate::engine::Engine;
use crate::entitlement::Access;
use crate::filter::OrderBy;
use crate::reason::{Refusal, text};
use crate::request::Request;
use amps_core::AckType;
use amps_core::protocol::Field;
use std::borrow::Cow;

/// The most records per frame that may be asked for (`broker-behaviour §3`).
const MAX_BATCH: u64 = 10_000;

/// A query that was checked and can run.
pub(super) struct Query<'a> {
    pub(super) criteria: Criteria,
    pub(super) query_id: Cow<'a, [u8]>,
    pub(super) order: Option<OrderBy>,
    /// How many records go into a frame.
    pub(super) batch: usize,
    /// Only these records.
    pub(super) keys: Option<Vec<Vec<u8>>>,
    /// Not the records of now, where a topic has others.
    pub(super) past: Option<Past>,
}

impl<'a> Query<'a> {
    /// Reads a query and refuses what cannot be carried out.
    pub(super) fn read(
        engine: &Engine,
        type_at: usize,
        request: &Request<'a>,
    ) -> Result<Query<'a>, Refusal> {
        let criteria = Criteria::read(engine, type_at, request)?;
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
        let past = match &criteria.range {
            Some(range) if !range.is_now() => {
                let moment = history::point(engine, range, criteria.wanted.not_found)?;
                let subscribes = request.command.is_subscribe();
                Some(Past::read(
                    engine,
                    type_at,
                    &criteria.pattern,
                    moment,
                    subscribes,
                ))
            }
            _ => None,
        };
        Ok(Query {
            past,
            criteria,
            query_id,
            order: read_order(request)?,
            batch: usize::try_from(batch).unwrap_or(1).max(1),
            keys: read_keys(request)?,
        })
    }
}

impl Query<'_> {
    /// True if it may leave out records that match, which a subscription does not. (A page is one
    /// to both.)
    pub(super) fn is_limited(&self) -> bool {
        let wanted = &self.criteria.wanted;
        self.keys.is_some() || wanted.top_n.is_some() && !wanted.is_paginated()
    }
}

impl Session {
    pub(super) fn sow(
        &self,
        engine: &mut Engine,
        type_at: usize,
        request: &Request<'_>,
    ) -> Result<(), Refusal> {
        let query = Query::read(engine, type_at, request)?;
        check_keeps_records(engine, type_at, &query.criteria.pattern)?;
        self.check_entitled(engine, &query.criteria.pattern, Access::Read)?;
        let acks = self.query_acks(request, &query, b"", "");
        if request.wants(AckType::PROCESSED) {
            engine.send(&self.connection, |out| acks.write(out));
        }
        let counters = self.run(engine, type_at, &query, |_, _| false);
        self.query_done(engine, request, acks, counters);
        Ok(())
    }

    /// What the acknowledgements of a query have in common. `ids` are borrowed from the request.
    pub(super) fn query_acks<'q>(
        &self,
        request: &Request<'q>,
        query: &'q Query<'_>,
        sub_id: &'q [u8],
        options: &'q str,
    ) -> QueryAck<'q> {
        QueryAck {
            command_id: request.text(Field::CommandId),
            query_id: &query.query_id,
            sub_id,
            options: options.as_bytes(),
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
}

/// The ids that every acknowledgement of a query carries.
pub(super) struct QueryAck<'q> {
    command_id: Cow<'q, [u8]>,
    query_id: &'q [u8],
    sub_id: &'q [u8],
    /// What was granted; for the first acknowledgement only.
    options: &'q [u8],
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
        let ack = Ack {
            options: self.options,
            ..self.plain()
        };
        ack.write(out);
    }
}
