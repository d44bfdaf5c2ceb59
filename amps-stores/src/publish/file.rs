//! The store in a file.

use super::backing::{FileLog, SalvageReport};
use super::options::FileStoreOptions;
use super::shared::{Backlog, Growth, Shared, publish_store};
#[cfg(doc)]
use amps_core::Error;
use amps_core::{OutgoingCommand, Result, StoredCommand};
use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;

/// Keeps what was published in a file: it survives the end of the process at any instruction, and
/// with a [`SyncPolicy`](crate::SyncPolicy) the loss of power.
///
/// The file is mapped into memory, and a publish copies its message into the map. Space is used
/// again as messages are persisted; if there is none, the file grows by a segment, if the resize
/// handler allows it. Space is allocated before it is used, so a full disk is an error of the
/// publish that does not fit, and of no other.
///
/// One store has a file open at a time. Other programs must not shorten the file while it is open:
/// the next access would end the process, and no library can prevent that. Keep the file on a
/// local disk. `docs/store-format.md` describes every byte. Guide §9.2, §9.5; rules K, K13.
///
/// ```
/// use amps_core::{CommandType, OutgoingCommand, PublishStore};
/// use amps_stores::{FilePublishStore, FileStoreOptions};
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("orders.outgoing");
///
/// let options = FileStoreOptions::new().set_client_name("order-entry");
/// let store = FilePublishStore::open(&path, options.clone())?;
/// let number = store.store(&OutgoingCommand::new(CommandType::Publish, "orders", b"1"))?;
/// drop(store);
///
/// let store = FilePublishStore::open(&path, options)?;
/// assert_eq!(store.lowest_unpersisted(), number);
/// # Ok::<(), amps_core::Error>(())
/// ```
pub struct FilePublishStore {
    shared: Shared<FileLog>,
    report: Option<SalvageReport>,
}

impl FilePublishStore {
    /// Opens the file, or creates it if there is none or if it is empty, and finds what was stored
    /// and not persisted.
    ///
    /// # Errors
    ///
    /// [`Error::Store`]: the file cannot be opened or is open in another store, it is not a
    /// publish store, belongs to another client, was written by a newer version, or is damaged in
    /// a way that no crash explains. It is untouched, see
    /// [`salvage`](FileStoreOptions::set_salvage).
    pub fn open(path: impl AsRef<Path>, options: FileStoreOptions) -> Result<Self> {
        let (mut log, report) = FileLog::open(path.as_ref(), &options)?;
        log.log.begin_at(options.now());
        log.sync_header_if_asked()?;
        let shared = Shared::new(log);
        Ok(FilePublishStore { shared, report })
    }

    /// What became of a damaged file, if this store was opened from one with
    /// [`salvage`](FileStoreOptions::set_salvage).
    pub fn salvage_report(&self) -> Option<&SalvageReport> {
        self.report.as_ref()
    }

    /// Returns when everything that was stored so far is safe from a loss of power, whatever the
    /// [`SyncPolicy`](crate::SyncPolicy). Publishers wait meanwhile.
    ///
    /// # Errors
    ///
    /// [`Error::Store`]: the system could not write it. It is still stored, but may be lost with
    /// the power; every later sync fails, too, until the store is opened anew.
    pub fn sync(&self) -> Result<()> {
        self.shared.with(FileLog::sync)
    }
}

impl Backlog for FileLog {
    #[inline]
    fn has_room(&self, payload: usize) -> bool {
        self.log.has_room(payload)
    }

    fn make_room(&mut self, payload: usize) -> Result<Option<Growth>> {
        self.log.make_room(payload)
    }

    fn grow(&mut self, growth: Growth) -> Result<()> {
        self.log.grow(growth.segments)
    }

    #[inline]
    fn append(&mut self, command: &OutgoingCommand<'_>, payload: usize) -> Result<u64> {
        let number = self.log.next_number()?;
        FileLog::append(self, number, command, payload)?;
        Ok(number)
    }

    fn discard_up_to(&mut self, number: u64) -> Result<()> {
        self.log.discard_up_to(number)
    }

    fn discard_one(&mut self, number: u64) -> Result<bool> {
        let found = self.log.discard_one(number)?;
        self.sync_always_if_asked()?;
        Ok(found)
    }

    fn replay(
        &self,
        after: u64,
        visitor: &mut dyn FnMut(StoredCommand<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        self.log.replay(after, visitor).map(drop)
    }

    fn count(&self) -> usize {
        self.log.count()
    }

    fn lowest(&self) -> u64 {
        self.log.lowest()
    }

    fn highest(&self) -> u64 {
        self.log.highest()
    }

    fn last_persisted(&self) -> u64 {
        self.log.last_persisted()
    }

    fn flush(&mut self) -> Result<()> {
        self.sync_if_asked()
    }

    fn set_offline(&mut self) -> Result<()> {
        Backlog::set_offline(&mut self.log)?;
        self.sync_header_if_asked()
    }

    fn set_online(&mut self) -> Result<()> {
        Backlog::set_online(&mut self.log)?;
        self.sync_header_if_asked()
    }

    fn lowest_offline(&self) -> Result<u64> {
        self.log.lowest_offline()
    }

    fn renumber(&mut self, from: u64, add: u64) -> Result<()> {
        self.log.renumber(from, add)?;
        self.sync_header_if_asked()
    }

    fn raise_to(&mut self, number: u64) {
        self.log.raise_to(number);
    }

    fn name(&self) -> String {
        self.log.name()
    }
}

impl fmt::Debug for FilePublishStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.describe(f, "FilePublishStore")
    }
}

publish_store!(FilePublishStore);
