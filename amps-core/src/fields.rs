//! Header fields that are owned: what a command is built from.

use crate::protocol::{Field, FieldKind, FrameWriter, Scanner, parse_u64, unescape};
use std::fmt;

/// A few header fields with their values, in writing order.
///
/// A command sets few of the fields there are, so a sorted list is smaller and faster than a
/// member for each.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    entries: Vec<(Field, Value)>,
}

#[derive(Clone, PartialEq, Eq)]
enum Value {
    Text(String),
    Number(u64),
}

impl Fields {
    /// Reads the header at `start` of `frame`, escapes undone, on top of what is here.
    ///
    /// A text that is not UTF-8 is kept with U+FFFD in place of what is not.
    pub(crate) fn read(&mut self, frame: &[u8], start: usize) {
        let Ok(mut scanner) = Scanner::new(frame, start) else {
            return;
        };
        while let Ok(Some(raw)) = scanner.next_field() {
            let Some(field) = Field::from_key(raw.key) else {
                continue;
            };
            let value = raw.value.of(frame);
            match field.kind() {
                FieldKind::Number => match parse_u64(value) {
                    Some(number) => self.set_number(field, number),
                    None => self.remove(field),
                },
                FieldKind::Text => {
                    let text = String::from_utf8_lossy(&unescape(value)).into_owned();
                    self.put(field, Value::Text(text));
                }
            }
        }
    }

    pub(crate) fn text(&self, field: Field) -> Option<&str> {
        match self.get(field)? {
            Value::Text(text) => Some(text),
            Value::Number(_) => None,
        }
    }

    pub(crate) fn number(&self, field: Field) -> Option<u64> {
        match self.get(field)? {
            Value::Number(number) => Some(*number),
            Value::Text(_) => None,
        }
    }

    /// Sets a text; an empty one unsets the field.
    pub(crate) fn set_text(&mut self, field: Field, text: &str) {
        if text.is_empty() {
            self.remove(field);
        } else {
            self.put(field, Value::Text(text.to_string()));
        }
    }

    pub(crate) fn set_number(&mut self, field: Field, number: u64) {
        self.put(field, Value::Number(number));
    }

    pub(crate) fn remove(&mut self, field: Field) {
        if let Ok(at) = self.find(field) {
            self.entries.remove(at);
        }
    }

    /// Writes every field except the command, with which the frame begins.
    pub(crate) fn write(&self, frame: &mut FrameWriter<'_>) {
        for (field, value) in &self.entries {
            match value {
                _ if *field == Field::Command => {}
                Value::Text(text) => frame.text(*field, text.as_bytes()),
                Value::Number(number) => frame.number(*field, *number),
            }
        }
    }

    fn get(&self, field: Field) -> Option<&Value> {
        let at = self.find(field).ok()?;
        Some(&self.entries[at].1)
    }

    fn put(&mut self, field: Field, value: Value) {
        match self.find(field) {
            Ok(at) => self.entries[at].1 = value,
            Err(at) => self.entries.insert(at, (field, value)),
        }
    }

    fn find(&self, field: Field) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&field, |entry| entry.0)
    }
}

/// Shows the fields by their keys; a password is hidden.
impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (field, value) in &self.entries {
            match value {
                Value::Text(_) if *field == Field::Password => map.entry(&field.key(), &"***"),
                Value::Text(text) => map.entry(&field.key(), text),
                Value::Number(number) => map.entry(&field.key(), number),
            };
        }
        map.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command_type::CommandType;

    #[test]
    fn fields_are_written_in_one_order_whatever_the_order_they_were_set_in() {
        let mut fields = Fields::default();
        fields.set_text(Field::AckType, "processed");
        fields.set_text(Field::Topic, "orders");
        fields.set_text(Field::CommandId, "4");
        fields.set_number(Field::BatchSize, 0);
        fields.set_text(Field::Filter, "/a = 1");
        fields.set_text(Field::Filter, "");
        let mut out = Vec::new();
        let mut frame = FrameWriter::begin(&mut out, CommandType::Sow);
        fields.write(&mut frame);
        frame.finish(b"");
        assert_eq!(
            String::from_utf8_lossy(&out[4..]),
            r#"{"c":"sow","cid":"4","t":"orders","bs":0,"a":"processed"}"#
        );
    }

    #[test]
    fn what_is_read_has_its_escapes_undone() {
        let mut fields = Fields::default();
        fields.read(br#"{"t":"a\"b","s":"7","e":"x","zz":1}"#, 0);
        assert_eq!(fields.text(Field::Topic), Some("a\"b"));
        assert_eq!(fields.number(Field::Sequence), Some(7));
        assert_eq!(fields.number(Field::Expiration), None);
    }

    #[test]
    fn a_password_is_not_shown() {
        let mut fields = Fields::default();
        fields.set_text(Field::Password, "s3cret");
        assert_eq!(format!("{fields:?}"), r#"{"pw": "***"}"#);
    }
}
