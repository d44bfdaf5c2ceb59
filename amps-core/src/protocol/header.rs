//! What the engine needs of a header, read in one pass.
//!
//! Everything else is found by a second walk, when somebody asks (see
//! [`find_field`](super::find_field)), because most messages are never asked for more.

use super::field::Field;
use super::scan::{ParseError, Scanner, Span};
use super::text::parse_u64;
use super::usual::Usual;
use crate::ack::AckType;
use crate::command_type::CommandType;

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
    pub(crate) fn from_wire(text: &[u8]) -> Status {
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

impl Default for Header {
    fn default() -> Header {
        Header::EMPTY
    }
}

impl Header {
    /// A header without fields.
    pub(crate) const EMPTY: Header = {
        const NONE: Span = Span::EMPTY;
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
        let mut scanner = Scanner::resume(frame, start, at)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::find_field;

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
