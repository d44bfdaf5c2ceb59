//! The broker's end of a TLS connection.
//!
//! The session does no I/O of its own. It sits behind a lock that is held only while it encrypts
//! or decrypts, so that the reader and the writer may both wait for the socket at the same time.

use crate::tls::ServerTls;
use parking_lot::{Mutex, MutexGuard};
use rustls::ServerConnection;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// How much is read from the socket at once.
const CHUNK: usize = 32 << 10;

/// How long a client may take to read why it was refused.
const PATIENCE: Duration = Duration::from_secs(1);

pub(crate) struct TlsStream {
    socket: TcpStream,
    /// Locked by whoever writes to the socket, before `session`; what is encrypted goes through
    /// this buffer.
    outgoing: Mutex<Vec<u8>>,
    session: Mutex<ServerConnection>,
    incoming: Mutex<Incoming>,
}

/// What was read from the socket and is not decrypted yet: `bytes[start..end]`.
struct Incoming {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl TlsStream {
    pub(super) fn new(socket: TcpStream, tls: &ServerTls) -> io::Result<TlsStream> {
        let session = ServerConnection::new(tls.config()).map_err(io::Error::other)?;
        Ok(TlsStream {
            socket,
            outgoing: Mutex::default(),
            session: Mutex::new(session),
            incoming: Mutex::new(Incoming {
                bytes: vec![0; CHUNK],
                start: 0,
                end: 0,
            }),
        })
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Reads; does the handshake on the way, and whatever else the client's end asks for.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut incoming = self.incoming.lock();
        loop {
            match self.session.lock().reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            if incoming.start == incoming.end {
                incoming.start = 0;
                incoming.end = (&self.socket).read(&mut incoming.bytes)?;
            }
            self.decrypt(&mut incoming)?;
        }
    }

    fn decrypt(&self, incoming: &mut Incoming) -> io::Result<()> {
        let mut session = self.session.lock();
        let was_handshaking = session.is_handshaking();
        let mut bytes = &incoming.bytes[incoming.start..incoming.end];
        incoming.start += session.read_tls(&mut bytes)?;
        let processed = session.process_new_packets();
        let has_to_write = session.wants_write();
        drop(session);
        if let Err(error) = processed {
            log::info!("TLS: {error}");
            self.refuse();
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        if has_to_write {
            // Once the handshake is done, a writer at work takes with it what there is to say;
            // the reader must not wait for it.
            let outgoing = match was_handshaking {
                true => Some(self.outgoing.lock()),
                false => self.outgoing.try_lock(),
            };
            if let Some(outgoing) = outgoing {
                self.send(outgoing)?;
            }
        }
        Ok(())
    }

    /// Sends the alert that says why, and lets the client read it: closing a socket with unread
    /// input would drop it.
    fn refuse(&self) {
        let sent = self.send(self.outgoing.lock());
        let _ = self.socket.shutdown(Shutdown::Write);
        let mut dropped = [0; 4096];
        if sent.is_ok() && self.socket.set_read_timeout(Some(PATIENCE)).is_ok() {
            while matches!((&self.socket).read(&mut dropped), Ok(1..)) {}
        }
    }

    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let outgoing = self.outgoing.lock();
        let count = self.session.lock().writer().write(bytes)?;
        self.send(outgoing)?;
        Ok(count)
    }

    /// Tells the client that nothing more comes.
    pub(super) fn say_goodbye(&self) -> io::Result<()> {
        let outgoing = self.outgoing.lock();
        self.session.lock().send_close_notify();
        self.send(outgoing)
    }

    /// Writes what the session has encrypted.
    fn send(&self, mut outgoing: MutexGuard<'_, Vec<u8>>) -> io::Result<()> {
        outgoing.clear();
        let mut session = self.session.lock();
        while session.wants_write() {
            session.write_tls(&mut *outgoing)?;
        }
        drop(session);
        (&self.socket).write_all(&outgoing)
    }
}
