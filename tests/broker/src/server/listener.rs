//! The sockets that accept connections, and their threads.

use super::Shared;
use super::stream::Stream;
use super::tls::TlsStream;
use crate::config::Settings;
use crate::error::BrokerError;
use crate::tls::ServerTls;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long to wait when the system has no descriptors left.
const PAUSE: Duration = Duration::from_millis(10);

/// Where a broker listens, and for what.
#[derive(Clone)]
pub(crate) enum Endpoint {
    Tcp(SocketAddr),
    Tls(SocketAddr, ServerTls),
    Unix(PathBuf),
}

impl Endpoint {
    /// All that the settings ask for; the first is the one for plain TCP.
    pub(super) fn all(settings: &Settings) -> Result<Vec<Endpoint>, BrokerError> {
        let mut all = vec![Endpoint::Tcp(resolve(&settings.listen)?)];
        if let Some(tls) = &settings.tls {
            all.push(Endpoint::Tls(resolve(&settings.tls_listen)?, tls.clone()));
        }
        if let Some(path) = &settings.unix_socket {
            all.push(Endpoint::Unix(path.clone()));
        }
        Ok(all)
    }

    fn address(&self) -> io::Result<SockAddr> {
        match self {
            Endpoint::Tcp(address) | Endpoint::Tls(address, _) => Ok((*address).into()),
            Endpoint::Unix(path) => SockAddr::unix(path),
        }
    }

    fn socket(&self) -> io::Result<Socket> {
        let address = self.address()?;
        let protocol = match self {
            Endpoint::Unix(_) if cfg!(not(unix)) => return Err(io::ErrorKind::Unsupported.into()),
            Endpoint::Unix(_) => None,
            _ => Some(Protocol::TCP),
        };
        Socket::new(address.domain(), Type::STREAM, protocol)
    }

    /// The same with the port that the system chose.
    fn bound_to(self, socket: &Socket) -> io::Result<Endpoint> {
        let bound = || {
            let address = socket.local_addr()?.as_socket();
            address.ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))
        };
        Ok(match self {
            Endpoint::Tcp(_) => Endpoint::Tcp(bound()?),
            Endpoint::Tls(_, tls) => Endpoint::Tls(bound()?, tls),
            Endpoint::Unix(path) => Endpoint::Unix(path),
        })
    }

    /// What is spoken over a socket that was accepted here, and how its peer is called.
    fn stream(&self, socket: Socket, peer: &SockAddr) -> io::Result<(Stream, String)> {
        let stream = match self {
            Endpoint::Tcp(_) => {
                socket.set_tcp_nodelay(true)?;
                Stream::Tcp(socket.into())
            }
            Endpoint::Tls(_, tls) => {
                socket.set_tcp_nodelay(true)?;
                Stream::Tls(Box::new(TlsStream::new(socket.into(), tls)?))
            }
            #[cfg(unix)]
            Endpoint::Unix(_) => Stream::Unix(std::os::fd::OwnedFd::from(socket).into()),
            #[cfg(not(unix))]
            Endpoint::Unix(_) => return Err(io::ErrorKind::Unsupported.into()),
        };
        let peer = match peer.as_socket() {
            Some(address) => address.to_string(),
            None => "a Unix socket".to_owned(),
        };
        Ok((stream, peer))
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Endpoint::Tcp(address) => write!(f, "{address}"),
            Endpoint::Tls(address, _) => write!(f, "{address} (TLS)"),
            Endpoint::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Resolves the address that the user wrote.
fn resolve(address: &str) -> Result<SocketAddr, BrokerError> {
    let failed = |source| BrokerError::Listen {
        address: address.to_owned(),
        source,
    };
    address
        .to_socket_addrs()
        .map_err(failed)?
        .next()
        .ok_or_else(|| failed(io::ErrorKind::NotFound.into()))
}

/// A listening socket. Dropping it closes the socket and ends its thread.
pub(crate) struct Listener {
    endpoint: Endpoint,
    socket: Arc<Socket>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Binds, and starts to accept.
    pub(super) fn start(endpoint: Endpoint, shared: Arc<Shared>) -> Result<Listener, BrokerError> {
        let failed = |source| BrokerError::Listen {
            address: endpoint.to_string(),
            source,
        };
        let socket = Arc::new(bind(&endpoint).map_err(failed)?);
        let endpoint = endpoint.clone().bound_to(&socket).map_err(failed)?;
        let stopping = Arc::new(AtomicBool::new(false));
        let thread = thread::Builder::new()
            .name("broker-accept".to_owned())
            .spawn({
                let (endpoint, socket, stopping) =
                    (endpoint.clone(), socket.clone(), stopping.clone());
                move || accept(&endpoint, &socket, &stopping, &shared)
            })
            .map_err(BrokerError::Thread)?;
        log::info!("listening on {endpoint}");
        Ok(Listener {
            endpoint,
            socket,
            stopping,
            thread: Some(thread),
        })
    }

    /// Where it listens, with the port that the system chose.
    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        // Ends a waiting `accept` on Linux; elsewhere a connection from ourselves does.
        if self.socket.shutdown(Shutdown::Both).is_err() {
            self.knock();
        }
        if let Endpoint::Unix(path) = &self.endpoint {
            let _ = std::fs::remove_file(path);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Listener {
    fn knock(&self) {
        let here = match &self.endpoint {
            Endpoint::Tcp(address) | Endpoint::Tls(address, _) => Ok(reachable(*address).into()),
            Endpoint::Unix(_) => self.endpoint.address(),
        };
        if let (Ok(socket), Ok(here)) = (self.endpoint.socket(), here) {
            let _ = socket.connect_timeout(&here, Duration::from_secs(1));
        }
    }
}

/// An address to connect to: a socket bound to every address is reached by loopback.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn bind(endpoint: &Endpoint) -> io::Result<Socket> {
    let (address, socket) = (endpoint.address()?, endpoint.socket()?);
    if let Endpoint::Unix(path) = endpoint {
        // A file that a broker left behind when it was killed: nobody answers there.
        let answered = socket.connect(&address);
        if answered.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            let _ = std::fs::remove_file(path);
        }
    }
    let socket = endpoint.socket()?;
    // So that a listener can come back on its port while old connections are still winding down.
    #[cfg(not(windows))]
    if address.domain() != Domain::UNIX {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&address)?;
    socket.listen(1024)?;
    Ok(socket)
}

fn accept(endpoint: &Endpoint, socket: &Socket, stopping: &AtomicBool, shared: &Arc<Shared>) {
    loop {
        let accepted = socket.accept();
        if stopping.load(Ordering::Acquire) {
            return;
        }
        match accepted {
            Ok((socket, peer)) => match endpoint.stream(socket, &peer) {
                Ok((stream, peer)) => shared.welcome(stream, peer),
                // The peer is gone already.
                Err(error) => log::debug!("a connection to {endpoint}: {error}"),
            },
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                log::warn!("cannot accept a connection: {error}");
                thread::sleep(PAUSE);
            }
        }
    }
}
