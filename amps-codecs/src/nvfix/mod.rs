//! NVFIX: fields whose key is a name, `symbol=ROL`.

mod builder;
mod shredder;

pub use builder::NvfixBuilder;
pub use shredder::{NvfixField, NvfixShredder};
