//! What follows a logon, in the order of rule B12, before the client counts as recovered.

use super::Client;
use super::callbacks::ConnectionState;
use super::connection::{Connection, Phase};
use super::gate::Driving;
use super::shared::{Session, Shared};
use crate::error::{ErrorContext, Result};
use crate::handler::{drop_guarded, guarded};
use crate::message::Message;
use crate::version::VersionInfo;
use log::info;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;

type DeferredExecution = Box<dyn FnOnce(&Client) + Send>;

/// What the application wants to be run after the next recovery.
#[derive(Default)]
pub(crate) struct Deferred(Mutex<VecDeque<DeferredExecution>>);

/// Work for the moment when the client is whole again.
impl Client {
    /// Runs a closure once, when the next logon has done all that it does: after the replay of the
    /// publish store and after subscriptions have been entered again.
    ///
    /// It runs on the thread that logged on, in the order of the calls, with no lock of the client
    /// held; it may execute commands that wait. A panic goes to the exception listener, and the
    /// next one runs all the same. Not run by a logon that fails: it waits for one that succeeds.
    pub fn deferred_execution(&self, execution: impl FnOnce(&Client) + Send + 'static) {
        let mut deferred = self.shared().deferred.0.lock();
        deferred.push_back(Box::new(execution));
    }
}

impl Shared {
    /// From the server's word that the logon is accepted to the last subscription (rule B12).
    ///
    /// # Errors
    ///
    /// Whatever a step failed with. Then the connection is of no use: a client that goes on
    /// without its subscriptions, or with publishes that overtake stored ones, is not recovered
    /// (trap 95).
    pub(crate) fn restore(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        ack: &Message,
    ) -> Result<()> {
        self.restores(connection);
        // The thread of a connection that was lost just now may not have come to it yet, and its
        // routes would stand in the way of subscriptions that are entered again.
        self.end_routes(connection.number - 1);
        let version = VersionInfo::parse(ack.version());
        let (bookmarks, manager, has_publish_store) = {
            let stores = self.stores.lock();
            (
                stores.bookmark.clone(),
                stores.manager.clone(),
                stores.publish.is_some(),
            )
        };
        if let Some(bookmarks) = bookmarks {
            bookmarks.set_server_version(version.to_number());
        }
        self.agree_on_numbers(ack.sequence())?;
        let session = Session {
            version,
            name_hash: ack
                .bookmark()
                .split('|')
                .next()
                .unwrap_or_default()
                .to_string(),
        };
        self.take_step(connection, ConnectionState::LoggedOn, Some(session))?;
        info!("{} logged on to a server of version {version}", self.name());
        self.agree_on_heartbeat(connection);
        if connection.is_silent() {
            return Err(self.lost_meanwhile());
        }
        if has_publish_store {
            self.replay(connection)?;
            self.take_step(connection, ConnectionState::PublishReplayed, None)?;
        }
        if let Some(manager) = manager {
            let client = self.client(|| self.recovering())?;
            let mut entered = Ok(());
            guarded(
                "enter again the subscriptions of",
                || self.name(),
                || {
                    entered = manager.resubscribe(&client);
                    Ok(())
                },
            )?;
            entered?;
            self.take_step(connection, ConnectionState::Resubscribed, None)?;
        }
        Ok(())
    }

    /// Tells the listeners of a step, if the connection is still the live one.
    fn take_step(
        self: &Arc<Self>,
        connection: &Connection,
        step: ConnectionState,
        session: Option<Session>,
    ) -> Result<()> {
        {
            let mut state = self.state.lock();
            if !state.is_current(connection) {
                return Err(self.lost_meanwhile());
            }
            if session.is_some() {
                state.session = session;
            }
            state.tell(step);
        }
        self.announce();
        Ok(())
    }

    /// Ends a recovery under the state lock, and only if the connection that it made is still the
    /// live one: a connection that is lost before leaves the recovery to this thread, one that is
    /// lost afterwards begins the next.
    pub(crate) fn end_recovery(
        self: &Arc<Self>,
        connection: &Connection,
        driving: &Driving,
    ) -> Result<()> {
        let ended = {
            let mut state = self.state.lock();
            let is_current = state.is_current(connection);
            if is_current {
                driving.end(&mut state);
            }
            is_current
        };
        if !ended {
            return Err(self.lost_meanwhile());
        }
        self.gate.notify_all();
        Ok(())
    }

    pub(crate) fn lost_meanwhile(&self) -> crate::Error {
        self.recovering()
            .with_reason("the connection was lost before the recovery was done")
            .Disconnected()
    }

    fn recovering(&self) -> ErrorContext {
        ErrorContext::new("recover the client", self.name())
    }

    /// Gives up the connection of a logon that failed after the server had accepted it, or of an
    /// attempt that a supervisor does not go on with. No handler and no listener hears of an
    /// error: the caller does.
    pub(crate) fn abandon(self: &Arc<Self>, connection: &Arc<Connection>) {
        let taken = self.take_connection(Some(connection.number), Phase::Lost, |_| {});
        if taken.is_none() {
            return;
        }
        connection.transport.abandon_unsent();
        connection.transport.shutdown();
        self.acks.forget(connection.number);
        self.end_all(connection);
        self.go_offline();
        self.announce();
        self.lose_batch(connection);
    }

    /// Runs what was deferred to this moment. What is deferred meanwhile waits for the next.
    pub(crate) fn run_deferred(self: &Arc<Self>) {
        let count = self.deferred.0.lock().len();
        for _ in 0..count {
            let execution = self.deferred.0.lock().pop_front();
            let (Some(execution), Some(handle)) = (execution, self.handle.lock().upgrade()) else {
                return;
            };
            let client = Client { handle };
            let run = guarded(
                "run a deferred execution of",
                || self.name(),
                || {
                    execution(&client);
                    Ok(())
                },
            );
            if let Err(failure) = run {
                self.callbacks.report(&failure);
            }
        }
    }

    /// A handle for callbacks that are given a client.
    ///
    /// # Errors
    ///
    /// `Disconnected`: the last handle is gone, and nobody is left to do anything for.
    pub(crate) fn client(&self, context: impl FnOnce() -> ErrorContext) -> Result<Client> {
        match self.handle.lock().upgrade() {
            Some(handle) => Ok(Client { handle }),
            None => Err(context()
                .with_reason("the last handle of the client was dropped")
                .Disconnected()),
        }
    }
}

impl Drop for Deferred {
    fn drop(&mut self) {
        // Closures of the application, which may panic when they are dropped.
        drop_guarded(std::mem::take(self.0.get_mut()));
    }
}
