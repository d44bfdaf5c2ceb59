//! Heartbeats: how a connection that is dead but not closed is found out.
//!
//! The client asks the server to beat at an interval and answers each beat. It counts as lost if
//! nothing at all comes for the idle period: that is the read timeout of the receive thread, so no
//! timer is needed. Writes have the same timeout, so that a publisher stuck on a peer that stopped
//! reading does not outlive the connection.

use super::ask::{Patience, Question};
use super::connection::Connection;
use super::outbox::Turn;
use super::pending::{Outcome, Wait};
use super::receiving::DEFAULT_TIMEOUT;
use super::shared::Shared;
use super::{Client, ConnectionState};
use crate::ack::AckType;
use crate::command::{Command, whole_seconds};
use crate::command_type::CommandType;
use crate::error::{Error, ErrorContext, Result};
use crate::protocol::{Field, FrameWriter};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What was agreed on with the server, or will be at the next logon.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heartbeat {
    interval: Duration,
    idle: Duration,
}

/// Finding out that a server is gone.
impl Client {
    /// Asks the server for a heartbeat at this interval; the connection counts as lost when
    /// nothing has come for two intervals. Zero turns it off. Default: off.
    ///
    /// The interval is rounded up to whole seconds. It is remembered and agreed on with the server
    /// after each logon, and at once if the client is logged on; if the server refuses, the
    /// exception listener is told. Beats are answered by the receive thread: a handler or a full
    /// stream that holds it up for longer than the server tolerates gets the client disconnected.
    /// Guide §5.2, §9.4; rules N1 to N7.
    pub fn set_heartbeat(&self, interval: Duration) {
        let interval = Duration::from_secs(whole_seconds(interval));
        self.set_heartbeat_with_timeout(interval, interval.saturating_mul(2));
    }

    /// As [`Client::set_heartbeat`], with the idle period after which the connection counts as
    /// lost. It should be longer than the interval. A write that makes no progress for as long is
    /// a loss, too.
    pub fn set_heartbeat_with_timeout(&self, interval: Duration, idle: Duration) {
        let shared = self.shared();
        let context = || ErrorContext::new("set the heartbeat of", shared.name());
        if let Err(error) = shared.check_not_in_store(context) {
            shared.callbacks.report(&error);
            return;
        }
        let on = !interval.is_zero() && !idle.is_zero();
        let heartbeat = on.then_some(Heartbeat { interval, idle });
        shared.settings.lock().heartbeat = heartbeat;
        let connection = {
            let state = shared.state.lock();
            let logged_on = state.session.is_some();
            state.connection.clone().filter(|_| logged_on)
        };
        if let Some(connection) = connection {
            shared.agree_on_heartbeat(&connection);
        }
    }
}

impl Shared {
    /// After a logon, or when the setting changes. Errors go to the exception listener (rule N6).
    pub(crate) fn agree_on_heartbeat(self: &Arc<Self>, connection: &Arc<Connection>) {
        let heartbeat = self.settings.lock().heartbeat;
        let Some(heartbeat) = heartbeat else {
            connection.set_idle_limit(Duration::ZERO);
            return;
        };
        // Before the server is asked: its answer makes the receive thread look at the limit.
        connection.set_idle_limit(heartbeat.idle);
        match self.start_heartbeat(connection, heartbeat.interval) {
            Ok(()) => {
                let mut state = self.state.lock();
                if state.is_current(connection) {
                    state.tell(ConnectionState::HeartbeatInitiated);
                }
                drop(state);
                self.announce();
            }
            Err(error) => {
                if connection.is_live() && !connection.is_silent() {
                    connection.set_idle_limit(Duration::ZERO);
                }
                self.callbacks.report(&error);
            }
        }
    }

    fn start_heartbeat(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        interval: Duration,
    ) -> Result<()> {
        let seconds = whole_seconds(interval);
        let context = || ErrorContext::new("start a heartbeat with", connection.uri.to_string());
        let command = Command::from(CommandType::Heartbeat)
            .set_command_id(self.new_command_id())
            .set_options(format!("start,{seconds}"));
        if self.is_on_receive_thread() {
            // The answer cannot be waited for here, nor is it needed.
            let mut bytes = Vec::new();
            command.write_header(&mut bytes, AckType::NONE).finish(b"");
            self.post(connection, &bytes, Turn::AtOnce);
            return Ok(());
        }
        let question = Question {
            connection,
            command: &command,
            acks: AckType::PROCESSED,
            awaited: AckType::PROCESSED,
            patience: Patience::of(DEFAULT_TIMEOUT),
        };
        let deadline = question.patience.deadline();
        let ack = self.ask_and(&question, context, |wait| watch(connection, wait, deadline))?;
        match ack.to_result() {
            Ok(()) => Ok(()),
            Err(_) => Err(Error::refused(ack.reason(), context())),
        }
    }

    /// Answers a beat of the server, on the receive thread, without waiting for anything.
    pub(crate) fn answer_heartbeat(self: &Arc<Self>, connection: &Arc<Connection>) {
        let mut bytes = Vec::new();
        let mut frame = FrameWriter::begin(&mut bytes, CommandType::Heartbeat);
        frame.text(Field::Options, b"beat");
        frame.finish(b"");
        self.post(connection, &bytes, Turn::AtOnce);
    }
}

/// Waits for the answer to the first heartbeat of a connection.
///
/// A read that is under way when the limit is set does not know of it: only what comes makes the
/// receive thread mind it. Until then this wait stands in for the receive thread, or a server that
/// falls silent just after the logon would never be found out.
fn watch(connection: &Connection, wait: &Wait<'_>, deadline: Option<Instant>) -> Outcome {
    let limit = connection.idle_limit().unwrap_or_default();
    let silent_at = Instant::now().checked_add(limit);
    let first = [silent_at, deadline].into_iter().flatten().min();
    match wait.wait(first) {
        Outcome::TimedOut if !connection.minds_idle_limit() => {
            connection.end_silent();
            Outcome::Disconnected
        }
        Outcome::TimedOut => wait.wait(deadline),
        outcome => outcome,
    }
}
