//! Commands that outlive the connection they were sent over (rules I6, I9, I11).
//!
//! The caller itself sends its command again, when the gate opens: so its timeout holds, and the
//! command is entered once, by the caller and not by the subscription manager, which hears of it
//! only when the server has accepted it.

use super::ask::Patience;
use super::connection::Connection;
use super::execute::{Executed, Request};
use super::plan::context;
use super::shared::Shared;
use crate::command::Command;
use crate::command_type::CommandType;
use crate::error::{Error, Result};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The commands that would be sent again after a loss: for whoever unsubscribes one meanwhile.
#[derive(Default)]
pub(crate) struct Retries(Mutex<Vec<Arc<Retry>>>);

struct Retry {
    /// Empty if it is not a subscription.
    sub_id: String,
    /// Empty if it is not a query.
    query_id: String,
    command_id: String,
    is_cancelled: AtomicBool,
}

/// A place in [`Retries`]; dropping it gives the place up.
pub(crate) struct Ticket<'a> {
    retries: &'a Retries,
    retry: Arc<Retry>,
}

impl Ticket<'_> {
    /// True if it was unsubscribed.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.retry.is_cancelled.load(Ordering::SeqCst)
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut retries = self.retries.0.lock();
        retries.retain(|retry| !Arc::ptr_eq(retry, &self.retry));
    }
}

impl Retries {
    fn enter(&self, command: &Command) -> Ticket<'_> {
        let id = |applies: bool, id: &str| match applies {
            true => id.to_string(),
            false => String::new(),
        };
        let retry = Arc::new(Retry {
            sub_id: id(command.is_subscribe(), command.sub_id()),
            query_id: id(command.is_sow(), command.query_id()),
            command_id: command.command_id().to_string(),
            is_cancelled: AtomicBool::new(false),
        });
        self.0.lock().push(retry.clone());
        Ticket {
            retries: self,
            retry,
        }
    }

    /// Cancels what an unsubscribe of `ids` ends: a comma list, or `all` subscriptions.
    pub(crate) fn cancel(&self, ids: &str) {
        for retry in self.0.lock().iter() {
            let is_subscription = !retry.sub_id.is_empty();
            let is_meant = |id: &str| {
                let is_receiving = is_subscription || !retry.query_id.is_empty();
                is_receiving
                    && [&retry.sub_id, &retry.query_id, &retry.command_id]
                        .iter()
                        .any(|own| !own.is_empty() && *own == id)
            };
            if (ids == "all" && is_subscription) || ids.split(',').map(str::trim).any(is_meant) {
                retry.is_cancelled.store(true, Ordering::SeqCst);
            }
        }
    }
}

impl Shared {
    /// True if a loss does not end this command. Never for publishes, which are the store's, nor
    /// on a receive thread, where nothing can be waited for.
    pub(crate) fn is_retried(&self, command: &Command) -> bool {
        let kind = command.command();
        let is_retriable = kind.is_subscribe()
            || matches!(
                kind,
                CommandType::Sow
                    | CommandType::SowDelete
                    | CommandType::Flush
                    | CommandType::Unsubscribe
                    | CommandType::StartTimer
                    | CommandType::StopTimer
            );
        is_retriable && self.settings.lock().retry_on_disconnect && !self.is_on_receive_thread()
    }

    /// Executes a command, after each loss anew, until it is decided or its time is over.
    pub(crate) fn execute_with_retry(self: &Arc<Self>, request: &Request) -> Result<Executed> {
        let ticket = self.retries.enter(&request.command);
        let context = || context(&request.command);
        loop {
            let connection = self.ready_connection(true, request.patience, context)?;
            match self.attempt(request, &connection, Some(&ticket)) {
                Err(Error::Disconnected(_)) => self.wait_for_loss(&connection, request.patience),
                decided => return decided,
            }
        }
    }

    /// Waits until the receive thread has noticed what a sender has noticed before it.
    fn wait_for_loss(&self, connection: &Connection, patience: Patience) {
        let mut state = self.state.lock();
        while state.is_current(connection) {
            match patience.deadline() {
                None => self.gate.wait(&mut state),
                Some(deadline) => {
                    if self.gate.wait_until(&mut state, deadline).timed_out() {
                        return;
                    }
                }
            }
        }
    }
}
