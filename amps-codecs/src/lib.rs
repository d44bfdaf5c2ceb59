//! Builders and shredders for the message formats of AMPS: FIX, NVFIX and composite messages.
//!
//! AMPS carries a payload as plain bytes, so these types work on bytes: a builder collects fields
//! into one buffer that is published as it stands, a shredder or parser reads a received payload
//! where it lies, without copying it.
//!
//! # Which codec when
//!
//! | The topic's message type | Write with | Read with | A field is found by |
//! |---|---|---|---|
//! | `fix` | [`FixBuilder`] | [`FixShredder`] | its number: `55=ROL` |
//! | `nvfix` | [`NvfixBuilder`] | [`NvfixShredder`] | its name: `symbol=ROL` |
//! | a composite type, whose parts each have a type of their own | [`CompositeMessageBuilder`] | [`CompositeMessageParser`] | the position of its part |
//!
//! JSON needs nothing from here, and other types are opaque bytes to the client. The parts of a
//! composite message can be anything, so a part may well be built by a [`FixBuilder`].
//!
//! # Which way to read
//!
//! | You want | Call | Allocates | A malformed field is |
//! |---|---|---|---|
//! | every field, in order, repeated ones too | `fields` | no | skipped |
//! | the same, but certain that nothing was skipped | `strict_fields` | no | an error saying where |
//! | one field out of many | `get` | no | skipped |
//! | a map to look things up in | `to_map` | yes, the slow convenience | skipped |
//!
//! # Values
//!
//! A field's value is bytes. [`Value`] reads them as text, as an integer or as a [`Decimal`], which
//! keeps every digit: nothing in this crate rounds a price.
//!
//! # Example
//!
//! ```
//! use amps_codecs::{Decimal, FixBuilder, FixShredder};
//!
//! let mut order = FixBuilder::new();
//! order.append(55, "ROL")?.append_integer(38, 7500)?.append_decimal(44, Decimal::new(10125, 2)?)?;
//! assert_eq!(order.as_bytes(), b"55=ROL\x0138=7500\x0144=101.25\x01");
//!
//! let fields = FixShredder::new(order.as_bytes());
//! assert_eq!(fields.get(55).unwrap(), "ROL");
//! assert_eq!(fields.get(38).unwrap().as_integer()?, 7500);
//! # Ok::<(), amps_codecs::CodecError>(())
//! ```

#![forbid(unsafe_code)]

mod composite;
mod error;
mod fields;
mod fix;
mod nvfix;
mod tag_value;

pub use composite::{CompositeMessageBuilder, CompositeMessageParser, Parts};
pub use error::{CodecError, FieldKey, Malformed, NumberError};
pub use fields::{Decimal, Value};
pub use fix::{FixBuilder, FixField, FixShredder};
pub use nvfix::{NvfixBuilder, NvfixField, NvfixShredder};
pub use tag_value::{DEFAULT_SEPARATOR, Fields, StrictFields};
