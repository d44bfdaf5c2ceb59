//! What can be wrong with a message, and where.

use std::fmt;

/// Why a message could not be built or read, and at which field or part.
///
/// A failed `append` has changed nothing: the builder holds what it held before, and can be used on.
/// A failed read has changed nothing either: readers borrow the payload and never alter it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The separator asked for would be mistaken for something else: it is `=` or a digit.
    #[error("'{}' cannot separate fields: `=` and digits are part of the fields themselves", .separator.escape_ascii())]
    BadSeparator {
        /// The byte asked for.
        separator: u8,
    },

    /// An NVFIX field was appended without a name.
    #[error("a field needs a name, and this one is empty")]
    EmptyName,

    /// The name of an NVFIX field holds `=` or the separator, which would end it early.
    #[error("name {name:?} holds `=` or the separator at byte {offset}")]
    BadName {
        /// The name as text, shortened when it is long.
        name: Box<str>,
        /// Where in the name the byte stands.
        offset: usize,
    },

    /// A value holds the separator, which would end it early.
    #[error("the value of {field} holds the separator at byte {offset}")]
    SeparatorInValue {
        /// The field the value was meant for.
        field: FieldKey,
        /// Where in the value the separator stands.
        offset: usize,
    },

    /// A field of a message that is read strictly is not of the form `tag=value` or `name=value`.
    #[error("the field at byte {offset} is malformed: {reason}")]
    MalformedField {
        /// Where in the message the field begins.
        offset: usize,
        /// What is wrong with it.
        reason: Malformed,
    },

    /// A value was asked for as text and is not UTF-8.
    #[error("the value of {field} is not text: it is not UTF-8 from byte {offset} on")]
    NotText {
        /// The field the value belongs to.
        field: FieldKey,
        /// Where in the value the first byte stands that is not UTF-8.
        offset: usize,
    },

    /// A value was asked for as an integer, and it is none or does not fit.
    #[error("the value {text:?} of {field} cannot be read as an integer")]
    NotAnInteger {
        /// The field the value belongs to.
        field: FieldKey,
        /// The value as text, shortened when it is long.
        text: Box<str>,
        /// What is wrong with it.
        source: NumberError,
    },

    /// A value was asked for as a decimal, and it is none or does not fit.
    #[error("the value {text:?} of {field} cannot be read as a decimal")]
    NotADecimal {
        /// The field the value belongs to.
        field: FieldKey,
        /// The value as text, shortened when it is long.
        text: Box<str>,
        /// What is wrong with it.
        source: NumberError,
    },

    /// A number that belongs to no field yet could not be made into a [`Decimal`](crate::Decimal).
    #[error(transparent)]
    Number(#[from] NumberError),

    /// A part appended to a composite message is longer than its four-byte length can say.
    #[error("part {part} is {length} bytes long, more than a composite message can hold")]
    PartTooLong {
        /// The position of the part, from 0.
        part: usize,
        /// How long it is.
        length: usize,
    },

    /// A composite message ends inside the four bytes that say how long its next part is.
    #[error("part {part} is cut off: {available} bytes are left of the 4 that give its length")]
    TruncatedLength {
        /// The position of the part, from 0.
        part: usize,
        /// How many of the four bytes are there: 1 to 3.
        available: usize,
    },

    /// A part of a composite message claims more bytes than the message still has.
    #[error("part {part} is cut off: it claims {length} bytes and {available} are left")]
    TruncatedPart {
        /// The position of the part, from 0.
        part: usize,
        /// How long the part claims to be.
        length: u32,
        /// How many bytes follow the length.
        available: usize,
    },
}

/// What a malformed field lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// Nothing separates the tag or name from a value.
    #[error("it has no `=`")]
    NoEqualsSign,
    /// What stands before the `=` of a FIX field is not a number from 0 to 4294967295.
    #[error("its tag is not a number from 0 to 4294967295")]
    BadTag,
    /// Nothing stands before the `=` of an NVFIX field.
    #[error("its name is empty")]
    EmptyName,
}

/// Why some text or some `f64` is not a number that can be held exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NumberError {
    /// There is no digit.
    #[error("it has no digits")]
    NoDigits,
    /// A byte stands where a number has none.
    #[error("unexpected '{}' at byte {offset}", .byte.escape_ascii())]
    UnexpectedByte {
        /// The byte.
        byte: u8,
        /// Where in the text it stands.
        offset: usize,
    },
    /// The number needs more digits than the type holds; it is refused rather than rounded.
    #[error("it needs more digits than can be held without rounding")]
    OutOfRange,
    /// An `f64` is infinite or not a number.
    #[error("it is infinite or not a number")]
    NotFinite,
}

/// Names the field an error is about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldKey {
    /// A FIX field, by its tag.
    Tag(u32),
    /// An NVFIX field, by its name as text, shortened when it is long.
    Name(Box<str>),
}

impl fmt::Display for FieldKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FieldKey::Tag(tag) => write!(f, "tag {tag}"),
            FieldKey::Name(name) => write!(f, "field {name:?}"),
        }
    }
}

/// How much of a name or value an error repeats: a payload may be megabytes long.
const EXCERPT: usize = 64;

/// The bytes as text to show in an error, shortened when they are long.
pub(crate) fn excerpt(bytes: &[u8]) -> Box<str> {
    match bytes.get(..EXCERPT) {
        Some(head) if bytes.len() > EXCERPT => {
            format!("{}…", String::from_utf8_lossy(head)).into_boxed_str()
        }
        _ => String::from_utf8_lossy(bytes).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error;

    #[test]
    fn an_error_names_the_field_and_keeps_its_cause() {
        let error = CodecError::NotAnInteger {
            field: FieldKey::Tag(38),
            text: "7x".into(),
            source: NumberError::UnexpectedByte {
                byte: b'x',
                offset: 1,
            },
        };
        assert_eq!(
            error.to_string(),
            "the value \"7x\" of tag 38 cannot be read as an integer"
        );
        assert_eq!(
            error.source().unwrap().to_string(),
            "unexpected 'x' at byte 1"
        );
    }

    #[test]
    fn a_long_value_is_shortened_in_an_error() {
        assert_eq!(excerpt(&[b'a'; 64]).len(), 64);
        assert_eq!(&*excerpt(&[b'a'; 65]), format!("{}…", "a".repeat(64)));
    }

    #[test]
    fn an_error_stays_small_beside_what_it_is_returned_with() {
        assert!(size_of::<CodecError>() <= 64, "{}", size_of::<CodecError>());
    }
}
