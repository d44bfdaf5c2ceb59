//! How a broker is set up.

use crate::auth::Authenticate;
use std::sync::Arc;

/// A topic that keeps the last value of each of its records.
///
/// Any other name can be published and subscribed to without being configured; nothing is kept
/// for it then.
///
/// ```
/// use amps_broker::{Broker, TopicConfig};
///
/// # fn main() -> Result<(), amps_broker::BrokerError> {
/// let broker = Broker::builder()
///     .topic(TopicConfig::sow("orders", ["/id"]))
///     .topic(TopicConfig::sow_with_explicit_keys("blobs").message_type("binary"))
///     .start()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicConfig {
    name: String,
    message_type: String,
    keys: Keys,
}

/// Where the keys of records come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Keys {
    /// Paths of fields.
    Fields(Vec<String>),
    /// The publisher.
    Explicit,
}

impl TopicConfig {
    /// A topic whose records are told apart by the values of fields, such as `/id`.
    pub fn sow<K: Into<String>>(
        name: impl Into<String>,
        keys: impl IntoIterator<Item = K>,
    ) -> TopicConfig {
        TopicConfig {
            name: name.into(),
            message_type: "json".to_owned(),
            keys: Keys::Fields(keys.into_iter().map(Into::into).collect()),
        }
    }

    /// A topic whose records are told apart by the key that each publish carries.
    pub fn sow_with_explicit_keys(name: impl Into<String>) -> TopicConfig {
        TopicConfig {
            name: name.into(),
            message_type: "json".to_owned(),
            keys: Keys::Explicit,
        }
    }

    /// The message type of the topic; `json` unless it is set.
    #[must_use]
    pub fn message_type(mut self, message_type: impl Into<String>) -> TopicConfig {
        self.message_type = message_type.into();
        self
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn type_name(&self) -> &str {
        &self.message_type
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }
}

/// Everything that is settled when a broker starts.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) listen: String,
    pub(crate) message_types: Vec<String>,
    pub(crate) topics: Vec<TopicConfig>,
    pub(crate) server_version: String,
    pub(crate) authenticate: Option<Arc<Authenticate>>,
    pub(crate) unique_client_names: bool,
    pub(crate) output_limit: usize,
    pub(crate) heartbeat_tolerance: u32,
    pub(crate) record_frames: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            listen: "127.0.0.1:0".to_owned(),
            message_types: [
                "json",
                "fix",
                "nvfix",
                "xml",
                "binary",
                "composite-local",
                "composite-global",
            ]
            .map(str::to_owned)
            .to_vec(),
            topics: Vec::new(),
            server_version: "5.3.5.0".to_owned(),
            authenticate: None,
            unique_client_names: false,
            output_limit: 256 << 20,
            heartbeat_tolerance: 3,
            record_frames: false,
        }
    }
}
