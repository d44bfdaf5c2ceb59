//! A peer that says only what a test tells it to: for what no sane server does.

use amps_core::protocol::FrameBuffer;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// How long a peer waits for its client before the test has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// A listening socket on a port of its own.
#[derive(Debug)]
pub struct Peer {
    listener: TcpListener,
    address: SocketAddr,
}

impl Peer {
    /// Listens on a free port of the loopback interface.
    ///
    /// # Errors
    ///
    /// If the system has none.
    pub fn listen() -> io::Result<Peer> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        Ok(Peer { listener, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The connection string for a client.
    pub fn uri(&self, message_type: &str) -> String {
        format!("tcp://{}/amps/{message_type}", self.address)
    }

    /// Waits for the next client.
    ///
    /// # Errors
    ///
    /// `TimedOut` if none comes within 10 s.
    pub fn accept(&self) -> io::Result<PeerConnection> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false)?;
                    stream.set_nodelay(true)?;
                    stream.set_read_timeout(Some(PATIENCE))?;
                    return Ok(PeerConnection {
                        stream,
                        frames: FrameBuffer::default(),
                    });
                }
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                Err(_) if Instant::now() > deadline => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    /// Waits for the next client and accepts its logon, whatever it says.
    ///
    /// # Errors
    ///
    /// As [`Peer::accept`], or if the client sends no logon.
    pub fn accept_logon(&self) -> io::Result<PeerConnection> {
        let mut connection = self.accept()?;
        connection.answer_logon()?;
        Ok(connection)
    }
}

/// The peer's end of a connection.
#[derive(Debug)]
pub struct PeerConnection {
    stream: TcpStream,
    frames: FrameBuffer,
}

impl PeerConnection {
    /// The next frame of the client without its length; `None` when it has closed.
    ///
    /// # Errors
    ///
    /// `WouldBlock` or `TimedOut` if nothing comes within 10 s; `InvalidData` for a frame that is
    /// too long.
    pub fn read_frame(&mut self) -> io::Result<Option<String>> {
        loop {
            let frame = self
                .frames
                .next_frame()
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            if let Some(frame) = frame {
                return Ok(Some(String::from_utf8_lossy(&frame).into_owned()));
            }
            match self.stream.read(self.frames.space())? {
                0 => return Ok(None),
                count => self.frames.advance(count),
            }
        }
    }

    /// The next frame; the end of the stream is an error.
    ///
    /// # Errors
    ///
    /// As [`PeerConnection::read_frame`], and `UnexpectedEof`.
    pub fn expect_frame(&mut self) -> io::Result<String> {
        self.read_frame()?
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Reads a logon and accepts it.
    ///
    /// # Errors
    ///
    /// As [`PeerConnection::expect_frame`].
    pub fn answer_logon(&mut self) -> io::Result<()> {
        let logon = self.expect_frame()?;
        let id = field(&logon, "cid");
        self.send(&format!(
            r#"{{"c":"ack","cid":"{id}","s":0,"bm":"4418602183412675531|0|","a":"processed","status":"success","version":"5.3.5.0"}}"#
        ))
    }

    /// Reads a command and answers it with a successful acknowledgement; returns the command.
    ///
    /// # Errors
    ///
    /// As [`PeerConnection::expect_frame`].
    pub fn acknowledge(&mut self, ack_type: &str) -> io::Result<String> {
        let frame = self.expect_frame()?;
        let id = field(&frame, "cid");
        self.send(&format!(
            r#"{{"c":"ack","cid":"{id}","a":"{ack_type}","status":"success"}}"#
        ))?;
        Ok(frame)
    }

    /// Sends a frame with this body.
    ///
    /// # Errors
    ///
    /// If the client is gone.
    pub fn send(&mut self, body: &str) -> io::Result<()> {
        self.send_bytes(&framed(body.as_bytes()))
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    ///
    /// If the client is gone.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Reads what the client still sends until it closes its side, then closes, too: the part of
    /// a server in an orderly disconnect. Returns the frames that came.
    ///
    /// # Errors
    ///
    /// As [`PeerConnection::read_frame`].
    pub fn finish(mut self) -> io::Result<Vec<String>> {
        let mut frames = Vec::new();
        while let Some(frame) = self.read_frame()? {
            frames.push(frame);
        }
        Ok(frames)
    }

    /// Closes the connection in both directions.
    pub fn close(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// A body with its length in front.
pub fn framed(body: &[u8]) -> Vec<u8> {
    let mut bytes = (body.len() as u32).to_be_bytes().to_vec();
    bytes.extend_from_slice(body);
    bytes
}

/// The text of a field in a header without escapes; empty if it is not there.
pub fn field<'a>(frame: &'a str, key: &str) -> &'a str {
    let pattern = format!("\"{key}\":\"");
    frame
        .find(&pattern)
        .map(|at| &frame[at + pattern.len()..])
        .and_then(|rest| rest.split('"').next())
        .unwrap_or_default()
}
