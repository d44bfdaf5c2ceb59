//! Acknowledging messages of queues.

use super::Message;
#[cfg(doc)]
use crate::Client;
use crate::error::{ErrorContext, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How a stream, or whoever calls a handler, hears that the application has taken care of a message
/// itself.
///
/// A stream hands its messages out one after the other and wants to know of the last one only.
/// So all share one cell, which allocates nothing per message, and every copy of a message counts.
#[derive(Clone)]
pub(crate) struct Settling {
    /// The number of the last message that was taken care of.
    settled: Arc<AtomicU64>,
    /// The number of this one, from 1.
    number: u64,
}

/// Numbers the messages that are handed out one after the other.
#[derive(Default)]
pub(crate) struct Settlements {
    settled: Arc<AtomicU64>,
    handed_out: u64,
}

impl Settlements {
    /// For the next message.
    pub(crate) fn begin(&mut self) -> Settling {
        self.handed_out += 1;
        Settling {
            settled: self.settled.clone(),
            number: self.handed_out,
        }
    }
}

impl Settling {
    fn set(&self, settled: bool) {
        if settled {
            self.settled.fetch_max(self.number, Ordering::AcqRel);
        } else {
            let (number, before) = (self.number, self.number - 1);
            let relaxed = Ordering::Relaxed;
            let _ = self
                .settled
                .compare_exchange(number, before, Ordering::AcqRel, relaxed);
        }
    }

    fn is_set(&self) -> bool {
        self.settled.load(Ordering::Acquire) == self.number
    }
}

/// Messages of queues.
impl Message {
    /// Tells the server that this message of a queue is done with; for other messages it does
    /// nothing.
    ///
    /// Acknowledgements leave in batches, as [`Client::set_ack_batch_size`] and
    /// [`Client::set_ack_timeout`] say; nothing is waited for. The message is not acknowledged
    /// automatically any more. May be called on any thread and on any copy. Guide §7.1; rules G1
    /// to G5.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`](crate::Error::Disconnected): the connection that the message came
    /// over is gone, and its lease with it: the server will deliver it again.
    pub fn ack(&self) -> Result<()> {
        self.acknowledge(None)
    }

    /// As [`Message::ack`], with options: `cancel` returns the message to the queue, `expire`
    /// removes it as expired. Leaves at once, apart from others (rule G8).
    ///
    /// # Errors
    ///
    /// As [`Message::ack`].
    pub fn ack_with(&self, options: impl AsRef<str>) -> Result<()> {
        self.acknowledge(Some(options.as_ref()))
    }

    fn acknowledge(&self, options: Option<&str>) -> Result<()> {
        if !self.is_of_queue() {
            return Ok(());
        }
        let origin = &self.chunk.origin;
        let Some(shared) = origin.client.upgrade() else {
            return Err(
                ErrorContext::new("acknowledge a message from", self.topic())
                    .with_reason("its client is gone")
                    .Disconnected(),
            );
        };
        self.set_ignore_auto_ack(true);
        shared.acknowledge(self, origin.connection, options)
    }

    /// True if the message comes from a queue and can be acknowledged (rule G2).
    pub(crate) fn is_of_queue(&self) -> bool {
        self.has_lease() && !self.topic().is_empty() && !self.bookmark().is_empty()
    }

    /// The number of the connection that it came over.
    pub(crate) fn connection(&self) -> u64 {
        self.chunk.origin.connection
    }

    /// Says whether this message is left out of automatic acknowledgement: neither acknowledged
    /// nor returned to its queue. The application does that itself, when it is done.
    ///
    /// Any copy will do: until the handler has returned, or until the next message of the stream is
    /// asked for. Rule G6.
    pub fn set_ignore_auto_ack(&self, ignore: bool) {
        self.ignore_auto_ack.store(ignore, Ordering::Release);
        if let Some(settling) = &self.settling {
            settling.set(ignore);
        }
    }

    /// True if this message is left out of automatic acknowledgement: the application asked for
    /// that, or has acknowledged it.
    pub fn ignore_auto_ack(&self) -> bool {
        self.ignore_auto_ack.load(Ordering::Acquire)
            || self.settling.as_ref().is_some_and(Settling::is_set)
    }

    /// Lets whoever hands it out hear when the application takes care of this message.
    pub(crate) fn settle_with(&mut self, settling: Settling) {
        self.settling = Some(settling);
    }
}
