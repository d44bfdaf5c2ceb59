//! Subscriptions that outlive their connection.

mod memory;
mod starts;

pub use memory::MemorySubscriptionManager;

use crate::ack::AckType;
use crate::client::Client;
use crate::command::Command;
use crate::error::{Error, Result};
use crate::handler::MessageHandler;
use std::fmt;
use std::time::Duration;

/// Is asked when a subscription cannot be entered again: what was sent, the acknowledgements that
/// the application wanted, and why. True forgets the subscription and goes on; false fails the
/// recovery, and with it the logon (rule M8).
pub type FailedResubscribeHandler = Box<dyn FnMut(&Command, AckType, &Error) -> bool + Send>;

/// Remembers the subscriptions that were placed with a handler, and enters them again after a
/// logon.
///
/// The client tells it of a subscription when the server has accepted it; streams, queries and
/// [`execute_async_no_resubscribe`](Client::execute_async_no_resubscribe) are not for it. Methods
/// are called with no lock of the client held: `subscribe` on the receive thread,
/// `resubscribe` on the thread that recovers the client, the others on any. Guide §9.6; rules M1
/// to M10.
pub trait SubscriptionManager: Send + Sync {
    /// Remembers a subscription, in place of one of the same id. One without a handler changes the
    /// command of the one that is there, and leaves it its handler (rules M5, D10).
    fn subscribe(&self, subscription: TrackedSubscription);

    /// Forgets subscriptions: an id, a comma list of ids, or `all` (rule M7).
    fn unsubscribe(&self, ids: &str);

    /// Notes that the server has paused these subscriptions, a comma list (rule M6).
    fn pause(&self, sub_ids: &str);

    /// Notes that these subscriptions, a comma list, are being resumed together (rule M6).
    fn resume(&self, sub_ids: &str);

    /// Forgets every subscription.
    fn clear(&self);

    /// Enters the subscriptions again, with [`Client::resubscribe`], after a logon and the replay
    /// of the publish store (rules M2 to M4, M10).
    ///
    /// # Errors
    ///
    /// Why one could not be entered; the recovery fails, the subscriptions stay remembered.
    fn resubscribe(&self, client: &Client) -> Result<()>;

    /// Sets who is asked when one cannot be entered. Default: nobody, the recovery fails.
    fn set_failed_resubscribe_handler(&self, handler: FailedResubscribeHandler);

    /// Sets how long each may take to be accepted; zero, the default, is no limit (rule M9).
    fn set_resubscription_timeout(&self, timeout: Duration);

    /// How long each may take to be accepted; zero is no limit.
    fn resubscription_timeout(&self) -> Duration;
}

/// The handler of a subscription. A clone is the same handler.
#[derive(Clone)]
pub struct SubscriptionHandler(pub(crate) MessageHandler);

impl fmt::Debug for SubscriptionHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubscriptionHandler")
    }
}

/// A subscription that the server has accepted: what was asked for, and who takes the messages.
#[derive(Debug, Clone)]
pub struct TrackedSubscription {
    command: Command,
    handler: Option<SubscriptionHandler>,
}

impl TrackedSubscription {
    pub(crate) fn new(
        command: Command,
        handler: Option<SubscriptionHandler>,
    ) -> TrackedSubscription {
        TrackedSubscription { command, handler }
    }

    /// The command with all its ids, and with the bookmark that was asked for.
    pub fn command(&self) -> &Command {
        &self.command
    }

    /// The handler; none if the command only changes a subscription that has one.
    pub fn handler(&self) -> Option<&SubscriptionHandler> {
        self.handler.as_ref()
    }

    /// The id of the subscription.
    pub fn sub_id(&self) -> &str {
        self.command.sub_id()
    }
}
