//! `publish` and `delta_publish`.

use super::Session;
use super::sequence::Known;
use crate::ack::Kind;
use crate::engine::Engine;
use crate::entitlement::Access;
use crate::reason::{Refusal, text};
use crate::request::Request;
use crate::topic::{Incoming, Seen, is_reserved};
use amps_core::protocol::Field;
use amps_core::{AckType, CommandType};

/// What is published here is thrown away.
const DEVNULL: &[u8] = b"/AMPS/devnull";

impl Session {
    pub(super) fn publish(
        &self,
        engine: &mut Engine,
        type_at: usize,
        request: &Request<'_>,
    ) -> Result<(), Refusal> {
        let known = self.recognize(engine, request);
        if !matches!(known, Known::Duplicate(_)) {
            self.carry_out(engine, type_at, request, &known)?;
            self.note_written(engine, &known);
        }
        let sequence = Session::sequence_to_acknowledge(request, &known);
        for (wanted, kind) in [
            (AckType::PROCESSED, Kind::Processed),
            (AckType::COMPLETED, Kind::Completed),
            (AckType::PERSISTED, Kind::Persisted),
        ] {
            if request.wants(wanted) {
                self.written(engine, request, kind, sequence);
            }
        }
        Ok(())
    }

    fn carry_out(
        &self,
        engine: &mut Engine,
        type_at: usize,
        request: &Request<'_>,
        known: &Known,
    ) -> Result<(), Refusal> {
        let name = request.text(Field::Topic);
        if name.is_empty() {
            return Err(Refusal::new(text::NO_TOPIC, "the message has no topic"));
        }
        if is_reserved(&name) {
            return match *name == *DEVNULL {
                true => Ok(()),
                false => Err(Refusal::new(
                    text::INVALID_TOPIC,
                    "the topic belongs to the server",
                )),
            };
        }
        self.check_publish(engine, type_at, &name, request.payload)?;
        let at = engine.topics.find_or_create(type_at, &name);
        let at = engine.topics.target(at);
        let message = Incoming {
            delta: request.command == CommandType::DeltaPublish,
            payload: request.payload,
            sow_key: request.text(Field::SowKey),
            correlation_id: request.text(Field::CorrelationId),
            expiration: request.number(Field::Expiration),
            bookmark: known.bookmark(),
            from: 0,
        };
        let (topics, mut outlet) = engine.delivering();
        let version = topics.tick();
        topics.at_mut(at).publish(&message, version, &mut outlet)?;
        engine.follow_log();
        Ok(())
    }

    /// Refuses what its publisher may not publish: the message counts as it was sent.
    #[inline]
    fn check_publish(
        &self,
        engine: &mut Engine,
        type_at: usize,
        topic: &[u8],
        payload: &[u8],
    ) -> Result<(), Refusal> {
        if !engine.topics.entitlements().are_open() {
            let who = engine.identity(self.connection.id());
            let entitlements = engine.topics.entitlements();
            let grant = entitlements.grant(&who, topic, Access::Write);
            let message_type = engine.topics.message_type(type_at);
            if !grant.covers(&Seen::message(message_type, topic, payload)) {
                return Err(Refusal::new(text::NOT_ENTITLED, "to publish this here"));
            }
        }
        engine.check_fault(topic)
    }
}
