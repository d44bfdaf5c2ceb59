//! Walking the fields of a header without understanding them.

use super::field::Field;
use std::fmt;

/// Why a frame could not be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The frame does not start with `{`.
    #[error("the header does not start with '{{' at byte {0}")]
    NoHeader(usize),
    /// The frame ends inside the header.
    #[error("the header that starts at byte {0} has no end")]
    Unterminated(usize),
    /// Something other than `"key":value` stands in the header.
    #[error("the header is malformed at byte {0}")]
    Malformed(usize),
    /// A record of a query result has no length.
    #[error("the record at byte {0} does not say how long it is")]
    NoRecordLength(usize),
    /// A record of a query result is longer than its frame.
    #[error("the record at byte {at} says it is {length} bytes long, {left} are left")]
    RecordTooLong {
        /// Where the payload of the record starts.
        at: usize,
        /// What its header says.
        length: u64,
        /// What the frame still holds.
        left: usize,
    },
    /// The length prefix is beyond the limit.
    #[error("a frame of {length} bytes, the limit is {limit}")]
    FrameTooLong {
        /// What the prefix says.
        length: usize,
        /// What is accepted.
        limit: usize,
    },
}

/// A range of a frame, in 32 bits each because frames are far below 4 GiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// Nothing.
    pub const EMPTY: Span = Span { start: 0, end: 0 };

    /// From positions within a frame.
    #[inline]
    pub fn new(start: usize, end: usize) -> Span {
        Span {
            start: start as u32,
            end: end as u32,
        }
    }

    /// The bytes of `frame` in this range; empty if the frame is shorter.
    #[inline]
    pub fn of(self, frame: &[u8]) -> &[u8] {
        frame
            .get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }

    /// The same range, counted from a place that is `distance` further in front.
    #[inline]
    pub(super) fn moved_by(self, distance: usize) -> Span {
        Span::new(self.start() + distance, self.end() + distance)
    }

    /// True if nothing is in the range.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Where it starts.
    #[inline]
    pub fn start(self) -> usize {
        self.start as usize
    }

    /// Where it ends.
    #[inline]
    pub fn end(self) -> usize {
        self.end as usize
    }
}

/// One field as it stands in the header: the value without its quotes, escapes not undone.
#[derive(Debug, Clone, Copy)]
pub struct RawField<'a> {
    /// The key.
    pub key: &'a [u8],
    /// Where the value is.
    pub value: Span,
}

/// Walks the fields of one header.
pub struct Scanner<'a> {
    frame: &'a [u8],
    start: usize,
    at: usize,
    state: ScanState,
    /// True once a value with an escape or a byte above 0x7F was seen.
    pub special: bool,
}

impl fmt::Debug for Scanner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scanner(at {} of {} bytes)", self.at, self.frame.len())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ScanState {
    First,
    Next,
    Done,
}

/// The lowest bit of each byte of a word.
const LOW: u64 = 0x0101_0101_0101_0101;
/// The highest bit of each byte of a word.
pub(super) const HIGH: u64 = 0x8080_8080_8080_8080;

/// The highest bit of each byte that ends a run of plain text. The lowest of these bits is exact; a
/// carry can only set bits above it.
#[inline(always)]
pub(super) fn ends_of_plain_text(word: u64) -> u64 {
    let quotes = word ^ (LOW * b'"' as u64);
    let escapes = word ^ (LOW * b'\\' as u64);
    ((quotes.wrapping_sub(LOW) & !quotes) | (escapes.wrapping_sub(LOW) & !escapes) | word) & HIGH
}

/// The first byte from `at` on that ends a run of plain text: a quote, an escape or a byte above
/// 0x7F; the length of the frame if there is none. Eight bytes at a time.
#[inline(always)]
pub(super) fn plain_end(frame: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = frame.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let hits = ends_of_plain_text(u64::from_le_bytes(*chunk));
        if hits != 0 {
            return at + (hits.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while let Some(&byte) = frame.get(at) {
        if byte == b'"' || byte == b'\\' || byte >= 0x80 {
            break;
        }
        at += 1;
    }
    at
}

impl<'a> Scanner<'a> {
    /// Starts at the `{` that stands at `start`.
    pub fn new(frame: &'a [u8], start: usize) -> Result<Scanner<'a>, ParseError> {
        if frame.get(start) != Some(&b'{') {
            return Err(ParseError::NoHeader(start));
        }
        Ok(Scanner {
            frame,
            start,
            at: start + 1,
            state: ScanState::First,
            special: false,
        })
    }

    /// Starts at the comma at `at`, in the header that stands at `start`; or as
    /// [`Scanner::new`] if that is where the header begins.
    pub(super) fn resume(
        frame: &'a [u8],
        start: usize,
        at: usize,
    ) -> Result<Scanner<'a>, ParseError> {
        let mut scanner = Scanner::new(frame, start)?;
        if at != start {
            scanner.at = at;
            scanner.state = ScanState::Next;
        }
        Ok(scanner)
    }

    /// Where the header ends and the payload begins; meaningful once `next_field` returned `None`.
    pub fn end(&self) -> usize {
        self.at
    }

    /// The next field, or `None` at the closing brace.
    #[inline]
    pub fn next_field(&mut self) -> Result<Option<RawField<'a>>, ParseError> {
        if self.state == ScanState::Done {
            return Ok(None);
        }
        let mut byte = self.skip_space()?;
        if byte == b'}' {
            // `{"a":1,}` would be malformed JSON; it is as clear as `{"a":1}` and costs nothing.
            self.at += 1;
            self.state = ScanState::Done;
            return Ok(None);
        }
        if self.state == ScanState::Next {
            if byte != b',' {
                return Err(ParseError::Malformed(self.at));
            }
            self.at += 1;
            byte = self.skip_space()?;
            if byte == b'}' {
                self.at += 1;
                self.state = ScanState::Done;
                return Ok(None);
            }
        }
        self.state = ScanState::Next;
        if byte != b'"' {
            return Err(ParseError::Malformed(self.at));
        }
        let key = self.string()?;
        if self.skip_space()? != b':' {
            return Err(ParseError::Malformed(self.at));
        }
        self.at += 1;
        let value = match self.skip_space()? {
            b'"' => self.string()?,
            b'{' | b'[' => self.nested()?,
            _ => self.bare()?,
        };
        Ok(Some(RawField {
            key: key.of(self.frame),
            value,
        }))
    }

    /// Moves to the next byte that is not white space and returns it.
    #[inline]
    fn skip_space(&mut self) -> Result<u8, ParseError> {
        loop {
            match self.frame.get(self.at) {
                Some(b' ' | b'\t' | b'\r' | b'\n') => self.at += 1,
                Some(&byte) => return Ok(byte),
                None => return Err(ParseError::Unterminated(self.start)),
            }
        }
    }

    /// Reads a string whose opening quote is at the current position.
    #[inline]
    fn string(&mut self) -> Result<Span, ParseError> {
        let start = self.at + 1;
        let mut at = plain_end(self.frame, start);
        loop {
            match self.frame.get(at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    self.special = true;
                    at = plain_end(self.frame, at + 2);
                }
                Some(_) => {
                    self.special = true;
                    at = plain_end(self.frame, at + 1);
                }
                None => return Err(ParseError::Unterminated(self.start)),
            }
        }
        self.at = at + 1;
        Ok(Span::new(start, at))
    }

    /// Reads a number or a word: everything up to the comma or the closing brace.
    #[inline]
    fn bare(&mut self) -> Result<Span, ParseError> {
        let start = self.at;
        loop {
            match self.frame.get(self.at) {
                Some(b',' | b'}' | b' ' | b'\t' | b'\r' | b'\n') => break,
                Some(b'"' | b'{' | b'[' | b']' | b':') => {
                    return Err(ParseError::Malformed(self.at));
                }
                Some(_) => self.at += 1,
                None => return Err(ParseError::Unterminated(self.start)),
            }
        }
        if start == self.at {
            return Err(ParseError::Malformed(start));
        }
        Ok(Span::new(start, self.at))
    }

    /// Steps over an object or an array: no known field has one, an unknown one may.
    #[cold]
    fn nested(&mut self) -> Result<Span, ParseError> {
        let start = self.at;
        let mut depth = 0usize;
        loop {
            match self.frame.get(self.at) {
                Some(b'{' | b'[') => depth += 1,
                Some(b'}' | b']') => depth -= 1,
                Some(b'"') => {
                    self.string()?;
                    continue;
                }
                Some(_) => {}
                None => return Err(ParseError::Unterminated(self.start)),
            }
            self.at += 1;
            if depth == 0 {
                return Ok(Span::new(start, self.at));
            }
        }
    }
}

/// The raw value of `field` in the header at `start` of `frame`: the last one, if it is repeated.
pub fn find_field(frame: &[u8], start: usize, field: Field) -> Option<&[u8]> {
    let mut scanner = Scanner::new(frame, start).ok()?;
    let mut found = None;
    while let Ok(Some(raw)) = scanner.next_field() {
        if field.keys().iter().any(|key| key.as_bytes() == raw.key) {
            found = Some(raw.value.of(frame));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::text::unescape;

    fn fields(frame: &[u8]) -> Result<Vec<(String, String)>, ParseError> {
        let mut scanner = Scanner::new(frame, 0)?;
        let mut found = Vec::new();
        while let Some(field) = scanner.next_field()? {
            found.push((
                String::from_utf8_lossy(field.key).into_owned(),
                String::from_utf8_lossy(&unescape(field.value.of(frame))).into_owned(),
            ));
        }
        Ok(found)
    }

    #[test]
    fn escapes_are_undone() {
        let frame = br#"{"t":"a\"b\\c\/d\b\f\n\r\t\u00e9\ud83d\ude00\q"}"#;
        assert_eq!(
            fields(frame).unwrap(),
            [(
                "t".to_string(),
                "a\"b\\c/d\u{8}\u{c}\n\r\té😀\\q".to_string()
            )]
        );
        assert_eq!(&*unescape(br"\ud83dx"), "\u{fffd}x".as_bytes());
        assert_eq!(&*unescape(br"\u12"), br"\u12");
    }
}
