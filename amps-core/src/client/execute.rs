//! Commands: ids, routes, the wait for the server's word.

use super::ask::{Patience, Question};
use super::connection::Connection;
use super::routes::{Conflict, Route, RouteKind, RouteSpec, Routes, Sink};
use super::shared::{Shared, route_query};
use crate::ack::AckType;
use crate::bookmark;
use crate::command::Command;
use crate::command_type::CommandType;
use crate::error::{Error, ErrorContext, Result};
use crate::protocol::{Field, MAX_FRAME};
use crate::stream::EndReason;
use std::sync::Arc;

/// The batch size of a query that sets none (rule D8).
const BATCH_SIZE: u32 = 10;

/// What the engine does for a command beyond sending it (rule D1).
struct Plan {
    /// Acknowledgements that the engine asks for and consumes.
    own_acks: AckType,
    /// The acknowledgement that the call waits for.
    awaited: Option<AckType>,
    /// What comes back.
    brings: RouteKind,
    /// The acknowledgements that the server offers for this command.
    offered: AckType,
}

impl Plan {
    fn of(command: &Command) -> Plan {
        use AckType as A;
        let wanted = command.ack_type();
        match command.command() {
            kind if kind.is_subscribe() => Plan {
                own_acks: A::PROCESSED,
                awaited: Some(A::PROCESSED),
                brings: RouteKind::Subscription,
                offered: A::NONE,
            },
            CommandType::Sow => Plan {
                own_acks: A::PROCESSED | A::COMPLETED,
                awaited: Some(A::PROCESSED),
                brings: RouteKind::Query,
                offered: A::RECEIVED | A::PROCESSED | A::COMPLETED | A::STATS,
            },
            CommandType::SowDelete => Plan {
                own_acks: A::PROCESSED,
                awaited: Some(A::PROCESSED),
                brings: RouteKind::Acks,
                offered: A::RECEIVED | A::PROCESSED | A::PERSISTED | A::STATS,
            },
            CommandType::Flush => {
                let asked = [A::PERSISTED, A::COMPLETED]
                    .into_iter()
                    .find(|&ack| wanted.contains(ack))
                    .unwrap_or(A::PROCESSED);
                Plan {
                    own_acks: asked,
                    awaited: Some(asked),
                    brings: RouteKind::Acks,
                    offered: A::RECEIVED | A::PROCESSED | A::COMPLETED | A::PERSISTED,
                }
            }
            CommandType::Heartbeat if command.options().starts_with("start") => Plan {
                own_acks: A::PROCESSED,
                awaited: Some(A::PROCESSED),
                brings: RouteKind::Acks,
                offered: A::RECEIVED | A::PROCESSED,
            },
            CommandType::Publish | CommandType::DeltaPublish => Plan {
                own_acks: A::NONE,
                awaited: None,
                brings: RouteKind::Acks,
                offered: A::RECEIVED | A::PROCESSED | A::COMPLETED | A::PERSISTED,
            },
            _ => Plan {
                own_acks: A::NONE,
                awaited: None,
                brings: RouteKind::Acks,
                offered: A::RECEIVED | A::PROCESSED,
            },
        }
    }
}

impl Plan {
    /// The route that the command needs: none if nothing comes back that anybody wants.
    ///
    /// An acknowledgement that a command does not offer may never come, so it makes no route.
    fn kind_of_route(&self, command: &Command, sink: &Sink) -> Option<RouteKind> {
        let is_wanted = self.brings != RouteKind::Acks
            || (command.ack_type().intersects(self.offered) && !matches!(sink, Sink::Nobody));
        is_wanted.then_some(self.brings)
    }
}

/// A command that was sent and, where it waits for that, accepted.
pub(crate) struct Executed {
    /// The subscription id for the subscribe family, else the command id; empty if it has none.
    pub(crate) id: String,
    /// The route, if there is one.
    pub(crate) route: Option<Arc<Route>>,
}

impl Shared {
    /// Sends a command, routes what comes back to `sink`, and waits until the server has accepted
    /// it (rules D1 to D9).
    pub(crate) fn execute(self: &Arc<Self>, mut command: Command, sink: Sink) -> Result<Executed> {
        let plan = Plan::of(&command);
        check(&command)?;
        if plan.awaited.is_some() {
            self.check_may_wait(|| context(&command))?;
        }
        let connection = self.connection(|| context(&command))?;
        self.assign_ids(&mut command, &plan);
        if command.bookmark() == bookmark::MOST_RECENT {
            // Without a bookmark store nothing is known of the subscription (rules L2, L13).
            command.set_field(Field::Bookmark, bookmark::EPOCH);
        }
        let route = match plan.kind_of_route(&command, &sink) {
            Some(kind) => Some(self.register(&command, &plan, kind, &connection, sink)?),
            None => None,
        };
        let sent = self.send_and_wait(&command, &plan, &connection);
        if let Some(route) = &route {
            self.settle(route, &sent);
        }
        sent?;
        let id = match command.sub_id() {
            sub_id if command.is_subscribe() => sub_id,
            _ => command.command_id(),
        };
        Ok(Executed {
            id: id.to_string(),
            route,
        })
    }

    /// Makes the server agree with what has become of the route.
    fn settle(self: &Arc<Self>, route: &Arc<Route>, sent: &Result<()>) {
        let take_back = match sent {
            // It was unsubscribed here before it was entered there.
            Ok(()) => route.kind == RouteKind::Subscription && !self.routes.contains(&route.sub_id),
            // The server may still enter it (rule D6). A route that has not yet taken over the
            // ids of another one leaves that one alone.
            Err(error) => {
                let owned = self.routes.remove(route);
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

    /// The route exists before the command is sent, so that nothing that comes early is lost.
    fn register(
        &self,
        command: &Command,
        plan: &Plan,
        kind: RouteKind,
        connection: &Connection,
        sink: Sink,
    ) -> Result<Arc<Route>> {
        let subscribes = command.is_subscribe();
        let spec = RouteSpec {
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
            offered_acks: plan.offered,
            replaces: subscribes && command.has_option("replace"),
        };
        register(&self.routes, spec, sink, || context(command))
    }

    fn send_and_wait(
        self: &Arc<Self>,
        command: &Command,
        plan: &Plan,
        connection: &Arc<Connection>,
    ) -> Result<()> {
        let context = || context(command);
        let acks = plan.own_acks | command.ack_type();
        let Some(awaited) = plan.awaited else {
            return self.send_command(connection, command, acks, context);
        };
        let question = Question {
            connection,
            command,
            acks,
            awaited,
            patience: Patience::of(command.timeout()),
        };
        let ack = self.ask(&question, context)?;
        match ack.to_result() {
            Ok(()) => Ok(()),
            Err(_) => Err(Error::refused(ack.reason(), context())),
        }
    }

    /// Unsubscribes by id, comma list or `all`, without waiting for the server (rule D12).
    pub(crate) fn unsubscribe(self: &Arc<Self>, ids: &str) -> Result<()> {
        let ids = ids.trim();
        if ids.is_empty() {
            return Err(ErrorContext::new("unsubscribe", "")
                .with_reason("the id is empty")
                .InvalidSubId());
        }
        let removed = self.routes.unsubscribe(ids);
        let mut queries = Vec::new();
        let mut subscriptions = Vec::new();
        for (_, route) in &removed {
            route.end(EndReason::Unsubscribed);
            subscriptions.push(route.sub_id.as_str());
            queries.push(route_query(route));
        }
        if ids == "all" {
            subscriptions = vec![ids];
        } else {
            // The server knows a subscription by its own id only; ids that are not known here may
            // be known there.
            let found = |id: &&str| removed.iter().any(|(known, _)| known == id);
            subscriptions.extend(ids.split(',').map(str::trim).filter(|id| !found(id)));
        }
        let connection = self.state.lock().connection.clone();
        if let Some(connection) = connection {
            let (subscriptions, queries) = (join(&subscriptions), join(&queries));
            self.post_unsubscribe(connection.number, &subscriptions, &queries);
        }
        Ok(())
    }
}

/// Adds a route under its ids.
pub(crate) fn register(
    routes: &Routes,
    spec: RouteSpec,
    sink: Sink,
    context: impl Fn() -> ErrorContext,
) -> Result<Arc<Route>> {
    let route = Arc::new(Route::new(spec, sink));
    let in_use = |id: &str| context().with_reason(format!("the id {id} is in use"));
    routes.register(&route).map_err(|conflict| match conflict {
        Conflict::CommandId => in_use(&route.command_id).SubscriptionAlreadyExists(),
        Conflict::SubId => in_use(&route.sub_id).SubIdInUse(),
    })?;
    Ok(route)
}

/// A comma list of the ids that are not empty.
fn join(ids: &[&str]) -> String {
    let mut list = String::new();
    for id in ids.iter().filter(|id| !id.is_empty()) {
        if !list.is_empty() {
            list.push(',');
        }
        list.push_str(id);
    }
    list
}

/// What can be told wrong without the server.
fn check(command: &Command) -> Result<()> {
    let kind = command.command();
    let needs_topic = kind.is_subscribe() || kind.is_sow() || kind.needs_sequence_number();
    if needs_topic && command.topic().is_empty() {
        return Err(context(command)
            .with_reason("the topic is empty")
            .InvalidTopic());
    }
    if kind == CommandType::Logon {
        return Err(context(command)
            .with_reason("logging on is done by Client::logon")
            .Usage());
    }
    if command.data().len() > MAX_FRAME {
        let reason = format!("a payload of {} bytes", command.data().len());
        return Err(context(command).with_reason(reason).Usage());
    }
    Ok(())
}

/// How errors describe a command: its name, its topic, its filter.
pub(crate) fn context(command: &Command) -> ErrorContext {
    let subject = match (command.topic(), command.filter()) {
        ("", _) => command.sub_id().to_string(),
        (topic, "") => topic.to_string(),
        (topic, filter) => format!("{topic} with the filter {filter}"),
    };
    ErrorContext::new(command.name().to_string(), subject)
}
