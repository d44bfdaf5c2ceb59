//! The transport filter: code of the application that sees every frame, and may change it.
//!
//! Outgoing frames are filtered when they take their place among those that leave, incoming ones
//! before they are read. Without a filter each costs one look at a flag.

use super::Client;
use super::shared::Shared;
use super::under_lock::under_send_lock;
use crate::error::{Error, ErrorContext};
use crate::handler::guarded;
use crate::protocol::{MAX_FRAME, PREFIX, frames_in};
use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Which way a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the server to this client.
    Incoming,
    /// From this client to the server.
    Outgoing,
}

type FilterFn = dyn FnMut(Direction, &mut Vec<u8>) + Send;

/// A filter of the application.
pub(crate) struct Filter {
    /// Whose filter it is: it cannot call this client.
    client: u64,
    run: Mutex<Box<FilterFn>>,
}

/// The filter of a client, for the receive thread.
#[derive(Default)]
pub(crate) struct FilterSlot {
    any: AtomicBool,
    filter: Mutex<Option<Arc<Filter>>>,
}

/// Seeing and changing frames.
impl Client {
    /// Sets what sees every frame, in both directions, and may change it; in place of an earlier
    /// one. For recording traffic, above all of encrypted connections.
    ///
    /// A frame is a header and a payload, without the length in front, which is written anew: what
    /// leaves has not been encrypted, what comes in has been decrypted. Logons are among them, with
    /// their passwords. A frame that is emptied is dropped. If the filter panics, the frame goes on
    /// unchanged and the exception listener is told.
    ///
    /// It runs on one thread at a time: on the receive thread for what comes in, for what leaves on
    /// whichever thread sends, under the send lock. So it should be quick, and it cannot call this
    /// client, which returns [`Error::Usage`]; nor can it replace or remove itself: then nothing
    /// changes, and the exception listener is told. Guide §12.3; rule Q1.
    pub fn set_transport_filter(
        &self,
        filter: impl FnMut(Direction, &mut Vec<u8>) + Send + 'static,
    ) {
        let filter = Filter {
            client: self.shared().id(),
            run: Mutex::new(Box::new(filter)),
        };
        self.shared().set_filter(Some(Arc::new(filter)));
    }

    /// Removes the transport filter.
    pub fn clear_transport_filter(&self) {
        self.shared().set_filter(None);
    }
}

impl Filter {
    /// Runs the filter on one frame; after a failure the frame is as it was.
    fn run_on(
        &self,
        direction: Direction,
        frame: &mut Vec<u8>,
        original: &[u8],
    ) -> Result<(), Error> {
        frame.clear();
        frame.extend_from_slice(original);
        let mut run = self.run.lock();
        let filtered = under_send_lock(self.client, || {
            guarded("run the transport filter", String::new, || {
                run(direction, frame);
                Ok(())
            })
        });
        drop(run);
        let filtered = match filtered {
            Ok(()) if frame.len() > MAX_FRAME => {
                let reason = format!("it made a frame of {} bytes", frame.len());
                Err(ErrorContext::new("run the transport filter", "")
                    .with_reason(reason)
                    .Handler())
            }
            other => other,
        };
        if filtered.is_err() {
            frame.clear();
            frame.extend_from_slice(original);
        }
        filtered
    }

    /// Appends the whole frames of `frames` to `out`, filtered.
    fn append(
        &self,
        direction: Direction,
        frames: &[u8],
        out: &mut Vec<u8>,
        failures: &mut Vec<Error>,
    ) {
        let mut frame = Vec::new();
        for body in frames_in(frames) {
            if let Err(error) = self.run_on(direction, &mut frame, &frames[body]) {
                failures.push(error);
            }
            if !frame.is_empty() {
                out.extend_from_slice(&(frame.len() as u32).to_be_bytes());
                out.extend_from_slice(&frame);
            }
        }
    }

    /// Filters the whole frames that stand in `out` from `start` on.
    #[cold]
    pub(crate) fn outgoing(&self, out: &mut Vec<u8>, start: usize, failures: &mut Vec<Error>) {
        let frames = out.split_off(start);
        self.append(Direction::Outgoing, &frames, out, failures);
    }
}

impl FilterSlot {
    /// Filters the frames of a chunk, if there is a filter.
    #[inline]
    pub(crate) fn incoming(&self, chunk: Bytes, report: impl Fn(&Error)) -> Bytes {
        if !self.any.load(Ordering::Acquire) {
            return chunk;
        }
        self.filter_incoming(chunk, report)
    }

    #[cold]
    fn filter_incoming(&self, chunk: Bytes, report: impl Fn(&Error)) -> Bytes {
        let Some(filter) = self.filter.lock().clone() else {
            return chunk;
        };
        let mut out = Vec::with_capacity(chunk.len() + PREFIX);
        let mut failures = Vec::new();
        filter.append(Direction::Incoming, &chunk, &mut out, &mut failures);
        failures.iter().for_each(report);
        out.into()
    }
}

impl Shared {
    fn set_filter(self: &Arc<Self>, filter: Option<Arc<Filter>>) {
        let context = || ErrorContext::new("set the transport filter of", self.name());
        if let Err(error) = self.check_not_in_store(context) {
            self.callbacks.report(&error);
            return;
        }
        let mut wire = self.wire.lock();
        let mut incoming = self.filter.filter.lock();
        self.filter.any.store(filter.is_some(), Ordering::Release);
        let replaced = std::mem::replace(&mut *incoming, filter.clone());
        drop(incoming);
        let also_replaced = std::mem::replace(&mut wire.filter, filter);
        self.unlock(wire);
        // What it captured is dropped under no lock.
        drop((replaced, also_replaced));
    }
}
