//! The same file, written with system calls instead of a map.

use super::{MappedFile, failed};
use amps_core::Result;
use std::fs::File;
use std::io;

/// A locked file that is written at its end. Opened, locked and replaced as a [`MappedFile`].
pub(crate) struct PlainFile {
    /// Without its map.
    locked: MappedFile,
}

impl PlainFile {
    /// Goes on without the map.
    pub(crate) fn new(mut locked: MappedFile) -> PlainFile {
        locked.map = None;
        PlainFile { locked }
    }

    /// Writes at this place, which is the end of the content; returns when the system has it, or
    /// with `sync` when it is on the disk.
    ///
    /// # Errors
    ///
    /// [`Error::Store`](amps_core::Error::Store): the content ends where it ended.
    pub(crate) fn write(&mut self, at: u64, bytes: &[u8], sync: bool) -> Result<()> {
        let file = &self.locked.file;
        let mut written = write_all_at(file, bytes, at);
        if sync {
            written = written.and_then(|()| file.sync_data());
        }
        written.map_err(|source| {
            // A part of it may be there. If it cannot be cut off, the next write covers it, and
            // whoever reads the file first finds a torn tail.
            let _ = file.set_len(at);
            failed("write to the store file", &self.locked.path, source)
        })
    }

    /// Ends the file here.
    ///
    /// # Errors
    ///
    /// [`Error::Store`](amps_core::Error::Store): the system refused.
    pub(crate) fn cut(&mut self, at: u64) -> Result<()> {
        let cut = self.locked.file.set_len(at);
        cut.map_err(|source| failed("cut the store file", &self.locked.path, source))
    }

    /// The file, to be replaced.
    pub(crate) fn into_locked(self) -> MappedFile {
        self.locked
    }
}

#[cfg(unix)]
fn write_all_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at)
}

#[cfg(not(unix))]
fn write_all_at(mut file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    use std::io::{Seek, SeekFrom, Write};
    file.seek(SeekFrom::Start(at))?;
    file.write_all(bytes)
}
