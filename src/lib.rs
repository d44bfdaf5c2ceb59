//! A blocking client for AMPS, the publish/subscribe broker with content filters, a queryable
//! last-value cache, a replayable transaction log and queues.
//!
//! One connection, one receive thread, no async runtime. The API follows the AMPS C++ client in
//! idiomatic Rust. Three things are done with it:
//!
//! ```
//! use amps::{Client, Command, Message};
//! # let broker = amps_broker::Broker::builder().sow_topic("orders", ["/id"]).start().unwrap();
//! # let uri = broker.uri("json");
//! # fn main_(uri: &str) -> amps::Result<()> {
//!
//! let client = Client::new("orders-viewer");
//! client.connect(uri)?; // such as tcp://127.0.0.1:9007/amps/json
//! client.logon()?;
//!
//! // 1. Publish.
//! client.publish("orders", r#"{"id":1,"qty":100}"#)?;
//!
//! // 2. Iterate a stream. This one ends with the result of the query; that of a subscription
//! // goes on.
//! for message in client.sow("orders")? {
//!     println!("{}", message.data_str()?);
//! }
//!
//! // 3. Handle messages on the receive thread.
//! client.execute_async(
//!     Command::new("sow_and_subscribe").set_topic("orders"),
//!     |message: &Message| println!("{} {}", message.command(), message.topic()),
//! )?;
//! # client.publish_flush(std::time::Duration::from_secs(5))
//! # }
//! # main_(&uri).unwrap();
//! ```
//!
//! # Where to start
//!
//! | to | see |
//! |---|---|
//! | connect, publish, subscribe, query | [`Client`] |
//! | send a command with every field it can have | [`Command`] |
//! | read what comes in | [`Message`], [`MessageStream`] |
//! | handle failures | [`Error`] |
//! | stay connected, lose nothing | [`HaClient`], [`PublishStore`], [`BookmarkStore`] |
//! | connect by TLS | [`TlsConfig`] |
//! | handle messages in C | [`CMessageHandler`] |
//! | build and read FIX, NVFIX and composite payloads | [`codecs`] |
//! | be fast | chapter 13 of the guide |
//!
//! The guide, chapter by chapter, is in the folder `docs/guide` of the sources.
//!
//! # Log
//!
//! The library logs through the `log` crate. What it says at which level is part of its contract:
//!
//! | level | what |
//! |---|---|
//! | `error` | messages that are lost because a store could not keep them when it was closed; every other error is returned, or goes to the exception listener |
//! | `warn` | what nobody else is told of, such as an error without an exception listener; a lost connection |
//! | `info` | connections, logons, disconnects, reconnections, replays |
//! | `debug` | unsubscribes |
//! | `trace` | messages that nobody took, with the start of their payload |
//!
//! Payloads are shown at `trace` only, except those that a handler of the application puts into its
//! errors. Passwords are never logged, and neither errors nor any `Debug` show them.

pub use amps_codecs as codecs;
pub use amps_codecs::{
    CodecError, CompositeMessageBuilder, CompositeMessageParser, FixBuilder, FixShredder,
    NvfixBuilder, NvfixShredder,
};
pub use amps_core::{
    AckType, AmpsUri, Authenticator, BookmarkNotFound, BookmarkRange, BookmarkResizeHandler,
    BookmarkStore, BookmarkSubscribe, CMessage, CMessageFunction, CMessageHandler, CText, Client,
    ClientStats, Command, CommandType, ConnectionInfo, ConnectionState, DefaultAuthenticator,
    Direction, EndReason, Error, ErrorContext, FailedResubscribeHandler, HandlerOutcome,
    IpProtocol, JsonStream, ListenerId, Logged, LogonOptions, MemorySubscriptionManager, Message,
    MessageStream, OofReason, Options, OutgoingCommand, PublishResizeHandler, PublishStore, Result,
    StoredCommand, StreamCanceller, SubscriptionHandler, SubscriptionManager, TimeoutIter,
    TlsConfig, TlsVersion, TrackedSubscription, Transport, TransportOptions, VersionInfo,
    WeakClient, bookmark, reason,
};
pub use amps_ha::{
    DefaultServerChooser, ExponentialDelayStrategy, FixedDelayStrategy, HaClient,
    ReconnectDelayStrategy, ServerChooser,
};
pub use amps_stores::{
    BookmarkFileOptions, LoggedBookmarkStore, MemoryBookmarkStore, MmapBookmarkStore,
    RingBookmarkStore,
};
pub use amps_stores::{
    ConflatingRecoveryPointAdapter, ConflatingRecoveryPointAdapterBuilder, DynamicRecoveryPoint,
    FixedRecoveryPoint, RecoveryPoint, RecoveryPointAdapter, SowRecoveryPointAdapter,
    SowRecoveryPointAdapterBuilder,
};
pub use amps_stores::{
    FilePublishStore, FileStoreOptions, HybridPublishStore, MemoryPublishStore, SalvageReport,
    SyncPolicy,
};

// The guide, chapter by chapter: its code blocks are compiled and run with the doctests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
#[cfg(doctest)]
#[doc = include_str!("../docs/guide/02-building.md")]
mod guide_02_building {}
#[cfg(doctest)]
#[doc = include_str!("../docs/guide/03-first-program.md")]
mod guide_03_first_program {}
#[cfg(doctest)]
#[doc = include_str!("../docs/guide/04-subscriptions.md")]
mod guide_04_subscriptions {}
#[cfg(doctest)]
#[doc = include_str!("../docs/guide/05-errors.md")]
mod guide_05_errors {}
#[cfg(doctest)]
#[doc = include_str!("../docs/guide/06-sow.md")]
mod guide_06_sow {}
#[cfg(doctest)]
#[doc = include_str!("../docs/guide/07-queues.md")]
mod guide_07_queues {}
#[cfg(doctest)]
#[doc = include_str!("../docs/guide/08-delta.md")]
mod guide_08_delta {}
#[cfg(doctest)]
#[doc = include_str!("../docs/guide/09-high-availability.md")]
mod guide_09_high_availability {}
#[cfg(doctest)]
#[doc = include_str!("../docs/guide/10-commands.md")]
mod guide_10_commands {}
#[cfg(doctest)]
#[doc = include_str!("../docs/guide/11-utilities.md")]
mod guide_11_utilities {}
#[cfg(doctest)]
#[doc = include_str!("../docs/guide/12-advanced.md")]
mod guide_12_advanced {}
#[cfg(doctest)]
#[doc = include_str!("../docs/guide/13-performance.md")]
mod guide_13_performance {}
#[cfg(doctest)]
#[doc = include_str!("../docs/guide/appendix-a-errors.md")]
mod guide_appendix_a {}
#[cfg(doctest)]
#[doc = include_str!("../docs/migration.md")]
mod migration {}

// Its links are resolved with those of the documentation: what it names exists.
#[cfg(doc)]
#[doc = include_str!("../docs/status.md")]
mod status {}
