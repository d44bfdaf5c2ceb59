//! `subscribe`, `sow_and_subscribe`, `unsubscribe`.

use super::Session;
use super::query::{Query, read_topic, refuse_unsupported};
use crate::ack::Ack;
use crate::engine::Engine;
use crate::filter_gate;
use crate::options::Wanted;
use crate::reason::{Refusal, text};
use crate::request::Request;
use crate::topic::{Pattern, Subscription};
use amps_core::AckType;
use amps_core::protocol::{Field, list_items};
use std::borrow::Cow;
use std::sync::Arc;

impl Session {
    pub(super) fn subscribe(
        &self,
        engine: &mut Engine,
        message_type: usize,
        request: &Request<'_>,
    ) -> Result<(), Refusal> {
        let wanted = Wanted::read(request)?;
        let pattern = read_topic(request, wanted.literal_topic)?;
        filter_gate::check(request)?;
        refuse_unsupported(request)?;
        if request.has(Field::TopN) {
            return Err(Refusal::new(
                text::INVALID_OPTIONS,
                "top_n limits a query or a replay, and this is neither",
            ));
        }
        let id = sub_id(request)?;
        self.check_free(engine, &id, wanted.replace)?;
        self.enter(engine, message_type, request, &id, pattern, &wanted);
        if request.wants(AckType::PROCESSED) {
            let ack = Ack {
                command_id: &request.text(Field::CommandId),
                sub_id: &id,
                ..Ack::default()
            };
            engine.send(&self.connection, |out| ack.write(out));
        }
        Ok(())
    }

    /// The query and the subscription take effect in one turn of the engine: nothing is
    /// published between them.
    pub(super) fn sow_and_subscribe(
        &self,
        engine: &mut Engine,
        message_type: usize,
        request: &Request<'_>,
    ) -> Result<(), Refusal> {
        let query = Query::read(request)?;
        let id = sub_id(request)?;
        self.check_free(engine, &id, query.wanted.replace)?;
        if query.wanted.replace && self.is_used(engine, &id) {
            return Err(Refusal::new(
                text::INVALID_OPTIONS,
                "to replace a subscription by one with a query is not supported yet",
            ));
        }
        let acks = self.query_acks(request, &query, &id);
        if request.wants(AckType::PROCESSED) {
            engine.send(&self.connection, |out| acks.write(out));
        }
        let counters = self.run(engine, message_type, &query);
        self.query_done(engine, request, acks, counters);
        let Query {
            pattern, wanted, ..
        } = query;
        self.enter(engine, message_type, request, &id, pattern, &wanted);
        Ok(())
    }

    /// A used id is refused, unless the command says that it replaces.
    fn check_free(&self, engine: &Engine, id: &[u8], replace: bool) -> Result<(), Refusal> {
        if !replace && self.is_used(engine, id) {
            return Err(Refusal::new(
                text::SUBID_IN_USE,
                format!("subscription {}", String::from_utf8_lossy(id)),
            ));
        }
        Ok(())
    }

    fn is_used(&self, engine: &Engine, id: &[u8]) -> bool {
        engine
            .clients
            .get(&self.connection.id())
            .is_some_and(|client| client.subscriptions.contains_key(id))
    }

    /// Makes the subscription, in the place of the one of the same id if there is one.
    fn enter(
        &self,
        engine: &mut Engine,
        message_type: usize,
        request: &Request<'_>,
        id: &[u8],
        pattern: Pattern,
        wanted: &Wanted,
    ) {
        let added = Arc::new(Subscription {
            id: id.into(),
            topic: request.text(Field::Topic).into(),
            pattern,
            timestamp: wanted.timestamp,
            sow_key: !wanted.no_sow_key,
        });
        let Some(client) = engine.clients.get_mut(&self.connection.id()) else {
            // The connection was taken away; its reader is about to notice.
            return;
        };
        if let Some(old) = client.subscriptions.insert(id.into(), added.clone()) {
            engine.topics.unsubscribe(self.connection.id(), &old);
        }
        engine
            .topics
            .subscribe(&self.connection, message_type, &added);
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
                engine.topics.forget(self.connection.id());
            } else if let Some(client) = engine.clients.get_mut(&self.connection.id())
                && let Some(ended) = client.subscriptions.remove(id)
            {
                engine.topics.unsubscribe(self.connection.id(), &ended);
            }
        }
        self.processed(engine, request);
        Ok(())
    }
}

/// The id of a new subscription: `sub_id`, else `cid` (`protocol §7`).
fn sub_id<'a>(request: &Request<'a>) -> Result<Cow<'a, [u8]>, Refusal> {
    let id = match request.text(Field::SubId) {
        id if id.is_empty() => request.text(Field::CommandId),
        id => id,
    };
    // Such an id could not be told apart in a list of ids.
    if id.is_empty() || id.contains(&b',') || *id == *b"all" {
        return Err(Refusal::new(
            text::INVALID_SUB_ID,
            format!("subscription {:?}", String::from_utf8_lossy(&id)),
        ));
    }
    Ok(id)
}
