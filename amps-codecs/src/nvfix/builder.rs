//! Building NVFIX messages.

use crate::error::{CodecError, FieldKey, excerpt};
use crate::fields::{Decimal, Digits};
use crate::tag_value::{DEFAULT_SEPARATOR, FieldBuffer, Key, copy_without};

/// Builds an NVFIX message: fields `name=value`, each followed by a separator.
///
/// Fields are copied in, in the order they are appended, and cannot be changed afterwards. A name is
/// any bytes but `=` and the separator, at least one; a value is any bytes without the separator,
/// `=` included. The separator is [`DEFAULT_SEPARATOR`] unless [`with_separator`] sets another.
///
/// Keep one builder and [`clear`](NvfixBuilder::clear) it: once its buffer has grown to the size of
/// your messages, building does not allocate.
///
/// [`with_separator`]: NvfixBuilder::with_separator
///
/// # Example
///
/// ```
/// use amps_codecs::{Decimal, NvfixBuilder};
///
/// let mut order = NvfixBuilder::with_capacity(256);
/// order
///     .append("symbol", "ROL")?
///     .append_integer("qty", 7500)?
///     .append_decimal("px", "101.250".parse::<Decimal>()?)?;
/// assert_eq!(order.as_bytes(), b"symbol=ROL\x01qty=7500\x01px=101.250\x01");
///
/// order.clear();
/// order.append("symbol", "MSFT")?;
/// assert_eq!(order.as_bytes(), b"symbol=MSFT\x01");
/// # Ok::<(), amps_codecs::CodecError>(())
/// ```
#[derive(Debug, Clone)]
pub struct NvfixBuilder {
    fields: FieldBuffer,
}

impl NvfixBuilder {
    /// Makes an empty builder with the default separator. It does not allocate.
    pub fn new() -> NvfixBuilder {
        NvfixBuilder {
            fields: FieldBuffer::new(DEFAULT_SEPARATOR),
        }
    }

    /// Makes an empty builder with the default separator and room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> NvfixBuilder {
        NvfixBuilder {
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
    /// # use amps_codecs::NvfixBuilder;
    /// let mut order = NvfixBuilder::with_separator(b'|')?;
    /// order.append("symbol", "ROL")?.append_integer("qty", 7500)?;
    /// assert_eq!(order.as_bytes(), b"symbol=ROL|qty=7500|");
    /// # Ok::<(), amps_codecs::CodecError>(())
    /// ```
    pub fn with_separator(separator: u8) -> Result<NvfixBuilder, CodecError> {
        Ok(NvfixBuilder {
            fields: FieldBuffer::with_separator(separator)?,
        })
    }

    /// Appends a field of text or bytes.
    ///
    /// # Errors
    ///
    /// The builder stays as it was after each of them:
    /// [`CodecError::EmptyName`] when the name is empty; [`CodecError::BadName`] when it holds `=`
    /// or the separator; [`CodecError::SeparatorInValue`] when the value holds the separator.
    #[inline(always)]
    pub fn append(
        &mut self,
        name: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<&mut NvfixBuilder, CodecError> {
        self.fields.append(Name(name.as_ref()), value.as_ref())?;
        Ok(self)
    }

    /// Appends a field with an integer of any type up to `i128`.
    ///
    /// # Errors
    ///
    /// As for [`append`](NvfixBuilder::append); the number holds the separator when it is negative
    /// and the separator is `-`.
    #[inline]
    pub fn append_integer(
        &mut self,
        name: impl AsRef<[u8]>,
        value: impl Into<i128>,
    ) -> Result<&mut NvfixBuilder, CodecError> {
        self.append(name, Digits::of(value.into()).as_bytes())
    }

    /// Appends a field with a decimal, written with all its decimals, trailing zeros included.
    ///
    /// An `f64` has to be made a [`Decimal`] first, with `Decimal::try_from`.
    ///
    /// # Errors
    ///
    /// As for [`append`](NvfixBuilder::append); the number holds the separator when that is a `.` or
    /// `-` that the number needs.
    #[inline]
    pub fn append_decimal(
        &mut self,
        name: impl AsRef<[u8]>,
        value: impl Into<Decimal>,
    ) -> Result<&mut NvfixBuilder, CodecError> {
        self.append(name, value.into().digits().as_bytes())
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

/// The same as [`NvfixBuilder::new`], with the default separator.
impl Default for NvfixBuilder {
    fn default() -> NvfixBuilder {
        NvfixBuilder::new()
    }
}

impl AsRef<[u8]> for NvfixBuilder {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// A name as a key.
#[derive(Clone, Copy)]
struct Name<'a>(&'a [u8]);

impl Key for Name<'_> {
    #[inline]
    fn room(self) -> usize {
        self.0.len() + 1
    }

    #[inline(always)]
    fn write(self, out: &mut [u8], separator: u8) -> Result<usize, CodecError> {
        let Name(name) = self;
        if name.is_empty() {
            return Err(CodecError::EmptyName);
        }
        if !copy_without(out, name, [b'=', separator]) {
            return Err(bad_name(name, separator));
        }
        out[name.len()] = b'=';
        Ok(name.len() + 1)
    }

    fn detach(self) -> FieldKey {
        FieldKey::Name(excerpt(self.0))
    }
}

#[cold]
#[inline(never)]
fn bad_name(name: &[u8], separator: u8) -> CodecError {
    let offset = memchr::memchr2(b'=', separator, name).unwrap_or_default();
    CodecError::BadName {
        name: excerpt(name),
        offset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_counts_the_name_the_equals_sign_the_value_and_the_separator() {
        let mut builder = NvfixBuilder::new();
        builder
            .append("symbol", "ROL")
            .unwrap()
            .append_integer("q", 7)
            .unwrap();
        assert_eq!(builder.len(), "symbol=ROL\x01q=7\x01".len());
        assert_eq!(builder.len(), builder.as_bytes().len());
    }

    #[test]
    fn a_refused_field_leaves_the_builder_as_it_was() {
        let mut builder = NvfixBuilder::new();
        builder.append("a", "1").unwrap();
        assert_eq!(builder.append("", "1").unwrap_err(), CodecError::EmptyName);
        let bad = |name: &str, offset| CodecError::BadName {
            name: name.into(),
            offset,
        };
        assert_eq!(builder.append("b=", "1").unwrap_err(), bad("b=", 1));
        assert_eq!(builder.append("\x01b", "1").unwrap_err(), bad("\x01b", 0));
        let field = FieldKey::Name("b".into());
        let refused = CodecError::SeparatorInValue { field, offset: 2 };
        assert_eq!(builder.append("b", "12\x01").unwrap_err(), refused);
        assert_eq!(builder.as_bytes(), b"a=1\x01");
        assert_eq!(builder.len(), 4);
    }

    #[test]
    fn a_name_may_be_any_bytes_but_an_equals_sign_and_the_separator() {
        let mut builder = NvfixBuilder::new();
        builder.append([0, 0xff, b' '], [0, 0xff, b'=']).unwrap();
        assert_eq!(builder.as_bytes(), b"\x00\xff =\x00\xff=\x01");
    }

    #[test]
    fn a_default_builder_has_the_default_separator() {
        let mut builder = NvfixBuilder::default();
        builder.append("a", "").unwrap();
        assert_eq!(builder.as_bytes(), b"a=\x01");
    }
}
