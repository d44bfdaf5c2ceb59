//! What the send lock guards: the frame at hand, what is not written yet, the batch.

use super::batch::Batch;
use super::connection::Connection;
use super::filter::Filter;
use super::outbox::Outbox;
use super::send::KEPT_BUFFER;
use super::stats::Traffic;
use super::stored::Standing;
use crate::error::Error;
use crate::protocol::frames_in;
use crate::store::PublishStore;
use crate::transport::Transport;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How long a disconnect waits before it tries again to write what the socket did not take.
const RETRY: Duration = Duration::from_millis(1);

/// Empties a buffer, and lets go of it if it grew beyond what is worth keeping.
pub(crate) fn empty(buffer: &mut Vec<u8>, kept: usize) {
    buffer.clear();
    if buffer.capacity() > kept {
        *buffer = Vec::new();
    }
}

/// What the send lock guards.
#[derive(Default)]
pub(crate) struct Wire {
    /// The connection that the batch and the unfinished frames belong to, by its number.
    number: u64,
    /// The frame at hand.
    pub(super) frame: Vec<u8>,
    /// Posted frames that are not written yet, whole or from the byte where the socket stopped
    /// taking them. Nothing may be written before they are.
    pub(super) unfinished: Vec<u8>,
    /// How many publishes of a batch are among them.
    pub(super) unfinished_publishes: usize,
    /// Publishes that are being collected. They leave after what is unfinished.
    pub(crate) batch: Batch,
    /// Sees every frame before it takes its place.
    pub(crate) filter: Option<Arc<Filter>>,
    /// What the exception listener is told after unlocking.
    pub(super) news: News,
    /// Counts what leaves.
    pub(crate) traffic: Arc<Traffic>,
    /// The connection last used, to spare the state lock while it lives. Given up with what
    /// belongs to it, so that an idle client does not keep the socket of a connection that is
    /// gone.
    pub(super) connection: Option<Arc<Connection>>,
    /// What is published goes through it first.
    pub(crate) store: Option<Arc<dyn PublishStore>>,
    /// Where what is stored goes.
    pub(crate) standing: Standing,
}

/// What happened under the send lock and nobody was told of yet.
#[derive(Default)]
pub(crate) struct News {
    /// How many collected publishes ended with their connection.
    pub(crate) lost: usize,
    /// What the transport filter failed with.
    pub(super) failures: Vec<Error>,
}

impl News {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.lost == 0 && self.failures.is_empty()
    }
}

impl Wire {
    /// Keeps the connection at hand for the next one who sends. Not one that has ended: whoever
    /// ended it has been here, or comes after this and gives it up.
    #[inline]
    pub(super) fn keep(&mut self, connection: Arc<Connection>) {
        if connection.is_live() {
            self.connection = Some(connection);
        }
    }

    /// Takes what belongs to earlier connections for lost; false if this connection is one.
    #[inline]
    pub(super) fn turn_to(&mut self, connection: &Connection) -> bool {
        if self.number < connection.number {
            self.give_up();
            self.number = connection.number;
        }
        self.number == connection.number
    }

    /// True if what has not left yet belongs to this connection.
    pub(crate) fn belongs_to(&self, connection: &Connection) -> bool {
        self.number == connection.number
    }

    /// Drops what has not left yet: its connection is gone.
    pub(crate) fn give_up(&mut self) {
        self.connection = None;
        empty(&mut self.unfinished, KEPT_BUFFER);
        self.news.lost += std::mem::take(&mut self.unfinished_publishes) + self.batch.clear();
    }

    pub(crate) fn take_news(&mut self) -> News {
        std::mem::take(&mut self.news)
    }

    /// Filters the frames that stand in the batch from `start` on.
    #[inline]
    pub(super) fn filter_batch(&mut self, start: usize) {
        if let Some(filter) = &self.filter {
            filter.outgoing(&mut self.batch.frames, start, &mut self.news.failures);
        }
    }

    /// Takes over what the outbox holds; false if this connection is older than what is here.
    pub(super) fn collect(&mut self, connection: &Connection, outbox: &Outbox) -> bool {
        if !self.turn_to(connection) {
            return false;
        }
        let (batch, publishes) = (&mut self.batch, &mut self.unfinished_publishes);
        let mut start = self.unfinished.len();
        outbox.take(connection.number, &mut self.unfinished, |out| {
            *publishes += batch.move_to(out);
            start = out.len();
        });
        if start < self.unfinished.len() {
            if let Some(filter) = &self.filter {
                filter.outgoing(&mut self.unfinished, start, &mut self.news.failures);
            }
            let posted = frames_in(&self.unfinished[start..]).count();
            self.traffic.frames_sent.add(posted);
        }
        true
    }

    /// Notes that everything unfinished was written.
    pub(super) fn finish(&mut self) {
        empty(&mut self.unfinished, KEPT_BUFFER);
        self.unfinished_publishes = 0;
    }

    /// Writes what was posted, waiting for the socket.
    #[inline]
    pub(super) fn drain(&mut self, connection: &Connection, outbox: &Outbox) -> io::Result<()> {
        if self.collect(connection, outbox) && !self.unfinished.is_empty() {
            connection.transport.write_all(&self.unfinished, b"")?;
            self.traffic.bytes_sent.add(self.unfinished.len());
            self.finish();
        }
        Ok(())
    }

    /// Before a publish joins the batch: what was posted before it must leave before it.
    #[inline]
    pub(super) fn make_way(&mut self, connection: &Connection, outbox: &Outbox) -> io::Result<()> {
        self.turn_to(connection);
        match outbox.knows_of_any() {
            true => self.drain(connection, outbox),
            false => Ok(()),
        }
    }

    /// Writes what was posted and then the batch, waiting for the socket.
    #[inline]
    pub(crate) fn write_batch(
        &mut self,
        connection: &Connection,
        outbox: &Outbox,
    ) -> io::Result<()> {
        self.drain(connection, outbox)?;
        if !self.batch.is_empty() {
            connection.transport.write_all(&self.batch.frames, b"")?;
            self.traffic.bytes_sent.add(self.batch.frames.len());
            self.batch.clear();
        }
        Ok(())
    }

    /// Takes the publish that joined the batch last, at `start`, out of the count: a write failed.
    pub(super) fn take_back(&mut self, start: usize) {
        if self.batch.is_empty() {
            self.unfinished_publishes -= 1;
        } else {
            self.batch.frames.truncate(start);
            self.batch.publishes -= 1;
        }
    }

    /// Writes what was posted and the batch, for as long as there is time; what did not leave is
    /// given up.
    pub(crate) fn write_last(
        &mut self,
        connection: &Connection,
        outbox: &Outbox,
        deadline: Instant,
    ) {
        if !self.collect(connection, outbox) {
            return;
        }
        self.unfinished_publishes += self.batch.move_to(&mut self.unfinished);
        while let Ok(false) = self.drain_some(connection, outbox)
            && Instant::now() < deadline
        {
            thread::sleep(RETRY);
        }
        self.give_up();
    }

    /// Writes of what was posted as much as the socket takes; true if that was all.
    pub(crate) fn drain_some(
        &mut self,
        connection: &Connection,
        outbox: &Outbox,
    ) -> io::Result<bool> {
        if !self.collect(connection, outbox) {
            return Ok(true);
        }
        let mut written = 0;
        let result = loop {
            if written == self.unfinished.len() {
                break Ok(true);
            }
            match connection.transport.try_write(&self.unfinished[written..]) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(false),
                Err(error) => break Err(error),
            }
        };
        self.traffic.bytes_sent.add(written);
        if written == self.unfinished.len() {
            self.finish();
        } else {
            self.unfinished.drain(..written);
        }
        result
    }

    pub(super) fn write(&mut self, transport: &dyn Transport, payload: &[u8]) -> io::Result<()> {
        let result = transport.write_all(&self.frame, payload);
        if result.is_ok() {
            self.traffic.frames_sent.add(1);
            self.traffic
                .bytes_sent
                .add(self.frame.len() + payload.len());
        }
        empty(&mut self.frame, KEPT_BUFFER);
        result
    }
}
