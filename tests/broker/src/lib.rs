//! A stand-in for an AMPS server: for tests, examples and trying things out.
#![forbid(unsafe_code)]

pub mod filter;
pub mod message_type;
