//! What the tests of publish stores share.

use amps_core::{CommandType, Error, OutgoingCommand, PublishStore, Result};
use amps_stores::{FilePublishStore, FileStoreOptions, HybridPublishStore, MemoryPublishStore};
use std::fmt;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What the clock of the tests shows, in microseconds.
pub(crate) const NOW: u64 = 1_000_000;

pub(crate) fn clock() -> u64 {
    NOW
}

/// Small segments, so that little data needs many.
pub(crate) fn options() -> FileStoreOptions {
    FileStoreOptions::new()
        .set_segment_size(4096)
        .set_initial_size(4096)
        .set_clock(clock)
}

pub(crate) fn publish(data: &[u8]) -> OutgoingCommand<'_> {
    OutgoingCommand::new(CommandType::Publish, "orders", data)
}

pub(crate) fn put(store: &dyn PublishStore, data: &[u8]) -> u64 {
    store.store(&publish(data)).unwrap()
}

/// Everything that is stored, with its numbers.
pub(crate) fn content(store: &dyn PublishStore) -> Vec<(u64, Vec<u8>)> {
    content_after(store, 0).unwrap()
}

pub(crate) fn content_after(store: &dyn PublishStore, after: u64) -> Result<Vec<(u64, Vec<u8>)>> {
    let mut content = Vec::new();
    store.replay(after, &mut |stored| {
        assert_eq!(stored.command.topic, "orders");
        content.push((stored.sequence, stored.command.data.to_vec()));
        ControlFlow::Continue(())
    })?;
    Ok(content)
}

pub(crate) fn numbers(store: &dyn PublishStore) -> Vec<u64> {
    content(store)
        .into_iter()
        .map(|(number, _)| number)
        .collect()
}

pub(crate) fn store_error<T>(result: Result<T>) -> String {
    let error = result.err().expect("an error");
    assert!(matches!(error, Error::Store(_)), "{error}");
    error.to_string()
}

/// A directory with the path of a store file in it.
pub(crate) struct Place {
    pub(crate) directory: TempDir,
    pub(crate) path: PathBuf,
}

pub(crate) fn place() -> Place {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("orders.outgoing");
    Place { directory, path }
}

pub(crate) fn open(path: &Path) -> FilePublishStore {
    FilePublishStore::open(path, options()).unwrap()
}

/// A store whose `Debug` tells how many threads wait for a flush.
pub(crate) trait Tested: PublishStore + fmt::Debug {}

impl<S: PublishStore + fmt::Debug> Tested for S {}

/// Runs a test with a store of each kind.
pub(crate) fn with_each(test: impl Fn(&dyn Tested)) {
    test(&MemoryPublishStore::with_clock(1, clock));
    let place = place();
    test(&open(&place.path));
    test(&hybrid(&place.directory.path().join("hybrid"), 4));
}

pub(crate) fn hybrid(path: &Path, max_in_memory: usize) -> HybridPublishStore {
    HybridPublishStore::open_with(path, max_in_memory, options()).unwrap()
}
