//! Select lists: which fields of a payload a subscriber gets, `[-/,+/id,+/a/b]`
//! (broker-behaviour §12, commands §4.10).
//!
//! The most specific directive decides about a field, on a repeat the first; what none covers is
//! included. Fields keep their text and their order.
//!
//! Where the sources are silent: the elements of an array are seen through, so `-/c/k` drops `k`
//! from each object in the array `c`. An object or an array that loses everything in it goes too,
//! unless its own path is included. In a composite-local message the first step is the part, and a
//! part that is not included becomes an empty one.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use rustc_hash::FxHashMap;
use serde_json::value::RawValue;

use super::composite::{parts, push_part};
use super::error::{FilterError, PayloadError};
use super::parser::MAX_LENGTH;
use super::path::Path;
use super::raw_json::{MAX_DEPTH, Object, ObjectWriter, is_array, is_object};
use super::tag_value::{SEPARATOR, fields};
use crate::message_type::MessageType;

/// A parsed select list.
///
/// ```
/// use amps_broker::filter::Select;
/// use amps_broker::message_type::MessageType;
///
/// let select = Select::parse("[-/,+/id,+/a/b]")?;
/// let payload = br#"{"x":1,"id":7,"a":{"b":2,"c":3}}"#;
/// let selected = select.apply(&MessageType::Json, payload)?;
/// assert_eq!(&*selected, br#"{"id":7,"a":{"b":2}}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Select {
    /// The directives as a tree of names; the first node is `/`.
    nodes: Vec<Node>,
    excludes: bool,
}

#[derive(Clone, Debug, Default)]
struct Node {
    include: Option<bool>,
    children: FxHashMap<Box<str>, usize>,
}

/// A place in the tree, and whether the fields there are included if nothing more specific says
/// otherwise. `None` is a place that no directive is below.
#[derive(Clone, Copy)]
struct Place {
    node: Option<usize>,
    included: bool,
}

impl Select {
    /// Reads a list of `+path` and `-path`, with or without the brackets around it.
    ///
    /// # Errors
    /// When the text is anything else, when it is empty or longer than 64 KiB, and when a path
    /// numbers an element.
    pub fn parse(text: &str) -> Result<Select, FilterError> {
        if text.len() > MAX_LENGTH {
            return Err(FilterError::new(MAX_LENGTH, "too long"));
        }
        let inner = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let offset = usize::from(inner.is_some());
        let list = inner.unwrap_or(text);
        let mut select = Select {
            nodes: vec![Node::default()],
            excludes: false,
        };
        let mut rest = list;
        loop {
            rest = rest.trim_start();
            let at = offset + list.len() - rest.len();
            let include = match rest.bytes().next() {
                Some(b'+') => true,
                Some(b'-') => false,
                _ => return Err(FilterError::new(at, "expected '+' or '-'")),
            };
            rest = rest.get(1..).unwrap_or_default();
            let used = select
                .insert(rest, include)
                .map_err(|error| error.shifted(at + 1))?;
            rest = rest.get(used..).unwrap_or_default().trim_start();
            match rest.strip_prefix(',') {
                Some(tail) => rest = tail,
                None if rest.is_empty() => return Ok(select),
                None => {
                    let at = offset + list.len() - rest.len();
                    return Err(FilterError::new(at, "expected ','"));
                }
            }
        }
    }

    /// Adds the directive whose path `text` starts with, and says how long the path is.
    fn insert(&mut self, text: &str, include: bool) -> Result<usize, FilterError> {
        let mut node = 0;
        let mut used = 1;
        let everything = text
            .strip_prefix('/')
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([',', ' ']));
        if !everything {
            let (path, length) = Path::scan(text)?;
            used = length;
            for step in path.steps() {
                if step.index().is_some() {
                    return Err(FilterError::new(0, "an element number in a select list"));
                }
                let fresh = self.nodes.len();
                node = match self.child(node, step.name()) {
                    Some(child) => child,
                    None => {
                        self.nodes[node].children.insert(step.name().into(), fresh);
                        self.nodes.push(Node::default());
                        fresh
                    }
                };
            }
        }
        self.nodes[node].include.get_or_insert(include);
        self.excludes |= !include;
        Ok(used)
    }

    fn child(&self, node: usize, name: &str) -> Option<usize> {
        self.nodes[node].children.get(name).copied()
    }

    /// The payload with the selected fields only.
    ///
    /// # Errors
    /// When the payload is not what its message type says: then it cannot be told what may be seen.
    pub fn apply<'p>(
        &self,
        message_type: &MessageType,
        payload: &'p [u8],
    ) -> Result<Cow<'p, [u8]>, PayloadError> {
        if !self.excludes {
            return Ok(Cow::Borrowed(payload));
        }
        let root = Place {
            node: Some(0),
            included: self.nodes[0].include.unwrap_or(true),
        };
        self.rewrite(message_type, payload, root)
    }

    fn rewrite<'p>(
        &self,
        message_type: &MessageType,
        payload: &'p [u8],
        place: Place,
    ) -> Result<Cow<'p, [u8]>, PayloadError> {
        let mut out = Vec::with_capacity(payload.len());
        match message_type {
            MessageType::Binary => return Ok(Cow::Borrowed(payload)),
            MessageType::Json => {
                let object: Object<'_> = serde_json::from_slice(payload)?;
                self.object(&mut out, &object, place, 0)?;
            }
            MessageType::Fix | MessageType::Nvfix => self.tags(&mut out, payload, place),
            MessageType::CompositeLocal(types) => {
                for (i, part) in parts(payload).enumerate() {
                    let part = part?;
                    let place = self.below(place, &i.to_string());
                    let whole = place.node.is_none();
                    match types.get(i) {
                        Some(part_type) if part_type.has_fields() && !whole && !part.is_empty() => {
                            push_part(&mut out, &self.rewrite(part_type, part, place)?)?;
                        }
                        _ => push_part(&mut out, if place.included { part } else { &[] })?,
                    }
                }
            }
            MessageType::CompositeGlobal(types) => {
                for (i, part) in parts(payload).enumerate() {
                    let part = part?;
                    let part_type = types.get(i).unwrap_or(&MessageType::Binary);
                    if part.is_empty() {
                        push_part(&mut out, part)?;
                    } else {
                        push_part(&mut out, &self.rewrite(part_type, part, place)?)?;
                    }
                }
            }
        }
        Ok(Cow::Owned(out))
    }

    /// Where the member of that name is.
    fn below(&self, place: Place, name: &str) -> Place {
        let child = place.node.and_then(|node| self.child(node, name));
        let Some(child) = child else {
            return Place {
                node: None,
                included: place.included,
            };
        };
        let node = &self.nodes[child];
        Place {
            node: (!node.children.is_empty()).then_some(child),
            included: node.include.unwrap_or(place.included),
        }
    }

    /// Appends what is left of an object. Says whether anything is.
    fn object(
        &self,
        out: &mut Vec<u8>,
        object: &Object<'_>,
        place: Place,
        depth: usize,
    ) -> Result<bool, PayloadError> {
        if depth == MAX_DEPTH {
            return Err(PayloadError::Depth);
        }
        let writer = ObjectWriter::begin(out);
        for (key, value) in object.members() {
            let place = self.below(place, key);
            let start = out.len();
            writer.key(out, key)?;
            if !self.value(out, value, place, depth)? {
                out.truncate(start);
            }
        }
        let any = !writer.is_empty(out);
        writer.end(out);
        Ok(any)
    }

    /// Appends what is left of a value. If that is nothing, what was appended is to be taken back.
    fn value(
        &self,
        out: &mut Vec<u8>,
        value: &RawValue,
        place: Place,
        depth: usize,
    ) -> Result<bool, PayloadError> {
        if place.node.is_some() && is_object(value) {
            let any = self.object(out, &Object::of(value)?, place, depth + 1)?;
            return Ok(any || place.included);
        }
        if place.node.is_some() && is_array(value) {
            if depth == MAX_DEPTH {
                return Err(PayloadError::Depth);
            }
            let elements: Vec<&RawValue> = serde_json::from_str(value.get())?;
            out.push(b'[');
            let mut any = false;
            for element in elements {
                let start = out.len();
                if any {
                    out.push(b',');
                }
                if self.value(out, element, place, depth + 1)? {
                    any = true;
                } else {
                    out.truncate(start);
                }
            }
            out.push(b']');
            return Ok(any || place.included);
        }
        if place.included {
            out.extend_from_slice(value.get().as_bytes());
        }
        Ok(place.included)
    }

    fn tags(&self, out: &mut Vec<u8>, payload: &[u8], place: Place) {
        for (tag, value) in fields(payload) {
            let name = std::str::from_utf8(tag).unwrap_or_default();
            if self.below(place, name).included {
                out.extend_from_slice(tag);
                if let Some(value) = value {
                    out.push(b'=');
                    out.extend_from_slice(value);
                }
                out.push(SEPARATOR);
            }
        }
        if payload.last() != Some(&SEPARATOR) {
            out.pop();
        }
    }
}
