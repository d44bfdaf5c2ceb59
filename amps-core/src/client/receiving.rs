//! The methods that subscribe, query and delete, and those that execute any command.

use super::Client;
use super::route::Sink;
use crate::ack::AckType;
use crate::command::Command;
#[cfg(doc)]
use crate::error::Error;
use crate::error::{ErrorContext, Result};
use crate::handler::{HandlerOutcome, MessageHandler};
use crate::message::Message;
use crate::queue::StreamQueue;
use crate::stream::MessageStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the named methods wait for the server; a [`Command`] has a timeout of its own.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

macro_rules! receiving_commands {
    ($($(#[$doc:meta])* $name:ident, $filtered:ident, $handled:ident;)*) => {
        /// The receiving commands in their short form: as a stream, as a stream of what matches a
        /// content filter, and with a handler. Each waits up to 10 s for the server to accept it;
        /// everything else that the command can have is set on a [`Command`].
        impl Client {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                ///
                /// As [`Client::execute`].
                pub fn $name(&self, topic: impl AsRef<str>) -> Result<MessageStream> {
                    self.execute(named(stringify!($name), topic.as_ref(), ""))
                }

                #[doc = concat!("As [`Client::", stringify!($name), "`], for what matches a")]
                #[doc = "content filter."]
                ///
                /// # Errors
                ///
                /// As [`Client::execute`].
                pub fn $filtered(
                    &self,
                    topic: impl AsRef<str>,
                    filter: impl AsRef<str>,
                ) -> Result<MessageStream> {
                    self.execute(named(stringify!($name), topic.as_ref(), filter.as_ref()))
                }

                #[doc = concat!("As [`Client::", stringify!($name), "`], with a handler on the")]
                #[doc = "receive thread; returns the id as [`Client::execute_async`] does."]
                ///
                /// # Errors
                ///
                /// As [`Client::execute_async`].
                pub fn $handled<H, O>(
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
                    self.execute_async(named(stringify!($name), topic.as_ref(), filter), handler)
                }
            )*
        }
    };
}

receiving_commands! {
    /// Subscribes to a topic, literal or a regular expression. Guide §4.1, §4.5.
    subscribe, subscribe_filtered, subscribe_async;

    /// Subscribes to the changes of the records of a topic: the key fields and the fields that
    /// changed. Guide §8.2.
    delta_subscribe, delta_subscribe_filtered, delta_subscribe_async;

    /// Queries a SOW topic: `group_begin`, a `sow` message for each record, `group_end`, then the
    /// stream ends. Guide §6.1.
    sow, sow_filtered, sow_async;

    /// Queries a SOW topic and subscribes to it in one step: the records, then every change, none
    /// lost and none twice in between. Guide §6.2.
    sow_and_subscribe, sow_and_subscribe_filtered, sow_and_subscribe_async;

    /// Queries a SOW topic and subscribes to the changes of its records in one step. Guide §10.4.
    sow_and_delta_subscribe, sow_and_delta_subscribe_filtered, sow_and_delta_subscribe_async;
}

/// Deleting records of a SOW topic.
impl Client {
    /// Deletes the records that match a filter (`1=1` deletes all), and returns the server's
    /// statistics: [`Message::records_deleted`], [`Message::matches`].
    ///
    /// Waits up to 10 s. Subscribers that asked for out-of-focus messages get one for each record.
    /// Guide §6.5.
    ///
    /// ```no_run
    /// # fn run(client: &amps_core::Client) -> amps_core::Result<()> {
    /// let deleted = client.sow_delete("orders", "/qty = 0")?;
    /// println!("{:?} orders deleted", deleted.records_deleted());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Client::execute`]. After [`Error::TimedOut`] and
    /// [`Error::Disconnected`] it is not known whether the server
    /// deleted anything.
    pub fn sow_delete(&self, topic: impl AsRef<str>, filter: impl AsRef<str>) -> Result<Message> {
        self.delete(named("sow_delete", topic.as_ref(), filter.as_ref()))
    }

    /// As [`Client::sow_delete`], with a handler that gets the statistics; returns the command id.
    ///
    /// # Errors
    ///
    /// As [`Client::execute_async`].
    pub fn sow_delete_async<H, O>(
        &self,
        handler: H,
        topic: impl AsRef<str>,
        filter: impl AsRef<str>,
    ) -> Result<String>
    where
        H: FnMut(&Message) -> O + Send + 'static,
        O: HandlerOutcome,
    {
        let command = named("sow_delete", topic.as_ref(), filter.as_ref());
        self.execute_async(command.add_ack_type(AckType::STATS), handler)
    }

    /// Deletes the records with these keys, a comma list as they stand in
    /// [`Message::sow_key`]; unknown keys are ignored.
    ///
    /// # Errors
    ///
    /// As [`Client::sow_delete`].
    pub fn sow_delete_by_keys(
        &self,
        topic: impl AsRef<str>,
        keys: impl AsRef<str>,
    ) -> Result<Message> {
        self.delete(named("sow_delete", topic.as_ref(), "").set_sow_keys(keys))
    }

    /// Deletes the record that publishing this message would update.
    ///
    /// # Errors
    ///
    /// As [`Client::sow_delete`].
    pub fn sow_delete_by_data(
        &self,
        topic: impl AsRef<str>,
        data: impl AsRef<[u8]>,
    ) -> Result<Message> {
        self.delete(named("sow_delete", topic.as_ref(), "").set_data(data))
    }

    /// One bound for the server's word and for the statistics that follow it.
    fn delete(&self, command: Command) -> Result<Message> {
        let topic = command.topic().to_string();
        let deadline = Instant::now() + command.timeout();
        let queue = Arc::new(StreamQueue::new(0));
        let sink = Sink::Stream(queue.clone());
        let command = command.add_ack_type(AckType::STATS);
        let executed = self.shared().execute(command, sink)?;
        let stats = match executed.route {
            Some(route) => {
                let left = deadline.saturating_duration_since(Instant::now());
                MessageStream::new(self.clone(), route, queue).next_timeout(left)?
            }
            None => None,
        };
        if let Some(stats) = stats {
            return stats.to_result().map(|()| stats);
        }
        let context = ErrorContext::new("delete records of", topic)
            .with_reason("the connection was lost before the statistics came");
        Err(match executed.sequence {
            // The store has it, and will send it again if the server does not have it.
            Some(sequence) => context.with_sequence(sequence).RetryOperation(),
            None => context.Disconnected(),
        })
    }
}

/// Executing any command, and ending what it began.
impl Client {
    /// Ends a subscription: an id, a comma list of ids, or `all`.
    ///
    /// The handler is not called any more, except that a call that is being made goes on; the
    /// stream ends. The server is told without waiting for it. Fine in a handler. Without a connection there is nothing left to
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
    /// it is not known. (With [retry on](Client::set_retry_on_disconnect) it is sent again
    /// instead.) [`Error::RetryOperation`]: a delete that a publish store has, under the number
    /// that the error tells, was not answered; it will be sent again. [`Error::TimedOut`]: no answer in time; a subscription or query is taken
    /// back. [`Error::SubIdInUse`], [`Error::SubscriptionAlreadyExists`], [`Error::InvalidTopic`]
    /// (empty topic): found here, nothing was sent. [`Error::Usage`]: called from a handler of
    /// this client. Any other [command error](Error::is_command_error): the server refused, and
    /// nothing is left of the command.
    pub fn execute(&self, command: Command) -> Result<MessageStream> {
        let publishes = command.is_publish();
        let max_depth = self.default_max_depth();
        let queue = Arc::new(StreamQueue::new(max_depth));
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

/// A command of the short form.
fn named(command: &str, topic: &str, filter: &str) -> Command {
    Command::new(command)
        .set_topic(topic)
        .set_filter(filter)
        .set_timeout(DEFAULT_TIMEOUT)
}
