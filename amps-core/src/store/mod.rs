//! What the client asks of stores. The stores themselves are in the crate `amps-stores`; an
//! application may bring its own.

mod bookmark;
mod outgoing;
mod publish;

pub use bookmark::{BookmarkResizeHandler, BookmarkStore, Logged};
pub use outgoing::OutgoingCommand;
pub use publish::{PublishResizeHandler, PublishStore, StoredCommand};
