//! Bookmark stores whose file holds every change.

use super::delegate::delegate_bookmark_store;
use super::keeper::{FullLog, Ring};
use super::options::BookmarkFileOptions;
use super::tracked::Tracked;
use crate::mapped_file::{MappedFile, PlainFile};
use amps_core::Result;
#[cfg(doc)]
use amps_core::{BookmarkStore, Error};
use std::fmt;
use std::path::Path;

macro_rules! store_with_a_file {
    ($(#[$doc:meta])* $store:ident, $keeper:ident, $file:ty) => {
        $(#[$doc])*
        pub struct $store {
            inner: Tracked<$keeper<$file>>,
        }

        delegate_bookmark_store!($store);

        impl $store {
            /// Opens the file, or makes it, with the default options.
            ///
            /// # Errors
            ///
            /// As [`open_with`](Self::open_with).
            pub fn open(path: impl AsRef<Path>) -> Result<Self> {
                Self::open_with(path, BookmarkFileOptions::new())
            }

            /// Opens the file, or makes it.
            ///
            /// A change that was being written when a process died is cut off, with a logged
            /// warning.
            ///
            /// # Errors
            ///
            /// [`Error::Store`], and the file is untouched: another store has it open; it is no
            /// file of this kind of store, of a newer version, or of another client; it is damaged
            /// in its middle, and [`set_salvage`](BookmarkFileOptions::set_salvage) is off; or the
            /// system refused.
            pub fn open_with(path: impl AsRef<Path>, options: BookmarkFileOptions) -> Result<Self> {
                let (keeper, stale, all) = $keeper::<$file>::open(path.as_ref(), options)?;
                let store = $store { inner: Tracked::new(keeper, all) };
                if stale && let Err(error) = store.prune() {
                    log::warn!("a bookmark store could not be pruned: {error}");
                }
                Ok(store)
            }

            /// Rewrites the file, so that it holds what is needed to resume and no more, and syncs
            /// it (rule L17).
            ///
            /// At any instant the file is the old one or the new one. Changes that other threads
            /// make wait until it is done, and none is lost. Files also prune themselves, see
            /// [`set_prune_above`](BookmarkFileOptions::set_prune_above).
            ///
            /// # Errors
            ///
            /// [`Error::Store`]: the file holds what it held.
            pub fn prune(&self) -> Result<()> {
                self.inner.prune()
            }
        }

        impl fmt::Debug for $store {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($store)).finish_non_exhaustive()
            }
        }
    };
}

store_with_a_file! {
    /// A bookmark store that appends every change to a file with plain writes.
    ///
    /// After a restart it knows everything that it knew: where to resume, and each message that
    /// was discarded out of order. What was returned from survives the death of the process at any
    /// instant, and with
    /// [`set_sync_every_change`](BookmarkFileOptions::set_sync_every_change) a loss of power.
    /// Guide §9.2, §9.6; rule L17.
    ///
    /// ```
    /// use amps_core::{BookmarkStore, Logged};
    /// use amps_stores::LoggedBookmarkStore;
    ///
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("bookmarks");
    /// let store = LoggedBookmarkStore::open(&path)?;
    /// let logged = store.log("orders", "4418602183412675531|907|")?;
    /// assert_eq!(logged, Logged::Undiscarded(1));
    /// store.discard("orders", 1)?;
    /// drop(store);
    ///
    /// let store = LoggedBookmarkStore::open(&path)?;
    /// assert_eq!(store.most_recent("orders")?, "4418602183412675531|907|");
    /// # Ok::<(), amps_core::Error>(())
    /// ```
    LoggedBookmarkStore, FullLog, PlainFile
}

store_with_a_file! {
    /// A bookmark store that appends every change to a file mapped into memory.
    ///
    /// It keeps what a [`LoggedBookmarkStore`] keeps, in the same
    /// format, without a system call per change; the file is longer than its content, and grows
    /// in steps that are allocated before they are used. For local disks. Guide §9.2, §9.6; rule
    /// L17.
    MmapBookmarkStore, FullLog, MappedFile
}

store_with_a_file! {
    /// A bookmark store whose file keeps only where each subscription resumes.
    ///
    /// The file stays short, and a change that does not move the resume point is not written.
    /// After a restart nothing later is known: messages that were discarded out of order, or whose
    /// publishers another server's log has in another order, come again (rule L18). It may be read
    /// as the memory store with a memory of its resume points.
    ///
    /// A failing write leaves the file behind, never ahead: the call returns the error, the change
    /// counts for this run, and the next one writes again.
    RingBookmarkStore, Ring, MappedFile
}
