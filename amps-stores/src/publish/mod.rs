//! Publish stores: what was published and not persisted yet.
//!
//! | module | what it knows |
//! |---|---|
//! | `format` | the bytes of headers, segments and records |
//! | `region` | where segments are: in memory, or on a disk behind two header slots |
//! | `log` | appending at one end, forgetting at the other, using segments again |
//! | `numbers` | renumbering by a change of the header |
//! | `recover`, `backing` | opening a file, and judging and salvaging a damaged one |
//! | `shared` | one lock, growth, waiting for a flush: what all stores do alike |

mod backing;
mod file;
mod format;
mod hybrid;
mod log;
mod memory;
mod numbers;
mod options;
#[cfg(test)]
mod power;
mod recover;
mod region;
mod resize;
mod shared;

pub use backing::SalvageReport;
pub use file::FilePublishStore;
pub use hybrid::HybridPublishStore;
pub use memory::MemoryPublishStore;
pub use options::{FileStoreOptions, SyncPolicy};
