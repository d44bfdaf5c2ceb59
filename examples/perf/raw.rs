//! The floor: a plain connection that does no more than move the same bytes.

use crate::Result;
use crate::endpoint::PATIENCE;
use amps_core::protocol::PREFIX;
use native_tls::{Certificate, TlsConnector};
use std::hint::black_box;
use std::io::{Read, Write};
use std::net::TcpStream;

/// How much one read asks for: the same as the client.
const BUFFER: usize = 64 << 10;

/// TCP, or TLS over it.
pub(crate) trait Stream: Read + Write + Send {}

impl<S: Read + Write + Send> Stream for S {}

/// A connection without a client.
pub(crate) struct Raw {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
    filled: usize,
}

impl Raw {
    /// Connects by TCP.
    pub(crate) fn tcp(address: (&str, u16), nodelay: bool) -> Result<Raw> {
        Ok(Raw::over(connect(address, nodelay)?))
    }

    /// Connects by TLS; trusts this certificate, or those of the system.
    pub(crate) fn tls(
        address: (&str, u16),
        nodelay: bool,
        certificate: Option<&str>,
    ) -> Result<Raw> {
        let mut connector = TlsConnector::builder();
        if let Some(pem) = certificate {
            connector
                .disable_built_in_roots(true)
                .add_root_certificate(Certificate::from_pem(pem.as_bytes())?);
        }
        let stream = connect(address, nodelay)?;
        let stream = connector.build()?.connect(address.0, stream)?;
        Ok(Raw::over(stream))
    }

    fn over(stream: impl Stream + 'static) -> Raw {
        Raw {
            stream: Box::new(stream),
            buffer: vec![0; BUFFER],
            filled: 0,
        }
    }

    /// One plain write, of all the bytes.
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

fn connect(address: (&str, u16), nodelay: bool) -> Result<TcpStream> {
    let stream = TcpStream::connect(address)
        .map_err(|error| format!("connecting to {}:{}: {error}", address.0, address.1))?;
    stream.set_nodelay(nodelay)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}
