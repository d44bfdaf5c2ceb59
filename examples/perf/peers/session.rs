//! The part that all peers share: listening, cutting into frames, answering the handshake.

use super::answers::Answers;
use super::roles::Role;
use super::{Spec, tls};
use crate::raw::Stream;
use crate::{Result, affinity};
use amps::CommandType;
use amps_core::protocol::{Field, FrameWriter, PREFIX, find_field};
use native_tls::TlsAcceptor;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::process;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// How much one read asks for.
const BUFFER: usize = 256 << 10;

/// How long a peer that naps sleeps: well below the time in which a writer fills the socket.
const NAP: Duration = Duration::from_micros(200);

/// Listens, tells the port and the certificate on the standard output, and serves until the
/// standard input ends.
pub(crate) fn serve(spec: &Spec) -> Result<()> {
    // For this thread and the ones it starts; this function does not return.
    let _pinned = affinity::pin(spec.core)?;
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    println!("{}", listener.local_addr()?.port());
    let mut acceptor = None;
    if spec.tls {
        let (accepting, certificate) = tls::acceptor()?;
        acceptor = Some(Arc::new(accepting));
        print!("{certificate}");
    }
    thread::spawn(|| {
        // Ends with the parent, however that ends.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        process::exit(0);
    });
    loop {
        let (stream, _) = listener.accept()?;
        let (spec, acceptor) = (spec.clone(), acceptor.clone());
        thread::spawn(move || {
            // The client closes when it has seen enough, so an error is nothing special.
            let _ = connection(stream, acceptor.as_deref(), &spec);
        });
    }
}

fn connection(stream: TcpStream, acceptor: Option<&TlsAcceptor>, spec: &Spec) -> Result<()> {
    stream.set_nodelay(true)?;
    let stream: Box<dyn Stream> = match acceptor {
        None => Box::new(stream),
        Some(acceptor) => Box::new(acceptor.accept(stream)?),
    };
    let session = Session {
        stream,
        role: Role::new(spec),
        naps: spec.naps,
    };
    Ok(session.run()?)
}

/// One connection of a peer.
struct Session {
    stream: Box<dyn Stream>,
    role: Role,
    naps: bool,
}

impl Session {
    fn run(mut self) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER];
        let mut waiting = Vec::new();
        let mut filled = 0;
        loop {
            if self.naps {
                thread::sleep(NAP);
            }
            match self.stream.read(&mut buffer[filled..])? {
                0 => return Ok(()),
                count => filled += count,
            }
            let mut answers = Answers::new(&mut *self.stream, &mut waiting);
            let mut at = 0;
            while let Some(frame) = next_frame(&buffer[at..filled]) {
                at += PREFIX + frame.len();
                serve_frame(frame, &mut self.role, &mut answers)?;
            }
            answers.send()?;
            buffer.copy_within(at..filled, 0);
            filled -= at;
        }
    }
}

#[inline]
fn serve_frame(frame: &[u8], role: &mut Role, answers: &mut Answers<'_>) -> io::Result<()> {
    // Publishes are not parsed: a peer must be faster than what it measures.
    if frame.starts_with(br#"{"c":"p""#) {
        return role.publish(frame, answers);
    }
    let request = Request { frame };
    match request.field(Field::Command) {
        b"subscribe" => role.subscribe(&request, answers),
        b"sow" => role.sow(&request, answers),
        // All before a flush has been read, so it can be answered at once.
        b"logon" | b"flush" | b"heartbeat" => {
            let acks = request.field(Field::AckType);
            if !acks.is_empty() {
                request.ack(acks, answers.waiting());
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// A command as it came in.
pub(super) struct Request<'a> {
    frame: &'a [u8],
}

impl<'a> Request<'a> {
    /// The value, or nothing.
    pub(super) fn field(&self, field: Field) -> &'a [u8] {
        find_field(self.frame, 0, field).unwrap_or_default()
    }

    /// A success.
    pub(super) fn ack(&self, ack_type: &[u8], out: &mut Vec<u8>) {
        let mut ack = FrameWriter::begin(out, CommandType::Ack);
        for id in [Field::CommandId, Field::SubId, Field::QueryId] {
            ack.text_if(id, self.field(id));
        }
        ack.text(Field::AckType, ack_type);
        ack.text(Field::Status, b"success");
        ack.finish(b"");
    }

    /// The start or the end of a query result.
    pub(super) fn group(&self, command: CommandType, out: &mut Vec<u8>) {
        let mut frame = FrameWriter::begin(out, command);
        frame.text(Field::QueryId, self.field(Field::QueryId));
        frame.finish(b"");
    }
}

/// The first complete frame, without its length.
#[inline]
fn next_frame(bytes: &[u8]) -> Option<&[u8]> {
    let (prefix, rest) = bytes.split_first_chunk::<PREFIX>()?;
    rest.get(..u32::from_be_bytes(*prefix) as usize)
}
