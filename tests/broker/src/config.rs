//! How a broker is set up.

use crate::auth::Authenticate;
use crate::entitlement::Entitle;
use crate::message_type::MessageType;
use crate::queue::QueueConfig;
use crate::tls::ServerTls;
use crate::txlog::History;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

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
    expiration: Option<Duration>,
    logged: bool,
    history: Option<History>,
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
            expiration: None,
            logged: false,
            history: None,
        }
    }

    /// A topic whose records are told apart by the key that each publish carries.
    pub fn sow_with_explicit_keys(name: impl Into<String>) -> TopicConfig {
        TopicConfig {
            name: name.into(),
            message_type: "json".to_owned(),
            keys: Keys::Explicit,
            expiration: None,
            logged: false,
            history: None,
        }
    }

    /// The message type of the topic; `json` unless it is set.
    #[must_use]
    pub fn message_type(mut self, message_type: impl Into<String>) -> TopicConfig {
        self.message_type = message_type.into();
        self
    }

    /// Lets records expire: after the time that their publisher says, else after `lifetime`,
    /// else never. Without this the publisher's time is ignored.
    ///
    /// Publishers count in whole seconds; `lifetime` may be shorter, to save tests time.
    #[must_use]
    pub fn expiration(mut self, lifetime: impl Into<Option<Duration>>) -> TopicConfig {
        // No lifetime is one without end.
        self.expiration = Some(lifetime.into().unwrap_or_default());
        self
    }

    /// Keeps what is published to the topic, and deleted from it, in the transaction log, as
    /// [`Builder::logged_topic`](crate::Builder::logged_topic) does.
    #[must_use]
    pub fn logged(mut self) -> TopicConfig {
        self.logged = true;
        self
    }

    /// Lets clients ask for the records as they were: in a query with a bookmark or a time. What
    /// is longer ago than `window` is not known: the result is empty; without a window everything
    /// is known that the transaction log has.
    ///
    /// The topic is logged, as with [`TopicConfig::logged`]: its history is what the log says. It
    /// cannot have an [expiration](TopicConfig::expiration) as well.
    #[must_use]
    pub fn history(mut self, window: impl Into<Option<Duration>>) -> TopicConfig {
        self.history = Some(History {
            window: window.into(),
            granularity: self
                .history
                .map_or(Duration::ZERO, |known| known.granularity),
        });
        self
    }

    /// Gives the topic a [history](TopicConfig::history) in which a state is saved only this
    /// often: a query gets the last state that was saved before its point. Unless it is set each
    /// change is a state.
    #[must_use]
    pub fn history_granularity(mut self, granularity: Duration) -> TopicConfig {
        self.history = Some(History {
            window: self.history.and_then(|known| known.window),
            granularity,
        });
        self
    }

    pub(crate) fn is_logged(&self) -> bool {
        self.logged || self.history.is_some()
    }

    pub(crate) fn past(&self) -> Option<History> {
        self.history
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

    /// The lifetime of a record whose publisher says none, zero if it has no end; `None` if
    /// nothing ever expires.
    pub(crate) fn default_lifetime(&self) -> Option<Duration> {
        self.expiration
    }
}

/// A message type under the name that clients log on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedType {
    pub(crate) name: String,
    pub(crate) message_type: MessageType,
}

impl NamedType {
    /// The message type that goes by this name; one that is not known is opaque.
    pub(crate) fn known_as(name: impl Into<String>) -> NamedType {
        let name = name.into();
        let parts = || vec![MessageType::Json, MessageType::Binary];
        let message_type = match name.as_str() {
            "composite-local" => MessageType::CompositeLocal(parts()),
            "composite-global" => MessageType::CompositeGlobal(parts()),
            other => other.parse().unwrap_or(MessageType::Binary),
        };
        NamedType { name, message_type }
    }
}

/// What is refused that is allowed otherwise: where versions or chapters of the documentation
/// differ (`broker-behaviour §13`).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Strict {
    /// A bookmark subscription to a topic that is not logged.
    pub(crate) bookmarks_need_a_log: bool,
    /// A bookmark on a subscription to deltas.
    pub(crate) no_bookmarks_with_deltas: bool,
}

/// Everything that is settled when a broker starts.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) listen: String,
    /// Where to listen for TLS, if `tls` is set.
    pub(crate) tls_listen: String,
    pub(crate) tls: Option<ServerTls>,
    pub(crate) unix_socket: Option<PathBuf>,
    pub(crate) message_types: Vec<NamedType>,
    pub(crate) topics: Vec<TopicConfig>,
    pub(crate) queues: Vec<QueueConfig>,
    /// Names and patterns of topics that are logged, beside those that say it themselves.
    pub(crate) logged: Vec<String>,
    /// Every topic is logged.
    pub(crate) log_everything: bool,
    pub(crate) strict: Strict,
    pub(crate) journal: Option<PathBuf>,
    pub(crate) server_version: String,
    pub(crate) authenticate: Option<Arc<Authenticate>>,
    pub(crate) entitle: Option<Arc<Entitle>>,
    /// How persisted acknowledgements are conflated, if that is said.
    pub(crate) ack_conflation: Option<Duration>,
    /// Whether client names are unique, if that is said.
    pub(crate) unique_client_names: Option<bool>,
    pub(crate) output_limit: usize,
    pub(crate) heartbeat_tolerance: u32,
    pub(crate) record_frames: bool,
}

impl Settings {
    /// True if some topic is logged.
    pub(crate) fn has_log(&self) -> bool {
        self.log_everything
            || !self.logged.is_empty()
            || !self.queues.is_empty()
            || self.topics.iter().any(TopicConfig::is_logged)
    }

    /// How persisted acknowledgements are conflated; `None` if each write has one of its own.
    pub(crate) fn ack_conflation(&self) -> Option<Duration> {
        let default = self.has_log().then_some(ACK_CONFLATION);
        self.ack_conflation.or(default)
    }

    /// Whether only one connection may bear a name.
    pub(crate) fn has_unique_client_names(&self) -> bool {
        self.unique_client_names.unwrap_or(self.has_log())
    }
}

/// AMPS takes a second; tests would rather not wait so long.
pub(crate) const ACK_CONFLATION: Duration = Duration::from_millis(10);

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            listen: "127.0.0.1:0".to_owned(),
            tls_listen: "127.0.0.1:0".to_owned(),
            tls: None,
            unix_socket: None,
            message_types: [
                "json",
                "fix",
                "nvfix",
                "xml",
                "binary",
                "composite-local",
                "composite-global",
            ]
            .map(NamedType::known_as)
            .to_vec(),
            topics: Vec::new(),
            queues: Vec::new(),
            logged: Vec::new(),
            log_everything: false,
            strict: Strict::default(),
            journal: None,
            server_version: "5.3.5.0".to_owned(),
            authenticate: None,
            entitle: None,
            ack_conflation: None,
            unique_client_names: None,
            output_limit: 256 << 20,
            heartbeat_tolerance: 3,
            record_frames: false,
        }
    }
}
