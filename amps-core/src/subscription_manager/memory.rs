//! The usual subscription manager: a list in memory.

use super::starts;
use super::{FailedResubscribeHandler, SubscriptionManager, TrackedSubscription};
use crate::client::Client;
use crate::command::Command;
use crate::command_type::CommandType;
use crate::error::{Error, Result};
use crate::handler::guarded;
use crate::protocol::option_items;
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Remembers subscriptions in memory, in the order in which they were placed.
///
/// Each is entered again with the ids, the handler and the acknowledgements it had, without
/// `replace`, under a new command id. With a bookmark store, bookmark subscriptions go on where the
/// store left off; without one they start again where they first did. Others start at the
/// reconnection. Paused ones are entered paused; those that
/// were resumed together are entered paused, at the lowest bookmark of each publisher, and resumed
/// together again. A subscription that is unsubscribed while all this goes on does not come back.
/// Rules M1 to M10.
#[derive(Default)]
pub struct MemorySubscriptionManager {
    known: Mutex<Known>,
    failed: Mutex<Option<Arc<Mutex<FailedResubscribeHandler>>>>,
    timeout: Mutex<Duration>,
}

impl fmt::Debug for MemorySubscriptionManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sub_ids = self.sub_ids();
        write!(f, "MemorySubscriptionManager({sub_ids:?})")
    }
}

#[derive(Default)]
struct Known {
    /// How many entries and groups there ever were: each has a number of its own.
    numbers: u64,
    entries: Vec<Entry>,
}

#[derive(Clone)]
struct Entry {
    number: u64,
    subscription: TrackedSubscription,
    pace: Pace,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    Running,
    Paused,
    /// Resumed together with the others of this group.
    Resumed(u64),
}

impl MemorySubscriptionManager {
    /// One that knows of nothing.
    pub fn new() -> MemorySubscriptionManager {
        MemorySubscriptionManager::default()
    }

    /// The ids of what it remembers, in order.
    pub fn sub_ids(&self) -> Vec<String> {
        let known = self.known.lock();
        known
            .entries
            .iter()
            .map(|entry| entry.sub_id().to_string())
            .collect()
    }

    fn is_known(&self, number: u64) -> bool {
        let known = self.known.lock();
        known.entries.iter().any(|entry| entry.number == number)
    }

    /// What could not be entered: forgotten, if the handler says so. A loss of the connection says
    /// nothing about a subscription, and nobody is asked.
    fn settle(&self, entered: Result<()>, command: &Command) -> Result<bool> {
        let Err(error) = entered else {
            return Ok(true);
        };
        let handler = self.failed.lock().clone();
        let Some(handler) = handler.filter(|_| !matches!(error, Error::Disconnected(_))) else {
            return Err(error);
        };
        let mut is_forgotten = false;
        guarded(
            "ask the failed resubscribe handler about",
            || command.sub_id().to_string(),
            || {
                is_forgotten = (*handler.lock())(command, command.ack_type(), &error);
                Ok(())
            },
        )?;
        match is_forgotten {
            true => Ok(false),
            false => Err(error),
        }
    }

    fn enter(&self, client: &Client, entry: &Entry, group_start: Option<&str>) -> Result<()> {
        let is_paused = entry.pace == Pace::Paused || group_start.is_some();
        let mut command = entry.again(is_paused).set_timeout(*self.timeout.lock());
        command = match group_start {
            Some(start) if !start.is_empty() => command.set_bookmark(start),
            _ => starts::go_on(command, client)?,
        };
        let handler = entry.subscription.handler();
        let entered = client.resubscribe(command.clone(), handler);
        if !self.settle(entered, &command)? {
            let mut known = self.known.lock();
            let at = known
                .entries
                .iter()
                .position(|known| known.number == entry.number);
            let forgotten = at.map(|at| known.entries.remove(at));
            drop(known);
            drop(forgotten);
        } else if !self.is_known(entry.number) {
            // It was unsubscribed on its way in.
            client.unsubscribe(entry.sub_id())?;
        }
        Ok(())
    }

    /// Resumes the members of a group that are still there and still paused together.
    fn resume_again(&self, client: &Client, group: u64) -> Result<()> {
        let members = {
            let known = self.known.lock();
            let members = known
                .entries
                .iter()
                .filter(|entry| entry.pace == Pace::Resumed(group));
            members
                .map(|entry| entry.subscription.clone())
                .collect::<Vec<_>>()
        };
        let Some(first) = members.first() else {
            return Ok(());
        };
        let ids = members.iter().map(TrackedSubscription::sub_id);
        let command = Command::from(CommandType::Subscribe)
            .set_topic(first.command().topic())
            .set_sub_id(ids.collect::<Vec<_>>().join(","))
            .set_options("resume")
            .set_timeout(*self.timeout.lock());
        let resumed = client.resubscribe(command.clone(), None);
        self.settle(resumed, &command).map(|_| ())
    }
}

impl SubscriptionManager for MemorySubscriptionManager {
    fn subscribe(&self, subscription: TrackedSubscription) {
        let mut known = self.known.lock();
        known.numbers += 1;
        let number = known.numbers;
        let pace = match subscription.command().has_option("pause") {
            true => Pace::Paused,
            false => Pace::Running,
        };
        let place = known.place(subscription.sub_id());
        let mut old = None;
        match (place, subscription.handler()) {
            (Some(at), None) => {
                let entry = &mut known.entries[at];
                entry.pace = pace;
                entry.subscription.command = subscription.command;
            }
            (Some(at), Some(_)) => {
                let new = Entry {
                    number,
                    subscription,
                    pace,
                };
                old = Some(std::mem::replace(&mut known.entries[at], new));
            }
            (None, Some(_)) => known.entries.push(Entry {
                number,
                subscription,
                pace,
            }),
            (None, None) => {}
        }
        drop(known);
        // The old handler may be dropped here, with what it captured.
        drop(old);
    }

    fn unsubscribe(&self, ids: &str) {
        let mut known = self.known.lock();
        let mut removed = Vec::new();
        for id in ids.split(',').map(str::trim) {
            let entries = std::mem::take(&mut known.entries);
            let (gone, kept) = entries
                .into_iter()
                .partition::<Vec<_>, _>(|entry| id == "all" || entry.has_id(id));
            known.entries = kept;
            removed.push(gone);
        }
        drop(known);
        drop(removed);
    }

    fn pause(&self, sub_ids: &str) {
        let mut known = self.known.lock();
        for id in sub_ids.split(',').map(str::trim) {
            if let Some(at) = known.place(id) {
                known.entries[at].pace = Pace::Paused;
            }
        }
    }

    fn resume(&self, sub_ids: &str) {
        let mut known = self.known.lock();
        known.numbers += 1;
        let group = known.numbers;
        for id in sub_ids.split(',').map(str::trim) {
            if let Some(at) = known.place(id) {
                known.entries[at].pace = Pace::Resumed(group);
            }
        }
    }

    fn clear(&self) {
        let entries = std::mem::take(&mut self.known.lock().entries);
        drop(entries);
    }

    fn resubscribe(&self, client: &Client) -> Result<()> {
        let entries = self.known.lock().entries.clone();
        let mut groups = Vec::<(u64, Option<String>)>::new();
        for entry in &entries {
            let Pace::Resumed(group) = entry.pace else {
                continue;
            };
            let members = entries.iter().filter(|other| other.pace == entry.pace);
            let is_new = groups.iter().all(|(known, _)| *known != group);
            if is_new && members.clone().count() > 1 {
                let commands = members.map(|member| member.subscription.command());
                groups.push((group, starts::of_group(commands, client)?));
            }
        }
        for entry in &entries {
            // What was unsubscribed meanwhile stays out.
            if !self.is_known(entry.number) {
                continue;
            }
            let group = groups
                .iter()
                .find(|(group, _)| entry.pace == Pace::Resumed(*group));
            let start = group.map(|(_, start)| start.as_deref().unwrap_or_default());
            self.enter(client, entry, start)?;
        }
        for (group, _) in groups {
            self.resume_again(client, group)?;
        }
        Ok(())
    }

    fn set_failed_resubscribe_handler(&self, handler: FailedResubscribeHandler) {
        let old = self.failed.lock().replace(Arc::new(Mutex::new(handler)));
        drop(old);
    }

    fn set_resubscription_timeout(&self, timeout: Duration) {
        *self.timeout.lock() = timeout;
    }

    fn resubscription_timeout(&self) -> Duration {
        *self.timeout.lock()
    }
}

impl Known {
    fn place(&self, sub_id: &str) -> Option<usize> {
        self.entries
            .iter()
            .position(|entry| entry.sub_id() == sub_id)
    }
}

impl Entry {
    fn sub_id(&self) -> &str {
        self.subscription.sub_id()
    }

    /// True if unsubscribing this id means it.
    fn has_id(&self, id: &str) -> bool {
        let command = self.subscription.command();
        // Most have no query id; an empty item of a list means nothing.
        !id.is_empty() && [command.sub_id(), command.query_id(), command.command_id()].contains(&id)
    }

    /// The command to enter it again with.
    fn again(&self, is_paused: bool) -> Command {
        let command = self.subscription.command().clone();
        let mut options = option_items(command.options())
            .filter(|option| !["replace", "pause", "resume"].contains(option))
            .collect::<Vec<_>>();
        if is_paused {
            options.push("pause");
        }
        let options = options.join(",");
        command.set_options(options).set_command_id("")
    }
}
