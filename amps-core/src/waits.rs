//! Which waits of a client must not be held up by a full stream.

use crate::queue::StreamQueue;
use parking_lot::Mutex;
use std::sync::Arc;
use std::thread::{self, ThreadId};

/// Who waits for something that only the receive thread can bring.
///
/// A full stream blocks the receive thread. If the application meanwhile waits for an
/// acknowledgement, or the reader of that stream waits on another one, that would be a deadlock;
/// so the receive thread asks here before it blocks, and whoever begins such a wait wakes it, if
/// it is blocked already, to ask again.
#[derive(Default)]
pub(crate) struct Waits {
    state: Mutex<WaitsState>,
}

#[derive(Default)]
struct WaitsState {
    /// Callers that wait for an acknowledgement.
    for_acks: usize,
    /// Threads that wait in an empty stream, and in which.
    in_streams: Vec<StreamWait>,
    /// The queue that the receive thread waits for.
    blocked: Option<Arc<StreamQueue>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct StreamWait {
    reader: ThreadId,
    /// The address of the queue, to tell it from others.
    queue: usize,
}

/// A wait; it ends when this is dropped.
pub(crate) struct Waiting<'a> {
    waits: &'a Waits,
    /// Present if it waits in a stream.
    in_stream: Option<StreamWait>,
}

impl Waits {
    /// Begins a wait for an acknowledgement.
    pub(crate) fn for_ack(&self) -> Waiting<'_> {
        self.begin(None)
    }

    /// Begins a wait of this thread in an empty stream.
    pub(crate) fn in_stream(&self, queue: &Arc<StreamQueue>) -> Waiting<'_> {
        self.begin(Some(StreamWait {
            reader: thread::current().id(),
            queue: Arc::as_ptr(queue) as usize,
        }))
    }

    fn begin(&self, in_stream: Option<StreamWait>) -> Waiting<'_> {
        let blocked = {
            let mut state = self.state.lock();
            match in_stream {
                Some(wait) => state.in_streams.push(wait),
                None => state.for_acks += 1,
            }
            state.blocked.clone()
        };
        if let Some(queue) = blocked {
            queue.reconsider();
        }
        Waiting {
            waits: self,
            in_stream,
        }
    }

    /// True if the receive thread must not block on a full queue: somebody waits for an
    /// acknowledgement, or the reader of the queue waits on another one. Who that is may not be
    /// known, if nobody has taken from it yet: then it may be any thread. (A reader that is just
    /// being woken on this queue does not count.)
    pub(crate) fn must_not_block(
        &self,
        queue: &Arc<StreamQueue>,
        reader: Option<ThreadId>,
    ) -> bool {
        let queue = Arc::as_ptr(queue) as usize;
        let state = self.state.lock();
        state.for_acks > 0
            || state.in_streams.iter().any(|wait| {
                wait.queue != queue && reader.is_none_or(|reader| reader == wait.reader)
            })
    }

    /// The receive thread is about to wait for room.
    pub(crate) fn producer_blocks_on(&self, queue: &Arc<StreamQueue>) {
        self.state.lock().blocked = Some(queue.clone());
    }

    /// It has stopped waiting.
    pub(crate) fn producer_goes_on(&self) {
        let queue = self.state.lock().blocked.take();
        drop(queue);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.waits.state.lock();
        match self.in_stream {
            None => state.for_acks -= 1,
            Some(wait) => {
                if let Some(at) = state.in_streams.iter().position(|other| *other == wait) {
                    state.in_streams.swap_remove(at);
                }
            }
        }
    }
}
