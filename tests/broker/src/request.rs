//! A command of a client: every field of its header, found in one pass.

use amps_core::protocol::{Field, ParseError, Scanner, Span, parse_u64, unescape};
use amps_core::{AckType, CommandType};
use std::borrow::Cow;

const FIELDS: usize = Field::ALL.len();

// `present` has one bit per field.
const _: () = assert!(FIELDS <= 64);

/// A frame from a client.
///
/// The client reads few fields of a message, the broker wants most fields of a command: so this
/// keeps where each one is, instead of walking the header again for every question.
pub(crate) struct Request<'a> {
    /// What to do.
    pub(crate) command: CommandType,
    /// The acknowledgements asked for.
    pub(crate) acks: AckType,
    /// What follows the header.
    pub(crate) payload: &'a [u8],
    frame: &'a [u8],
    spans: [Span; FIELDS],
    present: u64,
}

impl<'a> Request<'a> {
    /// Reads the header of `frame`.
    pub(crate) fn parse(frame: &'a [u8]) -> Result<Request<'a>, ParseError> {
        let mut scanner = Scanner::new(frame, 0)?;
        let mut request = Request {
            command: CommandType::Unknown,
            acks: AckType::NONE,
            payload: &[],
            frame,
            spans: [Span::default(); FIELDS],
            present: 0,
        };
        while let Some(raw) = scanner.next_field()? {
            let Some(field) = field_of(raw.key) else {
                continue;
            };
            request.spans[field as usize] = raw.value;
            request.present |= 1 << field as usize;
        }
        request.command = CommandType::from_wire(request.raw(Field::Command));
        if request.has(Field::AckType) {
            request.acks = AckType::parse_list(request.raw(Field::AckType));
        }
        request.payload = frame.get(scanner.end()..).unwrap_or_default();
        Ok(request)
    }

    /// True if the field is there, be it empty.
    pub(crate) fn has(&self, field: Field) -> bool {
        self.present & (1 << field as usize) != 0
    }

    /// The text of a field; empty if it is absent.
    pub(crate) fn text(&self, field: Field) -> Cow<'a, [u8]> {
        unescape(self.raw(field))
    }

    /// The text of a field for people: what is not UTF-8 is replaced.
    pub(crate) fn lossy(&self, field: Field) -> String {
        String::from_utf8_lossy(&self.text(field)).into_owned()
    }

    /// The number in a field; what is not a number counts as absent (`protocol §2`).
    pub(crate) fn number(&self, field: Field) -> Option<u64> {
        parse_u64(self.raw(field))
    }

    /// True if any of these acknowledgements was asked for.
    pub(crate) fn wants(&self, ack: AckType) -> bool {
        self.acks.intersects(ack)
    }

    fn raw(&self, field: Field) -> &'a [u8] {
        self.spans[field as usize].of(self.frame)
    }
}

/// As [`Field::from_key`], with the keys of a publish decided first.
#[inline]
fn field_of(key: &[u8]) -> Option<Field> {
    Some(match key {
        b"c" => Field::Command,
        b"t" => Field::Topic,
        b"s" => Field::Sequence,
        b"a" => Field::AckType,
        b"x" => Field::CorrelationId,
        b"k" => Field::SowKey,
        b"cid" => Field::CommandId,
        _ => return Field::from_key(key),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_found_under_every_spelling() {
        for &field in Field::ALL {
            for key in field.keys() {
                let frame = format!("{{\"{key}\":\"17\"}}rest");
                let request = Request::parse(frame.as_bytes()).unwrap();
                assert!(request.has(field), "{key}");
                assert_eq!(request.number(field), Some(17), "{key}");
                assert_eq!(request.payload, b"rest");
            }
        }
    }

    #[test]
    fn of_a_repeated_field_the_last_one_counts() {
        let request = Request::parse(br#"{"c":"p","t":"a","topic":"b\"c"}"#).unwrap();
        assert_eq!(&*request.text(Field::Topic), b"b\"c");
        assert_eq!(request.command, CommandType::Publish);
    }

    #[test]
    fn a_number_that_is_none_is_absent() {
        let request = Request::parse(br#"{"c":"p","s":"x7"}"#).unwrap();
        assert!(request.has(Field::Sequence));
        assert_eq!(request.number(Field::Sequence), None);
        assert_eq!(request.number(Field::Expiration), None);
    }
}
