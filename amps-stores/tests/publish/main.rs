//! Publish stores: rules K and the traps 62 to 74 as far as they concern them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking"
)]

mod basics;
mod model;
mod support;
