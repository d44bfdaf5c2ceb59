//! The `amps` protocol as bytes: frames, headers, batches. No sockets here.
//!
//! A frame is a length, one header object and a payload that is everything after it. The module
//! reads every spelling that a server or another client may send and writes the documented one.
//!
//! Hidden from the documentation and outside the version promise: the broker that stands in for
//! a server in tests shares it with the client.

mod batch;
mod calendar;
mod encode;
mod field;
mod frame;
mod header;
mod scan;
mod shape;
mod text;
mod usual;

pub use batch::{Record, Records};
pub use calendar::civil_from_days;
pub use encode::{BatchWriter, FrameWriter};
pub use field::{Field, FieldKind};
pub use frame::{FrameBuffer, MAX_FRAME, PREFIX, frames_in};
pub use header::{Header, Status};
pub use scan::{ParseError, RawField, Scanner, Span, find_field};
pub(crate) use shape::Shape;
pub use text::{list_items, option_items, parse_u64, unescape};
