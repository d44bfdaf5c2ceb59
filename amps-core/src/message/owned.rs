//! Messages that own their fields: built, changed or detached ones.

use super::Message;
use super::chunk::Chunk;
use crate::ack::AckType;
use crate::command::Command;
use crate::command_type::CommandType;
use crate::fields::Fields;
use crate::protocol::{Field, Header, ParseError, Records, Span};
use bytes::Bytes;

/// Building and changing messages.
impl Message {
    /// A message to be sent with [`Client::send`](crate::Client::send), by the name of its command.
    ///
    /// ```
    /// use amps_core::{CommandType, Message};
    ///
    /// let mut acknowledgement = Message::new("sow_delete");
    /// acknowledgement.set_topic("jobs").set_bookmark("4418602183412675531|14|");
    /// assert_eq!(acknowledgement.command(), CommandType::SowDelete);
    /// ```
    pub fn new(command: impl AsRef<str>) -> Message {
        let chunk = Chunk::of_our_own(Bytes::new());
        let mut message = Message::over(chunk, Header::EMPTY, Span::EMPTY, Span::EMPTY);
        message.set_command(command);
        message
    }

    /// Unsets every field and the payload, for use as another message.
    pub fn reset(&mut self, command: impl AsRef<str>) -> &mut Message {
        *self = Message::new(command);
        self
    }

    /// Sets the payload. It is copied; other copies of this message keep theirs.
    pub fn set_data(&mut self, data: impl AsRef<[u8]>) -> &mut Message {
        self.own_fields();
        self.keep_only(Bytes::copy_from_slice(data.as_ref()));
        self
    }

    /// A message of its own that holds on to nothing but its own bytes.
    #[must_use]
    pub fn detach(&self) -> Message {
        let mut copy = self.clone();
        if self.parts.decoded.is_some() {
            copy.keep_only(Bytes::copy_from_slice(self.data()));
            return copy;
        }
        // A record of a batch takes the header of its frame along, too.
        let outer = self.parts.outer.of(self.frame());
        let own = self.parts.header.span.of(self.frame());
        let bytes = Bytes::from([outer, own, self.data()].concat());
        // It was read before, so it can be read again.
        if let Ok((header, data, outer)) = reread(&bytes, self.parts.outer.is_empty()) {
            copy.chunk = self.chunk.with_bytes(bytes);
            copy.parts.header = header;
            copy.parts.data = data;
            copy.parts.outer = outer;
        }
        if copy.sub_id() != self.sub_id() {
            // Which of several subscriptions it was delivered for stands in no header.
            let sub_id = self.sub_id();
            copy.own_fields().set_text(Field::SubId, sub_id);
            copy.keep_only(Bytes::copy_from_slice(self.data()));
        }
        copy
    }

    /// The fields, to be changed; from now on the getters read them.
    pub(super) fn own_fields(&mut self) -> &mut Fields {
        if self.parts.decoded.is_none() {
            // Which of several subscriptions it was delivered for stands in no header.
            let sub_id = self.sub_id().to_string();
            self.decode();
            if let Some(fields) = &mut self.parts.decoded {
                fields.set_text(Field::SubId, &sub_id);
            }
            self.parts.header.special = true;
        }
        self.parts.decoded.get_or_insert_default()
    }

    /// Lets go of the frame, for a message that owns its fields.
    fn keep_only(&mut self, data: Bytes) {
        self.parts.data = Span::new(0, data.len());
        self.parts.outer = Span::EMPTY;
        self.parts.header.span = Span::EMPTY;
        self.chunk = self.chunk.with_bytes(data);
    }

    /// The message that a command would send.
    pub(crate) fn of_command(name: &str, fields: Fields, data: &[u8], acks: AckType) -> Message {
        let mut message = Message::new(name);
        *message.own_fields() = fields;
        message.set_command(name).set_data(data);
        if !acks.is_empty() {
            message.set_ack_type(acks);
        }
        message
    }

    /// The command that sends this message.
    pub(crate) fn to_command(&self) -> Command {
        let mut fields = Fields::default();
        match &self.parts.decoded {
            Some(decoded) => fields.clone_from(decoded),
            None => {
                let mut copy = self.clone();
                fields.clone_from(copy.own_fields());
            }
        }
        // A frame is as long as its payload says.
        fields.remove(Field::MessageLength);
        if self.command() != CommandType::Unknown {
            fields.remove(Field::Command);
        }
        fields.remove(Field::AckType);
        Command::from_parts(
            self.command(),
            fields,
            self.data().to_vec(),
            self.ack_type(),
        )
    }
}

/// Where the parts of a frame with one message, or of a batch with one record, are.
fn reread(frame: &[u8], is_plain: bool) -> Result<(Header, Span, Span), ParseError> {
    let first = Header::parse(frame, 0)?;
    if is_plain {
        let data = Span::new(first.span.end(), frame.len());
        return Ok((first, data, Span::EMPTY));
    }
    match Records::new(frame, first).next_record()? {
        Some(record) => Ok((record.header, record.data, first.span)),
        None => Ok((first, Span::EMPTY, first.span)),
    }
}
