//! The buffer that fields are appended to.

use std::fmt;

use memchr::memchr;

use super::check_separator;
use super::copy::copy_without;
use crate::error::{CodecError, FieldKey};

/// What stands before the `=`: what FIX and NVFIX write differently.
pub(crate) trait Key: Copy {
    /// How many bytes [`write`](Key::write) may touch.
    fn room(self) -> usize;

    /// Writes the key and its `=` to the front of `out`, and returns how many bytes they take.
    ///
    /// What an error leaves in `out` does not matter.
    fn write(self, out: &mut [u8], separator: u8) -> Result<usize, CodecError>;

    /// A copy for an error.
    fn detach(self) -> FieldKey;
}

/// Fields `key=value`, each followed by the separator, in one buffer that is used again and again.
#[derive(Clone)]
pub(crate) struct FieldBuffer {
    /// The fields, and behind them room that is already initialised. So appending is a few plain
    /// stores behind one check of the room, and whatever a failed append has written there is
    /// not part of the message.
    bytes: Vec<u8>,
    /// How many bytes the fields take.
    len: usize,
    separator: u8,
}

/// More than the longest FIX tag with its `=` and the separator, so that a buffer made for a message
/// of known length never grows for the room that a key only might need.
const SLACK: usize = 16;

impl FieldBuffer {
    pub(crate) fn new(separator: u8) -> FieldBuffer {
        FieldBuffer {
            bytes: Vec::new(),
            len: 0,
            separator,
        }
    }

    pub(crate) fn with_capacity(capacity: usize, separator: u8) -> FieldBuffer {
        let mut buffer = FieldBuffer::new(separator);
        buffer.reserve(capacity);
        buffer
    }

    pub(crate) fn with_separator(separator: u8) -> Result<FieldBuffer, CodecError> {
        Ok(FieldBuffer::new(check_separator(separator)?))
    }

    pub(crate) fn reserve(&mut self, additional: usize) {
        self.make_room(additional.saturating_add(SLACK));
    }

    // Always inlined, here and in what it calls and is called by: the compiler finds it too long,
    // but a field takes a handful of instructions, and the calls would take half as long again.
    #[inline(always)]
    pub(crate) fn append(&mut self, key: impl Key, value: &[u8]) -> Result<(), CodecError> {
        let separator = self.separator;
        let room = key.room() + value.len() + 1;
        if self.bytes.len() - self.len < room {
            self.make_room(room);
        }
        let out = &mut self.bytes[self.len..];
        let start = key.write(out, separator)?;
        let out = &mut out[start..][..value.len() + 1];
        if !copy_without(out, value, [separator]) {
            return Err(separator_in_value(key.detach(), value, separator));
        }
        out[value.len()] = separator;
        self.len += start + value.len() + 1;
        Ok(())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    #[cold]
    #[inline(never)]
    fn make_room(&mut self, room: usize) {
        let needed = self.len.saturating_add(room);
        if needed > self.bytes.len() {
            self.bytes.resize(needed.max(self.bytes.len() * 2), 0);
        }
    }
}

impl fmt::Debug for FieldBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_bytes().escape_ascii())
    }
}

#[cold]
#[inline(never)]
fn separator_in_value(field: FieldKey, value: &[u8], separator: u8) -> CodecError {
    let offset = memchr(separator, value).unwrap_or_default();
    CodecError::SeparatorInValue { field, offset }
}
