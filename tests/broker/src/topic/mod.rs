//! The topics: what each one keeps and who listens.
//!
//! A topic is a name plus a message type (`broker-behaviour §1`). Configured topics come first,
//! in configuration order; any other name becomes a topic when somebody first publishes to it.

mod pattern;
mod route;
mod subscription;

pub(crate) use pattern::Pattern;
pub(crate) use route::{Delivery, Routes};
pub(crate) use subscription::Subscription;

use crate::config::{Keys, TopicConfig};
use crate::error::BrokerError;
use crate::server::Connection;
use crate::sow::{KeyRule, Sow};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// One topic.
pub(crate) struct Topic {
    pub(crate) name: Box<[u8]>,
    /// The last values, if the topic keeps them.
    pub(crate) sow: Option<Sow>,
    /// Who gets what is published here.
    pub(crate) routes: Routes,
    /// How many messages were published and accepted.
    pub(crate) published: u64,
    message_type: usize,
}

/// A subscription to a pattern, to be held against topics that appear later.
struct Standing {
    connection: Arc<Connection>,
    message_type: usize,
    subscription: Arc<Subscription>,
}

/// Every topic of the broker.
#[derive(Default)]
pub(crate) struct Topics {
    all: Vec<Topic>,
    /// By message type, then by name.
    index: Vec<FxHashMap<Box<[u8]>, usize>>,
    standing: Vec<Standing>,
}

impl Topics {
    /// Creates the configured topics.
    ///
    /// # Errors
    ///
    /// [`BrokerError::Topic`] for a topic that cannot work as configured.
    pub(crate) fn configure(
        message_types: &[String],
        configured: &[TopicConfig],
    ) -> Result<Topics, BrokerError> {
        let mut topics = Topics {
            index: message_types.iter().map(|_| FxHashMap::default()).collect(),
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

    fn add_configured(&mut self, types: &[String], config: &TopicConfig) -> Result<(), String> {
        let name = config.name().as_bytes();
        let message_type = types
            .iter()
            .position(|known| known == config.type_name())
            .ok_or_else(|| format!("unknown message type {}", config.type_name()))?;
        if name.is_empty() || is_reserved(name) {
            return Err("this name cannot be configured".to_owned());
        }
        if self.find(message_type, name).is_some() {
            return Err("configured twice".to_owned());
        }
        let rule = match config.keys() {
            Keys::Explicit => KeyRule::Explicit,
            Keys::Fields(paths) => KeyRule::fields(config.type_name(), paths)?,
        };
        let at = self.create(message_type, name);
        self.all[at].sow = Some(Sow::new(rule));
        Ok(())
    }

    fn create(&mut self, message_type: usize, name: &[u8]) -> usize {
        let mut routes = Routes::default();
        for standing in &self.standing {
            if standing.message_type == message_type && standing.subscription.pattern.matches(name)
            {
                routes.attach(&standing.connection, &standing.subscription);
            }
        }
        let at = self.all.len();
        self.all.push(Topic {
            name: name.into(),
            sow: None,
            routes,
            published: 0,
            message_type,
        });
        if let Some(index) = self.index.get_mut(message_type) {
            index.insert(name.into(), at);
        }
        at
    }

    /// The topic of this name, if it exists.
    #[inline]
    pub(crate) fn find(&self, message_type: usize, name: &[u8]) -> Option<usize> {
        self.index.get(message_type)?.get(name).copied()
    }

    /// The topic of this name; a new one if there is none.
    #[inline]
    pub(crate) fn find_or_create(&mut self, message_type: usize, name: &[u8]) -> &mut Topic {
        let at = match self.find(message_type, name) {
            Some(at) => at,
            None => self.create(message_type, name),
        };
        &mut self.all[at]
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
    pub(crate) fn matching(&self, message_type: usize, pattern: &Pattern) -> Vec<usize> {
        match pattern {
            Pattern::Literal(name) => self.find(message_type, name).into_iter().collect(),
            Pattern::Regex(_) => (0..self.all.len())
                .filter(|&at| {
                    let topic = &self.all[at];
                    topic.message_type == message_type && pattern.matches(&topic.name)
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

    /// Lets a subscription hear what is published from now on.
    pub(crate) fn subscribe(
        &mut self,
        connection: &Arc<Connection>,
        message_type: usize,
        subscription: &Arc<Subscription>,
    ) {
        match &subscription.pattern {
            Pattern::Literal(name) => self
                .find_or_create(message_type, name)
                .routes
                .attach(connection, subscription),
            Pattern::Regex(_) => {
                for at in self.matching(message_type, &subscription.pattern) {
                    self.all[at].routes.attach(connection, subscription);
                }
                self.standing.push(Standing {
                    connection: connection.clone(),
                    message_type,
                    subscription: subscription.clone(),
                });
            }
        }
    }

    /// Ends a subscription.
    pub(crate) fn unsubscribe(&mut self, connection: u64, subscription: &Arc<Subscription>) {
        self.standing
            .retain(|standing| !Arc::ptr_eq(&standing.subscription, subscription));
        for topic in &mut self.all {
            topic.routes.detach(connection, &subscription.id);
        }
    }

    /// Ends every subscription of a connection.
    pub(crate) fn forget(&mut self, connection: u64) {
        self.standing
            .retain(|standing| standing.connection.id() != connection);
        for topic in &mut self.all {
            topic.routes.forget(connection);
        }
    }
}

/// True for the names that belong to the server.
pub(crate) fn is_reserved(name: &[u8]) -> bool {
    name.starts_with(b"/AMPS/") || name == b"/AMPS"
}
