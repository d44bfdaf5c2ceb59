//! The topics: what each one keeps and who listens.
//!
//! A topic is a name plus a message type (`broker-behaviour §1`). Configured topics come first,
//! in configuration order; any other name becomes a topic when somebody first publishes to it.

mod change;
mod conflator;
mod groups;
mod known;
mod listener;
mod news;
mod pattern;
mod queueing;
mod route;
mod subscription;
mod window;
mod write;

pub(crate) use change::{Change, Event, Seen};
pub(crate) use known::{Had, Known};
pub(crate) use listener::{Listener, Verdict};
pub(crate) use news::{Addressees, Parcels, Reason};
pub(crate) use pattern::Pattern;
pub(crate) use queueing::{Book, Fed};
pub(crate) use route::{Outlet, Routes};
pub(crate) use subscription::{Conflation, Page, Subscription};
pub(crate) use window::compare as compare_on_page;
pub(crate) use write::Incoming;

use crate::config::{Keys, NamedType, TopicConfig};
use crate::entitlement::{Access, Entitlements, Grant};
use crate::error::BrokerError;
use crate::message_type::MessageType;
use crate::queue::Queue;
use crate::server::{Connection, Wakes};
use crate::sow::{KeyRule, Sow};
use crate::txlog::{History, LoggedTopics};
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::time::Instant;

/// One topic.
pub(crate) struct Topic {
    pub(crate) name: Box<[u8]>,
    pub(crate) message_type: MessageType,
    /// The last values, if the topic keeps them.
    pub(crate) sow: Option<Sow>,
    /// Who gets what is published here.
    pub(crate) routes: Routes,
    /// How many messages were published and accepted.
    pub(crate) published: u64,
    /// What is done to it goes into the transaction log.
    pub(crate) logged: bool,
    /// Set if its records can be asked for as they were.
    pub(crate) history: Option<History>,
    /// Its place among the topics.
    pub(crate) at: usize,
    /// The queue of this name; then nobody listens here.
    pub(crate) queue: Option<Box<Queue>>,
    /// The places of the queues that collect what is published here.
    feeds: Vec<usize>,
    /// The place of the topic that messages to this one go to: itself, unless it is a queue.
    target: usize,
    /// The place of its message type.
    pub(crate) type_at: usize,
}

impl Topic {
    fn attach(&mut self, connection: &Arc<Connection>, added: &Arc<Subscription>, grant: Grant) {
        if let Some(queue) = &mut self.queue {
            queue.attach(connection.id(), added, grant);
            return;
        }
        let listener = Listener::new(added, grant, self);
        self.routes.attach(connection, listener);
    }
}

/// A subscription to a pattern, to be held against topics that appear later.
struct Standing {
    connection: Arc<Connection>,
    type_at: usize,
    subscription: Arc<Subscription>,
}

/// Every topic of the broker.
#[derive(Default)]
pub(crate) struct Topics {
    all: Vec<Topic>,
    types: Vec<MessageType>,
    /// By message type, then by name.
    index: Vec<FxHashMap<Box<[u8]>, usize>>,
    standing: Vec<Standing>,
    entitlements: Entitlements,
    /// The places of the queues to which something has happened.
    stirred: Vec<usize>,
    logged: LoggedTopics,
    /// Counts messages and subscriptions.
    clock: u64,
}

impl Topics {
    /// Creates the configured topics.
    ///
    /// # Errors
    ///
    /// [`BrokerError::Topic`] for a topic that cannot work as configured.
    pub(crate) fn configure(
        message_types: &[NamedType],
        configured: &[TopicConfig],
        entitlements: Entitlements,
        logged: LoggedTopics,
    ) -> Result<Topics, BrokerError> {
        let mut topics = Topics {
            types: message_types
                .iter()
                .map(|known| known.message_type.clone())
                .collect(),
            index: message_types.iter().map(|_| FxHashMap::default()).collect(),
            entitlements,
            logged,
            ..Topics::default()
        };
        for config in configured {
            topics
                .add_configured(message_types, config)
                .map_err(|problem| BrokerError::Topic {
                    topic: config.name().to_owned(),
                    problem,
                })?;
        }
        Ok(topics)
    }

    fn add_configured(&mut self, types: &[NamedType], config: &TopicConfig) -> Result<(), String> {
        let name = config.name().as_bytes();
        let type_at = types
            .iter()
            .position(|known| known.name == config.type_name())
            .ok_or_else(|| format!("unknown message type {}", config.type_name()))?;
        if name.is_empty() || is_reserved(name) {
            return Err("this name cannot be configured".to_owned());
        }
        if self.find(type_at, name).is_some() {
            return Err("configured twice".to_owned());
        }
        if config.past().is_some() && config.default_lifetime().is_some() {
            return Err("history and expiration exclude each other".to_owned());
        }
        let rule = match config.keys() {
            Keys::Explicit => KeyRule::Explicit,
            Keys::Fields(paths) => KeyRule::fields(&self.types[type_at], paths)?,
        };
        let at = self.create(type_at, name);
        self.all[at].history = config.past();
        self.all[at].sow = Some(Sow::new(rule, config.default_lifetime()));
        Ok(())
    }

    fn create(&mut self, type_at: usize, name: &[u8]) -> usize {
        let at = self.all.len();
        let mut topic = Topic {
            name: name.into(),
            message_type: self.types[type_at].clone(),
            sow: None,
            routes: Routes::default(),
            published: 0,
            logged: self.logged.has(name),
            history: None,
            at,
            queue: None,
            feeds: Vec::new(),
            target: at,
            type_at,
        };
        for standing in &self.standing {
            let subscription = &standing.subscription;
            if standing.type_at == type_at && subscription.pattern.matches(name) {
                let owner = &subscription.owner;
                match self.entitlements.grant(owner, name, Access::Read) {
                    Grant::Nothing => {}
                    grant => topic.attach(&standing.connection, subscription, grant),
                }
            }
        }
        self.all.push(topic);
        self.index[type_at].insert(name.into(), at);
        at
    }

    /// The message type at a place.
    pub(crate) fn message_type(&self, type_at: usize) -> &MessageType {
        &self.types[type_at]
    }

    /// Who may do what.
    pub(crate) fn entitlements(&self) -> &Entitlements {
        &self.entitlements
    }

    /// The next place in the order of all messages and subscriptions.
    #[inline]
    pub(crate) fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// The topic of this name, if it exists.
    #[inline]
    pub(crate) fn find(&self, type_at: usize, name: &[u8]) -> Option<usize> {
        self.index.get(type_at)?.get(name).copied()
    }

    /// The place of the topic of this name; a new one if there is none.
    #[inline]
    pub(crate) fn find_or_create(&mut self, type_at: usize, name: &[u8]) -> usize {
        match self.find(type_at, name) {
            Some(at) => at,
            None => self.create(type_at, name),
        }
    }

    /// True if the topic of this name is logged, or would be if it existed.
    pub(crate) fn is_logged(&self, name: &[u8]) -> bool {
        self.logged.has(name)
    }

    /// Every topic, the configured ones first.
    pub(crate) fn all(&self) -> &[Topic] {
        &self.all
    }

    /// The topic at a place that [`Topics::find`] or [`Topics::matching`] named.
    pub(crate) fn at(&self, at: usize) -> &Topic {
        &self.all[at]
    }

    /// As [`Topics::at`], to change it.
    pub(crate) fn at_mut(&mut self, at: usize) -> &mut Topic {
        &mut self.all[at]
    }

    /// The topics that a pattern means, in configuration order.
    pub(crate) fn matching(&self, type_at: usize, pattern: &Pattern) -> Vec<usize> {
        match pattern {
            Pattern::Literal(name) => self.find(type_at, name).into_iter().collect(),
            Pattern::Regex(_) | Pattern::Names(_) => (0..self.all.len())
                .filter(|&at| {
                    let topic = &self.all[at];
                    topic.type_at == type_at && pattern.matches(&topic.name)
                })
                .collect(),
        }
    }

    /// Topics of this name, whatever their message type.
    pub(crate) fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Topic> {
        self.all
            .iter()
            .filter(move |topic| *topic.name == *name.as_bytes())
    }

    /// Lets a subscription hear what is published from now on, as far as its owner may.
    pub(crate) fn subscribe(
        &mut self,
        connection: &Arc<Connection>,
        type_at: usize,
        subscription: &Arc<Subscription>,
    ) {
        let places = match &subscription.pattern {
            Pattern::Literal(name) => vec![self.find_or_create(type_at, name)],
            Pattern::Regex(_) | Pattern::Names(_) => {
                self.standing.push(Standing {
                    connection: connection.clone(),
                    type_at,
                    subscription: subscription.clone(),
                });
                self.matching(type_at, &subscription.pattern)
            }
        };
        for at in places {
            let topic = &mut self.all[at];
            let owner = &subscription.owner;
            match self.entitlements.grant(owner, &topic.name, Access::Read) {
                Grant::Nothing => {}
                grant => topic.attach(connection, subscription, grant),
            }
            self.stirred.extend(topic.queue.as_ref().map(|_| at));
        }
    }

    /// What a subscription makes of the messages of a topic; `None` if it is not its topic or its
    /// owner may not read it.
    pub(crate) fn listener(
        &self,
        subscription: &Arc<Subscription>,
        topic: &Topic,
    ) -> Option<Listener> {
        if !subscription.pattern.matches(&topic.name) {
            return None;
        }
        let owner = &subscription.owner;
        match self.entitlements.grant(owner, &topic.name, Access::Read) {
            Grant::Nothing => None,
            grant => Some(Listener::new(subscription, grant, topic)),
        }
    }

    /// Sends at once what a subscription holds back: it is about to be replaced.
    pub(crate) fn release_all(
        &mut self,
        connection: u64,
        subscription: &Subscription,
        wakes: &mut Wakes,
    ) {
        if subscription.conflation.is_some() {
            let whose = (connection, subscription.since);
            for topic in &mut self.all {
                topic.routes.release(&topic.name, whose, None, wakes);
            }
        }
    }

    /// Ends a subscription.
    pub(crate) fn unsubscribe(&mut self, connection: u64, subscription: &Arc<Subscription>) {
        self.standing
            .retain(|standing| !Arc::ptr_eq(&standing.subscription, subscription));
        let now = Instant::now();
        for topic in &mut self.all {
            topic.routes.detach(connection, subscription);
            if let Some(queue) = &mut topic.queue
                && queue.detach(connection, subscription, now)
            {
                self.stirred.push(topic.at);
            }
        }
    }

    /// Ends every subscription of a connection.
    pub(crate) fn forget(&mut self, connection: u64) {
        self.standing
            .retain(|standing| standing.connection.id() != connection);
        let now = Instant::now();
        for topic in &mut self.all {
            topic.routes.forget(connection);
            if let Some(queue) = &mut topic.queue
                && queue.forget(connection, now)
            {
                self.stirred.push(topic.at);
            }
        }
    }
}

/// True for the names that belong to the server.
pub(crate) fn is_reserved(name: &[u8]) -> bool {
    name.starts_with(b"/AMPS/") || name == b"/AMPS"
}
