//! What each command asks for, waits for and brings, and what can be told wrong without the server.

use super::route::{RouteKind, Sink};
use super::send::check_size;
use crate::ack::AckType;
use crate::command::Command;
use crate::command_type::CommandType;
use crate::error::{ErrorContext, Result};

/// What the engine does for a command beyond sending it (rule D1).
pub(crate) struct Plan {
    /// Acknowledgements that the engine asks for and consumes.
    pub(crate) own_acks: AckType,
    /// The acknowledgement that the call waits for.
    pub(crate) awaited: Option<AckType>,
    /// What comes back.
    pub(crate) brings: RouteKind,
    /// The acknowledgements that the server offers for this command.
    pub(crate) offered: AckType,
}

impl Plan {
    /// `is_routed` tells whether a subscription of this id is there already.
    pub(crate) fn of(command: &Command, is_routed: impl Fn(&str) -> bool) -> Plan {
        use AckType as A;
        let wanted = command.ack_type();
        match command.command() {
            kind if kind.is_subscribe() && only_changes_pace(command, is_routed) => Plan {
                own_acks: A::PROCESSED,
                awaited: Some(A::PROCESSED),
                brings: RouteKind::Acks,
                offered: A::RECEIVED | A::PROCESSED,
            },
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

    /// The route that the command needs: none if nothing comes back that anybody wants.
    ///
    /// An acknowledgement that a command does not offer may never come, so it makes no route.
    pub(crate) fn kind_of_route(&self, command: &Command, sink: &Sink) -> Option<RouteKind> {
        let is_wanted = self.brings != RouteKind::Acks
            || (command.ack_type().intersects(self.offered) && !matches!(sink, Sink::Nobody));
        is_wanted.then_some(self.brings)
    }
}

/// True for a command that pauses or resumes subscriptions, a comma list of ids, and makes none. One
/// that pauses what is not there yet enters it paused (rule D11).
fn only_changes_pace(command: &Command, is_routed: impl Fn(&str) -> bool) -> bool {
    let mut ids = command.sub_id().split(',').map(str::trim);
    let only_pauses = command.has_option("pause") && !command.has_option("replace");
    command.has_option("resume") || (only_pauses && ids.all(is_routed))
}

/// What can be told wrong without the server.
pub(crate) fn check(command: &Command) -> Result<()> {
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
    check_size(command.data(), || context(command))
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
