//! The part that all peers share: listening, cutting into frames, answering the handshake.

use super::Spec;
use super::roles::Role;
use crate::affinity;
use amps::CommandType;
use amps_core::protocol::{Field, FrameWriter, Header, PREFIX, find_field};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process;
use std::thread;
use std::time::Duration;

/// How much one read asks for.
const BUFFER: usize = 1 << 20;

/// How long a peer that naps sleeps: well below the time in which a writer fills the socket.
const NAP: Duration = Duration::from_micros(200);

/// Listens, tells the port on the standard output, and serves until the standard input ends.
pub(crate) fn serve(spec: &Spec) -> io::Result<()> {
    // For this thread and the ones it starts; this function does not return.
    let _pinned = affinity::pin(spec.core)?;
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    println!("{}", listener.local_addr()?.port());
    thread::spawn(|| {
        // Ends with the parent, however that ends.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        process::exit(0);
    });
    loop {
        let (stream, _) = listener.accept()?;
        let spec = spec.clone();
        thread::spawn(move || {
            // The client closes when it has seen enough, so an error is nothing special.
            let _ = Session::new(stream, &spec).and_then(Session::run);
        });
    }
}

/// One connection of a peer.
struct Session {
    stream: TcpStream,
    role: Role,
    naps: bool,
}

/// A command as it came in.
pub(super) struct Request<'a> {
    pub(super) frame: &'a [u8],
    pub(super) header: Header,
}

impl Session {
    fn new(stream: TcpStream, spec: &Spec) -> io::Result<Session> {
        stream.set_nodelay(true)?;
        Ok(Session {
            stream,
            role: Role::new(spec),
            naps: spec.naps,
        })
    }

    fn run(mut self) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER];
        let mut filled = 0;
        loop {
            if self.naps {
                thread::sleep(NAP);
            }
            match self.stream.read(&mut buffer[filled..])? {
                0 => return Ok(()),
                count => filled += count,
            }
            let mut at = 0;
            while let Some(frame) = next_frame(&buffer[at..filled]) {
                at += PREFIX + frame.len();
                self.serve_frame(frame)?;
            }
            buffer.copy_within(at..filled, 0);
            filled -= at;
        }
    }

    fn serve_frame(&mut self, frame: &[u8]) -> io::Result<()> {
        // Publishes are not parsed: a peer must be faster than what it measures.
        if frame.starts_with(br#"{"c":"p""#) {
            return self.role.publish(frame, &mut self.stream);
        }
        let header = Header::parse(frame, 0).map_err(io::Error::other)?;
        let request = Request { frame, header };
        match header.command {
            CommandType::Subscribe => self.role.subscribe(&request, &mut self.stream),
            CommandType::Sow => self.role.sow(&request, &mut self.stream),
            // All before a flush has been read, so it can be answered at once.
            CommandType::Logon | CommandType::Flush | CommandType::Heartbeat => {
                if header.command == CommandType::Flush {
                    self.role.send_prepared(&mut self.stream)?;
                }
                let acks = find_field(frame, 0, Field::AckType).unwrap_or_default();
                if acks.is_empty() {
                    return Ok(());
                }
                self.stream.write_all(&request.ack(acks))
            }
            _ => Ok(()),
        }
    }
}

impl Request<'_> {
    /// A success.
    pub(super) fn ack(&self, ack_type: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut ack = FrameWriter::begin(&mut out, CommandType::Ack);
        ack.text(Field::CommandId, self.header.command_id.of(self.frame));
        ack.text_if(Field::SubId, self.header.sub_id.of(self.frame));
        ack.text_if(Field::QueryId, self.header.query_id.of(self.frame));
        ack.text(Field::AckType, ack_type);
        ack.text(Field::Status, b"success");
        ack.finish(b"");
        out
    }

    /// The start or the end of a query result.
    pub(super) fn group(&self, command: CommandType) -> Vec<u8> {
        let mut out = Vec::new();
        let mut frame = FrameWriter::begin(&mut out, command);
        frame.text(Field::QueryId, self.header.query_id.of(self.frame));
        frame.finish(b"");
        out
    }
}

/// The first complete frame, without its length.
fn next_frame(bytes: &[u8]) -> Option<&[u8]> {
    let (prefix, rest) = bytes.split_first_chunk::<PREFIX>()?;
    rest.get(..u32::from_be_bytes(*prefix) as usize)
}
