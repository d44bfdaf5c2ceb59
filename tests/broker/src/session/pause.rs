//! Pausing and resuming bookmark subscriptions (`commands §4.3`).

use super::Session;
use crate::ack::Ack;
use crate::engine::Engine;
use crate::options::Wanted;
use crate::reason::{Refusal, text};
use crate::request::Request;
use crate::topic::Subscription;
use amps_core::AckType;
use amps_core::protocol::{Field, list_items};
use std::sync::Arc;

impl Session {
    /// Carries out a command that only pauses or resumes what is there; false if it is none.
    pub(super) fn is_pause_or_resume(
        &self,
        engine: &mut Engine,
        request: &Request<'_>,
    ) -> Result<bool, Refusal> {
        let wanted = Wanted::read(request)?;
        if wanted.resume {
            self.resume(engine, request)?;
            return Ok(true);
        }
        // With a replacement it belongs to what takes the place.
        match wanted.pause && !wanted.replace {
            true => self.pause(engine, request),
            false => Ok(false),
        }
    }

    /// Pauses the subscriptions that the command names, if these are there; false if it is a new
    /// one, which is to be entered paused.
    fn pause(&self, engine: &mut Engine, request: &Request<'_>) -> Result<bool, Refusal> {
        let ids = request.text(Field::SubId);
        let is_list = ids.contains(&b',');
        if !is_list && self.subscription(engine, &ids).is_none() {
            return Ok(false);
        }
        let subscriptions = self.named(engine, &ids)?;
        engine.pause(&subscriptions);
        self.confirm(engine, request, &ids);
        Ok(true)
    }

    /// Lets the subscriptions that the command names go on. Those that stand at the same point
    /// and go at the same pace read on together.
    fn resume(&self, engine: &mut Engine, request: &Request<'_>) -> Result<(), Refusal> {
        let ids = request.text(Field::SubId);
        let subscriptions = self.named(engine, &ids)?;
        // What comes is behind the acknowledgement.
        self.confirm(engine, request, &ids);
        engine.resume(&subscriptions);
        Ok(())
    }

    /// The bookmark subscriptions of these ids: all of them or none.
    fn named(&self, engine: &Engine, ids: &[u8]) -> Result<Vec<Arc<Subscription>>, Refusal> {
        let mut named = Vec::new();
        for id in list_items(ids) {
            let quoted = String::from_utf8_lossy(id);
            let subscription = self.subscription(engine, id).ok_or_else(|| {
                Refusal::new(text::INVALID_SUB_ID, format!("no subscription {quoted}"))
            })?;
            let connection = self.connection.id();
            let pausable = engine
                .replays
                .find(connection, subscription)
                .is_some_and(|(_, reader)| !reader.live);
            if !pausable {
                return Err(Refusal::new(
                    text::INVALID_OPTIONS,
                    format!("subscription {quoted} does not read the log, or is live"),
                ));
            }
            named.push(subscription.clone());
        }
        match named.is_empty() {
            true => Err(Refusal::new(text::INVALID_SUB_ID, "no subscription named")),
            false => Ok(named),
        }
    }

    fn subscription<'e>(&self, engine: &'e Engine, id: &[u8]) -> Option<&'e Arc<Subscription>> {
        let client = engine.clients.get(&self.connection.id())?;
        client.subscriptions.get(id)
    }

    fn confirm(&self, engine: &mut Engine, request: &Request<'_>, ids: &[u8]) {
        if request.wants(AckType::PROCESSED) {
            let ack = Ack {
                command_id: &request.text(Field::CommandId),
                sub_id: ids,
                ..Ack::default()
            };
            engine.send(&self.connection, |out| ack.write(out));
        }
    }
}
