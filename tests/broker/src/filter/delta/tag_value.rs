//! Deltas of FIX and NVFIX messages. Fields with the same tag are one array and stay together.

use rustc_hash::FxHashMap;

use super::{Delta, below};
use crate::filter::error::PayloadError;
use crate::filter::path::Step;
use crate::filter::tag_value::{SEPARATOR, fields};

/// The values of each tag.
type Tags<'m> = FxHashMap<&'m [u8], Vec<&'m [u8]>>;

pub(super) fn merge(stored: &[u8], delta: &[u8]) -> Result<Vec<u8>, PayloadError> {
    let (old_fields, _) = read(stored)?;
    let (new_fields, mut new_tags) = read(delta)?;
    new_tags.retain(|_, values| !is_null(values));
    let mut merged = Vec::with_capacity(stored.len() + delta.len());
    // A tag's new values go where its first value was, new tags to the end.
    for (tag, value) in old_fields {
        match new_tags.get_mut(tag) {
            Some(values) => push_all(&mut merged, tag, values),
            None => push(&mut merged, tag, value),
        }
    }
    for (tag, _) in new_fields {
        if let Some(values) = new_tags.get_mut(tag) {
            push_all(&mut merged, tag, values);
        }
    }
    end(&mut merged, if stored.is_empty() { delta } else { stored });
    Ok(merged)
}

pub(super) fn diff(old: &[u8], new: &[u8], keys: &[&[Step]]) -> Result<Delta, PayloadError> {
    let (_, old_tags) = read(old)?;
    let (new_fields, new_tags) = read(new)?;
    let same = |tag| match (old_tags.get(tag), new_tags.get(tag)) {
        (Some(old), Some(new)) => old == new || is_null(old) && is_null(new),
        (None, Some(new)) => is_null(new),
        (_, None) => true,
    };
    let is_key = |tag| {
        std::str::from_utf8(tag)
            .is_ok_and(|name| below(keys, name).iter().any(|rest| rest.is_empty()))
    };
    let mut delta = Delta {
        payload: Vec::new(),
        changed: false,
    };
    for (tag, value) in new_fields {
        let key = is_key(tag);
        let changed = !key && !same(tag);
        delta.changed |= changed;
        if key || changed {
            push(&mut delta.payload, tag, value);
        }
    }
    end(&mut delta.payload, new);
    Ok(delta)
}

type Fields<'m> = Vec<(&'m [u8], &'m [u8])>;

fn read(message: &[u8]) -> Result<(Fields<'_>, Tags<'_>), PayloadError> {
    let mut all = Vec::new();
    let mut tags = Tags::default();
    for (tag, value) in fields(message) {
        let value = value.ok_or(PayloadError::Field)?;
        all.push((tag, value));
        tags.entry(tag).or_default().push(value);
    }
    Ok((all, tags))
}

fn is_null(values: &[&[u8]]) -> bool {
    values.iter().all(|value| value.is_empty())
}

fn push(message: &mut Vec<u8>, tag: &[u8], value: &[u8]) {
    message.extend_from_slice(tag);
    message.push(b'=');
    message.extend_from_slice(value);
    message.push(SEPARATOR);
}

/// Appends the values, once.
fn push_all(message: &mut Vec<u8>, tag: &[u8], values: &mut Vec<&[u8]>) {
    for value in values.drain(..) {
        push(message, tag, value);
    }
}

/// Ends the message as the model ends: with a separator or without.
fn end(message: &mut Vec<u8>, model: &[u8]) {
    if model.last().is_some_and(|last| *last != SEPARATOR) {
        message.pop();
    }
}
