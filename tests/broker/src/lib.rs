//! A stand-in for an AMPS server: for tests, examples and trying things out.

#![forbid(unsafe_code)]

mod ack;
mod auth;
mod builder;
mod config;
mod config_file;
mod controls;
mod engine;
mod error;
mod filter_gate;
mod hash;
mod options;
mod peer;
mod reason;
mod request;
mod server;
mod session;
mod sow;
mod time;
mod topic;

pub use auth::{Credentials, Logon};
pub use builder::Builder;
pub use config::TopicConfig;
pub use controls::State;
pub use error::BrokerError;
pub use peer::{Peer, PeerConnection, field, framed};
pub use server::Broker;
