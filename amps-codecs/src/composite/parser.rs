//! Reading composite messages.

use std::fmt;
use std::iter::FusedIterator;

use crate::error::CodecError;

/// Reads the parts of a composite message where they lie, without copying them.
///
/// [`parse`](CompositeMessageParser::parse) is for messages that must be whole.
/// [`new`](CompositeMessageParser::new) reads as far as it can: when a message is cut off, the parts
/// before the cut are there, and [`check`](CompositeMessageParser::check) says where it is.
///
/// # Example
///
/// ```
/// use amps_codecs::CompositeMessageParser;
///
/// let message = b"\0\0\0\x02{}\0\0\0\0\0\0\0\x03abc";
/// let parts = CompositeMessageParser::parse(message)?;
/// assert_eq!(parts.len(), 3);
/// assert_eq!(parts.get(0), Some(b"{}".as_slice()));
/// assert_eq!(parts.get(1), Some(b"".as_slice()));
/// assert_eq!(parts.get(3), None);
///
/// let cut = &message[..12];
/// let error = CompositeMessageParser::parse(cut).unwrap_err();
/// assert_eq!(error.to_string(), "part 2 is cut off: 2 bytes are left of the 4 that give its length");
/// assert_eq!(CompositeMessageParser::new(cut).get(0), Some(b"{}".as_slice()));
/// # Ok::<(), amps_codecs::CodecError>(())
/// ```
#[derive(Clone, Copy)]
pub struct CompositeMessageParser<'a> {
    /// The whole parts, each behind its length.
    whole: &'a [u8],
    count: usize,
    /// What is wrong behind them.
    cut: Option<Cut>,
}

impl<'a> CompositeMessageParser<'a> {
    /// Reads a message that must consist of whole parts.
    ///
    /// # Errors
    ///
    /// [`CodecError::TruncatedLength`] when the message ends inside a part's length, and
    /// [`CodecError::TruncatedPart`] when a part claims more bytes than follow. Both name the part.
    /// The parts before it stay readable through [`new`](CompositeMessageParser::new).
    pub fn parse<B: AsRef<[u8]> + ?Sized>(
        message: &'a B,
    ) -> Result<CompositeMessageParser<'a>, CodecError> {
        let parser = CompositeMessageParser::new(message);
        parser.check()?;
        Ok(parser)
    }

    /// Reads a message as far as its parts are whole.
    pub fn new<B: AsRef<[u8]> + ?Sized>(message: &'a B) -> CompositeMessageParser<'a> {
        let message = message.as_ref();
        let (mut rest, mut count) = (message, 0);
        let cut = loop {
            match split_part(rest) {
                Ok(Some((_, behind))) => {
                    rest = behind;
                    count += 1;
                }
                Ok(None) => break None,
                Err(cut) => break Some(cut),
            }
        };
        CompositeMessageParser {
            whole: &message[..message.len() - rest.len()],
            count,
            cut,
        }
    }

    /// Says whether the message consists of whole parts, and if so, of how many.
    ///
    /// # Errors
    ///
    /// Those of [`parse`](CompositeMessageParser::parse). The parts before the one that is cut off
    /// stay readable.
    pub fn check(&self) -> Result<usize, CodecError> {
        let part = self.count;
        match self.cut {
            None => Ok(part),
            Some(Cut::Length { available }) => Err(CodecError::TruncatedLength { part, available }),
            Some(Cut::Part { length, available }) => Err(CodecError::TruncatedPart {
                part,
                length,
                available,
            }),
        }
    }

    /// The part at a position, counted from 0, or `None` behind the last whole one.
    ///
    /// It steps over the parts before it; to visit them all, use [`iter`](CompositeMessageParser::iter).
    pub fn get(&self, position: usize) -> Option<&'a [u8]> {
        self.iter().nth(position)
    }

    /// How many whole parts there are, empty ones included.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is no whole part.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The whole parts in order.
    ///
    /// ```
    /// # use amps_codecs::CompositeMessageParser;
    /// let parts = CompositeMessageParser::parse(b"\0\0\0\x01a\0\0\0\x02bc")?;
    /// let lengths: Vec<_> = parts.iter().map(|part| part.len()).collect();
    /// assert_eq!(lengths, [1, 2]);
    /// # Ok::<(), amps_codecs::CodecError>(())
    /// ```
    pub fn iter(&self) -> Parts<'a> {
        Parts {
            bytes: self.whole,
            count: self.count,
        }
    }
}

impl<'a> IntoIterator for CompositeMessageParser<'a> {
    type Item = &'a [u8];
    type IntoIter = Parts<'a>;

    fn into_iter(self) -> Parts<'a> {
        self.iter()
    }
}

impl<'a> IntoIterator for &CompositeMessageParser<'a> {
    type Item = &'a [u8];
    type IntoIter = Parts<'a>;

    fn into_iter(self) -> Parts<'a> {
        self.iter()
    }
}

impl fmt::Debug for CompositeMessageParser<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompositeMessageParser")
            .field("parts", &self.iter())
            .field("cut", &self.cut)
            .finish()
    }
}

/// The parts of a composite message in order, borrowed from it. Made by
/// [`CompositeMessageParser::iter`].
#[derive(Clone)]
pub struct Parts<'a> {
    /// Whole parts, so that taking the next one cannot fail.
    bytes: &'a [u8],
    count: usize,
}

impl<'a> Iterator for Parts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (part, behind) = split_part(self.bytes).ok()??;
        self.bytes = behind;
        self.count -= 1;
        Some(part)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count, Some(self.count))
    }
}

impl ExactSizeIterator for Parts<'_> {}

impl FusedIterator for Parts<'_> {}

impl fmt::Debug for Parts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.clone().map(|part| part.escape_ascii().to_string());
        f.debug_list().entries(parts).finish()
    }
}

/// Where a message ends that should go on.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Length { available: usize },
    Part { length: u32, available: usize },
}

/// A part, and the bytes behind it.
type Split<'a> = (&'a [u8], &'a [u8]);

/// Takes the first part off; `None` at the end of the message.
fn split_part(bytes: &[u8]) -> Result<Option<Split<'_>>, Cut> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let available = bytes.len();
    let (length, behind) = bytes.split_first_chunk().ok_or(Cut::Length { available })?;
    let length = u32::from_be_bytes(*length);
    // The length is only ever compared with what is left, never added to a position: a sum could
    // wrap around where usize has 32 bits and let a part begin before its length.
    let cut = Cut::Part {
        length,
        available: behind.len(),
    };
    let size = usize::try_from(length).map_err(|_| cut)?;
    behind.split_at_checked(size).ok_or(cut).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: &[u8] = b"\0\0\0\x02ab\0\0\0\0\0\0\0\x01c";

    #[test]
    fn an_empty_message_has_no_parts_and_is_whole() {
        let parts = CompositeMessageParser::parse("").unwrap();
        assert!(parts.is_empty());
        assert_eq!(parts.check(), Ok(0));
        assert_eq!(parts.get(0), None);
    }

    #[test]
    fn an_empty_part_keeps_its_position() {
        let parts = CompositeMessageParser::parse(THREE).unwrap();
        let read: Vec<_> = parts.iter().collect();
        assert_eq!(read, [b"ab".as_slice(), b"", b"c"]);
        assert_eq!(parts.get(1), Some(b"".as_slice()));
        assert_eq!(parts.get(2), Some(b"c".as_slice()));
        assert_eq!(parts.get(3), None);
        assert_eq!(parts.get(usize::MAX), None);
    }

    #[test]
    fn parts_are_borrowed_from_the_message() {
        let part = CompositeMessageParser::new(THREE).get(0).unwrap();
        assert!(std::ptr::eq(part, &THREE[4..6]));
    }

    #[test]
    fn a_message_cut_anywhere_names_the_part_and_keeps_the_ones_before() {
        for end in 0..THREE.len() {
            let cut = CompositeMessageParser::new(&THREE[..end]);
            let expected = match end {
                0 => Ok(0),
                1..=3 => Err(CodecError::TruncatedLength {
                    part: 0,
                    available: end,
                }),
                4..=5 => Err(CodecError::TruncatedPart {
                    part: 0,
                    length: 2,
                    available: end - 4,
                }),
                6 => Ok(1),
                7..=9 => Err(CodecError::TruncatedLength {
                    part: 1,
                    available: end - 6,
                }),
                10 => Ok(2),
                11..=13 => Err(CodecError::TruncatedLength {
                    part: 2,
                    available: end - 10,
                }),
                _ => Err(CodecError::TruncatedPart {
                    part: 2,
                    length: 1,
                    available: 0,
                }),
            };
            assert_eq!(cut.check(), expected, "cut at {end}");
            assert_eq!(
                CompositeMessageParser::parse(&THREE[..end]).is_ok(),
                expected.is_ok()
            );
            if end >= 6 {
                assert_eq!(cut.get(0), Some(b"ab".as_slice()));
            }
            assert_eq!(cut.iter().len(), cut.len());
            assert_eq!(cut.iter().count(), cut.len());
        }
    }

    #[test]
    fn a_length_near_the_end_of_the_address_space_is_an_error() {
        let message = b"\0\0\0\x01a\xff\xff\xff\xffbc";
        let error = CompositeMessageParser::parse(message).unwrap_err();
        assert_eq!(
            error,
            CodecError::TruncatedPart {
                part: 1,
                length: u32::MAX,
                available: 2
            }
        );
        let parts = CompositeMessageParser::new(message);
        assert_eq!(parts.get(0), Some(b"a".as_slice()));
        assert_eq!(parts.get(1), None);
    }

    #[test]
    fn a_parser_shows_its_parts() {
        let shown = format!("{:?}", CompositeMessageParser::new(&THREE[..8]));
        let cut = "Some(Length { available: 2 })";
        assert_eq!(
            shown,
            format!("CompositeMessageParser {{ parts: [\"ab\"], cut: {cut} }}")
        );
    }
}
