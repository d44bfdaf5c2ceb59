//! The broker, spoken to over sockets with frames written by hand.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking, in the functions it shares too"
)]

mod conflation;
mod controls;
mod delete;
mod focus;
mod heartbeat;
mod logon;
mod peer;
mod publish;
mod query;
mod queue;
mod replace;
mod robustness;
mod subscribe;
mod write_acks;
