//! One subscription that reads the log.

use super::{Log, Stop};
use crate::ack::{Ack, Kind};
use crate::topic::Subscription;
use std::sync::Arc;

/// One subscription that reads the log.
pub(crate) struct Reader {
    pub(crate) subscription: Arc<Subscription>,
    pub(crate) command_id: Box<[u8]>,
    /// Where the log ended when the command arrived: up to there it is a replay.
    pub(crate) arrived: u64,
    /// Where it ends, if it does.
    pub(crate) stop: Option<Stop>,
    /// How many messages are still to be sent, if they are limited.
    pub(crate) left: Option<u64>,
    /// After the replay, do not wait for the client to read.
    pub(crate) live: bool,
    /// Only what is safe everywhere.
    pub(crate) fully_durable: bool,
    /// An acknowledgement is owed when the replay is over.
    pub(crate) completed: bool,
    /// Tell what is safe, now and then.
    pub(crate) persisted: bool,
    /// The position that was told last.
    pub(crate) told: u64,
    /// It has got everything.
    pub(crate) done: bool,
}

impl Reader {
    /// Writes the acknowledgement that the replay is over, if it is owed.
    fn complete(&mut self, log: &Log, position: u64, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.completed) {
            let bookmark = log.name(position);
            let ack = Ack {
                command_id: &self.command_id,
                sub_id: &self.subscription.id,
                bookmark: bookmark.as_bytes(),
                kind: Kind::Completed,
                ..Ack::default()
            };
            ack.write(out);
        }
    }

    /// Ends it before the entry at this position.
    fn end(&mut self, log: &Log, next: u64, out: &mut Vec<u8>) {
        self.complete(log, next.saturating_sub(1), out);
        self.done = true;
    }

    /// Notes what is due before the entry at `next`, processed at `time`, is looked at.
    pub(super) fn come_to(&mut self, log: &Log, next: u64, time: u64, out: &mut Vec<u8>) {
        if self.done {
            return;
        }
        match self.stop {
            _ if self.left == Some(0) => self.end(log, next, out),
            Some(stop) if stop.is_before(next, time) => self.end(log, next, out),
            // The end of a range is where it is complete.
            Some(_) => {}
            None if next > self.arrived => self.complete(log, self.arrived, out),
            None => {}
        }
    }

    /// The position up to which everything is safe, as this client should hear it.
    ///
    /// During the replay that is said of the whole log (`broker-behaviour §7`). Afterwards it is
    /// not said of what the client may not have been sent yet, as it would resume after that.
    pub(super) fn safe_point(&self, log: &Log, next: u64) -> u64 {
        match next > self.arrived {
            true => log.durable().min(next - 1),
            false => log.durable(),
        }
    }
}
