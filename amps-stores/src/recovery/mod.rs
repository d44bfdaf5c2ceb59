//! Recovery points: where subscriptions resume, kept outside the process.
//!
//! A [`MemoryBookmarkStore`](crate::MemoryBookmarkStore) that has an adapter tells it of each new
//! resume point and begins with those that the adapter recovers. What was discarded after the point
//! is not kept: after a restart some messages come again (rule P3).

mod conflating;
mod sow;
mod teller;

pub use conflating::{ConflatingRecoveryPointAdapter, ConflatingRecoveryPointAdapterBuilder};
pub use sow::{SowRecoveryPointAdapter, SowRecoveryPointAdapterBuilder};
pub(crate) use teller::Teller;

use amps_core::Result;
#[cfg(doc)]
use amps_core::{BookmarkStore, Error};
use std::borrow::Cow;
use std::fmt;

/// Where a subscription resumes.
pub trait RecoveryPoint {
    /// The subscription.
    fn sub_id(&self) -> &str;

    /// The bookmark, list or timestamp to resume at.
    fn bookmark(&self) -> Cow<'_, str>;
}

/// A recovery point that does not change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedRecoveryPoint {
    sub_id: String,
    bookmark: String,
}

impl FixedRecoveryPoint {
    /// A point of a subscription.
    pub fn new(sub_id: impl Into<String>, bookmark: impl Into<String>) -> FixedRecoveryPoint {
        FixedRecoveryPoint {
            sub_id: sub_id.into(),
            bookmark: bookmark.into(),
        }
    }

    /// What another point is at this moment.
    pub fn of(point: &dyn RecoveryPoint) -> FixedRecoveryPoint {
        FixedRecoveryPoint::new(point.sub_id(), point.bookmark())
    }
}

impl RecoveryPoint for FixedRecoveryPoint {
    fn sub_id(&self) -> &str {
        &self.sub_id
    }

    fn bookmark(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.bookmark)
    }
}

/// A recovery point that is what the store says at the moment of asking.
///
/// An adapter that is told of it and asks late gets the newest one.
pub struct DynamicRecoveryPoint<'a> {
    sub_id: &'a str,
    ask: &'a dyn Fn(&str) -> String,
}

impl<'a> DynamicRecoveryPoint<'a> {
    /// The point of a subscription, found out by this function.
    pub fn new(sub_id: &'a str, ask: &'a dyn Fn(&str) -> String) -> DynamicRecoveryPoint<'a> {
        DynamicRecoveryPoint { sub_id, ask }
    }
}

impl RecoveryPoint for DynamicRecoveryPoint<'_> {
    fn sub_id(&self) -> &str {
        self.sub_id
    }

    fn bookmark(&self) -> Cow<'_, str> {
        Cow::Owned((self.ask)(self.sub_id))
    }
}

impl fmt::Debug for DynamicRecoveryPoint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamicRecoveryPoint")
            .field("sub_id", &self.sub_id)
            .finish_non_exhaustive()
    }
}

/// Keeps recovery points somewhere.
///
/// A store calls it with no lock held, from whatever thread changed the resume point: mostly the
/// receive thread, or one that discards. Calls for one subscription come one at a time, the newest
/// last; calls for several may come at once.
pub trait RecoveryPointAdapter: Send + Sync {
    /// Reads all points that were kept. Called once, before anything else (rule P1).
    ///
    /// # Errors
    ///
    /// Whatever kept them from being read; the store is not made.
    fn recover(&mut self) -> Result<Vec<FixedRecoveryPoint>>;

    /// Keeps a point instead of the former one of its subscription (rules P2, P3).
    ///
    /// # Errors
    ///
    /// It is not kept. The call that moved the point returns this error, though its change is made.
    fn update(&self, point: &dyn RecoveryPoint) -> Result<()>;

    /// Forgets all points.
    ///
    /// # Errors
    ///
    /// Some may still be kept.
    fn purge(&self) -> Result<()>;

    /// Forgets the point of one subscription.
    ///
    /// # Errors
    ///
    /// It may still be kept.
    fn purge_sub(&self, sub_id: &str) -> Result<()>;

    /// Writes what is pending, and ends. The store calls it when it is dropped (rule P4).
    ///
    /// # Errors
    ///
    /// Something pending was not written.
    fn close(&self) -> Result<()>;
}
