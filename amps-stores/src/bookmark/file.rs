//! The two ways to write a store's file at its end.

use super::format::RECORD_WORD;
use crate::mapped_file::{MappedFile, PlainFile};
use amps_core::Result;

/// A locked file whose content ends at a place that its owner knows.
pub(super) trait LogFile: Send + Sized + 'static {
    /// Goes on with a file whose content ends here; zeros may follow.
    fn new(locked: MappedFile, used: usize) -> Result<Self>;

    /// How long a file with this much content is made.
    fn length_for(used: usize) -> usize;

    /// Writes a record where the content ends: all of it or, as far as a reader can tell, nothing.
    fn append(&mut self, used: usize, record: &[u8], sync: bool) -> Result<()>;

    /// The file, to be replaced.
    fn into_locked(self) -> MappedFile;
}

/// A file that grows in steps is longer than its content by at least this and at most that.
const STEP_MIN: usize = 64 * 1024;
const STEP_MAX: usize = 16 * 1024 * 1024;

impl LogFile for MappedFile {
    fn new(locked: MappedFile, _: usize) -> Result<Self> {
        Ok(locked)
    }

    fn length_for(used: usize) -> usize {
        (used + used.clamp(STEP_MIN, STEP_MAX)).next_multiple_of(STEP_MIN)
    }

    fn append(&mut self, used: usize, record: &[u8], sync: bool) -> Result<()> {
        let end = used + record.len();
        if end > self.len() {
            self.grow(Self::length_for(end))?;
        }
        // The body first. The word that makes it a record comes at once, after all of it: whoever
        // dies before leaves no record, and whoever dies later a whole one.
        let (word, body) = record.split_at(RECORD_WORD);
        self.bytes_mut()[used + RECORD_WORD..end].copy_from_slice(body);
        let mut value = [0; RECORD_WORD];
        value.copy_from_slice(word);
        self.commit(used, u64::from_le_bytes(value));
        if sync {
            self.sync(used, end).inspect_err(|_| self.commit(used, 0))?;
        }
        Ok(())
    }

    fn into_locked(self) -> MappedFile {
        self
    }
}

impl LogFile for PlainFile {
    fn new(locked: MappedFile, used: usize) -> Result<Self> {
        let longer = locked.len() > used;
        let mut file = PlainFile::new(locked);
        if longer {
            file.cut(used as u64)?;
        }
        Ok(file)
    }

    fn length_for(used: usize) -> usize {
        used
    }

    fn append(&mut self, used: usize, record: &[u8], sync: bool) -> Result<()> {
        self.write(used as u64, record, sync)
    }

    fn into_locked(self) -> MappedFile {
        PlainFile::into_locked(self)
    }
}
