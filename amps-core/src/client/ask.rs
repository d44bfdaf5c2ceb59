//! Sending a command and waiting for its acknowledgement.

use super::connection::Connection;
use super::outbox::Turn;
use super::pending::{Outcome, Wait};
use super::shared::Shared;
use crate::ack::AckType;
use crate::command::Command;
use crate::error::{ErrorContext, Result};
use crate::message::Message;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A command whose acknowledgement is waited for.
pub(crate) struct Question<'a> {
    pub(crate) connection: &'a Arc<Connection>,
    /// The command, with its id.
    pub(crate) command: &'a Command,
    /// Every acknowledgement that is asked for.
    pub(crate) acks: AckType,
    /// The one that is waited for; a refusal ends the wait, too.
    pub(crate) awaited: AckType,
    /// How long the answer may take.
    pub(crate) patience: Patience,
}

/// How long to wait, and until when that is.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    timeout: Duration,
    deadline: Option<Instant>,
}

impl Patience {
    /// From now on; zero, or a time that the clock cannot count to, is for ever.
    pub(crate) fn of(timeout: Duration) -> Patience {
        let deadline = match timeout {
            Duration::ZERO => None,
            timeout => Instant::now().checked_add(timeout),
        };
        Patience { timeout, deadline }
    }

    /// How long, as it was asked for; zero is for ever.
    pub(crate) fn timeout(self) -> Duration {
        self.timeout
    }

    /// Until when; none is for ever.
    pub(crate) fn deadline(self) -> Option<Instant> {
        self.deadline
    }
}

impl Shared {
    /// Sends the command and waits for the answer, which may be a refusal.
    ///
    /// The caller is registered before the command is sent, so no answer can be missed; a loss
    /// takes the connection out of the state before it looks for callers, so none is forgotten.
    /// The command is posted, so that the wait has its bound also while another thread is stuck
    /// in a write.
    pub(crate) fn ask(
        self: &Arc<Self>,
        question: &Question<'_>,
        context: impl Fn() -> ErrorContext,
    ) -> Result<Message> {
        let deadline = question.patience.deadline;
        self.ask_and(question, context, |wait| wait.wait(deadline))
    }

    /// As [`Shared::ask`], with another way to wait.
    pub(crate) fn ask_and(
        self: &Arc<Self>,
        question: &Question<'_>,
        context: impl Fn() -> ErrorContext,
        wait_for: impl FnOnce(&Wait<'_>) -> Outcome,
    ) -> Result<Message> {
        let Question {
            connection,
            command,
            acks,
            awaited,
            patience,
        } = question;
        let id = command.command_id();
        let Some(wait) = self.pending.register(id, *awaited, connection.number) else {
            let reason = format!("the command id {id} is in use");
            return Err(context().with_reason(reason).SubscriptionAlreadyExists());
        };
        let lost = |reason: &str| Err(context().with_reason(reason).Disconnected());
        connection.check_live(&context)?;
        let mut frame = Vec::new();
        command
            .write_header(&mut frame, *acks)
            .finish(command.data());
        self.post(connection, &frame, Turn::AfterBatch);
        let waiting = self.waits.for_ack();
        let outcome = wait_for(&wait);
        drop(waiting);
        match outcome {
            Outcome::Acknowledged(ack) => Ok(ack),
            Outcome::Disconnected => lost("the connection was lost before the server answered"),
            Outcome::TimedOut => Err(context()
                .with_reason(format!("no answer within {:?}", patience.timeout))
                .TimedOut()),
        }
    }

    /// Sends a command to one connection and waits for no answer. A publish may wait for space in
    /// the socket; everything else is posted.
    pub(crate) fn send_command(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        command: &Command,
        acks: AckType,
        context: impl Fn() -> ErrorContext,
    ) -> Result<()> {
        if command.is_publish() {
            return self.send_on(connection, command.data(), context, |out| {
                command
                    .write_header(out, acks)
                    .finish_header(command.data().len());
            });
        }
        connection.check_live(&context)?;
        let mut frame = Vec::new();
        command
            .write_header(&mut frame, acks)
            .finish(command.data());
        self.post(connection, &frame, Turn::AfterBatch);
        Ok(())
    }
}
