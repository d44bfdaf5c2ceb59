//! The acknowledgements of publishes and deletes (`broker-behaviour §8`).
//!
//! Without a transaction log each command that asks gets acknowledgements of its own. With one,
//! successes are conflated: one `persisted` acknowledgement per interval says that everything up
//! to its sequence number is safe. A failure is told at once, and the successes before it first,
//! so that of five publishes with the third refused the client hears 2, then the failure of 3,
//! then 5.
//!
//! What is not safe yet, or held by a test, is told when it is safe, in the order in which it was
//! published: a failure waits for the successes before it.

use super::Session;
use crate::ack::{Ack, Kind, Status};
use crate::engine::Engine;
use crate::reason::Refusal;
use crate::request::Request;
use crate::server::Task;
use crate::txlog::Bookmark;
use amps_core::AckType;
use amps_core::protocol::Field;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What a connection is still to be told.
#[derive(Debug, Default)]
pub(crate) struct WriteAcks {
    /// Set if acknowledgements are conflated.
    interval: Option<Duration>,
    /// The publisher in the bookmarks of the client.
    publisher: u64,
    owed: VecDeque<Owed>,
    /// A timer is set.
    armed: bool,
}

/// Something to be told when the log is safe up to a position.
#[derive(Debug)]
struct Owed {
    position: u64,
    what: What,
}

#[derive(Debug)]
enum What {
    /// Everything up to this sequence number succeeded.
    Success(u64),
    /// A frame of its own.
    Frame(Vec<u8>),
}

impl WriteAcks {
    pub(crate) fn new(interval: Option<Duration>, publisher: u64) -> WriteAcks {
        WriteAcks {
            interval,
            publisher,
            ..WriteAcks::default()
        }
    }

    fn push_success(&mut self, sequence: u64, position: u64, durable: u64) {
        // One acknowledgement tells both, if the later one may be told as soon as the earlier.
        if let Some(Owed {
            position: last,
            what: What::Success(highest),
        }) = self.owed.back_mut()
            && (*last == position || position <= durable)
        {
            *last = position;
            *highest = sequence.max(*highest);
            return;
        }
        let what = What::Success(sequence);
        self.owed.push_back(Owed { position, what });
    }

    /// Takes what may be told when the log is safe up to here: frames in their order.
    fn take(&mut self, durable: u64) -> Vec<u8> {
        let mut out = Vec::new();
        let mut highest = None;
        while let Some(owed) = self.owed.front()
            && owed.position <= durable
            && let Some(Owed { what, .. }) = self.owed.pop_front()
        {
            match what {
                What::Success(sequence) => highest = highest.max(Some(sequence)),
                What::Frame(frame) => {
                    self.write_success(highest.take(), &mut out);
                    out.extend_from_slice(&frame);
                }
            }
        }
        self.write_success(highest, &mut out);
        out
    }

    fn write_success(&self, sequence: Option<u64>, out: &mut Vec<u8>) {
        let Some(sequence) = sequence else {
            return;
        };
        let bookmark = Bookmark {
            publisher: self.publisher,
            sequence,
        }
        .to_string();
        let ack = Ack {
            sequence: Some(sequence),
            bookmark: bookmark.as_bytes(),
            kind: Kind::Persisted,
            ..Ack::default()
        };
        ack.write(out);
    }
}

impl Session {
    /// Acknowledges a write that succeeded: `received` and `stats` are not among it.
    pub(super) fn written(
        &self,
        engine: &mut Engine,
        request: &Request<'_>,
        kind: Kind,
        sequence: Option<u64>,
    ) {
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
        match kind {
            Kind::Persisted => self.tell_when_safe(engine, &ack),
            _ => engine.send(&self.connection, |out| ack.write(out)),
        }
    }

    /// Notes a success to be told later; false if it is not to be conflated.
    fn conflate(&self, engine: &mut Engine, sequence: u64) -> bool {
        let connection = self.connection.id();
        let (position, durable) = (engine.log.end(), engine.log.durable());
        let Some(client) = engine.clients.get_mut(&connection) else {
            return false;
        };
        let acks = &mut client.write_acks;
        let Some(interval) = acks.interval else {
            return false;
        };
        acks.push_success(sequence, position, durable);
        if interval.is_zero() {
            tell(engine, connection);
        } else if !acks.armed {
            acks.armed = true;
            engine
                .timers
                .add(Instant::now() + interval, Task::Acks { connection });
        }
        true
    }

    /// Sends an acknowledgement after everything that was published before, as soon as that may be
    /// told; mostly at once.
    pub(super) fn tell_when_safe(&self, engine: &mut Engine, ack: &Ack<'_>) {
        let connection = self.connection.id();
        let position = engine.log.end();
        let Some(client) = engine.clients.get_mut(&connection) else {
            return;
        };
        let mut frame = Vec::new();
        ack.write(&mut frame);
        let what = What::Frame(frame);
        client.write_acks.owed.push_back(Owed { position, what });
        tell(engine, connection);
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
            let ack = Ack {
                command_id: &request.text(Field::CommandId),
                sequence: request.number(Field::Sequence),
                kind,
                status: Status::Failure,
                reason: refusal.reason.as_bytes(),
                ..Ack::default()
            };
            match kind {
                Kind::Persisted => self.tell_when_safe(engine, &ack),
                _ => engine.send(&self.connection, |out| ack.write(out)),
            }
        }
    }
}

/// Sends what is owed to a connection and may be told.
fn tell(engine: &mut Engine, connection: u64) {
    if engine.acks_held {
        return;
    }
    let durable = engine.log.durable();
    let Some(client) = engine.clients.get_mut(&connection) else {
        return;
    };
    let frames = client.write_acks.take(durable);
    if !frames.is_empty() {
        let to = client.connection.clone();
        engine.send(&to, |out| out.extend_from_slice(&frames));
    }
}

/// The interval of a connection is over.
pub(crate) fn due(engine: &mut Engine, connection: u64) {
    if let Some(client) = engine.clients.get_mut(&connection) {
        client.write_acks.armed = false;
    }
    tell(engine, connection);
}

/// More of the log is safe than before, or a test holds acknowledgements back no longer.
pub(crate) fn tell_all(engine: &mut Engine) {
    let waiting = engine
        .clients
        .iter()
        .filter(|(_, client)| !client.write_acks.owed.is_empty())
        .map(|(connection, _)| *connection)
        .collect::<Vec<_>>();
    for connection in waiting {
        tell(engine, connection);
    }
}
