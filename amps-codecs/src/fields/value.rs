//! The value of a field that was read.

use std::borrow::Cow;
use std::fmt;

use super::decimal::Decimal;
use super::digits::parse_integer;
use crate::error::{CodecError, FieldKey, excerpt};

/// The value of a field, borrowed from the message, to be read as bytes, text, integer or decimal.
///
/// It prints as text, and compares with text and bytes directly. It remembers which field it belongs
/// to, so that an error about it can say so.
///
/// # Example
///
/// ```
/// use amps_codecs::{Decimal, FixShredder};
///
/// let fields = FixShredder::new("55=ROL\x0138=7500\x0144=101.25\x01");
/// let (symbol, price) = (fields.get(55).unwrap(), fields.get(44).unwrap());
///
/// assert_eq!(symbol, "ROL");
/// assert_eq!(fields.get(38).unwrap().as_integer()?, 7500);
/// assert_eq!(price.as_decimal()?, Decimal::new(10125, 2)?);
/// assert_eq!(
///     symbol.as_integer().unwrap_err().to_string(),
///     "the value \"ROL\" of tag 55 cannot be read as an integer",
/// );
/// # Ok::<(), amps_codecs::CodecError>(())
/// ```
#[derive(Clone, Copy)]
pub struct Value<'a> {
    key: KeyRef<'a>,
    bytes: &'a [u8],
}

/// Which field a value belongs to, borrowed.
#[derive(Clone, Copy)]
pub(crate) enum KeyRef<'a> {
    Tag(u32),
    Name(&'a [u8]),
}

impl KeyRef<'_> {
    /// A copy for an error.
    pub(crate) fn detach(self) -> FieldKey {
        match self {
            KeyRef::Tag(tag) => FieldKey::Tag(tag),
            KeyRef::Name(name) => FieldKey::Name(excerpt(name)),
        }
    }
}

impl<'a> Value<'a> {
    pub(crate) fn new(key: KeyRef<'a>, bytes: &'a [u8]) -> Value<'a> {
        Value { key, bytes }
    }

    /// The bytes as they stand in the message.
    pub fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// The value as text.
    ///
    /// # Errors
    ///
    /// [`CodecError::NotText`] when the bytes are not UTF-8. They can still be read as bytes, and
    /// the value still prints, with `\u{fffd}` for what is not text.
    pub fn as_text(self) -> Result<&'a str, CodecError> {
        std::str::from_utf8(self.bytes).map_err(|error| CodecError::NotText {
            field: self.key.detach(),
            offset: error.valid_up_to(),
        })
    }

    /// The value as an integer: an optional minus sign and digits, nothing else.
    ///
    /// # Errors
    ///
    /// [`CodecError::NotAnInteger`] when the value is something else, or does not fit an `i64`.
    /// It can still be read in another way: [`as_decimal`](Value::as_decimal) holds larger numbers.
    pub fn as_integer(self) -> Result<i64, CodecError> {
        parse_integer(self.bytes).map_err(|source| CodecError::NotAnInteger {
            field: self.key.detach(),
            text: excerpt(self.bytes),
            source,
        })
    }

    /// The value as an exact decimal: an optional minus sign, digits, at most one point.
    ///
    /// # Errors
    ///
    /// [`CodecError::NotADecimal`] when the value is something else, an exponent included, or has
    /// more digits than [`Decimal`] holds; it is never rounded to fit. It can still be read in
    /// another way.
    pub fn as_decimal(self) -> Result<Decimal, CodecError> {
        Decimal::parse(self.bytes).map_err(|source| CodecError::NotADecimal {
            field: self.key.detach(),
            text: excerpt(self.bytes),
            source,
        })
    }

    /// How many bytes the value has.
    pub fn len(self) -> usize {
        self.bytes.len()
    }

    /// Whether the value has no bytes, as in `58=`. Such a field is there, unlike a missing one.
    pub fn is_empty(self) -> bool {
        self.bytes.is_empty()
    }

    fn shown(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.bytes)
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.shown())
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.shown(), f)
    }
}

impl AsRef<[u8]> for Value<'_> {
    fn as_ref(&self) -> &[u8] {
        self.bytes
    }
}

/// Two values are equal when their bytes are, whichever fields they belong to.
impl PartialEq for Value<'_> {
    fn eq(&self, other: &Value<'_>) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Value<'_> {}

macro_rules! compares_with {
    ($($other:ty)*) => {$(
        impl PartialEq<$other> for Value<'_> {
            fn eq(&self, other: &$other) -> bool {
                let other: &[u8] = other.as_ref();
                self.bytes == other
            }
        }
    )*};
}

compares_with!(str &str String [u8] &[u8]);

impl<const N: usize> PartialEq<&[u8; N]> for Value<'_> {
    fn eq(&self, other: &&[u8; N]) -> bool {
        self.bytes == *other
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::NumberError;

    fn value(bytes: &[u8]) -> Value<'_> {
        Value::new(KeyRef::Name(b"px"), bytes)
    }

    #[test]
    fn a_value_compares_with_text_and_with_bytes() {
        assert_eq!(value(b"ROL"), "ROL");
        assert_eq!(value(b"ROL"), *"ROL");
        assert_eq!(value(b"ROL"), b"ROL");
        assert_eq!(value(b"ROL"), b"ROL".as_slice());
        assert_ne!(value(b"ROL"), String::from("rol"));
        assert_eq!(value(b"ROL"), Value::new(KeyRef::Tag(55), b"ROL"));
    }

    #[test]
    fn a_value_that_is_not_text_still_prints_and_says_where_it_breaks() {
        let broken = value(b"ab\xff");
        assert_eq!(broken.to_string(), "ab\u{fffd}");
        let field = FieldKey::Name("px".into());
        assert_eq!(
            broken.as_text(),
            Err(CodecError::NotText { field, offset: 2 })
        );
        assert_eq!(broken.as_bytes(), b"ab\xff");
    }

    #[test]
    fn an_empty_value_is_text_but_no_number() {
        assert_eq!(value(b"").as_text(), Ok(""));
        assert!(value(b"").is_empty());
        let error = value(b"").as_decimal().unwrap_err();
        assert!(matches!(
            error,
            CodecError::NotADecimal {
                source: NumberError::NoDigits,
                ..
            }
        ));
    }

    #[test]
    fn a_value_is_padded_like_text() {
        assert_eq!(format!("[{:<5}]", value(b"ROL")), "[ROL  ]");
    }
}
