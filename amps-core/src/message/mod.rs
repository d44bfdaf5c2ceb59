//! Messages: slices of the receive buffer, with getters over the header.

mod acking;
mod chunk;
mod fields;
mod oof;
mod owned;
mod queued;
mod walk;

pub(crate) use acking::{Settlements, Settling};
pub(crate) use chunk::{Origin, Reader};
pub use oof::OofReason;
pub(crate) use queued::{Batch, Messages};

use crate::ack::AckType;
use crate::command_type::CommandType;
use crate::error::{Error, ErrorContext, Result};
use crate::fields::Fields;
use crate::protocol::{Field, Header, ParseError, Span, Status, find_field, list_items, parse_u64};
use crate::reason;
use bytes::Bytes;
use chunk::Chunk;
use std::fmt;
use std::str;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

/// A message from the server.
///
/// Nothing is copied on the way: a message is a slice of the buffer that the receive thread read
/// into, and keeps that buffer alive. A clone shares it and costs one count. An application that
/// keeps messages for long keeps whole buffers (64 KiB and more); [`Message::detach`] makes a
/// private copy, [`Message::retained_bytes`] tells what a message holds on to. A setter changes the
/// copy that it is called on and no other.
///
/// Text getters return the empty string where the header has no such field; number getters return
/// `None`. Getters over fields that the client itself does not need walk the header anew, so read
/// them once. Guide §4.4; rules F1 to F3.
pub struct Message {
    chunk: Arc<Chunk>,
    parts: Parts,
    /// Present if a stream acknowledges this message when the next one is asked for.
    settling: Option<Settling>,
    ignore_auto_ack: AtomicBool,
}

/// Where the parts of a message are in its chunk, and what is known of it beyond that.
#[derive(Clone, Default)]
pub(crate) struct Parts {
    header: Header,
    data: Span,
    /// The header of the frame, if this is a record of a batch.
    outer: Span,
    /// Present if the header has escapes or bytes above 0x7F, or a field was set: then the getters
    /// read these.
    decoded: Option<Box<Fields>>,
    /// The number that the bookmark store gave it; 0 without one.
    bookmark_seq_no: u64,
}

impl Message {
    /// Reads a frame that is one message: everything but a `sow` batch.
    #[doc(hidden)]
    pub fn from_frame(frame: Bytes) -> Result<Message, ParseError> {
        let header = Header::parse(&frame, 0)?;
        let data = Span::new(header.span.end(), frame.len());
        let chunk = Chunk::of_our_own(frame);
        Ok(Message::over(chunk, header, data, Span::EMPTY))
    }

    /// Reads a chunk of whole frames and hands out each message in it, every record of a batch
    /// included.
    #[doc(hidden)]
    pub fn each_in_chunk(chunk: Bytes, each: impl FnMut(&mut Message)) -> Result<(), ParseError> {
        let mut reader = Reader::new(Origin::default());
        reader.each_in(chunk, SystemTime::now(), each)?;
        Ok(())
    }

    /// A message over these parts of a chunk.
    fn over(chunk: Arc<Chunk>, header: Header, data: Span, outer: Span) -> Message {
        let parts = Parts {
            header,
            data,
            outer,
            ..Parts::default()
        };
        let mut message = Message::of_parts(chunk, parts);
        message.decode_if_special();
        message
    }

    /// A message that was taken apart for a queue.
    #[inline]
    fn of_parts(chunk: Arc<Chunk>, parts: Parts) -> Message {
        Message {
            chunk,
            parts,
            settling: None,
            ignore_auto_ack: AtomicBool::new(false),
        }
    }

    /// Forgets what was known of the message before, another one of the same chunk; its header is
    /// to be read anew.
    #[inline]
    fn begin_next(&mut self) {
        self.parts.decoded = None;
        self.parts.bookmark_seq_no = 0;
        self.settling = None;
        *self.ignore_auto_ack.get_mut() = false;
    }

    #[inline]
    fn decode_if_special(&mut self) {
        if self.parts.header.special {
            self.decode();
        }
    }

    /// Makes the getters read owned fields with their escapes undone.
    #[cold]
    fn decode(&mut self) {
        let mut fields = Fields::default();
        if !self.parts.outer.is_empty() {
            fields.read(self.frame(), self.parts.outer.start());
            // As `Records`: what the outer header says of a single record is not inherited.
            fields.remove(Field::SowKey);
        }
        fields.read(self.frame(), self.parts.header.span.start());
        if !self.parts.outer.is_empty() {
            fields.set_text(Field::Command, self.parts.header.command.wire_name());
        }
        self.parts.decoded = Some(Box::new(fields));
    }

    /// What the message is.
    pub fn command(&self) -> CommandType {
        self.parts.header.command
    }

    /// The payload as it was published.
    pub fn data(&self) -> &[u8] {
        self.parts.data.of(self.frame())
    }

    /// The payload as text.
    ///
    /// # Errors
    ///
    /// [`Error::Payload`] if it is not UTF-8; [`Message::data`] still gives the bytes.
    pub fn data_str(&self) -> Result<&str> {
        str::from_utf8(self.data()).map_err(|error| {
            ErrorContext::new("read as text the payload from", self.topic())
                .with_source(error)
                .Payload()
        })
    }

    /// The payload, read as JSON into a type of the application's.
    ///
    /// ```no_run
    /// # fn run(message: &amps_core::Message) -> amps_core::Result<()> {
    /// #[derive(serde::Deserialize)]
    /// struct Order<'a> {
    ///     id: u64,
    ///     symbol: &'a str,
    /// }
    /// let order: Order<'_> = message.json()?;
    /// println!("{} {}", order.id, order.symbol);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Payload`] if it is not JSON or not such a value; the source tells where.
    pub fn json<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T> {
        serde_json::from_slice(self.data()).map_err(|error| {
            ErrorContext::new("read as JSON the payload from", self.topic())
                .with_source(error)
                .Payload()
        })
    }

    /// The topic it was published to; for a pattern subscription, the one that matched.
    pub fn topic(&self) -> &str {
        self.routed(Field::Topic, self.parts.header.topic)
    }

    /// The id of the command that this message answers.
    pub fn command_id(&self) -> &str {
        self.routed(Field::CommandId, self.parts.header.command_id)
    }

    /// The subscription this message was delivered for; in a handler and in a stream always one.
    pub fn sub_id(&self) -> &str {
        self.routed(Field::SubId, self.parts.header.sub_id)
    }

    /// The comma list of subscriptions that the server sent this message for.
    pub fn sub_ids(&self) -> &str {
        self.routed(Field::SubIds, self.parts.header.sub_ids)
    }

    /// The query that this message belongs to.
    pub fn query_id(&self) -> &str {
        self.routed(Field::QueryId, self.parts.header.query_id)
    }

    /// The position of this message in the transaction log.
    pub fn bookmark(&self) -> &str {
        self.routed(Field::Bookmark, self.parts.header.bookmark)
    }

    /// The key of the record.
    pub fn sow_key(&self) -> &str {
        self.routed(Field::SowKey, self.parts.header.sow_key)
    }

    /// The type of this acknowledgement.
    pub fn ack_type(&self) -> AckType {
        self.parts.header.ack_type
    }

    /// How a command ended: `success`, `failure`, at logon also `retry`.
    pub fn status(&self) -> &str {
        self.text(Field::Status)
    }

    /// True if the message comes from a queue and wants to be acknowledged.
    pub fn has_lease(&self) -> bool {
        self.parts.header.has_lease
    }

    /// How many bytes this message keeps alive, together with the others that share them: those
    /// that were received with it. The buffer around them may be larger.
    pub fn retained_bytes(&self) -> usize {
        self.frame().len()
    }

    /// When the read returned that completed the frame of this message, by the clock of this
    /// machine; for a message that the application built, when it did.
    pub fn received_at(&self) -> SystemTime {
        self.chunk.received_at
    }

    /// The number that the bookmark store gave this message; 0 without a store.
    pub fn bookmark_seq_no(&self) -> u64 {
        self.parts.bookmark_seq_no
    }

    /// Sets [`Message::bookmark_seq_no`]: for bookmark stores of the application's own.
    pub fn set_bookmark_seq_no(&mut self, number: u64) -> &mut Message {
        self.parts.bookmark_seq_no = number;
        self
    }

    /// Why the record of an `oof` message left; [`OofReason::Unknown`] for other messages.
    pub fn oof_reason(&self) -> OofReason {
        OofReason::of(self.reason())
    }

    /// An error if this is an acknowledgement of a refused command.
    ///
    /// # Errors
    ///
    /// The variant for the reason that the server gave. A reason of `duplicate` is none: the
    /// server has the message already (rule H6).
    pub fn to_result(&self) -> Result<()> {
        match self.parts.header.status {
            Status::None | Status::Success => Ok(()),
            Status::Failure | Status::Retry => {
                let text = self.reason();
                if text.trim().eq_ignore_ascii_case(reason::DUPLICATE) {
                    return Ok(());
                }
                let subject = match self.topic() {
                    "" => self.command_id(),
                    topic => topic,
                };
                Err(Error::refused(
                    text,
                    ErrorContext::new("execute the command", subject),
                ))
            }
        }
    }

    /// Which subscription this copy is for: one of `sub_ids`.
    #[inline]
    pub(crate) fn set_delivered_for(&mut self, sub_id: Span) {
        self.parts.header.sub_id = sub_id;
        self.parts.bookmark_seq_no = 0;
    }

    /// The same for a message whose fields are decoded.
    pub(crate) fn set_decoded_sub_id(&mut self, sub_id: &str) {
        self.parts.bookmark_seq_no = 0;
        if let Some(decoded) = &mut self.parts.decoded {
            decoded.set_text(Field::SubId, sub_id);
        }
    }

    pub(crate) fn header(&self) -> &Header {
        &self.parts.header
    }

    #[inline]
    pub(crate) fn frame(&self) -> &[u8] {
        &self.chunk.bytes
    }

    /// The bytes of `sids` with where each item stands in the frame.
    pub(crate) fn delivery_list(&self) -> impl Iterator<Item = Span> {
        let list = self.parts.header.sub_ids;
        let base = self.frame().as_ptr() as usize;
        list_items(list.of(self.frame())).map(move |item| {
            let start = item.as_ptr() as usize - base;
            Span::new(start, start + item.len())
        })
    }

    /// True if this acknowledgement says that the server has accepted the command.
    pub(crate) fn is_accepted(&self) -> bool {
        self.parts.header.status == Status::Success
            && self.parts.header.ack_type.contains(AckType::PROCESSED)
    }

    /// True if this acknowledgement says that a publish or delete could not be persisted. Only
    /// these have a sequence number; the same type for a subscription has a bookmark alone.
    pub(crate) fn is_failed_write(&self) -> bool {
        self.parts.header.status == Status::Failure
            && self.parts.header.ack_type.contains(AckType::PERSISTED)
            && self.sequence().is_some()
            && self.to_result().is_err()
    }

    pub(crate) fn status_kind(&self) -> Status {
        self.parts.header.status
    }

    #[inline]
    fn routed(&self, field: Field, span: Span) -> &str {
        match &self.parts.decoded {
            Some(decoded) => decoded.text(field).unwrap_or_default(),
            // Without special bytes the header is ASCII, so this does not fail.
            None => str::from_utf8(span.of(self.frame())).unwrap_or_default(),
        }
    }

    fn text(&self, field: Field) -> &str {
        match &self.parts.decoded {
            Some(decoded) => decoded.text(field).unwrap_or_default(),
            None => self
                .find(field)
                .and_then(|value| str::from_utf8(value).ok())
                .unwrap_or_default(),
        }
    }

    fn number(&self, field: Field) -> Option<u64> {
        match &self.parts.decoded {
            Some(decoded) => decoded.number(field),
            None => self.find(field).and_then(parse_u64),
        }
    }

    fn find(&self, field: Field) -> Option<&[u8]> {
        find_field(self.frame(), self.parts.header.span.start(), field).or_else(|| {
            if self.parts.outer.is_empty() {
                return None;
            }
            find_field(self.frame(), self.parts.outer.start(), field)
        })
    }
}

impl Clone for Message {
    fn clone(&self) -> Message {
        Message {
            chunk: self.chunk.clone(),
            parts: self.parts.clone(),
            settling: self.settling.clone(),
            ignore_auto_ack: AtomicBool::new(self.ignore_auto_ack()),
        }
    }
}

/// The header and the start of the payload; a password is hidden.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 200;
        let mut fields = Fields::default();
        match &self.parts.decoded {
            Some(decoded) => fields.clone_from(decoded),
            None => {
                if !self.parts.outer.is_empty() {
                    fields.read(self.frame(), self.parts.outer.start());
                }
                fields.read(self.frame(), self.parts.header.span.start());
            }
        }
        let data = self.data();
        let shown = String::from_utf8_lossy(&data[..data.len().min(SHOWN)]);
        f.debug_struct("Message")
            .field("header", &fields)
            .field("length", &data.len())
            .field("data", &shown)
            .finish()
    }
}

#[cfg(test)]
mod tests;
