//! `publish`.

use super::Session;
use crate::ack::{Ack, Kind};
use crate::engine::Engine;
use crate::reason::{Refusal, text};
use crate::request::Request;
use crate::time::now_micros;
use crate::topic::{Delivery, is_reserved};
use amps_core::AckType;
use amps_core::protocol::Field;
use std::borrow::Cow;

/// What is published here is thrown away.
const DEVNULL: &[u8] = b"/AMPS/devnull";

impl Session {
    pub(super) fn publish(
        &self,
        engine: &mut Engine,
        message_type: usize,
        request: &Request<'_>,
    ) -> Result<(), Refusal> {
        let name = request.text(Field::Topic);
        if name.is_empty() {
            return Err(Refusal::new(text::NO_TOPIC, "the message has no topic"));
        }
        if is_reserved(&name) {
            if *name != *DEVNULL {
                return Err(Refusal::new(
                    text::INVALID_TOPIC,
                    "the topic belongs to the server",
                ));
            }
        } else {
            deliver(engine, message_type, &name, request)?;
        }
        if !request.acks.is_empty() {
            self.published(engine, request);
        }
        Ok(())
    }

    /// Without a transaction log each publish that asks gets acknowledgements of its own
    /// (`broker-behaviour §8`).
    fn published(&self, engine: &mut Engine, request: &Request<'_>) {
        for (wanted, kind) in [
            (AckType::PROCESSED, Kind::Processed),
            (AckType::COMPLETED, Kind::Completed),
            (AckType::PERSISTED, Kind::Persisted),
        ] {
            if !request.wants(wanted) {
                continue;
            }
            let ack = Ack {
                command_id: &request.text(Field::CommandId),
                sequence: request.number(Field::Sequence),
                kind,
                ..Ack::default()
            };
            engine.send(&self.connection, |out| ack.write(out));
        }
    }
}

/// Keeps the record, if the topic keeps records, and hands the message to the subscribers.
fn deliver(
    engine: &mut Engine,
    message_type: usize,
    name: &[u8],
    request: &Request<'_>,
) -> Result<(), Refusal> {
    let topic = engine.topics.find_or_create(message_type, name);
    let correlation_id = request.text(Field::CorrelationId);
    let mut processed = None;
    let sow_key = match &mut topic.sow {
        Some(sow) => {
            let supplied = request.text(Field::SowKey);
            let key = sow.rule.of_publish(name, request.payload, supplied)?;
            let now = *processed.insert(now_micros());
            sow.put(&key, request.payload, &correlation_id, now);
            key
        }
        None => Cow::Borrowed(&b""[..]),
    };
    topic.published += 1;
    let delivery = Delivery {
        topic: name,
        payload: request.payload,
        sow_key: &sow_key,
        correlation_id: &correlation_id,
        processed,
    };
    topic.routes.deliver(&delivery, &mut engine.wakes);
    Ok(())
}
