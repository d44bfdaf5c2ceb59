//! Splits FIX and NVFIX payloads: `tag=value` fields, each ended by byte 0x01.

use super::extract::{NodeId, Sink};
use super::value::Value;

/// Ends a field.
pub(super) const SEPARATOR: u8 = 1;

/// The fields of a payload as (tag, value); text without `=` as itself and `None`. Empty fields, as
/// behind the last separator, are left out.
pub(super) fn fields(payload: &[u8]) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    let mut rest = payload;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let (field, after) = split_at_byte(rest, SEPARATOR);
            rest = after.unwrap_or_default();
            if !field.is_empty() {
                return Some(split_at_byte(field, b'='));
            }
        }
        None
    })
}

/// Reads the fields that are children of `node`; says whether every field had a `=`.
pub(super) fn read<'p>(payload: &'p [u8], node: NodeId, sink: &mut Sink<'_, 'p>) -> bool {
    let extractor = sink.extractor();
    let mut sound = true;
    for (tag, value) in fields(payload) {
        let Some(value) = value else {
            sound = false;
            continue;
        };
        if let Some(child) = extractor.child(node, tag) {
            sink.put(extractor.child_at(node, child), Value::untyped(value));
        }
    }
    sound
}

/// What is before the byte, and what is after it if it is there.
fn split_at_byte(text: &[u8], byte: u8) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(byte, text) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}
