//! JSON objects whose values keep the text that they were written in, for those who copy fields
//! from one payload into another.

use std::borrow::Cow;
use std::fmt;

use rustc_hash::FxHashMap;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Objects nested deeper than this are refused by those who walk them, as `serde_json` does.
pub(super) const MAX_DEPTH: usize = 128;

/// The members of an object in their order; of a repeated key the first.
#[derive(Debug, Default)]
pub(super) struct Object<'t> {
    members: Vec<(Cow<'t, str>, &'t RawValue)>,
    index: FxHashMap<Cow<'t, str>, usize>,
}

impl<'t> Object<'t> {
    /// Reads a value that is an object.
    pub(super) fn of(value: &'t RawValue) -> Result<Object<'t>, serde_json::Error> {
        serde_json::from_str(value.get())
    }

    pub(super) fn members(&self) -> impl Iterator<Item = (&str, &'t RawValue)> {
        self.members.iter().map(|(key, value)| (&**key, *value))
    }

    pub(super) fn get(&self, key: &str) -> Option<&'t RawValue> {
        let (_, value) = self.members.get(*self.index.get(key)?)?;
        Some(value)
    }
}

pub(super) fn is_object(value: &RawValue) -> bool {
    value.get().starts_with('{')
}

pub(super) fn is_array(value: &RawValue) -> bool {
    value.get().starts_with('[')
}

/// Whether the value is NULL as broker-behaviour §2.1 has it: `null`, `""` or `[]`.
pub(super) fn is_null(value: &RawValue) -> bool {
    match value.get() {
        "null" | "\"\"" => true,
        text => text
            .strip_prefix('[')
            .is_some_and(|rest| rest.trim_start() == "]"),
    }
}

/// Whether two values are the same, however they are written.
pub(super) fn is_same(left: &RawValue, right: &RawValue) -> bool {
    let parse = |value: &RawValue| serde_json::from_str::<serde_json::Value>(value.get()).ok();
    left.get() == right.get()
        || match (parse(left), parse(right)) {
            (Some(left), Some(right)) => left == right,
            _ => false,
        }
}

/// Appends an object, member by member.
#[derive(Debug)]
pub(super) struct ObjectWriter {
    start: usize,
}

impl ObjectWriter {
    pub(super) fn begin(out: &mut Vec<u8>) -> ObjectWriter {
        let start = out.len();
        out.push(b'{');
        ObjectWriter { start }
    }

    /// Appends a key; the caller appends its value.
    pub(super) fn key(&self, out: &mut Vec<u8>, key: &str) -> Result<(), serde_json::Error> {
        if !self.is_empty(out) {
            out.push(b',');
        }
        serde_json::to_writer(&mut *out, key)?;
        out.push(b':');
        Ok(())
    }

    /// Appends a member.
    pub(super) fn member(
        &self,
        out: &mut Vec<u8>,
        key: &str,
        value: &RawValue,
    ) -> Result<(), serde_json::Error> {
        self.key(out, key)?;
        out.extend_from_slice(value.get().as_bytes());
        Ok(())
    }

    pub(super) fn is_empty(&self, out: &[u8]) -> bool {
        out.len() == self.start + 1
    }

    pub(super) fn end(self, out: &mut Vec<u8>) {
        out.push(b'}');
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Object<'de>, D::Error> {
        value.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
        let mut object = Object::default();
        while let Some((key, value)) = map.next_entry_seed(Key, std::marker::PhantomData)? {
            let next = object.members.len();
            if *object.index.entry(key.clone()).or_insert(next) == next {
                object.members.push((key, value));
            }
        }
        Ok(object)
    }
}

/// A key, borrowed if it has no escapes.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, key: D) -> Result<Cow<'de, str>, D::Error> {
        key.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E: Error>(self, key: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}
