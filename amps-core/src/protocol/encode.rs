//! Writing frames into a buffer of the caller.
//!
//! Every message that leaves is written here, so it is made for speed: a header grows in zeroes
//! that lie ready behind it, eight bytes at a time where its values are short, and is cut to its
//! length at the end.

use super::field::Field;
use super::frame::PREFIX;
use crate::command_type::CommandType;
use std::fmt;

/// Writes one frame at the end of a buffer: length, header, payload. Only a frame that was ended
/// is one.
///
/// ```
/// use amps_core::CommandType;
/// use amps_core::protocol::{Field, FrameWriter};
///
/// let mut out = Vec::new();
/// let mut frame = FrameWriter::begin(&mut out, CommandType::Publish);
/// frame.text(Field::Topic, b"orders");
/// frame.finish(br#"{"id":1}"#);
/// assert_eq!(&out[4..], br#"{"c":"p","t":"orders"}{"id":1}"#);
/// ```
pub struct FrameWriter<'a> {
    /// Zeroes lie ready in it behind what is written.
    out: &'a mut Vec<u8>,
    start: usize,
    /// Where the next byte goes.
    end: usize,
}

impl fmt::Debug for FrameWriter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FrameWriter({} bytes)", self.len())
    }
}

impl<'a> FrameWriter<'a> {
    /// Starts a frame with a command.
    #[inline(always)]
    pub fn begin(out: &'a mut Vec<u8>, command: CommandType) -> FrameWriter<'a> {
        let start = out.len();
        out.resize(start + STRIDE, 0);
        let end = match command {
            // The usual one: a few bytes that are known here take no call.
            CommandType::Publish => put(out, start, CommandType::Publish.frame_start()),
            other => put(out, start, other.frame_start()),
        };
        FrameWriter { out, start, end }
    }

    /// Starts a frame with a command name as it stands: for names we do not know.
    #[inline]
    pub fn begin_named(out: &'a mut Vec<u8>, command: &[u8]) -> FrameWriter<'a> {
        let mut frame = FrameWriter::begin(out, CommandType::Unknown);
        frame.end = put_text(frame.out, frame.end - 1, command);
        frame
    }

    /// Adds a text field.
    #[inline(always)]
    pub fn text(&mut self, field: Field, value: &[u8]) {
        self.end = put(self.out, self.end, field.text_prefix());
        self.end = put_text(self.out, self.end, value);
    }

    /// Adds a text field whose value is known to need no escapes.
    #[inline(always)]
    pub(crate) fn plain_text(&mut self, field: Field, value: &[u8]) {
        self.end = put(self.out, self.end, field.text_prefix());
        self.end = put(self.out, self.end, value);
        self.end = put(self.out, self.end, b"\"");
    }

    /// Adds a text field unless the value is empty.
    #[inline]
    pub fn text_if(&mut self, field: Field, value: &[u8]) {
        if !value.is_empty() {
            self.text(field, value);
        }
    }

    /// Adds a number.
    #[inline(always)]
    pub fn number(&mut self, field: Field, value: u64) {
        self.end = put(self.out, self.end, field.number_prefix());
        self.end = put_number(self.out, self.end, value);
    }

    /// Ends the header and the frame; the payload follows as it stands.
    #[inline]
    pub fn finish(mut self, payload: &[u8]) {
        self.end_header(payload.len());
        self.out.extend_from_slice(payload);
    }

    /// Ends the header; the frame is as long as if a payload of `payload_length` bytes followed,
    /// which the caller sends itself.
    #[inline]
    pub fn finish_header(mut self, payload_length: usize) {
        self.end_header(payload_length);
    }

    /// Ends the header of a batch; records follow.
    pub fn records(mut self) -> BatchWriter<'a> {
        self.end = put(self.out, self.end, b"}");
        BatchWriter { frame: self }
    }

    #[inline]
    fn end_header(&mut self, payload_length: usize) {
        self.end = put(self.out, self.end, b"}");
        self.cut(payload_length);
    }

    /// Cuts the buffer to what was written, and notes how long the frame is with what follows.
    #[inline]
    fn cut(&mut self, more: usize) {
        let length = self.len() - PREFIX + more;
        let prefix = (length as u32).to_be_bytes();
        self.out[self.start..self.start + PREFIX].copy_from_slice(&prefix);
        self.out.truncate(self.end);
    }

    #[inline]
    fn len(&self) -> usize {
        self.end - self.start
    }
}

/// Writes the records of a `sow` frame.
#[derive(Debug)]
pub struct BatchWriter<'a> {
    frame: FrameWriter<'a>,
}

impl BatchWriter<'_> {
    /// Adds a record: its fields, then its length, then its payload.
    pub fn record<'f>(
        &mut self,
        fields: impl IntoIterator<Item = (Field, &'f [u8])>,
        payload: &[u8],
    ) {
        let frame = &mut self.frame;
        // Every prefix begins with the comma that separates it from a field before.
        let first = frame.end;
        for (field, value) in fields {
            frame.text(field, value);
        }
        frame.number(Field::MessageLength, payload.len() as u64);
        frame.out[first] = b'{';
        frame.end = put(frame.out, frame.end, b"}");
        frame.end = put(frame.out, frame.end, payload);
    }

    /// How long the frame is so far, with its length prefix.
    pub fn len(&self) -> usize {
        self.frame.len()
    }

    /// False: a batch has at least its header.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Ends the frame.
    pub fn finish(mut self) {
        self.frame.cut(0);
    }
}

/// How many zeroes are laid ready at once: enough for most headers.
const STRIDE: usize = 128;

/// How far whole words may reach beyond the end of what they write.
const WORD: usize = size_of::<u64>();

// These take the end of what is written and return the new one, and are no methods: so a writer
// stays in registers, where no step waits for the stores of the one before.

/// Where to write the next `count` bytes, and a word more.
#[inline(always)]
fn room(out: &mut Vec<u8>, end: usize, count: usize) -> &mut [u8] {
    if out.len() - end < count + WORD {
        grow(out, end + count);
    }
    &mut out[end..]
}

#[cold]
#[inline(never)]
fn grow(out: &mut Vec<u8>, end: usize) {
    out.resize(end + STRIDE, 0);
}

/// Appends bytes as they stand.
#[inline(always)]
fn put(out: &mut Vec<u8>, end: usize, bytes: &[u8]) -> usize {
    room(out, end, bytes.len())[..bytes.len()].copy_from_slice(bytes);
    end + bytes.len()
}

/// Appends text with the escapes that a header needs, and the closing quote.
fn put_text(out: &mut Vec<u8>, end: usize, text: &[u8]) -> usize {
    let room = room(out, end, text.len() + 1);
    if !copy_unless_special(text, room) {
        return put_escaped(out, end, text);
    }
    room[text.len()] = b'"';
    end + text.len() + 1
}

#[cold]
#[inline(never)]
fn put_escaped(out: &mut Vec<u8>, mut end: usize, text: &[u8]) -> usize {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for &byte in text {
        end = match byte {
            b'"' | b'\\' => put(out, end, &[b'\\', byte]),
            0x08 => put(out, end, br"\b"),
            b'\t' => put(out, end, br"\t"),
            b'\n' => put(out, end, br"\n"),
            0x0C => put(out, end, br"\f"),
            b'\r' => put(out, end, br"\r"),
            0..0x20 => {
                let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
                put(out, end, &[b'\\', b'u', b'0', b'0', high, low])
            }
            _ => put(out, end, &[byte]),
        };
    }
    put(out, end, b"\"")
}

/// Appends decimal digits.
fn put_number(out: &mut Vec<u8>, end: usize, number: u64) -> usize {
    /// What one word holds.
    const EIGHT_DIGITS: u64 = 100_000_000;
    let room = room(out, end, 3 * WORD);
    let (above, low) = (number / EIGHT_DIGITS, number % EIGHT_DIGITS);
    let (high, middle) = (above / EIGHT_DIGITS, above % EIGHT_DIGITS);
    let mut at = 0;
    let mut put_eight = |eight: u64, leads: bool| {
        let digits = digits(eight);
        // The first digit is the lowest byte. A zero by itself is written.
        let skipped = match leads {
            true => (digits.trailing_zeros() / 8).min(WORD as u32 - 1),
            false => 0,
        };
        let word = (digits | 0x3030_3030_3030_3030) >> (8 * skipped);
        room[at..at + WORD].copy_from_slice(&word.to_le_bytes());
        at += WORD - skipped as usize;
    };
    if high > 0 {
        put_eight(high, true);
    }
    if above > 0 {
        put_eight(middle, high == 0);
    }
    put_eight(low, above == 0);
    end + at
}

/// The eight decimal digits of a number, as bytes from 0 to 9, the first one lowest.
#[inline]
fn digits(number: u64) -> u64 {
    // Divides in all lanes of a word at once, by multiplying: two lanes of four digits, then four
    // of two, then eight of one. The factors are exact for numbers as small as these.
    let fours = (number / 10_000) | (number % 10_000) << 32;
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007F_0000_007F;
    let twos = hundreds | (fours - hundreds * 100) << 16;
    let tens = ((twos * 103) >> 10) & 0x000F_000F_000F_000F;
    tens | (twos - tens * 10) << 8
}

/// Copies text to the beginning of `to`, which has room for a word more; false if some of it
/// cannot stand in a header as it is.
#[inline]
fn copy_unless_special(text: &[u8], to: &mut [u8]) -> bool {
    let mut special = 0;
    let mut words = text.chunks_exact(WORD);
    let mut at = 0;
    for bytes in &mut words {
        let word = word_of(bytes);
        special |= special_in(word);
        to[at..at + WORD].copy_from_slice(&word.to_le_bytes());
        at += WORD;
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let word = word_of(rest);
        // The bytes beyond the end are zero, but zero is special.
        special |= special_in(word) << (8 * (WORD - rest.len()));
        to[at..at + WORD].copy_from_slice(&word.to_le_bytes());
    }
    special == 0
}

/// Up to eight bytes as a word, the first one lowest; the missing ones are zero.
#[inline]
fn word_of(bytes: &[u8]) -> u64 {
    let half = |at: usize| {
        let half = bytes.get(at..)?.first_chunk()?;
        Some(u64::from(u32::from_le_bytes(*half)))
    };
    if let Some(word) = bytes.first_chunk() {
        u64::from_le_bytes(*word)
    } else if let Some(low) = half(0) {
        // The last four, which may be among the first four, too.
        let at = bytes.len() - 4;
        low | half(at).unwrap_or_default() << (8 * at)
    } else {
        let byte = |at: usize| u64::from(bytes.get(at).copied().unwrap_or_default()) << (8 * at);
        byte(0) | byte(1) | byte(2)
    }
}

/// Not zero if a byte of the word needs an escape: a quote, a backslash, or less than a space. The
/// lowest bit that is set belongs to the first such byte; those above it may not.
#[inline]
fn special_in(word: u64) -> u64 {
    const EACH: u64 = u64::from_ne_bytes([1; WORD]);
    let below = |word: u64, limit: u8| word.wrapping_sub(EACH * u64::from(limit)) & !word;
    let is = |byte: u8| below(word ^ (EACH * u64::from(byte)), 1);
    (below(word, b' ') | is(b'"') | is(b'\\')) & (EACH << 7)
}

#[cfg(test)]
mod tests;
