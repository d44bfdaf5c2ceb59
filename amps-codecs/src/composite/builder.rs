//! Building composite messages.

use std::fmt;

use crate::error::CodecError;

/// Builds a composite message out of parts, each of any message type.
///
/// Parts are copied in, in the order they are appended, and cannot be changed afterwards. An empty
/// part is a part like any other, so the parts behind it keep their positions.
///
/// Keep one builder and [`clear`](CompositeMessageBuilder::clear) it: once its buffer has grown to
/// the size of your messages, building does not allocate.
///
/// # Example
///
/// A JSON part, and a binary part of numbers:
///
/// ```
/// use amps_codecs::{CompositeMessageBuilder, CompositeMessageParser};
///
/// let mut quote = CompositeMessageBuilder::new();
/// quote.append(r#"{"symbol":"ROL"}"#)?;
/// let levels: Vec<u8> = [101.25_f64, 101.5].iter().flat_map(|level| level.to_le_bytes()).collect();
/// quote.append(&levels)?;
///
/// let parts = CompositeMessageParser::parse(quote.data())?;
/// assert_eq!(parts.len(), 2);
/// assert_eq!(parts.get(1), Some(levels.as_slice()));
/// # Ok::<(), amps_codecs::CodecError>(())
/// ```
#[derive(Clone, Default)]
pub struct CompositeMessageBuilder {
    bytes: Vec<u8>,
    parts: usize,
}

impl CompositeMessageBuilder {
    /// Makes an empty builder. It does not allocate.
    pub fn new() -> CompositeMessageBuilder {
        CompositeMessageBuilder::default()
    }

    /// Makes an empty builder with room for `capacity` bytes, four of them for each part's length.
    pub fn with_capacity(capacity: usize) -> CompositeMessageBuilder {
        CompositeMessageBuilder {
            bytes: Vec::with_capacity(capacity),
            parts: 0,
        }
    }

    /// Appends a part.
    ///
    /// # Errors
    ///
    /// [`CodecError::PartTooLong`] when the part has 4 GiB or more; the builder stays as it was.
    pub fn append(
        &mut self,
        part: impl AsRef<[u8]>,
    ) -> Result<&mut CompositeMessageBuilder, CodecError> {
        let part = part.as_ref();
        let length = length_of(self.parts, part.len())?;
        self.bytes.reserve(length.len() + part.len());
        self.bytes.extend_from_slice(&length);
        self.bytes.extend_from_slice(part);
        self.parts += 1;
        Ok(self)
    }

    /// The message as it is published; the same as [`as_bytes`](CompositeMessageBuilder::as_bytes).
    pub fn data(&self) -> &[u8] {
        &self.bytes
    }

    /// The message as it is published.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many bytes the message has, the lengths of its parts included.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether no part has been appended. One empty part is a part.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Removes the parts and keeps the buffer for the next message.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.parts = 0;
    }
}

impl AsRef<[u8]> for CompositeMessageBuilder {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for CompositeMessageBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompositeMessageBuilder")
            .field("parts", &self.parts)
            .field("len", &self.bytes.len())
            .finish()
    }
}

/// The four bytes before a part.
fn length_of(part: usize, length: usize) -> Result<[u8; 4], CodecError> {
    u32::try_from(length)
        .map(u32::to_be_bytes)
        .map_err(|_| CodecError::PartTooLong { part, length })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_stands_behind_its_big_endian_length() {
        let mut builder = CompositeMessageBuilder::new();
        builder.append("abc").unwrap().append([7; 258]).unwrap();
        assert_eq!(builder.data()[..7], *b"\0\0\0\x03abc");
        assert_eq!(builder.data()[7..11], [0, 0, 1, 2]);
        assert_eq!(builder.len(), 4 + 3 + 4 + 258);
        assert_eq!(builder.data(), builder.as_bytes());
    }

    #[test]
    fn an_empty_part_is_kept() {
        let mut builder = CompositeMessageBuilder::new();
        assert!(builder.is_empty());
        builder.append("").unwrap().append("b").unwrap();
        assert_eq!(builder.data(), b"\0\0\0\0\0\0\0\x01b");
    }

    #[cfg(target_pointer_width = "64")]
    #[test]
    fn a_part_longer_than_its_length_can_say_is_refused() {
        assert_eq!(length_of(0, u32::MAX as usize), Ok([0xff; 4]));
        let length = u32::MAX as usize + 1;
        assert_eq!(
            length_of(3, length),
            Err(CodecError::PartTooLong { part: 3, length })
        );
    }

    #[test]
    fn clearing_starts_a_new_message() {
        let mut builder = CompositeMessageBuilder::with_capacity(64);
        builder.append("old").unwrap();
        builder.clear();
        assert!(builder.is_empty());
        builder.append("new").unwrap();
        assert_eq!(builder.data(), b"\0\0\0\x03new");
    }
}
