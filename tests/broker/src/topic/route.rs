//! From a message to the connections that get it.

use super::subscription::Subscription;
use crate::server::{Connection, Wakes};
use crate::time::{now_micros, timestamp};
use amps_core::CommandType;
use amps_core::protocol::{Field, FrameWriter};
use std::sync::Arc;

/// A message on its way to subscribers.
pub(crate) struct Delivery<'a> {
    pub(crate) topic: &'a [u8],
    pub(crate) payload: &'a [u8],
    /// Empty if the topic keeps no records.
    pub(crate) sow_key: &'a [u8],
    pub(crate) correlation_id: &'a [u8],
    /// When it was processed, in microseconds since 1970; the clock is asked if it is not said.
    pub(crate) processed: Option<u64>,
}

/// The subscriptions of one connection that match one topic.
///
/// A message goes out once for all of them. So it carries a field if at least one of them wants
/// it: the reference is silent on what two subscriptions with different options do.
pub(crate) struct Route {
    connection: Arc<Connection>,
    subscriptions: Vec<Arc<Subscription>>,
    /// The ids, as they stand in each frame.
    ids: Vec<u8>,
    timestamp: bool,
    sow_key: bool,
}

impl Route {
    fn refresh(&mut self) {
        self.ids.clear();
        for subscription in &self.subscriptions {
            if !self.ids.is_empty() {
                self.ids.push(b',');
            }
            self.ids.extend_from_slice(&subscription.id);
        }
        self.timestamp = self.subscriptions.iter().any(|one| one.timestamp);
        self.sow_key = self.subscriptions.iter().any(|one| one.sow_key);
    }

    /// Appends the message to the output of the connection.
    #[inline]
    fn deliver(&self, delivery: &Delivery<'_>, wakes: &mut Wakes) {
        self.connection.send(wakes, |out| {
            let mut frame = FrameWriter::begin(out, CommandType::Publish);
            frame.text(Field::Topic, delivery.topic);
            frame.text(Field::SubIds, &self.ids);
            if self.timestamp {
                frame.text(
                    Field::Timestamp,
                    &timestamp(delivery.processed.unwrap_or_else(now_micros)),
                );
            }
            if self.sow_key {
                frame.text_if(Field::SowKey, delivery.sow_key);
            }
            frame.text_if(Field::CorrelationId, delivery.correlation_id);
            frame.finish(delivery.payload);
        });
    }
}

/// The routes of one topic, in the order in which connections first subscribed.
#[derive(Default)]
pub(crate) struct Routes {
    routes: Vec<Route>,
}

impl Routes {
    /// Adds a subscription, or puts it in the place of the one of the same connection and id.
    pub(crate) fn attach(&mut self, connection: &Arc<Connection>, added: &Arc<Subscription>) {
        let route = match self.position(connection.id()) {
            Some(at) => &mut self.routes[at],
            None => {
                self.routes.push(Route {
                    connection: connection.clone(),
                    subscriptions: Vec::new(),
                    ids: Vec::new(),
                    timestamp: false,
                    sow_key: false,
                });
                let last = self.routes.len() - 1;
                &mut self.routes[last]
            }
        };
        match route
            .subscriptions
            .iter_mut()
            .find(|one| one.id == added.id)
        {
            Some(place) => *place = added.clone(),
            None => route.subscriptions.push(added.clone()),
        }
        route.refresh();
    }

    /// Removes one subscription of a connection.
    pub(crate) fn detach(&mut self, connection: u64, id: &[u8]) {
        let Some(at) = self.position(connection) else {
            return;
        };
        let route = &mut self.routes[at];
        route.subscriptions.retain(|one| *one.id != *id);
        if route.subscriptions.is_empty() {
            self.routes.remove(at);
        } else {
            route.refresh();
        }
    }

    /// Removes everything of a connection.
    pub(crate) fn forget(&mut self, connection: u64) {
        if let Some(at) = self.position(connection) {
            self.routes.remove(at);
        }
    }

    /// Hands the message to every connection, once each.
    #[inline]
    pub(crate) fn deliver(&self, delivery: &Delivery<'_>, wakes: &mut Wakes) {
        for route in &self.routes {
            route.deliver(delivery, wakes);
        }
    }

    fn position(&self, connection: u64) -> Option<usize> {
        self.routes
            .iter()
            .position(|route| route.connection.id() == connection)
    }
}
