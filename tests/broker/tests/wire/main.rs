//! The broker, spoken to over sockets with frames written by hand.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking, in the functions it shares too"
)]

mod aggregate;
mod conflation;
mod controls;
mod delete;
mod focus;
mod heartbeat;
mod history;
mod journal;
mod logon;
mod pause;
mod peer;
mod publish;
mod query;
mod queue;
mod queue_restart;
mod queue_topics;
mod replace;
mod replay;
mod replicate;
mod robustness;
mod subscribe;
mod transaction_log;
mod write_acks;
