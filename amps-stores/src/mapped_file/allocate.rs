//! Space for a file, allocated before it is used.
//!
//! A map over a hole in a file finds out that the disk is full when it is written to, and the
//! process dies of a bus error. So every byte gets its space before it is mapped.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

/// Makes the file `to` bytes long and gives space to everything from `from`, its length so far.
pub(super) fn allocate(file: &File, from: u64, to: u64) -> io::Result<()> {
    if allocate_at_once(file, from, to)? {
        return Ok(());
    }
    write_zeros(file, from, to)
}

/// False if the system or the file system cannot do it.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn allocate_at_once(file: &File, from: u64, to: u64) -> io::Result<bool> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;
    loop {
        return match fallocate(file, FallocateFlags::empty(), from, to - from) {
            Ok(()) => Ok(true),
            Err(Errno::INTR) => continue,
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(false),
            Err(error) => Err(error.into()),
        };
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn allocate_at_once(_: &File, _: u64, _: u64) -> io::Result<bool> {
    Ok(false)
}

pub(super) fn write_zeros(mut file: &File, from: u64, to: u64) -> io::Result<()> {
    static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
    file.seek(SeekFrom::Start(from))?;
    let mut left = to - from;
    while left > 0 {
        let part = left.min(ZEROS.len() as u64);
        file.write_all(&ZEROS[..part as usize])?;
        left -= part;
    }
    Ok(())
}
