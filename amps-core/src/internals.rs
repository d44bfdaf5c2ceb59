//! Two steps of receiving by themselves, for the benchmarks; outside semantic versioning.

use crate::client::route::{Route, RouteKind, RouteSpec, Sink};
use crate::client::routes::{LastRoute, Routes};
use crate::message::{Batch, Message, Messages};
use crate::queue::{StreamQueue, Waited};
use crate::waits::Waits;
use std::fmt;
use std::sync::Arc;

/// Finds the subscription of a message, as the receive thread does.
#[derive(Default)]
pub struct Router {
    routes: Routes,
    last: LastRoute,
}

impl Router {
    /// Adds a subscription that nobody reads; false if its id is in use.
    pub fn add(&self, sub_id: &str) -> bool {
        let spec = RouteSpec {
            sub_id: sub_id.to_string(),
            ..RouteSpec::new(RouteKind::Subscription, 1)
        };
        let route = Arc::new(Route::new(spec, Sink::Nobody));
        self.routes.register(&route).is_ok()
    }

    /// True if there is such a subscription.
    #[inline]
    pub fn find(&mut self, sub_id: &[u8]) -> bool {
        self.routes.find(sub_id, &mut self.last).is_some()
    }
}

/// Hands messages from one thread to another, as the receive thread does to the reader of a stream.
pub struct HandOver {
    queue: Arc<StreamQueue>,
    waits: Waits,
}

impl Default for HandOver {
    fn default() -> HandOver {
        HandOver {
            queue: StreamQueue::new(0).into(),
            waits: Waits::default(),
        }
    }
}

impl HandOver {
    /// Hands on as many copies of a message as one read would have brought.
    pub fn push(&self, message: &Message, copies: usize) {
        let mut batch = Batch::default();
        for _ in 0..copies {
            batch.add(message);
        }
        self.queue.push(&mut batch, &self.waits);
    }

    /// Waits for messages and takes all that there are; returns how many.
    pub fn take(&self) -> usize {
        let mut taken = Messages::default();
        if let Waited::Ready = self.queue.wait(None) {
            self.queue.take(&mut taken);
        }
        std::iter::from_fn(|| taken.pop()).count()
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Router")
    }
}

impl fmt::Debug for HandOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HandOver({} messages)", self.queue.depth())
    }
}
