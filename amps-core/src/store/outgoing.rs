//! A command on its way into a publish store, and out of it again.

use crate::command_type::CommandType;
use crate::error::{Error, ErrorContext, Result};

/// A publish, delta publish or sow delete, as a publish store keeps it.
///
/// It borrows everything, so that storing a message copies it once: into the store. Stores that
/// keep bytes use [`encoded_len`](OutgoingCommand::encoded_len),
/// [`encode_to`](OutgoingCommand::encode_to) and [`decode`](OutgoingCommand::decode), whose format
/// is part of the store format and does not change within a major version. A field that is empty
/// is not there. Rule K3.
///
/// ```
/// use amps_core::{CommandType, OutgoingCommand};
///
/// let command = OutgoingCommand::new(CommandType::Publish, "orders", br#"{"id":1}"#);
/// let mut bytes = vec![0; command.encoded_len()];
/// command.encode_to(&mut bytes);
/// assert_eq!(OutgoingCommand::decode(&bytes)?, command);
/// # Ok::<(), amps_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutgoingCommand<'a> {
    /// `Publish`, `DeltaPublish` or `SowDelete`.
    pub command: CommandType,
    /// The topic.
    pub topic: &'a str,
    /// The payload; of a delete by data, the record to delete.
    pub data: &'a [u8],
    /// The token that travels with the message.
    pub correlation_id: &'a str,
    /// Seconds to live; none: for ever, or as the topic says.
    pub expiration: Option<u64>,
    /// The key of a record, for topics whose keys the publisher chooses.
    pub sow_key: &'a str,
    /// The keys of the records to delete, separated by commas.
    pub sow_keys: &'a str,
    /// Which records to delete.
    pub filter: &'a str,
    /// The queue messages to acknowledge, separated by commas.
    pub bookmark: &'a str,
    /// Options, separated by commas.
    pub options: &'a str,
}

/// The fields beside topic and data, in the order of their bits and of their bytes.
const CORRELATION_ID: u8 = 1;
const SOW_KEY: u8 = 1 << 1;
const SOW_KEYS: u8 = 1 << 2;
const FILTER: u8 = 1 << 3;
const BOOKMARK: u8 = 1 << 4;
const OPTIONS: u8 = 1 << 5;
const EXPIRATION: u8 = 1 << 6;

const KINDS: [(u8, CommandType); 3] = [
    (1, CommandType::Publish),
    (2, CommandType::DeltaPublish),
    (3, CommandType::SowDelete),
];

/// The kind, the bits of the fields that are there, the length of the topic.
const FIXED: usize = 1 + 1 + 4;

impl<'a> OutgoingCommand<'a> {
    /// A command with a topic and a payload and nothing else.
    pub fn new(command: CommandType, topic: &'a str, data: &'a [u8]) -> Self {
        OutgoingCommand {
            command,
            topic,
            data,
            correlation_id: "",
            expiration: None,
            sow_key: "",
            sow_keys: "",
            filter: "",
            bookmark: "",
            options: "",
        }
    }

    fn texts(&self) -> [(u8, &'a str); 6] {
        [
            (CORRELATION_ID, self.correlation_id),
            (SOW_KEY, self.sow_key),
            (SOW_KEYS, self.sow_keys),
            (FILTER, self.filter),
            (BOOKMARK, self.bookmark),
            (OPTIONS, self.options),
        ]
    }

    /// True if there is nothing beside topic and data: the usual publish.
    #[inline]
    fn is_plain(&self) -> bool {
        self.expiration.is_none()
            && self.correlation_id.is_empty()
            && self.sow_key.is_empty()
            && self.sow_keys.is_empty()
            && self.filter.is_empty()
            && self.bookmark.is_empty()
            && self.options.is_empty()
    }

    /// How many bytes [`encode_to`](OutgoingCommand::encode_to) writes.
    #[inline]
    pub fn encoded_len(&self) -> usize {
        let plain = FIXED + self.topic.len() + self.data.len();
        if self.is_plain() {
            return plain;
        }
        let texts = self.texts();
        let texts = texts.iter().filter(|(_, text)| !text.is_empty());
        let texts = texts.map(|(_, text)| 4 + text.len()).sum::<usize>();
        plain + texts + self.expiration.map_or(0, |_| 8)
    }

    /// Writes the command into a buffer of exactly [`encoded_len`](OutgoingCommand::encoded_len)
    /// bytes. Commands of another type than the three that stores keep are written as publishes.
    ///
    /// The format, numbers in little endian: kind (1 byte: 1 publish, 2 delta publish, 3 sow
    /// delete), the bits of the fields that are there (1 byte), length of the topic (4), topic;
    /// for each bit from the lowest to the sixth, length (4) and text of correlation id, SOW key,
    /// SOW keys, filter, bookmark, options; for the seventh bit the expiration (8); then the data
    /// to the end.
    ///
    /// # Panics
    ///
    /// If the buffer has another length.
    #[inline]
    pub fn encode_to(&self, out: &mut [u8]) {
        assert_eq!(out.len(), self.encoded_len(), "the length of the buffer");
        let code = KINDS.iter().find(|(_, kind)| *kind == self.command);
        let mut out = Writer { out };
        out.put(&[code.map_or(1, |(code, _)| *code)]);
        if self.is_plain() {
            out.put(&[0]);
            out.put_text(self.topic);
            out.put(self.data);
            return;
        }
        let texts = self.texts();
        let mut bits = self.expiration.map_or(0, |_| EXPIRATION);
        for (bit, text) in texts {
            bits |= if text.is_empty() { 0 } else { bit };
        }
        out.put(&[bits]);
        out.put_text(self.topic);
        for (_, text) in texts.iter().filter(|(_, text)| !text.is_empty()) {
            out.put_text(text);
        }
        if let Some(seconds) = self.expiration {
            out.put(&seconds.to_le_bytes());
        }
        out.put(self.data);
    }

    /// Reads what [`encode_to`](OutgoingCommand::encode_to) wrote.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the bytes are not a command.
    pub fn decode(bytes: &'a [u8]) -> Result<OutgoingCommand<'a>> {
        read(bytes).ok_or_else(not_a_command)
    }
}

fn not_a_command() -> Error {
    ErrorContext::new("read a stored command", "")
        .with_reason("its bytes are damaged")
        .Store()
}

fn read(mut bytes: &[u8]) -> Option<OutgoingCommand<'_>> {
    let bytes = &mut bytes;
    let code = take(bytes, 1)?[0];
    let (_, kind) = KINDS.iter().find(|(known, _)| *known == code)?;
    let bits = take(bytes, 1)?[0];
    if bits & !(EXPIRATION | (EXPIRATION - 1)) != 0 {
        return None;
    }
    let mut command = OutgoingCommand::new(*kind, take_text(bytes)?, b"");
    for (bit, field) in [
        (CORRELATION_ID, &mut command.correlation_id),
        (SOW_KEY, &mut command.sow_key),
        (SOW_KEYS, &mut command.sow_keys),
        (FILTER, &mut command.filter),
        (BOOKMARK, &mut command.bookmark),
        (OPTIONS, &mut command.options),
    ] {
        if bits & bit != 0 {
            *field = take_text(bytes)?;
        }
    }
    if bits & EXPIRATION != 0 {
        let seconds = take(bytes, 8)?.try_into().ok()?;
        command.expiration = Some(u64::from_le_bytes(seconds));
    }
    command.data = bytes;
    Some(command)
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

fn take_text<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let length = u32::from_le_bytes(take(bytes, 4)?.try_into().ok()?);
    std::str::from_utf8(take(bytes, usize::try_from(length).ok()?)?).ok()
}

struct Writer<'a> {
    out: &'a mut [u8],
}

impl Writer<'_> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        let (head, rest) = std::mem::take(&mut self.out).split_at_mut(bytes.len());
        head.copy_from_slice(bytes);
        self.out = rest;
    }

    #[inline]
    fn put_text(&mut self, text: &str) {
        // A frame is no longer than 256 MiB, so every text fits.
        self.put(&(text.len() as u32).to_le_bytes());
        self.put(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> OutgoingCommand<'static> {
        OutgoingCommand {
            command: CommandType::SowDelete,
            topic: "orders",
            data: b"{\"id\":7}",
            correlation_id: "c",
            expiration: Some(300),
            sow_key: "k",
            sow_keys: "1,2",
            filter: "/id > 3",
            bookmark: "1|2|",
            options: "cancel",
        }
    }

    fn encoded(command: &OutgoingCommand<'_>) -> Vec<u8> {
        let mut bytes = vec![0; command.encoded_len()];
        command.encode_to(&mut bytes);
        bytes
    }

    #[test]
    fn a_command_comes_back_as_it_was() {
        let plain = OutgoingCommand::new(CommandType::DeltaPublish, "t", b"\x00\xff");
        let empty = OutgoingCommand::new(CommandType::Publish, "", b"");
        let mut lives = plain;
        lives.expiration = Some(0);
        for command in [full(), plain, empty, lives] {
            let bytes = encoded(&command);
            assert_eq!(OutgoingCommand::decode(&bytes).unwrap(), command);
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_format() {
        let command = OutgoingCommand {
            correlation_id: "x",
            expiration: Some(2),
            ..OutgoingCommand::new(CommandType::DeltaPublish, "ab", b"!")
        };
        let expected = b"\x02\x41\x02\0\0\0ab\x01\0\0\0x\x02\0\0\0\0\0\0\0!";
        assert_eq!(encoded(&command), expected);
    }

    #[test]
    fn a_cut_or_unknown_command_is_an_error() {
        let bytes = encoded(&full());
        let data = full().data.len();
        for length in 0..bytes.len() - data {
            assert!(OutgoingCommand::decode(&bytes[..length]).is_err());
        }
        for (at, value) in [(0, 0), (0, 4), (1, 0x80)] {
            let mut wrong = bytes.clone();
            wrong[at] = value;
            assert!(OutgoingCommand::decode(&wrong).is_err());
        }
    }
}
