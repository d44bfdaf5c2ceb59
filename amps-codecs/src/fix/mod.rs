//! FIX: fields whose key is a number, `55=ROL`.

mod builder;
mod shredder;

pub use builder::FixBuilder;
pub use shredder::{FixField, FixShredder};
