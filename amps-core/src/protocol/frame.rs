//! Frames: a length in four big-endian bytes, then that many bytes.

use super::scan::ParseError;
use bytes::{Buf, Bytes, BytesMut};
use std::collections::VecDeque;
use std::ops::Range;

/// The longest frame that is accepted: 256 MiB. The server's own limit is about 200 MB.
pub const MAX_FRAME: usize = 256 << 20;

/// The length of the length.
pub const PREFIX: usize = 4;

/// How much one read asks for, and what a buffer shrinks back to.
const CHUNK: usize = 64 << 10;

/// How many earlier buffers may be used again: that far a reader of messages may be behind without
/// new ones.
const BUFFERS: usize = 4;

/// A buffer of a frame beyond this is not used again.
const HUGE: usize = 4 * CHUNK;

/// Below this much space a buffer is renewed before the next read.
const LEAST_SPACE: usize = 8 << 10;

/// Cuts a stream of bytes into frames, without copying the frames.
///
/// The bytes are read into a counted buffer; a frame is a slice of it and keeps it alive. When no
/// frame of it is alive any more, a buffer is used again, so that a reader whose frames are dropped
/// soon allocates nothing.
#[derive(Debug)]
pub struct FrameBuffer {
    /// Initialised from end to end; what is read so far stands in front.
    buffer: BytesMut,
    filled: usize,
    limit: usize,
    /// The first chunks of the last buffers: where nobody else has any part of a buffer any more, it
    /// is used again.
    first_chunks: VecDeque<Bytes>,
    /// Nothing was split off the buffer yet.
    is_whole: bool,
}

impl Default for FrameBuffer {
    fn default() -> Self {
        FrameBuffer::new(MAX_FRAME)
    }
}

impl FrameBuffer {
    /// A buffer that accepts frames of at most `limit` bytes.
    pub fn new(limit: usize) -> FrameBuffer {
        FrameBuffer {
            buffer: BytesMut::new(),
            filled: 0,
            limit,
            first_chunks: VecDeque::new(),
            is_whole: true,
        }
    }

    /// Where the next read goes; never empty. Report what was read with [`FrameBuffer::advance`].
    ///
    /// The buffer grows with what has arrived, not with what a length prefix promises: a peer
    /// that announces 200 MB and sends nothing costs nothing.
    pub fn space(&mut self) -> &mut [u8] {
        if self.buffer.len() - self.filled < LEAST_SPACE {
            let wanted = self.missing().clamp(CHUNK, self.filled.max(CHUNK));
            self.renew(self.filled + wanted);
        }
        &mut self.buffer[self.filled..]
    }

    /// Makes the buffer so long, with what has arrived in front.
    fn renew(&mut self, length: usize) {
        if self.is_whole || self.first_chunks.is_empty() {
            self.buffer.truncate(self.filled);
            self.buffer.resize(length, 0);
            return;
        }
        let mut renewed = self.unused().unwrap_or_default();
        // What its first chunk covered needs no zeros.
        renewed.resize(length, 0);
        renewed[..self.filled].copy_from_slice(&self.buffer[..self.filled]);
        self.buffer = renewed;
        self.is_whole = true;
    }

    /// An earlier buffer that nobody has any part of.
    fn unused(&mut self) -> Option<BytesMut> {
        let at = self.first_chunks.iter().position(Bytes::is_unique)?;
        self.first_chunks.remove(at)?.try_into_mut().ok()
    }

    /// How many bytes of the frame at hand are still to come; 0 if that is not known yet.
    fn missing(&self) -> usize {
        match self.announced() {
            Some(length) => (PREFIX + length).saturating_sub(self.filled),
            None => 0,
        }
    }

    /// The length that the prefix of the frame at hand announces.
    fn announced(&self) -> Option<usize> {
        length_at(&self.buffer[..self.filled], 0)
    }

    /// Takes over `count` bytes that were read into [`FrameBuffer::space`].
    pub fn advance(&mut self, count: usize) {
        self.filled = (self.filled + count).min(self.buffer.len());
    }

    /// The next complete frame without its length, or `None` until more is read.
    ///
    /// A frame of length 0 carries nothing and is stepped over.
    ///
    /// # Errors
    ///
    /// [`ParseError::FrameTooLong`] as soon as a prefix announces more than the limit; the stream
    /// cannot be read any further.
    #[inline]
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, ParseError> {
        loop {
            let Some(length) = self.announced() else {
                return Ok(None);
            };
            if length > self.limit {
                return Err(ParseError::FrameTooLong {
                    length,
                    limit: self.limit,
                });
            }
            let end = PREFIX + length;
            if self.filled < end {
                return Ok(None);
            }
            // Stepped over, not split off: that would count the buffer twice more.
            self.buffer.advance(PREFIX);
            self.filled -= end;
            if length == 0 {
                continue;
            }
            let frame = self.buffer.split_to(length).freeze();
            self.is_whole = false;
            self.let_go_after(length);
            return Ok(Some(frame));
        }
    }

    /// All complete frames as one slice, each still with its length (see [`frames_in`]), or `None`
    /// until more is read. Cheaper than one slice for each, because the buffer is counted once.
    ///
    /// # Errors
    ///
    /// As [`FrameBuffer::next_frame`], when every frame before has been handed out.
    #[inline]
    pub fn next_chunk(&mut self) -> Result<Option<Bytes>, ParseError> {
        let filled = &self.buffer[..self.filled];
        let mut end = 0;
        while let Some(length) = length_at(filled, end) {
            if length > self.limit && end == 0 {
                return Err(ParseError::FrameTooLong {
                    length,
                    limit: self.limit,
                });
            }
            let next = end + PREFIX + length;
            if length > self.limit || filled.len() < next {
                break;
            }
            end = next;
        }
        if end == 0 {
            return Ok(None);
        }
        let chunk = self.buffer.split_to(end).freeze();
        self.filled -= end;
        if std::mem::take(&mut self.is_whole) && end <= HUGE {
            self.first_chunks.truncate(BUFFERS - 1);
            self.first_chunks.push_front(chunk.clone());
        }
        self.let_go_after(end);
        Ok(Some(chunk))
    }

    /// Lets go of what one huge frame needed.
    #[inline]
    fn let_go_after(&mut self, length: usize) {
        if self.filled == 0 && length > HUGE {
            self.buffer = BytesMut::new();
        }
    }

    /// True if the stream could end here: no part of a frame is waiting for its rest.
    pub fn is_at_frame_end(&self) -> bool {
        self.filled == 0
    }
}

/// The length that a prefix at `at` announces.
#[inline]
fn length_at(bytes: &[u8], at: usize) -> Option<usize> {
    let prefix = bytes.get(at..)?.first_chunk::<PREFIX>()?;
    Some(u32::from_be_bytes(*prefix) as usize)
}

/// Where the bodies of the frames in a chunk are; frames of length 0 carry nothing and are stepped
/// over. What is not a complete frame ends the walk.
#[inline]
pub fn frames_in(chunk: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let start = at + PREFIX;
            let end = start + length_at(chunk, at)?;
            if end > chunk.len() {
                return None;
            }
            at = end;
            if start < end {
                return Some(start..end);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(body: &[u8]) -> Vec<u8> {
        let mut bytes = (body.len() as u32).to_be_bytes().to_vec();
        bytes.extend_from_slice(body);
        bytes
    }

    fn feed(buffer: &mut FrameBuffer, mut bytes: &[u8]) -> Vec<Bytes> {
        let mut frames = Vec::new();
        while !bytes.is_empty() {
            let space = buffer.space();
            let count = space.len().min(bytes.len());
            space[..count].copy_from_slice(&bytes[..count]);
            buffer.advance(count);
            bytes = &bytes[count..];
            while let Some(frame) = buffer.next_frame().unwrap() {
                frames.push(frame);
            }
        }
        frames
    }

    #[test]
    fn a_stream_split_at_every_byte_gives_the_same_frames() {
        let stream = [frame(b"one"), frame(b""), frame(b"two!"), frame(b"3")].concat();
        for split in 0..=stream.len() {
            let mut buffer = FrameBuffer::default();
            let mut frames = feed(&mut buffer, &stream[..split]);
            frames.extend(feed(&mut buffer, &stream[split..]));
            assert_eq!(frames, [&b"one"[..], b"two!", b"3"], "split at {split}");
            assert!(buffer.is_at_frame_end());
        }
    }

    #[test]
    fn chunks_hold_the_same_frames() {
        let stream = [frame(b"one"), frame(b""), frame(b"two!"), frame(b"3")].concat();
        for split in 0..=stream.len() {
            let mut buffer = FrameBuffer::default();
            let mut found = Vec::new();
            for part in [&stream[..split], &stream[split..]] {
                buffer.space()[..part.len()].copy_from_slice(part);
                buffer.advance(part.len());
                while let Some(chunk) = buffer.next_chunk().unwrap() {
                    found.extend(frames_in(&chunk).map(|body| chunk[body].to_vec()));
                }
            }
            assert_eq!(found, [&b"one"[..], b"two!", b"3"], "split at {split}");
            assert!(buffer.is_at_frame_end());
        }
    }

    #[test]
    fn a_frame_beyond_the_limit_is_refused_after_those_before_it() {
        let mut buffer = FrameBuffer::new(10);
        let bytes = [frame(b"good"), frame(b"far too long")].concat();
        buffer.space()[..bytes.len()].copy_from_slice(&bytes);
        buffer.advance(bytes.len());
        let chunk = buffer.next_chunk().unwrap().unwrap();
        assert_eq!(frames_in(&chunk).count(), 1);
        assert_eq!(&chunk[4..], b"good");
        assert!(buffer.next_chunk().is_err());
    }

    #[test]
    fn frames_that_are_kept_do_not_change_when_more_is_read() {
        let mut buffer = FrameBuffer::default();
        let mut kept = Vec::new();
        for round in 0..2000u32 {
            let body = vec![round as u8; 100 + round as usize % 50];
            kept.extend(feed(&mut buffer, &frame(&body)));
        }
        for (round, frame) in kept.iter().enumerate() {
            assert!(frame.iter().all(|&byte| byte == round as u8));
        }
    }

    #[test]
    fn a_frame_beyond_the_limit_is_refused_by_its_prefix_alone() {
        let mut buffer = FrameBuffer::new(1000);
        let space = buffer.space();
        space[..4].copy_from_slice(&1001u32.to_be_bytes());
        buffer.advance(4);
        assert_eq!(
            buffer.next_frame(),
            Err(ParseError::FrameTooLong {
                length: 1001,
                limit: 1000
            })
        );
    }

    #[test]
    fn an_announced_length_reserves_no_memory_before_bytes_arrive() {
        let mut buffer = FrameBuffer::default();
        let space = buffer.space();
        space[..4].copy_from_slice(&(200u32 << 20).to_be_bytes());
        buffer.advance(4);
        assert_eq!(buffer.next_frame(), Ok(None));
        assert!(buffer.space().len() <= CHUNK);
    }

    #[test]
    fn a_huge_frame_arrives_whole_and_its_buffer_is_let_go() {
        let mut buffer = FrameBuffer::default();
        let body = (0..3 << 20).map(|at| at as u8).collect::<Vec<_>>();
        let frames = feed(&mut buffer, &frame(&body));
        assert_eq!(frames.len(), 1);
        assert_eq!(frames[0], body);
        drop(frames);
        assert!(buffer.space().len() <= CHUNK);
        assert!(buffer.buffer.capacity() <= 2 * CHUNK);
    }

    #[test]
    fn a_buffer_is_used_again_although_the_frames_of_later_ones_are_kept() {
        let mut buffer = FrameBuffer::default();
        let bytes = frame(&[7; 1000]);
        let fill = |buffer: &mut FrameBuffer| {
            let place = buffer.space().as_ptr();
            let mut chunks = Vec::new();
            // The next read takes another buffer.
            while buffer.buffer.len() - buffer.filled >= LEAST_SPACE {
                buffer.space()[..bytes.len()].copy_from_slice(&bytes);
                buffer.advance(bytes.len());
                chunks.extend(buffer.next_chunk().unwrap());
            }
            (place, chunks)
        };
        let (first, dropped) = fill(&mut buffer);
        let (second, kept) = fill(&mut buffer);
        assert_ne!(first, second);
        drop(dropped);
        let (third, _) = fill(&mut buffer);
        assert_eq!(third, first);
        assert!(kept.iter().all(|chunk| *chunk == bytes));
        let (fourth, _) = fill(&mut buffer);
        assert_ne!(fourth, second);
    }

    #[test]
    fn a_buffer_whose_frames_are_dropped_is_used_again() {
        let mut buffer = FrameBuffer::default();
        let bytes = frame(&[7; 1000]);
        feed(&mut buffer, &bytes);
        let mut addresses = std::collections::HashSet::new();
        for _ in 0..1000 {
            let frames = feed(&mut buffer, &bytes);
            addresses.insert(frames[0].as_ptr() as usize / CHUNK);
        }
        assert!(addresses.len() <= 3, "{} buffers", addresses.len());
    }
}
