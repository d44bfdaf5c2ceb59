//! The logon handshake.

use super::ask::{Patience, Question};
use super::connection::Connection;
use super::shared::Shared;
use crate::ack::AckType;
use crate::auth::{Authenticator, DefaultAuthenticator};
use crate::command::Command;
use crate::error::{Error, ErrorContext, Result};
use crate::message::Message;
use crate::protocol::{Field, Status};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How often the server may answer a logon with "try again" before it counts as refused.
const LOGON_ATTEMPTS: usize = 3;

/// What the server's log shows as the version of this client.
const CLIENT_VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), ":rust");

/// How to log on: a timeout, an authenticator, and options for the server.
///
/// The defaults are 10 s, the password of the connection string, and no options.
#[derive(Clone)]
pub struct LogonOptions {
    timeout: Duration,
    authenticator: Arc<dyn Authenticator>,
    options: String,
}

impl Default for LogonOptions {
    fn default() -> Self {
        LogonOptions {
            timeout: super::DEFAULT_TIMEOUT,
            authenticator: Arc::new(DefaultAuthenticator),
            options: String::new(),
        }
    }
}

impl LogonOptions {
    /// The defaults.
    pub fn new() -> LogonOptions {
        LogonOptions::default()
    }

    /// Sets how long to wait for the answer of the server; zero waits for ever. Default 10 s.
    #[must_use]
    pub fn set_timeout(mut self, timeout: Duration) -> LogonOptions {
        self.timeout = timeout;
        self
    }

    /// Sets who provides the password. Default: [`DefaultAuthenticator`].
    #[must_use]
    pub fn set_authenticator(mut self, authenticator: Arc<dyn Authenticator>) -> LogonOptions {
        self.authenticator = authenticator;
        self
    }

    /// Sets options for the server, such as `ack_conflation=100ms`. Default: none.
    #[must_use]
    pub fn set_options(mut self, options: impl AsRef<str>) -> LogonOptions {
        self.options = options.as_ref().to_string();
        self
    }
}

impl fmt::Debug for LogonOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogonOptions")
            .field("timeout", &self.timeout)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// What the application calls to log on: the handshake, and everything that follows it.
    pub(crate) fn logon(self: &Arc<Self>, options: &LogonOptions) -> Result<()> {
        let context = || ErrorContext::new("log on as", self.name());
        self.check_may_wait(context)?;
        self.check_not_in_store(context)?;
        self.check_may_connect()?;
        // From here on commands of other threads wait, with retry on, as in any recovery.
        let driving = self.drive();
        let connection = self.connection(context)?;
        let ack = self.handshake(&connection, options)?;
        let recovered = self
            .restore(&connection, &ack)
            .and_then(|()| self.end_recovery(&connection, &driving));
        if let Err(error) = recovered {
            self.abandon(&connection);
            return Err(error);
        }
        drop(driving);
        self.run_deferred();
        Ok(())
    }

    /// Logs on over a connection; returns the server's word (rules B4 to B8).
    pub(crate) fn handshake(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        options: &LogonOptions,
    ) -> Result<Message> {
        let name = self.name();
        let context = || ErrorContext::new("log on as", &name);
        let patience = Patience::of(options.timeout);
        let uri = &connection.uri;
        let mut user = uri.user().to_string();
        let failed = |error: Error| {
            let reason = error.to_string();
            context()
                .with_reason(reason)
                .with_source(error)
                .Authentication()
        };
        let authenticator = &options.authenticator;
        let mut password = authenticator
            .authenticate(&user, uri.password())
            .map_err(failed)?;
        for _ in 0..LOGON_ATTEMPTS {
            let ack = self.logon_once(connection, options, &user, &password, patience)?;
            match ack.status_kind() {
                Status::Success => {
                    authenticator.completed(&user, &password, ack.reason());
                    return Ok(ack);
                }
                Status::Retry => {
                    if !ack.user_id().is_empty() {
                        user = ack.user_id().to_string();
                    }
                    let offered = ack.password();
                    password = if offered.is_empty() {
                        authenticator.retry(&user, &password).map_err(failed)?
                    } else {
                        offered.to_string()
                    };
                }
                Status::Failure | Status::None => {
                    let reason = ack.reason();
                    return Err(if reason.trim().is_empty() {
                        context()
                            .with_reason("the server gave no reason")
                            .Authentication()
                    } else {
                        Error::refused(reason, context())
                    });
                }
            }
        }
        Err(context()
            .with_reason(format!(
                "the server asked for another attempt {LOGON_ATTEMPTS} times"
            ))
            .RetryOperation())
    }

    fn logon_once(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        options: &LogonOptions,
        user: &str,
        password: &str,
        patience: Patience,
    ) -> Result<Message> {
        let name = self.name();
        let context = || ErrorContext::new("log on as", &name);
        let id = self.new_command_id();
        let mut command = Command::new("logon")
            .set_command_id(&id)
            .set_options(&options.options)
            .set_correlation_id(&self.settings.lock().logon_correlation_data);
        command.set_field(Field::ClientName, &name);
        command.set_field(Field::UserId, user);
        command.set_field(Field::Password, password);
        command.set_field(
            Field::MessageType,
            connection.uri.message_type().unwrap_or_default(),
        );
        command.set_field(Field::Version, CLIENT_VERSION);
        let question = Question {
            connection,
            command: &command,
            acks: AckType::PROCESSED,
            awaited: AckType::PROCESSED,
            patience,
        };
        self.ask(&question, context)
    }
}
