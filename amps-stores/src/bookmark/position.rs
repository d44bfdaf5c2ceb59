//! What a bookmark tells a store. Servers make bookmarks, and only their common form can be
//! compared; everything else is kept as it is, and nothing that a server sends is a panic.

use amps_core::bookmark;

/// A bookmark, as far as a store can read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Position<'a> {
    /// `publisher|sequence|`, the usual form: ordered within its publisher (rule L1).
    Numbered {
        /// Who published the message.
        publisher: u64,
        /// Its number among the messages of that publisher.
        sequence: u64,
        /// How the server writes them.
        padding: Padding,
    },
    /// Any other text that a server can be asked to start after. Only equality means something.
    Opaque(&'a str),
    /// What names no message: constants, timestamps, lists, ranges, nothing at all. A message that
    /// carries it is numbered and delivered, but no subscription starts at it.
    Odd,
}

/// To how many digits a server fills up the numbers of a bookmark with zeros; 0: it does not. The
/// server is asked for what it wrote itself, to the letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Padding {
    /// Of the publisher.
    pub(crate) publisher: u8,
    /// Of the sequence.
    pub(crate) sequence: u8,
}

impl<'a> Position<'a> {
    /// Reads a bookmark.
    pub(crate) fn parse(text: &'a str) -> Position<'a> {
        if is_now(text) {
            return Position::Odd;
        }
        if let Some(numbered) = numbered(text) {
            return numbered;
        }
        let odd = text.is_empty()
            || text == bookmark::EPOCH
            || text == bookmark::MOST_RECENT
            || text.starts_with(['[', '('])
            || text.contains(|c: char| c == ',' || c.is_whitespace() || c.is_control())
            || is_timestamp(text);
        if odd {
            Position::Odd
        } else {
            Position::Opaque(text)
        }
    }
}

fn numbered(text: &str) -> Option<Position<'static>> {
    let text = text.strip_suffix('|')?;
    let (publisher, sequence) = text.split_once('|')?;
    let ((publisher, publisher_padding), (sequence, sequence_padding)) =
        (number(publisher)?, number(sequence)?);
    Some(Position::Numbered {
        publisher,
        sequence,
        padding: Padding {
            publisher: publisher_padding,
            sequence: sequence_padding,
        },
    })
}

/// A number, and its length if it is filled up with zeros.
fn number(text: &str) -> Option<(u64, u8)> {
    let bytes = text.as_bytes();
    if bytes.is_empty() || bytes.len() > 20 {
        return None;
    }
    let mut number = 0u64;
    for byte in bytes {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    let filled_up = bytes[0] == b'0' && bytes.len() > 1;
    Some((number, if filled_up { bytes.len() as u8 } else { 0 }))
}

/// True for the bookmark of the end of the log, in both its spellings.
pub(crate) fn is_now(text: &str) -> bool {
    text == bookmark::NOW || text == "0|1"
}

/// True for `YYYYmmddTHHMMSS`, with or without a fraction and the `Z`.
pub(crate) fn is_timestamp(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| {
        bytes
            .get(range)
            .is_some_and(|part| part.iter().all(u8::is_ascii_digit))
    };
    digits(0..8) && bytes.get(8) == Some(&b'T') && digits(9..15) && !text.contains(['|', ','])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_form_has_two_numbers() {
        let read = Position::parse("18446744073709551615|7|");
        let expected = Position::Numbered {
            publisher: u64::MAX,
            sequence: 7,
            padding: Padding::default(),
        };
        assert_eq!(read, expected);
        let padded = Position::parse("012|0000000000000000907|");
        let expected = Position::Numbered {
            publisher: 12,
            sequence: 907,
            padding: Padding {
                publisher: 3,
                sequence: 19,
            },
        };
        assert_eq!(padded, expected);
    }

    #[test]
    fn other_texts_are_kept_as_they_are() {
        for text in [
            "1|2",
            "1|2|3|",
            "1|000000000000000000002|",
            "18446744073709551616|1|",
            "a|1|",
            "|",
            "||",
            "1||",
            "|1|",
            "+1|2|",
            "é|1|",
            "20240315",
        ] {
            assert_eq!(Position::parse(text), Position::Opaque(text), "{text}");
        }
    }

    #[test]
    fn what_names_no_message_is_odd() {
        for text in [
            "",
            "0",
            "0|1|",
            "0|1",
            "recent",
            "1|2|,3|4|",
            "[0:1|2|)",
            "20240315T093000Z",
            "20240315T093000.123456",
            "a b",
            "\u{0}",
        ] {
            assert_eq!(Position::parse(text), Position::Odd, "{text}");
        }
    }
}
