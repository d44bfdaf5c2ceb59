//! Connections by TLS: who is trusted, how handshakes fail, and that a session which cannot be
//! split still sends and receives at the same time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking"
)]

mod certificates;
mod closing;
mod flood;
mod handshake;
mod peer;
mod sessions;

use amps::{Client, Error, TlsConfig};
use amps_broker::{Broker, Builder, ServerTls};
use certificates::{Authority, Issued};
use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for what must come before it has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// The host names and addresses of every server here that tells the truth.
const HERE: [&str; 2] = ["localhost", "127.0.0.1"];

/// A broker that shows a certificate of this authority.
fn broker(authority: &Authority) -> Broker {
    start(authority, Broker::builder())
}

fn start(authority: &Authority, builder: Builder) -> Broker {
    let Issued { chain, key } = authority.issue(&HERE);
    let tls = ServerTls::new(chain, key).unwrap();
    builder.tls(tls).start().unwrap()
}

/// Trusts this authority and no other.
fn trusting(authority: &Authority) -> TlsConfig {
    TlsConfig::new()
        .set_system_roots(false)
        .add_ca_pem(authority.pem())
        .unwrap()
}

fn client(name: &str, config: TlsConfig) -> Client {
    let client = Client::new(name);
    client.set_tls_config(config).unwrap();
    client
}

/// A client that is logged on by TLS.
fn logged_on(broker: &Broker, authority: &Authority, name: &str) -> Client {
    let client = client(name, trusting(authority));
    client.connect(broker.tls_uri("json")).unwrap();
    client.logon().unwrap();
    client
}

/// Waits until a condition holds that nobody announces.
fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        thread::yield_now();
    }
}

/// Runs a call on a thread of its own and panics if it takes too long.
fn in_time<T: Send + 'static>(what: &str, call: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, done) = std::sync::mpsc::channel();
    let worker = thread::spawn(move || {
        let _ = sender.send(call());
    });
    match done.recv_timeout(PATIENCE) {
        Ok(result) => {
            worker.join().unwrap();
            result
        }
        Err(_) if worker.is_finished() => panic!("{what}: {:?}", worker.join()),
        Err(_) => panic!("{what} did not end"),
    }
}

/// The failure of a handshake: a connection error with its cause.
fn assert_handshake_failed(error: &Error) {
    use std::error::Error as _;
    assert!(matches!(error, Error::Connection(_)), "{error}");
    assert!(error.is_connection_error());
    assert!(error.to_string().contains("TLS handshake"), "{error}");
    assert!(error.source().is_some(), "{error}");
}
