//! What the receive thread holds on to from one message of a read to the next.

use crate::error::Error;
use crate::handler::{LockedHandler, MessageHandler};
use crate::message::{Batch, Message};
use crate::queue::StreamQueue;
use crate::waits::Waits;
use std::sync::Arc;

/// The most messages that are held: the reader of the stream begins while the rest is still read.
const MOST: usize = 64;

/// Messages that follow each other and are for the same stream, to be queued together; or the
/// lock of a handler that takes messages which follow each other. It is the meeting of threads that
/// costs, not the message.
///
/// Let go before the receive thread waits for the socket, and before it runs any other code of the
/// application.
#[derive(Default)]
pub(crate) struct Held {
    queue: Option<Arc<StreamQueue>>,
    batch: Batch,
    handler: Option<LockedHandler>,
    /// The handler that was called last, whose lock is worth holding if it is called again.
    called: Option<usize>,
}

impl Held {
    /// Holds a message for a stream; what is held for anybody else is let go first.
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

    /// Runs a handler; what is held for anybody else is let go first.
    #[inline]
    pub(crate) fn call(
        &mut self,
        handler: &MessageHandler,
        message: &Message,
        waits: &Waits,
    ) -> Result<(), Error> {
        match &mut self.handler {
            Some(locked) if locked.is(handler) => locked.call(message),
            _ => self.call_another(handler, message, waits),
        }
    }

    fn call_another(
        &mut self,
        handler: &MessageHandler,
        message: &Message,
        waits: &Waits,
    ) -> Result<(), Error> {
        let is_again = self.called == Some(handler.address());
        self.release(waits);
        if !is_again {
            self.called = Some(handler.address());
            return handler.call(message);
        }
        self.handler.insert(handler.lock()).call(message)
    }

    /// Lets go of everything.
    #[inline]
    pub(crate) fn release(&mut self, waits: &Waits) {
        self.called = None;
        self.handler = None;
        if let Some(queue) = self.queue.take() {
            queue.push(&mut self.batch, waits);
        }
    }
}
