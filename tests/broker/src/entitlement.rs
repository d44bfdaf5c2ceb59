//! Who may read and write what: a hook for tests (`broker-behaviour §10`).

use crate::engine::Identity;
use crate::filter::{Candidate, Filter};
use std::sync::Arc;

/// What a client wants to do with a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Access {
    /// Subscribe to it or query it.
    Read,
    /// Publish to it or delete from it.
    Write,
}

/// A client that wants something.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct AccessRequest<'a> {
    /// The name of the client.
    pub client_name: &'a str,
    /// The user; empty unless logons are authenticated.
    pub user: &'a str,
    /// The topic; never a pattern: a pattern is decided topic by topic.
    pub topic: &'a str,
    /// What for.
    pub access: Access,
}

/// What a client may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entitlement {
    /// Everything.
    Granted,
    /// What this content filter lets through: to read, it is added to the filter of each
    /// subscription and query; to write, it tests the messages as they are sent, and the records
    /// to be deleted. A filter that cannot be read grants nothing.
    Filtered(String),
    /// Nothing.
    Refused,
}

/// The hook. It runs with the engine's lock held.
pub(crate) type Entitle = dyn Fn(&AccessRequest<'_>) -> Entitlement + Send + Sync;

/// The decision about one client and one topic, ready for use.
#[derive(Debug, Clone, Default)]
pub(crate) enum Grant {
    #[default]
    Everything,
    Only(Arc<Filter>),
    Nothing,
}

impl Grant {
    /// True if the message or record is within what was granted.
    #[inline]
    pub(crate) fn covers(&self, candidate: &dyn Candidate) -> bool {
        match self {
            Grant::Everything => true,
            Grant::Only(filter) => filter.matches(candidate),
            Grant::Nothing => false,
        }
    }
}

/// Asks the hook, if there is one.
#[derive(Clone, Default)]
pub(crate) struct Entitlements {
    hook: Option<Arc<Entitle>>,
}

impl Entitlements {
    pub(crate) fn new(hook: Option<Arc<Entitle>>) -> Entitlements {
        Entitlements { hook }
    }

    /// True if everybody may do everything.
    pub(crate) fn are_open(&self) -> bool {
        self.hook.is_none()
    }

    /// Decides about a client and a topic.
    pub(crate) fn grant(&self, who: &Identity, topic: &[u8], access: Access) -> Grant {
        let Some(hook) = &self.hook else {
            return Grant::Everything;
        };
        let decision = hook(&AccessRequest {
            client_name: &who.name,
            user: &who.user,
            topic: &String::from_utf8_lossy(topic),
            access,
        });
        match decision {
            Entitlement::Granted => Grant::Everything,
            Entitlement::Refused => Grant::Nothing,
            Entitlement::Filtered(text) => match Filter::parse(&text) {
                Ok(filter) => Grant::Only(Arc::new(filter)),
                Err(error) => {
                    log::warn!("the entitlement filter {text:?} grants nothing: {error}");
                    Grant::Nothing
                }
            },
        }
    }
}
