//! The HTTP request with which a connection through a web proxy begins (rule Q5).
//!
//! With `http_preflight=true` the client asks to switch protocols and speaks `amps` once the
//! answer is `101`. The answer is read up to its blank line and not one byte further: what follows
//! belongs to `amps`.

use super::patience::Patience;
use crate::error::{ErrorContext, Result};
use crate::uri::AmpsUri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rustix::event::PollFlags;
use socket2::Socket;
use std::fmt;
use std::io::{self, Read, Write};

/// An answer is refused that has a longer head than this.
const LONGEST_HEAD: usize = 16 << 10;

/// What a message type may not bring into the request line.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// The headers that the application adds to the request.
#[derive(Clone, Default)]
pub(crate) struct PreflightHeaders(Vec<String>);

impl PreflightHeaders {
    /// Adds one; a blank one is ignored.
    pub(crate) fn add(&mut self, header: &str) -> Result<()> {
        let header = header.trim();
        if header.is_empty() {
            return Ok(());
        }
        let name = header.split_once(':').map(|(name, _)| name);
        let Some(name) = name.filter(|name| !name.is_empty() && name.bytes().all(is_token)) else {
            // Its value may be a credential.
            return Err(ErrorContext::new("add an HTTP preflight header", "")
                .with_reason("a header is 'Name: value'")
                .Usage());
        };
        if header.chars().any(|c| c.is_control() && c != '\t') {
            return Err(ErrorContext::new("add the HTTP preflight header", name)
                .with_reason("its value has a line break or another control character")
                .Usage());
        }
        self.0.push(header.to_string());
        Ok(())
    }

    fn has(&self, name: &str) -> bool {
        let named = |header: &&String| {
            let found = header.split(':').next().unwrap_or_default();
            found.eq_ignore_ascii_case(name)
        };
        self.0.iter().any(|header| named(&header))
    }

    /// The request: our headers where the application has none of that name, then its own.
    fn request(&self, uri: &AmpsUri) -> String {
        let host = match uri.host() {
            ipv6 if ipv6.contains(':') => format!("[{ipv6}]"),
            host => host.to_string(),
        };
        let ours = [
            ("Host", format!("{host}:{}", uri.port())),
            ("Connection", "Upgrade".to_string()),
            ("Upgrade", uri.protocol().to_string()),
        ];
        let path = match uri.message_type() {
            Some(message_type) => {
                let message_type = utf8_percent_encode(message_type, ESCAPED);
                format!("/{}/{message_type}", uri.protocol())
            }
            None => format!("/{}", uri.protocol()),
        };
        let mut request = format!("GET {path} HTTP/1.1\r\n");
        for (name, value) in ours {
            if !self.has(name) {
                request.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        for header in &self.0 {
            request.push_str(header);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        request
    }
}

/// The names only: values may be credentials.
impl fmt::Debug for PreflightHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.iter().filter_map(|header| header.split(':').next());
        f.debug_list().entries(names).finish()
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Asks to switch protocols, over a stream that does not block.
///
/// # Errors
///
/// Those of the stream and of waiting; `InvalidData` with the status line if the answer is no.
pub(super) fn upgrade(
    stream: &mut (impl Read + Write),
    socket: &Socket,
    uri: &AmpsUri,
    headers: &PreflightHeaders,
    patience: Patience<'_>,
) -> io::Result<()> {
    let request = headers.request(uri);
    let mut request = request.as_bytes();
    while !request.is_empty() {
        let written = attempt(socket, PollFlags::OUT, patience, || stream.write(request))?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        request = &request[written..];
    }
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && !head.ends_with(b"\n\n") {
        let mut byte = [0];
        let read = attempt(socket, PollFlags::IN, patience, || stream.read(&mut byte))?;
        if read == 0 {
            let reason = "the server closed the connection during the HTTP preflight";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, reason));
        }
        head.extend_from_slice(&byte);
        let speaks_http = head.len() < 5 || head.starts_with(b"HTTP/");
        if !speaks_http || head.len() > LONGEST_HEAD {
            return Err(refused("the answer to the HTTP preflight is not HTTP"));
        }
    }
    let head = String::from_utf8_lossy(&head);
    let status = head.lines().next().unwrap_or_default();
    match status.split_ascii_whitespace().nth(1) {
        Some("101") => Ok(()),
        _ => Err(refused(format!(
            "the HTTP preflight was answered with '{status}'"
        ))),
    }
}

fn refused(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.into())
}

/// Repeats a call until it has done something.
fn attempt(
    socket: &Socket,
    interest: PollFlags,
    patience: Patience<'_>,
    mut call: impl FnMut() -> io::Result<usize>,
) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                patience.wait(socket, interest)?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn q5_the_request_names_the_host_and_carries_the_headers() {
        let mut headers = PreflightHeaders::default();
        headers.add("Authorization: Bearer abc").unwrap();
        headers.add("  ").unwrap();
        headers.add("host: proxy").unwrap();
        let uri = AmpsUri::parse("tcp://[::1]:9007/amps/json?http_preflight=true").unwrap();
        let request = headers.request(&uri);
        assert_eq!(
            request,
            "GET /amps/json HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: amps\r\n\
             Authorization: Bearer abc\r\nhost: proxy\r\n\r\n"
        );
        let request = PreflightHeaders::default().request(&uri);
        assert!(request.contains("\r\nHost: [::1]:9007\r\n"), "{request}");
        assert!(!format!("{headers:?}").contains("abc"));
    }

    #[test]
    fn q5_a_header_cannot_smuggle_in_another_one() {
        let mut headers = PreflightHeaders::default();
        for bad in ["a: b\r\nc: d", "no colon", ": no name", "a b: c", "x: \0"] {
            let error = headers.add(bad).unwrap_err();
            assert!(matches!(error, Error::Usage(_)), "{bad:?}: {error}");
        }
        assert!(headers.0.is_empty());
    }
}
