//! What the application wants to be told, and connection states.

use super::Client;
use crate::command_type::CommandType;
use crate::error::{Error, Result};
use crate::handler::{MessageHandler, guarded};
use crate::message::Message;
use log::{trace, warn};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A step in the life of a connection, as a connection state listener is told.
///
/// The numbers are those of the C++ client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u32)]
pub enum ConnectionState {
    /// There is no connection any more.
    Disconnected = 0,
    /// `disconnect` was called.
    Shutdown = 1,
    /// The socket is connected.
    Connected = 2,
    /// The server accepted the logon.
    LoggedOn = 4,
    /// What the publish store held was sent again.
    PublishReplayed = 8,
    /// Heartbeats were agreed on with the server.
    HeartbeatInitiated = 16,
    /// Subscriptions were entered again.
    Resubscribed = 32,
}

/// Names a connection state listener, to remove it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListenerId(u64);

type Slot<T> = Mutex<Option<Arc<T>>>;
type StateListener = dyn Fn(ConnectionState) + Send + Sync;
type DisconnectHandler = dyn FnMut(&Client) -> Result<()> + Send;
type FailedWriteHandler = dyn FnMut(&Message, &str) + Send;

/// The callbacks of a client. Each is taken out of its lock before it runs.
#[derive(Default)]
pub(crate) struct Callbacks {
    exception_listener: Slot<dyn Fn(&Error) + Send + Sync>,
    thread_created: Slot<dyn Fn() + Send + Sync>,
    disconnect_handler: Slot<Mutex<DisconnectHandler>>,
    failed_write: Slot<Mutex<FailedWriteHandler>>,
    last_chance: Mutex<Option<MessageHandler>>,
    duplicate: Mutex<Option<MessageHandler>>,
    by_command: Mutex<FxHashMap<CommandType, MessageHandler>>,
    /// Spares the receive thread a lock per message when there is none.
    any_by_command: AtomicBool,
    state_listeners: Mutex<Vec<(ListenerId, Arc<StateListener>)>>,
    next_listener: AtomicU64,
}

impl Callbacks {
    pub(crate) fn set_exception_listener(&self, listener: Arc<dyn Fn(&Error) + Send + Sync>) {
        let old = self.exception_listener.lock().replace(listener);
        drop(old);
    }

    pub(crate) fn set_thread_created(&self, callback: Arc<dyn Fn() + Send + Sync>) {
        let old = self.thread_created.lock().replace(callback);
        drop(old);
    }

    pub(crate) fn set_disconnect_handler(&self, handler: Arc<Mutex<DisconnectHandler>>) {
        let old = self.disconnect_handler.lock().replace(handler);
        drop(old);
    }

    pub(crate) fn set_failed_write(&self, handler: Arc<Mutex<FailedWriteHandler>>) {
        let old = self.failed_write.lock().replace(handler);
        drop(old);
    }

    /// Tells the failed write handler of what failed: the command if it is at hand, else the
    /// acknowledgement. False if there is none.
    pub(crate) fn call_failed_write(&self, failed: &Message, reason: &str) -> bool {
        let handler = self.failed_write.lock().clone();
        let Some(handler) = handler else {
            return false;
        };
        let mut handler = handler.lock();
        let called = guarded("run the failed write handler", String::new, || {
            handler(failed, reason);
            Ok(())
        });
        drop(handler);
        if let Err(failure) = called {
            self.report(&failure);
        }
        true
    }

    pub(crate) fn set_last_chance(&self, handler: MessageHandler) {
        let old = self.last_chance.lock().replace(handler);
        drop(old);
    }

    pub(crate) fn set_duplicate(&self, handler: MessageHandler) {
        let old = self.duplicate.lock().replace(handler);
        drop(old);
    }

    /// Hands over a message that the application has discarded before.
    pub(crate) fn call_duplicate(&self, message: &Message) {
        let handler = self.duplicate.lock().clone();
        self.call(handler, message);
    }

    pub(crate) fn set_by_command(&self, command: CommandType, handler: MessageHandler) {
        let old = self.by_command.lock().insert(command, handler);
        self.any_by_command.store(true, Ordering::Release);
        drop(old);
    }

    pub(crate) fn add_state_listener(&self, listener: Arc<StateListener>) -> ListenerId {
        let id = ListenerId(self.next_listener.fetch_add(1, Ordering::Relaxed));
        self.state_listeners.lock().push((id, listener));
        id
    }

    pub(crate) fn remove_state_listener(&self, id: ListenerId) -> bool {
        let mut listeners = self.state_listeners.lock();
        let Some(at) = listeners.iter().position(|(known, _)| *known == id) else {
            return false;
        };
        let removed = listeners.remove(at);
        drop(listeners);
        drop(removed);
        true
    }

    pub(crate) fn clear_state_listeners(&self) {
        let removed = std::mem::take(&mut *self.state_listeners.lock());
        drop(removed);
    }

    /// Tells the exception listener; without one the error is only logged.
    pub(crate) fn report(&self, error: &Error) {
        let listener = self.exception_listener.lock().clone();
        let Some(listener) = listener else {
            warn!("no exception listener for: {error}");
            return;
        };
        let told = guarded("tell the exception listener", String::new, || {
            listener(error);
            Ok(())
        });
        if let Err(failure) = told {
            warn!("{failure}, which was told of: {error}");
        }
    }

    pub(crate) fn announce(&self, state: ConnectionState) {
        let listeners = self.state_listeners.lock().clone();
        for (_, listener) in listeners {
            let told = guarded("tell a connection state listener", String::new, || {
                listener(state);
                Ok(())
            });
            if let Err(failure) = told {
                self.report(&failure);
            }
        }
    }

    pub(crate) fn thread_created(&self) {
        let callback = self.thread_created.lock().clone();
        if let Some(callback) = callback {
            let called = guarded("call the thread created callback", String::new, || {
                callback();
                Ok(())
            });
            if let Err(failure) = called {
                self.report(&failure);
            }
        }
    }

    pub(crate) fn has_disconnect_handler(&self) -> bool {
        self.disconnect_handler.lock().is_some()
    }

    /// Runs the disconnect handler; its error goes to the exception listener (rule I4). One that is
    /// at work may make this loss good, too, while this call waits for it: `is_needed` tells.
    pub(crate) fn disconnected(&self, client: &Client, is_needed: impl FnOnce() -> bool) {
        let handler = self.disconnect_handler.lock().clone();
        if let Some(handler) = handler {
            let mut handler = handler.lock();
            if !is_needed() {
                return;
            }
            let called = guarded("run the disconnect handler", String::new, || {
                handler(client).map_err(Into::into)
            });
            // The listener must not run under the lock of the handler.
            drop(handler);
            if let Err(failure) = called {
                self.report(&failure);
            }
        }
    }

    /// True if some handler wants every message of a type.
    #[inline]
    pub(crate) fn has_any_by_command(&self) -> bool {
        self.any_by_command.load(Ordering::Acquire)
    }

    /// Hands a message to the handler of its type; true if there is one.
    pub(crate) fn call_by_command(&self, message: &Message) -> bool {
        let handler = self.by_command.lock().get(&message.command()).cloned();
        self.call(handler, message)
    }

    /// Hands a message that nobody took to the last chance handler.
    pub(crate) fn call_last_chance(&self, message: &Message) {
        let handler = self.last_chance.lock().clone();
        if !self.call(handler, message) {
            trace!("nobody took {message:?}");
        }
    }

    fn call(&self, handler: Option<MessageHandler>, message: &Message) -> bool {
        let Some(handler) = handler else {
            return false;
        };
        if let Err(error) = handler.call(message) {
            self.report(&error);
        }
        true
    }
}
