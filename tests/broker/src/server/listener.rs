//! The socket that accepts connections, and its thread.

use super::Shared;
use crate::error::BrokerError;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::ToSocketAddrs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long to wait when the system has no descriptors left.
const PAUSE: Duration = Duration::from_millis(10);

/// A listening socket. Dropping it closes the socket and ends its thread.
pub(crate) struct Listener {
    address: SocketAddr,
    socket: Arc<TcpListener>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Resolves the address that the user wrote, binds it, and starts to accept.
    pub(super) fn start(address: &str, shared: Arc<Shared>) -> Result<Listener, BrokerError> {
        let failed = |source| BrokerError::Listen {
            address: address.to_owned(),
            source,
        };
        let resolved = address
            .to_socket_addrs()
            .map_err(failed)?
            .next()
            .ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        let socket = Arc::new(bind(resolved).map_err(failed)?);
        let address = socket.local_addr().map_err(failed)?;
        let stopping = Arc::new(AtomicBool::new(false));
        let thread = thread::Builder::new()
            .name("broker-accept".to_owned())
            .spawn({
                let (socket, stopping) = (socket.clone(), stopping.clone());
                move || accept(&socket, &stopping, &shared)
            })
            .map_err(BrokerError::Thread)?;
        log::info!("listening on {address}");
        Ok(Listener {
            address,
            socket,
            stopping,
            thread: Some(thread),
        })
    }

    /// The address with the port that the system chose.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        // Ends a waiting `accept` on Linux; elsewhere a connection from ourselves does.
        if SockRef::from(&*self.socket)
            .shutdown(Shutdown::Both)
            .is_err()
        {
            let _ = TcpStream::connect_timeout(&reachable(self.address), Duration::from_secs(1));
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
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

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // So that a listener can come back on its port while old connections are still winding down.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}

fn accept(socket: &TcpListener, stopping: &AtomicBool, shared: &Arc<Shared>) {
    loop {
        let accepted = socket.accept();
        if stopping.load(Ordering::Acquire) {
            return;
        }
        match accepted {
            Ok((socket, peer)) => shared.welcome(socket, peer),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                log::warn!("cannot accept a connection: {error}");
                thread::sleep(PAUSE);
            }
        }
    }
}
