//! Unsubscribing, here and in the server.

use super::route::Route;
use super::shared::{Shared, route_query};
use crate::error::{ErrorContext, Result};
use crate::stream::EndReason;
use std::sync::Arc;

impl Shared {
    /// Unsubscribes by id, comma list or `all`, without waiting for the server (rule D12).
    pub(crate) fn unsubscribe(self: &Arc<Self>, ids: &str) -> Result<()> {
        let ids = ids.trim();
        if ids.is_empty() {
            return Err(ErrorContext::new("unsubscribe", "")
                .with_reason("the id is empty")
                .InvalidSubId());
        }
        self.check_not_in_store(|| ErrorContext::new("unsubscribe", ids))?;
        let removed = self.take_back(ids);
        let mut subscriptions = Vec::new();
        let mut queries = Vec::new();
        for (_, route) in &removed {
            subscriptions.push(route.sub_id.as_str());
            queries.push(route_query(route));
        }
        let (connection, is_logging_on) = {
            let state = self.state.lock();
            (state.connection.clone(), state.is_logging_on())
        };
        let Some(connection) = connection else {
            return Ok(());
        };
        if is_logging_on {
            // What is not known here is not known there either, yet, and a server closes the
            // connection on a command that comes before the logon.
        } else if ids == "all" {
            subscriptions = vec![ids];
        } else {
            // The server knows a subscription by its own id only; ids that are not known here may
            // be known there.
            let found = |id: &&str| removed.iter().any(|(known, _)| known == id);
            subscriptions.extend(ids.split(',').map(str::trim).filter(|id| !found(id)));
        }
        let (subscriptions, queries) = (join(&subscriptions), join(&queries));
        self.post_unsubscribe(connection.number, &subscriptions, &queries);
        Ok(())
    }

    /// Ends subscriptions and queries here, wherever they are: an id, a comma list, or `all`.
    /// Returns the routes, with the id under which each was found.
    pub(crate) fn take_back(&self, ids: &str) -> Vec<(String, Arc<Route>)> {
        // First what waits for a recovery, then what is here, then what would come back: in the
        // order in which a subscription gets from one to the other.
        self.retries.cancel(ids);
        let removed = self.routes.unsubscribe(ids);
        for (_, route) in &removed {
            route.give_up();
            route.end(EndReason::Unsubscribed);
        }
        self.untrack(ids);
        removed
    }
}

/// A comma list of the ids that are not empty.
pub(crate) fn join(ids: &[&str]) -> String {
    let mut list = String::new();
    for id in ids.iter().filter(|id| !id.is_empty()) {
        if !list.is_empty() {
            list.push(',');
        }
        list.push_str(id);
    }
    list
}
