//! How a bookmark store with a file is opened.

/// How a bookmark store with a file is opened.
///
/// ```
/// use amps_stores::BookmarkFileOptions;
///
/// let options = BookmarkFileOptions::new().set_client_name("orders-viewer");
/// assert_eq!(options.client_name(), "orders-viewer");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct BookmarkFileOptions {
    client_name: String,
    sync_every_change: bool,
    prune_above: u64,
    salvage: bool,
}

impl Default for BookmarkFileOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl BookmarkFileOptions {
    /// The defaults: no client name, no sync, pruned above 4 MiB, no salvage.
    pub fn new() -> Self {
        BookmarkFileOptions {
            client_name: String::new(),
            sync_every_change: false,
            prune_above: 4 * 1024 * 1024,
            salvage: false,
        }
    }

    /// Whose file it is. It is written into the file, and a file of another name is refused.
    /// Empty, the default: whoever asks.
    pub fn set_client_name(mut self, name: impl AsRef<str>) -> Self {
        self.client_name = name.as_ref().to_string();
        self
    }

    /// Whose file it is; empty if it is not checked.
    pub fn client_name(&self) -> &str {
        &self.client_name
    }

    /// Whether each change waits until it is on the disk, so that it survives a loss of power.
    ///
    /// Without it, the default, it survives the death of the process. What a loss of power takes
    /// are the last changes, and then the messages that were discarded last come again.
    pub fn set_sync_every_change(mut self, sync: bool) -> Self {
        self.sync_every_change = sync;
        self
    }

    /// Whether each change waits until it is on the disk.
    pub fn sync_every_change(&self) -> bool {
        self.sync_every_change
    }

    /// Above how many bytes the file is pruned by itself; 4 MiB by default, 0 for never.
    ///
    /// What must be kept counts, too: the file is pruned only when it is four times as long as
    /// after the last time. Pruning happens in the call that makes the file too long, and syncs.
    pub fn set_prune_above(mut self, bytes: u64) -> Self {
        self.prune_above = bytes;
        self
    }

    /// Above how many bytes the file is pruned by itself; 0 for never.
    pub fn prune_above(&self) -> u64 {
        self.prune_above
    }

    /// Whether a file that is damaged in its middle is opened all the same; false by default.
    ///
    /// It is copied aside first, and then goes on from before the damage: nothing is skipped, but
    /// messages that were discarded after it come again.
    pub fn set_salvage(mut self, salvage: bool) -> Self {
        self.salvage = salvage;
        self
    }

    /// Whether a file that is damaged in its middle is opened all the same.
    pub fn salvage(&self) -> bool {
        self.salvage
    }
}
