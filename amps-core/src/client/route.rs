//! One command that messages come in for: who takes them, and when it is over.

use super::acks::Backlog;
use crate::ack::AckType;
use crate::command_type::CommandType;
use crate::handler::MessageHandler;
use crate::message::{Message, Settlements, Settling};
use crate::protocol::Status;
use crate::queue::StreamQueue;
use crate::store::BookmarkStore;
use crate::stream::EndReason;
use crate::subscription_manager::TrackedSubscription;
use parking_lot::Mutex;
use std::sync::Arc;

/// What ends a route, and so the stream behind it (rule E4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RouteKind {
    /// Unsubscribing, or the end of the connection.
    Subscription,
    /// The end of the query result, and the acknowledgements asked for.
    Query,
    /// The last acknowledgement asked for.
    Acks,
}

/// Who takes the messages. A clone takes them in the same place.
#[derive(Clone)]
pub(crate) enum Sink {
    /// A handler, on the receive thread.
    Handler(MessageHandler),
    /// A stream, on a thread of the application's.
    Stream(Arc<StreamQueue>),
    /// Nobody: acknowledgements and results are dropped (rule D7).
    Nobody,
}

impl Sink {
    /// Ends the stream, if there is one.
    pub(crate) fn end(&self, reason: EndReason) {
        if let Sink::Stream(queue) = self {
            queue.end(reason);
        }
    }
}

/// One command that messages come in for.
///
/// What is needed for every message stands in front, together: with thousands of routes, each line
/// of memory that a message touches is waited for.
#[repr(C)]
pub(crate) struct Route {
    pub(crate) sink: Sink,
    /// What the messages of a bookmark subscription are logged in.
    pub(crate) bookmarks: Option<Arc<dyn BookmarkStore>>,
    pub(crate) kind: RouteKind,
    /// It takes over the ids of another route once the server has accepted it (rule D10).
    pub(crate) replaces: bool,
    /// It is over when the replay is done: a range with an end.
    pub(crate) ends_with_replay: bool,
    pub(crate) connection: u64,
    pub(crate) command_id: String,
    /// Empty if the command has none.
    pub(crate) sub_id: String,
    /// Empty if the command has none.
    pub(crate) query_id: String,
    /// The acknowledgements that the application asked for: they are delivered (rule C6).
    pub(crate) wanted_acks: AckType,
    /// What the subscription manager is told once the server has accepted it.
    pub(crate) tracked: Option<Box<TrackedSubscription>>,
    /// How far the subscription to a queue may go without acknowledging.
    pub(crate) backlog: Arc<Backlog>,
    progress: Mutex<Progress>,
}

/// What has come in so far. Only the receive thread changes it.
struct Progress {
    acks_to_come: AckType,
    group: Group,
    /// Its command is waited for, and is sent again after a loss: which therefore does not end it.
    is_retried: bool,
    /// A loss has come while it was retried.
    is_lost: bool,
    /// Its owner has given it up.
    is_given_up: bool,
    /// The subscription manager has it.
    is_tracked: bool,
    /// The messages of a queue that its handler is called with.
    settlements: Settlements,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    ToCome,
    Begun,
    Ended,
}

/// What identifies a route on the wire, and how it ends.
pub(crate) struct RouteSpec {
    pub(crate) kind: RouteKind,
    pub(crate) connection: u64,
    pub(crate) command_id: String,
    pub(crate) sub_id: String,
    pub(crate) query_id: String,
    pub(crate) wanted_acks: AckType,
    /// Those of the wanted acknowledgements that the command offers: only these are waited for.
    pub(crate) offered_acks: AckType,
    pub(crate) replaces: bool,
    pub(crate) bookmarks: Option<Arc<dyn BookmarkStore>>,
    pub(crate) ends_with_replay: bool,
    pub(crate) tracked: Option<Box<TrackedSubscription>>,
    /// A loss does not end it until [`Route::settle`] is called.
    pub(crate) is_retried: bool,
}

impl RouteSpec {
    /// A route without ids, for which nothing is done beyond routing.
    pub(crate) fn new(kind: RouteKind, connection: u64) -> RouteSpec {
        RouteSpec {
            kind,
            connection,
            command_id: String::new(),
            sub_id: String::new(),
            query_id: String::new(),
            wanted_acks: AckType::NONE,
            offered_acks: AckType::NONE,
            replaces: false,
            bookmarks: None,
            ends_with_replay: false,
            tracked: None,
            is_retried: false,
        }
    }
}

impl Route {
    pub(crate) fn new(spec: RouteSpec, sink: Sink) -> Route {
        let not_offered = spec.wanted_acks.without(spec.offered_acks);
        Route {
            kind: spec.kind,
            sink,
            connection: spec.connection,
            command_id: spec.command_id,
            sub_id: spec.sub_id,
            query_id: spec.query_id,
            wanted_acks: spec.wanted_acks,
            replaces: spec.replaces,
            bookmarks: spec.bookmarks,
            ends_with_replay: spec.ends_with_replay,
            tracked: spec.tracked,
            backlog: Arc::default(),
            progress: Mutex::new(Progress {
                acks_to_come: spec.wanted_acks.without(not_offered),
                group: Group::ToCome,
                is_retried: spec.is_retried,
                is_lost: false,
                is_given_up: false,
                is_tracked: false,
                settlements: Settlements::default(),
            }),
        }
    }

    /// The connection has ended. A command that is sent again keeps its stream.
    pub(crate) fn end_by_loss(&self) {
        let mut progress = self.progress.lock();
        progress.is_lost = true;
        let ends = !progress.is_retried;
        drop(progress);
        if ends {
            self.end(EndReason::Disconnected);
        }
    }

    /// Its command is not sent again: the server has accepted it. From now on a loss ends it; one
    /// that came in between does so here.
    pub(crate) fn settle(&self) {
        let mut progress = self.progress.lock();
        progress.is_retried = false;
        let is_lost = progress.is_lost;
        drop(progress);
        if is_lost {
            self.end(EndReason::Disconnected);
        }
    }

    /// The receive thread is about to tell the subscription manager of it; false if there is no
    /// need, or no sense any more.
    pub(crate) fn begin_tracking(&self) -> bool {
        let mut progress = self.progress.lock();
        let begins = !progress.is_given_up && !progress.is_tracked;
        progress.is_tracked |= begins;
        begins
    }

    /// True if its owner has given it up since [`Route::begin_tracking`].
    pub(crate) fn is_given_up(&self) -> bool {
        self.progress.lock().is_given_up
    }

    /// Its owner has given it up; true if the subscription manager has it, or is about to.
    pub(crate) fn give_up(&self) -> bool {
        let mut progress = self.progress.lock();
        progress.is_given_up = true;
        progress.is_tracked
    }

    /// How its handler says of the next message that it has taken care of it.
    pub(crate) fn settle_next(&self) -> Settling {
        self.progress.lock().settlements.begin()
    }

    /// True if the query of this route has not delivered its last record.
    pub(crate) fn query_is_running(&self) -> bool {
        !self.query_id.is_empty() && self.progress.lock().group != Group::Ended
    }

    /// Takes note of an acknowledgement; true if it was the last message of this route.
    pub(crate) fn note_ack(&self, ack: &Message) -> bool {
        let mut progress = self.progress.lock();
        progress.acks_to_come = progress.acks_to_come.without(ack.ack_type());
        let no_group_comes = ack.ack_type().contains(AckType::COMPLETED)
            && progress.group == Group::ToCome
            && ack.records_returned().unwrap_or(0) == 0;
        if self.kind == RouteKind::Query && no_group_comes {
            // Some servers leave out the group of an empty result.
            progress.group = Group::Ended;
        }
        self.is_over(&progress)
    }

    /// Takes note of a query's message; true if it was the last message of this route.
    pub(crate) fn note_data(&self, command: CommandType) -> bool {
        let group = match command {
            CommandType::GroupBegin => Group::Begun,
            CommandType::GroupEnd => Group::Ended,
            _ => return false,
        };
        let mut progress = self.progress.lock();
        progress.group = group;
        self.is_over(&progress)
    }

    fn is_over(&self, progress: &Progress) -> bool {
        let acks_done = progress.acks_to_come.is_empty();
        match self.kind {
            RouteKind::Subscription => false,
            RouteKind::Query => acks_done && progress.group == Group::Ended,
            RouteKind::Acks => acks_done,
        }
    }

    /// True if this refusal ends the route: nothing more comes for it.
    pub(crate) fn is_refused_by(&self, ack: &Message) -> bool {
        let refusable = match self.kind {
            RouteKind::Query => AckType::PROCESSED | AckType::COMPLETED,
            RouteKind::Subscription | RouteKind::Acks => AckType::PROCESSED,
        };
        ack.status_kind() == Status::Failure && ack.ack_type().intersects(refusable)
    }

    /// Ends the stream, if there is one.
    pub(crate) fn end(&self, reason: EndReason) {
        self.sink.end(reason);
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        [&self.command_id, &self.sub_id, &self.query_id]
            .into_iter()
            .map(String::as_str)
            .filter(|id| !id.is_empty())
    }

    /// True if unsubscribing `id`, under which it was found, ends this route.
    pub(super) fn is_unsubscribed_by(&self, id: &str) -> bool {
        match self.kind {
            RouteKind::Acks => false,
            // Until a replacing route is accepted, its command id names nothing on the server.
            RouteKind::Subscription => !self.replaces || self.sub_id == id,
            RouteKind::Query => true,
        }
    }
}
