//! The bookmark store without a file.

use super::keeper::Nothing;
use super::subscriptions::Subscriptions;
use super::tracked::{Moved, Tracked};
use crate::recovery::{RecoveryPoint, RecoveryPointAdapter, Teller};
#[cfg(doc)]
use amps_core::Error;
use amps_core::{BookmarkResizeHandler, BookmarkStore, Logged, Result};
use std::fmt;

/// A bookmark store in memory: it survives the loss of a connection, and with an adapter for
/// recovery points also the end of the process.
///
/// Guide §9.2, §9.6; rules L and P.
///
/// ```
/// use amps_core::{BookmarkStore, Logged};
/// use amps_stores::MemoryBookmarkStore;
///
/// let store = MemoryBookmarkStore::new();
/// for bookmark in ["7|1|", "7|2|", "7|3|"] {
///     store.log("orders", bookmark)?;
/// }
/// store.discard("orders", 1)?;
/// store.discard("orders", 3)?;
/// // The second message comes again, the third does not.
/// assert_eq!(store.most_recent("orders")?, "7|1|");
/// assert_eq!(store.log("orders", "7|2|")?, Logged::Undiscarded(2));
/// assert_eq!(store.log("orders", "7|3|")?, Logged::Discarded);
/// # Ok::<(), amps_core::Error>(())
/// ```
pub struct MemoryBookmarkStore {
    inner: Tracked<Nothing>,
    teller: Option<Teller>,
}

impl MemoryBookmarkStore {
    /// An empty store.
    pub fn new() -> MemoryBookmarkStore {
        MemoryBookmarkStore {
            inner: Tracked::new(Nothing, Subscriptions::default()),
            teller: None,
        }
    }

    /// A store that begins with the recovery points of an adapter, and tells it of each new one
    /// (rules P1 to P4).
    ///
    /// The adapter is told on the thread that moved the point, with no lock held, and its error is
    /// the error of that call, though the change is made; only of `log` it is logged, because the
    /// message is to be delivered. Do not purge while messages come: a point
    /// may be kept that is told at that moment. Dropping the store closes the adapter.
    ///
    /// # Errors
    ///
    /// What [`recover`](RecoveryPointAdapter::recover) of the adapter returns.
    pub fn with_adapter(
        adapter: impl RecoveryPointAdapter + 'static,
    ) -> Result<MemoryBookmarkStore> {
        let (teller, recovered) = Teller::new(Box::new(adapter))?;
        let mut store = MemoryBookmarkStore::new();
        for point in recovered {
            store.inner.restore(point.sub_id(), &point.bookmark())?;
        }
        store.teller = Some(teller);
        Ok(store)
    }

    fn tell_if_moved(&self, sub_id: &str, moved: Moved) -> Result<()> {
        match &self.teller {
            Some(teller) if moved == Moved::Perhaps => {
                teller.tell(sub_id, &|sub_id| self.inner.resume_point(sub_id))
            }
            _ => Ok(()),
        }
    }
}

impl BookmarkStore for MemoryBookmarkStore {
    fn log(&self, sub_id: &str, bookmark: &str) -> Result<Logged> {
        let (logged, moved) = self.inner.log(sub_id, bookmark)?;
        // It is noted, and the message is to be delivered.
        if let Err(error) = self.tell_if_moved(sub_id, moved) {
            log::warn!("the recovery point of {sub_id} was not kept: {error}");
        }
        Ok(logged)
    }

    fn discard(&self, sub_id: &str, sequence: u64) -> Result<()> {
        let moved = self.inner.discard(sub_id, sequence)?;
        self.tell_if_moved(sub_id, moved)
    }

    fn discard_bookmark(&self, sub_id: &str, bookmark: &str) -> Result<()> {
        let moved = self.inner.discard_bookmark(sub_id, bookmark)?;
        self.tell_if_moved(sub_id, moved)
    }

    fn is_discarded(&self, sub_id: &str, bookmark: &str) -> bool {
        self.inner.is_discarded(sub_id, bookmark)
    }

    fn most_recent(&self, sub_id: &str) -> Result<String> {
        self.inner.most_recent(sub_id)
    }

    fn enter(&self, sub_id: &str, bookmark: &str) -> Result<()> {
        let moved = self.inner.enter(sub_id, bookmark)?;
        self.tell_if_moved(sub_id, moved)
    }

    fn completed(&self, sub_id: &str, bookmark: &str) -> Result<()> {
        let moved = self.inner.completed(sub_id, bookmark)?;
        self.tell_if_moved(sub_id, moved)
    }

    fn persisted(&self, sub_id: &str, bookmark: &str) -> Result<()> {
        let moved = self.inner.persisted(sub_id, bookmark)?;
        self.tell_if_moved(sub_id, moved)
    }

    fn oldest_bookmark_seq(&self, sub_id: &str) -> u64 {
        self.inner.oldest_bookmark_seq(sub_id)
    }

    fn purge(&self) -> Result<()> {
        if let Some(teller) = &self.teller {
            teller.adapter().purge()?;
        }
        self.inner.purge()
    }

    fn purge_sub(&self, sub_id: &str) -> Result<()> {
        if let Some(teller) = &self.teller {
            teller.adapter().purge_sub(sub_id)?;
        }
        self.inner.purge_sub(sub_id)
    }

    fn set_resize_handler(&self, handler: BookmarkResizeHandler) {
        self.inner.set_resize_handler(handler);
    }
}

impl Drop for MemoryBookmarkStore {
    fn drop(&mut self) {
        if let Some(teller) = &self.teller
            && let Err(error) = teller.adapter().close()
        {
            log::warn!("an adapter for recovery points was not closed well: {error}");
        }
    }
}

impl Default for MemoryBookmarkStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryBookmarkStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBookmarkStore")
            .finish_non_exhaustive()
    }
}
