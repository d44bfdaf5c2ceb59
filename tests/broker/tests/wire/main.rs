//! The broker, spoken to over sockets with frames written by hand.

mod controls;
mod delete;
mod heartbeat;
mod logon;
mod peer;
mod publish;
mod query;
mod robustness;
mod subscribe;
