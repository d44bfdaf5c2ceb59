//! The AMPS client that reconnects by itself.
//!
//! This version of the crate holds no reconnecting client yet: see the error handling of
//! `amps_core::Client` for what a lost connection means there.
