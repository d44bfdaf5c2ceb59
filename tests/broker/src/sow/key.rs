//! Which record a message belongs to.

use crate::filter::{Extractor, Path};
use crate::hash::stable_hash;
use crate::message_type::MessageType;
use crate::reason::{Refusal, text};
use std::borrow::Cow;

/// Where the key of a record comes from.
#[derive(Debug)]
pub(crate) enum KeyRule {
    /// From fields of the message.
    Fields(KeyFields),
    /// From the publisher, in the header.
    Explicit,
}

/// The key fields of a topic.
#[derive(Debug)]
pub(crate) struct KeyFields {
    paths: Vec<Path>,
    extractor: Extractor,
    message_type: MessageType,
}

impl KeyRule {
    /// Checks the paths of a topic's key fields.
    pub(crate) fn fields(message_type: &MessageType, paths: &[String]) -> Result<KeyRule, String> {
        if !message_type.has_fields() {
            return Err("keys cannot be taken out of messages without fields".to_owned());
        }
        if paths.is_empty() {
            return Err("no key field".to_owned());
        }
        let paths = paths
            .iter()
            .map(|path| Path::parse(path).map_err(|error| format!("{path}: {error}")))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(KeyRule::Fields(KeyFields {
            extractor: Extractor::new(&paths),
            message_type: message_type.clone(),
            paths,
        }))
    }

    /// The key fields; none if the publishers choose the keys.
    pub(crate) fn paths(&self) -> &[Path] {
        match self {
            KeyRule::Fields(fields) => &fields.paths,
            KeyRule::Explicit => &[],
        }
    }

    /// The key of a message that is published: made from its fields, or the one it came with.
    pub(crate) fn of_publish<'k>(
        &self,
        topic: &[u8],
        payload: &[u8],
        supplied: Cow<'k, [u8]>,
    ) -> Result<Cow<'k, [u8]>, Refusal> {
        match self {
            KeyRule::Fields(fields) => fields.key(topic, payload).map(Cow::Owned),
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
            KeyRule::Fields(fields) => fields.key(topic, payload),
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

impl KeyFields {
    /// The decimal digits of a hash over the topic and the values of the key fields.
    ///
    /// A number and a string of the same text make the same key, as AMPS infers types from text.
    /// A value that is absent, null, empty or an object makes no key, and an array makes that of
    /// its first element.
    fn key(&self, topic: &[u8], payload: &[u8]) -> Result<Vec<u8>, Refusal> {
        let values = self.extractor.extract(&self.message_type, payload);
        if values.is_malformed() {
            return Err(Refusal::new(text::BAD_SOW_KEY, "unreadable data"));
        }
        let mut parts = Vec::with_capacity(self.paths.len());
        for (at, path) in self.paths.iter().enumerate() {
            let part = values.get(at).into_text();
            parts.push(
                part.ok_or_else(|| Refusal::new(text::BAD_SOW_KEY, format!("no value at {path}")))?,
            );
        }
        let parts = std::iter::once(topic).chain(parts.iter().map(|part| &**part));
        Ok(stable_hash(parts).to_string().into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::push_part;

    fn key(rule: &KeyRule, payload: &str) -> Result<String, String> {
        rule.of_publish(b"orders", payload.as_bytes(), Cow::Borrowed(b""))
            .map(|key| String::from_utf8(key.into_owned()).unwrap())
            .map_err(|refusal| refusal.reason.into_owned())
    }

    fn rule(paths: &[&str]) -> Result<KeyRule, String> {
        let paths = paths
            .iter()
            .map(|path| path.to_string())
            .collect::<Vec<_>>();
        KeyRule::fields(&MessageType::Json, &paths)
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
            r#"{"id":[]}"#,
            r#"{"id":{"n":1}}"#,
        ] {
            assert_eq!(
                key(&rule, payload).unwrap_err(),
                text::BAD_SOW_KEY,
                "{payload}"
            );
        }
    }

    #[test]
    fn keys_are_read_out_of_every_type_with_fields() {
        let key = |message_type: &MessageType, path: &str, payload: &[u8]| {
            let rule = KeyRule::fields(message_type, &[path.to_owned()]).unwrap();
            rule.of_data(b"orders", payload).unwrap()
        };
        let json = key(&MessageType::Json, "/id", br#"{"id":"A1"}"#);
        assert_eq!(key(&MessageType::Fix, "/11", b"35=D\x0111=A1\x01"), json);
        assert_eq!(key(&MessageType::Nvfix, "/id", b"id=A1\x01qty=2"), json);
        let mut parts = Vec::new();
        push_part(&mut parts, br#"{"id":"A1"}"#).unwrap();
        push_part(&mut parts, b"scan").unwrap();
        let types = vec![MessageType::Json, MessageType::Binary];
        let local = MessageType::CompositeLocal(types.clone());
        assert_eq!(key(&local, "/0/id", &parts), json);
        let global = MessageType::CompositeGlobal(types);
        assert_eq!(key(&global, "/id", &parts), json);
    }

    #[test]
    fn values_of_any_bytes_make_different_keys_if_they_differ() {
        let paths = ["/1".to_owned(), "/2".to_owned()];
        let rule = KeyRule::fields(&MessageType::Fix, &paths).unwrap();
        assert_ne!(
            rule.of_data(b"orders", b"1=a\xFFb\x012=c\x01").unwrap(),
            rule.of_data(b"orders", b"1=a\x012=b\xFFc\x01").unwrap()
        );
    }

    #[test]
    fn an_explicit_key_is_taken_as_it_is_and_must_be_there() {
        let take = |key: &'static [u8]| {
            KeyRule::Explicit
                .of_publish(b"x", b"", Cow::Borrowed(key))
                .map_err(|refusal| refusal.reason.into_owned())
        };
        assert_eq!(take(b"aZ09+/=").unwrap(), &b"aZ09+/="[..]);
        assert_eq!(take(b"").unwrap_err(), text::BAD_SOW_KEY);
        assert_eq!(take(b"a,b").unwrap_err(), text::BAD_SOW_KEY);
        assert!(KeyRule::Explicit.of_data(b"x", b"{}").is_err());
    }

    #[test]
    fn a_path_that_is_none_is_refused() {
        for paths in [&["id"][..], &["/"], &["/a//b"], &[]] {
            assert!(rule(paths).is_err(), "{paths:?}");
        }
        assert!(KeyRule::fields(&MessageType::Binary, &["/55".to_owned()]).is_err());
    }
}
