//! Composite messages: parts one after another, each behind its length.
//!
//! A part is a 4-byte big-endian length and that many bytes. Nothing says how many parts there are,
//! and nothing separates them: the message ends where its last part does.

mod builder;
mod parser;

pub use builder::CompositeMessageBuilder;
pub use parser::{CompositeMessageParser, Parts};
