//! Merging a delta into a record, and finding the delta between two records (broker-behaviour §5).
//!
//! A field that the delta names replaces the field of the record, fields that it does not name stay,
//! new ones are appended; nothing can be removed, as NULL in a delta is ignored. JSON objects merge
//! member by member, arrays are replaced whole; a repeated FIX tag is one array.
//!
//! Where the sources are silent: NULL is what it is to filters, so `""` and `[]` in a delta are
//! ignored like `null`, and a change from one to the other is none. Fields keep the text and the
//! place that they have in the record. A field that a full republish dropped does not show in the
//! delta, nor count as a change.

mod json;
mod overlay;
mod tag_value;
#[cfg(test)]
mod tests;

pub(crate) use overlay::overlay;

use super::composite::{parts, push_part};
use super::error::PayloadError;
use super::path::{Path, Step};
use crate::message_type::MessageType;

/// What changed between two records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// The key fields and the fields that changed, as they are in the new record.
    pub payload: Vec<u8>,
    /// Whether any field but the key fields changed. If not, `no_empties` holds the delta back.
    pub changed: bool,
}

/// The record that a delta makes of the stored one. For message types without deltas it is the
/// literal delta.
///
/// # Errors
/// When either is not what its message type says. Nothing is merged then.
pub fn merge(
    message_type: &MessageType,
    stored: &[u8],
    delta: &[u8],
) -> Result<Vec<u8>, PayloadError> {
    match message_type {
        MessageType::Json => json::merge(stored, delta),
        MessageType::Fix | MessageType::Nvfix => tag_value::merge(stored, delta),
        MessageType::Binary | MessageType::CompositeGlobal(_) => Ok(delta.to_vec()),
        MessageType::CompositeLocal(types) => {
            let stored = parts(stored).collect::<Result<Vec<_>, _>>()?;
            let delta = parts(delta).collect::<Result<Vec<_>, _>>()?;
            let mut merged = Vec::new();
            for i in 0..stored.len().max(delta.len()) {
                let stored = stored.get(i).copied().unwrap_or_default();
                let delta = delta.get(i).copied().unwrap_or_default();
                // Parts behind the configured ones are opaque.
                let part_type = types.get(i).unwrap_or(&MessageType::Binary);
                if delta.is_empty() {
                    push_part(&mut merged, stored)?;
                } else if stored.is_empty() {
                    push_part(&mut merged, delta)?;
                } else {
                    push_part(&mut merged, &merge(part_type, stored, delta)?)?;
                }
            }
            Ok(merged)
        }
    }
}

/// What changed from the old record to the new one. For message types without deltas, and for
/// records that are not what their type says, it is the new record.
pub fn diff(message_type: &MessageType, old: &[u8], new: &[u8], key_paths: &[Path]) -> Delta {
    let keys: Vec<&[Step]> = key_paths.iter().map(Path::steps).collect();
    try_diff(message_type, old, new, &keys).unwrap_or_else(|_| literal(old, new))
}

fn literal(old: &[u8], new: &[u8]) -> Delta {
    Delta {
        payload: new.to_vec(),
        changed: old != new,
    }
}

fn try_diff(
    message_type: &MessageType,
    old: &[u8],
    new: &[u8],
    keys: &[&[Step]],
) -> Result<Delta, PayloadError> {
    match message_type {
        MessageType::Json => json::diff(old, new, keys),
        MessageType::Fix | MessageType::Nvfix => tag_value::diff(old, new, keys),
        MessageType::Binary | MessageType::CompositeGlobal(_) => Ok(literal(old, new)),
        MessageType::CompositeLocal(types) => {
            let old = parts(old).collect::<Result<Vec<_>, _>>()?;
            let mut delta = Delta {
                payload: Vec::new(),
                changed: false,
            };
            for (i, new) in parts(new).enumerate() {
                let new = new?;
                let old = old.get(i).copied().unwrap_or_default();
                let part_type = types.get(i).unwrap_or(&MessageType::Binary);
                let keys = below(keys, &i.to_string());
                let part = if new.is_empty() {
                    literal(new, new)
                } else if old.is_empty() {
                    literal(old, new)
                } else {
                    try_diff(part_type, old, new, &keys)?
                };
                delta.changed |= part.changed;
                // Without changes and without keys in it, a part is sent as "unchanged".
                let part = if part.changed || !keys.is_empty() {
                    part.payload
                } else {
                    Vec::new()
                };
                push_part(&mut delta.payload, &part)?;
            }
            Ok(delta)
        }
    }
}

/// What is left of the paths that start with this name.
fn below<'k>(keys: &[&'k [Step]], name: &str) -> Vec<&'k [Step]> {
    keys.iter()
        .filter_map(|path| path.split_first())
        .filter(|(step, _)| step.name() == name)
        .map(|(_, rest)| rest)
        .collect()
}
