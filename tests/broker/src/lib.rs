//! A stand-in for an AMPS server: for tests, examples and trying things out.
//!
//! AMPS is a commercial product and cannot be shipped with a client. This broker speaks the
//! `amps` protocol over real sockets and behaves as the public documentation of AMPS 5.3.5 says,
//! as far as it goes. It is no AMPS: in production you connect to AMPS.
//!
//! ```
//! use amps_broker::Broker;
//!
//! # fn main() -> Result<(), amps_broker::BrokerError> {
//! let broker = Broker::builder().sow_topic("orders", ["/id"]).start()?;
//! let uri = broker.uri("json"); // give this to a client
//! assert_eq!(uri, format!("tcp://{}/amps/json", broker.address()));
//! # Ok(())
//! # }
//! ```
//!
//! It is also a program: `cargo run -p amps-broker -- --help`.
//!
//! # What it does
//!
//! Logon with a hook that decides, heartbeats, publish and subscribe on literal and regex topics,
//! topics that keep the last value of each record (by key fields of JSON messages, or by keys
//! from the publisher), queries, queries that go on as subscriptions, deletes by key, by data and
//! of everything, flush, and the acknowledgements of all these. [`Broker`] has controls for
//! tests: look at the state, wait for one, cut, stall or mute a client, stop and restart the
//! listener, send raw bytes, see what clients sent.
//!
//! # What it leaves out
//!
//! | left out | what a client sees |
//! |---|---|
//! | content filters, except `1=1` | `bad filter` |
//! | bookmarks, replay, history, the transaction log | `invalid bookmark`; an option: `invalid options` |
//! | `orderby`, `skip_n`, pagination | `invalid order by`, `invalid options` |
//! | out-of-focus messages, conflation, select lists, projection, `rate`, `pause`, `max_backlog` | `invalid options` |
//! | `replace` on `sow_and_subscribe`, if the id is in use | `invalid options` |
//! | `delta_publish`, `delta_subscribe`, `sow_and_delta_subscribe` | `unknown command`; the connection stays |
//! | queues | `sow_delete` with a bookmark: `invalid topic`; with an option: `invalid options` |
//! | keys out of messages that are not JSON | the broker does not start |
//! | expiration | nothing: no topic has it enabled |
//! | `/AMPS/…` topics | `invalid topic`; what is published to `/AMPS/devnull` is dropped |
//! | entitlements, TLS, Unix sockets, compression, other protocols than `amps` | |
//!
//! A refusal carries exactly the documented reason, because clients compare it. Why the command
//! was refused stands in the log, at debug level.
//!
//! # Where the documentation is silent
//!
//! The broker had to choose; nobody should rely on these.
//!
//! - A client logs on without a message type, or with one that is not configured: `invalid
//!   message type`, then the connection is closed. A second logon: `duplicate logon`, the
//!   connection stays.
//! - The user of a client is known only if logons are authenticated, so without a hook everybody
//!   may take over a name.
//! - A refused publish or delete is answered by `processed` and by `persisted`, whichever were
//!   asked for; other refused commands by `processed` only.
//! - A message that is not readable, or has no value at a key field (absent, null, empty, an
//!   array, an object), is refused with `bad sow key`. The number 1 and the text "1" make the
//!   same key.
//! - One frame serves all subscriptions of a connection; it has a timestamp or a record key if
//!   one of them wants it.
//! - A subscription id may not be `all` or contain a comma: `invalid sub id`. Unsubscribing an
//!   unknown id succeeds, unsubscribing nothing is refused with `invalid sub id`.
//! - A query returns the records of a topic in the order of their insertion, and one group for
//!   all topics of a pattern; a pattern that matches no topic gives an empty group. `sow` frames
//!   are closed early when they hold 8 MiB.
//! - The field and the option `top_n` together: the lesser counts. A batch size of 0 is 1.
//! - `sow_delete` that selects nothing: `bad sow key`; by data and something else at once:
//!   `invalid options`.
//! - `heartbeat` takes fractions of a second, and `stop`. A client is silent for too long after
//!   three intervals.
//! - An empty filter is none. `1=1` is understood everywhere.
//! - A topic that somebody named once is remembered, with its count of messages, until the broker
//!   ends.
//! - A client that closes its sending side gets what is still under way, for at most a second.
//!
//! # Threads
//!
//! One accepts, one keeps time, and each connection has a reader and a writer. The reader carries
//! out commands under one lock, which makes the one total order of messages; it encodes straight
//! into the output buffers of the subscribers. Whoever lets more than
//! [`Builder::output_limit`] pile up there loses its connection, so a client that does not read
//! holds up nobody. Log levels: `warn` for what the broker or a client should not do, `info` for
//! connections and logons, `debug` for refusals.

#![forbid(unsafe_code)]

mod ack;
mod auth;
mod builder;
mod config;
mod config_file;
mod controls;
mod engine;
mod entitlement;
mod error;
pub mod filter;
mod hash;
mod interval;
pub mod message_type;
mod options;
mod peer;
mod reason;
mod request;
mod server;
mod session;
mod sow;
mod time;
mod topic;

pub use auth::{Credentials, Logon};
pub use builder::Builder;
pub use config::TopicConfig;
pub use controls::State;
pub use entitlement::{Access, AccessRequest, Entitlement};
pub use error::BrokerError;
pub use peer::{Peer, PeerConnection, field, framed};
pub use server::Broker;
