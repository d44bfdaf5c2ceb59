//! Writing frames into a buffer of the caller.

use super::field::Field;
use super::frame::PREFIX;
use crate::command_type::CommandType;
use std::fmt;

/// Writes one frame at the end of a buffer: length, header, payload.
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
    out: &'a mut Vec<u8>,
    start: usize,
}

impl fmt::Debug for FrameWriter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FrameWriter({} bytes)", self.out.len() - self.start)
    }
}

impl<'a> FrameWriter<'a> {
    /// Starts a frame with a command.
    #[inline]
    pub fn begin(out: &'a mut Vec<u8>, command: CommandType) -> FrameWriter<'a> {
        FrameWriter::begin_named(out, command.wire_name().as_bytes())
    }

    /// Starts a frame with a command name as it stands: for names we do not know.
    #[inline]
    pub fn begin_named(out: &'a mut Vec<u8>, command: &[u8]) -> FrameWriter<'a> {
        let start = out.len();
        out.extend_from_slice(b"\0\0\0\0{\"c\":\"");
        push_escaped(out, command);
        out.push(b'"');
        FrameWriter { out, start }
    }

    /// Adds a text field.
    #[inline]
    pub fn text(&mut self, field: Field, value: &[u8]) {
        self.out.extend_from_slice(field.text_prefix());
        push_escaped(self.out, value);
        self.out.push(b'"');
    }

    /// Adds a text field unless the value is empty.
    #[inline]
    pub fn text_if(&mut self, field: Field, value: &[u8]) {
        if !value.is_empty() {
            self.text(field, value);
        }
    }

    /// Adds a number.
    #[inline]
    pub fn number(&mut self, field: Field, value: u64) {
        self.out.extend_from_slice(field.number_prefix());
        push_number(self.out, value);
    }

    /// Ends the header and the frame; the payload follows as it stands.
    #[inline]
    pub fn finish(self, payload: &[u8]) {
        self.out.push(b'}');
        self.out.extend_from_slice(payload);
        let length = self.out.len() - self.start - PREFIX;
        self.patch_length(length);
    }

    /// Ends the header; the frame is as long as if a payload of `payload_length` bytes followed,
    /// which the caller sends itself.
    #[inline]
    pub fn finish_header(self, payload_length: usize) {
        self.out.push(b'}');
        let length = self.out.len() - self.start - PREFIX + payload_length;
        self.patch_length(length);
    }

    /// Ends the header of a batch; records follow.
    pub fn records(self) -> BatchWriter<'a> {
        self.out.push(b'}');
        BatchWriter { frame: self }
    }

    fn patch_length(self, length: usize) {
        let prefix = (length as u32).to_be_bytes();
        self.out[self.start..self.start + PREFIX].copy_from_slice(&prefix);
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
        let out = &mut *self.frame.out;
        out.push(b'{');
        let first = out.len();
        for (field, value) in fields {
            out.extend_from_slice(field.text_prefix());
            push_escaped(out, value);
            out.push(b'"');
        }
        out.extend_from_slice(Field::MessageLength.number_prefix());
        push_number(out, payload.len() as u64);
        // Every prefix begins with the comma that separates it from a field before.
        out.remove(first);
        out.push(b'}');
        out.extend_from_slice(payload);
    }

    /// How long the frame is so far, with its length prefix.
    pub fn len(&self) -> usize {
        self.frame.out.len() - self.frame.start
    }

    /// False: a batch has at least its header.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Ends the frame.
    pub fn finish(self) {
        let length = self.frame.out.len() - self.frame.start - PREFIX;
        self.frame.patch_length(length);
    }
}

/// Appends text with the escapes that a header needs.
#[inline]
fn push_escaped(out: &mut Vec<u8>, value: &[u8]) {
    // Without a branch per byte, so that the compiler makes a vector loop of it.
    let special = value.iter().fold(false, |special, &byte| {
        special | (byte < 0x20) | (byte == b'"') | (byte == b'\\')
    });
    if special {
        push_each_escaped(out, value);
    } else {
        out.extend_from_slice(value);
    }
}

#[cold]
fn push_each_escaped(out: &mut Vec<u8>, value: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for &byte in value {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0x08 => out.extend_from_slice(br"\b"),
            b'\t' => out.extend_from_slice(br"\t"),
            b'\n' => out.extend_from_slice(br"\n"),
            0x0C => out.extend_from_slice(br"\f"),
            b'\r' => out.extend_from_slice(br"\r"),
            0..0x20 => {
                out.extend_from_slice(br"\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
            _ => out.push(byte),
        }
    }
}

/// Appends decimal digits.
#[inline]
fn push_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Header, unescape};

    #[test]
    fn what_is_escaped_is_read_back_as_it_was() {
        let text = (0u8..=255).collect::<Vec<_>>();
        let mut out = Vec::new();
        let mut frame = FrameWriter::begin(&mut out, CommandType::Subscribe);
        frame.text(Field::Topic, &text);
        frame.finish(b"");
        let body = &out[4..];
        let header = Header::parse(body, 0).unwrap();
        assert!(header.special);
        assert_eq!(&*unescape(header.topic.of(body)), &text[..]);
        assert_eq!(header.span.end(), body.len());
    }

    #[test]
    fn numbers_are_written_in_full() {
        let mut out = Vec::new();
        for number in [0, 7, 10, 12345, u64::MAX] {
            out.clear();
            push_number(&mut out, number);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }
}
