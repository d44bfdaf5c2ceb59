//! A subscription of one connection.

use super::pattern::Pattern;

/// What a client subscribed to. It never changes: `replace` puts another one in its place.
#[derive(Debug)]
pub(crate) struct Subscription {
    /// Unique on its connection.
    pub(crate) id: Box<[u8]>,
    /// The topic as the client wrote it.
    pub(crate) topic: Box<[u8]>,
    /// Which topics that means.
    pub(crate) pattern: Pattern,
    /// Say when each message was processed.
    pub(crate) timestamp: bool,
    /// Say which record each message belongs to.
    pub(crate) sow_key: bool,
}
