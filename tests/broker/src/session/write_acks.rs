//! The acknowledgements of publishes and deletes (`broker-behaviour §8`).
//!
//! Without a transaction log each command that asks gets acknowledgements of its own. With one,
//! successes are conflated: one `persisted` acknowledgement per interval says that everything up
//! to its sequence number is safe. A failure is told at once, and the successes before it first,
//! so that of five publishes with the third refused the client hears 2, then the failure of 3,
//! then 5.

use super::Session;
use crate::ack::{Ack, Kind, Status};
use crate::engine::Engine;
use crate::hash::stable_hash;
use crate::reason::Refusal;
use crate::request::Request;
use crate::server::Task;
use amps_core::AckType;
use amps_core::protocol::Field;
use std::time::{Duration, Instant};

/// What a connection is still to be told.
#[derive(Debug, Default)]
pub(crate) struct WriteAcks {
    /// Set if acknowledgements are conflated.
    interval: Option<Duration>,
    /// The highest sequence number that is persisted and not acknowledged.
    pending: Option<u64>,
    /// A timer is set.
    armed: bool,
}

impl WriteAcks {
    pub(crate) fn new(interval: Option<Duration>) -> WriteAcks {
        WriteAcks {
            interval,
            ..WriteAcks::default()
        }
    }
}

impl Session {
    /// Acknowledges a write that succeeded: `received` and `stats` are not among it.
    pub(super) fn written(&self, engine: &mut Engine, request: &Request<'_>, kind: Kind) {
        let sequence = request.number(Field::Sequence);
        if let (Kind::Persisted, Some(sequence)) = (kind, sequence)
            && self.conflate(engine, sequence)
        {
            return;
        }
        let ack = Ack {
            command_id: &request.text(Field::CommandId),
            sequence,
            kind,
            ..Ack::default()
        };
        engine.send(&self.connection, |out| ack.write(out));
    }

    /// Notes a success to be told later; false if it is to be told now.
    fn conflate(&self, engine: &mut Engine, sequence: u64) -> bool {
        let connection = self.connection.id();
        let Some(client) = engine.clients.get_mut(&connection) else {
            return false;
        };
        let acks = &mut client.write_acks;
        let Some(interval) = acks.interval else {
            return false;
        };
        acks.pending = acks.pending.max(Some(sequence));
        if interval.is_zero() {
            tell_pending(engine, connection);
        } else if !acks.armed {
            acks.armed = true;
            engine
                .timers
                .add(Instant::now() + interval, Task::Acks { connection });
        }
        true
    }

    /// Tells a client that a write failed, after everything that succeeded before.
    pub(super) fn write_failed(
        &self,
        engine: &mut Engine,
        request: &Request<'_>,
        refusal: &Refusal,
    ) {
        for (wanted, kind) in [
            (AckType::PROCESSED, Kind::Processed),
            (AckType::PERSISTED, Kind::Persisted),
        ] {
            if !request.wants(wanted) {
                continue;
            }
            if kind == Kind::Persisted {
                tell_pending(engine, self.connection.id());
            }
            let ack = Ack {
                command_id: &request.text(Field::CommandId),
                sequence: request.number(Field::Sequence),
                kind,
                status: Status::Failure,
                reason: refusal.reason.as_bytes(),
                ..Ack::default()
            };
            engine.send(&self.connection, |out| ack.write(out));
        }
    }
}

/// Sends the conflated acknowledgement, if there is something to acknowledge.
pub(super) fn tell_pending(engine: &mut Engine, connection: u64) {
    let Some(client) = engine.clients.get_mut(&connection) else {
        return;
    };
    let Some(sequence) = client.write_acks.pending.take() else {
        return;
    };
    let name = client.identity.as_ref().map_or("", |who| &who.name);
    let bookmark = format!("{}|{sequence}|", stable_hash([name.as_bytes()]));
    let to = client.connection.clone();
    let ack = Ack {
        sequence: Some(sequence),
        bookmark: bookmark.as_bytes(),
        kind: Kind::Persisted,
        ..Ack::default()
    };
    engine.send(&to, |out| ack.write(out));
}

/// The interval of a connection is over.
pub(crate) fn due(engine: &mut Engine, connection: u64) {
    if let Some(client) = engine.clients.get_mut(&connection) {
        client.write_acks.armed = false;
    }
    tell_pending(engine, connection);
}
