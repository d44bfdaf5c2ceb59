//! Publish stores and bookmark stores for the AMPS client.
//!
//! # Publish stores
//!
//! | store | survives | costs |
//! |---|---|---|
//! | [`MemoryPublishStore`] | the loss of a connection | a copy of each message |
//! | [`FilePublishStore`] | also the end of the process; with a [`SyncPolicy`], of the machine | a copy and a checksum |
//! | [`HybridPublishStore`] | as the file, for all but the newest messages | as memory, while the backlog is short |
//!
//! # Bookmark stores
//!
//! | store | after a restart | costs for each message |
//! |---|---|---|
//! | [`MemoryBookmarkStore`] | nothing; with a [`RecoveryPointAdapter`] the resume points | some look-ups |
//! | [`RingBookmarkStore`] | the resume points | a copy of the resume point when it moves |
//! | [`MmapBookmarkStore`] | everything, also what was discarded out of order | two copies of some 30 bytes |
//! | [`LoggedBookmarkStore`] | the same, without a memory map | two system calls |

#![deny(unsafe_code)]

#[allow(
    unsafe_code,
    reason = "maps files into memory; each block argues why it may"
)]
mod mapped_file;

mod bookmark;
mod publish;
mod recovery;

pub use bookmark::{
    BookmarkFileOptions, LoggedBookmarkStore, MemoryBookmarkStore, MmapBookmarkStore,
    RingBookmarkStore,
};
pub use publish::{
    FilePublishStore, FileStoreOptions, HybridPublishStore, MemoryPublishStore, SalvageReport,
    SyncPolicy,
};
pub use recovery::{
    ConflatingRecoveryPointAdapter, ConflatingRecoveryPointAdapterBuilder, DynamicRecoveryPoint,
    FixedRecoveryPoint, RecoveryPoint, RecoveryPointAdapter, SowRecoveryPointAdapter,
    SowRecoveryPointAdapterBuilder,
};
