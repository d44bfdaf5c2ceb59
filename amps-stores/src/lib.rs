//! Publish stores and bookmark stores for the AMPS client.
//!
//! # Publish stores
//!
//! | store | survives | costs |
//! |---|---|---|
//! | [`MemoryPublishStore`] | the loss of a connection | a copy of each message |
//! | [`FilePublishStore`] | also the end of the process; with a [`SyncPolicy`], of the machine | a copy and a checksum |

#![deny(unsafe_code)]

#[allow(
    unsafe_code,
    reason = "maps files into memory; each block argues why it may"
)]
mod mapped_file;

mod bookmark;
mod publish;

pub use bookmark::{
    BookmarkFileOptions, LoggedBookmarkStore, MemoryBookmarkStore, MmapBookmarkStore,
    RingBookmarkStore,
};
pub use publish::{
    FilePublishStore, FileStoreOptions, MemoryPublishStore, SalvageReport, SyncPolicy,
};
