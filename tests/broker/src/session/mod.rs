//! What one connection may do: the commands, one module per kind.

mod bookmark;
mod criteria;
mod delete;
mod heartbeat;
mod history;
mod logon;
mod pause;
mod publish;
mod query;
mod queue;
mod replace;
mod result;
mod sequence;
mod subscribe;
mod write_acks;

pub(crate) use heartbeat::send_beat;
pub(crate) use write_acks::{WriteAcks, due as write_acks_due, tell_all as tell_write_acks};

use crate::ack::{Ack, Kind, Status};
use crate::engine::Engine;
use crate::reason::{Refusal, text};
use crate::request::Request;
use crate::server::{Connection, Shared};
use amps_core::protocol::{Field, FrameBuffer};
use amps_core::{AckType, CommandType};
use std::sync::Arc;

/// How a connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Flow {
    Continue,
    /// What is pending goes out, then the connection is closed.
    Finish,
}

/// How a batch of frames ended.
enum Batch {
    /// All are carried out, or the connection ends.
    Done(Flow),
    /// This frame is a logon, to be carried out without the engine's lock: the hook that decides
    /// about it may take its time.
    Logon(Vec<u8>),
}

/// What the reader of a connection knows about it.
pub(crate) struct Session {
    connection: Arc<Connection>,
    /// The place of the message type in the settings, once logged on.
    message_type: Option<usize>,
    names: PublisherNames,
}

/// What a client is called in bookmarks.
#[derive(Debug, Clone, Copy, Default)]
struct PublisherNames {
    /// With the sequence numbers of the client; `None` if it has no name, so that nobody can
    /// tell who it is when it comes again.
    own: Option<u64>,
    /// With numbers of the broker, for what comes without one. It is another name, so that the
    /// numbers cannot meet (`broker-behaviour §7`).
    given: u64,
}

impl Session {
    pub(crate) fn new(connection: Arc<Connection>) -> Session {
        Session {
            connection,
            message_type: None,
            names: PublisherNames::default(),
        }
    }

    /// Carries out every complete frame that was read.
    ///
    /// They share one turn, so that the lock is taken and the connections are flushed once per
    /// read, however many frames came with it.
    pub(crate) fn process(&mut self, shared: &Shared, frames: &mut FrameBuffer) -> Flow {
        loop {
            let logon = match shared.turn(|engine| self.batch(shared, engine, frames)) {
                Batch::Done(flow) => return flow,
                Batch::Logon(frame) => frame,
            };
            let flow = match Request::parse(&logon) {
                Ok(request) => self.logon(shared, &request),
                Err(error) => self.hang_up(&error),
            };
            if flow != Flow::Continue {
                return flow;
            }
        }
    }

    /// As [`Session::process`], up to a logon.
    fn batch(&self, shared: &Shared, engine: &mut Engine, frames: &mut FrameBuffer) -> Batch {
        if self.connection.is_closed() {
            return Batch::Done(Flow::Finish);
        }
        loop {
            let frame = match frames.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => return Batch::Done(Flow::Continue),
                Err(error) => return Batch::Done(self.hang_up(&error)),
            };
            if shared.settings.record_frames {
                engine.record(self.connection.id(), &frame);
            }
            let request = match Request::parse(&frame) {
                Ok(request) => request,
                Err(error) => return Batch::Done(self.hang_up(&error)),
            };
            if request.command == CommandType::Logon {
                return Batch::Logon(frame.to_vec());
            }
            let flow = self.execute(engine, &request);
            engine.dispatch();
            if flow != Flow::Continue {
                return Batch::Done(flow);
            }
        }
    }

    /// What cannot be read cannot be answered: only this connection ends.
    fn hang_up(&self, error: &dyn std::fmt::Display) -> Flow {
        log::warn!("connection {}: {error}", self.connection.id());
        Flow::Finish
    }

    fn execute(&self, engine: &mut Engine, request: &Request<'_>) -> Flow {
        let Some(message_type) = self.message_type else {
            let refusal = Refusal::new(text::LOGON_REQUIRED, "the first command must be logon");
            self.refuse(engine, request, &refusal);
            return Flow::Finish;
        };
        if request.wants(AckType::RECEIVED) {
            self.acknowledge(engine, request, Kind::Received);
        }
        let done = match request.command {
            CommandType::Publish | CommandType::DeltaPublish => {
                self.publish(engine, message_type, request)
            }
            CommandType::Subscribe | CommandType::DeltaSubscribe => {
                self.subscribe(engine, message_type, request)
            }
            CommandType::Sow => self.sow(engine, message_type, request),
            CommandType::SowAndSubscribe | CommandType::SowAndDeltaSubscribe => {
                self.sow_and_subscribe(engine, message_type, request)
            }
            CommandType::Unsubscribe => self.unsubscribe(engine, request),
            CommandType::SowDelete => self.sow_delete(engine, message_type, request),
            CommandType::Flush => {
                self.flush(engine, request);
                Ok(())
            }
            CommandType::Heartbeat => self.heartbeat(engine, request),
            CommandType::StartTimer | CommandType::StopTimer => {
                self.processed(engine, request);
                Ok(())
            }
            _ => {
                let name = request.lossy(Field::Command);
                let refusal = Refusal::new(text::UNKNOWN_COMMAND, format!("command {name:?}"));
                self.refuse(engine, request, &refusal);
                return Flow::Finish;
            }
        };
        if let Err(refusal) = done {
            self.refuse(engine, request, &refusal);
        }
        Flow::Continue
    }

    /// Every earlier command of this connection is done when this one is looked at, as the
    /// commands of a connection are carried out one after the other.
    fn flush(&self, engine: &mut Engine, request: &Request<'_>) {
        for (wanted, kind) in [
            (AckType::PROCESSED, Kind::Processed),
            (AckType::COMPLETED, Kind::Completed),
            (AckType::PERSISTED, Kind::Persisted),
        ] {
            if request.wants(wanted) {
                if kind == Kind::Persisted {
                    // What was published before has to be known by then.
                    let ack = Ack {
                        command_id: &request.text(Field::CommandId),
                        kind,
                        ..Ack::default()
                    };
                    self.tell_when_safe(engine, &ack);
                } else {
                    self.acknowledge(engine, request, kind);
                }
            }
        }
    }

    /// The `processed` acknowledgement of success, if it was asked for.
    fn processed(&self, engine: &mut Engine, request: &Request<'_>) {
        if request.wants(AckType::PROCESSED) {
            self.acknowledge(engine, request, Kind::Processed);
        }
    }

    /// A success that says nothing but which command it is for.
    fn acknowledge(&self, engine: &mut Engine, request: &Request<'_>, kind: Kind) {
        let ack = Ack {
            command_id: &request.text(Field::CommandId),
            kind,
            ..Ack::default()
        };
        engine.send(&self.connection, |out| ack.write(out));
    }

    /// Refuses a command: with `processed`, if that was asked for; publishes and deletes also with
    /// `persisted`, by which a publish store learns of it. Nobody else is told
    /// (`commands.md`, first section), so the log is.
    fn refuse(&self, engine: &mut Engine, request: &Request<'_>, refusal: &Refusal) {
        log::debug!(
            "connection {}: {} refused: {}: {}",
            self.connection.id(),
            request.command,
            refusal.reason,
            refusal.why
        );
        if request.command.needs_sequence_number() {
            self.write_failed(engine, request, refusal);
        } else if request.wants(AckType::PROCESSED) {
            let ack = Ack {
                command_id: &request.text(Field::CommandId),
                status: Status::Failure,
                reason: refusal.reason.as_bytes(),
                ..Ack::default()
            };
            engine.send(&self.connection, |out| ack.write(out));
        }
    }
}
