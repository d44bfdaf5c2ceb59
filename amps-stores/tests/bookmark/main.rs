//! Bookmark stores: the rules L of the client, the resume point, the files.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking"
)]

mod bounds;
#[cfg(unix)]
mod child;
#[cfg(unix)]
mod disk_full;
mod files;
#[cfg(unix)]
mod kill;
mod model;
mod pruning;
mod recovery;
mod recovery_sow;
mod resume;
mod rules;
mod support;
