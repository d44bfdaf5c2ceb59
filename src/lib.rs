//! A blocking client for AMPS.

pub use amps_codecs::{
    CodecError, CompositeMessageBuilder, CompositeMessageParser, DEFAULT_SEPARATOR, Decimal,
    FieldKey, Fields, FixBuilder, FixField, FixShredder, Malformed, NumberError, NvfixBuilder,
    NvfixField, NvfixShredder, Parts, StrictFields, Value,
};

// The guide, chapter by chapter: its code blocks are compiled and run with the doctests.
#[cfg(doctest)]
#[doc = include_str!("../docs/guide/11-utilities.md")]
mod guide_11_utilities {}
