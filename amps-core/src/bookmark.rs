//! Bookmarks: positions in the transaction log of a server.
//!
//! The server makes bookmarks, and they are opaque: a subscription starts *after* the message that
//! a bookmark names. The constants and functions here name the other points to start at. Give them
//! to [`Command::set_bookmark`](crate::Command::set_bookmark). Guide §9.6, §10.4; rule L1.

#[cfg(doc)]
use crate::error::Error;
use crate::error::{ErrorContext, Result};
use crate::protocol::civil_from_days;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// The beginning of the transaction log.
pub const EPOCH: &str = "0";

/// No replay: messages from now on.
pub const NOW: &str = "0|1|";

/// Where the subscription left off, as its bookmark store knows; [`EPOCH`] if nothing is known.
///
/// The client resolves it when it executes the command; it is never sent.
pub const MOST_RECENT: &str = "recent";

/// An instant as a bookmark: `20240315T093000Z`. Parts of a second are dropped, so that nothing
/// after the instant is missed; an instant before 1970 becomes 1970.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
///
/// let instant = UNIX_EPOCH + Duration::from_secs(1_710_495_000);
/// assert_eq!(amps_core::bookmark::timestamp(instant), "20240315T093000Z");
/// ```
pub fn timestamp(instant: SystemTime) -> String {
    let seconds = instant
        .duration_since(UNIX_EPOCH)
        .map(|since| since.as_secs())
        .unwrap_or_default();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil_from_days(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// Several bookmarks as one: the server starts at the one that comes first in its log.
pub fn list<S: AsRef<str>>(bookmarks: impl IntoIterator<Item = S>) -> String {
    let mut list = String::new();
    for bookmark in bookmarks {
        if !list.is_empty() {
            list.push(',');
        }
        list.push_str(bookmark.as_ref());
    }
    list
}

/// A range of the transaction log: `[start:end)`.
///
/// A square bracket includes its end, a round one does not. Either side is a bookmark, a list or a
/// timestamp. The replay ends at the end of the range. For servers of version 5.3.2 and later.
///
/// ```
/// use amps_core::{BookmarkRange, bookmark};
///
/// let range = BookmarkRange::parse("(20240315T090000Z:20240315T100000Z]")?;
/// assert_eq!(range.start(), "20240315T090000Z");
/// assert!(!range.start_inclusive() && range.end_inclusive());
/// let resumed = range.replace_start("4418602183412675531|907|");
/// assert_eq!(
///     resumed.to_string(),
///     "(4418602183412675531|907|:20240315T100000Z]"
/// );
/// # Ok::<(), amps_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookmarkRange {
    start: String,
    end: String,
    start_inclusive: bool,
    end_inclusive: bool,
}

impl BookmarkRange {
    /// Reads a range.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidBookmark`] if it is none.
    pub fn parse(text: impl AsRef<str>) -> Result<BookmarkRange> {
        let text = text.as_ref().trim();
        let wrong = |reason: &str| {
            ErrorContext::new("read the bookmark range", text)
                .with_reason(reason)
                .InvalidBookmark()
        };
        let start_inclusive = match text.chars().next() {
            Some('[') => true,
            Some('(') => false,
            _ => return Err(wrong("it begins with neither [ nor (")),
        };
        let end_inclusive = match text.chars().last() {
            Some(']') => true,
            Some(')') => false,
            _ => return Err(wrong("it ends with neither ] nor )")),
        };
        let inner = text.get(1..text.len() - 1).unwrap_or_default();
        match inner.split_once(':') {
            Some((start, end)) if !start.trim().is_empty() && !end.contains(':') => {
                Ok(BookmarkRange {
                    start: start.trim().to_string(),
                    end: end.trim().to_string(),
                    start_inclusive,
                    end_inclusive,
                })
            }
            _ => Err(wrong("it is not of the form start:end")),
        }
    }

    /// True if a bookmark is written as a range; it may still be malformed.
    pub fn is_range(bookmark: impl AsRef<str>) -> bool {
        bookmark.as_ref().trim_start().starts_with(['[', '('])
    }

    /// Where it starts: a bookmark, a list or a timestamp.
    pub fn start(&self) -> &str {
        &self.start
    }

    /// Where it ends.
    pub fn end(&self) -> &str {
        &self.end
    }

    /// True if the message at the start belongs to it.
    pub fn start_inclusive(&self) -> bool {
        self.start_inclusive
    }

    /// True if the message at the end belongs to it.
    pub fn end_inclusive(&self) -> bool {
        self.end_inclusive
    }

    /// The rest of the range after a bookmark: that message itself is not part of it.
    #[must_use]
    pub fn replace_start(mut self, bookmark: impl AsRef<str>) -> BookmarkRange {
        self.start = bookmark.as_ref().to_string();
        self.start_inclusive = false;
        self
    }
}

impl fmt::Display for BookmarkRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = if self.start_inclusive { '[' } else { '(' };
        let close = if self.end_inclusive { ']' } else { ')' };
        write!(f, "{open}{}:{}{close}", self.start, self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use std::time::Duration;

    fn at(seconds: u64) -> String {
        timestamp(UNIX_EPOCH + Duration::from_secs(seconds))
    }

    #[test]
    fn a_timestamp_is_the_calendar_date_in_utc() {
        assert_eq!(at(0), "19700101T000000Z");
        assert_eq!(at(68_169_599), "19720228T235959Z");
        assert_eq!(at(68_169_600), "19720229T000000Z");
        assert_eq!(at(951_782_400), "20000229T000000Z");
        assert_eq!(at(1_709_251_199), "20240229T235959Z");
        assert_eq!(at(1_704_067_199), "20231231T235959Z");
        assert_eq!(at(4_107_542_400), "21000301T000000Z");
        assert_eq!(
            timestamp(UNIX_EPOCH - Duration::from_secs(1)),
            "19700101T000000Z"
        );
    }

    #[test]
    fn a_range_is_read_and_written() {
        for text in ["[0:1|2|)", "(1|2|,3|4|:20240315T093000Z]", "[0|1|:9|9|]"] {
            assert_eq!(BookmarkRange::parse(text).unwrap().to_string(), text);
            assert!(BookmarkRange::is_range(text));
        }
        assert!(!BookmarkRange::is_range("0|1|"));
    }

    #[test]
    fn what_is_no_range_is_an_error() {
        for text in [
            "", "[", "]", "[]", "0", "[0]", "[0:1", "0:1]", "[:1]", "[a:b:c]", "é:é",
        ] {
            let error = BookmarkRange::parse(text).unwrap_err();
            assert!(matches!(error, Error::InvalidBookmark(_)), "{text}");
        }
    }

    #[test]
    fn a_list_is_joined_by_commas() {
        assert_eq!(list(["1|2|", "3|4|"]), "1|2|,3|4|");
        assert_eq!(list([""; 0]), "");
    }
}
