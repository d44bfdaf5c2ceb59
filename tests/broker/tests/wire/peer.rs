//! A client that knows nothing but sockets and lengths.

use amps_broker::Broker;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Long enough for any machine; reached only when something is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// One connection.
pub(crate) struct Peer {
    pub(crate) socket: TcpStream,
}

impl Peer {
    pub(crate) fn connect(broker: &Broker) -> Peer {
        Peer::to(broker.address())
    }

    /// Connects to a broker that may be another program.
    pub(crate) fn to(address: impl ToSocketAddrs) -> Peer {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        Peer { socket }
    }

    /// Connects and logs on, with message type json.
    pub(crate) fn named(broker: &Broker, name: &str) -> Peer {
        Peer::of_type(broker, name, "json")
    }

    pub(crate) fn of_type(broker: &Broker, name: &str, message_type: &str) -> Peer {
        let mut peer = Peer::connect(broker);
        peer.log_on(name, message_type);
        peer
    }

    /// Logs on and returns the acknowledgement.
    pub(crate) fn log_on(&mut self, name: &str, message_type: &str) -> String {
        self.send(&format!(
            r#"{{"c":"logon","cid":"0","client_name":"{name}","mt":"{message_type}","a":"processed"}}"#
        ));
        let ack = self.receive();
        assert!(ack.contains(r#""status":"success""#), "{ack}");
        ack
    }

    pub(crate) fn send(&mut self, body: &str) {
        self.send_bytes(&framed(body.as_bytes()));
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    /// The body of the next frame.
    pub(crate) fn receive(&mut self) -> String {
        self.try_receive().expect("the connection was closed")
    }

    /// The body of the next frame, or `None` at the end of the stream.
    pub(crate) fn try_receive(&mut self) -> Option<String> {
        let mut prefix = [0; 4];
        match self.socket.read_exact(&mut prefix) {
            Ok(()) => {}
            Err(error) => {
                let ends = [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset];
                assert!(ends.contains(&error.kind()), "{error}");
                return None;
            }
        }
        let mut body = vec![0; u32::from_be_bytes(prefix) as usize];
        self.socket.read_exact(&mut body).unwrap();
        Some(String::from_utf8_lossy(&body).into_owned())
    }

    /// As [`Peer::try_receive`], from a peer that was killed: what it left half written is none.
    pub(crate) fn try_receive_whole(&mut self) -> Option<String> {
        let mut prefix = [0; 4];
        self.socket.read_exact(&mut prefix).ok()?;
        let mut body = vec![0; u32::from_be_bytes(prefix) as usize];
        self.socket.read_exact(&mut body).ok()?;
        String::from_utf8(body).ok()
    }

    /// Asserts what the next frame is.
    #[track_caller]
    pub(crate) fn expect(&mut self, body: &str) {
        assert_eq!(self.receive(), body);
    }

    /// Asserts that nothing came up to now: a flush is answered and nothing stands before it.
    #[track_caller]
    pub(crate) fn expect_nothing(&mut self) {
        self.send(r#"{"c":"flush","cid":"fence","a":"completed"}"#);
        self.expect(r#"{"c":"ack","cid":"fence","a":"completed","status":"success"}"#);
    }

    /// Asserts that the server has closed the connection.
    #[track_caller]
    pub(crate) fn expect_end(&mut self) {
        assert_eq!(self.try_receive(), None);
    }

    /// Closes the sending side only.
    pub(crate) fn finish(&self) {
        self.socket.shutdown(Shutdown::Write).unwrap();
    }

    /// Subscribes and takes the acknowledgement.
    #[track_caller]
    pub(crate) fn subscribe(&mut self, id: &str, topic: &str) {
        self.send(&format!(
            r#"{{"c":"subscribe","cid":"{id}","t":"{topic}","a":"processed"}}"#
        ));
        self.expect(&format!(
            r#"{{"c":"ack","cid":"{id}","sub_id":"{id}","a":"processed","status":"success"}}"#
        ));
    }

    /// Subscribes to a queue and takes the acknowledgement.
    #[track_caller]
    pub(crate) fn subscribe_to_queue(&mut self, id: &str, queue: &str) {
        self.send(&format!(
            r#"{{"c":"subscribe","cid":"{id}","t":"{queue}","a":"processed"}}"#
        ));
        let ack = self.receive();
        assert!(ack.contains(r#""o":"max_backlog=1""#), "{ack}");
    }

    /// Sends a command that must be refused with this reason, and only be refused.
    #[track_caller]
    pub(crate) fn refused(&mut self, command: &str, reason: &str) {
        self.send(command);
        let ack = self.receive();
        let expected = format!(r#""a":"processed","status":"failure","reason":"{reason}"}}"#);
        assert!(ack.ends_with(&expected), "{command}: {ack}");
        self.expect_nothing();
    }
}

/// A body with its length before it.
pub(crate) fn framed(body: &[u8]) -> Vec<u8> {
    let mut frame = (body.len() as u32).to_be_bytes().to_vec();
    frame.extend_from_slice(body);
    frame
}
