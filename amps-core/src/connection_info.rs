//! What is known of a connection, for choosers and logs.

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
