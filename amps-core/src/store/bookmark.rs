//! What the client asks of a bookmark store.

#[cfg(doc)]
use crate::bookmark;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;

/// What became of a bookmark that was logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logged {
    /// It is to be delivered, under this number.
    Undiscarded(u64),
    /// The application has discarded it before: it is a duplicate.
    Discarded,
}

/// Is asked before a bookmark store grows: the store, the subscription, and the number of entries
/// it wants to hold. False forbids it, and the message is not logged (rule L19).
pub type BookmarkResizeHandler = Box<dyn FnMut(&dyn BookmarkStore, &str, usize) -> bool + Send>;

/// Remembers, for each subscription, which messages arrived and which the application is done with.
///
/// The client logs each message that a bookmark subscription receives before it delivers it, and
/// suppresses what was discarded before. A subscription that is entered again starts at
/// [`most_recent`](BookmarkStore::most_recent), from which no message is skipped that was not
/// discarded. Subscriptions are told apart by their id: give them one with `set_sub_id`, or nothing
/// can be recovered by the next run.
///
/// Methods are called from the receive thread and from any thread that discards; none may call the
/// client. Guide §9.2, §9.6; rules L, and the resume point in the project's design.
pub trait BookmarkStore: Send + Sync {
    /// Notes that a message arrived, unless it was discarded before.
    ///
    /// Entries are numbered per subscription, in the order of arrival, from 1. A bookmark that is
    /// there and not discarded keeps its entry: the message is delivered again (rules L4 to L6).
    ///
    /// # Errors
    ///
    /// [`Error::Store`]: it was not noted.
    fn log(&self, sub_id: &str, bookmark: &str) -> Result<Logged>;

    /// Notes that the application is done with the entry of this number, and with that one only;
    /// a number that is not there changes nothing (rule L7).
    ///
    /// # Errors
    ///
    /// [`Error::Store`]: it was not noted, and the message will come again.
    fn discard(&self, sub_id: &str, sequence: u64) -> Result<()>;

    /// As [`discard`](BookmarkStore::discard), by the bookmark of the message.
    ///
    /// # Errors
    ///
    /// As [`discard`](BookmarkStore::discard).
    fn discard_bookmark(&self, sub_id: &str, bookmark: &str) -> Result<()>;

    /// True if the application has discarded this message.
    fn is_discarded(&self, sub_id: &str, bookmark: &str) -> bool;

    /// Where the subscription is to start: a bookmark, a list, or a timestamp. Nothing is skipped
    /// that arrived, or may arrive, and was not discarded. [`bookmark::EPOCH`] for a subscription
    /// that is not known (rule L2).
    ///
    /// # Errors
    ///
    /// [`Error::Store`]: the store cannot tell.
    fn most_recent(&self, sub_id: &str) -> Result<String>;

    /// Notes the point that a subscription is being entered with: a bookmark, a list, a timestamp,
    /// the start of a range, or [`bookmark::NOW`]. Called before the command is sent.
    ///
    /// A [`bookmark::NOW`] cannot be entered again; until [`completed`](BookmarkStore::completed)
    /// tells a better one, the subscription starts at the instant of this call less one minute.
    ///
    /// # Errors
    ///
    /// [`Error::Store`]: it was not noted.
    fn enter(&self, sub_id: &str, bookmark: &str) -> Result<()>;

    /// Notes that the replay of a subscription is done. The bookmark is the one of the
    /// acknowledgement `completed`, and may be empty. It becomes the entry point of a subscription
    /// that was entered with [`bookmark::NOW`]. Only persisted points that come after it count.
    ///
    /// # Errors
    ///
    /// [`Error::Store`]: it was not noted.
    fn completed(&self, sub_id: &str, bookmark: &str) -> Result<()>;

    /// Notes the point up to which the server has persisted its log everywhere (rule L11).
    ///
    /// # Errors
    ///
    /// [`Error::Store`]: it was not noted.
    fn persisted(&self, sub_id: &str, bookmark: &str) -> Result<()>;

    /// The lowest number of a message that was not discarded; 0 if there is none (rule L16).
    fn oldest_bookmark_seq(&self, sub_id: &str) -> u64;

    /// Forgets everything (rule L15).
    ///
    /// # Errors
    ///
    /// [`Error::Store`]: nothing was forgotten.
    fn purge(&self) -> Result<()>;

    /// Forgets one subscription.
    ///
    /// # Errors
    ///
    /// [`Error::Store`]: nothing was forgotten.
    fn purge_sub(&self, sub_id: &str) -> Result<()>;

    /// Is told the version of the server after each logon. The default does nothing.
    fn set_server_version(&self, version: u64) {
        let _ = version;
    }

    /// Sets who is asked before the store grows; none by default.
    fn set_resize_handler(&self, handler: BookmarkResizeHandler);
}
