//! Publish stores and bookmark stores for the AMPS client.

#![deny(unsafe_code)]

#[allow(
    unsafe_code,
    reason = "maps files into memory; each block argues why it may"
)]
mod mapped_file;

mod bookmark;

pub use bookmark::{
    BookmarkFileOptions, LoggedBookmarkStore, MemoryBookmarkStore, MmapBookmarkStore,
    RingBookmarkStore,
};
