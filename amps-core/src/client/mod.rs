//! The client: one connection, one receive thread, any number of handles.

mod callbacks;
mod connection;
mod execute;
mod logon;
mod outbox;
mod pending;
mod receive;
mod routes;
mod send;
mod shared;

pub use callbacks::{ConnectionState, ListenerId};
pub use logon::LogonOptions;
pub(crate) use routes::Route;
pub(crate) use shared::WeakShared;

use crate::ack::AckType;
use crate::command::{Command, whole_seconds};
use crate::command_type::CommandType;
use crate::error::{Error, ErrorContext, Result};
use crate::handler::{HandlerOutcome, MessageHandler};
use crate::message::Message;
use crate::protocol::{Field, FrameWriter};
use crate::stream::{MessageStream, StreamQueue};
use crate::version::VersionInfo;
use parking_lot::Mutex;
use routes::Sink;
use shared::Shared;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How long the named methods wait for the server; a [`Command`] has a timeout of its own.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection to an AMPS server.
///
/// A `Client` is a handle: cloning it is cheap, every method takes `&self`, and all clones share
/// one connection, which any number of threads may use at once. Dropping the last handle
/// disconnects; a [`MessageStream`] is a handle, too. Each connection has a thread of its own that
/// receives, runs the handlers, and fills the streams.
///
/// Everything that waits for the server has a bound or takes one, and ends at once when the
/// connection does. On the receive thread, that is in handlers, such calls are refused with
/// [`Error::Usage`]; publishing, unsubscribing, closing streams and disconnecting are fine there.
///
/// A handler that needs its client must not own a clone of it: the client owns the handler, so
/// neither would ever be dropped. Use [`Client::downgrade`]:
///
/// ```
/// # use amps_core::{Client, Command, Message};
/// # fn run(client: &Client) -> amps_core::Result<()> {
/// let weak = client.downgrade();
/// client.execute_async(
///     Command::new("subscribe").set_topic("requests"),
///     move |message: &Message| {
///         if let Some(client) = weak.upgrade() {
///             client.publish("replies", message.data())?;
///         }
///         Ok::<(), amps_core::Error>(())
///     },
/// )?;
/// # Ok(())
/// # }
/// ```
///
/// Guide chapters 3 and 4; rules B1 to B18.
#[derive(Clone)]
pub struct Client {
    pub(crate) handle: Arc<Handle>,
}

/// What the clones of a client count: the last one disconnects.
pub(crate) struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Nobody is left to hear of an error.
        let _ = self.shared.disconnect();
    }
}

/// A handle that does not keep its client alive: for closures that the client itself owns.
#[derive(Clone)]
pub struct WeakClient {
    handle: Weak<Handle>,
}

impl WeakClient {
    /// The client, if a handle of it is left.
    pub fn upgrade(&self) -> Option<Client> {
        self.handle.upgrade().map(|handle| Client { handle })
    }
}

impl fmt::Debug for WeakClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakClient")
    }
}

/// Connecting and the state of the connection.
impl Client {
    /// Makes a client that is not connected.
    ///
    /// The name should be unique among the clients of a server and stay the same from run to run:
    /// the server tells publishers apart by it.
    pub fn new(name: impl AsRef<str>) -> Client {
        let shared = Arc::new(Shared::new(name.as_ref().to_string()));
        let handle = Arc::new(Handle {
            shared: shared.clone(),
        });
        *shared.handle.lock() = Arc::downgrade(&handle);
        Client { handle }
    }

    /// A handle that does not keep the client alive.
    pub fn downgrade(&self) -> WeakClient {
        WeakClient {
            handle: Arc::downgrade(&self.handle),
        }
    }

    /// The name of this client.
    pub fn name(&self) -> String {
        self.shared().name()
    }

    /// Changes the name, for the next logon.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] while connected; the name stays (rule B17).
    pub fn set_name(&self, name: impl AsRef<str>) -> Result<()> {
        if self.is_connected() {
            return Err(ErrorContext::new("rename the client", self.name())
                .with_reason("it is connected")
                .Usage());
        }
        *self.shared().name.lock() = name.as_ref().to_string();
        Ok(())
    }

    /// Sets how long [`Client::connect`] may take; zero leaves it to the system. Default 10 s.
    pub fn set_connect_timeout(&self, timeout: Duration) {
        self.shared().settings.lock().connect_timeout = timeout;
    }

    /// Sets a token that goes out with every logon and shows in the server's log.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] if it has characters outside the Base64 alphabet; nothing changes
    /// (rule B11).
    pub fn set_logon_correlation_data(&self, data: impl AsRef<str>) -> Result<()> {
        let data = data.as_ref();
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
        if !data.bytes().all(allowed) {
            return Err(ErrorContext::new("set the logon correlation data to", data)
                .with_reason("only characters of the Base64 alphabet are allowed")
                .Usage());
        }
        self.shared().settings.lock().logon_correlation_data = data.to_string();
        Ok(())
    }

    /// Connects to the server at `uri` and starts the receive thread.
    ///
    /// The name look-up and the dial take no longer than
    /// [`set_connect_timeout`](Client::set_connect_timeout) and end at once when another thread
    /// calls [`disconnect`](Client::disconnect). Most servers want a [`logon`](Client::logon)
    /// next. Guide §3.2; rules A1 to A7, B1 to B3.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyConnected`]: nothing changed. [`Error::InvalidUri`],
    /// [`Error::TransportType`], [`Error::MessageType`], [`Error::InvalidTransportOptions`]: the
    /// connection string is wrong, nothing was opened. [`Error::ConnectionRefused`],
    /// [`Error::TimedOut`], [`Error::Connection`]: nobody answered; the client is disconnected and
    /// may try again. [`Error::Disconnected`]: `disconnect` was called meanwhile.
    pub fn connect(&self, uri: impl AsRef<str>) -> Result<()> {
        self.shared().connect(uri.as_ref())
    }

    /// Logs on with the credentials of the connection string; waits up to 10 s for the answer.
    ///
    /// Guide §3.2, §3.3; rules B4 to B12.
    ///
    /// # Errors
    ///
    /// As [`Client::logon_with`].
    pub fn logon(&self) -> Result<()> {
        self.logon_with(LogonOptions::default())
    }

    /// Logs on.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`]: there is no connection, or it was lost while waiting.
    /// [`Error::Authentication`], [`Error::NotEntitled`], [`Error::NameInUse`],
    /// [`Error::MessageTypeNotFound`] and the like: the server refused, and closes the connection.
    /// [`Error::RetryOperation`]: it asked for another attempt three times.
    /// [`Error::TimedOut`]: no answer; the connection is still there.
    /// [`Error::Usage`]: called from a handler of this client.
    pub fn logon_with(&self, options: LogonOptions) -> Result<()> {
        self.shared().logon(&options)
    }

    /// Ends the connection.
    ///
    /// What was published is delivered: the writing side is closed first, and the socket only
    /// when the server has closed its own, or after the lesser of the option `tcp_linger` and 1 s.
    /// Every waiting call ends with [`Error::Disconnected`], every stream after the messages that
    /// are queued in it. Returns when the receive thread has ended, or, if a handler is still
    /// running, after 2 s at the latest. No disconnect handler is called, also not if the
    /// connection was about to be lost. Settings and callbacks stay; subscriptions do not.
    ///
    /// Disconnecting a client that is not connected does nothing. May be called from any thread
    /// and from handlers, and cancels a `connect` in progress. Rules B15, B16.
    ///
    /// # Errors
    ///
    /// None at present: what is sent has been written when the call that sent it returned.
    pub fn disconnect(&self) -> Result<()> {
        self.shared().disconnect()
    }

    /// The same as [`Client::disconnect`].
    ///
    /// # Errors
    ///
    /// As [`Client::disconnect`].
    pub fn close(&self) -> Result<()> {
        self.disconnect()
    }

    /// True from a successful `connect` until the connection is lost or closed.
    pub fn is_connected(&self) -> bool {
        self.shared().state.lock().connection.is_some()
    }

    /// True from a successful logon until the connection is lost or closed.
    pub fn is_logged_on(&self) -> bool {
        self.shared().state.lock().session.is_some()
    }

    /// The connection string last given to `connect`, as it was given.
    pub fn uri(&self) -> Option<String> {
        self.shared().state.lock().last_uri.clone()
    }

    /// The version of the server, as the logon acknowledgement told; 0.0.0.0 before the logon.
    pub fn server_version_info(&self) -> VersionInfo {
        self.session(|session| session.version)
    }

    /// The version of the server as a number that can be compared; 0 before the logon.
    pub fn server_version(&self) -> u64 {
        self.server_version_info().to_number()
    }

    /// The publisher id that the server made of the client's name; empty before the logon.
    pub fn name_hash(&self) -> String {
        self.session(|session| session.name_hash.clone())
    }

    fn session<T: Default>(&self, read: impl FnOnce(&shared::Session) -> T) -> T {
        let state = self.shared().state.lock();
        state.session.as_ref().map(read).unwrap_or_default()
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }
}

/// Publishing.
impl Client {
    /// Publishes a message and returns at once; the number is 0 without a publish store.
    ///
    /// The message has been handed to the operating system when this returns; it may wait for
    /// space in the socket if the server is slow to read. Fine in a handler, where that wait also
    /// holds up receiving. Guide §3.2.
    ///
    /// ```no_run
    /// # fn run(client: &amps_core::Client) -> amps_core::Result<()> {
    /// client.publish("orders", r#"{"id":1,"qty":100}"#)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`]: not connected, or the connection broke; in that case the server
    /// may have received it. [`Error::InvalidTopic`]: the topic is empty, nothing was sent.
    /// [`Error::Usage`]: the payload is beyond the protocol's limit, nothing was sent.
    #[inline]
    pub fn publish(&self, topic: impl AsRef<str>, data: impl AsRef<[u8]>) -> Result<u64> {
        self.publish_as(CommandType::Publish, topic.as_ref(), data.as_ref(), None)
    }

    /// Publishes a record that expires after `lifetime`: whole seconds, a part of one counts as
    /// one; zero never expires.
    ///
    /// # Errors
    ///
    /// As [`Client::publish`].
    pub fn publish_with_expiration(
        &self,
        topic: impl AsRef<str>,
        data: impl AsRef<[u8]>,
        lifetime: Duration,
    ) -> Result<u64> {
        let seconds = Some(whole_seconds(lifetime));
        self.publish_as(CommandType::Publish, topic.as_ref(), data.as_ref(), seconds)
    }

    /// Publishes the changed fields of a record, which the server merges into it.
    ///
    /// The data must contain the fields that make up the key of the record. Guide §8.3.
    ///
    /// # Errors
    ///
    /// As [`Client::publish`].
    pub fn delta_publish(&self, topic: impl AsRef<str>, data: impl AsRef<[u8]>) -> Result<u64> {
        let command = CommandType::DeltaPublish;
        self.publish_as(command, topic.as_ref(), data.as_ref(), None)
    }

    /// As [`Client::delta_publish`], for a record that expires after `lifetime`.
    ///
    /// # Errors
    ///
    /// As [`Client::publish`].
    pub fn delta_publish_with_expiration(
        &self,
        topic: impl AsRef<str>,
        data: impl AsRef<[u8]>,
        lifetime: Duration,
    ) -> Result<u64> {
        let command = CommandType::DeltaPublish;
        let seconds = Some(whole_seconds(lifetime));
        self.publish_as(command, topic.as_ref(), data.as_ref(), seconds)
    }

    #[inline]
    fn publish_as(
        &self,
        command: CommandType,
        topic: &str,
        data: &[u8],
        expiration: Option<u64>,
    ) -> Result<u64> {
        let context = || ErrorContext::new("publish to", topic);
        if topic.is_empty() {
            return Err(context().with_reason("the topic is empty").InvalidTopic());
        }
        self.shared().send(data, context, |out| {
            let mut frame = FrameWriter::begin(out, command);
            frame.text(Field::Topic, topic.as_bytes());
            if let Some(seconds) = expiration {
                frame.number(Field::Expiration, seconds);
            }
            frame.finish_header(data.len());
        })?;
        Ok(0)
    }

    /// Waits until the server has processed everything that this client sent before; zero waits
    /// for ever. Guide §3.2; rule K10.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`]: no answer in time; the messages are on their way all the same.
    /// [`Error::Disconnected`]: not connected, or lost while waiting: nothing is known of what was
    /// sent last. [`Error::Usage`]: called from a handler of this client.
    pub fn publish_flush(&self, timeout: Duration) -> Result<()> {
        let flush = Command::from(CommandType::Flush)
            .set_ack_type(AckType::COMPLETED)
            .set_timeout(timeout);
        self.shared().execute(flush, Sink::Nobody)?;
        Ok(())
    }
}

/// Receiving: each method in a form that returns a stream and in one that takes a handler.
impl Client {
    /// Subscribes to a topic, literal or a regular expression, and returns its messages as a
    /// stream. Waits up to 10 s for the server to accept it. Guide §4.1, §4.5.
    ///
    /// # Errors
    ///
    /// As [`Client::execute`].
    pub fn subscribe(&self, topic: impl AsRef<str>) -> Result<MessageStream> {
        self.execute(named("subscribe", topic.as_ref(), ""))
    }

    /// Subscribes to the messages of a topic that match a content filter.
    ///
    /// # Errors
    ///
    /// As [`Client::execute`].
    pub fn subscribe_filtered(
        &self,
        topic: impl AsRef<str>,
        filter: impl AsRef<str>,
    ) -> Result<MessageStream> {
        self.execute(named("subscribe", topic.as_ref(), filter.as_ref()))
    }

    /// Subscribes to a topic with a handler; returns the subscription id.
    ///
    /// # Errors
    ///
    /// As [`Client::execute_async`].
    pub fn subscribe_async<H, O>(
        &self,
        handler: H,
        topic: impl AsRef<str>,
        filter: Option<&str>,
    ) -> Result<String>
    where
        H: FnMut(&Message) -> O + Send + 'static,
        O: HandlerOutcome,
    {
        let filter = filter.unwrap_or_default();
        self.execute_async(named("subscribe", topic.as_ref(), filter), handler)
    }

    /// Queries a SOW topic: `group_begin`, a `sow` message for each record, `group_end`, then the
    /// stream ends. Guide §6.1.
    ///
    /// # Errors
    ///
    /// As [`Client::execute`].
    pub fn sow(&self, topic: impl AsRef<str>) -> Result<MessageStream> {
        self.execute(named("sow", topic.as_ref(), ""))
    }

    /// Queries the records of a SOW topic that match a content filter.
    ///
    /// # Errors
    ///
    /// As [`Client::execute`].
    pub fn sow_filtered(
        &self,
        topic: impl AsRef<str>,
        filter: impl AsRef<str>,
    ) -> Result<MessageStream> {
        self.execute(named("sow", topic.as_ref(), filter.as_ref()))
    }

    /// Queries a SOW topic with a handler; returns the command id.
    ///
    /// # Errors
    ///
    /// As [`Client::execute_async`].
    pub fn sow_async<H, O>(
        &self,
        handler: H,
        topic: impl AsRef<str>,
        filter: Option<&str>,
    ) -> Result<String>
    where
        H: FnMut(&Message) -> O + Send + 'static,
        O: HandlerOutcome,
    {
        let filter = filter.unwrap_or_default();
        self.execute_async(named("sow", topic.as_ref(), filter), handler)
    }

    /// Queries a SOW topic and subscribes to it in one step: the records, then every change, none
    /// lost and none twice in between. Guide §6.2.
    ///
    /// # Errors
    ///
    /// As [`Client::execute`].
    pub fn sow_and_subscribe(&self, topic: impl AsRef<str>) -> Result<MessageStream> {
        self.execute(named("sow_and_subscribe", topic.as_ref(), ""))
    }

    /// As [`Client::sow_and_subscribe`], for the records that match a content filter.
    ///
    /// # Errors
    ///
    /// As [`Client::execute`].
    pub fn sow_and_subscribe_filtered(
        &self,
        topic: impl AsRef<str>,
        filter: impl AsRef<str>,
    ) -> Result<MessageStream> {
        self.execute(named("sow_and_subscribe", topic.as_ref(), filter.as_ref()))
    }

    /// Queries and subscribes with a handler; returns the subscription id.
    ///
    /// # Errors
    ///
    /// As [`Client::execute_async`].
    pub fn sow_and_subscribe_async<H, O>(
        &self,
        handler: H,
        topic: impl AsRef<str>,
        filter: Option<&str>,
    ) -> Result<String>
    where
        H: FnMut(&Message) -> O + Send + 'static,
        O: HandlerOutcome,
    {
        let filter = filter.unwrap_or_default();
        self.execute_async(named("sow_and_subscribe", topic.as_ref(), filter), handler)
    }

    /// Ends a subscription: an id, a comma list of ids, or `all`.
    ///
    /// Messages stop coming to the handler at once, and its stream ends; the server is told
    /// without waiting for it. Fine in a handler. Without a connection there is nothing left to
    /// tell. Guide §4.2; rule D12.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSubId`] if the id is empty.
    pub fn unsubscribe(&self, id: impl AsRef<str>) -> Result<()> {
        self.shared().unsubscribe(id.as_ref())
    }

    /// Ends every subscription of this client.
    ///
    /// # Errors
    ///
    /// None at present.
    pub fn unsubscribe_all(&self) -> Result<()> {
        self.unsubscribe("all")
    }

    /// Sends a command and returns what it brings as a stream.
    ///
    /// Waits until the server has accepted the command, for as long as its
    /// [`timeout`](Command::timeout) says; publishes and unsubscribes do not wait. The stream of a
    /// query ends with its result, that of a delete or flush with the acknowledgements that were
    /// asked for, that of a publish at once. Guide §4.1, §10.3; rules D1 to D9.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`]: not connected, or lost while waiting; whether the server executed
    /// it is not known. [`Error::TimedOut`]: no answer in time; a subscription or query is taken
    /// back. [`Error::SubIdInUse`], [`Error::SubscriptionAlreadyExists`], [`Error::InvalidTopic`]
    /// (empty topic): found here, nothing was sent. [`Error::Usage`]: called from a handler of
    /// this client. Any other [command error](Error::is_command_error): the server refused, and
    /// nothing is left of the command.
    pub fn execute(&self, command: Command) -> Result<MessageStream> {
        let publishes = matches!(
            command.command(),
            CommandType::Publish | CommandType::DeltaPublish
        );
        let queue = Arc::new(StreamQueue::new());
        let sink = match publishes {
            true => Sink::Nobody,
            false => Sink::Stream(queue.clone()),
        };
        let executed = self.shared().execute(command, sink)?;
        Ok(match executed.route {
            Some(route) if !publishes => MessageStream::new(self.clone(), route, queue),
            _ => MessageStream::complete(self.clone()),
        })
    }

    /// Sends a command and hands what it brings to a handler on the receive thread; returns the
    /// subscription id, or for other commands the command id.
    ///
    /// Waits as [`Client::execute`] does. The handler may run before this returns. It runs on one
    /// thread at a time with no lock of the client held; while it runs, nothing else is received,
    /// so it should be short. An `Err` or a panic in it goes to the exception listener, and the
    /// next message comes all the same. Guide §4.1, §4.3.
    ///
    /// # Errors
    ///
    /// As [`Client::execute`].
    pub fn execute_async<H, O>(&self, command: Command, handler: H) -> Result<String>
    where
        H: FnMut(&Message) -> O + Send + 'static,
        O: HandlerOutcome,
    {
        let sink = Sink::Handler(MessageHandler::new(handler));
        Ok(self.shared().execute(command, sink)?.id)
    }

    /// Sends a command whose results and acknowledgements nobody wants; returns its id.
    ///
    /// # Errors
    ///
    /// As [`Client::execute`].
    pub fn execute_async_no_handler(&self, command: Command) -> Result<String> {
        Ok(self.shared().execute(command, Sink::Nobody)?.id)
    }
}

/// Callbacks. Each replaces the one before it; each runs with no lock of the client held.
impl Client {
    /// Sets who is told of errors that no caller can be told of: a lost connection, a handler
    /// that failed or panicked. Runs on the thread where it happened, mostly the receive thread.
    /// Default: such errors are logged and otherwise ignored. Guide §5.4.
    pub fn set_exception_listener(&self, listener: impl Fn(&Error) + Send + Sync + 'static) {
        let listener = Arc::new(listener);
        self.shared().callbacks.set_exception_listener(listener);
    }

    /// Sets who gets the messages that nobody else took. Runs on the receive thread. Default:
    /// they are dropped. Guide §5.3.
    pub fn set_last_chance_message_handler<H, O>(&self, handler: H)
    where
        H: FnMut(&Message) -> O + Send + 'static,
        O: HandlerOutcome,
    {
        let handler = MessageHandler::new(handler);
        self.shared().callbacks.set_last_chance(handler);
    }

    /// Sets who gets every message of one type, after the handler or stream that it is routed to.
    /// Runs on the receive thread. Default: nobody.
    pub fn set_global_command_type_message_handler<H, O>(&self, command: CommandType, handler: H)
    where
        H: FnMut(&Message) -> O + Send + 'static,
        O: HandlerOutcome,
    {
        let handler = MessageHandler::new(handler);
        self.shared().callbacks.set_by_command(command, handler);
    }

    /// Sets what is called when the connection is lost, not when it is closed on purpose.
    ///
    /// Runs on the receive thread of the lost connection, after every stream has ended; it may
    /// connect, log on and subscribe again, because the new connection has a thread of its own.
    /// An error or a panic goes to the exception listener. Default: none, the client stays
    /// disconnected. Guide §5.2; rules I1 to I5.
    pub fn set_disconnect_handler(
        &self,
        handler: impl FnMut(&Client) -> Result<()> + Send + 'static,
    ) {
        let handler = Arc::new(Mutex::new(handler));
        self.shared().callbacks.set_disconnect_handler(handler);
    }

    /// Sets what runs first on each new receive thread, such as naming or pinning it.
    pub fn set_thread_created_callback(&self, callback: impl Fn() + Send + Sync + 'static) {
        self.shared()
            .callbacks
            .set_thread_created(Arc::new(callback));
    }

    /// Adds a listener for the steps of the connection; runs on the thread that takes the step.
    pub fn add_connection_state_listener(
        &self,
        listener: impl Fn(ConnectionState) + Send + Sync + 'static,
    ) -> ListenerId {
        self.shared()
            .callbacks
            .add_state_listener(Arc::new(listener))
    }

    /// Removes a listener; false if it is not there.
    pub fn remove_connection_state_listener(&self, id: ListenerId) -> bool {
        self.shared().callbacks.remove_state_listener(id)
    }

    /// Removes every listener for the steps of the connection.
    pub fn clear_connection_state_listeners(&self) {
        self.shared().callbacks.clear_state_listeners();
    }
}

/// The name and the last connection string; never a password.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared().state.lock();
        let uri = state.connection.as_ref().map(|live| live.uri.to_string());
        let logged_on = state.session.is_some();
        drop(state);
        f.debug_struct("Client")
            .field("name", &self.name())
            .field("connected_to", &uri)
            .field("logged_on", &logged_on)
            .finish()
    }
}

/// A command of the short form.
fn named(command: &str, topic: &str, filter: &str) -> Command {
    Command::new(command)
        .set_topic(topic)
        .set_filter(filter)
        .set_timeout(DEFAULT_TIMEOUT)
}
