//! A stand-in for an AMPS server: for tests, examples and trying things out.

mod peer;

pub use peer::{Peer, PeerConnection, field, framed};
