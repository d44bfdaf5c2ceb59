//! From a connection string to a connected socket, with a bound and a way out.

use super::Transport;
use super::tcp::TcpTransport;
use crate::error::{Error, ErrorContext, Result};
use crate::uri::{self, AmpsUri};
use crossbeam_channel::{Receiver, Sender, bounded, select};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::thread;
use std::time::{Duration, Instant};

/// Ends a dial from another thread.
pub(crate) struct DialCancel {
    /// Dropped to cancel: every receiver sees the end of the channel.
    cancelled: Receiver<()>,
    /// Readable once the dial is cancelled, for the poll that waits for the connection.
    #[cfg(unix)]
    wake: std::os::unix::net::UnixStream,
}

/// The other end of a [`DialCancel`]: dropping it cancels the dial.
pub(crate) struct DialGuard {
    _cancel: Sender<()>,
    #[cfg(unix)]
    _wake: std::os::unix::net::UnixStream,
}

impl DialCancel {
    pub(crate) fn new() -> io::Result<(DialGuard, DialCancel)> {
        let (sender, cancelled) = bounded(0);
        #[cfg(unix)]
        let (ours, wake) = std::os::unix::net::UnixStream::pair()?;
        Ok((
            DialGuard {
                _cancel: sender,
                #[cfg(unix)]
                _wake: ours,
            },
            DialCancel {
                cancelled,
                #[cfg(unix)]
                wake,
            },
        ))
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.try_recv() == Err(crossbeam_channel::TryRecvError::Disconnected)
    }
}

/// Connects within `timeout` (zero: no bound but the system's own).
///
/// # Errors
///
/// `ConnectionRefused` with the system's error, `TimedOut`, or `Disconnected` if cancelled.
pub(crate) fn dial(
    uri: &AmpsUri,
    timeout: Duration,
    cancel: &DialCancel,
) -> Result<Box<dyn Transport>> {
    if uri.transport() != uri::Transport::Tcp {
        return Err(ErrorContext::new("connect to", uri.to_string())
            .with_reason("this version connects by tcp only")
            .TransportType());
    }
    let attempt = Attempt {
        uri,
        deadline: Deadline::after(timeout),
        cancel,
    };
    let stream = attempt.connect()?;
    Ok(Box::new(TcpTransport::new(stream)))
}

/// A point in time, or never.
#[derive(Clone, Copy)]
struct Deadline(Option<Instant>);

impl Deadline {
    /// A zero timeout, or one beyond the clock's range, is none.
    fn after(timeout: Duration) -> Deadline {
        if timeout.is_zero() {
            return Deadline(None);
        }
        Deadline(Instant::now().checked_add(timeout))
    }

    fn left(self) -> Option<Duration> {
        self.0
            .map(|instant| instant.saturating_duration_since(Instant::now()))
    }

    /// The deadline of one of `count` attempts that are made one after the other.
    fn share(self, count: usize) -> Deadline {
        match self.left() {
            None => self,
            Some(left) => Deadline(Instant::now().checked_add(left / count.max(1) as u32)),
        }
    }
}

struct Attempt<'a> {
    uri: &'a AmpsUri,
    deadline: Deadline,
    cancel: &'a DialCancel,
}

impl Attempt<'_> {
    /// Tries the addresses in turn. Each has an equal share of what is left of the time, so that
    /// one that swallows packets does not keep the others from being tried.
    fn connect(&self) -> Result<TcpStream> {
        let addresses = self.addresses()?;
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
                .context("the host name has no address")
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

    /// The addresses of the host, IPv4 first (rule A4).
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
                addresses.sort_by_key(SocketAddr::is_ipv6);
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
        self.connect_socket(&socket, address, deadline)?;
        Ok(socket.into())
    }

    #[cfg(unix)]
    fn connect_socket(
        &self,
        socket: &Socket,
        address: SocketAddr,
        deadline: Deadline,
    ) -> io::Result<()> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        use rustix::io::Errno;

        socket.set_nonblocking(true)?;
        match socket.connect(&address.into()) {
            Ok(()) => return socket.set_nonblocking(false),
            Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
            Err(error) => return Err(error),
        }
        loop {
            let left = deadline.left();
            if left.is_some_and(|left| left.is_zero()) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let timeout = left.and_then(|left| Timespec::try_from(left).ok());
            let mut wait = [
                PollFd::new(socket, PollFlags::OUT),
                PollFd::new(&self.cancel.wake, PollFlags::IN),
            ];
            match poll(&mut wait, timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            if !wait[1].revents().is_empty() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            if !wait[0].revents().is_empty() {
                break;
            }
        }
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
        address: SocketAddr,
        deadline: Deadline,
    ) -> io::Result<()> {
        match deadline.left() {
            None => socket.connect(&address.into()),
            Some(left) => socket.connect_timeout(&address.into(), left),
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

    #[test]
    fn a_transport_that_this_version_lacks_is_refused_by_name() {
        for text in ["tcps://h:1/amps/json", "unix://h:1/amps/json?path=/x"] {
            let uri = AmpsUri::parse(text).unwrap();
            let (_guard, cancel) = DialCancel::new().unwrap();
            let refused = dial(&uri, Duration::from_secs(1), &cancel).err().unwrap();
            assert!(matches!(refused, Error::TransportType(_)), "{refused}");
            assert!(refused.to_string().contains(text), "{refused}");
        }
    }
}
