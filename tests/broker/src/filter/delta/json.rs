//! Deltas of JSON objects. Values are copied as they are written.

use serde_json::value::RawValue;

use super::{Delta, below};
use crate::filter::error::PayloadError;
use crate::filter::path::Step;
use crate::filter::raw_json::{MAX_DEPTH, Object, ObjectWriter, is_null, is_object, is_same};

pub(super) fn merge(stored: &[u8], delta: &[u8]) -> Result<Vec<u8>, PayloadError> {
    let mut merged = Vec::with_capacity(stored.len() + delta.len());
    let stored = serde_json::from_slice(stored)?;
    let delta = serde_json::from_slice(delta)?;
    merge_objects(&mut merged, &stored, &delta, 0)?;
    Ok(merged)
}

pub(super) fn diff(old: &[u8], new: &[u8], keys: &[&[Step]]) -> Result<Delta, PayloadError> {
    let mut payload = Vec::with_capacity(new.len());
    let old = serde_json::from_slice(old)?;
    let new = serde_json::from_slice(new)?;
    let found = diff_objects(&mut payload, &old, &new, keys, 0)?;
    Ok(Delta {
        payload,
        changed: found.changed,
    })
}

/// Appends the merged object. Says whether it has any members.
fn merge_objects(
    out: &mut Vec<u8>,
    stored: &Object<'_>,
    delta: &Object<'_>,
    depth: usize,
) -> Result<bool, PayloadError> {
    if depth == MAX_DEPTH {
        return Err(PayloadError::Depth);
    }
    let object = ObjectWriter::begin(out);
    for (key, old) in stored.members() {
        match delta.get(key) {
            Some(new) if is_object(new) => {
                let start = out.len();
                object.key(out, key)?;
                let has_members = merge_objects(out, &inside(old)?, &Object::of(new)?, depth + 1)?;
                if !has_members {
                    // No leaf in the delta: the field stays what it was, perhaps no object at all.
                    out.truncate(start);
                    object.member(out, key, old)?;
                }
            }
            Some(new) if !is_null(new) => object.member(out, key, new)?,
            _ => object.member(out, key, old)?,
        }
    }
    for (key, new) in delta.members().filter(|(key, _)| stored.get(key).is_none()) {
        if is_object(new) {
            let start = out.len();
            object.key(out, key)?;
            if !merge_objects(out, &Object::default(), &Object::of(new)?, depth + 1)? {
                out.truncate(start);
            }
        } else if !is_null(new) {
            object.member(out, key, new)?;
        }
    }
    let has_members = !object.is_empty(out);
    object.end(out);
    Ok(has_members)
}

/// What a difference holds.
#[derive(Default)]
struct Found {
    changed: bool,
    any: bool,
}

/// Appends the keys and what changed, in the order of the new object.
fn diff_objects(
    out: &mut Vec<u8>,
    old: &Object<'_>,
    new: &Object<'_>,
    keys: &[&[Step]],
    depth: usize,
) -> Result<Found, PayloadError> {
    if depth == MAX_DEPTH {
        return Err(PayloadError::Depth);
    }
    let object = ObjectWriter::begin(out);
    let mut changed = false;
    for (key, value) in new.members() {
        let keys = below(keys, key);
        let before = old.get(key);
        if keys.iter().any(|rest| rest.is_empty()) {
            object.member(out, key, value)?;
        } else if is_object(value) {
            let start = out.len();
            object.key(out, key)?;
            let before = before.map_or_else(|| Ok(Object::default()), inside)?;
            let found = diff_objects(out, &before, &Object::of(value)?, &keys, depth + 1)?;
            changed |= found.changed;
            if !found.any {
                out.truncate(start);
            }
        } else {
            let same = match before {
                Some(before) => is_null(before) && is_null(value) || is_same(before, value),
                None => is_null(value),
            };
            changed |= !same;
            // An array that key fields are in is a key field.
            if !same || !keys.is_empty() {
                object.member(out, key, value)?;
            }
        }
    }
    let any = !object.is_empty(out);
    object.end(out);
    Ok(Found { changed, any })
}

/// The members of an object; none of anything else.
fn inside(value: &RawValue) -> Result<Object<'_>, PayloadError> {
    if is_object(value) {
        Ok(Object::of(value)?)
    } else {
        Ok(Object::default())
    }
}
