//! The AMPS client that reconnects by itself.
//!
//! [`HaClient`] is a client that is kept connected by a loop; which server it tries is up to a
//! [`ServerChooser`], how long it waits to a [`ReconnectDelayStrategy`]. What a recovery consists
//! of (numbers, replay, subscriptions) is a part of every client's logon and is in `amps-core`.

#![forbid(unsafe_code)]

mod chooser;
mod client;
mod delay;
mod lend;
mod reconnect;

pub use chooser::{DefaultServerChooser, ServerChooser};
pub use client::HaClient;
pub use delay::{ExponentialDelayStrategy, FixedDelayStrategy, ReconnectDelayStrategy};
