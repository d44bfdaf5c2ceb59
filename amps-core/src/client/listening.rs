//! The methods that set callbacks.

use super::{Client, ConnectionState, ListenerId};
use crate::command_type::CommandType;
use crate::error::{Error, Result};
use crate::handler::{HandlerOutcome, MessageHandler};
use crate::message::Message;
use parking_lot::Mutex;
use std::sync::Arc;

/// Callbacks. Each replaces the one before it; each runs with no lock of the client held.
impl Client {
    /// Sets who is told of errors that no caller can be told of: a lost connection, a handler
    /// that failed or panicked. Runs on the thread where it happened, mostly the receive thread.
    /// Default: such errors are logged and otherwise ignored. Guide §5.4.
    pub fn set_exception_listener(&self, listener: impl Fn(&Error) + Send + Sync + 'static) {
        let listener = Arc::new(listener);
        self.shared().callbacks.set_exception_listener(listener);
    }

    /// Sets who is told when the server could not persist a publish or delete: with the message as
    /// it was published, and the reason.
    ///
    /// The message comes from the publish store, which then lets go of it: it is not sent again.
    /// Without a store, or if that does not have it any more, the handler gets the acknowledgement
    /// instead; and without one the server tells this only of commands that asked for the persisted
    /// acknowledgement. A duplicate is no failed
    /// write, because the server has the message. Runs on the receive thread. Default: such
    /// acknowledgements go to the last chance handler. Guide §5.5; rules H1, H2, H4, H6, H7.
    pub fn set_failed_write_handler(&self, handler: impl FnMut(&Message, &str) + Send + 'static) {
        let handler = Arc::new(Mutex::new(handler));
        self.shared().callbacks.set_failed_write(handler);
    }

    /// Sets who gets the messages that nobody else took. Runs on the receive thread. Default:
    /// they are dropped. Guide §5.3.
    pub fn set_last_chance_message_handler<H, O>(&self, handler: H)
    where
        H: FnMut(&Message) -> O + Send + 'static,
        O: HandlerOutcome,
    {
        let handler = MessageHandler::new(handler);
        self.shared().callbacks.set_last_chance(handler);
    }

    /// Sets who gets every message of one type, after the handler or stream that it is routed to.
    /// Runs on the receive thread. Default: nobody.
    pub fn set_global_command_type_message_handler<H, O>(&self, command: CommandType, handler: H)
    where
        H: FnMut(&Message) -> O + Send + 'static,
        O: HandlerOutcome,
    {
        let handler = MessageHandler::new(handler);
        self.shared().callbacks.set_by_command(command, handler);
    }

    /// Sets what is called when the connection is lost, not when it is closed on purpose.
    ///
    /// Runs on the receive thread of the lost connection, after every stream has ended; it may
    /// connect, log on and subscribe again, because the new connection has a thread of its own.
    /// An error or a panic goes to the exception listener. Default: none, the client stays
    /// disconnected. Guide §5.2; rules I1 to I5.
    pub fn set_disconnect_handler(
        &self,
        handler: impl FnMut(&Client) -> Result<()> + Send + 'static,
    ) {
        let handler = Arc::new(Mutex::new(handler));
        self.shared().callbacks.set_disconnect_handler(handler);
    }

    /// Sets what runs first on each new receive thread, such as naming or pinning it.
    pub fn set_thread_created_callback(&self, callback: impl Fn() + Send + Sync + 'static) {
        self.shared()
            .callbacks
            .set_thread_created(Arc::new(callback));
    }

    /// Adds a listener for the steps of the connection; runs on the thread that takes the step.
    pub fn add_connection_state_listener(
        &self,
        listener: impl Fn(ConnectionState) + Send + Sync + 'static,
    ) -> ListenerId {
        self.shared()
            .callbacks
            .add_state_listener(Arc::new(listener))
    }

    /// Removes a listener; false if it is not there.
    pub fn remove_connection_state_listener(&self, id: ListenerId) -> bool {
        self.shared().callbacks.remove_state_listener(id)
    }

    /// Removes every listener for the steps of the connection.
    pub fn clear_connection_state_listeners(&self) {
        self.shared().callbacks.clear_state_listeners();
    }
}
