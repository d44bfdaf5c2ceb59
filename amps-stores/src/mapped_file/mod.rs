//! A file mapped into memory: locked, allocated before it is mapped, written as memory.
//!
//! What was written to the map survives the death of the process at any instruction, because the
//! pages belong to the operating system. Only what was [synced](MappedFile::sync) survives a loss
//! of power.
//!
//! This is the only module of the crate with unsafe code. Mapping a file is sound as long as
//! nobody else changes it. An advisory lock, held as long as the file is mapped, keeps out every
//! other store, of this process or another. Programs that ignore the lock are not kept out: one
//! that shortens the file makes the next access to the lost part a bus error, and no library can
//! prevent that.

mod allocate;
mod lock;
mod plain;
#[cfg(test)]
mod tests;

pub(crate) use plain::PlainFile;

use amps_core::{Error, ErrorContext, Result};
use memmap2::{MmapMut, MmapOptions};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A locked file and its map, which covers the whole file.
///
/// The lock ends with this value.
pub(crate) struct MappedFile {
    /// Before the file, so that it goes first.
    map: Option<MmapMut>,
    file: File,
    path: PathBuf,
}

impl MappedFile {
    /// Opens and locks a file; creates an empty one if there is none.
    ///
    /// An empty file is a file to [`replace`](MappedFile::replace): its content is not there yet,
    /// or was being made when a process died. Symbolic links are followed once, here.
    ///
    /// # Errors
    ///
    /// [`Error::Store`]: it is not a regular file, another store has it open (also one of this
    /// process), or the system refused; the file is untouched.
    pub(crate) fn open(path: &Path) -> Result<MappedFile> {
        let failed = |source| failed("open the store file", path, source);
        // Who locks a file may find that it was replaced meanwhile: look again.
        for _ in 0..10 {
            let file = lock::open_shared(path).map_err(failed)?;
            if !file.metadata().map_err(failed)?.is_file() {
                return Err(refused(path, "it is not a regular file"));
            }
            if !lock::try_lock(&file).map_err(failed)? {
                break;
            }
            let path = fs::canonicalize(path).map_err(failed)?;
            if lock::is_at(&file, &path).map_err(failed)? {
                let map = map(&file).map_err(failed)?;
                return Ok(MappedFile { map, file, path });
            }
        }
        Err(refused(path, "another store has it open"))
    }

    /// Where the file is, links resolved.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The length of the file and of its map.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.bytes().len()
    }

    /// All bytes of the file.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
    }

    /// All bytes of the file, to be written.
    #[inline]
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        self.map.as_deref_mut().unwrap_or_default()
    }

    /// Writes eight bytes in little endian at once, after everything that was written before: a
    /// process that dies leaves the old value or the new one, and the new one only with all that
    /// came before it.
    ///
    /// # Panics
    ///
    /// If the place is outside the file or not a multiple of eight.
    #[inline]
    pub(crate) fn commit(&mut self, at: usize, value: u64) {
        let place = &mut self.bytes_mut()[at..][..8];
        let place = place.as_mut_ptr().cast::<u64>();
        assert!(place.is_aligned(), "a place that is a multiple of eight");
        // SAFETY: the eight bytes are inside the slice that the bounds check above returned, they
        // are aligned, and `&mut self` means that nobody else accesses them meanwhile. The map is
        // shared with no other writer, see the head of this module.
        let place = unsafe { AtomicU64::from_ptr(place) };
        place.store(value.to_le(), Ordering::Release);
    }

    /// Makes the file longer; the new bytes are zero. Their space is allocated first, so that no
    /// later write can run out of disk.
    ///
    /// # Errors
    ///
    /// [`Error::Store`]: no space, or no addresses to map it; the file and its map are as before.
    pub(crate) fn grow(&mut self, len: usize) -> Result<()> {
        let old = self.len();
        if len <= old {
            return Ok(());
        }
        let grown = allocate::allocate(&self.file, old as u64, len as u64);
        grown
            .and_then(|()| extend(&mut self.map, &self.file, len))
            .map_err(|source| {
                // What was allocated in vain is given back; if not, it is only longer than needed.
                let _ = self.file.set_len(old as u64);
                failed("grow the store file", &self.path, source)
            })
    }

    /// Makes the file shorter.
    ///
    /// # Errors
    ///
    /// [`Error::Store`]: the system refused. The file keeps its content, but perhaps not its map:
    /// [`len`](MappedFile::len) tells.
    pub(crate) fn shrink(&mut self, len: usize) -> Result<()> {
        if len >= self.len() {
            return Ok(());
        }
        self.map = None;
        let cut = self.file.set_len(len as u64);
        let mapped = map(&self.file).map(|map| self.map = map);
        cut.and(mapped)
            .map_err(|source| failed("shrink the store file", &self.path, source))
    }

    /// Returns when the bytes from `from` to `to` are on the disk, as far as the system tells.
    ///
    /// # Errors
    ///
    /// [`Error::Store`]: they may not be; the system may have dropped them.
    pub(crate) fn sync(&self, from: usize, to: usize) -> Result<()> {
        let to = to.min(self.len());
        let Some(map) = self.map.as_ref().filter(|_| from < to) else {
            return Ok(());
        };
        map.flush_range(from, to - from)
            .map_err(|source| failed("sync the store file", &self.path, source))
    }

    /// Replaces the content: makes a file of this length beside this one, lets `fill` write it,
    /// syncs it, and puts it in the place of this one. So the file at the path is always the old
    /// one or the whole new one, whenever the process or the machine dies. The lock goes on.
    ///
    /// # Errors
    ///
    /// What `fill` returns, or [`Error::Store`]; the file at the path is the old one, not locked
    /// any more, unless only the sync of its directory failed.
    pub(crate) fn replace(
        self,
        len: usize,
        fill: impl FnOnce(&mut MappedFile) -> Result<()>,
    ) -> Result<MappedFile> {
        let beside = with_suffix(&self.path, ".new");
        let made = self.fill_beside(&beside, len, fill).and_then(|new| {
            lock::rename(&beside, self)
                .map_err(|source| failed("replace the store file", &new.path, source))?;
            Ok(new)
        });
        match made {
            Ok(new) => {
                sync_directory(&new.path)?;
                Ok(new)
            }
            Err(error) => {
                // It holds nothing that is not in the file it was to replace.
                let _ = fs::remove_file(&beside);
                Err(error)
            }
        }
    }

    fn fill_beside(
        &self,
        beside: &Path,
        len: usize,
        fill: impl FnOnce(&mut MappedFile) -> Result<()>,
    ) -> Result<MappedFile> {
        let failed = |source| failed("create the store file", beside, source);
        // Whoever made one and died has no use for it any more: this file's lock is ours.
        match fs::remove_file(beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let file = lock::create_shared(beside).map_err(failed)?;
        let rights = self.file.metadata().map_err(failed)?.permissions();
        fs::set_permissions(beside, rights).map_err(failed)?;
        if !lock::try_lock(&file).map_err(failed)? {
            return Err(refused(beside, "another store has it open"));
        }
        allocate::allocate(&file, 0, len as u64).map_err(failed)?;
        let mut new = MappedFile {
            map: map(&file).map_err(failed)?,
            file,
            path: self.path.clone(),
        };
        fill(&mut new)?;
        new.sync(0, new.len())?;
        new.file.sync_all().map_err(failed)?;
        Ok(new)
    }

    /// Copies the file beside itself, under a name that is free and ends with `.damaged-` and a
    /// number, syncs the copy, and returns its path.
    ///
    /// # Errors
    ///
    /// [`Error::Store`]: there is no complete copy; the file is untouched.
    pub(crate) fn copy_aside(&self) -> Result<PathBuf> {
        let failed = |source| failed("copy the damaged store file", &self.path, source);
        for number in 1.. {
            let aside = with_suffix(&self.path, &format!(".damaged-{number}"));
            match File::create_new(&aside) {
                Ok(mut copy) => {
                    io::Write::write_all(&mut copy, self.bytes()).map_err(failed)?;
                    copy.sync_all().map_err(failed)?;
                    sync_directory(&aside)?;
                    return Ok(aside);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Err(refused(&self.path, "there is no free name for a copy"))
    }
}

impl Drop for MappedFile {
    fn drop(&mut self) {
        self.map = None;
        lock::unlock(&self.file);
    }
}

/// The id of this run of the machine; none where the system has none. Pages that were written but
/// not synced are lost only with the run.
pub(crate) fn boot_id() -> Option<[u8; 16]> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let id = u128::from_str_radix(&digits, 16).ok()?;
    (digits.len() == 32 && id != 0).then(|| id.to_be_bytes())
}

fn map(file: &File) -> io::Result<Option<MmapMut>> {
    let length = file.metadata()?.len();
    if length == 0 {
        return Ok(None);
    }
    let length = usize::try_from(length)
        .map_err(|_| io::Error::new(io::ErrorKind::FileTooLarge, "too long to be mapped"))?;
    // SAFETY: the file is locked by us, and the lock lives as long as the map; who writes to the
    // file or shortens it all the same breaks the contract in the head of this module. The map is
    // no longer than the file.
    unsafe { MmapOptions::new().len(length).map_mut(file) }.map(Some)
}

/// Has the map cover a file that has become longer. If that fails, the map is as before.
fn extend(slot: &mut Option<MmapMut>, file: &File, len: usize) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    if let Some(map) = slot.as_mut() {
        let may_move = memmap2::RemapOptions::new().may_move(true);
        // SAFETY: the file was just made at least as long as the new length, and `&mut` means that
        // no slice of the map is borrowed that could move.
        return unsafe { map.remap(len, may_move) };
    }
    let _ = len;
    *slot = map(file)?;
    Ok(())
}

/// Syncs the entry of a file in its directory: without that, a file that was created or renamed
/// can be gone after a loss of power.
fn sync_directory(path: &Path) -> Result<()> {
    #[cfg(unix)]
    if let Some(directory) = path.parent() {
        File::open(directory)
            .and_then(|directory| directory.sync_all())
            .map_err(|source| failed("sync the directory of", path, source))?;
    }
    let _ = path;
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn failed(attempted: &'static str, path: &Path, source: io::Error) -> Error {
    ErrorContext::new(attempted, path.display().to_string())
        .with_reason(source.to_string())
        .with_source(source)
        .Store()
}

fn refused(path: &Path, reason: &str) -> Error {
    ErrorContext::new("open the store file", path.display().to_string())
        .with_reason(reason)
        .Store()
}
