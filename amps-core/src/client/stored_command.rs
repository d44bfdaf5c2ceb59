//! Commands with all their fields that go through the publish store: publishes and deletes.

use super::connection::Connection;
use super::execute::{Executed, Request, register};
use super::pending::{Outcome, Wait};
use super::plan::context;
use super::route::{Route, RouteSpec};
use super::shared::Shared;
use crate::ack::AckType;
use crate::command::Command;
use crate::error::{Error, ErrorContext, Result};
use crate::store::OutgoingCommand;
use std::sync::Arc;
use std::time::Instant;

impl Shared {
    /// Stores a command and sends it, if the client is logged on and has caught up. Never sent
    /// again from here: that is the store's, which sends it without its id (design, "Commands
    /// across a loss"). So a caller that waits learns that with [`Error::RetryOperation`] and the
    /// number.
    pub(crate) fn execute_stored(self: &Arc<Self>, request: Request) -> Result<Executed> {
        let Request {
            command,
            plan,
            sink,
            patience,
            ..
        } = request;
        let outgoing = outgoing(&command);
        let acks = plan.own_acks | command.ack_type() | AckType::PERSISTED;
        // What waits keeps to its time, also while another thread is stuck in a write.
        let mut wire = match patience.deadline().filter(|_| plan.awaited.is_some()) {
            None => self.wire.lock(),
            Some(deadline) => self.wire.try_lock_until(deadline).ok_or_else(|| {
                context(&command)
                    .with_reason("other threads did not let it through; it was not stored")
                    .TimedOut()
            })?,
        };
        // Registered before it is stored: if an id is in use, nothing is.
        let prepared = wire.live_connection(self.id()).and_then(|live| {
            let Some(connection) = live else {
                return Ok((None, None, None));
            };
            let route = match plan.kind_of_route(&command, &sink) {
                Some(kind) => {
                    let spec = RouteSpec {
                        command_id: command.command_id().to_string(),
                        wanted_acks: command.ack_type(),
                        offered_acks: plan.offered,
                        ..RouteSpec::new(kind, connection.number)
                    };
                    Some(register(&self.routes, spec, sink, || context(&command))?)
                }
                None => None,
            };
            let waiting = match plan.awaited {
                Some(awaited) => {
                    let waiting = self.register_waiting(&command, awaited, &connection);
                    if waiting.is_err() {
                        self.forget_route(route.as_ref());
                    }
                    Some(waiting?)
                }
                None => None,
            };
            Ok((Some(connection), route, waiting))
        });
        let (live, route, waiting) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                self.unlock(wire);
                return Err(error);
            }
        };
        let may_join = command.is_publish();
        let stored = self.store_and_send(
            wire,
            &outgoing,
            may_join,
            || context(&command),
            |out, sequence| {
                command
                    .write_numbered_header(out, acks, sequence)
                    .finish_header(command.data().len());
            },
        );
        let sequence = match stored {
            Ok(stored) => stored,
            Err(error) => {
                self.forget_route(route.as_ref());
                return Err(error);
            }
        };
        if plan.awaited.is_none() {
            return Ok(Executed::of(&command, route, Some(sequence)));
        }
        // A loss clears those who wait after the connection has ceased to be live: this one is
        // either among them, or sees it here.
        let waiting = waiting.filter(|_| live.as_ref().is_some_and(|live| live.is_live()));
        let context = || context(&command).with_sequence(sequence);
        let decided = self.wait_for_stored(waiting, patience.deadline(), sequence, context);
        if decided.is_err() {
            self.forget_route(route.as_ref());
        }
        decided?;
        Ok(Executed::of(&command, route, Some(sequence)))
    }

    fn register_waiting(
        &self,
        command: &Command,
        awaited: AckType,
        connection: &Connection,
    ) -> Result<Wait<'_>> {
        let id = command.command_id();
        let waiting = self.pending.register(id, awaited, connection.number);
        waiting.ok_or_else(|| {
            let reason = format!("the command id {id} is in use");
            context(command)
                .with_reason(reason)
                .SubscriptionAlreadyExists()
        })
    }

    fn wait_for_stored(
        self: &Arc<Self>,
        waiting: Option<Wait<'_>>,
        deadline: Option<Instant>,
        sequence: u64,
        context: impl Fn() -> ErrorContext,
    ) -> Result<()> {
        let outcome = match waiting {
            None => Outcome::Disconnected,
            Some(wait) => {
                let _waiting = self.waits.for_ack();
                wait.wait(deadline)
            }
        };
        match outcome {
            Outcome::Acknowledged(ack) if ack.to_result().is_ok() => Ok(()),
            Outcome::Acknowledged(ack) => {
                // It would be refused again and again; its caller knows.
                let store = self.stores.lock().publish.clone();
                self.report_failed(|| store.map_or(Ok(false), |store| store.discard_one(sequence)));
                self.persisted.notify();
                Err(Error::refused(ack.reason(), context()))
            }
            Outcome::Disconnected => Err(context()
                .with_reason(format!(
                    "the server has not answered; it is stored as {sequence} and will be sent \
                     again after the next logon"
                ))
                .RetryOperation()),
            Outcome::TimedOut => Err(context()
                .with_reason(format!("no answer in time; it stays stored as {sequence}"))
                .TimedOut()),
        }
    }

    fn forget_route(&self, route: Option<&Arc<Route>>) {
        if let Some(route) = route {
            self.routes.remove(route);
        }
    }
}

/// What a store keeps of a command.
fn outgoing(command: &Command) -> OutgoingCommand<'_> {
    let mut outgoing = OutgoingCommand::new(command.command(), command.topic(), command.data());
    outgoing.correlation_id = command.correlation_id();
    outgoing.expiration = command.expiration().map(|lifetime| lifetime.as_secs());
    outgoing.sow_key = command.sow_key();
    outgoing.sow_keys = command.sow_keys();
    outgoing.filter = command.filter();
    outgoing.bookmark = command.bookmark();
    outgoing.options = command.options();
    outgoing
}
