//! Why a record is out of focus.

#[cfg(doc)]
use super::Message;

/// Why a record left the scope of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OofReason {
    /// The record was deleted.
    Deleted,
    /// The lifetime of the record is over.
    Expired,
    /// The record does not match the filter, or the window of the query, any more.
    Match,
    /// The subscriber may not see the record any more.
    Entitlement,
    /// None of these: [`Message::reason`] tells what the server said.
    Unknown,
}

impl OofReason {
    pub(super) fn of(reason: &str) -> OofReason {
        let is = |known: &str| reason.trim().eq_ignore_ascii_case(known);
        match () {
            () if is("deleted") || is("delete") => OofReason::Deleted,
            () if is("expired") || is("expire") => OofReason::Expired,
            () if is("match") => OofReason::Match,
            () if is("entitlement") => OofReason::Entitlement,
            () => OofReason::Unknown,
        }
    }
}
