//! The methods that send messages as they are, and register routes by hand.

use super::Client;
use super::ask::{Patience, Question};
use super::connection::Connection;
use super::execute::register;
use super::plan::context;
use super::route::{Route, RouteKind, RouteSpec, Sink};
use super::send::check_size;
use super::shared::Shared;
use crate::ack::AckType;
use crate::command::Command;
use crate::command_type::CommandType;
use crate::error::{Error, ErrorContext, Result};
use crate::handler::{HandlerOutcome, MessageHandler};
use crate::message::Message;
use crate::protocol::Field;
use std::sync::Arc;
use std::time::Duration;

/// Sending messages as they are.
impl Client {
    /// Sends a message as it is: no id is assigned, no acknowledgement waited for, no store
    /// touched.
    ///
    /// Publishes are written as by [`Client::publish`], and may join a batch; everything else is
    /// posted, so it never waits for the socket and is fine in a handler. What the server answers
    /// goes to the handler that [`Client::add_message_handler`] registered for the command id, else
    /// to the last chance handler.
    ///
    /// ```no_run
    /// # use amps_core::{Client, Message};
    /// # fn run(client: &Client, message: &Message) -> amps_core::Result<()> {
    /// let mut acknowledgement = Message::new("sow_delete");
    /// acknowledgement.set_topic(message.topic()).set_bookmark(message.bookmark());
    /// client.send(&acknowledgement)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`]: not connected, or the connection broke. [`Error::Usage`]: the
    /// message names no command, logs on, or is beyond the protocol's limit. Nothing was sent.
    pub fn send(&self, message: &Message) -> Result<()> {
        let command = sendable(message)?;
        let connection = self.shared().connection(|| context(&command))?;
        self.shared().send_raw(&connection, &command)
    }

    /// Sends a message and hands what it brings to a handler; returns its command id, which is
    /// generated if the message has none.
    ///
    /// If the message asks for the processed acknowledgement, this waits for it, for as long as
    /// `timeout` says; zero is for ever. The handler is registered as
    /// [`Client::add_message_handler`] does, with the acknowledgements that the message asks for.
    ///
    /// # Errors
    ///
    /// As [`Client::send`] and [`Client::add_message_handler`]. [`Error::TimedOut`]: no answer in
    /// time; a subscription or query is taken back. Any other
    /// [command error](Error::is_command_error): the server refused. The handler is gone after an
    /// error.
    pub fn send_with_handler<H, O>(
        &self,
        handler: H,
        message: &Message,
        timeout: Duration,
    ) -> Result<String>
    where
        H: FnMut(&Message) -> O + Send + 'static,
        O: HandlerOutcome,
    {
        let mut command = sendable(message)?;
        if command.command_id().is_empty() {
            command.set_field(Field::CommandId, &self.shared().new_command_id());
        }
        let id = command.command_id().to_string();
        let sink = Sink::Handler(MessageHandler::new(handler));
        self.shared().send_raw_and_wait(&command, sink, timeout)?;
        Ok(id)
    }

    /// Hands what comes for an id to a handler, on the receive thread: for commands that are sent
    /// with [`Client::send`].
    ///
    /// `acks` are the acknowledgements that the handler gets. `command` tells how long it stays:
    /// for a subscription until it is unsubscribed, for a query until its result is complete, for
    /// anything else until the last of `acks`. All end with the connection in use, or if there is
    /// none with the next one.
    ///
    /// # Errors
    ///
    /// [`Error::SubscriptionAlreadyExists`]: the id is in use; the other handler stays (trap 34).
    /// [`Error::InvalidSubId`]: it is empty.
    pub fn add_message_handler<H, O>(
        &self,
        command_id: impl AsRef<str>,
        handler: H,
        acks: AckType,
        command: CommandType,
    ) -> Result<()>
    where
        H: FnMut(&Message) -> O + Send + 'static,
        O: HandlerOutcome,
    {
        let id = command_id.as_ref();
        if id.is_empty() {
            let context = ErrorContext::new("add a message handler", id);
            return Err(context.with_reason("the id is empty").InvalidSubId());
        }
        let connection = {
            let state = self.shared().state.lock();
            let live = state.connection.as_ref().map(|live| live.number);
            live.unwrap_or(state.connections + 1)
        };
        let sink = Sink::Handler(MessageHandler::new(handler));
        let command = Command::from(command).set_command_id(id);
        self.shared().add_route(&command, acks, connection, sink)?;
        Ok(())
    }

    /// Removes a handler by its id, without telling the server; false if there is none.
    pub fn remove_message_handler(&self, command_id: impl AsRef<str>) -> bool {
        let routes = &self.shared().routes;
        match routes.get(command_id.as_ref().as_bytes()) {
            Some(route) => routes.remove(&route),
            None => false,
        }
    }
}

/// The command of a message, if it can be sent.
fn sendable(message: &Message) -> Result<Command> {
    let command = message.to_command();
    let refused = |reason: &str| Err(context(&command).with_reason(reason).Usage());
    if command.name().is_empty() {
        return refused("the message names no command");
    }
    if command.command() == CommandType::Logon {
        return refused("logging on is done by Client::logon");
    }
    check_size(command.data(), || context(&command))?;
    Ok(command)
}

impl Shared {
    fn send_raw(self: &Arc<Self>, connection: &Arc<Connection>, command: &Command) -> Result<()> {
        self.send_command(connection, command, command.ack_type(), || context(command))
    }

    fn send_raw_and_wait(
        self: &Arc<Self>,
        command: &Command,
        sink: Sink,
        timeout: Duration,
    ) -> Result<()> {
        let acks = command.ack_type();
        let waits = acks.contains(AckType::PROCESSED);
        if waits {
            self.check_may_wait(|| context(command))?;
        }
        let connection = self.connection(|| context(command))?;
        let route = self.add_route(command, acks, connection.number, sink)?;
        let sent = if waits {
            let question = Question {
                connection: &connection,
                command,
                acks,
                awaited: AckType::PROCESSED,
                patience: Patience::of(timeout),
            };
            self.ask(&question, || context(command))
                .and_then(|ack| match ack.to_result() {
                    Ok(()) => Ok(()),
                    Err(_) => Err(Error::refused(ack.reason(), context(command))),
                })
        } else {
            self.send_raw(&connection, command)
        };
        if sent.is_err() {
            self.settle(&route, &sent);
        }
        sent
    }

    /// Registers a route under the ids that a command has, or would get.
    fn add_route(
        &self,
        command: &Command,
        acks: AckType,
        connection: u64,
        sink: Sink,
    ) -> Result<Arc<Route>> {
        let id = command.command_id();
        let or_id = |own: &str, used: bool| match (own, used) {
            (_, false) => String::new(),
            ("", true) => id.to_string(),
            (own, true) => own.to_string(),
        };
        let kind = match command.command() {
            _ if command.is_subscribe() => RouteKind::Subscription,
            CommandType::Sow => RouteKind::Query,
            _ => RouteKind::Acks,
        };
        let spec = RouteSpec {
            command_id: id.to_string(),
            sub_id: or_id(command.sub_id(), command.is_subscribe()),
            query_id: or_id(command.query_id(), command.is_sow()),
            wanted_acks: acks,
            offered_acks: acks,
            replaces: command.is_subscribe() && command.has_option("replace"),
            ..RouteSpec::new(kind, connection)
        };
        register(&self.routes, spec, sink, || context(command))
    }
}
