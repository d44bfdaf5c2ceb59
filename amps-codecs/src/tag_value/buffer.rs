//! The buffer that fields are appended to.

use std::fmt;

use memchr::memchr;

use super::check_separator;
use crate::error::{CodecError, FieldKey};

/// What stands before the `=`: what FIX and NVFIX write differently.
pub(crate) trait Key: Copy {
    /// How many bytes [`write`](Key::write) may touch.
    fn room(self) -> usize;

    /// Writes the key and its `=` to the front of `out`, and returns how many bytes they take.
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

    #[inline]
    pub(crate) fn append(&mut self, key: impl Key, value: &[u8]) -> Result<(), CodecError> {
        let separator = self.separator;
        let room = key.room() + value.len() + 1;
        if self.bytes.len() - self.len < room {
            self.make_room(room);
        }
        let out = &mut self.bytes[self.len..];
        let start = key.write(out, separator)?;
        let out = &mut out[start..];
        if copy_and_find(out, value, separator) {
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

/// Copies `value` to the front of `out` and says whether the separator is in it.
///
/// Most values have a few bytes, for which a call of `memcpy` and one of `memchr` cost more than
/// the work. Up to 32 bytes are therefore moved as two words that may overlap, and searched on the way.
#[inline]
fn copy_and_find(out: &mut [u8], value: &[u8], separator: u8) -> bool {
    let out = &mut out[..value.len()];
    if value.len() > 32 {
        out.copy_from_slice(value);
        memchr(separator, value).is_some()
    } else if value.len() >= 16 {
        copy_ends::<16>(out, value, separator)
    } else if value.len() >= 8 {
        copy_ends::<8>(out, value, separator)
    } else if value.len() >= 4 {
        copy_ends::<4>(out, value, separator)
    } else {
        let mut found = false;
        for (to, &byte) in out.iter_mut().zip(value) {
            *to = byte;
            found |= byte == separator;
        }
        found
    }
}

/// [`copy_and_find`] for a value of `N` to `2 * N` bytes.
#[inline]
fn copy_ends<const N: usize>(out: &mut [u8], value: &[u8], separator: u8) -> bool {
    let mut found = false;
    if let (Some(to), Some(head)) = (out.first_chunk_mut::<N>(), value.first_chunk::<N>()) {
        *to = *head;
        found |= holds(head, separator);
    }
    if let (Some(to), Some(tail)) = (out.last_chunk_mut::<N>(), value.last_chunk::<N>()) {
        *to = *tail;
        found |= holds(tail, separator);
    }
    found
}

/// Whether the byte is among `N`: without a branch in the loop, so that it becomes one comparison.
#[inline]
fn holds<const N: usize>(word: &[u8; N], byte: u8) -> bool {
    word.iter()
        .fold(false, |found, &other| found | (other == byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_any_length_is_copied_and_searched_to_its_last_byte() {
        for len in 0..=100 {
            let value: Vec<u8> = (0..len).map(|at| b'a' + at % 26).collect();
            let mut out = vec![0; 128];
            assert!(!copy_and_find(&mut out, &value, b'|'));
            assert_eq!(out[..value.len()], value);
            assert!(out[value.len()..].iter().all(|&byte| byte == 0));
            for at in 0..value.len() {
                let mut spoilt = value.clone();
                spoilt[at] = b'|';
                assert!(copy_and_find(&mut out, &spoilt, b'|'), "byte {at} of {len}");
            }
        }
    }
}
