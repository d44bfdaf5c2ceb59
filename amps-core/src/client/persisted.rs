//! The server's word on what was published: persisted, or not.

use super::shared::Shared;
use super::stored::encode_header;
use crate::ack::AckType;
use crate::error::{Error, Result};
use crate::handler::guarded;
use crate::message::Message;
use crate::protocol::Status;
use crate::store::PublishStore;
use bytes::Bytes;
use std::sync::Arc;

/// The length in front of a frame.
const PREFIX: usize = 4;

impl Shared {
    /// Takes note of an acknowledgement of publishes: the ones with a sequence number (rule C13).
    /// On the receive thread; true if somebody took it.
    ///
    /// What a store does not manage to do goes to the exception listener (trap 74).
    pub(crate) fn note_persisted(self: &Arc<Self>, ack: &Message) -> bool {
        if !ack.ack_type().contains(AckType::PERSISTED) {
            return false;
        }
        let Some(sequence) = ack.sequence() else {
            return false;
        };
        let store = self.stores.lock().publish.clone();
        let Some(store) = store else {
            return ack.is_failed_write() && self.callbacks.call_failed_write(ack, ack.reason());
        };
        let taken = match ack.status_kind() {
            _ if ack.is_failed_write() => self.fail_write(&*store, ack, sequence),
            // One with a command id is for that command alone: topics without a log acknowledge
            // each message, whatever became of those before it.
            _ if !ack.command_id().is_empty() => {
                self.report_failed(|| store.discard_one(sequence));
                true
            }
            // A duplicate is there already, and so is everything before it (rule H6).
            Status::Success | Status::None | Status::Failure | Status::Retry => {
                self.report_failed(|| store.discard_up_to(sequence));
                true
            }
        };
        self.persisted.notify();
        taken
    }

    /// The server refused a command: the application is told with the command itself, and the
    /// store lets go of it, and of it alone (rules H1 to H3).
    fn fail_write(&self, store: &dyn PublishStore, ack: &Message, sequence: u64) -> bool {
        let mut original = None;
        self.report_failed(|| {
            store.replay_single(sequence, &mut |stored| {
                let mut frame = Vec::new();
                encode_header(&mut frame, stored.sequence, &stored.command);
                frame.extend_from_slice(stored.command.data);
                original = Message::from_frame(Bytes::from(frame).slice(PREFIX..)).ok();
            })
        });
        let failed = original.as_ref().unwrap_or(ack);
        let told = self.callbacks.call_failed_write(failed, ack.reason());
        self.report_failed(|| store.discard_one(sequence));
        told
    }

    /// Calls a store on the receive thread, where nobody else can be told of an error or a panic.
    pub(crate) fn report_failed<T>(&self, call: impl FnOnce() -> Result<T>) -> Option<T> {
        let mut outcome: Option<Result<T, Error>> = None;
        let called = guarded(
            "call the store of",
            || self.name(),
            || {
                outcome = Some(call());
                Ok(())
            },
        );
        let error = match (called, outcome) {
            (Err(panicked), _) => panicked,
            (Ok(()), Some(Err(error))) => error,
            (Ok(()), Some(Ok(value))) => return Some(value),
            (Ok(()), None) => return None,
        };
        self.callbacks.report(&error);
        None
    }
}
