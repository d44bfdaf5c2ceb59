//! Messages for a stream that the receive thread holds on to for a moment.

use crate::message::{Batch, Message};
use crate::queue::StreamQueue;
use crate::waits::Waits;
use std::sync::Arc;

/// The most messages that are held: the reader of the stream begins while the rest is still read.
const MOST: usize = 64;

/// Messages of one read that follow each other and are for the same stream: they are queued
/// together, because it is the meeting of the two threads that costs, not the message.
///
/// Never held while the receive thread waits for the socket, nor while it runs code of others:
/// handlers, listeners, stores, filters.
#[derive(Default)]
pub(crate) struct Held {
    queue: Option<Arc<StreamQueue>>,
    batch: Batch,
}

impl Held {
    /// Holds a message for a stream; those for another one are queued first.
    #[inline]
    pub(crate) fn add(&mut self, queue: &Arc<StreamQueue>, message: &Message, waits: &Waits) {
        let is_same = |held| Arc::ptr_eq(held, queue);
        let goes_on = self.queue.as_ref().is_some_and(is_same)
            && self.batch.len() < MOST
            && !self.batch.is_of_another_chunk(message);
        if !goes_on {
            self.release(waits);
            self.queue = Some(queue.clone());
        }
        self.batch.add(message);
    }

    /// Queues what is held.
    #[inline]
    pub(crate) fn release(&mut self, waits: &Waits) {
        if let Some(queue) = self.queue.take() {
            queue.push(&mut self.batch, waits);
        }
    }
}
