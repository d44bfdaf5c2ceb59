//! The topic of a subscription or a query: a name, or a pattern for names.

use crate::filter::regex::Regex;
use crate::reason::{Refusal, text};

/// The characters that make a pattern of a topic (`broker-behaviour §1`).
const METACHARACTERS: &[u8] = br"^$.*+?()[]{}|\";

/// Which topics are meant.
#[derive(Debug)]
pub(crate) enum Pattern {
    /// The topic of exactly this name.
    Literal(Box<[u8]>),
    /// The topics of these names, of which there are several.
    Names(Vec<Box<[u8]>>),
    /// Every topic in whose name the expression is found.
    Regex(Box<Regex>),
}

impl Pattern {
    /// Reads the topic of a subscription, a query or a delete.
    pub(crate) fn parse(topic: &[u8], literal: bool) -> Result<Pattern, Refusal> {
        if topic.is_empty() {
            return Err(Refusal::new(text::NO_TOPIC, "the command has no topic"));
        }
        if literal || !topic.iter().any(|byte| METACHARACTERS.contains(byte)) {
            return Ok(Pattern::Literal(topic.into()));
        }
        let expression = std::str::from_utf8(topic)
            .map_err(|error| Refusal::new(text::BAD_REGEX_TOPIC, error.to_string()))?;
        match Regex::of_characters(expression) {
            Ok(regex) => Ok(Pattern::Regex(Box::new(regex))),
            Err(error) => Err(Refusal::new(text::BAD_REGEX_TOPIC, error)),
        }
    }

    /// The topics of these names.
    pub(crate) fn any_of(mut names: Vec<Box<[u8]>>) -> Pattern {
        match names.pop() {
            Some(only) if names.is_empty() => Pattern::Literal(only),
            last => {
                names.extend(last);
                Pattern::Names(names)
            }
        }
    }

    /// True if the topic `name` is meant.
    pub(crate) fn matches(&self, name: &[u8]) -> bool {
        match self {
            Pattern::Literal(literal) => **literal == *name,
            Pattern::Names(names) => names.iter().any(|one| **one == *name),
            Pattern::Regex(regex) => regex.is_in_text(&String::from_utf8_lossy(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_reference_holds() {
        for (pattern, literal, matching, others) in [
            (
                "orders",
                false,
                &["orders"][..],
                &["orders2", "my/orders"][..],
            ),
            ("^fx", false, &["fx", "fx/spot"], &["eq/fx"]),
            ("fx$", false, &["fx", "eq/fx"], &["fx/spot"]),
            ("a.b", false, &["a.b", "a/b", "xa-bc"], &["ab"]),
            (".*trade.*", false, &["NYtrades", "trade"], &["Trade"]),
            (
                "^(ORDERS|MARKERS)$",
                false,
                &["ORDERS", "MARKERS"],
                &["ORDERS2"],
            ),
            ("trade.info", false, &["every/trade/info"], &["tradeinfo"]),
            ("a.b", true, &["a.b"], &["a/b"]),
            ("a-b_c d/7", false, &["a-b_c d/7"], &["xa-b_c d/7"]),
        ] {
            let parsed = Pattern::parse(pattern.as_bytes(), literal).unwrap();
            for name in matching {
                assert!(parsed.matches(name.as_bytes()), "{pattern} {name}");
            }
            for name in others {
                assert!(!parsed.matches(name.as_bytes()), "{pattern} {name}");
            }
        }
    }

    #[test]
    fn a_malformed_pattern_and_a_missing_topic_are_refused() {
        for topic in ["(", "[a", "*x", r"a\", "(?(1))"] {
            let refusal = Pattern::parse(topic.as_bytes(), false).unwrap_err();
            assert_eq!(refusal.reason, text::BAD_REGEX_TOPIC, "{topic}");
        }
        let refusal = Pattern::parse(b"", false).unwrap_err();
        assert_eq!(refusal.reason, text::NO_TOPIC);
    }

    #[test]
    fn a_pattern_that_backtracks_without_end_is_no_match() {
        let pattern = Pattern::parse(br"^(?:(a+)+)\1$", false).unwrap();
        assert!(!pattern.matches(b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"));
    }
}
