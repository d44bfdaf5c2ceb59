//! Functions of strings, which are bytes. A NULL argument gives NULL, except where the empty string,
//! which is NULL, is as good as any other.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem;

use super::{Function, argument, take};
use crate::filter::program::Pattern;
use crate::filter::value::{Scalar, Value};

type Text<'v> = Cow<'v, [u8]>;

/// How much text the functions may make in one evaluation of an expression, in bytes.
const ROOM: usize = 16 << 20;

/// What is left of that. Each call may be of the result of another, so that a short filter could
/// fill the memory otherwise.
#[derive(Debug)]
pub(in crate::filter) struct Room(usize);

impl Default for Room {
    fn default() -> Room {
        Room(ROOM)
    }
}

impl Room {
    /// Takes as much; `None` if there is less.
    fn take(&mut self, bytes: usize) -> Option<()> {
        self.0 = self.0.checked_sub(bytes)?;
        Some(())
    }

    /// Appends a part of a result.
    fn append(&mut self, all: &mut Vec<u8>, part: &[u8]) -> Option<()> {
        self.take(part.len())?;
        all.extend_from_slice(part);
        Some(())
    }
}

/// Calls a text function; `None` if the function is none, if an argument is NULL, or if there is
/// no room for the result.
pub(super) fn call<'v>(
    function: Function,
    arguments: &mut [Value<'v>],
    room: &mut Room,
) -> Option<Value<'v>> {
    let text = |arguments: &mut [Value<'v>], index| take(arguments, index).into_text();
    Some(match function {
        Function::Instr => {
            let (text, part) = (text(arguments, 0)?, text(arguments, 1)?);
            position(&text, &part)
        }
        Function::InstrI => {
            let (text, part) = (text(arguments, 0)?, text(arguments, 1)?);
            position(&text.to_ascii_lowercase(), &part.to_ascii_lowercase())
        }
        Function::StrEqualI => {
            let (left, right) = (text(arguments, 0)?, text(arguments, 1)?);
            Value::Bool(left.eq_ignore_ascii_case(&right))
        }
        Function::Length => Value::integer(text(arguments, 0)?.len() as i128),
        Function::Concat => {
            let mut all = Vec::new();
            for i in 0..arguments.len() {
                room.append(&mut all, &text(arguments, i).unwrap_or_default())?;
            }
            Value::string(all)
        }
        Function::Upper | Function::Lower | Function::Reverse => {
            let text = text(arguments, 0)?;
            room.take(text.len())?;
            let mut text = text.into_owned();
            match function {
                Function::Upper => text.make_ascii_uppercase(),
                Function::Lower => text.make_ascii_lowercase(),
                _ => text.reverse(),
            }
            Value::string(text)
        }
        Function::Replace => {
            let (text, new) = (text(arguments, 0)?, text(arguments, 2));
            match take(arguments, 1).into_text() {
                Some(old) => {
                    let old = Pattern::Plain(old.into());
                    Value::string(replace_all(&text, &old, &new.unwrap_or_default(), room)?)
                }
                // There is nothing to look for.
                None => Value::string(text),
            }
        }
        Function::Substr => {
            let start = whole(argument(arguments, 1))?;
            let length = match argument(arguments, 2) {
                Value::Null if arguments.len() < 3 => i128::MAX,
                length => whole(length)?,
            };
            let text = text(arguments, 0)?;
            let size = text.len() as i128;
            let from = match start {
                ..0 => (size + start).max(0),
                0 => 0,
                _ => start - 1,
            };
            cut(text, from, from.saturating_add(length))
        }
        Function::Left => {
            let length = whole(argument(arguments, 1))?;
            cut(text(arguments, 0)?, 0, length)
        }
        Function::Right => {
            let length = whole(argument(arguments, 1))?;
            let text = text(arguments, 0)?;
            let size = text.len() as i128;
            cut(text, size - length.clamp(0, size), size)
        }
        Function::Trim | Function::LTrim | Function::RTrim => {
            let characters = if arguments.len() < 2 {
                Cow::Borrowed(&b" "[..])
            } else {
                text(arguments, 1).unwrap_or_default()
            };
            let text = text(arguments, 0)?;
            let keep = |b: &u8| !characters.contains(b);
            let mut start = 0;
            let mut end = text.len();
            if function != Function::RTrim {
                start = text.iter().position(keep).unwrap_or(end);
            }
            if function != Function::LTrim {
                end = text.iter().rposition(keep).map_or(start, |last| last + 1);
            }
            slice(text, start..end)
        }
        Function::CharValue => match u8::try_from(whole(argument(arguments, 0))?) {
            Ok(byte) => Value::string(vec![byte]),
            Err(_) => Value::Null,
        },
        _ => return None,
    })
}

/// `REGEXP_MATCH`: the first match.
pub(in crate::filter) fn regexp_match<'v>(value: Value<'v>, pattern: &Pattern) -> Value<'v> {
    let Some(text) = value.into_text() else {
        return Value::Null;
    };
    match pattern.find(&text, 0) {
        Some((start, end)) => slice(text, start..end),
        None => Value::Null,
    }
}

/// `REGEXP_REPLACE`: every match; the new text means its characters, whatever they are.
pub(in crate::filter) fn regexp_replace<'v>(
    value: Value<'v>,
    pattern: &Pattern,
    new: Value<'_>,
    room: &mut Room,
) -> Option<Value<'v>> {
    let text = value.into_text()?;
    let new = new.into_text().unwrap_or_default();
    Some(Value::string(replace_all(&text, pattern, &new, room)?))
}

/// `ARRAY_TO_STRING`: NULL elements become the text for NULL, or are left out without one.
pub(super) fn array_to_string(
    arguments: &mut [Value<'_>],
    room: &mut Room,
) -> Option<Value<'static>> {
    let delimiter = take(arguments, 1).into_text().unwrap_or_default();
    let null_text = take(arguments, 2).into_text();
    let mut all = Vec::new();
    let mut first = true;
    for element in argument(arguments, 0).elements() {
        let text = element.borrowed().into_text();
        if let Some(text) = text.as_deref().or(null_text.as_deref()) {
            if !std::mem::take(&mut first) {
                room.append(&mut all, &delimiter)?;
            }
            room.append(&mut all, text)?;
        }
    }
    Some(Value::string(all))
}

/// One-based, 0 if it is not there.
fn position(text: &[u8], part: &[u8]) -> Value<'static> {
    Value::integer(memmem::find(text, part).map_or(0, |at| at as i128 + 1))
}

/// A number of characters: what is behind the decimal point is dropped. `None` for what is none.
fn whole(value: &Value<'_>) -> Option<i128> {
    match value.number() {
        Scalar::Int(i) => Some(i),
        // The cast saturates, which is past the end of any text.
        Scalar::Float(f) => Some(f as i64 as i128),
        _ => None,
    }
}

fn cut(text: Text<'_>, from: i128, to: i128) -> Value<'_> {
    let within = |at: i128| at.clamp(0, text.len() as i128) as usize;
    let range = within(from)..within(to);
    slice(text, range)
}

fn slice(text: Text<'_>, range: Range<usize>) -> Value<'_> {
    match text {
        Cow::Borrowed(text) => Value::string(text.get(range).unwrap_or_default()),
        Cow::Owned(text) => Value::string(text.get(range).unwrap_or_default().to_vec()),
    }
}

fn replace_all(text: &[u8], pattern: &Pattern, new: &[u8], room: &mut Room) -> Option<Vec<u8>> {
    let mut all = Vec::with_capacity(text.len());
    let mut done = 0;
    let mut from = 0;
    while let Some((start, end)) = pattern.find(text, from) {
        room.append(&mut all, text.get(done..start).unwrap_or_default())?;
        room.append(&mut all, new)?;
        done = end;
        // Behind an empty match the search goes on one byte later.
        from = end + usize::from(start == end);
        if from > text.len() {
            break;
        }
    }
    room.append(&mut all, text.get(done..).unwrap_or_default())?;
    Some(all)
}
