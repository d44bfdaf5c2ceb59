//! The bookmark store without a file.

use super::delegate::delegate_bookmark_store;
use super::keeper::Nothing;
use super::subscriptions::Subscriptions;
use super::tracked::Tracked;
use std::fmt;

/// A bookmark store in memory: it survives the loss of a connection, not the end of the process.
///
/// Guide §9.2, §9.6; rules L.
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
}

delegate_bookmark_store!(MemoryBookmarkStore);

impl MemoryBookmarkStore {
    /// An empty store.
    pub fn new() -> MemoryBookmarkStore {
        MemoryBookmarkStore {
            inner: Tracked::new(Nothing, Subscriptions::default()),
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
