//! Bookmark stores: the rules L of the client, the resume point, the files.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking"
)]

mod model;
mod resume;
mod rules;
mod support;
