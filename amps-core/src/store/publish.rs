//! What the client asks of a publish store.

use super::OutgoingCommand;
#[cfg(doc)]
use crate::Client;
#[cfg(doc)]
use crate::error::Error;
use crate::error::{ErrorContext, Result};
use std::ops::ControlFlow;
use std::time::Duration;

/// A command in a publish store, under its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredCommand<'a> {
    /// The number that [`PublishStore::store`] gave it.
    pub sequence: u64,
    /// The command.
    pub command: OutgoingCommand<'a>,
}

impl<'a> StoredCommand<'a> {
    /// A command under its number.
    pub fn new(sequence: u64, command: OutgoingCommand<'a>) -> Self {
        StoredCommand { sequence, command }
    }
}

/// Is asked before a publish store grows: the store, and the size in bytes that it wants to have.
/// False forbids it, and the publish fails with [`Error::Store`] (rule K12).
pub type PublishResizeHandler = Box<dyn FnMut(&dyn PublishStore, usize) -> bool + Send>;

/// Keeps what was published until the server has persisted it.
///
/// The client calls [`store`](PublishStore::store) under its send lock, so that the numbers go out
/// in order; everything else may be called from any thread at any time, also while `store` runs.
/// No method may call the client. Numbers only increase and start above 0; they need not be
/// consecutive. Guide §9.2, §9.5; rules K.
///
/// # Numbers
///
/// Numbers belong to the name of the client, not to a connection: the server drops, without a word,
/// what comes with a number at or below the last one it knows of that name. So a store that is
/// opened starts at the greater of its last number + 1 and the wall clock in microseconds.
///
/// # Offline records
///
/// Records that were stored while no connection was logged on cannot have reached any server. If
/// the server answers a logon with a number at or above theirs, the numbers are of somebody else
/// (a clock that was set back, a second store under the name), and the client asks for
/// [`renumber_offline`](PublishStore::renumber_offline). All other records at or below the number
/// in the answer have arrived, and are discarded.
pub trait PublishStore: Send + Sync {
    /// Gives a command its number and keeps a copy.
    ///
    /// Called under the client's send lock: it must not wait for anything but the store itself.
    ///
    /// # Errors
    ///
    /// [`Error::Store`]: nothing was stored; the number is not used.
    fn store(&self, command: &OutgoingCommand<'_>) -> Result<u64>;

    /// Forgets everything up to this number, which the server has persisted (rule K4).
    ///
    /// A number below the last one persisted changes nothing; one above the highest stored empties
    /// the store, and the next number is above it.
    ///
    /// # Errors
    ///
    /// [`Error::Store`]: what could not be forgotten is still there.
    fn discard_up_to(&self, sequence: u64) -> Result<()>;

    /// Forgets the one command that the server refused (rule H3); false if it is not there.
    ///
    /// # Errors
    ///
    /// [`Error::Store`]: it is still there.
    fn discard_one(&self, sequence: u64) -> Result<bool>;

    /// Shows what is stored above the number `after`, in ascending order, until the visitor breaks.
    ///
    /// The visitor only copies: it never waits, and never calls the store (rule K6).
    ///
    /// # Errors
    ///
    /// [`Error::Store`]: the records could not be read; they stay.
    fn replay(
        &self,
        after: u64,
        visitor: &mut dyn FnMut(StoredCommand<'_>) -> ControlFlow<()>,
    ) -> Result<()>;

    /// Shows the command of this number; false if it is gone.
    ///
    /// # Errors
    ///
    /// [`Error::Store`]: it could not be read; it stays.
    fn replay_single(
        &self,
        sequence: u64,
        visitor: &mut dyn FnMut(StoredCommand<'_>),
    ) -> Result<bool>;

    /// How many commands are stored and not yet persisted by the server (rule K5).
    fn unpersisted_count(&self) -> usize;

    /// The lowest number that is stored; 0 if there is none.
    fn lowest_unpersisted(&self) -> u64;

    /// The highest number that is stored; 0 if there is none.
    fn highest_unpersisted(&self) -> u64;

    /// The number up to which the server has persisted everything, as far as known; 0 if nothing is.
    fn last_persisted(&self) -> u64;

    /// Waits until everything that was stored when it was called is persisted; zero waits for ever
    /// (rule K9).
    ///
    /// Unlike [`Client::publish_flush`] it knows nothing of the connection: while there is none,
    /// only the timeout ends it. Not for handlers: what it waits for comes on the receive thread.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`]: something is still not persisted. [`Error::Store`]: the store cannot
    /// tell.
    fn flush(&self, timeout: Duration) -> Result<()>;

    /// Whether a logon fails with [`Error::PublishStoreGap`] if the server knows less than the
    /// store has already forgotten; off by default (rule K8).
    fn set_error_on_publish_gap(&self, fail: bool);

    /// Whether such a gap is an error.
    fn error_on_publish_gap(&self) -> bool;

    /// Sets who is asked before the store grows; none by default. It runs under the client's send
    /// lock and must not call the client (rule K12).
    fn set_resize_handler(&self, handler: PublishResizeHandler);

    /// Tells the store that from now on no connection is logged on: what it stores is offline.
    ///
    /// A store that is opened begins like this. Telling it again changes nothing. The default does
    /// nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Store`]: it could not be noted.
    fn set_offline(&self) -> Result<()> {
        Ok(())
    }

    /// Tells the store that from now on what it holds may be on its way to a server. Called under
    /// the send lock, before the first write of a replay. The default does nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Store`]: it could not be noted.
    fn set_online(&self) -> Result<()> {
        Ok(())
    }

    /// The lowest number that is stored and offline; 0, the default, if there is none, or the store
    /// does not tell them apart.
    fn lowest_offline(&self) -> u64 {
        0
    }

    /// Gives all offline records numbers above this one, in their order, at once.
    ///
    /// # Errors
    ///
    /// [`Error::Store`]: nothing was renumbered and nothing lost. The default cannot do it.
    fn renumber_offline(&self, above: u64) -> Result<()> {
        Err(
            ErrorContext::new("renumber the offline records above", above.to_string())
                .with_reason("this kind of store cannot renumber")
                .Store(),
        )
    }
}
