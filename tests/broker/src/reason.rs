//! Why a command is refused: what the client is told, and what the log is told.

use std::borrow::Cow;

/// The texts that clients compare with (`protocol §12`): they are sent exactly as they stand.
pub(crate) mod text {
    pub(crate) const AUTHENTICATION_DISABLED: &str = "authentication disabled";
    pub(crate) const BAD_FILTER: &str = "bad filter";
    pub(crate) const BAD_REGEX_TOPIC: &str = "bad regex topic";
    pub(crate) const BAD_SOW_KEY: &str = "bad sow key";
    pub(crate) const DUPLICATE_LOGON: &str = "duplicate logon";
    pub(crate) const INVALID_BOOKMARK: &str = "invalid bookmark";
    pub(crate) const INVALID_MESSAGE_TYPE: &str = "invalid message type";
    pub(crate) const INVALID_MESSAGE: &str = "invalid message";
    pub(crate) const INVALID_OPTIONS: &str = "invalid options";
    pub(crate) const INVALID_ORDER_BY: &str = "invalid order by";
    pub(crate) const INVALID_SUB_ID: &str = "invalid sub id";
    pub(crate) const INVALID_TOPIC: &str = "invalid topic";
    pub(crate) const LOGON_REQUIRED: &str = "logon required";
    pub(crate) const NAME_IN_USE: &str = "name in use";
    pub(crate) const NOT_ENTITLED: &str = "not entitled";
    /// Ours: AMPS has no text for it.
    pub(crate) const NOT_JOURNALED: &str = "journal write failed";
    pub(crate) const NO_TOPIC: &str = "no topic";
    pub(crate) const SUBID_IN_USE: &str = "subid in use";
    pub(crate) const UNKNOWN_COMMAND: &str = "unknown command";
}

/// A refusal.
///
/// The client gets the documented reason and nothing else, because it maps reasons by their exact
/// text; the explanation goes to the log.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// One of [`text`], or what a test wants to be said.
    pub(crate) reason: Cow<'static, str>,
    /// What a person would want to know.
    pub(crate) why: Cow<'static, str>,
}

impl Refusal {
    pub(crate) fn new(
        reason: impl Into<Cow<'static, str>>,
        why: impl Into<Cow<'static, str>>,
    ) -> Refusal {
        Refusal {
            reason: reason.into(),
            why: why.into(),
        }
    }
}
