//! The store in memory.

use super::format::Header;
use super::log::Log;
use super::numbers::wall_clock;
use super::region::MemoryRegion;
use super::shared::{Shared, publish_store};
use std::fmt;

/// The block that the capacity counts.
const BLOCK: usize = 2048;
/// The blocks are kept in pieces of this size.
const SEGMENT: usize = 64 * 1024;
/// No more pieces than this are added at a time: 4 GiB.
const MAX_GROWTH: usize = 1 << 16;

/// Keeps what was published in the memory of the process: it survives the loss of a connection,
/// not the end of the process.
///
/// Memory is used again as messages are persisted; in the steady state, storing a message
/// allocates nothing. Guide §9.2, §9.5; rules K.
///
/// ```
/// use amps_core::{CommandType, OutgoingCommand, PublishStore};
/// use amps_stores::MemoryPublishStore;
///
/// let store = MemoryPublishStore::new(10_000);
/// let first = store.store(&OutgoingCommand::new(CommandType::Publish, "orders", b"1"))?;
/// let second = store.store(&OutgoingCommand::new(CommandType::Publish, "orders", b"2"))?;
/// store.discard_up_to(first)?; // as the client does when the server has persisted it
/// assert_eq!(store.unpersisted_count(), 1);
/// assert_eq!(store.lowest_unpersisted(), second);
/// # Ok::<(), amps_core::Error>(())
/// ```
pub struct MemoryPublishStore {
    shared: Shared<Log<MemoryRegion>>,
}

impl MemoryPublishStore {
    /// A store with room for about so many messages of up to 2 KiB; it grows by as much whenever
    /// it is full, if the resize handler allows it.
    pub fn new(capacity: usize) -> Self {
        MemoryPublishStore::with_clock(capacity, wall_clock)
    }

    /// As [`new`](MemoryPublishStore::new), with a clock in microseconds since 1970 for its first
    /// number. For tests.
    #[doc(hidden)]
    pub fn with_clock(capacity: usize, clock: fn() -> u64) -> Self {
        let mut log = memory_log(capacity);
        log.begin_at(clock());
        MemoryPublishStore {
            shared: Shared::new(log),
        }
    }
}

pub(super) fn memory_log(capacity: usize) -> Log<MemoryRegion> {
    let segments = capacity.saturating_mul(BLOCK).div_ceil(SEGMENT);
    let segments = segments.clamp(1, MAX_GROWTH) as u32;
    let header = Header {
        first_ordinal: 1,
        ..Header::default()
    };
    Log::new(MemoryRegion::new(SEGMENT, segments), header, segments)
}

impl fmt::Debug for MemoryPublishStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.describe(f, "MemoryPublishStore")
    }
}

publish_store!(MemoryPublishStore);
