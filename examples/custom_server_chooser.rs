//! A server chooser of one's own: it prefers the first server, goes back to it when it can, leaves
//! out servers that fail again and again, and gives up when all of them do.
//!
//! `cargo run --example custom_server_chooser` starts two brokers, and stops and restarts them to
//! show each decision. To use servers instead, name them in the order of preference, with spaces
//! between; then it connects and says where:
//!
//! `AMPS_URI="tcp://one:9007/amps/json tcp://two:9007/amps/json"
//! cargo run --example custom_server_chooser`

use amps::{
    Authenticator, ConnectionInfo, DefaultAuthenticator, Error, FixedDelayStrategy, HaClient,
    ServerChooser,
};
use amps_broker::Broker;
use std::sync::{Arc, mpsc};
use std::time::Duration;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

const TIMEOUT: Duration = Duration::from_secs(10);
const NAME: &str = "choosy";

/// After so many failures in a row a server is left out.
const PATIENCE: u32 = 3;

/// Servers in the order of preference.
struct Preferred {
    servers: Vec<Server>,
    /// The one that was named last.
    current: usize,
    last_error: String,
}

struct Server {
    uri: String,
    /// Failures since the last success.
    failures: u32,
}

impl Preferred {
    fn new<S: Into<String>>(uris: impl IntoIterator<Item = S>) -> Preferred {
        let server = |uri: S| Server {
            uri: uri.into(),
            failures: 0,
        };
        Preferred {
            servers: uris.into_iter().map(server).collect(),
            current: 0,
            last_error: String::new(),
        }
    }
}

impl ServerChooser for Preferred {
    /// The one with the fewest failures; of several, the preferred one. So the list is gone through
    /// once, and then again, until every server has used up the patience.
    fn current_uri(&mut self) -> Option<String> {
        let usable = self.servers.iter().enumerate();
        let (index, server) = usable
            .filter(|(_, server)| server.failures < PATIENCE)
            .min_by_key(|(_, server)| server.failures)?;
        self.current = index;
        Some(server.uri.clone())
    }

    /// Here the password in the connection string will do. A site with tokens returns an
    /// authenticator for the server that was named last.
    fn current_authenticator(&mut self) -> Arc<dyn Authenticator> {
        Arc::new(DefaultAuthenticator)
    }

    /// Called for a failed attempt, and for a connection that is lost.
    fn report_failure(&mut self, error: &Error, info: &ConnectionInfo) {
        println!("  failed: {}", info.get("uri").unwrap_or("?"));
        self.last_error = error.to_string();
        self.servers[self.current].failures += 1;
    }

    /// Whoever failed before may have been repaired since: next time all are as good as new.
    fn report_success(&mut self, info: &ConnectionInfo) {
        println!("  connected: {}", info.get("uri").unwrap_or("?"));
        for server in &mut self.servers {
            server.failures = 0;
        }
    }

    /// Becomes a part of the error with which the client gives up.
    fn error(&self) -> String {
        format!(
            "all {} servers failed {PATIENCE} times, at last: {}",
            self.servers.len(),
            self.last_error
        )
    }
}

fn main() -> Outcome {
    if let Ok(uris) = std::env::var("AMPS_URI") {
        let client = connect(uris.split_whitespace())?;
        println!("server version {}", client.server_version_info());
        return Ok(client.disconnect()?);
    }
    let (primary, backup) = (Broker::builder().start()?, Broker::builder().start()?);

    println!("the primary server does not answer");
    primary.stop_listening();
    let client = connect([primary.uri("json"), backup.uri("json")])?;
    assert_eq!(backup.client_names(), [NAME]);
    let (sender, gave_up) = mpsc::channel();
    client.set_exception_listener(move |error: &Error| {
        if matches!(error, Error::Connection(_)) {
            let _ = sender.send(error.to_string());
        }
    });

    println!("the primary server is back, and the other one drops us");
    primary.restart_listening()?;
    backup.disconnect_client(NAME);
    assert!(primary.wait_for_client(NAME, TIMEOUT));

    println!("both are gone");
    primary.stop_listening();
    backup.stop_listening();
    primary.disconnect_client(NAME);
    let error = gave_up.recv_timeout(TIMEOUT)?;
    println!("gave up: {error}");
    assert!(error.contains("all 2 servers failed 3 times"));

    // Giving up is not the end: the application may begin again, with a chooser that has not lost
    // its patience.
    println!("one of them is back");
    backup.restart_listening()?;
    client.set_server_chooser(Preferred::new([primary.uri("json"), backup.uri("json")]));
    client.connect_and_logon()?;
    assert_eq!(backup.client_names(), [NAME]);
    client.disconnect()?;
    Ok(())
}

fn connect<S: Into<String>>(uris: impl IntoIterator<Item = S>) -> Outcome<HaClient> {
    let client = HaClient::new(NAME);
    client.set_server_chooser(Preferred::new(uris));
    client.set_reconnect_delay_strategy(FixedDelayStrategy::new(Duration::from_millis(20)));
    client.connect_and_logon()?;
    Ok(client)
}
