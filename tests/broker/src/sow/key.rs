//! Which record a message belongs to.

use crate::hash::stable_hash;
use crate::reason::{Refusal, text};
use std::borrow::Cow;

/// Where the key of a record comes from.
#[derive(Debug)]
pub(crate) enum KeyRule {
    /// From fields of the message.
    Fields(Vec<Vec<String>>),
    /// From the publisher, in the header.
    Explicit,
}

impl KeyRule {
    /// Checks the paths of a topic's key fields.
    pub(crate) fn fields(message_type: &str, paths: &[String]) -> Result<KeyRule, String> {
        if message_type != "json" {
            return Err(format!(
                "keys can be taken out of json messages only, not out of {message_type} yet"
            ));
        }
        if paths.is_empty() {
            return Err("no key field".to_owned());
        }
        let mut split = Vec::new();
        for path in paths {
            let steps = path
                .strip_prefix('/')
                .map(|steps| steps.split('/').map(str::to_owned).collect::<Vec<_>>())
                .filter(|steps| steps.iter().all(|step| !step.is_empty()))
                .ok_or_else(|| format!("{path} is no path such as /id or /customer/id"))?;
            split.push(steps);
        }
        Ok(KeyRule::Fields(split))
    }

    /// The key of a message that is published: made from its fields, or the one it came with.
    pub(crate) fn of_publish<'k>(
        &self,
        topic: &[u8],
        payload: &[u8],
        supplied: Cow<'k, [u8]>,
    ) -> Result<Cow<'k, [u8]>, Refusal> {
        match self {
            KeyRule::Fields(paths) => generated(topic, payload, paths).map(Cow::Owned),
            KeyRule::Explicit if supplied.is_empty() => Err(Refusal::new(
                text::BAD_SOW_KEY,
                "the topic wants a key from the publisher, there is none",
            )),
            KeyRule::Explicit if !is_key_text(&supplied) => Err(Refusal::new(
                text::BAD_SOW_KEY,
                "the key has characters outside the Base64 alphabet",
            )),
            KeyRule::Explicit => Ok(supplied),
        }
    }

    /// The key of the record that this data would update, for a delete.
    pub(crate) fn of_data(&self, topic: &[u8], payload: &[u8]) -> Result<Vec<u8>, Refusal> {
        match self {
            KeyRule::Fields(paths) => generated(topic, payload, paths),
            KeyRule::Explicit => Err(Refusal::new(
                text::BAD_SOW_KEY,
                "the records of this topic cannot be told by their data",
            )),
        }
    }
}

/// True for what may stand in a `k` field.
pub(crate) fn is_key_text(key: &[u8]) -> bool {
    !key.is_empty()
        && key.iter().all(|byte| {
            // The two characters of the alphabet that goes into URLs do no harm either.
            byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_')
        })
}

/// The decimal digits of a hash over the topic and the values of its key fields.
fn generated(topic: &[u8], payload: &[u8], paths: &[Vec<String>]) -> Result<Vec<u8>, Refusal> {
    let values = field_values(payload, paths)?;
    let parts = values.iter().map(|value| value.as_bytes());
    Ok(stable_hash(std::iter::once(topic).chain(parts))
        .to_string()
        .into_bytes())
}

/// The values at these paths of a JSON message, as text.
///
/// A number and a string of the same text make the same key, as AMPS infers types from text. A
/// value that is absent, null, empty, an array or an object makes no key.
fn field_values(payload: &[u8], paths: &[Vec<String>]) -> Result<Vec<String>, Refusal> {
    let message = serde_json::from_slice::<serde_json::Value>(payload)
        .map_err(|error| Refusal::new(text::BAD_SOW_KEY, format!("unreadable data: {error}")))?;
    let mut values = Vec::with_capacity(paths.len());
    for path in paths {
        let found = path
            .iter()
            .try_fold(&message, |value, step| value.as_object()?.get(step));
        let value = match found {
            Some(serde_json::Value::String(string)) if !string.is_empty() => string.clone(),
            Some(serde_json::Value::Number(number)) => number.to_string(),
            Some(serde_json::Value::Bool(value)) => value.to_string(),
            _ => {
                return Err(Refusal::new(
                    text::BAD_SOW_KEY,
                    format!("the message has no value at /{}", path.join("/")),
                ));
            }
        };
        values.push(value);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(rule: &KeyRule, payload: &str) -> Result<String, &'static str> {
        rule.of_publish(b"orders", payload.as_bytes(), Cow::Borrowed(b""))
            .map(|key| String::from_utf8(key.into_owned()).unwrap())
            .map_err(|refusal| refusal.reason)
    }

    fn rule(paths: &[&str]) -> Result<KeyRule, String> {
        let paths = paths
            .iter()
            .map(|path| path.to_string())
            .collect::<Vec<_>>();
        KeyRule::fields("json", &paths)
    }

    #[test]
    fn a_key_depends_on_the_key_fields_and_on_nothing_else() {
        let rule = rule(&["/id", "/c/name"]).unwrap();
        let first = key(&rule, r#"{"id":1,"c":{"name":"x"},"qty":1}"#).unwrap();
        assert!(first.parse::<u64>().is_ok(), "{first}");
        let same = key(&rule, r#"{"qty":9,"c":{"name":"x"},"id":"1"}"#).unwrap();
        assert_eq!(first, same);
        let other = key(&rule, r#"{"id":2,"c":{"name":"x"}}"#).unwrap();
        assert_ne!(first, other);
    }

    #[test]
    fn the_same_values_in_another_topic_make_another_key() {
        let rule = rule(&["/id"]).unwrap();
        assert_ne!(
            rule.of_data(b"orders", br#"{"id":1}"#).unwrap(),
            rule.of_data(b"trades", br#"{"id":1}"#).unwrap()
        );
    }

    #[test]
    fn a_message_without_a_readable_key_is_refused() {
        let rule = rule(&["/id"]).unwrap();
        for payload in [
            "",
            "{",
            "17",
            r#"{"x":1}"#,
            r#"{"id":null}"#,
            r#"{"id":""}"#,
            r#"{"id":[1]}"#,
        ] {
            assert_eq!(key(&rule, payload), Err(text::BAD_SOW_KEY), "{payload}");
        }
    }

    #[test]
    fn an_explicit_key_is_taken_as_it_is_and_must_be_there() {
        let take = |key: &'static [u8]| {
            KeyRule::Explicit
                .of_publish(b"x", b"", Cow::Borrowed(key))
                .map_err(|refusal| refusal.reason)
        };
        assert_eq!(take(b"aZ09+/=").unwrap(), &b"aZ09+/="[..]);
        assert_eq!(take(b""), Err(text::BAD_SOW_KEY));
        assert_eq!(take(b"a,b"), Err(text::BAD_SOW_KEY));
        assert!(KeyRule::Explicit.of_data(b"x", b"{}").is_err());
    }

    #[test]
    fn a_path_that_is_none_is_refused() {
        for paths in [&["id"][..], &["/"], &["/a//b"], &[]] {
            assert!(rule(paths).is_err(), "{paths:?}");
        }
        assert!(KeyRule::fields("fix", &["/55".to_owned()]).is_err());
    }
}
