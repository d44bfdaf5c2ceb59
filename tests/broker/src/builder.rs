//! Setting up a broker.

use crate::auth::{Credentials, Logon};
use crate::config::{NamedType, Settings, TopicConfig};
use crate::entitlement::{AccessRequest, Entitlement};
use crate::error::BrokerError;
use crate::message_type::MessageType;
use crate::queue::QueueConfig;
use crate::server::Broker;
use crate::tls::ServerTls;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What a broker is to be like; [`Broker::builder`] makes one.
#[derive(Clone, Default)]
#[must_use]
pub struct Builder {
    settings: Settings,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Builder")
    }
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
    ///
    /// The topics are kept in the transaction log; see [`Builder::logged_topic`] for what that
    /// changes for publishers.
    pub fn queue(mut self, queue: QueueConfig) -> Builder {
        self.settings.queues.push(queue);
        self
    }

    /// Keeps a topic in the transaction log: what is published to it and deleted from it, in the
    /// order in which it happened, for subscriptions that begin in the past. The name may be a
    /// pattern, as in a subscription; messages of any message type are logged.
    ///
    /// With a transaction log, and that means with any logged topic:
    /// - A message whose sequence number is not above the highest of its publisher, who is known
    ///   by the client name, is a duplicate: it is dropped and acknowledged.
    /// - A logon is told the last sequence number that is persisted.
    /// - Persisted acknowledgements are conflated, over 10 ms unless [`Builder::conflate_acks`]
    ///   says otherwise.
    /// - Client names are unique unless [`Builder::unique_client_names`] says otherwise.
    ///
    /// ```
    /// # fn main() -> Result<(), amps_broker::BrokerError> {
    /// let broker = amps_broker::Broker::builder()
    ///     .sow_topic("orders", ["/id"])
    ///     .logged_topic("orders")
    ///     .logged_topic("^trades/")
    ///     .start()?;
    /// assert_eq!(broker.log_len(), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn logged_topic(mut self, topic: impl Into<String>) -> Builder {
        self.settings.logged.push(topic.into());
        self
    }

    /// Keeps every topic in the transaction log; see [`Builder::logged_topic`].
    pub fn log_every_topic(mut self) -> Builder {
        self.settings.log_everything = true;
        self
    }

    /// Keeps the transaction log and the records of all topics in a file: they are there again in
    /// the next broker on that file, also if this one was killed. A broker begins it if it does
    /// not exist.
    ///
    /// What was acknowledged as persisted is in the file: it is given to the system before it is
    /// acknowledged, so that it survives the process, but not the machine. A write that the file
    /// does not take, because the disk is full for example, is refused with `journal write failed`
    /// and changes nothing; the broker goes on, and tries again with the next one.
    ///
    /// The file only grows. Everything in it is read into memory at the start. The topics may be
    /// configured differently next time; what was logged stays logged.
    pub fn journal(mut self, file: impl Into<PathBuf>) -> Builder {
        self.settings.journal = Some(file.into());
        self
    }

    /// Refuses a bookmark on a subscription to a topic that is not logged, with `invalid topic`.
    /// Unless this is set such a subscription is live, as if it had none. (AMPS documents both.)
    pub fn refuse_bookmarks_without_log(mut self, refuse: bool) -> Builder {
        self.settings.strict.bookmarks_need_a_log = refuse;
        self
    }

    /// Refuses a bookmark on a subscription to deltas with `invalid options`, as AMPS 5.3.5 does.
    /// Unless this is set it is as with AMPS 5.2: whole messages in the replay, then deltas.
    pub fn refuse_bookmarks_with_deltas(mut self, refuse: bool) -> Builder {
        self.settings.strict.no_bookmarks_with_deltas = refuse;
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
    /// Unless this is set or a topic is logged, each publish is acknowledged by itself. With
    /// logged topics this is also how often a bookmark subscription is told what is persisted.
    pub fn conflate_acks(mut self, interval: Duration) -> Builder {
        self.settings.ack_conflation = Some(interval);
        self
    }

    /// Whether two connections may bear one name; unless it is set they may, except with a
    /// transaction log, as with AMPS.
    ///
    /// If they may not, the same user takes its name over and the older connection is closed;
    /// another user is refused with `name in use`. Clients without a name may be many. Users are known only with
    /// [`Builder::authenticate`].
    pub fn unique_client_names(mut self, unique: bool) -> Builder {
        self.settings.unique_client_names = Some(unique);
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
    /// [`BrokerError::Journal`] if the journal cannot be used, [`BrokerError::Listen`] if the
    /// address cannot be bound.
    pub fn start(self) -> Result<Broker, BrokerError> {
        if self.settings.message_types.is_empty() {
            return Err(BrokerError::Setting("no message type".to_owned()));
        }
        Broker::start(self.settings)
    }
}
