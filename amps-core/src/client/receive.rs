//! The receive thread: reads, cuts into frames, hands each message to whoever takes it.
//!
//! No lock of the engine is held while a handler runs. The thread never waits for the send lock.

use super::connection::{Connection, Phase, set_receiving};
use super::held::Held;
use super::receiving::DEFAULT_TIMEOUT;
use super::route::{Route, RouteKind, Sink};
use super::routes::LastRoute;
use super::shared::Shared;
use crate::ack::AckType;
use crate::command_type::CommandType;
use crate::error::{Error, ErrorContext};
use crate::handler::{drop_guarded, panic_text};
use crate::message::{Message, Origin, Reader};
use crate::protocol::{FrameBuffer, ParseError, Span, Status, list_items};
use crate::stream::EndReason;
use crossbeam_channel::Sender;
use log::warn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// The receive thread of one connection, from its first to its last moment.
pub(crate) fn run(shared: Arc<Shared>, connection: Arc<Connection>, announced: Sender<()>) {
    set_receiving(Some((shared.id(), connection.number)));
    shared.callbacks.thread_created();
    shared.announce();
    drop(announced);
    // Handlers are guarded where they are called. What remains is code of the application in odd
    // places, such as the drop of what a handler captured, or a logger: it must not leave a
    // client behind that seems connected and hears nothing.
    let received = catch_unwind(AssertUnwindSafe(|| receive(&shared, &connection)));
    let error = received.unwrap_or_else(|panic| {
        let reason = panic_text(&*panic);
        drop_guarded(panic);
        ErrorContext::new("receive from", connection.uri.to_string())
            .with_reason(format!("a callback panicked: {reason}"))
            .Handler()
    });
    // From here on this thread may wait for a new connection, which has a thread of its own.
    set_receiving(None);
    shared.lose(&connection, error);
}

/// Receives until the connection ends, and says why it did.
fn receive(shared: &Arc<Shared>, connection: &Arc<Connection>) -> Error {
    let mut frames = FrameBuffer::default();
    let mut reader = Reader::new(Origin {
        client: shared.downgrade(),
        connection: connection.number,
    });
    let mut run = Run::default();
    let context = || ErrorContext::new("receive from", connection.uri.to_string());
    let mut idle_limit = None;
    loop {
        match connection.phase() {
            Phase::Live => {}
            Phase::Lost => return context().Disconnected(),
            Phase::Closing => {
                drain(connection, &mut frames);
                return context()
                    .with_reason("disconnect was called")
                    .Disconnected();
            }
        }
        if !connection.minds_idle_limit() {
            connection.mind_idle_limit();
            idle_limit = connection.idle_limit();
            if let Err(error) = connection.transport.set_timeouts(idle_limit) {
                warn!("no heartbeat check, the socket takes no timeout: {error}");
            }
        }
        reader.let_go();
        match connection.transport.read(frames.space()) {
            Ok(0) => {
                if connection.phase() == Phase::Closing {
                    connection.end_cleanly();
                }
                return end_of_stream(connection, &frames);
            }
            Ok(count) => frames.advance(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if is_timeout(&error) => {
                // Unless it was changed during the wait.
                if let Some(limit) = idle_limit.filter(|_| connection.idle_limit() == idle_limit) {
                    return no_heartbeat(connection, limit);
                }
                continue;
            }
            Err(_) if connection.is_silent() => return end_of_stream(connection, &frames),
            Err(error) => {
                let cause = connection.take_write_failure().unwrap_or(error);
                return context()
                    .with_reason(cause.to_string())
                    .with_source(cause)
                    .Disconnected();
            }
        }
        if let Err(error) = shared.dispatch_all(connection, &mut frames, &mut reader, &mut run) {
            let reason = error.to_string();
            return context().with_reason(reason).with_source(error).Stream();
        }
    }
}

/// How the end of a read timeout is told differs between systems.
fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

fn no_heartbeat(connection: &Connection, limit: Duration) -> Error {
    ErrorContext::new("receive from", connection.uri.to_string())
        .with_reason(format!("no heartbeat: nothing has come for {limit:?}"))
        .Disconnected()
}

fn end_of_stream(connection: &Connection, frames: &FrameBuffer) -> Error {
    if connection.is_silent() {
        let limit = connection.idle_limit().unwrap_or_default();
        return no_heartbeat(connection, limit.min(DEFAULT_TIMEOUT));
    }
    let context = ErrorContext::new("receive from", connection.uri.to_string());
    if let Some(failure) = connection.take_write_failure() {
        let reason = format!("writing failed: {failure}");
        return context
            .with_reason(reason)
            .with_source(failure)
            .Disconnected();
    }
    let reason = if frames.is_at_frame_end() {
        "the server closed the connection"
    } else {
        "the server closed the connection in the middle of a message"
    };
    context.with_reason(reason).Disconnected()
}

/// After a deliberate disconnect: reads on and drops what comes, until the server has seen our
/// end and closes its side. Closing with unread input would make the kernel reset the connection
/// and drop publishes that are still on their way.
fn drain(connection: &Connection, frames: &mut FrameBuffer) {
    loop {
        let left = connection
            .drain_deadline()
            .saturating_duration_since(Instant::now());
        if left.is_zero() {
            // The socket is closed without waiting; the system goes on delivering what it has.
            connection.cut();
            return;
        }
        // The system takes no timeout below its resolution for one.
        let timeout = left.max(Duration::from_millis(1));
        if connection.transport.set_timeouts(Some(timeout)).is_err() {
            return;
        }
        match connection.transport.read(frames.space()) {
            Ok(0) => {
                connection.end_cleanly();
                return;
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if is_timeout(&error) => {}
            Err(_) => return,
        }
    }
}

/// What goes from one message of a read to the next.
#[derive(Default)]
struct Run {
    last: LastRoute,
    held: Held,
}

/// Who took a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    /// A route.
    Yes,
    /// Nobody, for at least one of its subscriptions.
    No,
    /// Only the duplicate handler.
    AsDuplicate,
}

impl Shared {
    /// Hands out the messages of every frame that is complete.
    fn dispatch_all(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        frames: &mut FrameBuffer,
        reader: &mut Reader,
        run: &mut Run,
    ) -> Result<(), ParseError> {
        let received_at = SystemTime::now();
        while let Some(chunk) = frames.next_chunk()? {
            let report = |error: &Error| self.callbacks.report(error);
            let chunk = self.filter.incoming(chunk, report);
            self.look_again();
            self.traffic.bytes_received.add(chunk.len());
            let frames = reader.each_in(chunk, received_at, |message| {
                // After `disconnect` nothing is delivered any more, also not the rest of a read.
                if connection.is_live() {
                    self.dispatch(connection, message, run);
                }
            });
            // Also what stood in front of a frame that cannot be read.
            run.held.release(&self.waits);
            self.traffic.frames_received.add(frames?);
        }
        run.last.forget();
        Ok(())
    }

    /// One message: first whoever it is routed to, then the handler of its type, then, if nobody
    /// took it, the last chance handler (rule C8).
    #[inline(always)]
    fn dispatch(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        message: &mut Message,
        run: &mut Run,
    ) {
        let taken = match message.command() {
            CommandType::Ack => self.dispatch_ack(message, &mut run.held),
            CommandType::Heartbeat => {
                self.answer_heartbeat(connection);
                true
            }
            _ => match self.dispatch_data(connection, message, run) {
                Taken::Yes => true,
                Taken::No => false,
                // For the duplicate handler alone (rule C9).
                Taken::AsDuplicate => return,
            },
        };
        if taken && !self.callbacks.has_any_by_command() {
            return;
        }
        run.held.release(&self.waits);
        let watched = connection.is_live() && self.callbacks.call_by_command(message);
        if !taken && !watched && connection.is_live() {
            self.callbacks.call_last_chance(message);
        }
    }

    /// True if somebody took it.
    fn dispatch_ack(self: &Arc<Self>, ack: &Message, held: &mut Held) -> bool {
        // Nothing that came before it may come after it, nor after the end of its stream.
        held.release(&self.waits);
        let noted = self.note_persisted(ack);
        let Some(route) = self.route_of_ack(ack) else {
            // The answer to a caller who gave up, or to the part of a command that only the
            // engine asked for, is no news to anybody.
            let is_late_success =
                !ack.command_id().is_empty() && ack.status_kind() == Status::Success;
            return self.pending.acknowledge(ack) || is_late_success || noted;
        };
        self.note_bookmark_ack(&route, ack);
        let is_over = route.note_ack(ack);
        let refused = route.is_refused_by(ack);
        if refused {
            // Before the caller hears of it: it may use the ids again at once.
            self.routes.remove(&route);
        } else if ack.is_accepted() {
            self.accept_subscription(&route, ack);
        }
        // The caller goes on while the handler runs.
        self.pending.acknowledge(ack);
        if route.wanted_acks.intersects(ack.ack_type()) {
            self.deliver(&route, ack, held);
            held.release(&self.waits);
        }
        if is_over && !refused {
            self.routes.remove(&route);
        }
        if is_over || refused {
            route.end(EndReason::Completed);
        }
        let is_completed = ack.ack_type().contains(AckType::COMPLETED);
        if route.ends_with_replay && is_completed && !refused {
            self.end_range(&route);
        }
        true
    }

    /// The replay of a range has come to its end: nothing more comes, and it does not come back
    /// (rule L22).
    fn end_range(self: &Arc<Self>, route: &Arc<Route>) {
        route.give_up();
        self.untrack(&route.sub_id);
        self.end_route(route);
        route.end(EndReason::Completed);
    }

    /// What the server's word changes before the caller hears of it.
    fn accept_subscription(&self, route: &Arc<Route>, ack: &Message) {
        if route.replaces {
            self.routes.take_over(route);
        }
        if route.kind == RouteKind::Subscription {
            // After a replace without a handler it is still the old route that takes messages.
            let holder = self.routes.get(route.sub_id.as_bytes());
            let holder = holder.as_ref().unwrap_or(route);
            self.acks.note_grant(ack, &holder.backlog);
            // Before the caller goes on, and before this thread can notice a loss.
            self.track(route);
        }
    }

    /// An acknowledgement with a command id is for that command alone: what answers a command of
    /// the past must not touch a route that has taken over its other ids.
    fn route_of_ack(&self, ack: &Message) -> Option<Arc<Route>> {
        let command_id = ack.command_id();
        if !command_id.is_empty() {
            let route = self.routes.get(command_id.as_bytes());
            return route.filter(|route| route.command_id == command_id);
        }
        [ack.query_id(), ack.sub_id()]
            .into_iter()
            .filter(|id| !id.is_empty())
            .find_map(|id| self.routes.get(id.as_bytes()))
    }

    #[inline(always)]
    fn dispatch_data(
        self: &Arc<Self>,
        connection: &Connection,
        message: &mut Message,
        run: &mut Run,
    ) -> Taken {
        let header = message.header();
        if header.special {
            return self.dispatch_special(connection, message, &mut run.held);
        }
        let sub_ids = header.sub_ids;
        if sub_ids.is_empty() {
            return self.dispatch_by_own_id(message, run);
        }
        let Run { last, held } = run;
        // Almost always a single id, most often that of the message before.
        let list = sub_ids.of(message.frame());
        let route = self.routes.find(list, last);
        if route.is_some() || !list.iter().any(|byte| b", ".contains(byte)) {
            message.set_delivered_for(sub_ids);
            return self.deliver_to(route, message, held);
        }
        // Each id is a delivery of its own: one that nobody takes is news (rule C3).
        let mut untaken = None;
        let mut taken = Taken::AsDuplicate;
        for id in message.delivery_list().collect::<Vec<Span>>() {
            if !connection.is_live() {
                break;
            }
            message.set_delivered_for(id);
            let route = self.routes.get(id.of(message.frame()));
            match self.deliver_to(route.as_ref(), message, held) {
                Taken::Yes => taken = Taken::Yes,
                Taken::No => untaken = Some(id),
                Taken::AsDuplicate => {}
            }
        }
        message.set_delivered_for(untaken.unwrap_or(sub_ids));
        match untaken {
            Some(_) => Taken::No,
            None => taken,
        }
    }

    /// A message without a list of subscriptions: the query, the subscription or the command that
    /// it names.
    #[inline(always)]
    fn dispatch_by_own_id(self: &Arc<Self>, message: &mut Message, run: &mut Run) -> Taken {
        let Run { last, held } = run;
        let header = message.header();
        for id in [header.query_id, header.sub_id, header.command_id] {
            if !id.is_empty()
                && let Some(route) = self.routes.find(id.of(message.frame()), last)
            {
                return self.deliver_to(Some(route), message, held);
            }
        }
        Taken::No
    }

    /// The same for a header with escapes, whose ids are not what stands in the frame.
    #[cold]
    fn dispatch_special(
        self: &Arc<Self>,
        connection: &Connection,
        message: &mut Message,
        held: &mut Held,
    ) -> Taken {
        let ids = list_items(message.sub_ids().as_bytes())
            .map(|id| String::from_utf8_lossy(id).into_owned())
            .collect::<Vec<_>>();
        if ids.is_empty() {
            let route = [message.query_id(), message.sub_id(), message.command_id()]
                .into_iter()
                .filter(|id| !id.is_empty())
                .find_map(|id| self.routes.get(id.as_bytes()));
            return self.deliver_to(route.as_ref(), message, held);
        }
        let mut untaken = None;
        let mut taken = Taken::AsDuplicate;
        for id in ids {
            if !connection.is_live() {
                break;
            }
            message.set_decoded_sub_id(&id);
            let route = self.routes.get(id.as_bytes());
            match self.deliver_to(route.as_ref(), message, held) {
                Taken::Yes => taken = Taken::Yes,
                Taken::No => untaken = Some(id),
                Taken::AsDuplicate => {}
            }
        }
        match &untaken {
            Some(id) => {
                message.set_decoded_sub_id(id);
                Taken::No
            }
            None => taken,
        }
    }

    #[inline(always)]
    fn deliver_to(
        self: &Arc<Self>,
        route: Option<&Arc<Route>>,
        message: &mut Message,
        held: &mut Held,
    ) -> Taken {
        let Some(route) = route else {
            return Taken::No;
        };
        if !self.log_bookmark(route, message) {
            held.release(&self.waits);
            self.callbacks.call_duplicate(message);
            return Taken::AsDuplicate;
        }
        // Before the delivery: whoever sees the end of a query finds the query ended.
        let is_over = route.note_data(message.command());
        self.deliver(route, message, held);
        if is_over {
            held.release(&self.waits);
            self.routes.remove(route);
            route.end(EndReason::Completed);
        }
        Taken::Yes
    }

    #[inline(always)]
    fn deliver(self: &Arc<Self>, route: &Route, message: &Message, held: &mut Held) {
        match &route.sink {
            Sink::Stream(queue) => held.add(queue, message, &self.waits),
            Sink::Handler(handler) => {
                let handled = match message.has_lease() {
                    true => {
                        held.release(&self.waits);
                        self.handle_leased(handler, message, route)
                    }
                    false => held.call(handler, message, &self.waits),
                };
                if let Err(error) = handled {
                    held.release(&self.waits);
                    self.callbacks.report(&error);
                }
            }
            Sink::Nobody => {}
        }
    }
}
