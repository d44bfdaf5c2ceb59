//! From the ids in a message to whoever takes it.

use super::route::{Route, RouteKind, Sink};
use crate::stream::EndReason;
use parking_lot::{Mutex, MutexGuard};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Why a route cannot be registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conflict {
    /// Its command id is in use.
    Command,
    /// Its subscription id is in use and it does not replace.
    Subscription,
    /// Its query id is in use.
    Query,
}

/// Ids are short: as keys they stand in the table itself.
type Key = SmallVec<[u8; 16]>;

type Table = FxHashMap<Key, Arc<Route>>;

/// Every live route by each of its ids.
///
/// Routes are handed out counted and dropped outside the lock: dropping one may drop a closure of
/// the application, which may hold the last handle of the client.
#[derive(Default)]
pub(crate) struct Routes {
    by_id: Mutex<Table>,
    /// Raised under the lock by every change.
    generation: AtomicU64,
}

/// The route of the message before, for the receive thread: most messages come for the same one.
///
/// Kept for the messages of one read only, so that the handler of a route that is removed is
/// dropped soon.
#[derive(Default)]
pub(crate) struct LastRoute {
    /// Under which id it was found.
    id: Vec<u8>,
    route: Option<Arc<Route>>,
    generation: u64,
}

impl LastRoute {
    pub(crate) fn forget(&mut self) {
        self.route = None;
    }
}

impl Routes {
    /// As [`Routes::get`], without the lock if the last one is asked for again.
    #[inline]
    pub(crate) fn find<'a>(&self, id: &[u8], last: &'a mut LastRoute) -> Option<&'a Arc<Route>> {
        // From before the look-up: a change in between is seen the next time.
        let generation = self.generation.load(Ordering::Acquire);
        if last.generation != generation || last.route.is_none() || last.id != id {
            last.generation = generation;
            last.route = self.get(id);
            last.id.clear();
            if last.route.is_some() {
                last.id.extend_from_slice(id);
            }
        }
        last.route.as_ref()
    }

    /// The table, to be changed.
    fn change(&self) -> MutexGuard<'_, Table> {
        let table = self.by_id.lock();
        self.generation.fetch_add(1, Ordering::Release);
        table
    }

    /// Adds a route before its command is sent.
    pub(crate) fn register(&self, route: &Arc<Route>) -> Result<(), Conflict> {
        let mut by_id = self.change();
        if by_id.contains_key(route.command_id.as_bytes()) {
            return Err(Conflict::Command);
        }
        let holder = by_id.get(route.sub_id.as_bytes());
        let replaced = holder.filter(|_| route.replaces).map(Arc::as_ptr);
        if holder.is_some() && replaced.is_none() {
            return Err(Conflict::Subscription);
        }
        let asks = by_id.get(route.query_id.as_bytes()).map(Arc::as_ptr);
        if asks.is_some() && asks != replaced {
            return Err(Conflict::Query);
        }
        if replaced.is_some() {
            // Until the server accepts it, it only has its command id.
            by_id.insert(key(&route.command_id), route.clone());
            return Ok(());
        }
        for id in route.ids() {
            by_id.insert(key(id), route.clone());
        }
        Ok(())
    }

    /// Lets a replacing route take over the ids of the one it replaces; ends the stream of that.
    pub(crate) fn take_over(&self, route: &Arc<Route>) {
        if matches!(route.sink, Sink::Nobody) {
            // The old handler, if there is one, stays; then this route was there for its
            // acknowledgement only.
            let holder = self.get(route.sub_id.as_bytes());
            if holder.is_some_and(|holder| !Arc::ptr_eq(&holder, route)) {
                self.remove(route);
            }
            return;
        }
        let mut by_id = self.change();
        let still_wanted = by_id
            .get(route.command_id.as_bytes())
            .is_some_and(|known| Arc::ptr_eq(known, route));
        if !still_wanted {
            // Its owner closed it meanwhile.
            return;
        }
        let old = by_id.get(route.sub_id.as_bytes()).cloned();
        let old = old.filter(|old| !Arc::ptr_eq(old, route));
        let mut removed = Vec::new();
        if let Some(old) = &old {
            removed = remove_route(&mut by_id, old);
        }
        for id in route.ids() {
            removed.extend(by_id.insert(key(id), route.clone()));
        }
        drop(by_id);
        drop(removed);
        if let Some(old) = old {
            old.end(EndReason::Replaced);
        }
    }

    #[inline]
    pub(crate) fn get(&self, id: &[u8]) -> Option<Arc<Route>> {
        self.by_id.lock().get(id).cloned()
    }

    /// How many messages wait to be read in all streams.
    pub(crate) fn stream_depth(&self) -> usize {
        let queues = {
            let by_id = self.by_id.lock();
            let queues = by_id.values().filter_map(|route| match &route.sink {
                Sink::Stream(queue) => Some((Arc::as_ptr(queue), queue.clone())),
                _ => None,
            });
            queues.collect::<FxHashMap<_, _>>()
        };
        queues.values().map(|queue| queue.depth()).sum()
    }

    pub(crate) fn contains(&self, id: &str) -> bool {
        self.by_id.lock().contains_key(id.as_bytes())
    }

    /// Takes a route out under all its ids (never those that another one has taken over); true if
    /// its main id was still its own.
    pub(crate) fn remove(&self, route: &Arc<Route>) -> bool {
        let mut by_id = self.change();
        let main = route.ids().last().unwrap_or_default();
        let owned = by_id
            .get(main.as_bytes())
            .is_some_and(|known| Arc::ptr_eq(known, route));
        let removed = remove_route(&mut by_id, route);
        drop(by_id);
        drop(removed);
        owned
    }

    /// Takes out the routes that an unsubscribe of `ids` ends: a comma list, or `all`. Also gives
    /// the id under which each was found.
    pub(crate) fn unsubscribe(&self, ids: &str) -> Vec<(String, Arc<Route>)> {
        if ids.trim() == "all" {
            return self
                .remove_where(|route| route.kind == RouteKind::Subscription)
                .into_iter()
                .map(|route| (route.sub_id.clone(), route))
                .collect();
        }
        let mut by_id = self.change();
        let mut removed = Vec::new();
        for id in ids.split(',').map(str::trim) {
            let route = by_id.get(id.as_bytes()).cloned();
            if let Some(route) = route.filter(|route| route.is_unsubscribed_by(id)) {
                remove_route(&mut by_id, &route);
                removed.push((id.to_string(), route));
            }
        }
        removed
    }

    /// Takes out every route of this connection and of earlier ones.
    pub(crate) fn disconnect(&self, connection: u64) -> Vec<Arc<Route>> {
        self.remove_where(|route| route.connection <= connection)
    }

    fn remove_where(&self, unwanted: impl Fn(&Route) -> bool) -> Vec<Arc<Route>> {
        let mut seen = FxHashSet::default();
        let mut removed = Vec::new();
        self.change().retain(|_, route| {
            let stays = !unwanted(route);
            if !stays && seen.insert(Arc::as_ptr(route)) {
                removed.push(route.clone());
            }
            stays
        });
        removed
    }
}

fn key(id: &str) -> Key {
    id.as_bytes().into()
}

fn remove_route(by_id: &mut Table, route: &Arc<Route>) -> Vec<Arc<Route>> {
    route
        .ids()
        .filter_map(|id| {
            let known = by_id.get(id.as_bytes())?;
            if !Arc::ptr_eq(known, route) {
                return None;
            }
            by_id.remove(id.as_bytes())
        })
        .collect()
}
