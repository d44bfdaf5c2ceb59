//! Who logs on.

#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;

/// Gives the password or token of a logon.
///
/// Called on the thread that logs on, with no lock of the client held. An error ends the logon
/// with [`Error::Authentication`], whose source it is. Guide §3.3;
/// rules A7, B5 to B7.
pub trait Authenticator: Send + Sync {
    /// The password for the first attempt, given the user and the password of the connection
    /// string.
    ///
    /// # Errors
    ///
    /// Whatever kept it from finding one; nothing is sent then.
    fn authenticate(&self, user: &str, password: &str) -> Result<String>;

    /// The password for another attempt, after the server asked for one without naming it.
    ///
    /// # Errors
    ///
    /// Whatever kept it from finding one; the logon ends.
    fn retry(&self, user: &str, password: &str) -> Result<String>;

    /// Called after a successful logon, with the reason that the server may have added.
    fn completed(&self, user: &str, password: &str, reason: &str);
}

/// Logs on with the password of the connection string.
#[derive(Debug, Clone, Copy, Default)]
pub struct DefaultAuthenticator;

impl Authenticator for DefaultAuthenticator {
    fn authenticate(&self, _user: &str, password: &str) -> Result<String> {
        Ok(password.to_string())
    }

    fn retry(&self, _user: &str, password: &str) -> Result<String> {
        Ok(password.to_string())
    }

    fn completed(&self, _user: &str, _password: &str, _reason: &str) {}
}
