//! Setting up a broker.

use crate::auth::{Credentials, Logon};
use crate::config::{NamedType, Settings, TopicConfig};
use crate::entitlement::{AccessRequest, Entitlement};
use crate::error::BrokerError;
use crate::message_type::MessageType;
use crate::queue::QueueConfig;
use crate::server::Broker;
use crate::tls::ServerTls;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What a broker is to be like; [`Broker::builder`] makes one.
#[derive(Clone, Default)]
#[must_use]
pub struct Builder {
    settings: Settings,
}

impl Builder {
    /// A topic whose JSON records are told apart by the values of fields: short for
    /// [`TopicConfig::sow`].
    pub fn sow_topic<K: Into<String>>(
        self,
        name: impl Into<String>,
        keys: impl IntoIterator<Item = K>,
    ) -> Builder {
        self.topic(TopicConfig::sow(name, keys))
    }

    /// A topic whose JSON records are told apart by the key that each publish carries: short for
    /// [`TopicConfig::sow_with_explicit_keys`].
    pub fn sow_topic_with_explicit_keys(self, name: impl Into<String>) -> Builder {
        self.topic(TopicConfig::sow_with_explicit_keys(name))
    }

    /// A topic that keeps records. Queries over several topics return them in the order in which
    /// the topics are configured.
    pub fn topic(mut self, topic: TopicConfig) -> Builder {
        self.settings.topics.push(topic);
        self
    }

    /// A queue over one topic or several. A topic that keeps records must have another name than
    /// the queue.
    pub fn queue(mut self, queue: QueueConfig) -> Builder {
        self.settings.queues.push(queue);
        self
    }

    /// Where to listen; `127.0.0.1:0`, a free port of this machine, unless it is set.
    pub fn listen(mut self, address: impl Into<String>) -> Builder {
        self.settings.listen = address.into();
        self
    }

    /// Listens for TLS, too, on a free port of this machine; see [`Broker::tls_uri`].
    pub fn tls(mut self, tls: ServerTls) -> Builder {
        self.settings.tls = Some(tls);
        self
    }

    /// Where to listen for TLS; `127.0.0.1:0` unless it is set.
    pub fn tls_listen(mut self, address: impl Into<String>) -> Builder {
        self.settings.tls_listen = address.into();
        self
    }

    /// Listens on a Unix socket, too; see [`Broker::unix_uri`]. The file is made by the broker
    /// and removed when it ends; one that was left behind by a broker that was killed is replaced.
    pub fn unix_socket(mut self, path: impl Into<PathBuf>) -> Builder {
        self.settings.unix_socket = Some(path.into());
        self
    }

    /// The message types that a client may log on with; unless it is set: `json`, `fix`, `nvfix`,
    /// `xml`, `binary`, `composite-local`, `composite-global`. The composite types then have a
    /// JSON part and a binary one; [`Builder::composite_type`] adds others. A name that the broker
    /// does not know, `xml` among them, is a type whose payloads are opaque, like `binary`.
    pub fn message_types<T: Into<String>>(
        mut self,
        message_types: impl IntoIterator<Item = T>,
    ) -> Builder {
        self.settings.message_types = message_types.into_iter().map(NamedType::known_as).collect();
        self
    }

    /// Adds a message type of several parts under the name that clients log on with. It takes the
    /// place of another one of this name; [`Builder::message_types`] sets the whole list anew, so
    /// call that first.
    ///
    /// ```
    /// use amps_broker::message_type::MessageType::{Binary, CompositeLocal, Json};
    /// use amps_broker::{Broker, TopicConfig};
    ///
    /// # fn main() -> Result<(), amps_broker::BrokerError> {
    /// let broker = Broker::builder()
    ///     .composite_type("order-with-scan", CompositeLocal(vec![Json, Binary]))
    ///     .topic(TopicConfig::sow("orders", ["/0/id"]).message_type("order-with-scan"))
    ///     .start()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn composite_type(mut self, name: impl Into<String>, message_type: MessageType) -> Builder {
        let name = name.into();
        let types = &mut self.settings.message_types;
        types.retain(|known| known.name != name);
        types.push(NamedType { name, message_type });
        self
    }

    /// The version that clients are told at logon; `5.3.5.0` unless it is set.
    pub fn server_version(mut self, version: impl Into<String>) -> Builder {
        self.settings.server_version = version.into();
        self
    }

    /// Decides about each logon. Without it, any user and password will do, and the user is not
    /// kept, as with the default authentication of AMPS.
    ///
    /// The closure runs on the thread that reads from the connection: it may take its time, which
    /// delays that logon and nothing else. It must return, though: the broker waits for it when
    /// it ends. To leave a logon unanswered, return [`Logon::Ignore`].
    pub fn authenticate(
        mut self,
        decide: impl Fn(&Credentials<'_>) -> Logon + Send + Sync + 'static,
    ) -> Builder {
        self.settings.authenticate = Some(Arc::new(decide));
        self
    }

    /// Decides who may read and write which topics. Without it everybody may do everything.
    ///
    /// The answer for a subscription is asked for once, and for a pattern once per topic when that
    /// first has a message; the one for a query, a publish or a delete each time. A refused
    /// command fails with `not entitled`; a pattern is silent about topics that are refused.
    ///
    /// The closure runs with the broker's lock held: it must be quick and must not use the broker.
    /// Users are known only with [`Builder::authenticate`].
    pub fn entitle(
        mut self,
        decide: impl Fn(&AccessRequest<'_>) -> Entitlement + Send + Sync + 'static,
    ) -> Builder {
        self.settings.entitle = Some(Arc::new(decide));
        self
    }

    /// Acknowledges publishes and deletes as a server with a transaction log does: successes are
    /// conflated, one `persisted` acknowledgement per `interval` for everything up to its
    /// sequence number; a failure is told at once, after the successes before it. The logon option
    /// `ack_conflation` overrides the interval.
    ///
    /// Unless this is set, each publish is acknowledged by itself.
    pub fn conflate_acks(mut self, interval: Duration) -> Builder {
        self.settings.ack_conflation = Some(interval);
        self
    }

    /// Whether two connections may bear one name; they may unless it is set. With AMPS this
    /// follows from having a transaction log.
    ///
    /// If they may not, the same user takes its name over and the older connection is closed;
    /// another user is refused with `name in use`. Clients without a name may be many. Users are known only with
    /// [`Builder::authenticate`].
    pub fn unique_client_names(mut self, unique: bool) -> Builder {
        self.settings.unique_client_names = unique;
        self
    }

    /// How many bytes may wait for a client before its connection is closed, because it does not
    /// read; 256 MiB unless it is set.
    ///
    /// This limits results, too: a query puts its whole result there before the first byte of it
    /// goes out. A client whose query finds more than this is disconnected however fast it reads.
    /// Set the limit higher than the largest result, or let the client ask for pages.
    pub fn output_limit(mut self, bytes: usize) -> Builder {
        self.settings.output_limit = bytes;
        self
    }

    /// After how many silent heartbeat intervals a connection is closed; 3 unless it is set.
    pub fn heartbeat_tolerance(mut self, intervals: u32) -> Builder {
        self.settings.heartbeat_tolerance = intervals;
        self
    }

    /// Whether to keep every frame that clients send, for [`Broker::frames_from`].
    pub fn record_frames(mut self, record: bool) -> Builder {
        self.settings.record_frames = record;
        self
    }

    /// Starts the broker: it listens when this returns.
    ///
    /// # Errors
    ///
    /// [`BrokerError::Topic`] or [`BrokerError::Setting`] for what cannot work as configured,
    /// [`BrokerError::Listen`] if the address cannot be bound.
    pub fn start(self) -> Result<Broker, BrokerError> {
        if self.settings.message_types.is_empty() {
            return Err(BrokerError::Setting("no message type".to_owned()));
        }
        Broker::start(self.settings)
    }
}
