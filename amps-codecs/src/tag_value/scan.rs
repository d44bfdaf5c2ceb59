//! Taking a message apart at its separators.

use std::fmt;
use std::iter::FusedIterator;
use std::marker::PhantomData;

use memchr::{memchr, memrchr};

use crate::error::{CodecError, Malformed};

/// A field of one of the formats: what FIX and NVFIX read differently.
pub trait Field<'a>: Sized {
    /// Reads a field from the bytes between two separators.
    #[doc(hidden)]
    fn read(raw: &'a [u8]) -> Result<Self, Malformed>;
}

/// The bytes between separators, well-formed or not, from either end.
#[derive(Clone)]
struct RawFields<'a> {
    /// What has not been handed out; `None` once the last field has.
    rest: Option<&'a [u8]>,
    /// Where in the message `rest` begins.
    offset: usize,
    separator: u8,
}

impl<'a> RawFields<'a> {
    fn new(message: &'a [u8], separator: u8) -> RawFields<'a> {
        // A separator ends a field; the last field may do without. So one at the very end opens no
        // further, empty field, and a message without any byte has no field at all.
        let rest = match message {
            [] => None,
            [fields @ .., last] if *last == separator => Some(fields),
            fields => Some(fields),
        };
        RawFields {
            rest,
            offset: 0,
            separator,
        }
    }

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let Some(end) = memchr(self.separator, rest) else {
            self.rest = None;
            return Some(rest);
        };
        self.rest = Some(&rest[end + 1..]);
        self.offset += end + 1;
        Some(&rest[..end])
    }

    #[inline]
    fn next_back(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let Some(before) = memrchr(self.separator, rest) else {
            self.rest = None;
            return Some(rest);
        };
        self.rest = Some(&rest[..before]);
        Some(&rest[before + 1..])
    }
}

/// The fields of a message, in order and with repeated ones; malformed ones are skipped.
///
/// It does not allocate, and runs from the back as well. Made by `fields` of a shredder.
///
/// ```
/// use amps_codecs::FixShredder;
///
/// let message = FixShredder::new("448=alice\x01junk\x01448=bob\x01");
/// let parties: Vec<_> = message.fields().map(|field| field.value()).collect();
/// assert_eq!(parties, ["alice", "bob"]);
/// assert_eq!(message.fields().next_back().unwrap().value(), "bob");
/// ```
pub struct Fields<'a, F> {
    raw: RawFields<'a>,
    field: PhantomData<fn() -> F>,
}

impl<'a, F: Field<'a>> Fields<'a, F> {
    pub(crate) fn new(message: &'a [u8], separator: u8) -> Fields<'a, F> {
        Fields {
            raw: RawFields::new(message, separator),
            field: PhantomData,
        }
    }
}

impl<'a, F: Field<'a>> Iterator for Fields<'a, F> {
    type Item = F;

    #[inline]
    fn next(&mut self) -> Option<F> {
        loop {
            if let Ok(field) = F::read(self.raw.next()?) {
                return Some(field);
            }
        }
    }
}

impl<'a, F: Field<'a>> DoubleEndedIterator for Fields<'a, F> {
    #[inline]
    fn next_back(&mut self) -> Option<F> {
        loop {
            if let Ok(field) = F::read(self.raw.next_back()?) {
                return Some(field);
            }
        }
    }
}

impl<'a, F: Field<'a>> FusedIterator for Fields<'a, F> {}

/// The fields of a message, in order and with repeated ones; malformed ones are errors.
///
/// It does not allocate, and goes on behind a malformed field. Made by `strict_fields` of a shredder.
///
/// ```
/// use amps_codecs::FixShredder;
///
/// let message = FixShredder::new("448=alice\x01junk\x01448=bob\x01");
/// let read: Vec<_> = message.strict_fields().collect();
/// assert_eq!(read[0].as_ref().unwrap().value(), "alice");
/// assert_eq!(
///     read[1].as_ref().unwrap_err().to_string(),
///     "the field at byte 10 is malformed: it has no `=`",
/// );
/// assert_eq!(read[2].as_ref().unwrap().value(), "bob");
/// ```
pub struct StrictFields<'a, F> {
    raw: RawFields<'a>,
    field: PhantomData<fn() -> F>,
}

impl<'a, F: Field<'a>> StrictFields<'a, F> {
    pub(crate) fn new(message: &'a [u8], separator: u8) -> StrictFields<'a, F> {
        StrictFields {
            raw: RawFields::new(message, separator),
            field: PhantomData,
        }
    }
}

impl<'a, F: Field<'a>> Iterator for StrictFields<'a, F> {
    type Item = Result<F, CodecError>;

    #[inline]
    fn next(&mut self) -> Option<Result<F, CodecError>> {
        let offset = self.raw.offset;
        let field = F::read(self.raw.next()?);
        Some(field.map_err(|reason| CodecError::MalformedField { offset, reason }))
    }
}

impl<'a, F: Field<'a>> FusedIterator for StrictFields<'a, F> {}

// Written out, because derived ones would ask the field type for the same traits.
macro_rules! clone_and_debug {
    ($($fields:ident)*) => {$(
        impl<F> Clone for $fields<'_, F> {
            fn clone(&self) -> Self {
                $fields { raw: self.raw.clone(), field: PhantomData }
            }
        }

        impl<F> fmt::Debug for $fields<'_, F> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let rest = self.raw.rest.unwrap_or_default().escape_ascii();
                f.debug_tuple(stringify!($fields)).field(&format_args!("{rest}")).finish()
            }
        }
    )*};
}

clone_and_debug!(Fields StrictFields);

#[cfg(test)]
mod tests {
    use super::*;

    fn forwards(message: &[u8]) -> Vec<&[u8]> {
        let mut raw = RawFields::new(message, b'|');
        std::iter::from_fn(|| raw.next()).collect()
    }

    fn backwards(message: &[u8]) -> Vec<&[u8]> {
        let mut raw = RawFields::new(message, b'|');
        std::iter::from_fn(|| raw.next_back()).collect()
    }

    #[test]
    fn a_separator_ends_a_field_and_the_last_one_may_be_missing() {
        let none: [&[u8]; 0] = [];
        assert_eq!(forwards(b""), none);
        assert_eq!(forwards(b"|"), [b""]);
        assert_eq!(forwards(b"a|bc|"), [b"a".as_slice(), b"bc"]);
        assert_eq!(forwards(b"a|bc"), [b"a".as_slice(), b"bc"]);
        assert_eq!(forwards(b"|a||"), [b"".as_slice(), b"a", b""]);
    }

    #[test]
    fn both_directions_see_the_same_fields() {
        for message in [b"".as_slice(), b"|", b"a", b"a|bc|", b"|a||", b"||||b"] {
            let mut reversed = backwards(message);
            reversed.reverse();
            assert_eq!(forwards(message), reversed);
        }
    }

    #[test]
    fn the_two_ends_meet_without_handing_a_field_out_twice() {
        let mut raw = RawFields::new(b"a|b|c|", b'|');
        assert_eq!(raw.next(), Some(b"a".as_slice()));
        assert_eq!(raw.next_back(), Some(b"c".as_slice()));
        assert_eq!(raw.next(), Some(b"b".as_slice()));
        assert_eq!(raw.next_back(), None);
        assert_eq!(raw.next(), None);
    }
}
