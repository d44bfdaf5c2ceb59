//! Bookmark stores: four of them, one set of rules.
//!
//! What happens to a subscription is an [event]; the rules are in
//! [subscription], which knows no files; a [store](tracked) makes events under one
//! lock, and a [keeper] keeps them, or what they lead to, in a [journal].

mod delegate;
mod entry_point;
mod event;
mod file;
mod format;
mod journal;
mod keeper;
mod list;

mod memory;
mod options;
mod position;
mod publishers;
mod recover;
mod subscription;
mod subscriptions;
mod tracked;
mod with_file;

pub use memory::MemoryBookmarkStore;
pub use options::BookmarkFileOptions;
pub use with_file::{LoggedBookmarkStore, MmapBookmarkStore, RingBookmarkStore};
