//! What the client tells its subscription manager, and what a manager asks of the client.

use super::Client;
use super::execute::Manner;
use super::plan::context;
use super::route::{Route, Sink};
use super::shared::Shared;
use crate::command::Command;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::handler::{HandlerOutcome, MessageHandler, guarded};
use crate::message::Message;
use crate::subscription_manager::{SubscriptionHandler, SubscriptionManager};

/// Subscriptions that outlive their connection, and those that do not.
impl Client {
    /// As [`Client::execute_async`], for a subscription that the subscription manager is not told
    /// of: it is gone with its connection. Rule M1.
    ///
    /// # Errors
    ///
    /// As [`Client::execute`].
    pub fn execute_async_no_resubscribe<H, O>(&self, command: Command, handler: H) -> Result<String>
    where
        H: FnMut(&Message) -> O + Send + 'static,
        O: HandlerOutcome,
    {
        let sink = Sink::Handler(MessageHandler::new(handler));
        let executed = self.shared().execute_in(Manner::Untracked, command, sink)?;
        Ok(executed.id)
    }

    /// Enters a subscription again with the handler that it had, and waits for the server to accept
    /// it: for subscription managers, in [`SubscriptionManager::resubscribe`].
    ///
    /// The command is sent as it is, with a bookmark of
    /// [`MOST_RECENT`](crate::bookmark::MOST_RECENT) resolved. The subscription manager is not told
    /// of it. Nothing happens if the application has entered a subscription of this id over the new
    /// connection already.
    ///
    /// # Errors
    ///
    /// As [`Client::execute`]; also a loss of the connection ends it with
    /// [`Error::Disconnected`].
    pub fn resubscribe(
        &self,
        command: Command,
        handler: Option<&SubscriptionHandler>,
    ) -> Result<()> {
        let shared = self.shared();
        if handler.is_some() {
            let connection = shared.restored_connection(|| context(&command))?;
            let known = shared.routes.get(command.sub_id().as_bytes());
            if known.is_some_and(|route| route.connection == connection.number) {
                return Ok(());
            }
        }
        let sink = match handler {
            Some(handler) => Sink::Handler(handler.0.clone()),
            None => Sink::Nobody,
        };
        shared.execute_in(Manner::Again, command, sink)?;
        Ok(())
    }
}

impl Shared {
    /// Tells the subscription manager of a subscription that the server has just accepted: on the
    /// receive thread, so that it knows before a loss can be noticed, and before the caller goes on.
    pub(crate) fn track(&self, route: &Route) {
        let Some(tracked) = &route.tracked else {
            if route.replaces && matches!(route.sink, Sink::Stream(_)) {
                // What had a handler is a stream now, which ends with the connection.
                self.untrack(&route.sub_id);
            }
            return;
        };
        if !route.begin_tracking() {
            return;
        }
        self.tell_manager(|manager| manager.subscribe((**tracked).clone()));
        if route.is_given_up() {
            self.untrack(&route.sub_id);
        }
    }

    /// Lets the subscription manager forget subscriptions: an id, a comma list, or `all`.
    pub(crate) fn untrack(&self, ids: &str) {
        self.tell_manager(|manager| manager.unsubscribe(ids));
    }

    /// After a deliberate disconnect nothing comes back (rule B16).
    pub(crate) fn forget_subscriptions(&self) {
        self.tell_manager(|manager| manager.clear());
    }

    /// Calls the subscription manager with no lock held; a panic of it goes to the exception
    /// listener.
    pub(crate) fn tell_manager(&self, tell: impl FnOnce(&dyn SubscriptionManager)) {
        let manager = self.stores.lock().manager.clone();
        let Some(manager) = manager else {
            return;
        };
        let told = guarded(
            "tell the subscription manager of",
            || self.name(),
            || {
                tell(&*manager);
                Ok(())
            },
        );
        if let Err(failure) = told {
            self.callbacks.report(&failure);
        }
    }
}
