//! Reading FIX messages.

use std::collections::BTreeMap;

use crate::error::{CodecError, Malformed};
use crate::fields::{KeyRef, Value};
use crate::tag_value::{DEFAULT_SEPARATOR, Field, Fields, StrictFields, check_separator};

/// Reads the fields of a FIX message where they lie, without copying them.
///
/// A field is a number, `=` and a value, up to the separator or the end of the message; the first
/// `=` counts, so a value may hold more of them. Anything else between two separators is malformed:
/// it is skipped, except by [`strict_fields`](FixShredder::strict_fields). The separator is
/// [`DEFAULT_SEPARATOR`] unless [`with_separator`](FixShredder::with_separator) sets another.
///
/// # Example
///
/// ```
/// use amps_codecs::FixShredder;
///
/// let order = FixShredder::new("35=D\x0155=ROL\x0138=7500\x01");
/// assert_eq!(order.get(38).unwrap().as_integer()?, 7500);
/// assert!(order.get(44).is_none());
///
/// let shown: Vec<_> = order.fields().map(|f| format!("{} is {}", f.tag(), f.value())).collect();
/// assert_eq!(shown, ["35 is D", "55 is ROL", "38 is 7500"]);
/// # Ok::<(), amps_codecs::CodecError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct FixShredder<'a> {
    message: &'a [u8],
    separator: u8,
}

impl<'a> FixShredder<'a> {
    /// Reads a message whose fields end with the default separator. Nothing is read yet.
    pub fn new<B: AsRef<[u8]> + ?Sized>(message: &'a B) -> FixShredder<'a> {
        FixShredder {
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
    /// # use amps_codecs::FixShredder;
    /// let order = FixShredder::with_separator("35=D|55=ROL", b'|')?;
    /// assert_eq!(order.get(55).unwrap(), "ROL");
    /// # Ok::<(), amps_codecs::CodecError>(())
    /// ```
    pub fn with_separator<B: AsRef<[u8]> + ?Sized>(
        message: &'a B,
        separator: u8,
    ) -> Result<FixShredder<'a>, CodecError> {
        let separator = check_separator(separator)?;
        Ok(FixShredder {
            message: message.as_ref(),
            separator,
        })
    }

    /// The fields in order, repeated ones included; malformed ones are skipped. It does not allocate.
    pub fn fields(&self) -> Fields<'a, FixField<'a>> {
        Fields::new(self.message, self.separator)
    }

    /// The fields in order, repeated ones included; malformed ones are errors. It does not allocate.
    ///
    /// The items are [`CodecError::MalformedField`] where [`fields`](FixShredder::fields) skips one.
    ///
    /// ```
    /// # use amps_codecs::{CodecError, FixShredder};
    /// let message = FixShredder::new("35=D\x01fifty-five=ROL\x01");
    /// let read: Result<Vec<_>, CodecError> = message.strict_fields().collect();
    /// assert_eq!(
    ///     read.unwrap_err().to_string(),
    ///     "the field at byte 5 is malformed: its tag is not a number from 0 to 4294967295",
    /// );
    /// ```
    pub fn strict_fields(&self) -> StrictFields<'a, FixField<'a>> {
        StrictFields::new(self.message, self.separator)
    }

    /// The value of the field with this tag, or `None` if there is none.
    ///
    /// Of repeated fields it is the last, as in [`to_map`](FixShredder::to_map);
    /// [`fields`](FixShredder::fields) has them all. It searches from the end and does not allocate.
    pub fn get(&self, tag: u32) -> Option<Value<'a>> {
        self.fields()
            .rfind(|field| field.tag == tag)
            .map(|field| field.value())
    }

    /// All fields as a map; of repeated ones it has the last, and malformed ones are not in it.
    ///
    /// This is the slow convenience: it allocates. [`fields`](FixShredder::fields) and
    /// [`get`](FixShredder::get) do not.
    ///
    /// ```
    /// # use amps_codecs::FixShredder;
    /// let map = FixShredder::new("55=ROL\x0138=7500\x0155=MSFT\x01").to_map();
    /// assert_eq!(map.len(), 2);
    /// assert_eq!(map[&55], "MSFT");
    /// ```
    pub fn to_map(&self) -> BTreeMap<u32, Value<'a>> {
        self.fields()
            .map(|field| (field.tag, field.value()))
            .collect()
    }
}

/// One field of a FIX message, borrowed from it.
///
/// ```
/// # use amps_codecs::FixShredder;
/// let field = FixShredder::new("38=7500").fields().next().unwrap();
/// assert_eq!(field.tag(), 38);
/// assert_eq!(field.value(), "7500");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FixField<'a> {
    tag: u32,
    value: &'a [u8],
}

impl<'a> FixField<'a> {
    /// The number before the `=`.
    pub fn tag(self) -> u32 {
        self.tag
    }

    /// What stands behind the first `=`.
    pub fn value(self) -> Value<'a> {
        Value::new(KeyRef::Tag(self.tag), self.value)
    }
}

impl<'a> Field<'a> for FixField<'a> {
    #[inline]
    fn read(raw: &'a [u8]) -> Result<FixField<'a>, Malformed> {
        let mut tag = 0_u32;
        for (at, &byte) in raw.iter().enumerate() {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return match byte {
                    b'=' if at > 0 => Ok(FixField {
                        tag,
                        value: &raw[at + 1..],
                    }),
                    _ => Err(complaint(raw)),
                };
            }
            let longer = tag
                .checked_mul(10)
                .and_then(|tag| tag.checked_add(u32::from(digit)));
            let Some(longer) = longer else {
                return Err(complaint(raw));
            };
            tag = longer;
        }
        Err(Malformed::NoEqualsSign)
    }
}

#[cold]
fn complaint(raw: &[u8]) -> Malformed {
    if raw.contains(&b'=') {
        Malformed::BadTag
    } else {
        Malformed::NoEqualsSign
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(raw: &str) -> Result<(u32, &str), Malformed> {
        FixField::read(raw.as_bytes()).map(|f| (f.tag, std::str::from_utf8(f.value).unwrap()))
    }

    #[test]
    fn the_first_equals_sign_splits_a_field() {
        assert_eq!(read("58=a=b=c"), Ok((58, "a=b=c")));
        assert_eq!(read("58=="), Ok((58, "=")));
        assert_eq!(read("58="), Ok((58, "")));
    }

    #[test]
    fn a_tag_is_digits_that_fit_a_u32() {
        assert_eq!(read("0=x"), Ok((0, "x")));
        assert_eq!(read("055=x"), Ok((55, "x")));
        assert_eq!(read("4294967295=x"), Ok((u32::MAX, "x")));
        for raw in [
            "=x",
            "4294967296=x",
            "99999999999999999999=x",
            "-5=x",
            " 5=x",
            "5 =x",
            "px=1",
        ] {
            assert_eq!(read(raw), Err(Malformed::BadTag), "{raw}");
        }
        for raw in ["", "55", "px", "99999999999999999999"] {
            assert_eq!(read(raw), Err(Malformed::NoEqualsSign), "{raw}");
        }
    }

    #[test]
    fn a_malformed_field_is_skipped_by_default_and_reported_when_strict() {
        let message = FixShredder::new("1=a\x01\x01=b\x01c\x012=d");
        let tags: Vec<_> = message.fields().map(FixField::tag).collect();
        assert_eq!(tags, [1, 2]);
        assert_eq!(message.get(2).unwrap(), "d");
        assert_eq!(message.to_map().len(), 2);

        let strict: Vec<_> = message.strict_fields().collect();
        let malformed = |offset, reason| Err(CodecError::MalformedField { offset, reason });
        assert_eq!(strict.len(), 5);
        assert_eq!(strict[1], malformed(4, Malformed::NoEqualsSign));
        assert_eq!(strict[2], malformed(5, Malformed::BadTag));
        assert_eq!(strict[3], malformed(8, Malformed::NoEqualsSign));
        assert_eq!(strict[4].as_ref().unwrap().tag(), 2);
    }

    #[test]
    fn get_and_to_map_agree_on_the_last_of_repeated_tags() {
        let message = FixShredder::new("448=alice\x0155=ROL\x01448=bob\x01");
        assert_eq!(message.get(448).unwrap(), "bob");
        assert_eq!(message.to_map()[&448], "bob");
        assert_eq!(
            message.fields().filter(|field| field.tag() == 448).count(),
            2
        );
    }

    #[test]
    fn an_empty_value_is_there_and_an_absent_one_is_not() {
        let message = FixShredder::new("58=\x01");
        assert!(message.get(58).unwrap().is_empty());
        assert!(message.get(59).is_none());
    }

    #[test]
    fn fields_outlive_the_shredder_they_came_from() {
        let bytes = b"55=ROL\x01".to_vec();
        let symbol = FixShredder::new(&bytes).get(55).unwrap();
        assert_eq!(symbol, "ROL");
    }

    #[test]
    fn a_separator_that_is_part_of_every_field_is_refused() {
        let error = FixShredder::with_separator("1=a", b'=').unwrap_err();
        assert_eq!(error, CodecError::BadSeparator { separator: b'=' });
    }
}
