//! The four commands that subscribe, and `unsubscribe`.

use super::Session;
use super::bookmark::Wishes;
use super::criteria::{Criteria, read_order};
use super::query::Query;
use crate::ack::{Ack, Counters, Kind};
use crate::engine::Engine;
use crate::entitlement::Access;
use crate::filter::{Extractor, OrderBy};
use crate::options::Wanted;
use crate::reason::{Refusal, text};
use crate::request::Request;
use crate::topic::{Conflation, Had, Known, Page, Pattern, Subscription};
use amps_core::protocol::{Field, list_items};
use amps_core::{AckType, CommandType};
use std::borrow::Cow;
use std::sync::Arc;

/// A subscription that was checked and can be made.
struct Entry<'a> {
    id: &'a [u8],
    criteria: Criteria,
    /// The order of its pages.
    order: Option<OrderBy>,
    /// What it takes the place of.
    replaced: Option<Arc<Subscription>>,
    had: Had,
    /// It is delivered to from the log.
    reads_log: bool,
}

impl Session {
    pub(super) fn subscribe(
        &self,
        engine: &mut Engine,
        type_at: usize,
        request: &Request<'_>,
    ) -> Result<(), Refusal> {
        if self.is_pause_or_resume(engine, request)? {
            return Ok(());
        }
        let criteria = Criteria::read(engine, type_at, request)?;
        if read_order(request)?.is_some() {
            return Err(Refusal::new(
                text::INVALID_ORDER_BY,
                "only a query has an order",
            ));
        }
        if request.has(Field::SkipN) || request.has(Field::TopN) && criteria.range.is_none() {
            return Err(Refusal::new(
                text::INVALID_OPTIONS,
                "this limits a query or a replay, and the command is neither",
            ));
        }
        let id = sub_id(request)?;
        let replaced = self.check_id(engine, &id, &criteria, request)?;
        let granted = backlog_option(engine, type_at, &criteria);
        let start = self.start_of(engine, type_at, &criteria, replaced.as_ref(), request)?;
        let has_bookmark = criteria.range.is_some();
        let wishes = Wishes::of(&criteria.wanted);
        let entry = Entry {
            id: &id,
            criteria,
            order: None,
            replaced,
            had: Had::Nothing,
            reads_log: start.is_some(),
        };
        let added = self.enter(engine, type_at, request, entry);
        let acks = Ack {
            command_id: &request.text(Field::CommandId),
            sub_id: &id,
            options: granted.as_bytes(),
            ..Ack::default()
        };
        if request.wants(AckType::PROCESSED) {
            engine.send(&self.connection, |out| acks.write(out));
        }
        if request.wants(AckType::STATS) && request.command == CommandType::DeltaSubscribe {
            // It is listed as having statistics, and has not looked at any record.
            let ack = Ack {
                kind: Kind::Stats,
                counters: Some(Counters {
                    returned: Some(0),
                    ..Counters::default()
                }),
                ..acks
            };
            engine.send(&self.connection, |out| ack.write(out));
        }
        match start {
            Some(start) => self.replay(engine, type_at, request, wishes, &added, start),
            None if has_bookmark => self.nothing_to_replay(engine, request, &id),
            None => {}
        }
        Ok(())
    }

    /// The query and the subscription take effect in one turn of the engine: nothing is
    /// published between them.
    pub(super) fn sow_and_subscribe(
        &self,
        engine: &mut Engine,
        type_at: usize,
        request: &Request<'_>,
    ) -> Result<(), Refusal> {
        if self.is_pause_or_resume(engine, request)? {
            return Ok(());
        }
        let query = Query::read(engine, type_at, request)?;
        let id = sub_id(request)?;
        let replaced = self.check_id(engine, &id, &query.criteria, request)?;
        let mut start =
            self.start_of(engine, type_at, &query.criteria, replaced.as_ref(), request)?;
        if let (Some(start), Some(past)) = (&mut start, &query.past) {
            check_history(engine, type_at, &query.criteria.pattern)?;
            // What came after the state that is shown.
            start.after(past.position);
        }
        let wishes = Wishes::of(&query.criteria.wanted);
        let known = replaced
            .as_ref()
            .map(|old| self.known_through(engine, old))
            .unwrap_or_default();
        let granted = backlog_option(engine, type_at, &query.criteria);
        let acks = self.query_acks(request, &query, &id, &granted);
        if request.wants(AckType::PROCESSED) {
            engine.send(&self.connection, |out| acks.write(out));
        }
        if let Some(old) = &replaced {
            // Older than the result, so it comes before it: an `oof` after it would take back what
            // the result has just shown. After the acknowledgement, from which on it is the new
            // subscription that listens.
            self.let_go(engine, old);
        }
        let limited = query.is_limited();
        let mut sent = Known::default();
        let counters = self.run(engine, type_at, &query, |topic, record| {
            if limited {
                sent.insert(topic.at, &record.key);
            }
            // What the client has is what is now, not what was.
            query.past.is_none() && known.has(topic.at, &record.key)
        });
        self.query_done(engine, request, acks, counters);
        let had = if limited {
            known.iter().for_each(|(at, key)| sent.insert(at, key));
            Had::Only(sent)
        } else {
            Had::Everything
        };
        let Query {
            criteria, order, ..
        } = query;
        let entry = Entry {
            id: &id,
            criteria,
            order,
            replaced,
            had,
            reads_log: start.is_some(),
        };
        let added = self.enter(engine, type_at, request, entry);
        if added.oof {
            self.take_back(engine, &added, &known);
        }
        if let Some(start) = start {
            self.replay(engine, type_at, request, wishes, &added, start);
        }
        Ok(())
    }

    /// Refuses a used id, unless the command says that it replaces; returns what is replaced. Also
    /// refuses what the client may not read, except that replacing is silent about it.
    fn check_id(
        &self,
        engine: &Engine,
        id: &[u8],
        criteria: &Criteria,
        request: &Request<'_>,
    ) -> Result<Option<Arc<Subscription>>, Refusal> {
        let client = engine.clients.get(&self.connection.id());
        let used = client.and_then(|client| client.subscriptions.get(id));
        let Some(used) = used else {
            self.check_entitled(engine, &criteria.pattern, Access::Read)?;
            return Ok(None);
        };
        if !criteria.wanted.replace {
            return Err(Refusal::new(
                text::SUBID_IN_USE,
                format!("subscription {}", String::from_utf8_lossy(id)),
            ));
        }
        if used.projection.is_some() || criteria.wanted.projection.is_some() {
            return Err(Refusal::new(
                text::INVALID_OPTIONS,
                "an aggregated subscription is not replaced, nor does it replace",
            ));
        }
        let keeps_paging =
            criteria.wanted.is_paginated() && *used.topic == *request.text(Field::Topic);
        if used.page.is_some() && !keeps_paging {
            return Err(Refusal::new(
                text::INVALID_OPTIONS,
                "a page is replaced by another page of the same topic",
            ));
        }
        Ok(Some(used.clone()))
    }

    /// Makes the subscription, in the place of the one that it replaces.
    fn enter(
        &self,
        engine: &mut Engine,
        type_at: usize,
        request: &Request<'_>,
        entry: Entry<'_>,
    ) -> Arc<Subscription> {
        let connection = self.connection.id();
        let Entry {
            id,
            criteria,
            order,
            replaced,
            had,
            reads_log,
        } = entry;
        let granted = granted_backlog(engine, type_at, &criteria);
        let Criteria {
            wanted,
            pattern,
            filter,
            range: _,
        } = criteria;
        let backlog = granted.unwrap_or(1);
        let page = page(&wanted, order);
        let added = Arc::new(Subscription {
            id: id.into(),
            owner: engine.identity(connection),
            topic: request.text(Field::Topic).into(),
            pattern,
            filter,
            select: wanted.select,
            delta: matches!(
                request.command,
                CommandType::DeltaSubscribe | CommandType::SowAndDeltaSubscribe
            ),
            no_empties: wanted.no_empties,
            oof: wanted.oof,
            timestamp: wanted.timestamp,
            bookmark: wanted.bookmark || reads_log,
            sow_key: !wanted.no_sow_key,
            conflation: wanted.conflation.map(|interval| Conflation {
                interval,
                key: wanted
                    .conflation_key
                    .map(|paths| (Extractor::new(&paths), paths.len())),
            }),
            page,
            projection: wanted.projection,
            backlog,
            had,
            since: engine.topics.tick(),
        });
        if let Some(old) = &replaced {
            self.let_go(engine, old);
        }
        // Without a client the connection was taken away; its reader is about to notice.
        if let Some(client) = engine.clients.get_mut(&connection) {
            client.subscriptions.insert(id.into(), added.clone());
            if !reads_log {
                engine.topics.subscribe(&self.connection, type_at, &added);
            }
        }
        // Afterwards, so that a queue finds both and lets the new one keep the leases.
        if let Some(old) = replaced {
            engine.unsubscribe(connection, &old);
        }
        added
    }

    /// Sends what a subscription holds back that is about to be replaced.
    fn let_go(&self, engine: &mut Engine, old: &Subscription) {
        let connection = self.connection.id();
        engine
            .topics
            .release_all(connection, old, &mut engine.wakes);
    }

    pub(super) fn unsubscribe(
        &self,
        engine: &mut Engine,
        request: &Request<'_>,
    ) -> Result<(), Refusal> {
        let ids = request.text(Field::SubId);
        // A query is done before the next command is looked at: there is none to end.
        if ids.is_empty() && request.text(Field::QueryId).is_empty() {
            return Err(Refusal::new(text::INVALID_SUB_ID, "nothing to unsubscribe"));
        }
        for id in list_items(&ids) {
            if id == b"all" {
                if let Some(client) = engine.clients.get_mut(&self.connection.id()) {
                    client.subscriptions.clear();
                }
                engine.forget_subscriptions(self.connection.id());
            } else if let Some(client) = engine.clients.get_mut(&self.connection.id())
                && let Some(ended) = client.subscriptions.remove(id)
            {
                engine.unsubscribe(self.connection.id(), &ended);
            }
        }
        self.processed(engine, request);
        Ok(())
    }
}

/// How many messages of queues a subscription gets at a time, if there are queues among its topics.
fn granted_backlog(engine: &Engine, type_at: usize, criteria: &Criteria) -> Option<usize> {
    if criteria.range.is_some() {
        return None;
    }
    let asked = criteria.wanted.max_backlog.unwrap_or(1);
    let topics = &engine.topics;
    topics.granted_backlog(type_at, &criteria.pattern, asked)
}

/// That number as its client is told; empty if there is none (`protocol §4.1`).
fn backlog_option(engine: &Engine, type_at: usize, criteria: &Criteria) -> String {
    granted_backlog(engine, type_at, criteria)
        .map(|granted| format!("max_backlog={granted}"))
        .unwrap_or_default()
}

/// Refuses a topic of which nothing is known but the present.
fn check_history(engine: &Engine, type_at: usize, pattern: &Pattern) -> Result<(), Refusal> {
    let Pattern::Literal(name) = pattern else {
        return Ok(());
    };
    let at = engine.topics.find(type_at, name);
    match at.and_then(|at| engine.topics.at(at).history) {
        Some(_) => Ok(()),
        None => Err(Refusal::new(
            text::INVALID_BOOKMARK,
            "the topic has no history",
        )),
    }
}

/// The page that a paginated subscription keeps.
fn page(wanted: &Wanted, order: Option<OrderBy>) -> Option<Page> {
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Some(Page {
        skip: count(wanted.skip_n?),
        top: count(wanted.top_n?),
        order,
    })
}

/// The id of a new subscription: `sub_id`, else `cid` (`protocol §7`).
fn sub_id<'a>(request: &Request<'a>) -> Result<Cow<'a, [u8]>, Refusal> {
    let id = match request.text(Field::SubId) {
        id if id.is_empty() => request.text(Field::CommandId),
        id => id,
    };
    // Such an id could not be told apart in a list of ids, which may have spaces between them.
    let outer_space = id.trim_ascii().len() < id.len();
    if id.is_empty() || outer_space || id.contains(&b',') || *id == *b"all" {
        return Err(Refusal::new(
            text::INVALID_SUB_ID,
            format!("subscription {:?}", String::from_utf8_lossy(&id)),
        ));
    }
    Ok(id)
}
