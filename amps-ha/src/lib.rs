//! The AMPS client that reconnects by itself.

#![forbid(unsafe_code)]

mod chooser;
mod delay;

pub use chooser::{DefaultServerChooser, ServerChooser};
pub use delay::{ExponentialDelayStrategy, FixedDelayStrategy, ReconnectDelayStrategy};
