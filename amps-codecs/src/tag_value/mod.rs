//! What FIX and NVFIX have in common: fields `key=value`, each followed by a separator.
//!
//! They differ in the key alone, a number or a name. The buffer that fields are appended to and the
//! iterators that take a message apart are here; what a key is, `fix` and `nvfix` say.

mod buffer;
mod copy;
mod scan;

pub use scan::{Fields, StrictFields};

pub(crate) use buffer::{FieldBuffer, Key};
pub(crate) use copy::copy_without;
pub(crate) use scan::Field;

use crate::error::CodecError;

/// What ends each field unless another separator is chosen: the byte 0x01, called SOH.
pub const DEFAULT_SEPARATOR: u8 = 0x01;

/// Refuses what could not be told from the fields themselves.
pub(crate) fn check_separator(separator: u8) -> Result<u8, CodecError> {
    if separator == b'=' || separator.is_ascii_digit() {
        return Err(CodecError::BadSeparator { separator });
    }
    Ok(separator)
}
