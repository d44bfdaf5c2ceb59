//! What is known of a connection, for choosers and logs.

use crate::uri::AmpsUri;
use std::fmt;

/// Facts about a connection or an attempt to make one, as named texts in a fixed order.
///
/// Names in use: `uri`, `transport`, `host`, `port`, `client_name`, `local_address`,
/// `remote_address`, `server_version`. What is not known is not there. A password never is.
///
/// ```
/// use amps_core::ConnectionInfo;
///
/// let info = ConnectionInfo::from_iter([("host", "primary"), ("port", "9007")]);
/// assert_eq!(info.get("host"), Some("primary"));
/// assert_eq!(info.to_string(), "host=primary port=9007");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectionInfo {
    facts: Vec<(&'static str, String)>,
}

impl ConnectionInfo {
    /// What is known before there is a connection: the server, if it is known, and the client.
    #[doc(hidden)]
    pub fn of_attempt(uri: Option<&AmpsUri>, client_name: &str) -> ConnectionInfo {
        let mut facts = Vec::new();
        if let Some(uri) = uri {
            facts.push(("uri", uri.to_string()));
            facts.push(("transport", uri.transport().scheme().to_string()));
            facts.push(("host", uri.host().to_string()));
            facts.push(("port", uri.port().to_string()));
        }
        facts.push(("client_name", client_name.to_string()));
        facts.retain(|(_, fact)| !fact.is_empty());
        ConnectionInfo { facts }
    }

    /// Adds a fact, if it says something.
    pub(crate) fn add(&mut self, name: &'static str, fact: String) {
        if !fact.is_empty() {
            self.facts.push((name, fact));
        }
    }

    /// The fact of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut facts = self.iter();
        facts
            .find(|(known, _)| *known == name)
            .map(|(_, fact)| fact)
    }

    /// All facts with their names.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.facts.iter().map(|(name, fact)| (*name, fact.as_str()))
    }
}

impl<S: Into<String>> FromIterator<(&'static str, S)> for ConnectionInfo {
    fn from_iter<I: IntoIterator<Item = (&'static str, S)>>(facts: I) -> Self {
        let facts = facts.into_iter();
        ConnectionInfo {
            facts: facts.map(|(name, fact)| (name, fact.into())).collect(),
        }
    }
}

impl fmt::Display for ConnectionInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, fact)) in self.iter().enumerate() {
            let gap = if index == 0 { "" } else { " " };
            write!(f, "{gap}{name}={fact}")?;
        }
        Ok(())
    }
}
