//! The stores and the subscription manager of a client, and the methods that set them.

use super::Client;
use super::shared::Shared;
#[cfg(doc)]
use crate::error::Error;
use crate::error::{ErrorContext, Result};
use crate::message::Message;
use crate::store::{BookmarkStore, PublishStore};
use crate::subscription_manager::SubscriptionManager;
use std::sync::Arc;

/// What outlives a connection.
#[derive(Default)]
pub(crate) struct Stores {
    /// The same one as under the send lock.
    pub(crate) publish: Option<Arc<dyn PublishStore>>,
    pub(crate) bookmark: Option<Arc<dyn BookmarkStore>>,
    pub(crate) manager: Option<Arc<dyn SubscriptionManager>>,
}

/// Stores and the subscription manager: what makes a client outlive its connections.
impl Client {
    /// Sets where publishes are kept until the server has persisted them. Default: nowhere.
    ///
    /// From then on every publish, delta publish and delete has a number, which the method returns,
    /// and is sent again after the next logon if the server has not persisted it by then. A store
    /// belongs to one client and to its name. Guide §9.2, §9.5; rules K1 to K16.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] while connected or connecting; nothing changes (rule B17).
    pub fn set_publish_store(&self, store: Arc<dyn PublishStore>) -> Result<()> {
        let shared = self.shared();
        let context = || ErrorContext::new("set the publish store of", shared.name());
        shared.check_not_in_store(context)?;
        let mut wire = shared.wire.lock();
        let changed = shared.change_stores(context, |stores| {
            let same = wire.store.replace(store.clone());
            (stores.publish.replace(store), same)
        });
        shared.unlock(wire);
        changed.map(drop)
    }

    /// Where publishes are kept.
    pub fn publish_store(&self) -> Option<Arc<dyn PublishStore>> {
        self.shared().stores.lock().publish.clone()
    }

    /// How many publishes and deletes the server has not persisted yet; 0 without a publish store.
    /// Guide §9.5; rule K5.
    pub fn unpersisted_count(&self) -> usize {
        self.publish_store()
            .map_or(0, |store| store.unpersisted_count())
    }

    /// Sets what remembers which messages of bookmark subscriptions have arrived and which the
    /// application is done with. Default: nothing does. Guide §9.2, §9.6; rules L1 to L22.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] while connected or connecting; nothing changes (rule B17).
    pub fn set_bookmark_store(&self, store: Arc<dyn BookmarkStore>) -> Result<()> {
        let shared = self.shared();
        let context = || ErrorContext::new("set the bookmark store of", shared.name());
        let old = shared.change_stores(context, |stores| stores.bookmark.replace(store))?;
        drop(old);
        Ok(())
    }

    /// What remembers the messages of bookmark subscriptions.
    pub fn bookmark_store(&self) -> Option<Arc<dyn BookmarkStore>> {
        self.shared().stores.lock().bookmark.clone()
    }

    /// Tells the bookmark store that the application is done with a message: it will not come
    /// again, and the subscription can resume after it once all before it are discarded, too.
    ///
    /// The order is free. Without a bookmark store, and for a message without a bookmark, it does
    /// nothing. May be called from any thread, also in a handler. Guide §9.6; rule L7.
    ///
    /// # Errors
    ///
    /// [`Error::Store`]: it was not noted, and the message will come again.
    pub fn discard(&self, message: &Message) -> Result<()> {
        let Some(store) = self.bookmark_store() else {
            return Ok(());
        };
        match (message.bookmark_seq_no(), message.bookmark()) {
            (0, "") => Ok(()),
            (0, bookmark) => store.discard_bookmark(message.sub_id(), bookmark),
            (sequence, _) => store.discard(message.sub_id(), sequence),
        }
    }

    /// Sets who enters subscriptions again after a logon, such as
    /// [`MemorySubscriptionManager`](crate::MemorySubscriptionManager). Default: nobody does, and
    /// subscriptions are gone with their connection. Guide §9.6; rules M1 to M10.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] while connected or connecting; nothing changes (rule B17).
    pub fn set_subscription_manager(&self, manager: Arc<dyn SubscriptionManager>) -> Result<()> {
        let shared = self.shared();
        let context = || ErrorContext::new("set the subscription manager of", shared.name());
        let old = shared.change_stores(context, |stores| stores.manager.replace(manager))?;
        drop(old);
        Ok(())
    }

    /// Who enters subscriptions again after a logon.
    pub fn subscription_manager(&self) -> Option<Arc<dyn SubscriptionManager>> {
        self.shared().stores.lock().manager.clone()
    }

    /// Sets whether commands that wait for the server outlive a loss of the connection. Default:
    /// they do not, and end with [`Error::Disconnected`].
    ///
    /// If they do, such a command waits, within its own timeout, until the client has recovered
    /// (logged on again, replayed and resubscribed), and is then sent again: also one that is
    /// executed while a recovery is under way. If nobody recovers the client (no disconnect
    /// handler, or one that does not connect), it ends with [`Error::Disconnected`] all the same.
    /// Publishes are not concerned: they are the publish store's. A thread that a disconnect
    /// handler or a listener waits for must not execute commands that wait: they wait for the
    /// recovery, and so for that handler. Rules I6, I9, I11.
    pub fn set_retry_on_disconnect(&self, retry: bool) {
        self.shared().settings.lock().retry_on_disconnect = retry;
    }

    /// Whether commands that wait for the server outlive a loss of the connection.
    pub fn retry_on_disconnect(&self) -> bool {
        self.shared().settings.lock().retry_on_disconnect
    }
}

impl Shared {
    /// Changes a store, unless something is using it: then it is an error.
    fn change_stores<T>(
        &self,
        context: impl FnOnce() -> ErrorContext,
        change: impl FnOnce(&mut Stores) -> T,
    ) -> Result<T> {
        let state = self.state.lock();
        let is_in_use =
            state.connection.is_some() || state.dialing.is_some() || state.recovery.is_some();
        if is_in_use {
            drop(state);
            return Err(context()
                .with_reason("the client is connected or connecting")
                .Usage());
        }
        Ok(change(&mut self.stores.lock()))
    }
}
