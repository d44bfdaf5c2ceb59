//! What tells one peer from another.

use super::session::Request;
use super::{Kind, Spec};
use crate::frames;
use amps::CommandType;
use std::io::{self, Write};
use std::net::TcpStream;

/// Records in one `sow` frame.
const BATCH: usize = 100;

/// About how long a prepared buffer is: long writes cost the least per byte.
const PREPARED: usize = 1 << 20;

/// The state of one connection.
pub(super) struct Role {
    spec: Spec,
    /// The subscriptions so far.
    sub_ids: Vec<Vec<u8>>,
    /// What a firehose sends, again and again.
    prepared: Vec<u8>,
    /// What an echo sends for a publish.
    reply: Vec<u8>,
}

impl Role {
    pub(super) fn new(spec: &Spec) -> Role {
        Role {
            spec: spec.clone(),
            sub_ids: Vec::new(),
            prepared: Vec::new(),
            reply: Vec::new(),
        }
    }

    pub(super) fn publish(&mut self, frame: &[u8], stream: &mut TcpStream) -> io::Result<()> {
        if self.spec.kind != Kind::Echo {
            return Ok(());
        }
        // The payload goes back as it came, behind a header that never changes.
        let start = self.reply.len() - self.spec.payload;
        let payload = &frame[frame.len() - self.spec.payload..];
        self.reply[start..].copy_from_slice(payload);
        stream.write_all(&self.reply)
    }

    pub(super) fn subscribe(
        &mut self,
        request: &Request<'_>,
        stream: &mut TcpStream,
    ) -> io::Result<()> {
        self.sub_ids
            .push(request.header.sub_id.of(request.frame).to_vec());
        if self.spec.kind == Kind::Echo {
            self.reply.clear();
            let payload = frames::payload(self.spec.payload);
            frames::received(&mut self.reply, &self.sub_ids[0], 1, &payload);
        }
        let is_last = self.sub_ids.len() == self.spec.subscriptions;
        if is_last && self.spec.kind == Kind::Firehose {
            self.prepared = self.prepare();
        }
        stream.write_all(&request.ack(b"processed"))?;
        self.send_prepared(stream)
    }

    /// Sends the messages of a firehose; nothing before its last subscription has come.
    pub(super) fn send_prepared(&self, stream: &mut TcpStream) -> io::Result<()> {
        if self.prepared.is_empty() {
            return Ok(());
        }
        let frame = self.prepared.len() / self.prepared_count();
        let mut left = self.spec.messages * frame;
        while left > 0 {
            let length = left.min(self.prepared.len());
            stream.write_all(&self.prepared[..length])?;
            left -= length;
        }
        Ok(())
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

    pub(super) fn sow(&mut self, request: &Request<'_>, stream: &mut TcpStream) -> io::Result<()> {
        if self.spec.kind != Kind::Sow {
            return Ok(());
        }
        let query_id = request.header.query_id.of(request.frame);
        let payload = frames::payload(self.spec.payload);
        let batches = frames::batches(query_id, self.spec.messages, BATCH, &payload);
        stream.write_all(&request.ack(b"processed"))?;
        stream.write_all(&request.group(CommandType::GroupBegin))?;
        stream.write_all(&batches)?;
        stream.write_all(&request.group(CommandType::GroupEnd))?;
        stream.write_all(&request.ack(b"completed"))
    }
}
