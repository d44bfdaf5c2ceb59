//! What a field holds: bytes, read as text, integer or decimal.

mod decimal;
mod digits;
mod value;

pub use decimal::Decimal;
pub use value::Value;

pub(crate) use digits::Digits;
pub(crate) use value::KeyRef;
