//! Who may log on: a hook for tests.

use std::fmt;

/// What a client says about itself when it logs on.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Credentials<'a> {
    /// The name of the client.
    pub client_name: &'a str,
    /// The user; empty if none was sent.
    pub user: &'a str,
    /// The password; empty if none was sent.
    pub password: &'a str,
    /// The message type of the connection.
    pub message_type: &'a str,
    /// The correlation id of the logon; empty if none was sent.
    pub correlation_id: &'a str,
}

impl fmt::Debug for Credentials<'_> {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("client_name", &self.client_name)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// What becomes of a logon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Logon {
    /// The client is logged on.
    Accept,
    /// The client gets this reason, such as `auth failure`; then its connection is closed.
    Refuse(String),
    /// The client is asked to log on again on the same connection.
    Retry {
        /// The user to log on as.
        user: String,
        /// The secret to log on with.
        password: String,
        /// Why, for example a challenge.
        reason: String,
    },
    /// The client gets no answer and is not logged on; its connection stays.
    Ignore,
}

/// The hook. It runs on the thread that reads from the connection and holds no lock.
pub(crate) type Authenticate = dyn Fn(&Credentials<'_>) -> Logon + Send + Sync;
