//! What a peer says to its client.

use crate::raw::Stream;
use std::io;

/// The way to the client. Small answers leave together, when all that was read has been served.
pub(super) struct Answers<'a> {
    stream: &'a mut dyn Stream,
    /// Not yet sent.
    waiting: &'a mut Vec<u8>,
}

impl Answers<'_> {
    pub(super) fn new<'a>(stream: &'a mut dyn Stream, waiting: &'a mut Vec<u8>) -> Answers<'a> {
        Answers { stream, waiting }
    }

    /// Where an answer is appended to.
    pub(super) fn waiting(&mut self) -> &mut Vec<u8> {
        self.waiting
    }

    /// Sends what waits.
    pub(super) fn send(&mut self) -> io::Result<()> {
        if !self.waiting.is_empty() {
            self.stream.write_all(self.waiting)?;
            self.waiting.clear();
        }
        Ok(())
    }

    /// Sends what waits, then the first `length` bytes of `bytes` repeated for ever.
    pub(super) fn repeat(&mut self, bytes: &[u8], length: usize) -> io::Result<()> {
        self.send()?;
        let mut left = length;
        while left > 0 {
            let part = left.min(bytes.len());
            self.stream.write_all(&bytes[..part])?;
            left -= part;
        }
        Ok(())
    }
}
