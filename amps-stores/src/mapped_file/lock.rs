//! One store per file: the advisory lock, and what the systems do differently about it.

use super::MappedFile;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

/// Opens a file for reading and writing, creates it if it is missing.
pub(super) fn open_shared(path: &Path) -> io::Result<File> {
    options().create(true).truncate(false).open(path)
}

/// Creates a file that must not be there.
pub(super) fn create_shared(path: &Path) -> io::Result<File> {
    options().create_new(true).open(path)
}

#[cfg(not(windows))]
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    options
}

/// Others may read and rename the file while we have it open, but not write to it: this is the
/// lock. Who tries to open it for writing is told of a sharing violation.
#[cfg(windows)]
fn options() -> OpenOptions {
    use std::os::windows::fs::OpenOptionsExt;
    const FILE_SHARE_READ: u32 = 1;
    const FILE_SHARE_DELETE: u32 = 4;
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    options.share_mode(FILE_SHARE_READ | FILE_SHARE_DELETE);
    options
}

/// False if another store has locked the file. The lock belongs to the open file, not to the
/// process, so it keeps out a second store of this process, too. It ends when the file is closed.
#[cfg(unix)]
pub(super) fn try_lock(file: &File) -> io::Result<bool> {
    use rustix::fs::{FlockOperation, flock};
    use rustix::io::Errno;
    loop {
        return match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(Errno::INTR) => continue,
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(error.into()),
        };
    }
}

/// Ends the lock, also where a process that is just being started still has a copy of the open file:
/// without this, who opens the file at once may find it locked.
#[cfg(unix)]
pub(super) fn unlock(file: &File) {
    // If it cannot be, the lock ends with the last copy.
    let _ = rustix::fs::flock(file, rustix::fs::FlockOperation::Unlock);
}

#[cfg(not(unix))]
pub(super) fn unlock(_: &File) {}

#[cfg(not(unix))]
pub(super) fn try_lock(_: &File) -> io::Result<bool> {
    Ok(true)
}

/// True if the path still names this file: it may have been replaced between opening and locking.
#[cfg(unix)]
pub(super) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let (here, there) = (file.metadata()?, fs::metadata(path));
    match there {
        Ok(there) => Ok((here.dev(), here.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(not(unix))]
pub(super) fn is_at(_: &File, _: &Path) -> io::Result<bool> {
    Ok(true)
}

/// Puts the file at `new` in the place of the old one, whose lock ends after that.
#[cfg(unix)]
pub(super) fn rename(new: &Path, old: MappedFile) -> io::Result<()> {
    fs::rename(new, &old.path)
}

/// Elsewhere an open file cannot be replaced, so the old one is closed first.
#[cfg(not(unix))]
pub(super) fn rename(new: &Path, old: MappedFile) -> io::Result<()> {
    let path = old.path.clone();
    drop(old);
    fs::rename(new, path)
}
