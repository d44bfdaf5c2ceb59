//! A list of bookmarks, as the server reads it.

use super::position::Padding;
use std::fmt::Write;

/// A list of bookmarks being written.
pub(crate) struct List {
    pub(crate) text: String,
}

impl List {
    /// Adds a bookmark, unless it is there.
    pub(crate) fn push(&mut self, bookmark: &str) {
        if self.text.split(',').any(|there| there == bookmark) {
            return;
        }
        self.separate();
        self.text.push_str(bookmark);
    }

    /// Adds the bookmark of a publisher that is not there yet.
    pub(crate) fn push_numbers(&mut self, publisher: u64, sequence: u64, padding: Padding) {
        let (ahead, behind) = (padding.publisher.into(), padding.sequence.into());
        self.separate();
        // Writing to a string cannot fail.
        let _ = write!(self.text, "{publisher:0ahead$}|{sequence:0behind$}|");
    }

    fn separate(&mut self) {
        if !self.text.is_empty() {
            self.text.push(',');
        }
    }
}
