//! Two deltas of one record made one, which says the same as both of them one after the other.

use rustc_hash::FxHashMap;

use crate::filter::composite::{parts, push_part};
use crate::filter::error::PayloadError;
use crate::filter::raw_json::{MAX_DEPTH, Object, ObjectWriter, is_object};
use crate::filter::tag_value::{SEPARATOR, fields};
use crate::message_type::MessageType;

/// The delta that stands for an earlier one, or a whole record, and a later one. Unlike a
/// publisher's delta, one for a subscriber says with NULL that a field has become NULL.
///
/// # Errors
/// When either is not what its message type says.
pub(crate) fn overlay(
    message_type: &MessageType,
    earlier: &[u8],
    later: &[u8],
) -> Result<Vec<u8>, PayloadError> {
    let mut out = Vec::with_capacity(earlier.len() + later.len());
    match message_type {
        MessageType::Json => {
            let earlier = serde_json::from_slice(earlier)?;
            overlay_objects(&mut out, &earlier, &serde_json::from_slice(later)?, 0)?;
        }
        MessageType::Fix | MessageType::Nvfix => overlay_tags(&mut out, earlier, later)?,
        MessageType::Binary | MessageType::CompositeGlobal(_) => out.extend_from_slice(later),
        MessageType::CompositeLocal(types) => {
            let earlier = parts(earlier).collect::<Result<Vec<_>, _>>()?;
            let later = parts(later).collect::<Result<Vec<_>, _>>()?;
            for i in 0..earlier.len().max(later.len()) {
                let earlier = earlier.get(i).copied().unwrap_or_default();
                let later = later.get(i).copied().unwrap_or_default();
                // An empty part is unchanged; parts behind the configured ones are opaque.
                match types.get(i).unwrap_or(&MessageType::Binary) {
                    _ if later.is_empty() => push_part(&mut out, earlier)?,
                    _ if earlier.is_empty() => push_part(&mut out, later)?,
                    part_type => push_part(&mut out, &overlay(part_type, earlier, later)?)?,
                }
            }
        }
    }
    Ok(out)
}

fn overlay_objects(
    out: &mut Vec<u8>,
    earlier: &Object<'_>,
    later: &Object<'_>,
    depth: usize,
) -> Result<(), PayloadError> {
    if depth == MAX_DEPTH {
        return Err(PayloadError::Depth);
    }
    let object = ObjectWriter::begin(out);
    for (key, old) in earlier.members() {
        match later.get(key) {
            Some(new) if is_object(new) && is_object(old) => {
                object.key(out, key)?;
                overlay_objects(out, &Object::of(old)?, &Object::of(new)?, depth + 1)?;
            }
            new => object.member(out, key, new.unwrap_or(old))?,
        }
    }
    for (key, new) in later.members() {
        if earlier.get(key).is_none() {
            object.member(out, key, new)?;
        }
    }
    object.end(out);
    Ok(())
}

/// A tag's later values go where its first value was, new tags to the end.
fn overlay_tags(out: &mut Vec<u8>, earlier: &[u8], later: &[u8]) -> Result<(), PayloadError> {
    let mut new = FxHashMap::<_, Vec<_>>::default();
    for (tag, value) in fields(later) {
        let value = value.ok_or(PayloadError::Field)?;
        new.entry(tag).or_default().push(value);
    }
    for (tag, value) in fields(earlier).chain(fields(later)) {
        let value = value.ok_or(PayloadError::Field)?;
        match new.get_mut(tag) {
            // Once for all values of the tag; then there are none left to write.
            Some(values) => {
                for value in values.drain(..) {
                    push(out, tag, value);
                }
            }
            None => push(out, tag, value),
        }
    }
    if later.last().is_some_and(|last| *last != SEPARATOR) {
        out.pop();
    }
    Ok(())
}

fn push(out: &mut Vec<u8>, tag: &[u8], value: &[u8]) {
    out.extend_from_slice(tag);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(SEPARATOR);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(message_type: &str, earlier: &str, later: &str) -> String {
        let bytes = |text: &str| text.replace('|', "\x01").into_bytes();
        let message_type = message_type.parse().unwrap();
        let out = overlay(&message_type, &bytes(earlier), &bytes(later)).unwrap();
        String::from_utf8(out).unwrap().replace('\x01', "|")
    }

    #[test]
    fn a_later_value_counts_also_if_it_is_null() {
        for (earlier, later, expected) in [
            (
                r#"{"a":1,"b":2}"#,
                r#"{"b":3,"c":4}"#,
                r#"{"a":1,"b":3,"c":4}"#,
            ),
            (r#"{"a":1}"#, r#"{"a":null}"#, r#"{"a":null}"#),
            (r#"{"a":1}"#, r#"{"a":""}"#, r#"{"a":""}"#),
            (r#"{"a":1}"#, r#"{"b":[]}"#, r#"{"a":1,"b":[]}"#),
            (r#"{"a":""}"#, r#"{"a":1}"#, r#"{"a":1}"#),
            (
                r#"{"o":{"x":1,"y":2}}"#,
                r#"{"o":{"y":null,"z":3}}"#,
                r#"{"o":{"x":1,"y":null,"z":3}}"#,
            ),
            (r#"{"o":1}"#, r#"{"o":{"x":1}}"#, r#"{"o":{"x":1}}"#),
            (r#"{"o":{"x":1}}"#, r#"{"o":1}"#, r#"{"o":1}"#),
        ] {
            assert_eq!(both("json", earlier, later), expected);
        }
        for (earlier, later, expected) in [
            ("1=a|38=1|", "1=a|38=|", "1=a|38=|"),
            ("1=a|2=b|2=c|", "2=d|3=e|3=f|", "1=a|2=d|3=e|3=f|"),
            ("1=a|2=b", "2=c", "1=a|2=c"),
        ] {
            assert_eq!(both("fix", earlier, later), expected);
        }
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        for damaged in ["", "[1]", "{"] {
            assert!(overlay(&MessageType::Json, b"{}", damaged.as_bytes()).is_err());
            assert!(overlay(&MessageType::Json, damaged.as_bytes(), b"{}").is_err());
        }
        assert!(overlay(&MessageType::Fix, b"1=2\x01x\x01", b"1=3\x01").is_err());
    }
}
