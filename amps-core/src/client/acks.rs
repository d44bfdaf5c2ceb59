//! Acknowledgements of queue messages: collected by topic, and sent when there are enough of them
//! or the first has waited for long enough (rules G1 to G11).
//!
//! They are posted, so that no handler ever waits for the send lock. Each belongs to a connection:
//! a lease ends with the connection, so nothing is acknowledged over a later one.

use super::outbox::Turn;
use super::route::Route;
use super::shared::Shared;
use super::timer::Task;
use crate::command_type::CommandType;
use crate::error::{Error, ErrorContext, Result};
use crate::handler::MessageHandler;
use crate::message::Message;
use crate::protocol::{Field, FrameWriter, option_items};
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The timeout that a batch size above 1 brings, if none was set (rule G4).
const DEFAULT_ACK_TIMEOUT: Duration = Duration::from_secs(1);

/// Topics that were acknowledged are remembered up to here, for their buffers.
const REMEMBERED_TOPICS: usize = 64;

/// How many messages the server sends a subscription before it wants an acknowledgement. While as
/// many wait in a batch, nothing more comes.
#[derive(Default)]
pub(crate) struct Backlog {
    /// What the server granted; 0 until it has said so.
    granted: AtomicUsize,
    /// How many acknowledgements wait to be sent. Changed under the lock of [`Acks`].
    waiting: AtomicUsize,
}

impl Backlog {
    fn granted(&self) -> Option<usize> {
        let granted = self.granted.load(Ordering::Acquire);
        (granted > 0).then_some(granted)
    }
}

/// The acknowledgements of a client.
#[derive(Default)]
pub(crate) struct Acks {
    auto: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    batch_size: usize,
    /// None until one was set.
    timeout: Option<Duration>,
    /// The connection that the batches belong to.
    connection: u64,
    batches: Vec<Batch>,
    /// The subscriptions that the server granted a backlog.
    backlogs: Vec<Arc<Backlog>>,
    /// The frames at hand.
    frames: Vec<u8>,
    /// The timer will look at it.
    timed: bool,
}

/// What waits for one topic.
struct Batch {
    topic: String,
    /// A comma list.
    bookmarks: String,
    count: usize,
    /// When the first of them came.
    since: Instant,
    /// The subscriptions that they came for, with how many.
    subscriptions: Vec<(Arc<Backlog>, usize)>,
}

/// One message to acknowledge.
pub(crate) struct Settled<'a> {
    pub(crate) connection: u64,
    pub(crate) topic: &'a str,
    /// Of one message, or a comma list.
    pub(crate) bookmarks: &'a str,
    pub(crate) options: &'a str,
    /// That of the subscription, if it is known.
    pub(crate) backlog: Option<&'a Arc<Backlog>>,
}

impl Acks {
    pub(crate) fn is_auto(&self) -> bool {
        self.auto.load(Ordering::Acquire)
    }

    pub(crate) fn set_auto(&self, on: bool) {
        self.auto.store(on, Ordering::Release);
    }

    pub(crate) fn batch_size(&self) -> usize {
        self.state.lock().batch_size
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.state.lock().timeout()
    }

    /// Takes over the backlog that the acknowledgement of a subscription grants (rule G5).
    pub(crate) fn note_grant(&self, ack: &Message, backlog: &Arc<Backlog>) {
        let granted = option_items(ack.options())
            .filter_map(|option| option.strip_prefix("max_backlog="))
            .find_map(|number| number.trim().parse().ok());
        let Some(granted) = granted else {
            return;
        };
        backlog.granted.store(granted, Ordering::Release);
        let mut state = self.state.lock();
        if !state.turn_to(ack.connection()) {
            return;
        }
        // Those that nobody else holds are of subscriptions that are gone.
        state
            .backlogs
            .retain(|known| Arc::strong_count(known) > 1 && !Arc::ptr_eq(known, backlog));
        state.backlogs.push(backlog.clone());
    }

    /// The smallest backlog there is: for an acknowledgement that names no subscription.
    pub(crate) fn least_backlog(&self) -> Option<Arc<Backlog>> {
        let state = self.state.lock();
        let least = state.backlogs.iter().min_by_key(|known| known.granted())?;
        Some(least.clone())
    }

    /// Drops what waits: the leases are gone with the connection (rule G10).
    pub(crate) fn forget(&self, connection: u64) {
        let mut state = self.state.lock();
        if state.connection <= connection {
            state.forget();
        }
    }
}

impl Batch {
    fn new(topic: &str) -> Batch {
        Batch {
            topic: topic.to_string(),
            bookmarks: String::new(),
            count: 0,
            since: Instant::now(),
            subscriptions: Vec::new(),
        }
    }

    fn add(&mut self, settled: &Settled<'_>) {
        if self.count == 0 {
            self.since = Instant::now();
        } else {
            self.bookmarks.push(',');
        }
        self.bookmarks.push_str(settled.bookmarks);
        let count = settled.bookmarks.split(',').count();
        self.count += count;
        let Some(backlog) = settled.backlog else {
            return;
        };
        backlog.waiting.fetch_add(count, Ordering::Relaxed);
        let known = self
            .subscriptions
            .iter_mut()
            .find(|(known, _)| Arc::ptr_eq(known, backlog));
        match known {
            Some((_, waiting)) => *waiting += count,
            None => self.subscriptions.push((backlog.clone(), count)),
        }
    }

    /// True if one of its subscriptions gets nothing more until it leaves, or it has as many as it
    /// may have.
    fn is_full(&self, size: usize) -> bool {
        let starves = |(backlog, _): &(Arc<Backlog>, usize)| {
            let waiting = backlog.waiting.load(Ordering::Relaxed);
            backlog.granted().is_some_and(|granted| waiting >= granted)
        };
        self.count > 0 && (self.count >= size || self.subscriptions.iter().any(starves))
    }

    fn clear(&mut self) {
        self.bookmarks.clear();
        self.count = 0;
        for (backlog, waiting) in self.subscriptions.drain(..) {
            backlog.waiting.fetch_sub(waiting, Ordering::Relaxed);
        }
    }

    fn write(&mut self, frames: &mut Vec<u8>) {
        write_ack(frames, &self.topic, &self.bookmarks, "");
        self.clear();
    }
}

/// An acknowledgement is a delete by bookmark; nothing is asked for in return (rule G1).
fn write_ack(frames: &mut Vec<u8>, topic: &str, bookmarks: &str, options: &str) {
    let mut frame = FrameWriter::begin(frames, CommandType::SowDelete);
    frame.text(Field::Topic, topic.as_bytes());
    frame.text(Field::Bookmark, bookmarks.as_bytes());
    frame.text_if(Field::Options, options.as_bytes());
    frame.finish(b"");
}

impl State {
    fn timeout(&self) -> Duration {
        let unset = match self.batch_size {
            0 | 1 => Duration::ZERO,
            _ => DEFAULT_ACK_TIMEOUT,
        };
        self.timeout.unwrap_or(unset)
    }

    /// Drops what belongs to an earlier connection; false if this one is earlier than what is here.
    fn turn_to(&mut self, connection: u64) -> bool {
        if self.connection < connection {
            self.forget();
            self.connection = connection;
        }
        self.connection == connection
    }

    fn forget(&mut self) {
        self.batches.iter_mut().for_each(Batch::clear);
        self.backlogs.clear();
    }

    /// Where acknowledgements of a topic wait.
    fn batch(&mut self, topic: &str) -> &mut Batch {
        let known = self.batches.iter().position(|batch| batch.topic == topic);
        let at = known.unwrap_or_else(|| {
            if self.batches.len() >= REMEMBERED_TOPICS {
                self.batches.retain(|batch| batch.count > 0);
            }
            self.batches.push(Batch::new(topic));
            self.batches.len() - 1
        });
        &mut self.batches[at]
    }

    /// Writes the batches that are ready, the oldest first.
    fn write(&mut self, is_ready: impl Fn(&Batch) -> bool) {
        loop {
            let ready = self
                .batches
                .iter_mut()
                .filter(|batch| batch.count > 0 && is_ready(batch))
                .min_by_key(|batch| batch.since);
            match ready {
                Some(batch) => batch.write(&mut self.frames),
                None => return,
            }
        }
    }
}

impl Shared {
    /// Acknowledges a message at the application's request.
    pub(crate) fn acknowledge(
        self: &Arc<Self>,
        message: &Message,
        connection: u64,
        options: Option<&str>,
    ) -> Result<()> {
        let route = self.routes.get(message.sub_id().as_bytes());
        self.send_ack(&Settled {
            connection,
            topic: message.topic(),
            bookmarks: message.bookmark(),
            options: options.unwrap_or_default(),
            backlog: route.as_ref().map(|route| &route.backlog),
        })
    }

    /// Calls a handler with a message of a queue, and acknowledges or returns that when it is done.
    /// What the handler does to a copy counts as well (trap 39).
    pub(crate) fn handle_leased(
        self: &Arc<Self>,
        handler: &MessageHandler,
        message: &Message,
        route: &Route,
    ) -> Result<()> {
        let copy = self.acks.is_auto().then(|| {
            let mut copy = message.clone();
            copy.settle_with(route.settle_next());
            copy
        });
        let message = copy.as_ref().unwrap_or(message);
        let handled = handler.call(message);
        self.acknowledge_handled(message, &route.backlog, handled.is_ok());
        handled
    }

    /// Acknowledges or returns a message that a handler is done with (rule G6). If its lease is
    /// gone, so is the need.
    pub(crate) fn acknowledge_handled(
        self: &Arc<Self>,
        message: &Message,
        backlog: &Arc<Backlog>,
        handled: bool,
    ) {
        if !self.acks.is_auto() || message.ignore_auto_ack() || !message.is_of_queue() {
            return;
        }
        self.send_ack_quietly(&Settled {
            connection: message.connection(),
            topic: message.topic(),
            bookmarks: message.bookmark(),
            options: if handled { "" } else { "cancel" },
            backlog: Some(backlog),
        });
    }

    /// As [`Shared::send_ack`], when there is nobody to tell that the lease is gone.
    pub(crate) fn send_ack_quietly(self: &Arc<Self>, settled: &Settled<'_>) {
        match self.send_ack(settled) {
            // The server delivers it again.
            Ok(()) | Err(Error::Disconnected(_)) => {}
            Err(error) => self.callbacks.report(&error),
        }
    }

    /// Puts an acknowledgement into its batch, or sends it if it must not wait.
    pub(crate) fn send_ack(self: &Arc<Self>, settled: &Settled<'_>) -> Result<()> {
        let context = || ErrorContext::new("acknowledge a message from", settled.topic);
        let connection = self.connection(context)?;
        let mut state = self.acks.state.lock();
        // There may be a later connection by now.
        if connection.number != settled.connection || !state.turn_to(settled.connection) {
            return Err(context()
                .with_reason("its lease ended with the connection; the server delivers it again")
                .Disconnected());
        }
        if !settled.options.is_empty() {
            let frames = &mut state.frames;
            write_ack(frames, settled.topic, settled.bookmarks, settled.options);
        } else if state.batch_size <= 1 {
            write_ack(&mut state.frames, settled.topic, settled.bookmarks, "");
        } else {
            state.batch(settled.topic).add(settled);
            let size = state.batch_size;
            state.write(|batch| batch.is_full(size));
            self.time_acks(&mut state);
        }
        self.post_acks(state);
        Ok(())
    }

    /// Sends everything that waits, on the connection that it belongs to (rule G9).
    pub(crate) fn flush_acks(self: &Arc<Self>) {
        let mut state = self.acks.state.lock();
        state.write(|_| true);
        self.post_acks(state);
    }

    /// Sends what has waited for long enough; on the timer thread.
    pub(crate) fn send_overdue_acks(self: &Arc<Self>) {
        let mut state = self.acks.state.lock();
        state.timed = false;
        let (now, timeout) = (Instant::now(), state.timeout());
        if !timeout.is_zero() {
            state.write(|batch| now.saturating_duration_since(batch.since) >= timeout);
            self.time_acks(&mut state);
        }
        self.post_acks(state);
    }

    /// Lets the timer look when the oldest acknowledgement has waited for long enough: the first
    /// one of a batch starts the clock, the others do not (trap 53).
    fn time_acks(self: &Arc<Self>, state: &mut State) {
        let timeout = state.timeout();
        if state.timed || timeout.is_zero() {
            return;
        }
        let waiting = state.batches.iter().filter(|batch| batch.count > 0);
        let oldest = waiting.map(|batch| batch.since).min();
        if let Some(due) = oldest.and_then(|oldest| oldest.checked_add(timeout)) {
            state.timed = self.timer.at(Task::AckBatches, due, self);
        }
    }

    /// Posts the frames at hand. Under the lock, so that their order is that of the calls.
    fn post_acks(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        if state.frames.is_empty() {
            return;
        }
        // What was published for a message must not come after its acknowledgement.
        self.outbox
            .push(state.connection, &state.frames, Turn::AfterBatch);
        state.frames.clear();
        drop(state);
        self.look_again();
    }

    /// Changes the size of batches; what waits leaves, as it may be enough now.
    pub(crate) fn set_ack_batch_size(self: &Arc<Self>, size: usize) {
        let mut state = self.acks.state.lock();
        state.batch_size = size;
        state.write(|_| true);
        self.post_acks(state);
    }

    /// Changes how long acknowledgements wait, those that do so included.
    pub(crate) fn set_ack_timeout(self: &Arc<Self>, timeout: Duration) {
        let mut state = self.acks.state.lock();
        state.timeout = Some(timeout);
        state.timed = false;
        self.time_acks(&mut state);
    }
}

#[cfg(test)]
mod tests;
