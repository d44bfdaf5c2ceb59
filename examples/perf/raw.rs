//! The floor: a plain socket that does no more than move the same bytes.

use crate::{Result, frames};
use amps_core::protocol::PREFIX;
use std::hint::black_box;
use std::io::{Read, Write};
use std::net::TcpStream;

/// How much one read asks for: the same as the client.
const BUFFER: usize = 64 << 10;

/// A connection without a client.
pub(crate) struct Raw {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

impl Raw {
    /// Connects and logs on.
    pub(crate) fn connect(address: (&str, u16), nodelay: bool) -> Result<Raw> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(nodelay)?;
        let mut raw = Raw {
            stream,
            buffer: vec![0; BUFFER],
            filled: 0,
        };
        raw.write(&frames::logon())?;
        raw.read_one()?;
        Ok(raw)
    }

    /// One plain write.
    #[inline]
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes)?;
        Ok(())
    }

    /// Reads once and hands each frame that is now complete to `each`; the length is all that is
    /// looked at. Returns how many there were.
    #[inline]
    pub(crate) fn read(&mut self, mut each: impl FnMut(&[u8])) -> Result<usize> {
        match self.stream.read(&mut self.buffer[self.filled..])? {
            0 => return Err("the peer closed the connection".into()),
            count => self.filled += count,
        }
        let (mut at, mut count) = (0, 0);
        while let Some(prefix) = self.buffer[at..self.filled].first_chunk::<PREFIX>() {
            let start = at + PREFIX;
            let end = start + u32::from_be_bytes(*prefix) as usize;
            if end > self.filled {
                break;
            }
            each(black_box(&self.buffer[start..end]));
            at = end;
            count += 1;
        }
        self.buffer.copy_within(at..self.filled, 0);
        self.filled -= at;
        Ok(count)
    }

    /// Waits for an answer.
    pub(crate) fn read_one(&mut self) -> Result<()> {
        while self.read(|_| ())? == 0 {}
        Ok(())
    }
}

/// Finds the records of a `sow` frame, and nothing else of them. In these frames the length is
/// the last field of a record, and no value has a brace in it.
pub(crate) fn each_record(frame: &[u8], mut each: impl FnMut(&[u8])) {
    let Some(outer) = memchr::memchr(b'}', frame) else {
        return;
    };
    let mut at = outer + 1;
    while let Some(end) = memchr::memchr(b'}', &frame[at..]) {
        let header = &frame[at..at + end];
        let digits = header.iter().rev().take_while(|byte| byte.is_ascii_digit());
        let (length, _) = digits.fold((0, 1), |(length, place), digit| {
            (length + usize::from(digit - b'0') * place, place * 10)
        });
        let start = at + end + 1;
        let Some(payload) = frame.get(start..start + length) else {
            return;
        };
        each(black_box(payload));
        at = start + length;
    }
}
