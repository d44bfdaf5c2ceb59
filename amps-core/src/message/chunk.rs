//! What messages that were read together share, and how they are found in it.

use super::Message;
use crate::client::WeakShared;
use crate::command_type::CommandType;
use crate::protocol::{Header, ParseError, Records, Shape, Span, frames_in};
use bytes::Bytes;
use std::sync::Arc;
use std::time::SystemTime;

/// A chunk beyond this is never held on to: some buffers of a receive thread.
const HUGE: usize = 256 << 10;

/// Bytes that were read together, when that was, and for which connection of which client: what
/// would be the same in each message stands here once.
pub(crate) struct Chunk {
    pub(crate) bytes: Bytes,
    pub(crate) received_at: SystemTime,
    pub(crate) origin: Origin,
}

/// Where a message came from: how an acknowledgement finds its way back.
#[derive(Clone, Default)]
pub(crate) struct Origin {
    /// Weak: a message keeps no client alive. Empty for messages that no client received.
    pub(crate) client: WeakShared,
    /// The number of the connection.
    pub(crate) connection: u64,
}

impl Chunk {
    /// Bytes that no client received.
    pub(crate) fn of_our_own(bytes: Bytes) -> Arc<Chunk> {
        Arc::new(Chunk {
            bytes,
            received_at: SystemTime::now(),
            origin: Origin::default(),
        })
    }

    /// Other bytes with the same origin.
    pub(crate) fn with_bytes(&self, bytes: Bytes) -> Arc<Chunk> {
        Arc::new(Chunk {
            bytes,
            received_at: self.received_at,
            origin: self.origin.clone(),
        })
    }
}

/// Makes messages of what a connection reads.
pub(crate) struct Reader {
    /// The places of the last chunks, that of the chunk at hand first. One is used again when nobody
    /// keeps a message of it any more: so nothing is allocated for messages that are only handled,
    /// nor for those of a stream whose reader keeps up.
    chunks: [Arc<Chunk>; PLACES],
    /// How messages are laid out on this connection, and how the records of batches are.
    shapes: Shapes,
}

#[derive(Default)]
struct Shapes {
    message: Shape,
    record: Shape,
}

/// How many chunks a reader of a stream may be behind.
const PLACES: usize = 4;

impl Reader {
    pub(crate) fn new(origin: Origin) -> Reader {
        let empty = || Chunk {
            bytes: Bytes::new(),
            received_at: SystemTime::UNIX_EPOCH,
            origin: origin.clone(),
        };
        Reader {
            chunks: std::array::from_fn(|_| Arc::new(empty())),
            shapes: Shapes::default(),
        }
    }

    /// Hands out each message in a chunk of whole frames, every record of a batch included: all in
    /// one place, so that a message which nobody keeps costs no count. Returns the number of frames.
    #[inline]
    pub(crate) fn each_in(
        &mut self,
        bytes: Bytes,
        received_at: SystemTime,
        each: impl FnMut(&mut Message),
    ) -> Result<usize, ParseError> {
        // The one that was used longest ago is the likeliest to be free.
        self.chunks.rotate_right(1);
        let place = &mut self.chunks[0];
        match Arc::get_mut(place) {
            Some(chunk) => {
                chunk.bytes = bytes;
                chunk.received_at = received_at;
            }
            None => {
                *place = Arc::new(Chunk {
                    bytes,
                    received_at,
                    origin: place.origin.clone(),
                });
            }
        }
        let read = self.read(each);
        self.let_go();
        read
    }

    /// Lets the buffers of chunks be used again of which nobody keeps a message. The places stay,
    /// because the messages may be gone before the next chunk comes; not so with huge ones.
    pub(crate) fn let_go(&mut self) {
        for place in &mut self.chunks {
            let is_huge = place.bytes.len() > HUGE;
            if let Some(chunk) = Arc::get_mut(place) {
                chunk.bytes = Bytes::new();
            } else if is_huge {
                *place = place.with_bytes(Bytes::new());
            }
        }
    }

    #[inline]
    fn read(&mut self, mut each: impl FnMut(&mut Message)) -> Result<usize, ParseError> {
        let chunk = &self.chunks[0];
        let bytes = &chunk.bytes;
        let nothing = Span::EMPTY;
        let mut count = 0;
        let mut message = Message::over(chunk.clone(), Header::EMPTY, nothing, nothing);
        for body in frames_in(bytes) {
            count += 1;
            message.begin_next();
            let parts = &mut message.parts;
            parts.header = Header::EMPTY;
            let shape = &mut self.shapes.message;
            shape.read(bytes, body.start, body.end, &mut parts.header)?;
            if parts.header.command != CommandType::Sow {
                parts.data = Span::new(parts.header.span.end(), body.end);
                parts.outer = nothing;
                message.decode_if_special();
                each(&mut message);
                continue;
            }
            parts.outer = parts.header.span;
            // Nothing is read beyond the frame, whatever its header says.
            let mut records = Records::new(&bytes[..body.end], parts.header);
            let shape = &mut self.shapes.record;
            while let Some(data) = records.next_into(&mut message.parts.header, shape)? {
                message.begin_next();
                message.parts.data = data;
                message.decode_if_special();
                each(&mut message);
            }
        }
        Ok(count)
    }
}
