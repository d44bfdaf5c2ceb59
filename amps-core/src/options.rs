//! The options of a command.

use crate::protocol::option_items as items;
use std::fmt;

/// The options of a command: a comma list of words and `name=value` items.
///
/// Each method adds its option, or replaces the one that is there; options that this builder does
/// not know are kept where they stand (see [`Options::parse`] and [`Options::set`]). Commas inside
/// brackets belong to a value. Give it to
/// [`Command::set_options`](crate::Command::set_options). Guide §10.1; which command takes which
/// option is in the AMPS command reference.
///
/// ```
/// use amps_core::{Command, Options};
///
/// let options = Options::new()
///     .oof()
///     .conflation("250ms")
///     .conflation_key(["/customer", "/issue"]);
/// assert_eq!(
///     options.as_str(),
///     "oof,conflation=250ms,conflation_key=[/customer,/issue]"
/// );
/// let command = Command::new("sow_and_subscribe").set_options(options);
/// # let _ = command;
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Options {
    text: String,
}

/// What the server does when it knows none of the bookmarks to start after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BookmarkNotFound {
    /// Starts with new messages: the server's default.
    Now,
    /// Starts at the beginning of its transaction log.
    Epoch,
    /// Refuses the command.
    Fail,
}

impl Options {
    /// No options.
    pub fn new() -> Options {
        Options::default()
    }

    /// Options from a comma list; every item is kept, known or not, in its order.
    pub fn parse(list: impl AsRef<str>) -> Options {
        let mut options = Options::new();
        for item in items(list.as_ref()) {
            options.push(item);
        }
        options
    }

    /// The comma list as it is sent.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// True if there is an option of this name, with or without a value.
    pub fn contains(&self, name: &str) -> bool {
        items(&self.text).any(|item| split(item).0 == name)
    }

    /// The value of an option: empty for one without a value, `None` if it is not there.
    pub fn value(&self, name: &str) -> Option<&str> {
        items(&self.text)
            .map(split)
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// Adds or replaces an option; an empty value makes it a plain word. For options that have no
    /// method of their own.
    #[must_use]
    pub fn set(self, name: &str, value: &str) -> Options {
        let item = match value {
            "" => name.to_string(),
            value => format!("{name}={value}"),
        };
        let mut options = Options::new();
        let mut placed = false;
        for old in items(&self.text) {
            if split(old).0 != name {
                options.push(old);
            } else if !placed {
                options.push(&item);
                placed = true;
            }
        }
        if !placed {
            options.push(&item);
        }
        options
    }

    /// Takes an option out.
    #[must_use]
    pub fn remove(self, name: &str) -> Options {
        let mut options = Options::new();
        for item in items(&self.text).filter(|item| split(item).0 != name) {
            options.push(item);
        }
        options
    }

    fn push(&mut self, item: &str) {
        if !self.text.is_empty() {
            self.text.push(',');
        }
        self.text.push_str(item);
    }

    /// `conflation_key=[/a,/b]`: what counts as the same message for
    /// [`conflation`](Options::conflation).
    #[must_use]
    pub fn conflation_key<S: AsRef<str>>(self, fields: impl IntoIterator<Item = S>) -> Options {
        self.list("conflation_key", fields)
    }

    /// `grouping=[/a,/b]`: the fields that make a group of an aggregation; needs
    /// [`projection`](Options::projection).
    #[must_use]
    pub fn grouping<S: AsRef<str>>(self, fields: impl IntoIterator<Item = S>) -> Options {
        self.list("grouping", fields)
    }

    /// `projection=[SUM(/qty) AS /total]`: what an aggregation computes; needs
    /// [`grouping`](Options::grouping).
    #[must_use]
    pub fn projection<S: AsRef<str>>(self, fields: impl IntoIterator<Item = S>) -> Options {
        self.list("projection", fields)
    }

    /// `select=[-/,+/id]`: the fields of a message that are delivered.
    #[must_use]
    pub fn select<S: AsRef<str>>(self, fields: impl IntoIterator<Item = S>) -> Options {
        self.list("select", fields)
    }

    /// `bookmark_not_found=…`: what happens when the start bookmark is unknown.
    #[must_use]
    pub fn bookmark_not_found(self, then: BookmarkNotFound) -> Options {
        let word = match then {
            BookmarkNotFound::Now => "now",
            BookmarkNotFound::Epoch => "epoch",
            BookmarkNotFound::Fail => "fail",
        };
        self.set("bookmark_not_found", word)
    }

    /// `pretty=true`: readable form of binary message types, on a logon.
    #[must_use]
    pub fn pretty(self) -> Options {
        self.set("pretty", "true")
    }

    fn list<S: AsRef<str>>(self, name: &str, fields: impl IntoIterator<Item = S>) -> Options {
        let mut value = String::from("[");
        for field in fields {
            if value.len() > 1 {
                value.push(',');
            }
            value.push_str(field.as_ref());
        }
        value.push(']');
        self.set(name, &value)
    }
}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        /// Options without a value.
        impl Options {
            $($(#[$doc])*
            #[must_use]
            pub fn $name(self) -> Options { self.set(stringify!($name), "") })*
        }
    };
}

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        /// Options with a number.
        impl Options {
            $($(#[$doc])*
            #[must_use]
            pub fn $name(self, number: u32) -> Options {
                self.set(stringify!($name), &number.to_string())
            })*
        }
    };
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        /// Options with an interval, a rate or the like, as the server writes it: `250ms`, `1.5X`.
        impl Options {
            $($(#[$doc])*
            #[must_use]
            pub fn $name(self, value: impl AsRef<str>) -> Options {
                self.set(stringify!($name), value.as_ref())
            })*
        }
    };
}

words! {
    /// Out-of-focus messages when a record leaves the scope of the subscription.
    oof;
    /// Replaces the subscription that has this subscription id.
    replace;
    /// Pauses bookmark subscriptions, or enters one paused.
    pause;
    /// Resumes paused subscriptions.
    resume;
    /// The server's timestamp on each message.
    timestamp;
    /// On an acknowledgement of a queue message: gives the message back.
    cancel;
    /// On an acknowledgement of a queue message: lets the message expire.
    expire;
    /// After the replay, delivers messages before they are persisted.
    live;
    /// Delivers messages only when every synchronous replica has them.
    fully_durable;
    /// No delta messages in which no field changed.
    no_empties;
    /// Key fields in delta messages.
    send_keys;
    /// No record keys on messages.
    no_sowkey;
    /// Takes the topic literally, whatever characters it has.
    non_regex_topic;
    /// Bookmarks on messages that are not replayed; not a starting point.
    bookmark;
}

numbers! {
    /// The unacknowledged messages of a queue wanted at a time.
    max_backlog;
    /// The most records wanted; 0 asks for the counters only.
    top_n;
    /// The records to skip first; needs `top_n`.
    skip_n;
}

texts! {
    /// At most one update for each record and interval: `250ms`, `auto` or `none`.
    conflation;
    /// The pace of a replay: `750` messages, `100KB` or `1.5X` the original speed.
    rate;
    /// The longest pause of a replay with a [`rate`](Options::rate).
    rate_max_gap;
    /// How often a logon wants persisted acknowledgements: `100ms`.
    ack_conflation;
}

impl AsRef<str> for Options {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Options({:?})", self.text)
    }
}

/// The name and the value of an item; spaces around the `=` are tolerated.
fn split(item: &str) -> (&str, &str) {
    match item.split_once('=') {
        Some((name, value)) => (name.trim_end(), value.trim_start()),
        None => (item, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_inside_brackets_does_not_split() {
        let list = "conflation = 1m, conflation_key=[/a, /b] ,oof,,x=[[1,2],3]";
        assert_eq!(
            items(list).collect::<Vec<_>>(),
            [
                "conflation = 1m",
                "conflation_key=[/a, /b]",
                "oof",
                "x=[[1,2],3]"
            ]
        );
        let options = Options::parse(list);
        assert_eq!(options.value("conflation"), Some("1m"));
        assert_eq!(options.value("conflation_key"), Some("[/a, /b]"));
        assert!(!options.contains("/b]"));
    }

    #[test]
    fn an_option_is_replaced_in_its_place_and_unknown_ones_are_kept() {
        let options = Options::parse("flux=9,top_n=1,oof,top_n=2")
            .top_n(0)
            .skip_n(5);
        assert_eq!(options.as_str(), "flux=9,top_n=0,oof,skip_n=5");
        assert_eq!(options.clone().oof(), options);
        assert_eq!(options.remove("flux").as_str(), "top_n=0,oof,skip_n=5");
    }

    #[test]
    fn every_method_writes_its_token() {
        let fields = ["/a", "/b"];
        for (options, token) in [
            (Options::new().oof(), "oof"),
            (Options::new().replace(), "replace"),
            (Options::new().pause(), "pause"),
            (Options::new().resume(), "resume"),
            (Options::new().timestamp(), "timestamp"),
            (Options::new().cancel(), "cancel"),
            (Options::new().expire(), "expire"),
            (Options::new().live(), "live"),
            (Options::new().fully_durable(), "fully_durable"),
            (Options::new().no_empties(), "no_empties"),
            (Options::new().send_keys(), "send_keys"),
            (Options::new().no_sowkey(), "no_sowkey"),
            (Options::new().non_regex_topic(), "non_regex_topic"),
            (Options::new().bookmark(), "bookmark"),
            (Options::new().max_backlog(0), "max_backlog=0"),
            (Options::new().top_n(0), "top_n=0"),
            (Options::new().skip_n(7), "skip_n=7"),
            (Options::new().conflation("250ms"), "conflation=250ms"),
            (Options::new().rate("1.5X"), "rate=1.5X"),
            (Options::new().rate_max_gap("10s"), "rate_max_gap=10s"),
            (Options::new().ack_conflation("1s"), "ack_conflation=1s"),
            (
                Options::new().conflation_key(fields),
                "conflation_key=[/a,/b]",
            ),
            (Options::new().grouping(fields), "grouping=[/a,/b]"),
            (Options::new().projection(fields), "projection=[/a,/b]"),
            (Options::new().select(["-/", "+/id"]), "select=[-/,+/id]"),
            (Options::new().pretty(), "pretty=true"),
        ] {
            assert_eq!(options.as_str(), token);
        }
        for (then, token) in [
            (BookmarkNotFound::Now, "bookmark_not_found=now"),
            (BookmarkNotFound::Epoch, "bookmark_not_found=epoch"),
            (BookmarkNotFound::Fail, "bookmark_not_found=fail"),
        ] {
            assert_eq!(Options::new().bookmark_not_found(then).as_str(), token);
        }
        let several = Options::new().replace().max_backlog(0).rate("1.5X");
        assert_eq!(several.as_str(), "replace,max_backlog=0,rate=1.5X");
        assert!(Options::new().is_empty());
    }

    #[test]
    fn an_unclosed_bracket_keeps_the_rest_together() {
        assert_eq!(items("a=[b,c").collect::<Vec<_>>(), ["a=[b,c"]);
        assert_eq!(items("a],b").collect::<Vec<_>>(), ["a]", "b"]);
    }
}
