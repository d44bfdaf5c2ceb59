//! The `o` field: a list of words and `name=value` items.

use crate::filter::{Path, Projection, Select};
use crate::interval;
use crate::reason::{Refusal, text};
use crate::request::Request;
use crate::txlog::Rate;
use amps_core::CommandType;
use amps_core::protocol::{Field, option_items};
use std::time::Duration;

/// One item of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
}

/// Splits a list. Commas inside `[…]` belong to the value; spaces around items and around `=` do
/// not count; the word `none` and empty items stand for nothing (`commands.md`, first section).
pub(crate) fn items(list: &[u8]) -> Vec<Item> {
    let list = String::from_utf8_lossy(list);
    option_items(&list)
        .filter(|item| *item != "none")
        .map(|item| match item.split_once('=') {
            Some((name, value)) => Item {
                name: name.trim_end().to_owned(),
                value: Some(value.trim_start().to_owned()),
            },
            None => Item {
                name: item.to_owned(),
                value: None,
            },
        })
        .collect()
}

/// Where to start if none of the bookmarks is found (`broker-behaviour §7`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum NotFound {
    #[default]
    Now,
    Epoch,
    /// Nowhere: the command is refused.
    Fail,
}

/// What the options of a subscription or a query ask for.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// Take the place of the subscription of the same id.
    pub(crate) replace: bool,
    /// Say when each message was processed.
    pub(crate) timestamp: bool,
    /// Leave out the keys of records.
    pub(crate) no_sow_key: bool,
    /// The topic is a name, whatever characters it has.
    pub(crate) literal_topic: bool,
    /// Say what each message is called in the transaction log.
    pub(crate) bookmark: bool,
    /// After a replay, do not wait for the client to read, nor for the log.
    pub(crate) live: bool,
    /// Deliver only what is safe everywhere.
    pub(crate) fully_durable: bool,
    /// Stop reading the log, or do not begin.
    pub(crate) pause: bool,
    /// Go on reading the log.
    pub(crate) resume: bool,
    /// How fast to read the log.
    pub(crate) rate: Option<Rate>,
    /// The longest wait between two messages that the rate may cause.
    pub(crate) rate_max_gap: Option<Duration>,
    /// Where to start if none of the bookmarks is found.
    pub(crate) not_found: NotFound,
    /// The most records to send.
    pub(crate) top_n: Option<u64>,
    /// How many records to skip before that.
    pub(crate) skip_n: Option<u64>,
    /// Tell when a record no longer matches.
    pub(crate) oof: bool,
    /// Hold back deltas in which nothing changed.
    pub(crate) no_empties: bool,
    /// The fields to send.
    pub(crate) select: Option<Select>,
    /// Send at most one update per record and interval.
    pub(crate) conflation: Option<Duration>,
    /// The fields that tell records apart for that.
    pub(crate) conflation_key: Option<Vec<Path>>,
    /// The text of `projection`, until it is read.
    projected: Option<String>,
    /// The text of `grouping`.
    grouping: Option<String>,
    /// Send one record for each group of records.
    pub(crate) projection: Option<Projection>,
    /// How many unacknowledged messages of queues to deliver.
    pub(crate) max_backlog: Option<usize>,
}

impl Wanted {
    /// Reads the options of the commands that subscribe or query (`commands §3`).
    pub(crate) fn read(request: &Request<'_>) -> Result<Wanted, Refusal> {
        let mut wanted = Wanted::default();
        for item in items(&request.text(Field::Options)) {
            wanted.take(request.command, &item)?;
        }
        wanted.take_fields(request);
        wanted.project()?;
        wanted.check(request.command)?;
        Ok(wanted)
    }

    fn take(&mut self, command: CommandType, item: &Item) -> Result<(), Refusal> {
        let queries = command.is_sow();
        let subscribes = command.is_subscribe();
        let deltas = matches!(
            command,
            CommandType::DeltaSubscribe | CommandType::SowAndDeltaSubscribe
        );
        match (item.name.as_str(), item.value.as_deref()) {
            ("timestamp", None) => self.timestamp = true,
            ("no_sowkey", None) => self.no_sow_key = true,
            ("non_regex_topic", None) => self.literal_topic = true,
            // On a query alone these are listed without an effect.
            ("replace", None) => self.replace = subscribes,
            ("oof", None) => self.oof = subscribes,
            ("no_empties", None) if deltas => self.no_empties = true,
            ("top_n", Some(number)) if queries => self.top_n = Some(count(item, number)?),
            ("skip_n", Some(number)) if queries => self.skip_n = Some(count(item, number)?),
            ("select", Some(list)) => {
                self.select = Some(Select::parse(list).map_err(|error| bad(item, &error))?);
            }
            ("conflation", Some("none")) if subscribes => self.conflation = None,
            ("conflation", Some(text)) if subscribes => {
                let interval = interval::parse(text).ok_or_else(|| bad(item, &"no interval"))?;
                self.conflation = Some(interval);
            }
            ("conflation_key", Some(list)) if subscribes => {
                self.conflation_key = Some(paths(item, list)?);
            }
            ("projection", Some(list)) if queries => self.projected = Some(list.to_owned()),
            ("grouping", Some(list)) if queries => self.grouping = Some(list.to_owned()),
            ("max_backlog", Some(number)) if subscribes => {
                let number = usize::try_from(count(item, number)?).unwrap_or(usize::MAX);
                if number == 0 {
                    return Err(bad(item, &"nothing would ever be delivered"));
                }
                self.max_backlog = Some(number);
            }
            ("bookmark", None) if subscribes => self.bookmark = true,
            ("live", None) if subscribes => self.live = true,
            ("fully_durable", None) if subscribes => self.fully_durable = true,
            ("pause", None) if subscribes => self.pause = true,
            ("resume", None) if subscribes => self.resume = true,
            ("rate", Some(text)) if subscribes => {
                let rate = Rate::parse(text).ok_or_else(|| bad(item, &"no rate"))?;
                self.rate = Some(rate);
            }
            ("rate_max_gap", Some(text)) if subscribes => {
                let gap = interval::parse(text).ok_or_else(|| bad(item, &"no interval"))?;
                self.rate_max_gap = Some(gap);
            }
            ("bookmark_not_found", Some(value)) if subscribes => {
                self.not_found = match value {
                    "now" => NotFound::Now,
                    "epoch" => NotFound::Epoch,
                    "fail" => NotFound::Fail,
                    _ => return Err(bad(item, &"none of now, epoch, fail")),
                };
            }
            // This changes nothing: deltas have their keys anyway.
            ("send_keys", None) if queries || deltas => {}
            _ => return Err(bad(item, &format!("no option of {command}"))),
        }
        Ok(())
    }

    /// The fields of the header that say the same as options.
    fn take_fields(&mut self, request: &Request<'_>) {
        let has = |field, value: &[u8]| *request.text(field) == *value;
        if request.command.is_subscribe() {
            self.oof |= has(Field::SendOof, b"true");
            self.no_empties |= has(Field::SendEmpty, b"false");
        }
        if request.command.is_sow() {
            if let Some(limit) = request.number(Field::TopN) {
                self.top_n = Some(self.top_n.map_or(limit, |other| other.min(limit)));
            }
            self.skip_n = self.skip_n.or(request.number(Field::SkipN));
        }
    }

    /// Reads the two options that make groups of records.
    fn project(&mut self) -> Result<(), Refusal> {
        let (projected, grouping) = match (&self.projected, &self.grouping) {
            (None, None) => return Ok(()),
            (Some(projected), Some(grouping)) => (projected, grouping),
            _ => {
                return Err(Refusal::new(
                    text::INVALID_OPTIONS,
                    "projection and grouping go together",
                ));
            }
        };
        let projection = Projection::parse(projected, grouping).map_err(|error| {
            let why = format!("{projected:?} by {grouping:?}: {error}");
            Refusal::new(text::INVALID_OPTIONS, why)
        })?;
        self.projection = Some(projection);
        Ok(())
    }

    fn check(&self, command: CommandType) -> Result<(), Refusal> {
        let problem = if self.skip_n.is_some() && self.top_n.is_none() {
            "skip_n without top_n"
        } else if self.conflation_key.is_some() && self.conflation.is_none() {
            "conflation_key without conflation"
        } else if self.live && (self.rate.is_some() || self.pause || self.resume) {
            "what is live has no rate, no pause and no resume"
        } else if self.pause && self.resume {
            "pause and resume"
        } else if self.rate_max_gap.is_some() && self.rate.is_none() {
            "rate_max_gap without rate"
        } else if self.projection.is_some()
            && (self.select.is_some() || self.conflation_key.is_some())
        {
            "the fields of groups are those of the projection, and their keys their own"
        } else if self.projection.is_some() && command.is_subscribe() && self.is_paginated() {
            "the pages of groups are not kept up to date"
        } else {
            return Ok(());
        };
        Err(Refusal::new(text::INVALID_OPTIONS, problem))
    }

    /// True if the subscription is to keep a page of the result up to date
    /// (`broker-behaviour §4`).
    pub(crate) fn is_paginated(&self) -> bool {
        self.top_n.is_some() && self.skip_n.is_some()
    }
}

fn bad(item: &Item, problem: &dyn std::fmt::Display) -> Refusal {
    let Item { name, value } = item;
    let value = value.as_deref().unwrap_or_default();
    Refusal::new(
        text::INVALID_OPTIONS,
        format!("{name} {value:?}: {problem}"),
    )
}

fn count(item: &Item, number: &str) -> Result<u64, Refusal> {
    number.parse().map_err(|error| bad(item, &error))
}

/// Reads `[/a,/b]`, or one path without the brackets.
fn paths(item: &Item, list: &str) -> Result<Vec<Path>, Refusal> {
    let list = list
        .strip_prefix('[')
        .and_then(|list| list.strip_suffix(']'))
        .unwrap_or(list);
    let paths = option_items(list)
        .map(Path::parse)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| bad(item, &error))?;
    if paths.is_empty() {
        return Err(bad(item, &"no path"));
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(name: &str, value: Option<&str>) -> Item {
        Item {
            name: name.to_owned(),
            value: value.map(str::to_owned),
        }
    }

    fn read(command: &str, options: &str) -> Result<Wanted, String> {
        let frame = format!(r#"{{"c":"{command}","o":"{options}"}}"#);
        let request = Request::parse(frame.as_bytes()).unwrap();
        Wanted::read(&request).map_err(|refusal| refusal.reason.into_owned())
    }

    #[test]
    fn commas_in_brackets_and_spaces_do_not_separate() {
        assert_eq!(
            items(b"conflation = 1m, conflation_key=[/a,/b],,none, oof"),
            [
                item("conflation", Some("1m")),
                item("conflation_key", Some("[/a,/b]")),
                item("oof", None),
            ]
        );
        assert_eq!(items(b""), []);
        assert_eq!(items(b"a=]],b"), [item("a", Some("]]")), item("b", None)]);
    }

    #[test]
    fn what_is_unknown_or_not_supported_or_out_of_place_is_refused() {
        for (command, options) in [
            ("subscribe", "sparkle"),
            ("subscribe", "Timestamp"),
            ("subscribe", "timestamp=1"),
            ("subscribe", "conflation=auto"),
            ("subscribe", "conflation=soon"),
            ("subscribe", "conflation_key=[/id]"),
            ("subscribe", "conflation=1s,conflation_key=[]"),
            ("subscribe", "conflation=1s,conflation_key=[id]"),
            ("subscribe", "top_n=3"),
            ("subscribe", "send_keys"),
            ("subscribe", "no_empties"),
            ("subscribe", "rate=fast"),
            ("subscribe", "rate=0"),
            ("subscribe", "rate"),
            ("subscribe", "rate_max_gap=1s"),
            ("subscribe", "rate=1,rate_max_gap=long"),
            ("subscribe", "rate=1,live"),
            ("subscribe", "pause,live"),
            ("subscribe", "resume,live"),
            ("subscribe", "pause,resume"),
            ("subscribe", "bookmark_not_found=never"),
            ("sow", "pause"),
            ("subscribe", "select=/id"),
            ("sow_and_subscribe", "no_empties"),
            ("sow", "live"),
            ("sow", "conflation=1s"),
            ("sow", "top_n=x"),
            ("sow", "top_n=-1"),
            ("sow", "top_n"),
            ("sow", "skip_n=3"),
            ("sow", "projection=[SUM(/q) AS /t]"),
            ("sow", "grouping=[/s]"),
            ("sow", "projection=[SUM(/q)],grouping=[/s]"),
            ("subscribe", "projection=[/s],grouping=[/s]"),
            ("sow", "projection=[/s],grouping=[/s],select=[+/s]"),
        ] {
            assert_eq!(
                read(command, options).err().as_deref(),
                Some(text::INVALID_OPTIONS),
                "{command} {options}"
            );
        }
    }

    #[test]
    fn what_is_supported_is_taken_over() {
        let wanted = read(
            "sow_and_delta_subscribe",
            "timestamp,no_sowkey,replace,top_n=0,skip_n=2,oof,no_empties,send_keys,\
             select=[-/,+/id], conflation = 1m, conflation_key=[/a, /b]",
        )
        .unwrap();
        assert!(wanted.timestamp && wanted.no_sow_key && wanted.replace && wanted.oof);
        assert!(wanted.no_empties && wanted.select.is_some() && wanted.is_paginated());
        assert_eq!((wanted.top_n, wanted.skip_n), (Some(0), Some(2)));
        assert_eq!(wanted.conflation, Some(Duration::from_secs(60)));
        let keys = ["/a", "/b"].map(|path| Path::parse(path).unwrap());
        assert_eq!(wanted.conflation_key.as_deref(), Some(&keys[..]));
        let wanted = read("sow", "oof,replace").unwrap();
        assert!(!wanted.oof && !wanted.replace);
        assert!(!read("subscribe", "none").unwrap().timestamp);
    }
}
