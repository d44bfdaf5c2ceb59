//! Subscriptions that begin at a bookmark (`broker-behaviour §7`, `commands §4.3`).

use super::Session;
use super::criteria::Criteria;
use crate::ack::{Ack, Kind};
use crate::engine::Engine;
use crate::options::{NotFound, Wanted};
use crate::reason::{Refusal, text};
use crate::request::Request;
use crate::topic::{Pattern, Subscription};
use crate::txlog::{Pace, Rate, Reader, Replay, Stop};
use amps_core::protocol::Field;
use amps_core::{AckType, CommandType};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Where a subscription is to read the log from.
#[derive(Debug)]
pub(super) struct Start {
    /// The position of the first entry.
    next: u64,
    /// Up to where it is a replay.
    arrived: u64,
    stop: Option<Stop>,
    /// The most messages to send.
    top_n: Option<u64>,
}

impl Start {
    /// Lets the reading begin after a position.
    pub(super) fn after(&mut self, position: u64) {
        self.next = position + 1;
    }
}

impl Session {
    /// Finds out where the subscription begins to read the log; `None` if it reads none.
    ///
    /// A subscription that takes the place of one that reads the log, and brings no bookmark,
    /// goes on where that one is, so that nothing that matches both is lost.
    pub(super) fn start_of(
        &self,
        engine: &Engine,
        type_at: usize,
        criteria: &Criteria,
        replaced: Option<&Arc<Subscription>>,
        request: &Request<'_>,
    ) -> Result<Option<Start>, Refusal> {
        let Some(range) = &criteria.range else {
            // A queue is no part of the log.
            if let Pattern::Literal(name) = &criteria.pattern
                && engine.topics.queue(type_at, name).is_some()
            {
                return Ok(None);
            }
            let connection = self.connection.id();
            let found = replaced.and_then(|old| engine.replays.find(connection, old));
            if found.is_none() && needs_log(&criteria.wanted) {
                let problem = "there is no bookmark";
                return Err(Refusal::new(text::INVALID_OPTIONS, problem));
            }
            return Ok(found.map(|(replay, reader)| Start {
                next: replay.position(),
                arrived: reader.arrived,
                stop: reader.stop,
                top_n: reader.left,
            }));
        };
        check_options(engine, criteria, request)?;
        let top_n = request.number(Field::TopN);
        if top_n.is_some() && (range.is_now() || criteria.wanted.live) {
            return Err(Refusal::new(
                text::INVALID_OPTIONS,
                "top_n limits a replay, and there is none",
            ));
        }
        if let Pattern::Literal(name) = &criteria.pattern
            && !engine.topics.is_logged(name)
        {
            // The documentation says both (`broker-behaviour §13`).
            return match engine.strict.bookmarks_need_a_log {
                true => Err(Refusal::new(text::INVALID_TOPIC, "the topic is not logged")),
                false => Ok(None),
            };
        }
        let log = &engine.log;
        let found = log.first_wanted(&range.start, range.end.is_some());
        let next = match (found, criteria.wanted.not_found) {
            (Some(next), _) => next,
            (None, NotFound::Now) => log.end() + 1,
            (None, NotFound::Epoch) => 1,
            (None, NotFound::Fail) => return Err(not_found("none of the bookmarks")),
        };
        let stop = match &range.end {
            None => None,
            Some(end) => Some(
                log.stop(end)
                    .ok_or_else(|| not_found("the end of the range"))?,
            ),
        };
        Ok(Some(Start {
            next,
            arrived: log.end(),
            stop,
            top_n,
        }))
    }

    /// Lets a subscription read the log.
    pub(super) fn replay(
        &self,
        engine: &mut Engine,
        type_at: usize,
        request: &Request<'_>,
        wishes: Wishes,
        subscription: &Arc<Subscription>,
        start: Start,
    ) {
        let reader = Reader {
            subscription: subscription.clone(),
            command_id: request.text(Field::CommandId).into(),
            arrived: start.arrived,
            stop: start.stop,
            left: start.top_n,
            live: wishes.live,
            fully_durable: wishes.fully_durable,
            completed: is_subscribe(request) && request.wants(AckType::COMPLETED),
            persisted: request.wants(AckType::PERSISTED),
            told: 0,
            done: false,
        };
        let now = Instant::now();
        let pace = wishes.rate.map(|rate| Pace::new(rate, wishes.max_gap, now));
        let replay = Replay::new(&self.connection, type_at, reader, start.next)
            .at_pace(pace)
            .paused(wishes.paused);
        engine.start_replay(replay);
    }

    /// Says at once that the replay is over: there is none.
    pub(super) fn nothing_to_replay(
        &self,
        engine: &mut Engine,
        request: &Request<'_>,
        sub_id: &[u8],
    ) {
        if is_subscribe(request) && request.wants(AckType::COMPLETED) {
            let name = engine.log.name(engine.log.end());
            let ack = Ack {
                command_id: &request.text(Field::CommandId),
                sub_id,
                bookmark: name.as_bytes(),
                kind: Kind::Completed,
                ..Ack::default()
            };
            engine.send(&self.connection, |out| ack.write(out));
        }
    }
}

/// How a client wants to read the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wishes {
    live: bool,
    fully_durable: bool,
    paused: bool,
    rate: Option<Rate>,
    max_gap: Option<Duration>,
}

impl Wishes {
    pub(super) fn of(wanted: &Wanted) -> Wishes {
        Wishes {
            live: wanted.live,
            fully_durable: wanted.fully_durable,
            paused: wanted.pause,
            rate: wanted.rate,
            max_gap: wanted.rate_max_gap,
        }
    }
}

/// True for what is said of reading the log, and of nothing else.
fn needs_log(wanted: &Wanted) -> bool {
    wanted.rate.is_some() || wanted.pause
}

/// True if `completed` is said of the replay; of a query it is said of the result.
fn is_subscribe(request: &Request<'_>) -> bool {
    matches!(
        request.command,
        CommandType::Subscribe | CommandType::DeltaSubscribe
    )
}

fn not_found(what: &'static str) -> Refusal {
    Refusal::new(text::INVALID_BOOKMARK, format!("{what} is not in the log"))
}

/// Refuses what does not go with a bookmark.
fn check_options(
    engine: &Engine,
    criteria: &Criteria,
    request: &Request<'_>,
) -> Result<(), Refusal> {
    let wanted = &criteria.wanted;
    let is_delta = matches!(
        request.command,
        CommandType::DeltaSubscribe | CommandType::SowAndDeltaSubscribe
    );
    let problem = if wanted.oof {
        "there are no out-of-focus messages in the log"
    } else if wanted.is_paginated() {
        "the log has no pages"
    } else if wanted.projection.is_some() {
        "no groups are made of the log"
    } else if wanted.conflation.is_some() {
        "what is read from the log is not conflated"
    } else if is_delta && engine.strict.no_bookmarks_with_deltas {
        "there are no deltas in the log"
    } else {
        return Ok(());
    };
    Err(Refusal::new(text::INVALID_OPTIONS, problem))
}
