//! A TLS server that says only what a test tells it to.

use crate::certificates::{Authority, Issued};
use crate::{HERE, PATIENCE};
use amps_broker::{field, framed};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

pub(crate) struct Peer {
    listener: TcpListener,
    config: Arc<ServerConfig>,
}

impl Peer {
    /// With the connection string for its client.
    pub(crate) fn listen(authority: &Authority) -> (Peer, String) {
        let Issued { chain, key } = authority.issue(&HERE);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let uri = format!("tcps://{}/amps/json", listener.local_addr().unwrap());
        let config = Arc::new(config);
        (Peer { listener, config }, uri)
    }

    /// Lets little pile up that the peer has not read yet.
    pub(crate) fn narrow(&self) {
        let socket = socket2::SockRef::from(&self.listener);
        socket.set_recv_buffer_size(4096).unwrap();
    }

    pub(crate) fn accept(&self) -> PeerConnection {
        let (socket, _) = self.listener.accept().unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        let session = ServerConnection::new(self.config.clone()).unwrap();
        PeerConnection(StreamOwned::new(session, socket))
    }
}

pub(crate) struct PeerConnection(StreamOwned<ServerConnection, TcpStream>);

impl PeerConnection {
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    pub(crate) fn read(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// The next frame without its length.
    pub(crate) fn read_frame(&mut self) -> Vec<u8> {
        let length = self.read(4).try_into().map(u32::from_be_bytes).unwrap();
        self.read(length as usize)
    }

    /// The next frame; `None` when the client has closed its side with TLS's own last message.
    pub(crate) fn try_frame(&mut self) -> Option<Vec<u8>> {
        let mut length = [0; 4];
        match self.0.read(&mut length[..1]).unwrap() {
            0 => return None,
            _ => self.0.read_exact(&mut length[1..]).unwrap(),
        }
        Some(self.read(u32::from_be_bytes(length) as usize))
    }

    /// Takes `length` bytes off the socket `count` times, waits before each, and does something
    /// after it.
    pub(crate) fn read_slowly(
        &mut self,
        pause: Duration,
        length: usize,
        count: usize,
        mut then: impl FnMut(&mut PeerConnection),
    ) {
        for _ in 0..count {
            std::thread::sleep(pause);
            let mut bytes = (&self.0.sock).take(length as u64);
            self.0.conn.read_tls(&mut bytes).unwrap();
            self.0.conn.process_new_packets().unwrap();
            let decrypted = &mut [0; 64 << 10];
            while matches!(self.0.conn.reader().read(decrypted), Ok(1..)) {}
            then(self);
        }
    }

    /// The head of an HTTP request.
    pub(crate) fn read_head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(self.read(1));
        }
        String::from_utf8(head).unwrap()
    }

    pub(crate) fn answer_logon(&mut self) {
        self.acknowledge(r#","version":"5.3.5.0""#);
    }

    /// Reads a command and accepts it.
    pub(crate) fn acknowledge(&mut self, more: &str) {
        let frame = String::from_utf8(self.read_frame()).unwrap();
        let id = field(&frame, "cid");
        let ack = format!(r#"{{"c":"ack","cid":"{id}","a":"processed","status":"success"{more}}}"#);
        self.write(&framed(ack.as_bytes()));
    }

    /// Asks the client for new keys, and has new ones itself.
    pub(crate) fn refresh_keys(&mut self) {
        self.0.conn.refresh_traffic_keys().unwrap();
    }

    /// Waits until the client has closed its side with TLS's own last message.
    pub(crate) fn expect_goodbye(&mut self) {
        let mut rest = Vec::new();
        // An end without that message is an error.
        self.0.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty(), "{} bytes before the end", rest.len());
    }
}
