//! From a change to the connections that hear of it.

use super::change::{Change, Event};
use super::listener::{Listener, Verdict};
use super::news::{Addressees, News, Parcels};
use super::queueing::Fed;
use super::subscription::Subscription;
use crate::server::{Connection, Task, Timers, Wakes};
use crate::txlog::Log;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

/// Where deliveries go.
pub(crate) struct Outlet<'e> {
    pub(crate) wakes: &'e mut Wakes,
    pub(crate) timers: &'e mut Timers,
    /// What is to go into queues.
    pub(crate) fed: &'e mut Vec<Fed>,
    pub(crate) log: &'e mut Log,
}

/// The subscriptions of one connection that match one topic.
///
/// A message goes out once for all of them that are to get the same.
struct Route {
    connection: Arc<Connection>,
    listeners: Vec<Listener>,
    /// Set if all of them take every message whole and at once.
    plain: Option<Addressees>,
}

impl Route {
    fn refresh(&mut self) {
        self.plain = self.listeners.iter().all(Listener::is_plain).then(|| {
            let mut addressees = Addressees::default();
            for listener in &self.listeners {
                addressees.add(&listener.subscription);
            }
            addressees
        });
    }

    /// Appends what the change means to the output of the connection.
    #[inline]
    fn deliver(&mut self, change: &Change<'_>, outlet: &mut Outlet<'_>) {
        match &self.plain {
            Some(addressees) if change.event == Event::Published => {
                let news = News::message(change, Cow::Borrowed(change.payload), true);
                self.connection.send(outlet.wakes, |out| {
                    addressees.write(out, change.topic, &news)
                });
            }
            _ => self.sort_out(change, outlet),
        }
    }

    /// As [`Route::deliver`], for subscriptions that want different things.
    fn sort_out(&mut self, change: &Change<'_>, outlet: &mut Outlet<'_>) {
        let verdicts = self
            .listeners
            .iter()
            .map(|listener| listener.judge(change))
            .collect::<SmallVec<[Verdict; 4]>>();
        // If one subscription of a connection gets all fields, so do the others
        // (`broker-behaviour §1`); those that are conflated go by themselves.
        let mut at_once = verdicts.iter().zip(&self.listeners);
        let whole = at_once.any(|(verdict, listener)| {
            *verdict == Verdict::Message { whole: true } && listener.conflator.is_none()
        });
        let connection = self.connection.id();
        let mut parcels = Parcels::default();
        for (listener, verdict) in self.listeners.iter_mut().zip(verdicts) {
            let mut told = SmallVec::<[News<'_>; 2]>::new();
            if verdict == Verdict::Page {
                listener.turn_page(change, |news| told.push(news));
            } else if verdict == Verdict::Groups {
                listener.regroup(change, |news| told.push(news));
            } else {
                let whole = whole && listener.conflator.is_none();
                told.extend(listener.news(verdict, change, whole));
            }
            for news in told {
                match listener.conflate(change, news) {
                    Ok(None) => {}
                    Ok(Some(due)) => {
                        let task = Task::Conflation {
                            topic: change.at,
                            connection,
                            since: listener.subscription.since,
                        };
                        outlet.timers.add(due, task);
                    }
                    Err(news) => parcels.add(&listener.subscription, news),
                }
            }
        }
        if !parcels.is_empty() {
            self.connection
                .send(outlet.wakes, |out| parcels.write(out, change.topic));
        }
    }

    /// Sends what one of the subscriptions held back and is due; all of it if no time is given.
    fn release(&mut self, topic: &[u8], since: u64, now: Option<Instant>, wakes: &mut Wakes) {
        let listener = self
            .listeners
            .iter_mut()
            .find(|listener| listener.subscription.since == since);
        let Some(listener) = listener else {
            return;
        };
        let Some(conflator) = &mut listener.conflator else {
            return;
        };
        let mut addressees = Addressees::default();
        addressees.add(&listener.subscription);
        conflator.release(now, |news| {
            self.connection
                .send(wakes, |out| addressees.write(out, topic, news));
        });
    }
}

/// The routes of one topic, in the order in which connections first subscribed.
#[derive(Default)]
pub(crate) struct Routes {
    routes: Vec<Route>,
}

impl Routes {
    /// Adds a subscription. There is none of the same connection and id.
    pub(super) fn attach(&mut self, connection: &Arc<Connection>, added: Listener) {
        let at = self.position(connection.id()).unwrap_or_else(|| {
            self.routes.push(Route {
                connection: connection.clone(),
                listeners: Vec::new(),
                plain: None,
            });
            self.routes.len() - 1
        });
        let route = &mut self.routes[at];
        route.listeners.push(added);
        route.refresh();
    }

    /// Removes one subscription of a connection; what it holds back is dropped.
    pub(super) fn detach(&mut self, connection: u64, subscription: &Arc<Subscription>) {
        let Some(at) = self.position(connection) else {
            return;
        };
        let route = &mut self.routes[at];
        route
            .listeners
            .retain(|one| !Arc::ptr_eq(&one.subscription, subscription));
        if route.listeners.is_empty() {
            self.routes.remove(at);
        } else {
            route.refresh();
        }
    }

    /// Removes everything of a connection.
    pub(super) fn forget(&mut self, connection: u64) {
        if let Some(at) = self.position(connection) {
            self.routes.remove(at);
        }
    }

    /// Tells every connection of a change.
    #[inline]
    pub(super) fn deliver(&mut self, change: &Change<'_>, outlet: &mut Outlet<'_>) {
        for route in &mut self.routes {
            route.deliver(change, outlet);
        }
    }

    /// The subscription of this connection and place in the order, if it is here.
    pub(crate) fn listener(&self, connection: u64, since: u64) -> Option<&Listener> {
        self.routes[self.position(connection)?]
            .listeners
            .iter()
            .find(|listener| listener.subscription.since == since)
    }

    /// Sends what a subscription held back and is due; all of it if no time is given.
    pub(super) fn release(
        &mut self,
        topic: &[u8],
        (connection, since): (u64, u64),
        now: Option<Instant>,
        wakes: &mut Wakes,
    ) {
        if let Some(at) = self.position(connection) {
            self.routes[at].release(topic, since, now, wakes);
        }
    }

    /// The timer of a subscription has come; returns when it is to come again.
    pub(super) fn rearm(&mut self, (connection, since): (u64, u64)) -> Option<Instant> {
        let at = self.position(connection)?;
        let mut listeners = self.routes[at].listeners.iter_mut();
        let listener = listeners.find(|listener| listener.subscription.since == since)?;
        let conflator = listener.conflator.as_mut()?;
        conflator.disarm();
        conflator.arm()
    }

    fn position(&self, connection: u64) -> Option<usize> {
        self.routes
            .iter()
            .position(|route| route.connection.id() == connection)
    }
}
