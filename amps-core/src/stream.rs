//! Message streams: what a command brings, one message after the other.

use crate::client::{Client, Route, WeakShared};
use crate::message::{Message, Messages, Settlements};
use crate::queue::{StreamQueue, Waited};
use std::fmt;
use std::iter::FusedIterator;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[cfg(doc)]
use crate::error::Error;
use crate::error::{ErrorContext, Result};

/// Why a stream gives no more messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// All that was asked for has come: the query is answered, the acknowledgements are here.
    Completed,
    /// The stream was closed by its owner or through its canceller.
    Closed,
    /// The subscription was unsubscribed by its id.
    Unsubscribed,
    /// A later command took the subscription over with the option `replace`.
    Replaced,
    /// The connection was lost or closed.
    Disconnected,
    /// The application asked for the next message on the receive thread of the same client, which
    /// is the one thread that could bring it.
    Usage,
}

/// The messages that a command brings, as an iterator.
///
/// `for message in client.subscribe("orders")?` reads one message after the other on the calling
/// thread, while the receive thread of the client fills a queue behind it. The loop ends when all
/// that was asked for has come (see [`EndReason`]); a subscription goes on until it is closed or
/// the connection ends. Messages that were queued by then are still delivered. After the end a
/// stream never produces again, also not after a reconnection.
///
/// Dropping a stream unsubscribes. A stream holds a handle of its client and so keeps the
/// connection alive. It can be sent to another thread.
///
/// By default the queue has no limit: a reader that is slower than its subscription makes it grow.
/// [`MessageStream::set_max_depth`] and [`MessageStream::conflate`] are there against that.
///
/// With [`Client::set_auto_ack`], asking for the next message acknowledges the last one, if it came
/// from a queue; closing the stream does not.
///
/// Guide §4.1 and §4.2; rules E1 to E9.
pub struct MessageStream {
    client: Client,
    /// None for a command that brings nothing.
    route: Option<Arc<Route>>,
    queue: Arc<StreamQueue>,
    /// Taken from the queue in one step, so that the two threads meet less often.
    taken: Messages,
    ended: Option<EndReason>,
    closed: bool,
    /// The message of a queue to acknowledge when the next one is asked for.
    unsettled: Option<Message>,
    /// How it hears that the application has taken care of that itself.
    settlements: Settlements,
}

impl MessageStream {
    pub(crate) fn new(client: Client, route: Arc<Route>, queue: Arc<StreamQueue>) -> MessageStream {
        MessageStream::over(client, Some(route), queue)
    }

    /// A stream without messages, for a command that brings none.
    pub(crate) fn complete(client: Client) -> MessageStream {
        let mut stream = MessageStream::over(client, None, Arc::new(StreamQueue::new(0)));
        stream.ended = Some(EndReason::Completed);
        stream
    }

    fn over(client: Client, route: Option<Arc<Route>>, queue: Arc<StreamQueue>) -> MessageStream {
        MessageStream {
            client,
            route,
            queue,
            taken: Messages::default(),
            ended: None,
            closed: false,
            unsettled: None,
            settlements: Settlements::default(),
        }
    }

    /// The next message, if it comes within `timeout`; `None` at the end of the stream.
    ///
    /// Zero does not wait. A timeout that the clock cannot count to is no limit.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`]: nothing came in time. The stream has not
    /// ended and nothing is lost.
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<Message>> {
        match self.take(Instant::now().checked_add(timeout)) {
            Taken::Message(message) => Ok(Some(message)),
            Taken::Ended if self.ended == Some(EndReason::Usage) => {
                Err(ErrorContext::new("read the stream of", self.command_id())
                    .with_reason("a handler of the same client cannot wait for a message")
                    .Usage())
            }
            Taken::Ended => Ok(None),
            Taken::TimedOut => Err(ErrorContext::new("read the stream of", self.command_id())
                .with_reason(format!("no message within {timeout:?}"))
                .TimedOut()),
        }
    }

    /// The next message if one is here already. `None` may mean that the stream has ended:
    /// [`MessageStream::end_reason`] tells.
    pub fn try_next(&mut self) -> Option<Message> {
        self.acknowledge_last();
        if self.taken.is_empty() && self.ended.is_none() {
            let ended = self.queue.take(&mut self.taken);
            if self.taken.is_empty() {
                self.ended = ended;
            }
        }
        let message = self.taken.pop()?;
        Some(self.hand_out(message))
    }

    /// Remembers a message of a queue that is to be acknowledged automatically.
    fn hand_out(&mut self, mut message: Message) -> Message {
        if message.has_lease() && self.client.auto_ack() {
            message.settle_with(self.settlements.begin());
            self.unsettled = Some(message.clone());
        }
        message
    }

    /// The next message is asked for, so the application is done with the last one (rule E8).
    fn acknowledge_last(&mut self) {
        if let (Some(message), Some(route)) = (self.unsettled.take(), &self.route) {
            let shared = self.client.shared();
            shared.acknowledge_handled(&message, &route.backlog, true);
        }
    }

    /// Iterates until the stream ends or no message comes for `timeout`. Whether it ended tells
    /// [`MessageStream::end_reason`]; if it did not, reading can go on.
    pub fn timeout_iter(&mut self, timeout: Duration) -> TimeoutIter<'_> {
        TimeoutIter {
            stream: self,
            timeout,
        }
    }

    /// Why the stream ended; `None` while messages may still be read.
    pub fn end_reason(&self) -> Option<EndReason> {
        self.ended
    }

    /// How many messages wait to be read.
    pub fn depth(&self) -> usize {
        self.taken.len() + self.queue.depth()
    }

    /// The most messages that wait to be read; 0 is no limit.
    pub fn max_depth(&self) -> usize {
        self.queue.max_depth()
    }

    /// Limits how many messages wait to be read; 0, the default unless
    /// [`Client::set_default_max_depth`] says otherwise, is no limit.
    ///
    /// When as many are waiting, the receive thread waits until one is taken, and with it
    /// everything else that the client receives, heartbeats included; the server then queues on
    /// its side. It does not wait while a thread waits for an acknowledgement of this client, or
    /// while the reader of this stream waits on another one that is empty, because that would be a
    /// deadlock: then the queue grows past its limit. Closing, dropping and disconnecting release
    /// it. Rule E2.
    pub fn set_max_depth(&mut self, max_depth: usize) {
        self.queue.set_max_depth(max_depth);
    }

    /// Replaces an unread message by a newer one of the same record, in its place, from now on.
    ///
    /// Records are told apart by [`Message::sow_key`]; messages without one are all delivered.
    /// Whole messages are replaced, so on a delta subscription changes are lost. Messages of queues
    /// are never replaced, as each must be acknowledged. What is kept
    /// does not hold on to the receive buffers. Guide §6.4; rule E7.
    pub fn conflate(&mut self) {
        self.queue.conflate(&mut self.taken);
    }

    /// The id of the command behind this stream; empty for one that brings nothing.
    pub fn command_id(&self) -> &str {
        self.route
            .as_ref()
            .map(|route| route.command_id.as_str())
            .unwrap_or_default()
    }

    /// The id of the subscription, to unsubscribe or replace it; empty if there is none.
    pub fn sub_id(&self) -> &str {
        self.route
            .as_ref()
            .map(|route| route.sub_id.as_str())
            .unwrap_or_default()
    }

    /// Ends the stream and unsubscribes; waiting messages are dropped.
    ///
    /// Returns at once, without waiting for the server; also safe on the receive thread. Closing
    /// again does nothing. Dropping the stream does the same.
    pub fn close(&mut self) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        self.taken = Messages::default();
        self.unsettled = None;
        self.ended.get_or_insert(EndReason::Closed);
        self.queue.end(EndReason::Closed);
        self.queue.clear();
        if let Some(route) = &self.route {
            self.client.shared().end_route(route);
        }
    }

    /// A handle that closes this stream from another thread and wakes its reader.
    pub fn canceller(&self) -> StreamCanceller {
        StreamCanceller {
            shared: self.client.shared().downgrade(),
            route: self.route.clone(),
            queue: self.queue.clone(),
        }
    }

    fn take(&mut self, deadline: Option<Instant>) -> Taken {
        loop {
            if let Some(message) = self.try_next() {
                return Taken::Message(message);
            }
            if self.ended.is_some() {
                return Taken::Ended;
            }
            if self.client.shared().is_on_receive_thread() {
                self.close();
                self.ended = Some(EndReason::Usage);
                return Taken::Ended;
            }
            let shared = self.client.shared();
            let waiting = shared.waits.in_stream(&self.queue);
            let waited = self.queue.wait(deadline);
            drop(waiting);
            match waited {
                Waited::Ready => {}
                Waited::Ended(reason) => self.ended = Some(reason),
                Waited::TimedOut => return Taken::TimedOut,
            }
        }
    }
}

enum Taken {
    Message(Message),
    Ended,
    TimedOut,
}

/// Waits for the next message; `None` at the end.
impl Iterator for MessageStream {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        match self.take(None) {
            Taken::Message(message) => Some(message),
            Taken::Ended | Taken::TimedOut => None,
        }
    }
}

impl FusedIterator for MessageStream {}

impl Drop for MessageStream {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for MessageStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageStream")
            .field("command_id", &self.command_id())
            .field("sub_id", &self.sub_id())
            .field("depth", &self.depth())
            .field("ended", &self.ended)
            .finish()
    }
}

/// See [`MessageStream::timeout_iter`].
#[derive(Debug)]
pub struct TimeoutIter<'a> {
    stream: &'a mut MessageStream,
    timeout: Duration,
}

impl Iterator for TimeoutIter<'_> {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        self.stream.next_timeout(self.timeout).ok().flatten()
    }
}

/// Closes a stream from another thread. See [`MessageStream::canceller`].
#[derive(Clone)]
pub struct StreamCanceller {
    shared: WeakShared,
    route: Option<Arc<Route>>,
    queue: Arc<StreamQueue>,
}

impl StreamCanceller {
    /// Ends the stream and unsubscribes. A reader that waits is woken; what is queued is still
    /// delivered, then the end. Returns at once, and does nothing if the stream has ended.
    pub fn cancel(&self) {
        self.queue.end(EndReason::Closed);
        if let (Some(route), Some(shared)) = (&self.route, self.shared.upgrade()) {
            shared.end_route(route);
        }
    }
}

impl fmt::Debug for StreamCanceller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamCanceller")
    }
}
