//! The AMPS protocol, the synchronous socket client and its receive thread.

#![forbid(unsafe_code)]

mod ack;
mod command_type;
#[doc(hidden)]
pub mod protocol;

pub use ack::AckType;
pub use command_type::CommandType;
