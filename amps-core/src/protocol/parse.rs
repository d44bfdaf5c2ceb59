//! Reading a header in one pass.
//!
//! [`Scanner`] walks the fields of a header without understanding them; [`Header::parse`] runs it
//! once and keeps what the engine routes by. Everything else is found by a second walk, when
//! somebody asks ([`find_field`]), because most messages are never asked for more.

use super::field::Field;
use super::usual::Usual;
use crate::ack::AckType;
use crate::command_type::CommandType;
use std::borrow::Cow;

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

#[derive(Clone, Copy, PartialEq, Eq)]
enum ScanState {
    First,
    Next,
    Done,
}

/// The lowest bit of each byte of a word.
const LOW: u64 = 0x0101_0101_0101_0101;
/// The highest bit of each byte of a word.
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The first byte from `at` on that ends a run of plain text: a quote, an escape or a byte above
/// 0x7F; the length of the frame if there is none. Eight bytes at a time.
#[inline(always)]
pub(super) fn plain_end(frame: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = frame.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*chunk);
        let quotes = word ^ (LOW * b'"' as u64);
        let escapes = word ^ (LOW * b'\\' as u64);
        // The lowest of these bits is exact; a carry can only set bits above it.
        let hits =
            ((quotes.wrapping_sub(LOW) & !quotes) | (escapes.wrapping_sub(LOW) & !escapes) | word)
                & HIGH;
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

/// How the server says that a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Status {
    /// The message has no status.
    #[default]
    None,
    /// Done.
    Success,
    /// Refused.
    Failure,
    /// The logon is to be tried again; any other word means the same.
    Retry,
}

impl Status {
    fn from_wire(text: &[u8]) -> Status {
        if text.is_empty() {
            Status::None
        } else if text.eq_ignore_ascii_case(b"success") {
            Status::Success
        } else if text.eq_ignore_ascii_case(b"failure") {
            Status::Failure
        } else {
            Status::Retry
        }
    }
}

/// What the engine needs of a header, without a copy.
#[derive(Debug, Clone, Copy)]
pub struct Header {
    /// The command.
    pub command: CommandType,
    /// The acknowledgement types in `a`.
    pub ack_type: AckType,
    /// The status of an acknowledgement.
    pub status: Status,
    /// True if a lease period is present: the message comes from a queue.
    pub has_lease: bool,
    /// True if a value has escapes or bytes above 0x7F, so that spans are not the text itself.
    pub special: bool,
    /// Where the header is.
    pub span: Span,
    /// `t`
    pub topic: Span,
    /// `cid`
    pub command_id: Span,
    /// `sub_id`
    pub sub_id: Span,
    /// `sids`
    pub sub_ids: Span,
    /// `query_id`
    pub query_id: Span,
    /// `bm`
    pub bookmark: Span,
    /// `k`
    pub sow_key: Span,
    /// `l`; `None` also when it is not a number.
    pub message_length: Option<u64>,
}

impl Header {
    /// A header without fields.
    pub(crate) const EMPTY: Header = {
        const NONE: Span = Span { start: 0, end: 0 };
        Header {
            command: CommandType::Unknown,
            ack_type: AckType::NONE,
            status: Status::None,
            has_lease: false,
            special: false,
            span: NONE,
            topic: NONE,
            command_id: NONE,
            sub_id: NONE,
            sub_ids: NONE,
            query_id: NONE,
            bookmark: NONE,
            sow_key: NONE,
            message_length: None,
        }
    };

    /// Reads the header that starts at `start` of `frame`.
    ///
    /// # Errors
    ///
    /// [`ParseError`] if there is no complete header there.
    pub fn parse(frame: &[u8], start: usize) -> Result<Header, ParseError> {
        let mut header = Header::EMPTY;
        header.read(frame, start)?;
        Ok(header)
    }

    /// Takes over the fields of the header at `start`, on top of those that are here: a record of
    /// a batch inherits what the header of its frame says.
    ///
    /// First the quick way, and from the first field on that is written differently the way that
    /// understands everything.
    #[inline]
    pub(crate) fn read(&mut self, frame: &[u8], start: usize) -> Result<(), ParseError> {
        if frame.get(start) != Some(&b'{') {
            return Err(ParseError::NoHeader(start));
        }
        match self.read_usual(frame, start) {
            Usual::Done(end) => {
                self.span = Span::new(start, end);
                Ok(())
            }
            Usual::UpTo(at) => self.read_any(frame, start, at),
        }
    }

    /// Any fields, from the brace or comma at `at` on.
    fn read_any(&mut self, frame: &[u8], start: usize, at: usize) -> Result<(), ParseError> {
        let mut scanner = Scanner::new(frame, start)?;
        if at != start {
            scanner.at = at;
            scanner.state = ScanState::Next;
        }
        while let Some(field) = scanner.next_field()? {
            let value = field.value;
            match Field::routed(field.key) {
                Some(Field::Command) => self.command = CommandType::from_wire(value.of(frame)),
                Some(Field::Topic) => self.topic = value,
                Some(Field::SubIds) => self.sub_ids = value,
                Some(Field::Bookmark) => self.bookmark = value,
                Some(Field::SowKey) => self.sow_key = value,
                Some(Field::CommandId) => self.command_id = value,
                Some(Field::SubId) => self.sub_id = value,
                Some(Field::QueryId) => self.query_id = value,
                Some(Field::AckType) => self.ack_type = AckType::parse_list(value.of(frame)),
                Some(Field::Status) => self.status = Status::from_wire(value.of(frame)),
                Some(Field::LeasePeriod) => self.has_lease = !value.is_empty(),
                Some(Field::MessageLength) => self.message_length = parse_u64(value.of(frame)),
                _ => {}
            }
        }
        self.special |= scanner.special;
        self.span = Span::new(start, scanner.end());
        Ok(())
    }
}

impl Field {
    /// As `from_key`, for the fields of [`Header`] only, decided by length first: this runs for
    /// every field of every message.
    #[inline]
    fn routed(key: &[u8]) -> Option<Field> {
        Some(match key {
            [byte] => match byte {
                b'c' => Field::Command,
                b't' => Field::Topic,
                b'k' => Field::SowKey,
                b'a' => Field::AckType,
                b'l' => Field::MessageLength,
                _ => return None,
            },
            [first, second] => match (first, second) {
                (b'b', b'm') => Field::Bookmark,
                (b'l', b'p') => Field::LeasePeriod,
                _ => return None,
            },
            b"cid" => Field::CommandId,
            b"sids" => Field::SubIds,
            b"sub_id" => Field::SubId,
            b"query_id" => Field::QueryId,
            b"status" => Field::Status,
            // These have no long spelling among the routed fields, or are not routed.
            b"version" | b"reason" | b"client_name" | b"top_n" | b"orderby" => return None,
            _ => return Field::from_key(key),
        })
    }
}

/// Reads a number, bare or from inside quotes. Not a number, or beyond 64 bits: absent.
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
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

/// Undoes the escapes of a value.
///
/// An escape that JSON does not know is kept as it stands; a lone surrogate becomes U+FFFD.
pub fn unescape(raw: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr::memchr(b'\\', raw) else {
        return Cow::Borrowed(raw);
    };
    let mut out = Vec::with_capacity(raw.len());
    out.extend_from_slice(&raw[..first]);
    let mut at = first;
    while at < raw.len() {
        let byte = raw[at];
        if byte != b'\\' {
            out.push(byte);
            at += 1;
            continue;
        }
        let plain = match raw.get(at + 1) {
            Some(b'"') => b'"',
            Some(b'\\') => b'\\',
            Some(b'/') => b'/',
            Some(b'b') => 0x08,
            Some(b'f') => 0x0C,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                if let Some((character, length)) = unescape_unicode(&raw[at..]) {
                    let mut utf8 = [0; 4];
                    out.extend_from_slice(character.encode_utf8(&mut utf8).as_bytes());
                    at += length;
                } else {
                    out.push(byte);
                    at += 1;
                }
                continue;
            }
            _ => {
                out.push(byte);
                at += 1;
                continue;
            }
        };
        out.push(plain);
        at += 2;
    }
    Cow::Owned(out)
}

/// Reads `\uXXXX`, or a pair of them that stands for one character; also how long it is.
fn unescape_unicode(text: &[u8]) -> Option<(char, usize)> {
    let first = hex4(text)?;
    if (0xD800..0xDC00).contains(&first)
        && let Some(second) = hex4(&text[6..]).filter(|unit| (0xDC00..0xE000).contains(unit))
    {
        let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
        return char::from_u32(code).map(|character| (character, 12));
    }
    Some((
        char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER),
        6,
    ))
}

/// The number of a `\uXXXX` at the start of `text`.
fn hex4(text: &[u8]) -> Option<u32> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().try_fold(0, |code, &digit| {
        Some(code << 4 | char::from(digit).to_digit(16)?)
    })
}

/// The items of a comma list, without the spaces around them and without empty ones.
pub fn list_items(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn white_space_between_tokens_is_legal() {
        let frame = b"{ \"c\" :\t\"publish\" ,\r\n\"s\" : 7 }payload";
        let header = Header::parse(frame, 0).unwrap();
        assert_eq!(header.command, CommandType::Publish);
        assert_eq!(&frame[header.span.end()..], b"payload");
        assert_eq!(find_field(frame, 0, Field::Sequence), Some(&b"7"[..]));
    }

    #[test]
    fn unknown_keys_are_skipped_together_with_their_value() {
        let frame = br#"{"zz":{"a":[1,"}",{}]},"c":"ack","y":[],"n":null,"t":"x"}"#;
        let header = Header::parse(frame, 0).unwrap();
        assert_eq!(header.command, CommandType::Ack);
        assert_eq!(header.topic.of(frame), b"x");
        assert_eq!(header.span.end(), frame.len());
    }

    #[test]
    fn of_a_repeated_key_the_last_one_wins() {
        let frame = br#"{"c":"p","t":"a","topic":"b","s":1,"seq":"2"}"#;
        let header = Header::parse(frame, 0).unwrap();
        assert_eq!(header.topic.of(frame), b"b");
        assert_eq!(find_field(frame, 0, Field::Sequence), Some(&b"2"[..]));
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

    #[test]
    fn a_header_without_an_end_is_an_error_at_every_length() {
        let frame = br#"{"c":"p","t":"or\"ders","s":12,"x":{"y":[1]}}"#;
        for length in 0..frame.len() {
            let error = Header::parse(&frame[..length], 0).unwrap_err();
            let expected = match length {
                0 => ParseError::NoHeader(0),
                _ => ParseError::Unterminated(0),
            };
            assert_eq!(error, expected, "{length}");
        }
        assert!(Header::parse(frame, 0).is_ok());
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for (frame, at) in [
            (&b"{c:1}"[..], 1),
            (b"{\"c\" 1}", 5),
            (b"{\"c\":}", 5),
            (b"{\"c\":\"p\" \"t\":\"x\"}", 9),
            (b"{1:2}", 1),
            (b"{\"c\":\"p\",,}", 9),
        ] {
            assert_eq!(
                Header::parse(frame, 0).unwrap_err(),
                ParseError::Malformed(at),
                "{}",
                String::from_utf8_lossy(frame)
            );
        }
        assert_eq!(
            Header::parse(b"[]", 0).unwrap_err(),
            ParseError::NoHeader(0)
        );
    }

    #[test]
    fn numbers_beyond_64_bits_are_absent_and_never_wrap() {
        assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse_u64(b"18446744073709551616"), None);
        assert_eq!(parse_u64(b"-1"), None);
        assert_eq!(parse_u64(b""), None);
    }

    #[test]
    fn the_short_way_to_a_field_agrees_with_the_table() {
        let routed = |field| {
            matches!(
                field,
                Field::Command
                    | Field::Topic
                    | Field::SubIds
                    | Field::Bookmark
                    | Field::SowKey
                    | Field::CommandId
                    | Field::SubId
                    | Field::QueryId
                    | Field::AckType
                    | Field::Status
                    | Field::LeasePeriod
                    | Field::MessageLength
            )
        };
        for &field in Field::ALL {
            for key in field.keys() {
                let found = Field::routed(key.as_bytes());
                assert!(found.is_none_or(|found| found == field), "{key}");
                assert!(found.is_some() || !routed(field), "{key}");
            }
        }
    }
}
