//! The store that keeps the newest messages in memory and the rest in a file.

use super::backing::{FileLog, SalvageReport};
use super::log::Log;
use super::memory::memory_log;
use super::options::FileStoreOptions;
use super::region::MemoryRegion;
use super::shared::{Backlog, Growth, Shared, publish_store};
#[cfg(doc)]
use amps_core::Error;
use amps_core::{OutgoingCommand, Result, StoredCommand};
use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;

/// Keeps what was published in memory, up to a number of messages, and moves the oldest to a file
/// when there are more.
///
/// For publishers whose backlog is short nearly always: they pay for memory, and a backlog that
/// grows while a server is away does not fill it. A crash of the process loses what is in memory;
/// what is in the file survives, as in a [`FilePublishStore`](crate::FilePublishStore). A store
/// that is closed moves everything to the file.
///
/// The oldest messages are always in the file and the newest in memory, so a replay is in order.
/// Counts are messages. Guide §9.2; rule K14.
///
/// ```
/// use amps_core::{CommandType, OutgoingCommand, PublishStore};
/// use amps_stores::HybridPublishStore;
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("orders.outgoing");
///
/// let store = HybridPublishStore::open(&path, 1000)?;
/// store.set_low_watermark(900); // move 100 at a time
/// for _ in 0..1500 {
///     store.store(&OutgoingCommand::new(CommandType::Publish, "orders", b"1"))?;
/// }
/// assert_eq!(store.unpersisted_count(), 1500);
/// # Ok::<(), amps_core::Error>(())
/// ```
pub struct HybridPublishStore {
    shared: Shared<Halves>,
    report: Option<SalvageReport>,
}

impl HybridPublishStore {
    /// Opens or creates the file with the default options. At most so many messages, at least one,
    /// are in memory at a time.
    ///
    /// # Errors
    ///
    /// [`Error::Store`]: as [`FilePublishStore::open`](crate::FilePublishStore::open).
    pub fn open(path: impl AsRef<Path>, max_in_memory: usize) -> Result<Self> {
        HybridPublishStore::open_with(path, max_in_memory, FileStoreOptions::default())
    }

    /// As [`open`](HybridPublishStore::open), with options for the file.
    ///
    /// # Errors
    ///
    /// As [`open`](HybridPublishStore::open).
    pub fn open_with(
        path: impl AsRef<Path>,
        max_in_memory: usize,
        options: FileStoreOptions,
    ) -> Result<Self> {
        let (file, report) = FileLog::open(path.as_ref(), &options)?;
        let max = max_in_memory.max(1);
        let mut halves = Halves {
            memory: memory_log(max),
            file,
            max,
            low: max / 2,
        };
        halves.begin_at(options.now())?;
        let shared = Shared::new(halves);
        Ok(HybridPublishStore { shared, report })
    }

    /// How many messages stay in memory when the oldest are moved to the file; below the maximum,
    /// and half of it by default.
    pub fn set_low_watermark(&self, messages: usize) {
        self.shared
            .with(|halves| halves.low = messages.min(halves.max - 1));
    }

    /// See [`set_low_watermark`](HybridPublishStore::set_low_watermark).
    pub fn low_watermark(&self) -> usize {
        self.shared.with(|halves| halves.low)
    }

    /// How many of the messages are in memory, and would be lost in a crash.
    pub fn in_memory_count(&self) -> usize {
        self.shared.with(|halves| halves.memory.count())
    }

    /// What became of a damaged file, if this store was opened from one with
    /// [`salvage`](FileStoreOptions::set_salvage).
    pub fn salvage_report(&self) -> Option<&SalvageReport> {
        self.report.as_ref()
    }
}

/// The file with the oldest messages, and the memory with the newest, whose numbers go on.
struct Halves {
    memory: Log<MemoryRegion>,
    file: FileLog,
    max: usize,
    low: usize,
}

const MEMORY: usize = 0;
const FILE: usize = 1;

impl Halves {
    fn begin_at(&mut self, now: u64) -> Result<()> {
        self.memory.skip_to(self.file.log.last());
        self.memory.skip_to(now.saturating_sub(1));
        self.set_offline()
    }

    /// Moves the oldest messages to the file until so many are left. If the file has to grow, it
    /// stops and tells; what has been moved stays moved.
    fn spill(&mut self, low: usize) -> Result<Option<u32>> {
        let mut left = self.memory.count();
        let mut moved = 0;
        let mut growth = None;
        let file = &mut self.file.log;
        let mut outcome = Ok(());
        self.memory
            .replay(0, &mut |stored| {
                let payload = stored.command.encoded_len();
                if left <= low {
                    return ControlFlow::Break(());
                }
                growth = file.wants(payload);
                if growth.is_some() {
                    return ControlFlow::Break(());
                }
                outcome = file.append(stored.sequence, &stored.command, payload);
                if outcome.is_err() {
                    return ControlFlow::Break(());
                }
                moved = stored.sequence;
                left -= 1;
                ControlFlow::Continue(())
            })
            .map(drop)?;
        self.memory.discard_up_to(moved)?;
        outcome?;
        if moved > 0 {
            self.file.sync_always_if_asked()?;
        }
        Ok(growth)
    }
}

impl Backlog for Halves {
    #[inline]
    fn has_room(&self, payload: usize) -> bool {
        self.memory.count() < self.max && self.memory.has_room(payload)
    }

    fn make_room(&mut self, payload: usize) -> Result<Option<Growth>> {
        if self.memory.count() >= self.max
            && let Some(segments) = self.spill(self.low)?
            && self.memory.count() >= self.max
        {
            return Ok(Some(Growth {
                log: FILE,
                segments,
                bytes: self.file.log.size_of(segments) + self.memory.size(),
            }));
        }
        Ok(self.memory.wants(payload).map(|segments| Growth {
            log: MEMORY,
            segments,
            bytes: self.memory.size_of(segments) + self.file.log.size(),
        }))
    }

    fn grow(&mut self, growth: Growth) -> Result<()> {
        match growth.log {
            FILE => self.file.log.grow(growth.segments),
            _ => self.memory.grow(growth.segments),
        }
    }

    #[inline]
    fn append(&mut self, command: &OutgoingCommand<'_>, payload: usize) -> Result<u64> {
        Backlog::append(&mut self.memory, command, payload)
    }

    fn discard_up_to(&mut self, number: u64) -> Result<()> {
        self.file.log.discard_up_to(number)?;
        self.memory.discard_up_to(number)
    }

    fn discard_one(&mut self, number: u64) -> Result<bool> {
        Ok(self.file.discard_one(number)? || self.memory.discard_one(number)?)
    }

    fn replay(
        &self,
        after: u64,
        visitor: &mut dyn FnMut(StoredCommand<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        if self.file.log.replay(after, visitor)?.is_continue() {
            return self.memory.replay(after, visitor).map(drop);
        }
        Ok(())
    }

    fn count(&self) -> usize {
        self.file.log.count() + self.memory.count()
    }

    fn lowest(&self) -> u64 {
        match self.file.log.lowest() {
            0 => self.memory.lowest(),
            lowest => lowest,
        }
    }

    fn highest(&self) -> u64 {
        self.memory.highest().max(self.file.log.highest())
    }

    fn last_persisted(&self) -> u64 {
        self.file.last_persisted()
    }

    fn flush(&mut self) -> Result<()> {
        self.file.sync_if_asked()
    }

    /// The file is told the number that is the next of both: what has been sent and is moved to
    /// the file later has a lower one.
    fn set_offline(&mut self) -> Result<()> {
        let from = self.memory.last().saturating_add(1);
        self.memory.set_offline(from);
        self.file.log.set_offline(from);
        self.file.sync_header_if_asked()
    }

    fn set_online(&mut self) -> Result<()> {
        self.memory.set_online();
        self.file.set_online()
    }

    fn lowest_offline(&self) -> Result<u64> {
        match self.file.log.lowest_offline()? {
            0 => self.memory.lowest_offline(),
            lowest => Ok(lowest),
        }
    }

    fn renumber(&mut self, from: u64, add: u64) -> Result<()> {
        let (memory, file) = (
            self.memory.moved(from, add)?,
            self.file.log.moved(from, add)?,
        );
        self.file.log.put(file)?;
        self.memory.put(memory)?;
        self.memory.skip_to(self.file.log.last());
        self.file.sync_header_if_asked()
    }

    fn raise_to(&mut self, number: u64) {
        self.memory.skip_to(number);
        self.file.log.raise_to(number);
    }

    fn name(&self) -> String {
        self.file.name()
    }
}

impl Drop for Halves {
    fn drop(&mut self) {
        loop {
            let spilled = self.spill(0).and_then(|growth| {
                growth.map_or(Ok(false), |segments| {
                    self.file.log.grow(segments).map(|()| true)
                })
            });
            match spilled {
                Ok(true) => {}
                Ok(false) => {
                    // The numbers that were given last, also if nothing is left of them.
                    self.file.log.raise_to(self.memory.last());
                    return;
                }
                Err(error) => {
                    let count = self.memory.count();
                    log::error!("closing a publish store loses {count} messages: {error}");
                    return;
                }
            }
        }
    }
}

impl fmt::Debug for HybridPublishStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.describe(f, "HybridPublishStore")
    }
}

publish_store!(HybridPublishStore);
