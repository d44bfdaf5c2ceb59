//! The `o` field: a list of words and `name=value` items.

use crate::reason::{Refusal, text};
use crate::request::Request;
use amps_core::CommandType;
use amps_core::protocol::Field;

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
    let mut depth = 0usize;
    list.split(|character| {
        match character {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        character == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|item| !item.is_empty() && *item != "none")
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

/// What the options of a subscription or a query ask for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Take the place of the subscription of the same id.
    pub(crate) replace: bool,
    /// Say when each message was processed.
    pub(crate) timestamp: bool,
    /// Leave out the keys of records.
    pub(crate) no_sow_key: bool,
    /// The topic is a name, whatever characters it has.
    pub(crate) literal_topic: bool,
    /// The most records to send.
    pub(crate) top_n: Option<u64>,
}

/// Options that AMPS has and this broker has not.
const KNOWN: &[&str] = &[
    "bookmark_not_found",
    "conflation",
    "conflation_key",
    "fully_durable",
    "grouping",
    "max_backlog",
    "no_empties",
    "oof",
    "pause",
    "projection",
    "rate",
    "rate_max_gap",
    "resume",
    "select",
    "skip_n",
];

impl Wanted {
    /// Reads the options of `subscribe`, `sow` and `sow_and_subscribe`.
    pub(crate) fn read(request: &Request<'_>) -> Result<Wanted, Refusal> {
        let queries = request.command.is_sow();
        let subscribes = request.command.is_subscribe();
        let mut wanted = Wanted::default();
        for Item { name, value } in items(&request.text(Field::Options)) {
            match (name.as_str(), value.as_deref()) {
                ("timestamp", None) => wanted.timestamp = true,
                ("no_sowkey", None) => wanted.no_sow_key = true,
                ("non_regex_topic", None) => wanted.literal_topic = true,
                // On a query alone it is listed without an effect.
                ("replace", None) => wanted.replace = subscribes,
                ("top_n", Some(number)) if queries => {
                    let number = number.parse().map_err(|_| {
                        Refusal::new(text::INVALID_OPTIONS, format!("top_n={number}: no number"))
                    })?;
                    wanted.top_n = Some(number);
                }
                // These change nothing: records are sent in full, and no topic is logged.
                ("send_keys", None) if queries => {}
                ("bookmark" | "live", None) if subscribes => {}
                ("conflation", Some("none")) if subscribes => {}
                ("oof", None) if request.command == CommandType::Sow => {}
                (name, _) if KNOWN.contains(&name) => {
                    return Err(Refusal::new(
                        text::INVALID_OPTIONS,
                        format!("the option {name} is not supported yet, or not here"),
                    ));
                }
                _ => {
                    return Err(Refusal::new(
                        text::INVALID_OPTIONS,
                        format!("{name} is no option of {}", request.command),
                    ));
                }
            }
        }
        if let Some(limit) = request.number(Field::TopN).filter(|_| queries) {
            wanted.top_n = Some(wanted.top_n.map_or(limit, |other| other.min(limit)));
        }
        Ok(wanted)
    }
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

    fn read(command: &str, options: &str) -> Result<Wanted, &'static str> {
        let frame = format!(r#"{{"c":"{command}","o":"{options}"}}"#);
        let request = Request::parse(frame.as_bytes()).unwrap();
        Wanted::read(&request).map_err(|refusal| refusal.reason)
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
            ("subscribe", "oof"),
            ("subscribe", "conflation=1s"),
            ("subscribe", "top_n=3"),
            ("subscribe", "send_keys"),
            ("sow", "live"),
            ("sow", "top_n=x"),
            ("sow", "top_n"),
            ("sow", "select=[-/,+/id]"),
        ] {
            assert_eq!(
                read(command, options),
                Err(text::INVALID_OPTIONS),
                "{command} {options}"
            );
        }
    }

    #[test]
    fn what_is_supported_is_taken_over() {
        assert_eq!(
            read("sow_and_subscribe", "timestamp,no_sowkey,replace,top_n=0"),
            Ok(Wanted {
                replace: true,
                timestamp: true,
                no_sow_key: true,
                literal_topic: false,
                top_n: Some(0),
            })
        );
        assert_eq!(read("sow", "oof,replace"), Ok(Wanted::default()));
        assert_eq!(read("subscribe", "none"), Ok(Wanted::default()));
    }
}
