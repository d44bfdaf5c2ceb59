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
//! - Logon, with a hook that decides about credentials; heartbeats; the flush.
//! - Publish and subscribe on literal and regex topics, with [content filters](filter) and select
//!   lists, for the message types json, fix, nvfix, binary, and composites of these.
//! - Topics that keep the last value of each record, by key fields or by keys from the publisher,
//!   with expiration; queries in any order and page by page; queries that go on as subscriptions,
//!   also of one page or of [groups](filter::Projection) of records; deletes by filter, key and
//!   data.
//! - Out-of-focus messages for the four reasons; replacing any subscription, with the difference
//!   between the results; deltas published and subscribed to; conflation of updates.
//! - The acknowledgements of all these, persisted ones conflated if that is
//!   [switched on](Builder::conflate_acks) or there is a transaction log.
//! - A [transaction log](Builder::logged_topic): subscriptions that begin at a bookmark, a list, a
//!   time, in a range, and go on with what is published later; duplicates are dropped; a logon is
//!   told the last sequence number. A replay goes at the pace of its reader, or at a `rate`; it
//!   can be paused, and several can be resumed together.
//! - [Queues](QueueConfig) over logged topics: at least once or at most once, with leases, backlogs,
//!   three kinds of fairness, filters, priority, expiration, acknowledgements in lists; a query
//!   browses. With a bookmark a subscription to a queue replays its topics.
//! - [TLS](Builder::tls), with certificates of clients if you like, and
//!   [Unix sockets](Builder::unix_socket).
//! - [Entitlements](Builder::entitle): who may read and write what, down to single records.
//!
//! [`Broker`] has controls for tests: look at the state, wait for one, cut, stall or mute a client,
//! let writes fail, stop and restart the listener, send raw bytes, see what clients sent.
//!
//! - [History](TopicConfig::history): queries of the records as they were, also as the beginning
//!   of a subscription.
//! - [Replication](Broker::replicate_to) to another broker, without which nothing is persisted.
//! - With a [journal](Builder::journal), the log, the records and the queues survive the end of the
//!   process.
//!
//! # What it leaves out
//!
//! | left out | what a client sees |
//! |---|---|
//! | conflation of what is read from the log | `invalid options` |
//! | views, conflated topics, `conflation=auto` | no such topics; `invalid options` |
//! | aggregated subscriptions by pages or by a `conflation_key`, replacing them; composite types in a projection | `invalid options` |
//! | of queues: acknowledgements by way of another broker that the log is sent to, barriers, expiration models, what is to be done with expired messages, `lease_extension` | nothing of the kind; `invalid options` |
//! | xml and other message types | opaque payloads, as of `binary` |
//! | the fields of opaque payloads | a filter on them: `bad filter`; as keys: the broker does not start |
//! | some functions of filters | see [`filter`] |
//! | `/AMPS/…` topics | `invalid topic`; what is published to `/AMPS/devnull` is dropped |
//! | entitlements that change while a subscription is there | nothing: they are asked for once |
//! | compression, other protocols than `amps`, the HTTP preflight | |
//!
//! A refusal carries exactly the documented reason, because clients compare it. Why the command
//! was refused stands in the log, at debug level.
//!
//! # Where the documentation is silent
//!
//! The broker had to choose; nobody should rely on these. Those of the filter language, of orders,
//! deltas and select lists stand in [`filter`] and its types.
//!
//! Connections:
//! - A client logs on without a message type, or with one that is not configured: `invalid
//!   message type`, then the connection is closed. A second logon: `duplicate logon`, the
//!   connection stays.
//! - The user of a client is known only if logons are authenticated, so without a hook everybody
//!   may take over a name.
//! - `heartbeat` takes fractions of a second, and `stop`. A client is silent for too long after
//!   three intervals.
//! - A client that closes its sending side gets what is still under way, for at most a second.
//!
//! Writing:
//! - A refused publish or delete is answered by `processed` and by `persisted`, whichever were
//!   asked for; other refused commands by `processed` only.
//! - A message that is not readable, or has no value at a key field (absent, null, empty, an
//!   object), is refused with `bad sow key`. The number 1 and the text "1" make the same key, and
//!   an array that of its first element. A delta that cannot be merged: `invalid message`.
//! - `sow_delete` that selects nothing: `bad sow key`; by data and something else at once:
//!   `invalid options`. One that selects a record that the client may not delete deletes none.
//! - Conflated acknowledgements are per connection. A message without a sequence number is
//!   acknowledged by itself. A flush for `persisted` sends what is pending first.
//! - A topic that somebody named once is remembered, with its count of messages, until the broker
//!   ends.
//!
//! Subscriptions:
//! - One frame serves all subscriptions of a connection that get the same payload, so one with a
//!   select list may have a frame of its own. It has a timestamp or a record key if one of them
//!   wants it.
//! - A subscription id may not be `all`, contain a comma, or begin or end with a space: `invalid
//!   sub id`. Unsubscribing an unknown id succeeds, unsubscribing nothing is refused with `invalid
//!   sub id`.
//! - `oof` on a topic that keeps nothing is accepted and changes nothing. A pattern subscription
//!   that is conflated without a `conflation_key` is not conflated on such topics.
//! - A subscription that comes without `oof` sees deltas of records that it has not seen before,
//!   if these are older than the change.
//! - A message whose payload cannot be read is not sent where fields have to be selected.
//! - What a replaced subscription holds back for conflation is sent at once, before the new result.
//!   What its client knows already is, of the records that it shows: those that its query sent, if
//!   it came with one, and those that were published since. Where `top_n` without `skip_n`, or
//!   `sow_keys`, left out records, the client does not know these, but still what it knew before.
//! - Of a page, first what leaves is told, then what enters.
//!
//! The transaction log:
//! - It is in memory, from its beginning to the end of the broker; nothing is ever dropped, also
//!   not from a journal.
//! - In a journal, a record that is torn at the end is cut off with a warning; anything else that
//!   is wrong keeps the broker from starting and leaves the file as it is. What the file does not
//!   take is refused with `journal write failed`, by `persisted` too, and has not happened.
//!   Numbers of messages that are not logged are forgotten at the end of the broker.
//! - A publish that is refused is not a duplicate when it comes again. A client without a name is
//!   not recognized, so nothing that it sends is a duplicate. A delete of something that is not
//!   logged uses up its sequence number too.
//! - A list may contain any points, the beginning and times among them. The end of a range that is
//!   not in the log: `invalid bookmark`. An empty log is called `0` in acknowledgements.
//! - What a bookmark subscription gets later comes from the log as well, in frames of its own. If
//!   its client does not read, it waits there, however much that is; `live` is as patient in the
//!   replay, but not afterwards.
//! - While a replay is under way its `persisted` acknowledgements speak of the whole log,
//!   afterwards never of what the client has not been sent.
//! - What is said of reading a log, such as `rate`, without a bookmark: `invalid options`. A
//!   `pause` or `resume` that names a subscription without one: `invalid options`, and one that is
//!   not there: `invalid sub id`; then none of the list is paused or resumed.
//! - A rate counts the messages that are sent, not those that are looked at, and a late timer may
//!   be made up for by 1 ms. KB and the like are powers of 1024; B is understood, too.
//! - A broker that takes over from another gives messages times of its own.
//! - To the state at a time, or at a message, belongs what was processed then. Without a history a
//!   subscription with a query takes only the bookmark "now": `invalid bookmark`; of a pattern,
//!   topics without one show no records then. A state is worked out from the whole log.
//! - `fully_durable` holds back everything until the log is safe up to there.
//! - A subscription that replaces one with a bookmark, and has none itself, goes on where that one
//!   was.
//! - `oof`, pages and conflation do not go with a bookmark: `invalid options`.
//!
//! Queries:
//! - The records of a topic come in the order of their insertion, and in one group for all topics
//!   of a pattern; an order goes across the topics; a pattern that matches no topic gives an empty
//!   group. `sow` frames are closed early when they hold 8 MiB.
//! - The field and the option `top_n` together: the lesser counts. A batch size of 0 is 1. With
//!   `skip_n`, records that are equal in the order are in that of their keys.
//! - An empty filter is none, and so is an empty `orderby`, also where none is allowed.
//!
//! Queues:
//! - A message is delivered when it is in the log. A lease that does not end by itself is told as
//!   one until the last instant of the year 9999; with at-most-once delivery there is none.
//! - `max_backlog` counts for nothing on other topics, and 0 is `invalid options`. A pattern grants
//!   each of its queues the least of what they grant.
//! - An acknowledgement takes its topic as a name, be there metacharacters in it or not. `stats`
//!   counts as deleted what was acknowledged or expired, not what was given back. By a filter, every
//!   message is acknowledged that matches and is the client's to acknowledge. `cancel` of a message
//!   that nobody has leased does nothing.
//! - A message comes back to its place by age. One whose time is over while it is leased expires
//!   when it comes back; a message's own lifetime counts also if the queue sets none.
//! - `sow_and_subscribe` browses and then consumes. Browsed messages carry their bookmark and no
//!   key. Conflation and pages on a queue: `invalid options`.
//! - With a bookmark, a subscription to a queue needs to be entitled to the topics of the queue.
//!
//! Groups of records:
//! - A group has a key made of its values. Every message that concerns a group is followed by the
//!   record of the group, be that another one or not; a group that loses its last record goes out of
//!   focus with the record that it was.
//! - The filter and `sow_keys` are for the records, the order and the page for the groups.
//!   `matches` counts records, `records_returned` groups.
//! - An aggregated query of a queue makes groups of what it would browse.
//!
//! # Threads
//!
//! One accepts, one keeps time, and each connection has a reader and a writer. The reader carries
//! out commands under one lock, which makes the one total order of messages; it encodes straight
//! into the output buffers of the subscribers. Whoever lets more than
//! [`Builder::output_limit`] pile up there loses its connection, so a client that does not read
//! holds up nobody. A result piles up as a whole, so that is the limit of a result as well, however
//! fast its client reads. A replay goes on in small steps under the same lock: in the turn that
//! appends to the log if it has caught up, else on the writer whenever that has written what there
//! was. Each broker that the log is sent to has a thread. Log levels: `warn` for what the broker or a client should not do, `info` for
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
mod queue;
mod reason;
mod request;
mod server;
mod session;
mod sow;
mod time;
mod tls;
mod topic;
mod txlog;

pub use auth::{Credentials, Logon};
pub use builder::Builder;
pub use config::TopicConfig;
pub use controls::State;
pub use entitlement::{Access, AccessRequest, Entitlement};
pub use error::BrokerError;
pub use peer::{Peer, PeerConnection, field, framed};
pub use queue::{Delivery, Fairness, LeaseOwner, QueueConfig};
pub use server::Broker;
pub use tls::ServerTls;
