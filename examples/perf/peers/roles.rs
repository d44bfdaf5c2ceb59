//! What tells one peer from another.

use super::answers::Answers;
use super::session::Request;
use super::{Kind, Spec};
use crate::frames;
use amps::CommandType;
use amps_core::protocol::{Field, find_field};
use std::io;

/// Records in one `sow` frame.
const BATCH: usize = 100;

/// Batches in a prepared buffer.
const BATCHES: usize = 50;

/// About how long a prepared buffer is: long writes cost the least per byte.
const PREPARED: usize = 1 << 20;

/// Stands for the number of a publish that has none: as long as those that have one.
const UNNUMBERED: u64 = 1_700_000_000_000_000;

/// The state of one connection.
pub(super) struct Role {
    spec: Spec,
    /// The subscriptions so far.
    sub_ids: Vec<Vec<u8>>,
    /// What a firehose or a SOW server sends, again and again.
    prepared: Vec<u8>,
    /// What an echo sends for a publish.
    reply: Vec<u8>,
    /// The publishes since the last acknowledgement.
    unpersisted: usize,
}

impl Role {
    pub(super) fn new(spec: &Spec) -> Role {
        Role {
            spec: spec.clone(),
            sub_ids: Vec::new(),
            prepared: Vec::new(),
            reply: Vec::new(),
            unpersisted: 0,
        }
    }

    #[inline]
    pub(super) fn publish(&mut self, frame: &[u8], answers: &mut Answers<'_>) -> io::Result<()> {
        match self.spec.kind {
            Kind::Echo => self.echo(frame, answers.waiting()),
            Kind::Firehose => self.send_messages(answers)?,
            Kind::Sink => {
                self.unpersisted += 1;
                if self.unpersisted == self.spec.acks {
                    self.persist(frame, answers.waiting());
                }
            }
            Kind::Sow => {}
        }
        Ok(())
    }

    /// The payload goes back as it came, behind a header that never changes.
    fn echo(&mut self, frame: &[u8], out: &mut Vec<u8>) {
        let start = self.reply.len() - self.spec.payload;
        let payload = &frame[frame.len() - self.spec.payload..];
        self.reply[start..].copy_from_slice(payload);
        out.extend_from_slice(&self.reply);
    }

    /// Acknowledges this publish and all before it. One without a number, too, so that a client
    /// without a store gets the same traffic: what comes back changes how the system sends.
    fn persist(&mut self, frame: &[u8], out: &mut Vec<u8>) {
        self.unpersisted = 0;
        let number = find_field(frame, 0, Field::Sequence);
        let number = number.and_then(|digits| str::from_utf8(digits).ok()?.parse().ok());
        frames::persisted(out, number.unwrap_or(UNNUMBERED));
    }

    pub(super) fn subscribe(
        &mut self,
        request: &Request<'_>,
        answers: &mut Answers<'_>,
    ) -> io::Result<()> {
        self.sub_ids.push(request.field(Field::SubId).to_vec());
        self.prepared.clear();
        if self.spec.kind == Kind::Echo {
            self.reply.clear();
            let payload = frames::payload(self.spec.payload);
            frames::received(&mut self.reply, &self.sub_ids[0], 1, &payload);
        }
        request.ack(b"processed", answers.waiting());
        Ok(())
    }

    /// Sends the messages of a firehose.
    fn send_messages(&mut self, answers: &mut Answers<'_>) -> io::Result<()> {
        if self.prepared.is_empty() {
            self.prepared = self.prepare();
        }
        let frame = self.prepared.len() / self.prepared_count();
        answers.repeat(&self.prepared, self.spec.messages * frame)
    }

    /// Messages for the subscriptions in an order that is not the one they came in.
    fn prepare(&self) -> Vec<u8> {
        let payload = frames::payload(self.spec.payload);
        let mut prepared = Vec::new();
        for at in 0..self.prepared_count() {
            // A step that shares no factor with the count reaches each of them.
            let sub_id = &self.sub_ids[at * 7919 % self.sub_ids.len()];
            frames::received(&mut prepared, sub_id, at, &payload);
        }
        prepared
    }

    fn prepared_count(&self) -> usize {
        match self.spec.prepared {
            0 => PREPARED / (130 + self.spec.payload),
            count => count,
        }
    }

    /// Sends the batches of a SOW server; the keys begin anew with each prepared buffer.
    pub(super) fn sow(
        &mut self,
        request: &Request<'_>,
        answers: &mut Answers<'_>,
    ) -> io::Result<()> {
        if self.spec.kind != Kind::Sow {
            return Ok(());
        }
        let records = BATCH * BATCHES;
        let query_id = request.field(Field::QueryId);
        let payload = frames::payload(self.spec.payload);
        let batches = frames::batches(query_id, records, BATCH, &payload);
        request.ack(b"processed", answers.waiting());
        request.group(CommandType::GroupBegin, answers.waiting());
        answers.repeat(&batches, batches.len() * (self.spec.messages / records))?;
        request.group(CommandType::GroupEnd, answers.waiting());
        request.ack(b"completed", answers.waiting());
        Ok(())
    }
}
