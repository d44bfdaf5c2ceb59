//! Bookmarks as clients write them (`protocol §9`, `broker-behaviour §7`).

use crate::time;
use amps_core::protocol::{list_items, parse_u64};
use std::fmt;

/// The identity of one logged message: who published it, and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Bookmark {
    pub(crate) publisher: u64,
    pub(crate) sequence: u64,
}

impl Bookmark {
    /// That of what is not logged.
    pub(crate) const NONE: Bookmark = Bookmark {
        publisher: 0,
        sequence: 0,
    };

    /// Reads a list of messages, at least one.
    ///
    /// # Errors
    ///
    /// What is wrong with it, for the log.
    pub(crate) fn list(text: &[u8]) -> Result<Vec<Bookmark>, String> {
        let message = |point| match point {
            Point::Message(bookmark) => Ok(bookmark),
            Point::Epoch | Point::Now | Point::Time(_) => Err("this is no message".to_owned()),
        };
        Point::list(text)?.into_iter().map(message).collect()
    }
}

impl fmt::Display for Bookmark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}|{}|", self.publisher, self.sequence)
    }
}

/// A point of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Point {
    /// `0`: before everything.
    Epoch,
    /// `0|1|`: where the log ends at present.
    Now,
    /// An instant, in microseconds since 1970.
    Time(u64),
    /// A message.
    Message(Bookmark),
}

impl Point {
    fn parse(text: &[u8]) -> Result<Point, String> {
        let wrong = || format!("{:?} is no bookmark", String::from_utf8_lossy(text));
        if text == b"0" {
            return Ok(Point::Epoch);
        }
        let mut parts = text.split(|&byte| byte == b'|');
        let (first, second) = (parts.next().unwrap_or_default(), parts.next());
        let Some(second) = second else {
            return time::parse(text).map(Point::Time).ok_or_else(wrong);
        };
        // The bar at the end may be left out.
        let rest = parts.next().unwrap_or_default();
        match (parse_u64(first), parse_u64(second)) {
            (Some(publisher), Some(sequence)) if rest.is_empty() && parts.next().is_none() => {
                Ok(match (publisher, sequence) {
                    (0, 1) => Point::Now,
                    _ => Point::Message(Bookmark {
                        publisher,
                        sequence,
                    }),
                })
            }
            _ => Err(wrong()),
        }
    }

    fn list(text: &[u8]) -> Result<Vec<Point>, String> {
        let points = list_items(text)
            .map(Point::parse)
            .collect::<Result<Vec<_>, _>>()?;
        match points.is_empty() {
            true => Err("an empty bookmark".to_owned()),
            false => Ok(points),
        }
    }
}

/// A point to which its own message belongs, or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limit {
    /// Several are one: at the start the earliest of them, at the end the latest.
    pub(crate) points: Vec<Point>,
    pub(crate) inclusive: bool,
}

/// The part of the log that a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: Limit,
    /// Without it there is no end.
    pub(crate) end: Option<Limit>,
}

impl Range {
    /// Reads the `bm` field of a subscription.
    ///
    /// # Errors
    ///
    /// What is wrong with it, for the log.
    pub(crate) fn parse(text: &[u8]) -> Result<Range, String> {
        let text = text.trim_ascii();
        let (Some(open), Some(close)) = (text.first(), text.last()) else {
            return Err("an empty bookmark".to_owned());
        };
        if !matches!(open, b'[' | b'(') {
            return Ok(Range {
                start: Limit {
                    points: Point::list(text)?,
                    inclusive: false,
                },
                end: None,
            });
        }
        let inner = text.get(1..text.len() - 1).unwrap_or_default();
        let mut sides = inner.split(|&byte| byte == b':');
        match (sides.next(), sides.next(), sides.next(), close) {
            (Some(start), Some(end), None, b']' | b')') => Ok(Range {
                start: Limit {
                    points: Point::list(start)?,
                    inclusive: *open == b'[',
                },
                end: Some(Limit {
                    points: Point::list(end)?,
                    inclusive: *close == b']',
                }),
            }),
            _ => Err(format!("{:?} is no range", String::from_utf8_lossy(text))),
        }
    }

    /// True if nothing old is asked for.
    pub(crate) fn is_now(&self) -> bool {
        self.end.is_none() && self.start.points == [Point::Now]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(publisher: u64, sequence: u64) -> Point {
        Point::Message(Bookmark {
            publisher,
            sequence,
        })
    }

    #[test]
    fn every_form_of_the_reference_is_read() {
        let noon = Point::Time(1_710_504_000_000_000);
        for (text, points) in [
            ("0", vec![Point::Epoch]),
            ("0|1|", vec![Point::Now]),
            ("0|1", vec![Point::Now]),
            ("7|907|", vec![message(7, 907)]),
            ("7|907", vec![message(7, 907)]),
            ("7|1|, 8|2|", vec![message(7, 1), message(8, 2)]),
            ("7|1|,0", vec![message(7, 1), Point::Epoch]),
            ("20240315T120000", vec![noon]),
            ("20240315T120000Z", vec![noon]),
            (
                "20240315T120000.000001Z",
                vec![Point::Time(1_710_504_000_000_001)],
            ),
        ] {
            let range = Range::parse(text.as_bytes()).unwrap();
            assert_eq!(range.start.points, points, "{text}");
            assert!(!range.start.inclusive && range.end.is_none(), "{text}");
        }
    }

    #[test]
    fn a_range_has_two_sides_and_says_which_belong_to_it() {
        for (text, inclusive) in [
            ("[0:7|1|)", (true, false)),
            ("(0:7|1|]", (false, true)),
            ("[0:20240315T120000Z]", (true, true)),
            ("(7|1|,8|1|:7|2|,8|2|)", (false, false)),
        ] {
            let range = Range::parse(text.as_bytes()).unwrap();
            let end = range.end.unwrap();
            assert_eq!((range.start.inclusive, end.inclusive), inclusive, "{text}");
        }
        assert!(Range::parse(b"0|1|").unwrap().is_now());
        assert!(!Range::parse(b"[0|1|:0|1|]").unwrap().is_now());
    }

    #[test]
    fn a_list_of_messages_has_nothing_else_in_it() {
        let (publisher, sequence) = (u64::MAX, 7);
        let one = Bookmark {
            publisher,
            sequence,
        };
        let text = format!("{one}, 8|1");
        assert_eq!(Bookmark::list(text.as_bytes()).unwrap()[0], one);
        for text in ["", "0", "0|1|", "20240315T120000Z", "8|1|,0", "8|1|,x"] {
            assert!(Bookmark::list(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_bookmark_is_refused() {
        for text in [
            "",
            " ",
            ",",
            "1",
            "x",
            "1|x|",
            "|1|",
            "1||",
            "1|2|3|",
            "1|2|3",
            "[",
            "[0",
            "[0]",
            "[0:1|2|",
            "[:1|2|]",
            "[1|2|:]",
            "[1|1|:2|2|:3|3|]",
            "20241315T120000",
            "2024-03-15",
            "recent",
            "1|2|;3|4|",
        ] {
            assert!(Range::parse(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
