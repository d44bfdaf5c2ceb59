//! The quick way through a header that is written as servers write it.
//!
//! A key of one or two letters, with its quotes, the colon and the quote of its value, fits into a
//! word of eight bytes: so one load and one comparison under a mask recognise it. Everything else,
//! white space, long spellings, escapes, is left to [`Scanner`](super::Scanner).

use super::header::Header;
use super::scan::{Span, plain_end};
use super::text::parse_u64;
use crate::ack::AckType;
use crate::command_type::CommandType;

/// How far the usual way came.
pub(super) enum Usual {
    /// To the end of the header.
    Done(usize),
    /// To the brace or comma in front of a field that is written in another way.
    UpTo(usize),
}

/// `"?":"` as the first five of eight bytes.
const ONE_LETTER: u64 = u64::from_le_bytes(*b"\"\0\":\"\0\0\0");
const ONE_LETTER_MASK: u64 = 0x0000_00FF_FFFF_00FF;
/// `"??":"` as the first six.
const TWO_LETTERS: u64 = u64::from_le_bytes(*b"\"\0\0\":\"\0\0");
const TWO_LETTERS_MASK: u64 = 0x0000_FFFF_FF00_00FF;
/// The start of the list of subscriptions.
const SIDS: u64 = u64::from_le_bytes(*b"\"sids\":\"");
/// `"l":` as the first four.
const LENGTH: u64 = u64::from_le_bytes(*b"\"l\":\0\0\0\0");
const LENGTH_MASK: u64 = 0x0000_0000_FFFF_FFFF;

impl Header {
    /// The fields as servers write them: short keys, no white space, text without escapes. Stops
    /// in front of the first that is otherwise; the field before it is taken.
    #[inline]
    pub(super) fn read_usual(&mut self, frame: &[u8], start: usize) -> Usual {
        // At the brace or at the comma in front of a field.
        let mut at = start;
        loop {
            let Some(word) = frame.get(at + 1..).and_then(<[u8]>::first_chunk::<8>) else {
                return Usual::UpTo(at);
            };
            let word = u64::from_le_bytes(*word);
            let end;
            if word & ONE_LETTER_MASK == ONE_LETTER {
                let start = at + 6;
                end = plain_end(frame, start);
                let value = Span::new(start, end);
                match (word >> 8) as u8 {
                    b't' => self.topic = value,
                    b'k' => self.sow_key = value,
                    b'c' => self.command = CommandType::from_wire(value.of(frame)),
                    b'a' => self.ack_type = AckType::parse_list(value.of(frame)),
                    b'l' => self.message_length = parse_u64(value.of(frame)),
                    b'"' | b'\\' => return Usual::UpTo(at),
                    _ => {}
                }
            } else if word & TWO_LETTERS_MASK == TWO_LETTERS {
                let start = at + 7;
                end = plain_end(frame, start);
                let value = Span::new(start, end);
                match &((word >> 8) as u16).to_le_bytes() {
                    b"bm" => self.bookmark = value,
                    b"lp" => self.has_lease = !value.is_empty(),
                    key if key.contains(&b'"') || key.contains(&b'\\') => {
                        return Usual::UpTo(at);
                    }
                    _ => {}
                }
            } else if word == SIDS {
                let start = at + 9;
                end = plain_end(frame, start);
                self.sub_ids = Span::new(start, end);
            } else if word & LENGTH_MASK == LENGTH {
                let mut digits = at + 5;
                let mut length = 0u64;
                while let Some(digit) = frame.get(digits).map(|byte| byte.wrapping_sub(b'0'))
                    && digit < 10
                    && digits < at + 5 + 18
                {
                    length = length * 10 + u64::from(digit);
                    digits += 1;
                }
                if digits == at + 5 {
                    return Usual::UpTo(at);
                }
                match frame.get(digits) {
                    Some(b',') => {
                        self.message_length = Some(length);
                        at = digits;
                        continue;
                    }
                    Some(b'}') => {
                        self.message_length = Some(length);
                        return Usual::Done(digits + 1);
                    }
                    _ => return Usual::UpTo(at),
                }
            } else {
                return Usual::UpTo(at);
            }
            // What was taken from a value with escapes is taken again by the other way.
            match frame.get(end..).and_then(<[u8]>::first_chunk::<2>) {
                Some(b"\",") => at = end + 1,
                Some(b"\"}") => return Usual::Done(end + 2),
                _ => return Usual::UpTo(at),
            }
        }
    }
}
