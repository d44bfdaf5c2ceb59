//! A connection that is logged on.

use crate::cli::Server;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::target::Target;
use amps::{Client, LogonOptions};

/// A client that is logged on, and where.
pub(crate) struct Session {
    pub(crate) client: Client,
    /// The connection string without its password.
    pub(crate) shown: String,
}

/// Connects and logs on, for `purpose`. An interrupt ends that, and as long as nobody else wants
/// to know of it, what follows.
pub(crate) fn open(
    purpose: &str,
    target: &Target,
    server: &Server,
    interrupt: &Interrupt,
) -> Result<Session, Failure> {
    let client = match &server.name {
        Some(name) => Client::new(name),
        None => Client::new(format!("spark-{purpose}-{}", std::process::id())),
    };
    let weak = client.downgrade();
    interrupt.on_press(move || {
        if let Some(client) = weak.upgrade() {
            // Whoever waits on it hears of the end.
            let _ = client.disconnect();
        }
    });
    client.set_connect_timeout(server.patience());
    let logon = LogonOptions::new().set_timeout(server.patience());
    client
        .connect(&target.uri)
        .and_then(|()| client.logon_with(logon))
        .map_err(|error| match interrupt.is_pressed() {
            true => Failure::Other("interrupted before it was logged on".to_string()),
            false => Failure::Amps(error),
        })?;
    Ok(Session {
        client,
        shown: target.parts.to_string(),
    })
}
