//! What subscribers of queues say: `sow_delete` with bookmarks, or with a filter
//! (`broker-behaviour §9`).

use super::Session;
use super::criteria::read_filter;
use super::sequence::Known;
use crate::ack::Counters;
use crate::engine::Engine;
use crate::entitlement::{Access, Grant};
use crate::options;
use crate::queue::{Answer, By};
use crate::reason::{Refusal, text};
use crate::request::Request;
use crate::topic::Book;
use crate::txlog::Bookmark;
use amps_core::protocol::Field;
use std::time::Instant;

impl Session {
    /// The queue that a delete is about. Its name is taken as it stands: it is the topic of the
    /// messages that are answered.
    pub(super) fn queue_of(
        &self,
        engine: &Engine,
        type_at: usize,
        request: &Request<'_>,
    ) -> Option<usize> {
        let name = request.text(Field::Topic);
        engine.topics.queue(type_at, &name).map(|(at, _)| at)
    }

    /// Takes the answers to messages of a queue.
    pub(super) fn answer_messages(
        &self,
        engine: &mut Engine,
        type_at: usize,
        at: usize,
        request: &Request<'_>,
        known: &Known,
    ) -> Result<(), Refusal> {
        let answer = read_answer(request)?;
        let who = engine.identity(self.connection.id());
        let name = request.text(Field::Topic);
        // Who may read a queue may say what becomes of its messages.
        let grant = engine
            .topics
            .entitlements()
            .grant(&who, &name, Access::Read);
        if matches!(grant, Grant::Nothing) {
            return Err(Refusal::new(text::NOT_ENTITLED, "to read this queue"));
        }
        let bookmarks = read_bookmarks(engine, type_at, at, request)?;
        engine.check_fault(&name)?;
        let by = By {
            connection: self.connection.id(),
            grant: &grant,
            now: Instant::now(),
        };
        let mut counters = Counters::default();
        let mut effective = 0;
        let topics = &mut engine.topics;
        let mut book = Book {
            at,
            type_at,
            name: &name,
            log: &mut engine.log,
        };
        if !matches!(known, Known::Duplicate(_))
            && let Some(queue) = topics.queue_mut(at)
        {
            counters.topic_matches = bookmarks.len() as u64;
            for bookmark in bookmarks {
                counters.matches += u64::from(queue.has(bookmark));
                effective += u64::from(queue.answer(bookmark, answer, by, &mut book)?);
            }
        }
        // What was given back is still there.
        counters.deleted = Some(if answer == Answer::Cancel {
            0
        } else {
            effective
        });
        self.note_written(engine, known);
        let by_filter = !request.has(Field::Bookmark);
        let sequence = Session::sequence_to_acknowledge(request, known);
        self.deleted(engine, request, counters, by_filter, sequence);
        Ok(())
    }
}

fn read_answer(request: &Request<'_>) -> Result<Answer, Refusal> {
    let mut answer = Answer::Done;
    for item in options::items(&request.text(Field::Options)) {
        answer = match (item.name.as_str(), item.value) {
            ("cancel", None) if answer != Answer::Expire => Answer::Cancel,
            ("expire", None) if answer != Answer::Cancel => Answer::Expire,
            (name, _) => {
                return Err(Refusal::new(
                    text::INVALID_OPTIONS,
                    format!("{name} says nothing that can be done to a message of a queue"),
                ));
            }
        };
    }
    Ok(answer)
}

/// The messages that are answered: each of a list, or those that match.
fn read_bookmarks(
    engine: &Engine,
    type_at: usize,
    at: usize,
    request: &Request<'_>,
) -> Result<Vec<Bookmark>, Refusal> {
    let mixed = || {
        Refusal::new(
            text::INVALID_OPTIONS,
            "messages of a queue are named by bookmarks or by a filter",
        )
    };
    if request.has(Field::SowKeys) || !request.payload.is_empty() {
        return Err(mixed());
    }
    let filter = read_filter(engine, type_at, request)?;
    if !request.has(Field::Bookmark) {
        let queue = engine.topics.at(at).queue.as_deref();
        let found = queue
            .zip(filter)
            .map(|(queue, filter)| queue.matching(&filter));
        return found.ok_or_else(mixed);
    }
    if filter.is_some() {
        return Err(mixed());
    }
    let list = request.text(Field::Bookmark);
    Bookmark::list(&list).map_err(|problem| Refusal::new(text::INVALID_BOOKMARK, problem))
}
