//! Why a filter, an order or a select list was refused, or a payload.

use thiserror::Error;

use super::composite::BrokenPart;

/// A text that is not in the language, and where it stops being so.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{what} at byte {position}")]
pub struct FilterError {
    what: String,
    position: usize,
}

impl FilterError {
    pub(super) fn new(position: usize, what: impl Into<String>) -> FilterError {
        FilterError {
            what: what.into(),
            position,
        }
    }

    /// The same error, seen from the text that the refused one starts in at `offset`.
    pub(super) fn shifted(mut self, offset: usize) -> FilterError {
        self.position += offset;
        self
    }

    /// The byte of the text at which the refused part starts.
    pub fn position(&self) -> usize {
        self.position
    }
}

/// Why a payload could not be rewritten: it is not what its message type says.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// It is no JSON object.
    #[error("not a JSON object")]
    Json(#[from] serde_json::Error),
    /// A FIX or NVFIX field has no `=`.
    #[error("a field without '='")]
    Field,
    /// Objects are nested too deep.
    #[error("objects nested too deep")]
    Depth,
    /// It is no composite message.
    #[error(transparent)]
    Part(#[from] BrokenPart),
}
