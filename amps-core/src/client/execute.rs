//! Executing a command: ids, routes, the wait for the server's word.

use super::ask::{Patience, Question};
use super::bookmarks::Start;
use super::connection::Connection;
use super::plan::{Plan, check, context};
use super::retry::Ticket;
use super::route::{Route, RouteKind, RouteSpec, Sink};
use super::routes::{Conflict, Routes};
use super::shared::Shared;
use super::unsubscribe::join;
use crate::ack::AckType;
use crate::bookmark;
use crate::command::Command;
use crate::command_type::CommandType;
use crate::error::{Error, ErrorContext, Result};
use crate::protocol::Field;
use crate::stream::EndReason;
use crate::subscription_manager::{SubscriptionHandler, TrackedSubscription};
use std::sync::Arc;

/// The batch size of a query that sets none (rule D8).
const BATCH_SIZE: u32 = 10;

/// How a command is executed, apart from what it says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// The subscription manager is told of a subscription with a handler; a loss does not end it,
    /// if so configured.
    Usual,
    /// The subscription manager is not told.
    Untracked,
    /// By the subscription manager itself, during a recovery: a loss ends it.
    Again,
}

/// A command on its way, over as many connections as it takes.
pub(crate) struct Request {
    /// With its ids.
    pub(crate) command: Command,
    pub(crate) plan: Plan,
    pub(crate) sink: Sink,
    pub(crate) patience: Patience,
    is_tracked: bool,
}

impl Request {
    /// True if it pauses or resumes subscriptions that the subscription manager may know (M6).
    fn changes_pace(&self) -> bool {
        self.is_tracked && self.command.is_subscribe() && self.plan.brings == RouteKind::Acks
    }
}

/// A command that was sent and, where it waits for that, accepted.
pub(crate) struct Executed {
    /// The subscription id for the subscribe family, else the command id; empty if it has none.
    pub(crate) id: String,
    /// The route, if there is one.
    pub(crate) route: Option<Arc<Route>>,
    /// The number of a command that was stored.
    pub(crate) sequence: Option<u64>,
}

impl Executed {
    pub(crate) fn of(
        command: &Command,
        route: Option<Arc<Route>>,
        sequence: Option<u64>,
    ) -> Executed {
        let id = match command.sub_id() {
            sub_id if command.is_subscribe() => sub_id,
            _ => command.command_id(),
        };
        Executed {
            id: id.to_string(),
            route,
            sequence,
        }
    }
}

impl Shared {
    /// Sends a command, routes what comes back to `sink`, and waits until the server has accepted
    /// it (rules D1 to D9).
    pub(crate) fn execute(self: &Arc<Self>, command: Command, sink: Sink) -> Result<Executed> {
        self.execute_in(Manner::Usual, command, sink)
    }

    pub(crate) fn execute_in(
        self: &Arc<Self>,
        manner: Manner,
        mut command: Command,
        sink: Sink,
    ) -> Result<Executed> {
        let plan = Plan::of(&command, |id| self.routes.contains(id));
        check(&command)?;
        self.check_not_in_store(|| context(&command))?;
        if plan.awaited.is_some() {
            self.check_may_wait(|| context(&command))?;
        }
        if command.command() == CommandType::Unsubscribe {
            // Whether it reaches the server or not: it must not come back (rules D12, I10).
            self.take_back(&join(&[command.sub_id(), command.query_id()]));
        }
        let patience = Patience::of(command.timeout());
        self.assign_ids(&mut command, &plan);
        let request = Request {
            is_tracked: manner == Manner::Usual && self.stores.lock().manager.is_some(),
            command,
            plan,
            sink,
            patience,
        };
        let is_stored =
            request.command.needs_sequence_number() && self.stores.lock().publish.is_some();
        if is_stored {
            return self.execute_stored(request);
        }
        if manner != Manner::Again && self.is_retried(&request.command) {
            return self.execute_with_retry(&request);
        }
        let context = || context(&request.command);
        let connection = match manner {
            Manner::Again => self.restored_connection(context)?,
            Manner::Usual | Manner::Untracked => self.ready_connection(false, patience, context)?,
        };
        self.attempt(&request, &connection, None)
    }

    /// Sends a command over one connection.
    pub(crate) fn attempt(
        self: &Arc<Self>,
        request: &Request,
        connection: &Arc<Connection>,
        ticket: Option<&Ticket<'_>>,
    ) -> Result<Executed> {
        // The request stays as it was: another attempt may start elsewhere.
        let mut command = request.command.clone();
        let start = match request.plan.brings {
            RouteKind::Acks => {
                if command.bookmark() == bookmark::MOST_RECENT {
                    // What starts nothing has nothing to resolve it for (trap 81).
                    command.set_field(Field::Bookmark, "");
                }
                Start::default()
            }
            _ => self.start_at_bookmark(&mut command)?,
        };
        let point = start.point.clone();
        let acks = request.plan.own_acks | start.acks | command.ack_type();
        let route = match request.plan.kind_of_route(&command, &request.sink) {
            Some(kind) => {
                let spec = self.spec(request, &command, kind, connection, start, ticket.is_some());
                {
                    let sink = request.sink.clone();
                    Some(register(&self.routes, spec, sink, || context(&command))?)
                }
            }
            None => None,
        };
        if ticket.is_some_and(Ticket::is_cancelled) {
            // It was unsubscribed while it waited for a connection.
            if let Some(route) = &route {
                self.routes.remove(route);
                route.end(EndReason::Unsubscribed);
            }
            return Ok(Executed::of(&command, route, None));
        }
        if let Some(route) = &route
            && let Err(error) = enter(route, &point)
        {
            self.routes.remove(route);
            return Err(error);
        }
        if request.changes_pace() && command.has_option("resume") {
            // Before it is sent: were the manager told afterwards, a loss in between would leave
            // it paused on the next connection. One that pauses is noted afterwards for the same
            // reason.
            self.tell_manager(|manager| manager.resume(command.sub_id()));
        }
        let sent = self.send_and_wait(&command, request, acks, connection);
        if let Some(route) = &route {
            self.settle(route, &sent);
        }
        sent?;
        if request.changes_pace() && !command.has_option("resume") {
            self.tell_manager(|manager| manager.pause(command.sub_id()));
        }
        Ok(Executed::of(&command, route, None))
    }

    /// Makes the server and the subscription manager agree with what has become of the route.
    pub(super) fn settle(self: &Arc<Self>, route: &Arc<Route>, sent: &Result<()>) {
        let take_back = match sent {
            Ok(()) => {
                route.settle();
                // It was unsubscribed here before it was entered there.
                route.kind == RouteKind::Subscription && !self.routes.contains(&route.sub_id)
            }
            // The server may still enter it (rule D6). A route that has not yet taken over the
            // ids of another one leaves that one alone.
            Err(error) => {
                let owned = self.routes.remove(route);
                if route.give_up() {
                    self.untrack(&route.sub_id);
                }
                owned && matches!(error, Error::TimedOut(_)) && route.kind != RouteKind::Acks
            }
        };
        if take_back {
            self.post_unsubscribe(route.connection, &route.sub_id, &route.query_id);
        }
    }

    /// Fills in the ids that the command needs and the application did not give (rule D5).
    fn assign_ids(&self, command: &mut Command, plan: &Plan) {
        let acks = plan.own_acks | command.ack_type();
        let needs_id = plan.brings != RouteKind::Acks
            || !acks.is_empty()
            || command.command() == CommandType::Unsubscribe;
        if command.command_id().is_empty() && needs_id {
            command.set_field(Field::CommandId, &self.new_command_id());
        }
        let command_id = command.command_id().to_string();
        if command.is_subscribe() && command.sub_id().is_empty() {
            command.set_field(Field::SubId, &command_id);
        }
        if command.is_sow() {
            if command.query_id().is_empty() {
                let id = match command.sub_id() {
                    "" => command_id,
                    sub_id => sub_id.to_string(),
                };
                command.set_field(Field::QueryId, &id);
            }
            if command.batch_size().is_none() {
                *command = command.clone().set_batch_size(BATCH_SIZE);
            }
        }
    }

    fn spec(
        &self,
        request: &Request,
        command: &Command,
        kind: RouteKind,
        connection: &Connection,
        start: Start,
        is_retried: bool,
    ) -> RouteSpec {
        let subscribes = kind == RouteKind::Subscription;
        let replaces = subscribes && command.has_option("replace");
        let handler = match &request.sink {
            Sink::Handler(handler) => Some(SubscriptionHandler(handler.clone())),
            Sink::Stream(_) | Sink::Nobody => None,
        };
        // Without a handler it is tracked if it may change a subscription that has one.
        let is_tracked = request.is_tracked
            && subscribes
            && (handler.is_some() || (replaces && matches!(request.sink, Sink::Nobody)));
        // As it was asked for: where it starts is decided each time that it is entered.
        let tracked = is_tracked
            .then(|| Box::new(TrackedSubscription::new(request.command.clone(), handler)));
        RouteSpec {
            kind,
            connection: connection.number,
            command_id: command.command_id().to_string(),
            sub_id: match subscribes {
                true => command.sub_id().to_string(),
                false => String::new(),
            },
            query_id: match command.is_sow() {
                true => command.query_id().to_string(),
                false => String::new(),
            },
            wanted_acks: command.ack_type(),
            offered_acks: request.plan.offered,
            replaces,
            bookmarks: start.store,
            ends_with_replay: start.ends_with_replay,
            tracked,
            is_retried,
        }
    }

    fn send_and_wait(
        self: &Arc<Self>,
        command: &Command,
        request: &Request,
        acks: AckType,
        connection: &Arc<Connection>,
    ) -> Result<()> {
        let context = || context(command);
        let Some(awaited) = request.plan.awaited else {
            return self.send_command(connection, command, acks, context);
        };
        let question = Question {
            connection,
            command,
            acks,
            awaited,
            patience: request.patience,
        };
        let ack = self.ask(&question, context)?;
        match ack.to_result() {
            Ok(()) => Ok(()),
            Err(_) => Err(Error::refused(ack.reason(), context())),
        }
    }
}

/// Tells the bookmark store where a subscription starts: when its id is its own, so that one that is
/// refused here leaves that of another alone, and before the command is sent.
fn enter(route: &Route, point: &str) -> Result<()> {
    match &route.bookmarks {
        Some(store) => store.enter(&route.sub_id, point),
        None => Ok(()),
    }
}

/// Adds a route under its ids: before its command is sent, so that nothing that comes early is
/// lost.
pub(crate) fn register(
    routes: &Routes,
    spec: RouteSpec,
    sink: Sink,
    context: impl Fn() -> ErrorContext,
) -> Result<Arc<Route>> {
    let route = Arc::new(Route::new(spec, sink));
    let in_use = |id: &str| context().with_reason(format!("the id {id} is in use"));
    routes.register(&route).map_err(|conflict| match conflict {
        Conflict::Command => in_use(&route.command_id).SubscriptionAlreadyExists(),
        Conflict::Subscription => in_use(&route.sub_id).SubIdInUse(),
        Conflict::Query => in_use(&route.query_id).SubIdInUse(),
    })?;
    Ok(route)
}
