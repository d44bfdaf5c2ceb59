//! The AMPS protocol, the synchronous socket client and its receive thread.
//!
//! Applications depend on the crate `amps`, which re-exports what is here; its documentation is
//! the manual.

mod ack;
mod auth;
pub mod bookmark;
mod client;
mod command;
mod command_type;
mod connection_info;
mod error;
mod fields;
mod handler;
mod handler_c;
#[doc(hidden)]
pub mod internals;
mod message;
mod options;
#[doc(hidden)]
pub mod protocol;
mod queue;
pub mod reason;
mod store;
mod stream;
mod subscription_manager;
mod tls_config;
mod transport;
mod typed;
/// For those who keep a client connected; outside semantic versioning.
#[doc(hidden)]
pub mod supervise {
    pub use crate::client::supervise::{Recovery, Supervisor};
}
mod uri;
mod version;
mod waits;

pub use ack::AckType;
pub use auth::{Authenticator, DefaultAuthenticator};
pub use bookmark::BookmarkRange;
pub use client::{
    BookmarkSubscribe, Client, ClientStats, ConnectionState, Direction, ListenerId, LogonOptions,
    WeakClient,
};
pub use command::Command;
pub use command_type::CommandType;
pub use connection_info::ConnectionInfo;
pub use error::{Error, ErrorContext, Result};
pub use handler::HandlerOutcome;
pub use handler_c::{CMessage, CMessageFunction, CMessageHandler, CText};
pub use message::{Message, OofReason};
pub use options::{BookmarkNotFound, Options};
pub use store::{
    BookmarkResizeHandler, BookmarkStore, Logged, OutgoingCommand, PublishResizeHandler,
    PublishStore, StoredCommand,
};
pub use stream::{EndReason, MessageStream, StreamCanceller, TimeoutIter};
pub use subscription_manager::{
    FailedResubscribeHandler, MemorySubscriptionManager, SubscriptionHandler, SubscriptionManager,
    TrackedSubscription,
};
pub use tls_config::{TlsConfig, TlsVersion};
pub use typed::JsonStream;
pub use uri::{AmpsUri, IpProtocol, Transport, TransportOptions};
pub use version::VersionInfo;
