//! `logon`: who the client is.

use super::write_acks::WriteAcks;
use super::{Flow, PublisherNames, Session};
use crate::ack::{Ack, Kind, Status};
use crate::auth::{Credentials, Logon};
use crate::config::Settings;
use crate::engine::{Engine, Identity};
use crate::hash::stable_hash;
use crate::interval;
use crate::options::{self, Item};
use crate::reason::{Refusal, text};
use crate::request::Request;
use crate::server::Shared;
use crate::txlog::Bookmark;
use amps_core::AckType;
use amps_core::protocol::Field;
use std::time::Duration;

/// What is to become of a logon.
enum Verdict {
    /// The client may log on, if its name is free.
    Accepted {
        identity: Identity,
        message_type: usize,
        /// How persisted acknowledgements are conflated.
        ack_interval: Option<Duration>,
    },
    Refused(Refusal, Flow),
    /// The hook had something else to say.
    Decided(Logon),
}

impl Session {
    pub(super) fn logon(&mut self, shared: &Shared, request: &Request<'_>) -> Flow {
        if request.wants(AckType::RECEIVED) {
            shared.turn(|engine| self.acknowledge(engine, request, Kind::Received));
        }
        let delay = shared.engine.lock().logon_faults.delay;
        if !delay.is_zero() {
            self.connection.wait_closed(delay);
        }
        // Without the engine's lock, as the hook may take its time.
        let verdict = self.judge(&shared.settings, request);
        shared.turn(|engine| {
            if self.connection.is_closed() {
                return Flow::Finish;
            }
            let verdict = match verdict {
                Verdict::Accepted { identity, .. }
                    if is_unique(&shared.settings, &identity)
                        && held_by_another(engine, &identity) =>
                {
                    let why = "another user is logged on under this name";
                    Verdict::Refused(Refusal::new(text::NAME_IN_USE, why), Flow::Finish)
                }
                other => other,
            };
            let verdict = match engine.logon_faults.take() {
                Some(refusal) => Verdict::Refused(refusal, Flow::Finish),
                None => verdict,
            };
            match verdict {
                Verdict::Accepted {
                    identity,
                    message_type,
                    ack_interval,
                } => {
                    self.message_type = Some(message_type);
                    let publisher = stable_hash([identity.name.as_bytes()]);
                    self.names = PublisherNames {
                        own: (!identity.name.is_empty()).then_some(publisher),
                        given: engine.log.stand_in(&identity.name),
                    };
                    if let Some(client) = engine.clients.get_mut(&self.connection.id()) {
                        client.write_acks = WriteAcks::new(ack_interval, publisher);
                    }
                    self.enter_as(&shared.settings, engine, request, identity);
                    Flow::Continue
                }
                Verdict::Refused(refusal, flow) => {
                    self.turn_away(engine, request, &refusal.reason, &refusal.why);
                    flow
                }
                Verdict::Decided(decision) => self.obey(engine, request, decision),
            }
        })
    }

    fn judge(&self, settings: &Settings, request: &Request<'_>) -> Verdict {
        if self.message_type.is_some() {
            let refusal = Refusal::new(text::DUPLICATE_LOGON, "it is logged on already");
            return Verdict::Refused(refusal, Flow::Continue);
        }
        let ack_interval = match read_options(settings, request) {
            Ok(interval) => interval,
            Err(refusal) => return Verdict::Refused(refusal, Flow::Finish),
        };
        let type_name = request.lossy(Field::MessageType);
        let mut known = settings.message_types.iter();
        let Some(message_type) = known.position(|known| known.name == type_name) else {
            let refusal = Refusal::new(text::INVALID_MESSAGE_TYPE, format!("{type_name:?}"));
            return Verdict::Refused(refusal, Flow::Finish);
        };
        let name = request.lossy(Field::ClientName);
        // The default authentication does not keep the user (broker-behaviour §10).
        let mut kept_user = String::new();
        if let Some(decide) = &settings.authenticate {
            let user = request.lossy(Field::UserId);
            let decision = decide(&Credentials {
                client_name: &name,
                user: &user,
                password: &request.lossy(Field::Password),
                message_type: &type_name,
                correlation_id: &request.lossy(Field::CorrelationId),
            });
            if decision != Logon::Accept {
                return Verdict::Decided(decision);
            }
            kept_user = user;
        }
        Verdict::Accepted {
            identity: Identity {
                name,
                user: kept_user,
            },
            message_type,
            ack_interval,
        }
    }

    /// Logs the client on.
    fn enter_as(
        &self,
        settings: &Settings,
        engine: &mut Engine,
        request: &Request<'_>,
        identity: Identity,
    ) {
        log::info!(
            "connection {}: {:?} logged on, version {:?}, correlation id {:?}",
            self.connection.id(),
            identity.name,
            request.lossy(Field::Version),
            request.lossy(Field::CorrelationId),
        );
        if is_unique(settings, &identity) {
            take_over(engine, &identity.name);
        }
        let reason = match settings.authenticate {
            Some(_) => "",
            None => text::AUTHENTICATION_DISABLED,
        };
        // A client without a name is not recognized, so nothing is known of it.
        let sequence = self
            .names
            .own
            .map_or(0, |publisher| engine.log.last_persisted(publisher));
        let bookmark = Bookmark {
            publisher: stable_hash([identity.name.as_bytes()]),
            sequence,
        };
        self.answer(
            engine,
            request,
            Ack {
                sequence: Some(sequence),
                bookmark: bookmark.to_string().as_bytes(),
                reason: reason.as_bytes(),
                version: settings.server_version.as_bytes(),
                ..Ack::default()
            },
        );
        engine.introduce(self.connection.id(), identity);
    }

    /// Does what the hook decided.
    fn obey(&self, engine: &mut Engine, request: &Request<'_>, decision: Logon) -> Flow {
        match decision {
            Logon::Accept | Logon::Ignore => Flow::Continue,
            Logon::Refuse(reason) => {
                self.turn_away(engine, request, &reason, "so the hook decided");
                Flow::Finish
            }
            Logon::Retry {
                user,
                password,
                reason,
            } => {
                self.answer(
                    engine,
                    request,
                    Ack {
                        status: Status::Retry,
                        reason: reason.as_bytes(),
                        user_id: user.as_bytes(),
                        password: password.as_bytes(),
                        ..Ack::default()
                    },
                );
                Flow::Continue
            }
        }
    }

    fn turn_away(&self, engine: &mut Engine, request: &Request<'_>, reason: &str, why: &str) {
        log::info!(
            "connection {}: logon of {:?} refused: {reason}: {why}",
            self.connection.id(),
            request.lossy(Field::ClientName),
        );
        self.answer(
            engine,
            request,
            Ack {
                status: Status::Failure,
                reason: reason.as_bytes(),
                ..Ack::default()
            },
        );
    }

    fn answer(&self, engine: &mut Engine, request: &Request<'_>, ack: Ack<'_>) {
        if !request.wants(AckType::PROCESSED) {
            return;
        }
        let ack = Ack {
            command_id: &request.text(Field::CommandId),
            client_name: &request.text(Field::ClientName),
            ..ack
        };
        engine.send(&self.connection, |out| ack.write(out));
    }
}

/// Reads the options. Without conflated acknowledgements there is nothing that these change.
fn read_options(settings: &Settings, request: &Request<'_>) -> Result<Option<Duration>, Refusal> {
    let mut interval = settings.ack_conflation();
    for Item { name, value } in options::items(&request.text(Field::Options)) {
        let asked = value.as_deref().and_then(interval::parse);
        match name.as_str() {
            "ack_conflation" if asked.is_some() => interval = interval.and(asked),
            "pretty" => {}
            _ => {
                return Err(Refusal::new(
                    text::INVALID_OPTIONS,
                    format!("{name} {value:?} is no option of logon"),
                ));
            }
        }
    }
    Ok(interval)
}

/// True if only one client may bear this name. To have none is not to share one.
fn is_unique(settings: &Settings, identity: &Identity) -> bool {
    settings.has_unique_client_names() && !identity.name.is_empty()
}

/// True if a connection of another user bears this name: that user keeps it
/// (`broker-behaviour §10`).
fn held_by_another(engine: &Engine, identity: &Identity) -> bool {
    engine
        .clients
        .values()
        .filter_map(|client| client.identity.as_ref())
        .any(|holder| holder.name == identity.name && holder.user != identity.user)
}

/// Closes the connections that bear this name: their user has probably lost them.
fn take_over(engine: &mut Engine, name: &str) {
    for connection in engine.named(name) {
        engine.disconnect(connection.id(), text::NAME_IN_USE);
    }
}
