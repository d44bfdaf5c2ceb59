//! The methods that acknowledge messages of queues.

use super::Client;
use super::acks::Settled;
#[cfg(doc)]
use crate::error::Error;
use crate::error::{ErrorContext, Result};
use crate::message::Message;
use std::time::Duration;

/// Queues: what is delivered must be acknowledged, or the server delivers it again.
///
/// ```no_run
/// # use amps_core::{Client, Command};
/// # fn run(client: &Client) -> amps_core::Result<()> {
/// client.set_ack_batch_size(10);
/// let work = Command::new("subscribe").set_topic("jobs").set_options("max_backlog=20");
/// for message in client.execute(work)? {
///     println!("{}", message.data_str()?);
///     message.ack()?;
/// }
/// # Ok(())
/// # }
/// ```
///
/// An acknowledgement is a `sow_delete` with topic and bookmark, which the server does not answer.
/// It never waits for the socket, so it is fine in a handler. What was published before it leaves
/// before it. Acknowledgements end with their connection: the leases do, too, and the server
/// delivers what was not acknowledged again. A `sow_delete` by bookmark of the application's own is
/// counted by nobody: it must come before the backlog is used up (rule G11). Guide chapter 7; rules
/// G1 to G11.
impl Client {
    /// Acknowledges a message of a queue, by its topic and its bookmark, or several by a comma list
    /// of bookmarks. As [`Message::ack`], for those who kept only these.
    ///
    /// Options such as `cancel`, which returns the message to the queue, make it leave at once.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidTopic`], [`Error::InvalidBookmark`]: one is empty; nothing was sent.
    /// [`Error::Disconnected`]: not connected, so the lease is gone.
    pub fn ack(
        &self,
        topic: impl AsRef<str>,
        bookmark: impl AsRef<str>,
        options: Option<&str>,
    ) -> Result<()> {
        let (topic, bookmarks) = (topic.as_ref(), bookmark.as_ref());
        let context = || ErrorContext::new("acknowledge a message from", topic);
        if topic.is_empty() {
            return Err(context().with_reason("the topic is empty").InvalidTopic());
        }
        if bookmarks.is_empty() {
            let reason = "the bookmark is empty";
            return Err(context().with_reason(reason).InvalidBookmark());
        }
        let connection = self.shared().connection(context)?.number;
        let backlog = self.shared().acks.least_backlog();
        self.shared().send_ack(&Settled {
            connection,
            topic,
            bookmarks,
            options: options.unwrap_or_default(),
            backlog: backlog.as_ref(),
        })
    }

    /// The same as [`Message::ack`].
    ///
    /// # Errors
    ///
    /// As [`Message::ack`].
    pub fn ack_message(&self, message: &Message) -> Result<()> {
        message.ack()
    }

    /// Acknowledges a message that was left out of automatic acknowledgement with
    /// [`Message::set_ignore_auto_ack`]. The same as [`Client::ack`].
    ///
    /// # Errors
    ///
    /// As [`Client::ack`].
    pub fn ack_deferred_auto_ack(
        &self,
        topic: impl AsRef<str>,
        bookmark: impl AsRef<str>,
        options: Option<&str>,
    ) -> Result<()> {
        self.ack(topic, bookmark, options)
    }

    /// Acknowledges the messages of queues automatically; off by default.
    ///
    /// A message is acknowledged when its handler has returned, and returned to its queue, with the
    /// option `cancel`, if the handler fails or panics. Of a stream it is acknowledged when the next
    /// one is asked for: closing the stream leaves the last one to be delivered again. Messages
    /// with [`Message::set_ignore_auto_ack`], and those that the application has acknowledged
    /// itself, are left alone. Turning it off drops nothing that waits to be sent. Rules G6, G7,
    /// G10, E8.
    pub fn set_auto_ack(&self, on: bool) {
        self.shared().acks.set_auto(on);
    }

    /// True if messages of queues are acknowledged automatically.
    pub fn auto_ack(&self) -> bool {
        self.shared().acks.is_auto()
    }

    /// Sets how many acknowledgements of one topic leave together; 0, the default, and 1 send each
    /// at once.
    ///
    /// A batch never waits for more than the server allows the subscription to have unacknowledged
    /// (its `max_backlog`), because nothing more would come. A size above 1 brings a timeout of
    /// 1 s, unless [`Client::set_ack_timeout`] set another one. What waits leaves now. Rules G3 to
    /// G5.
    pub fn set_ack_batch_size(&self, size: usize) {
        self.shared().set_ack_batch_size(size);
    }

    /// How many acknowledgements of one topic leave together.
    pub fn ack_batch_size(&self) -> usize {
        self.shared().acks.batch_size()
    }

    /// Sets how long the first acknowledgement of a batch waits for others; zero waits for a full
    /// batch. Default: 1 s with a batch size above 1.
    pub fn set_ack_timeout(&self, timeout: Duration) {
        self.shared().set_ack_timeout(timeout);
    }

    /// How long the first acknowledgement of a batch waits for others; zero is for ever.
    pub fn ack_timeout(&self) -> Duration {
        self.shared().acks.timeout()
    }

    /// Sends every acknowledgement that waits. Without any it does nothing. It does not wait for
    /// the socket. Rule G9.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`]: not connected; the leases are gone, and what waited with them.
    pub fn flush_acks(&self) -> Result<()> {
        let context = || ErrorContext::new("flush the acknowledgements of", self.name());
        self.shared().connection(context)?;
        self.shared().flush_acks();
        Ok(())
    }
}
