//! What a subscription or a query asks for, before anything is done about it.

use super::Session;
use crate::engine::Engine;
use crate::entitlement::{Access, Grant};
use crate::filter::{Filter, OrderBy, Projection};
use crate::options::Wanted;
use crate::reason::{Refusal, text};
use crate::request::Request;
use crate::sow::{Sow, is_key_text};
use crate::topic::{Pattern, is_reserved};
use crate::txlog::Range;
use amps_core::CommandType;
use amps_core::protocol::Field;
use std::collections::HashSet;

/// Which messages of which topics, and in what form.
pub(super) struct Criteria {
    pub(super) wanted: Wanted,
    pub(super) pattern: Pattern,
    pub(super) filter: Option<Filter>,
    /// Which part of the log, if that is asked for.
    pub(super) range: Option<Range>,
}

impl Criteria {
    /// Reads them and refuses what cannot be.
    pub(super) fn read(
        engine: &Engine,
        type_at: usize,
        request: &Request<'_>,
    ) -> Result<Criteria, Refusal> {
        let wanted = Wanted::read(request)?;
        let pattern = read_topic(request, wanted.literal_topic)?;
        let filter = read_filter(engine, type_at, request)?;
        if let Some(filter) = &filter
            && !filter.expression().is_deterministic()
            && (wanted.oof || wanted.is_paginated() || wanted.projection.is_some())
        {
            return Err(Refusal::new(
                text::BAD_FILTER,
                "with oof, pages or groups a filter must depend on the message alone",
            ));
        }
        let range = read_range(request)?;
        let pattern = match &range {
            // With a bookmark, a queue is no more than its topics in the log.
            Some(_) if request.command.is_subscribe() => engine.topics.behind(type_at, pattern),
            _ => pattern,
        };
        if let Some(projection) = &wanted.projection {
            check_projection(engine, type_at, &pattern, projection, request.command)?;
        }
        match &pattern {
            Pattern::Regex(_) | Pattern::Names(_) if wanted.skip_n.is_some() => Err(Refusal::new(
                text::INVALID_OPTIONS,
                "there are no pages of several topics",
            )),
            Pattern::Literal(name) => {
                let at = engine.topics.find(type_at, name);
                let topic = at.map(|at| engine.topics.at(at));
                if range.is_none() && topic.is_some_and(|topic| topic.queue.is_some()) {
                    check_queue(&wanted, filter.as_ref(), request.command)
                } else {
                    check_conflation(&wanted, topic.and_then(|topic| topic.sow.as_ref()))
                }
            }
            Pattern::Regex(_) | Pattern::Names(_) => Ok(()),
        }?;
        Ok(Criteria {
            wanted,
            pattern,
            filter,
            range,
        })
    }
}

/// Groups are made of the records of one topic, or by a query of the messages in a queue
/// (`broker-behaviour §12`).
fn check_projection(
    engine: &Engine,
    type_at: usize,
    pattern: &Pattern,
    projection: &Projection,
    command: CommandType,
) -> Result<(), Refusal> {
    let Pattern::Literal(name) = pattern else {
        return Err(Refusal::new(
            text::INVALID_OPTIONS,
            "groups are made of one topic",
        ));
    };
    if !projection.suits(engine.topics.message_type(type_at)) {
        return Err(Refusal::new(
            text::INVALID_OPTIONS,
            "messages of this type cannot be made of these fields",
        ));
    }
    let at = engine.topics.find(type_at, name);
    match at.map(|at| engine.topics.at(at)) {
        Some(topic) if topic.sow.is_some() => Ok(()),
        Some(topic) if topic.queue.is_some() && !command.is_subscribe() => Ok(()),
        _ => Err(Refusal::new(
            text::INVALID_TOPIC,
            "the topic keeps no records to make groups of",
        )),
    }
}

/// A queue delivers messages, not the state of records (`broker-behaviour §9`).
fn check_queue(
    wanted: &Wanted,
    filter: Option<&Filter>,
    command: CommandType,
) -> Result<(), Refusal> {
    if wanted.conflation.is_some() || command.is_subscribe() && wanted.is_paginated() {
        return Err(Refusal::new(
            text::INVALID_OPTIONS,
            "a queue has neither conflation nor pages",
        ));
    }
    match filter {
        Some(filter) if !filter.expression().is_deterministic() => Err(Refusal::new(
            text::BAD_FILTER,
            "for a queue a filter must depend on the message alone",
        )),
        _ => Ok(()),
    }
}

/// Conflation needs to know what makes two messages the same (`broker-behaviour §6`).
fn check_conflation(wanted: &Wanted, sow: Option<&Sow>) -> Result<(), Refusal> {
    let problem = match (&wanted.conflation_key, sow) {
        (None, None) if wanted.conflation.is_some() => {
            "the topic keeps no records: conflation needs a conflation_key"
        }
        (Some(paths), Some(sow)) if wanted.oof && **paths != *sow.rule.paths() => {
            "with oof the conflation_key must be the key of the topic"
        }
        _ => return Ok(()),
    };
    Err(Refusal::new(text::INVALID_OPTIONS, problem))
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

/// The content filter; an empty one is none.
pub(super) fn read_filter(
    engine: &Engine,
    type_at: usize,
    request: &Request<'_>,
) -> Result<Option<Filter>, Refusal> {
    let filter = request.text(Field::Filter);
    if filter.trim_ascii().is_empty() {
        return Ok(None);
    }
    let bad = |problem: &dyn std::fmt::Display| {
        let filter = String::from_utf8_lossy(&filter);
        Refusal::new(text::BAD_FILTER, format!("{filter:?}: {problem}"))
    };
    let readable = std::str::from_utf8(&filter).map_err(|error| bad(&error))?;
    let parsed = Filter::parse(readable).map_err(|error| bad(&error))?;
    let message_type = engine.topics.message_type(type_at);
    if !message_type.has_fields() && !parsed.expression().paths().is_empty() {
        return Err(bad(&"messages of this type have no fields"));
    }
    Ok(Some(parsed))
}

/// The bookmark, if there is one; an empty one is none.
fn read_range(request: &Request<'_>) -> Result<Option<Range>, Refusal> {
    let bookmark = request.text(Field::Bookmark);
    if bookmark.trim_ascii().is_empty() {
        return Ok(None);
    }
    Range::parse(&bookmark)
        .map(Some)
        .map_err(|problem| Refusal::new(text::INVALID_BOOKMARK, problem))
}

/// The order of a result, if one is asked for.
pub(super) fn read_order(request: &Request<'_>) -> Result<Option<OrderBy>, Refusal> {
    let order = request.lossy(Field::OrderBy);
    if order.is_empty() {
        return Ok(None);
    }
    OrderBy::parse(&order)
        .map(Some)
        .map_err(|error| Refusal::new(text::INVALID_ORDER_BY, format!("{order:?}: {error}")))
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

/// Refuses a topic that keeps neither records nor messages; a pattern may match nothing.
pub(super) fn check_keeps_records(
    engine: &Engine,
    type_at: usize,
    pattern: &Pattern,
) -> Result<(), Refusal> {
    let Pattern::Literal(name) = pattern else {
        return Ok(());
    };
    let at = engine.topics.find(type_at, name);
    match at.map(|at| engine.topics.at(at)) {
        Some(topic) if topic.sow.is_some() || topic.queue.is_some() => Ok(()),
        _ => Err(Refusal::new(
            text::INVALID_TOPIC,
            "the topic keeps no records",
        )),
    }
}

impl Session {
    /// Refuses a topic that the client may not use; a pattern passes over such topics.
    pub(super) fn check_entitled(
        &self,
        engine: &Engine,
        pattern: &Pattern,
        access: Access,
    ) -> Result<(), Refusal> {
        let Pattern::Literal(name) = pattern else {
            return Ok(());
        };
        let who = engine.identity(self.connection.id());
        match engine.topics.entitlements().grant(&who, name, access) {
            Grant::Nothing => Err(Refusal::new(
                text::NOT_ENTITLED,
                format!("{access:?} {}", String::from_utf8_lossy(name)),
            )),
            _ => Ok(()),
        }
    }
}
