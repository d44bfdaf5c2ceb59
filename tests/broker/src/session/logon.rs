//! `logon`: who the client is.

use super::{Flow, Session};
use crate::ack::{Ack, Kind, Status};
use crate::auth::{Credentials, Logon};
use crate::engine::{Engine, Identity};
use crate::hash::stable_hash;
use crate::options;
use crate::reason::{Refusal, text};
use crate::request::Request;
use crate::server::Shared;
use amps_core::AckType;
use amps_core::protocol::Field;

impl Session {
    pub(super) fn logon(&mut self, shared: &Shared, request: &Request<'_>) -> Flow {
        if request.wants(AckType::RECEIVED) {
            self.acknowledge(&mut shared.turn(), request, Kind::Received);
        }
        match self.try_logon(shared, request) {
            Ok(flow) => flow,
            Err((refusal, flow)) => {
                let name = request.lossy(Field::ClientName);
                log::info!(
                    "connection {}: logon of {name:?} refused: {}: {}",
                    self.connection.id(),
                    refusal.reason,
                    refusal.why
                );
                self.answer(
                    &mut shared.turn(),
                    request,
                    Ack {
                        status: Status::Failure,
                        reason: refusal.reason.as_bytes(),
                        ..Ack::default()
                    },
                );
                flow
            }
        }
    }

    fn try_logon(
        &mut self,
        shared: &Shared,
        request: &Request<'_>,
    ) -> Result<Flow, (Refusal, Flow)> {
        if self.message_type.is_some() {
            let refusal = Refusal::new(text::DUPLICATE_LOGON, "it is logged on already");
            return Err((refusal, Flow::Continue));
        }
        check_options(request).map_err(|refusal| (refusal, Flow::Finish))?;
        let type_name = request.lossy(Field::MessageType);
        let known = &shared.settings.message_types;
        let Some(message_type) = known.iter().position(|known| *known == type_name) else {
            let refusal = Refusal::new(text::INVALID_MESSAGE_TYPE, format!("{type_name:?}"));
            return Err((refusal, Flow::Finish));
        };
        let name = request.lossy(Field::ClientName);
        let user = request.lossy(Field::UserId);
        let authenticated = match &shared.settings.authenticate {
            None => None,
            Some(decide) => {
                let decision = decide(&Credentials {
                    client_name: &name,
                    user: &user,
                    password: &request.lossy(Field::Password),
                    message_type: &type_name,
                    correlation_id: &request.lossy(Field::CorrelationId),
                });
                if let Some(flow) = self.turned_away(shared, request, decision) {
                    return Ok(flow);
                }
                Some(user)
            }
        };
        let mut turn = shared.turn();
        // The hook may have taken long.
        if self.connection.is_closed() {
            return Ok(Flow::Finish);
        }
        let identity = Identity {
            name,
            // The default authentication does not keep the name (broker-behaviour §10).
            user: authenticated.clone().unwrap_or_default(),
        };
        if shared.settings.unique_client_names {
            make_way(&mut turn, &identity).map_err(|refusal| (refusal, Flow::Finish))?;
        }
        log::info!(
            "connection {}: {:?} logged on, version {:?}, correlation id {:?}",
            self.connection.id(),
            identity.name,
            request.lossy(Field::Version),
            request.lossy(Field::CorrelationId),
        );
        self.message_type = Some(message_type);
        let reason = match authenticated {
            Some(_) => "",
            None => text::AUTHENTICATION_DISABLED,
        };
        let bookmark = format!("{}|0|", stable_hash([identity.name.as_bytes()]));
        self.answer(
            &mut turn,
            request,
            Ack {
                sequence: Some(0),
                bookmark: bookmark.as_bytes(),
                reason: reason.as_bytes(),
                version: shared.settings.server_version.as_bytes(),
                ..Ack::default()
            },
        );
        turn.introduce(self.connection.id(), identity);
        Ok(Flow::Continue)
    }

    /// Carries out a decision against the client; `None` if it is accepted.
    fn turned_away(&self, shared: &Shared, request: &Request<'_>, decision: Logon) -> Option<Flow> {
        let mut turn = shared.turn();
        match decision {
            Logon::Accept => None,
            Logon::Ignore => Some(Flow::Continue),
            Logon::Refuse(reason) => {
                log::info!("connection {}: logon refused", self.connection.id());
                self.answer(
                    &mut turn,
                    request,
                    Ack {
                        status: Status::Failure,
                        reason: reason.as_bytes(),
                        ..Ack::default()
                    },
                );
                Some(Flow::Finish)
            }
            Logon::Retry {
                user,
                password,
                reason,
            } => {
                self.answer(
                    &mut turn,
                    request,
                    Ack {
                        status: Status::Retry,
                        reason: reason.as_bytes(),
                        user_id: user.as_bytes(),
                        password: password.as_bytes(),
                        ..Ack::default()
                    },
                );
                Some(Flow::Continue)
            }
        }
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

/// Without a transaction log there is nothing that these change.
fn check_options(request: &Request<'_>) -> Result<(), Refusal> {
    for item in options::items(&request.text(Field::Options)) {
        if !matches!(item.name.as_str(), "ack_conflation" | "pretty") {
            return Err(Refusal::new(
                text::INVALID_OPTIONS,
                format!("{} is no option of logon", item.name),
            ));
        }
    }
    Ok(())
}

/// The same user takes its name over from a connection that it has probably lost; another user
/// does not get it (`broker-behaviour §10`).
fn make_way(engine: &mut Engine, identity: &Identity) -> Result<(), Refusal> {
    let holders = engine
        .clients
        .values()
        .filter_map(|client| {
            let holder = client.identity.as_ref()?;
            (holder.name == identity.name).then(|| (client.connection.id(), holder.user.clone()))
        })
        .collect::<Vec<_>>();
    if holders.iter().any(|(_, user)| *user != identity.user) {
        return Err(Refusal::new(
            text::NAME_IN_USE,
            "another user is logged on under this name",
        ));
    }
    for (connection, _) in holders {
        engine.disconnect(connection, text::NAME_IN_USE);
    }
    Ok(())
}
