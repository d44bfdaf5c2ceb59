//! From a connection string to a connected socket, with a bound and a way out.

use super::Transport;
use super::patience::{Deadline, DialCancel, Patience};
use super::preflight::{PreflightHeaders, upgrade};
use super::socket::SocketTransport;
use super::tls::{self, HandshakeFailure};
use crate::error::{Error, ErrorContext, Result};
use crate::tls_config::TlsConfig;
use crate::uri::{self, AmpsUri, IpProtocol};
use crossbeam_channel::{bounded, select};
#[cfg(unix)]
use rustix::event::PollFlags;
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::thread;
use std::time::Duration;

/// How soon a Unix socket whose server has no room is tried again.
#[cfg(unix)]
const RETRY_UNIX: Duration = Duration::from_millis(5);

/// What the application has set for the connections to come.
#[derive(Clone)]
pub(crate) struct DialSettings {
    /// Zero: no bound but the system's own.
    pub(crate) timeout: Duration,
    pub(crate) tls: TlsConfig,
    pub(crate) preflight: PreflightHeaders,
}

/// Connects: dials, and does the TLS handshake and the HTTP preflight if the connection string
/// asks for them, all within the timeout.
///
/// # Errors
///
/// `ConnectionRefused` with the system's error if nobody answered, `Connection` if TLS or the
/// preflight failed, `TimedOut`, or `Disconnected` if cancelled.
pub(crate) fn dial(
    uri: &AmpsUri,
    settings: &DialSettings,
    cancel: &DialCancel,
) -> Result<Box<dyn Transport>> {
    let attempt = Attempt {
        uri,
        deadline: Deadline::after(settings.timeout),
        cancel,
    };
    match uri.transport() {
        uri::Transport::Tcp => attempt.tcp(settings),
        uri::Transport::Tcps => attempt.tls(settings),
        uri::Transport::Unix => attempt.unix(),
    }
}

struct Attempt<'a> {
    uri: &'a AmpsUri,
    deadline: Deadline,
    cancel: &'a DialCancel,
}

impl Attempt<'_> {
    fn tcp(&self, settings: &DialSettings) -> Result<Box<dyn Transport>> {
        let stream = self.connect()?;
        if self.uri.options().http_preflight {
            self.plain_preflight(&stream, settings)
                .map_err(|error| self.failed("the HTTP preflight", error))?;
        }
        Ok(Box::new(SocketTransport::new(stream)))
    }

    fn plain_preflight(&self, stream: &TcpStream, settings: &DialSettings) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        let socket = SockRef::from(stream);
        let (headers, patience) = (&settings.preflight, self.patience());
        upgrade(&mut &*stream, &socket, self.uri, headers, patience)?;
        stream.set_nonblocking(false)
    }

    fn tls(&self, settings: &DialSettings) -> Result<Box<dyn Transport>> {
        let connector = settings.tls.connector().map_err(|error| {
            self.context("TLS could not be set up")
                .with_source(error)
                .Connection()
        })?;
        let stream = self.connect()?;
        let transport = tls::handshake(&connector, self.uri.host(), stream, self.patience())
            .map_err(|failure| match failure {
                HandshakeFailure::Tls(error) => self
                    .context(format!("the TLS handshake failed: {error}"))
                    .with_source(error)
                    .Connection(),
                HandshakeFailure::Socket(error) => self.failed("the TLS handshake", error),
            })?;
        if self.uri.options().http_preflight {
            let (socket, headers) = (transport.socket(), &settings.preflight);
            let patience = self.patience();
            upgrade(&mut &transport, &socket, self.uri, headers, patience)
                .map_err(|error| self.failed("the HTTP preflight", error))?;
        }
        Ok(Box::new(transport))
    }

    #[cfg(unix)]
    fn unix(&self) -> Result<Box<dyn Transport>> {
        let path = self.uri.options().path.as_deref().unwrap_or_default();
        self.connect_unix(path)
            .map(|stream| Box::new(SocketTransport::new(stream)) as Box<dyn Transport>)
            .map_err(|error| {
                if self.cancel.is_cancelled() {
                    return self.cancelled(error);
                }
                let context = self.context(format!("{path}: {error}"));
                match error.kind() {
                    io::ErrorKind::TimedOut => context.with_source(error).TimedOut(),
                    _ => context.with_source(error).ConnectionRefused(),
                }
            })
    }

    #[cfg(unix)]
    fn connect_unix(&self, path: &str) -> io::Result<std::os::unix::net::UnixStream> {
        let address = SockAddr::unix(path)?;
        loop {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            match self.connect_socket(&socket, &address, self.deadline) {
                Ok(()) => return Ok(std::os::fd::OwnedFd::from(socket).into()),
                // The server has no room for another one yet, and nothing tells when it has.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let pause = self.deadline.left().unwrap_or(RETRY_UNIX).min(RETRY_UNIX);
                    if pause.is_zero() {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    if self.cancel.waited(pause) {
                        return Err(io::ErrorKind::Interrupted.into());
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    #[cfg(not(unix))]
    fn unix(&self) -> Result<Box<dyn Transport>> {
        Err(self
            .context("this system has no Unix sockets; use tcp or tcps")
            .TransportType())
    }

    fn patience(&self) -> Patience<'_> {
        Patience {
            deadline: self.deadline,
            cancel: self.cancel,
        }
    }

    /// A step after the dial has failed.
    fn failed(&self, step: &str, error: io::Error) -> Error {
        if self.cancel.is_cancelled() {
            return self.cancelled(error);
        }
        match error.kind() {
            io::ErrorKind::TimedOut => self
                .context(format!("{step} took too long"))
                .with_source(error)
                .TimedOut(),
            _ => self
                .context(format!("{step} failed: {error}"))
                .with_source(error)
                .Connection(),
        }
    }

    /// Tries the addresses in turn. Each has an equal share of what is left of the time, so that
    /// one that swallows packets does not keep the others from being tried.
    fn connect(&self) -> Result<TcpStream> {
        let mut addresses = self.addresses()?;
        if let Some(local) = self.uri.options().bind {
            addresses.retain(|address| address.is_ipv6() == local.is_ipv6());
        }
        let mut last = None;
        for (at, &address) in addresses.iter().enumerate() {
            let deadline = self.deadline.share(addresses.len() - at);
            match self.connect_to(address, deadline) {
                Ok(stream) => return Ok(stream),
                Err(error) if self.cancel.is_cancelled() => return Err(self.cancelled(error)),
                Err(error) => last = Some((address, error)),
            }
        }
        Err(match last {
            None => self
                .context("the host has no address, or none that 'bind' can reach")
                .ConnectionRefused(),
            Some((address, error)) if error.kind() == io::ErrorKind::TimedOut => self
                .context(format!("{address} did not answer in time"))
                .with_source(error)
                .TimedOut(),
            Some((address, error)) => self
                .context(format!("{address}: {error}"))
                .with_source(error)
                .ConnectionRefused(),
        })
    }

    /// The addresses of the host, those of the preferred protocol first (rule A4).
    ///
    /// The system's look-up cannot be bounded or cancelled, so it runs on a thread that is left
    /// behind if it takes too long; the thread ends when the look-up does.
    fn addresses(&self) -> Result<Vec<SocketAddr>> {
        let (host, port) = (self.uri.host(), self.uri.port());
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let (sender, found) = bounded(1);
        let name = host.to_string();
        let look_up = move || {
            let addresses = (name.as_str(), port).to_socket_addrs();
            // Nobody waits any more: fine.
            let _ = sender.send(addresses.map(|found| found.collect::<Vec<_>>()));
        };
        thread::Builder::new()
            .name("amps-lookup".to_string())
            .spawn(look_up)
            .map_err(|error| {
                self.context("no thread could be started to look up the host name")
                    .with_source(error)
                    .Connection()
            })?;
        let too_late = match self.deadline.left() {
            Some(left) => crossbeam_channel::after(left),
            None => crossbeam_channel::never(),
        };
        let result = select! {
            recv(found) -> result => result,
            recv(self.cancel.cancelled) -> _ => {
                return Err(self.cancelled(io::ErrorKind::Interrupted.into()));
            }
            recv(too_late) -> _ => {
                return Err(self.context("the host name was not looked up in time").TimedOut());
            }
        };
        match result {
            Ok(Ok(mut addresses)) => {
                let last_is_ipv6 = self.uri.options().ip_protocol_prefer == IpProtocol::Ipv4;
                addresses.sort_by_key(|address| address.is_ipv6() == last_is_ipv6);
                Ok(addresses)
            }
            Ok(Err(error)) => Err(self
                .context(format!("the host name cannot be resolved: {error}"))
                .with_source(error)
                .ConnectionRefused()),
            Err(_) => Err(self
                .context("the look-up of the host name ended without a result")
                .Connection()),
        }
    }

    fn connect_to(&self, address: SocketAddr, deadline: Deadline) -> io::Result<TcpStream> {
        let options = self.uri.options();
        let domain = Domain::for_address(address);
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        // Buffer sizes count for the window that the handshake negotiates, so they come first.
        if let Some(size) = options.tcp_rcvbuf {
            socket.set_recv_buffer_size(size as usize)?;
        }
        if let Some(size) = options.tcp_sndbuf {
            socket.set_send_buffer_size(size as usize)?;
        }
        socket.set_keepalive(options.tcp_keepalive)?;
        socket.set_tcp_nodelay(options.tcp_nodelay)?;
        if let Some(local) = options.bind {
            socket.bind(&SocketAddr::new(local, 0).into())?;
        }
        self.connect_socket(&socket, &address.into(), deadline)?;
        Ok(socket.into())
    }

    #[cfg(unix)]
    fn connect_socket(
        &self,
        socket: &Socket,
        address: &SockAddr,
        deadline: Deadline,
    ) -> io::Result<()> {
        use rustix::io::Errno;

        socket.set_nonblocking(true)?;
        match socket.connect(address) {
            Ok(()) => return socket.set_nonblocking(false),
            Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
            Err(error) => return Err(error),
        }
        let cancel = self.cancel;
        Patience { deadline, cancel }.wait(socket, PollFlags::OUT)?;
        if let Some(error) = socket.take_error()? {
            return Err(error);
        }
        socket.set_nonblocking(false)
    }

    /// Without a poll that can be woken, a dial ends with its deadline at the latest.
    #[cfg(not(unix))]
    fn connect_socket(
        &self,
        socket: &Socket,
        address: &SockAddr,
        deadline: Deadline,
    ) -> io::Result<()> {
        match deadline.left() {
            None => socket.connect(address),
            Some(left) => socket.connect_timeout(address, left),
        }
    }

    fn context(&self, reason: impl Into<String>) -> ErrorContext {
        ErrorContext::new("connect to", self.uri.to_string()).with_reason(reason)
    }

    fn cancelled(&self, error: io::Error) -> Error {
        self.context("disconnect was called meanwhile")
            .with_source(error)
            .Disconnected()
    }
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use socket2::SockRef;
    use std::net::TcpListener;

    fn dialled(options: &str) -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let uri = AmpsUri::parse(format!("tcp://{address}/amps/json{options}")).unwrap();
        let (_guard, cancel) = DialCancel::new().unwrap();
        let attempt = Attempt {
            uri: &uri,
            deadline: Deadline::after(Duration::from_secs(10)),
            cancel: &cancel,
        };
        attempt.connect().unwrap()
    }

    #[test]
    fn a4_the_options_reach_the_socket() {
        let plain = dialled("");
        let plain = SockRef::from(&plain);
        assert!(!plain.tcp_nodelay().unwrap() && plain.keepalive().unwrap());
        let set =
            dialled("?tcp_nodelay=true&tcp_keepalive=false&tcp_rcvbuf=20000&tcp_sndbuf=30000");
        let set = SockRef::from(&set);
        assert!(set.tcp_nodelay().unwrap() && !set.keepalive().unwrap());
        // The system may take more than was asked for (Linux: twice as much), but no default.
        let sizes = [
            set.recv_buffer_size().unwrap(),
            set.send_buffer_size().unwrap(),
        ];
        assert!((20_000..=40_000).contains(&sizes[0]), "{sizes:?}");
        assert!((30_000..=60_000).contains(&sizes[1]), "{sizes:?}");
    }

    // Other systems have but one loopback address.
    #[cfg(target_os = "linux")]
    #[test]
    fn a4_bind_chooses_the_local_address() {
        let stream = dialled("?bind=127.0.0.2");
        assert_eq!(
            stream.local_addr().unwrap().ip(),
            IpAddr::from([127, 0, 0, 2])
        );
    }
}
