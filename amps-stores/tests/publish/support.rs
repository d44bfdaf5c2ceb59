//! What the tests of publish stores share.

use amps_core::{CommandType, Error, OutgoingCommand, PublishStore, Result};
use amps_stores::{FilePublishStore, FileStoreOptions, MemoryPublishStore};
use std::fmt;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What the clock of the tests shows, in microseconds.
pub const NOW: u64 = 1_000_000;

pub fn clock() -> u64 {
    NOW
}

/// Small segments, so that little data needs many.
pub fn options() -> FileStoreOptions {
    FileStoreOptions::new()
        .segment_size(4096)
        .initial_size(4096)
        .clock(clock)
}

pub fn publish(data: &[u8]) -> OutgoingCommand<'_> {
    OutgoingCommand::new(CommandType::Publish, "orders", data)
}

pub fn put(store: &dyn PublishStore, data: &[u8]) -> u64 {
    store.store(&publish(data)).unwrap()
}

/// Everything that is stored, with its numbers.
pub fn content(store: &dyn PublishStore) -> Vec<(u64, Vec<u8>)> {
    content_after(store, 0).unwrap()
}

pub fn content_after(store: &dyn PublishStore, after: u64) -> Result<Vec<(u64, Vec<u8>)>> {
    let mut content = Vec::new();
    store.replay(after, &mut |stored| {
        assert_eq!(stored.command.topic, "orders");
        content.push((stored.sequence, stored.command.data.to_vec()));
        ControlFlow::Continue(())
    })?;
    Ok(content)
}

pub fn numbers(store: &dyn PublishStore) -> Vec<u64> {
    content(store)
        .into_iter()
        .map(|(number, _)| number)
        .collect()
}

pub fn store_error<T>(result: Result<T>) -> String {
    let error = result.err().expect("an error");
    assert!(matches!(error, Error::Store(_)), "{error}");
    error.to_string()
}

/// A directory with the path of a store file in it.
pub struct Place {
    pub directory: TempDir,
    pub path: PathBuf,
}

pub fn place() -> Place {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("orders.outgoing");
    Place { directory, path }
}

pub fn open(path: &Path) -> FilePublishStore {
    FilePublishStore::open(path, options()).unwrap()
}

/// A store whose `Debug` tells how many threads wait for a flush.
pub trait Tested: PublishStore + fmt::Debug {}

impl<S: PublishStore + fmt::Debug> Tested for S {}

/// Runs a test with a store of each kind.
pub fn with_each(test: impl Fn(&dyn Tested)) {
    test(&MemoryPublishStore::with_clock(1, clock));
    let place = place();
    test(&open(&place.path));
}
