//! Stores of all kinds, and what tests say often.

use amps_core::{BookmarkStore, Logged, Result};
use amps_stores::{
    BookmarkFileOptions, LoggedBookmarkStore, MemoryBookmarkStore, MmapBookmarkStore,
    RingBookmarkStore,
};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The subscription of most tests.
pub(crate) const SUB: &str = "orders";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Memory,
    Ring,
    Logged,
    Mmap,
}

impl Kind {
    pub(crate) const ALL: [Kind; 4] = [Kind::Memory, Kind::Ring, Kind::Logged, Kind::Mmap];
    pub(crate) const FILES: [Kind; 3] = [Kind::Ring, Kind::Logged, Kind::Mmap];
    pub(crate) const FULL: [Kind; 2] = [Kind::Logged, Kind::Mmap];

    pub(crate) fn open(self, path: &Path) -> Box<dyn BookmarkStore> {
        self.open_with(path, BookmarkFileOptions::new()).unwrap()
    }

    pub(crate) fn open_with(
        self,
        path: &Path,
        options: BookmarkFileOptions,
    ) -> Result<Box<dyn BookmarkStore>> {
        Ok(match self {
            Kind::Memory => Box::new(MemoryBookmarkStore::new()),
            Kind::Ring => Box::new(RingBookmarkStore::open_with(path, options)?),
            Kind::Logged => Box::new(LoggedBookmarkStore::open_with(path, options)?),
            Kind::Mmap => Box::new(MmapBookmarkStore::open_with(path, options)?),
        })
    }

    /// Opens the file, prunes it, closes it.
    pub(crate) fn prune(self, path: &Path) {
        match self {
            Kind::Memory => {}
            Kind::Ring => RingBookmarkStore::open(path).unwrap().prune().unwrap(),
            Kind::Logged => LoggedBookmarkStore::open(path).unwrap().prune().unwrap(),
            Kind::Mmap => MmapBookmarkStore::open(path).unwrap().prune().unwrap(),
        }
    }
}

/// A place for a file; it goes with the first value.
pub(crate) fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bookmarks");
    (directory, path)
}

/// Runs a test with an empty store of each kind.
pub(crate) fn for_each_store(test: impl Fn(Kind, &dyn BookmarkStore)) {
    for kind in Kind::ALL {
        let (_directory, path) = place();
        test(kind, &*kind.open(&path));
    }
}

/// Runs a test with a store of each kind that knows all after a restart: what `before` did is
/// there after the file was opened again, and after it was pruned.
pub(crate) fn for_each_restart(
    before: impl Fn(&dyn BookmarkStore),
    after: impl Fn(&dyn BookmarkStore),
) {
    let (_directory, path) = place();
    let memory = Kind::Memory.open(&path);
    before(&*memory);
    after(&*memory);
    for kind in Kind::FULL {
        for pruned in [false, true] {
            let (_directory, path) = place();
            before(&*kind.open(&path));
            if pruned {
                kind.prune(&path);
            }
            after(&*kind.open(&path));
        }
    }
}

pub(crate) fn log(store: &dyn BookmarkStore, bookmark: &str) -> u64 {
    match store.log(SUB, bookmark).unwrap() {
        Logged::Undiscarded(number) => number,
        Logged::Discarded => panic!("{bookmark} is a duplicate"),
    }
}

pub(crate) fn log_all(store: &dyn BookmarkStore, bookmarks: &[&str]) {
    for bookmark in bookmarks {
        log(store, bookmark);
    }
}

pub(crate) fn discard(store: &dyn BookmarkStore, bookmark: &str) {
    store.discard_bookmark(SUB, bookmark).unwrap();
}

/// Logs and discards.
pub(crate) fn work_off(store: &dyn BookmarkStore, bookmarks: &[&str]) {
    for bookmark in bookmarks {
        let number = log(store, bookmark);
        store.discard(SUB, number).unwrap();
    }
}

pub(crate) fn is_duplicate(store: &dyn BookmarkStore, bookmark: &str) -> bool {
    let checked = store.is_discarded(SUB, bookmark);
    let logged = store.log(SUB, bookmark).unwrap() == Logged::Discarded;
    assert_eq!(checked, logged, "{bookmark}");
    logged
}

pub(crate) fn recent(store: &dyn BookmarkStore) -> String {
    store.most_recent(SUB).unwrap()
}
