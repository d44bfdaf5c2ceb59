//! Why a filter, an order or a select list was refused.

use thiserror::Error;

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
