//! Publish stores: rules K and the traps 62 to 74 as far as they concern them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking"
)]

mod basics;
mod bounds;
mod damage;
#[cfg(unix)]
mod full_disk;
mod hybrid;
#[cfg(unix)]
mod kill;
mod model;
mod numbers;
mod properties;
mod support;
