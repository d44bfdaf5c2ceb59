//! Publish stores and bookmark stores for the AMPS client.
//!
//! This version of the crate holds no store yet: a client publishes without one, and a subscription
//! starts where its command says.
