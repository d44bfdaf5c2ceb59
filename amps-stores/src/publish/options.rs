//! How a store file is opened.

use super::format::{MAX_SEGMENT, MIN_SEGMENT, client_hash};
use super::numbers::wall_clock;
use super::recover::Expected;
use crate::mapped_file::boot_id;

/// When a store file is written through to the disk.
///
/// What was stored is in the pages of the operating system at once, and survives the death of the
/// process whatever the policy. The policy decides what survives a loss of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SyncPolicy {
    /// Never: the operating system writes when it likes. The default, and the fastest.
    #[default]
    Never,
    /// When somebody calls [`flush`](amps_core::PublishStore::flush) or
    /// [`sync`](crate::FilePublishStore::sync), and when the store is closed.
    OnFlush,
    /// Before each publish returns. It takes as long as the disk does.
    EveryAppend,
}

/// How a [`FilePublishStore`](crate::FilePublishStore) or the file of a
/// [`HybridPublishStore`](crate::HybridPublishStore) is opened.
///
/// ```
/// use amps_stores::{FileStoreOptions, SyncPolicy};
///
/// let options = FileStoreOptions::new()
///     .set_client_name("order-entry")
///     .set_sync_policy(SyncPolicy::OnFlush);
/// # let _ = options;
/// ```
#[derive(Debug, Clone)]
pub struct FileStoreOptions {
    client_hash: u64,
    segment_size: usize,
    initial_size: usize,
    sync_policy: SyncPolicy,
    salvage: bool,
    truncate_on_close: bool,
    clock: fn() -> u64,
}

impl Default for FileStoreOptions {
    fn default() -> Self {
        FileStoreOptions {
            client_hash: 0,
            segment_size: 1 << 20,
            initial_size: 1 << 20,
            sync_policy: SyncPolicy::Never,
            salvage: false,
            truncate_on_close: false,
            clock: wall_clock,
        }
    }
}

impl FileStoreOptions {
    /// The defaults.
    pub fn new() -> Self {
        FileStoreOptions::default()
    }

    /// The name of the client that publishes through the store. The file remembers it, and is
    /// refused to a client of another name, whose numbers it does not hold. Not checked by default.
    #[must_use]
    pub fn set_client_name(mut self, name: impl AsRef<str>) -> Self {
        self.client_hash = client_hash(name.as_ref());
        self
    }

    /// By how many bytes the file grows, between 4 KiB and 1 GiB, rounded up to 4 KiB; 1 MiB by
    /// default. It is settled when the file is created; after that it has no effect.
    #[must_use]
    pub fn set_segment_size(mut self, bytes: usize) -> Self {
        let bytes = bytes.clamp(MIN_SEGMENT, MAX_SEGMENT);
        self.segment_size = bytes.next_multiple_of(MIN_SEGMENT);
        self
    }

    /// How many bytes of messages a file that is created has room for at once, rounded up to
    /// segments; 1 MiB by default.
    #[must_use]
    pub fn set_initial_size(mut self, bytes: usize) -> Self {
        self.initial_size = bytes;
        self
    }

    /// When the file is written through to the disk; [`SyncPolicy::Never`] by default.
    #[must_use]
    pub fn set_sync_policy(mut self, policy: SyncPolicy) -> Self {
        self.sync_policy = policy;
        self
    }

    /// Whether a file that is damaged is repaired: the original is copied aside, every record that
    /// is still valid is kept, and what is missing is logged and reported
    /// ([`salvage_report`](crate::FilePublishStore::salvage_report)). Off by default: opening a
    /// damaged file is an error, and the file stays as it is.
    #[must_use]
    pub fn set_salvage(mut self, salvage: bool) -> Self {
        self.salvage = salvage;
        self
    }

    /// Whether the file of a store that is empty is shortened when it is closed; off by default.
    #[must_use]
    pub fn set_truncate_on_close(mut self, truncate: bool) -> Self {
        self.truncate_on_close = truncate;
        self
    }

    /// A clock in microseconds since 1970, for the first number. For tests.
    #[doc(hidden)]
    #[must_use]
    pub fn set_clock(mut self, clock: fn() -> u64) -> Self {
        self.clock = clock;
        self
    }

    pub(super) fn policy(&self) -> SyncPolicy {
        self.sync_policy
    }

    pub(super) fn salvages(&self) -> bool {
        self.salvage
    }

    pub(super) fn truncates(&self) -> bool {
        self.truncate_on_close
    }

    pub(super) fn now(&self) -> u64 {
        (self.clock)()
    }

    pub(super) fn size_of_segments(&self) -> usize {
        self.segment_size
    }

    /// How many segments a new file has.
    pub(super) fn segments(&self) -> u32 {
        let segments = self.initial_size.div_ceil(self.segment_size).max(1);
        u32::try_from(segments).unwrap_or(u32::MAX)
    }

    pub(super) fn expected(&self) -> Expected {
        Expected {
            client_hash: self.client_hash,
            boot_id: boot_id().unwrap_or_default(),
        }
    }
}
