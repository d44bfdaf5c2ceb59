//! Building FIX messages.

use crate::error::{CodecError, FieldKey};
use crate::fields::{Decimal, Digits};
use crate::tag_value::{DEFAULT_SEPARATOR, FieldBuffer, Key};

/// Builds a FIX message: fields `tag=value`, each followed by a separator.
///
/// Fields are copied in, in the order they are appended, and cannot be changed afterwards. A tag is
/// any `u32`, so a negative one does not compile; a value is any bytes without the separator, `=`
/// included. The separator is [`DEFAULT_SEPARATOR`] unless [`with_separator`] sets another.
///
/// Keep one builder and [`clear`](FixBuilder::clear) it: once its buffer has grown to the size of
/// your messages, building does not allocate.
///
/// [`with_separator`]: FixBuilder::with_separator
///
/// # Example
///
/// ```
/// use amps_codecs::{Decimal, FixBuilder};
///
/// let mut order = FixBuilder::with_capacity(256);
/// order
///     .append(35, "D")?
///     .append(55, "ROL")?
///     .append_integer(38, 7500)?
///     .append_decimal(44, "101.250".parse::<Decimal>()?)?;
/// assert_eq!(order.as_bytes(), b"35=D\x0155=ROL\x0138=7500\x0144=101.250\x01");
///
/// order.clear();
/// order.append(35, "F")?;
/// assert_eq!(order.as_bytes(), b"35=F\x01");
/// # Ok::<(), amps_codecs::CodecError>(())
/// ```
#[derive(Debug, Clone)]
pub struct FixBuilder {
    fields: FieldBuffer,
}

impl FixBuilder {
    /// Makes an empty builder with the default separator. It does not allocate.
    pub fn new() -> FixBuilder {
        FixBuilder {
            fields: FieldBuffer::new(DEFAULT_SEPARATOR),
        }
    }

    /// Makes an empty builder with the default separator and room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> FixBuilder {
        FixBuilder {
            fields: FieldBuffer::with_capacity(capacity, DEFAULT_SEPARATOR),
        }
    }

    /// Makes an empty builder whose fields end with `separator`.
    ///
    /// # Errors
    ///
    /// [`CodecError::BadSeparator`] when it is `=` or a digit.
    ///
    /// ```
    /// # use amps_codecs::FixBuilder;
    /// let mut order = FixBuilder::with_separator(b'|')?;
    /// order.append(35, "D")?.append(55, "ROL")?;
    /// assert_eq!(order.as_bytes(), b"35=D|55=ROL|");
    /// # Ok::<(), amps_codecs::CodecError>(())
    /// ```
    pub fn with_separator(separator: u8) -> Result<FixBuilder, CodecError> {
        Ok(FixBuilder {
            fields: FieldBuffer::with_separator(separator)?,
        })
    }

    /// Appends a field of text or bytes.
    ///
    /// # Errors
    ///
    /// [`CodecError::SeparatorInValue`] when the value holds the separator; the builder stays as it
    /// was.
    #[inline(always)]
    pub fn append(
        &mut self,
        tag: u32,
        value: impl AsRef<[u8]>,
    ) -> Result<&mut FixBuilder, CodecError> {
        self.fields.append(Tag(tag), value.as_ref())?;
        Ok(self)
    }

    /// Appends a field with an integer of any type up to `i128`.
    ///
    /// # Errors
    ///
    /// [`CodecError::SeparatorInValue`] when the number is negative and the separator is `-`; the
    /// builder stays as it was.
    #[inline]
    pub fn append_integer(
        &mut self,
        tag: u32,
        value: impl Into<i128>,
    ) -> Result<&mut FixBuilder, CodecError> {
        self.append(tag, Digits::of(value.into()).as_bytes())
    }

    /// Appends a field with a decimal, written with all its decimals, trailing zeros included.
    ///
    /// An `f64` has to be made a [`Decimal`] first, with `Decimal::try_from`.
    ///
    /// # Errors
    ///
    /// [`CodecError::SeparatorInValue`] when the separator is a `.` or `-` that the number needs;
    /// the builder stays as it was.
    #[inline]
    pub fn append_decimal(
        &mut self,
        tag: u32,
        value: impl Into<Decimal>,
    ) -> Result<&mut FixBuilder, CodecError> {
        self.append(tag, value.into().digits().as_bytes())
    }

    /// The message as it is published.
    pub fn as_bytes(&self) -> &[u8] {
        self.fields.as_bytes()
    }

    /// How many bytes the message has.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether no field has been appended.
    pub fn is_empty(&self) -> bool {
        self.fields.len() == 0
    }

    /// Makes room for `additional` bytes more, to be filled without allocating.
    pub fn reserve(&mut self, additional: usize) {
        self.fields.reserve(additional);
    }

    /// Removes the fields and keeps the separator and the buffer for the next message.
    pub fn clear(&mut self) {
        self.fields.clear();
    }
}

/// The same as [`FixBuilder::new`], with the default separator.
impl Default for FixBuilder {
    fn default() -> FixBuilder {
        FixBuilder::new()
    }
}

impl AsRef<[u8]> for FixBuilder {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// A tag as a key.
#[derive(Clone, Copy)]
struct Tag(u32);

impl Key for Tag {
    #[inline]
    fn room(self) -> usize {
        11 // The digits of u32::MAX, and the `=`.
    }

    #[inline(always)]
    fn write(self, out: &mut [u8], _separator: u8) -> Result<usize, CodecError> {
        let Tag(tag) = self;
        if let Some(text) = usize::try_from(tag)
            .ok()
            .and_then(|tag| SHORT_TAGS.get(tag))
        {
            out[..4].copy_from_slice(text);
            return Ok(2 + usize::from(tag > 9) + usize::from(tag > 99));
        }
        let digits = Digits::of(tag.into());
        let len = digits.as_bytes().len();
        out[..len].copy_from_slice(digits.as_bytes());
        out[len] = b'=';
        Ok(len + 1)
    }

    fn detach(self) -> FieldKey {
        FieldKey::Tag(self.0)
    }
}

/// The tags below 1000 with their `=`: nearly all that messages use. Looking one up takes less than
/// half the time of dividing it into digits.
static SHORT_TAGS: [[u8; 4]; 1000] = {
    let mut tags = [[0; 4]; 1000];
    let mut tag = 0;
    while tag < tags.len() {
        let hundreds = b'0' + (tag / 100) as u8;
        let tens = b'0' + (tag / 10 % 10) as u8;
        let ones = b'0' + (tag % 10) as u8;
        tags[tag] = match tag {
            0..10 => [ones, b'=', 0, 0],
            10..100 => [tens, ones, b'=', 0],
            _ => [hundreds, tens, ones, b'='],
        };
        tag += 1;
    }
    tags
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tag_is_written_with_all_its_digits() {
        let mut builder = FixBuilder::new();
        for tag in [0, 9, 10, 99, 100, 999, 1000, 9999, 10_000, 99_999, u32::MAX] {
            builder.clear();
            builder.append(tag, "x").unwrap();
            assert_eq!(builder.as_bytes(), format!("{tag}=x\x01").as_bytes());
        }
    }

    #[test]
    fn a_value_may_contain_an_equals_sign() {
        let mut builder = FixBuilder::new();
        builder.append(58, "a=b=c").unwrap();
        assert_eq!(builder.as_bytes(), b"58=a=b=c\x01");
    }

    #[test]
    fn a_value_may_be_empty() {
        let mut builder = FixBuilder::new();
        builder.append(58, "").unwrap();
        assert_eq!(builder.as_bytes(), b"58=\x01");
        assert_eq!(builder.len(), 4);
    }

    #[test]
    fn a_refused_value_leaves_the_builder_as_it_was() {
        let mut builder = FixBuilder::with_separator(b'-').unwrap();
        builder.append(55, "ROL").unwrap();
        let refused = |offset| CodecError::SeparatorInValue {
            field: FieldKey::Tag(44),
            offset,
        };
        assert_eq!(builder.append(44, "1-2").unwrap_err(), refused(1));
        assert_eq!(builder.append_integer(44, -5).unwrap_err(), refused(0));
        assert_eq!(builder.append_decimal(44, -5).unwrap_err(), refused(0));
        assert_eq!(builder.as_bytes(), b"55=ROL-");
        builder.append(44, "12").unwrap();
        assert_eq!(builder.as_bytes(), b"55=ROL-44=12-");
    }

    #[test]
    fn a_separator_that_is_part_of_every_field_is_refused() {
        for separator in [b'=', b'0', b'9'] {
            let error = FixBuilder::with_separator(separator).unwrap_err();
            assert_eq!(error, CodecError::BadSeparator { separator });
        }
        assert!(FixBuilder::with_separator(0).is_ok());
    }

    #[test]
    fn a_default_builder_has_the_default_separator() {
        let mut builder = FixBuilder::default();
        builder.append(1, "a").unwrap();
        assert_eq!(builder.as_bytes(), b"1=a\x01");
    }

    #[test]
    fn growing_loses_no_bytes() {
        let mut builder = FixBuilder::with_capacity(1);
        let mut expected = String::new();
        for tag in 0..2000 {
            let value = "v".repeat(tag % 90);
            builder.append(tag as u32, &value).unwrap();
            expected += &format!("{tag}={value}\x01");
            assert_eq!(builder.len(), expected.len());
        }
        assert_eq!(builder.as_bytes(), expected.as_bytes());
    }
}
