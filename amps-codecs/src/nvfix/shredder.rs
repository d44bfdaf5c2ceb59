//! Reading NVFIX messages.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use crate::error::{CodecError, Malformed};
use crate::fields::{KeyRef, Value};
use crate::tag_value::{DEFAULT_SEPARATOR, Field, Fields, StrictFields, check_separator};

/// Reads the fields of an NVFIX message where they lie, without copying them.
///
/// A field is a name, `=` and a value, up to the separator or the end of the message; the first `=`
/// counts, so a value may hold more of them. Anything else between two separators is malformed: it
/// is skipped, except by [`strict_fields`](NvfixShredder::strict_fields). The separator is
/// [`DEFAULT_SEPARATOR`] unless [`with_separator`](NvfixShredder::with_separator) sets another.
///
/// # Example
///
/// ```
/// use amps_codecs::NvfixShredder;
///
/// let order = NvfixShredder::new("symbol=ROL\x01qty=7500\x01");
/// assert_eq!(order.get("qty").unwrap().as_integer()?, 7500);
/// assert!(order.get("px").is_none());
///
/// let shown: Vec<_> = order.fields().map(|f| format!("{} is {}", f.name(), f.value())).collect();
/// assert_eq!(shown, ["symbol is ROL", "qty is 7500"]);
/// # Ok::<(), amps_codecs::CodecError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct NvfixShredder<'a> {
    message: &'a [u8],
    separator: u8,
}

impl<'a> NvfixShredder<'a> {
    /// Reads a message whose fields end with the default separator. Nothing is read yet.
    pub fn new<B: AsRef<[u8]> + ?Sized>(message: &'a B) -> NvfixShredder<'a> {
        NvfixShredder {
            message: message.as_ref(),
            separator: DEFAULT_SEPARATOR,
        }
    }

    /// Reads a message whose fields end with `separator`. Nothing is read yet.
    ///
    /// # Errors
    ///
    /// [`CodecError::BadSeparator`] when it is `=` or a digit.
    ///
    /// ```
    /// # use amps_codecs::NvfixShredder;
    /// let order = NvfixShredder::with_separator("symbol=ROL|qty=7500", b'|')?;
    /// assert_eq!(order.get("qty").unwrap(), "7500");
    /// # Ok::<(), amps_codecs::CodecError>(())
    /// ```
    pub fn with_separator<B: AsRef<[u8]> + ?Sized>(
        message: &'a B,
        separator: u8,
    ) -> Result<NvfixShredder<'a>, CodecError> {
        let separator = check_separator(separator)?;
        Ok(NvfixShredder {
            message: message.as_ref(),
            separator,
        })
    }

    /// The fields in order, repeated ones included; malformed ones are skipped. It does not allocate.
    pub fn fields(&self) -> Fields<'a, NvfixField<'a>> {
        Fields::new(self.message, self.separator)
    }

    /// The fields in order, repeated ones included; malformed ones are errors. It does not allocate.
    ///
    /// The items are [`CodecError::MalformedField`] where [`fields`](NvfixShredder::fields) skips one.
    ///
    /// ```
    /// # use amps_codecs::{CodecError, NvfixShredder};
    /// let message = NvfixShredder::new("symbol=ROL\x01=7500\x01");
    /// let read: Result<Vec<_>, CodecError> = message.strict_fields().collect();
    /// assert_eq!(
    ///     read.unwrap_err().to_string(),
    ///     "the field at byte 11 is malformed: its name is empty",
    /// );
    /// ```
    pub fn strict_fields(&self) -> StrictFields<'a, NvfixField<'a>> {
        StrictFields::new(self.message, self.separator)
    }

    /// The value of the field with this name, or `None` if there is none.
    ///
    /// Of repeated fields it is the last, as in [`to_map`](NvfixShredder::to_map);
    /// [`fields`](NvfixShredder::fields) has them all. It searches from the end and does not
    /// allocate.
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<Value<'a>> {
        let name = name.as_ref();
        self.fields()
            .rfind(|field| field.name == name)
            .map(|field| field.value())
    }

    /// All fields as a map; of repeated ones it has the last, and malformed ones are not in it.
    ///
    /// This is the slow convenience: it allocates. [`fields`](NvfixShredder::fields) and
    /// [`get`](NvfixShredder::get) do not. Its keys are text, as [`NvfixField::name`] gives it.
    ///
    /// ```
    /// # use amps_codecs::NvfixShredder;
    /// let map = NvfixShredder::new("symbol=ROL\x01qty=7500\x01symbol=MSFT\x01").to_map();
    /// assert_eq!(map.len(), 2);
    /// assert_eq!(map["symbol"], "MSFT");
    /// ```
    pub fn to_map(&self) -> BTreeMap<Cow<'a, str>, Value<'a>> {
        self.fields()
            .map(|field| (field.name(), field.value()))
            .collect()
    }
}

/// One field of an NVFIX message, borrowed from it.
///
/// ```
/// # use amps_codecs::NvfixShredder;
/// let field = NvfixShredder::new("qty=7500").fields().next().unwrap();
/// assert_eq!(field.name(), "qty");
/// assert_eq!(field.value(), "7500");
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NvfixField<'a> {
    name: &'a [u8],
    value: &'a [u8],
}

impl<'a> NvfixField<'a> {
    /// The name before the `=` as text; what is not UTF-8 in it becomes `\u{fffd}`.
    pub fn name(self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.name)
    }

    /// The name before the `=` as the bytes it has in the message.
    pub fn name_bytes(self) -> &'a [u8] {
        self.name
    }

    /// What stands behind the first `=`.
    pub fn value(self) -> Value<'a> {
        Value::new(KeyRef::Name(self.name), self.value)
    }
}

impl<'a> Field<'a> for NvfixField<'a> {
    #[inline]
    fn read(raw: &'a [u8]) -> Result<NvfixField<'a>, Malformed> {
        // Byte by byte: names are short, and a call of memchr costs more than a few of them.
        match raw.iter().position(|&byte| byte == b'=') {
            None => Err(Malformed::NoEqualsSign),
            Some(0) => Err(Malformed::EmptyName),
            Some(at) => Ok(NvfixField {
                name: &raw[..at],
                value: &raw[at + 1..],
            }),
        }
    }
}

impl fmt::Debug for NvfixField<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NvfixField")
            .field("name", &self.name())
            .field("value", &self.value())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_equals_sign_splits_a_field() {
        let message = NvfixShredder::new("filter=a=b\x01note==\x01empty=");
        assert_eq!(message.get("filter").unwrap(), "a=b");
        assert_eq!(message.get("note").unwrap(), "=");
        assert_eq!(message.get("empty").unwrap(), "");
    }

    #[test]
    fn a_malformed_field_is_skipped_by_default_and_reported_when_strict() {
        let message = NvfixShredder::new("a=1\x01=2\x01three\x01b=4\x01");
        let names: Vec<_> = message.fields().map(NvfixField::name).collect();
        assert_eq!(names, ["a", "b"]);

        let strict: Vec<_> = message.strict_fields().collect();
        let malformed = |offset, reason| Err(CodecError::MalformedField { offset, reason });
        assert_eq!(strict[1], malformed(4, Malformed::EmptyName));
        assert_eq!(strict[2], malformed(7, Malformed::NoEqualsSign));
        assert_eq!(strict[3].as_ref().unwrap().name(), "b");
    }

    #[test]
    fn a_name_that_is_not_text_is_found_by_its_bytes() {
        let message = NvfixShredder::new(b"\xff=1\x01\xfe=2\x01");
        assert_eq!(message.get([0xff]).unwrap(), "1");
        assert_eq!(message.fields().next().unwrap().name(), "\u{fffd}");
        assert_eq!(message.fields().next().unwrap().name_bytes(), [0xff]);
    }

    #[test]
    fn names_differ_in_case() {
        let message = NvfixShredder::new("Qty=1\x01qty=2\x01");
        assert_eq!(message.get("Qty").unwrap(), "1");
        assert_eq!(message.get("qty").unwrap(), "2");
    }

    #[test]
    fn get_and_to_map_agree_on_the_last_of_repeated_names() {
        let message = NvfixShredder::new("party=alice\x01party=bob\x01party\x01");
        assert_eq!(message.get("party").unwrap(), "bob");
        assert_eq!(message.to_map()["party"], "bob");
        assert_eq!(message.fields().count(), 2);
    }
}
