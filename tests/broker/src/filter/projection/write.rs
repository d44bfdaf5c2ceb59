//! Writes the record of a group.

use std::borrow::Cow;

use crate::filter::error::FilterError;
use crate::filter::path::{Path, Step};
use crate::filter::tag_value::SEPARATOR;
use crate::filter::value::Value;
use crate::message_type::MessageType;

/// Where each value goes: objects within objects.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    /// In the order in which they were first named.
    members: Vec<(String, Member)>,
}

#[derive(Clone, Debug)]
enum Member {
    /// The value of this index.
    Value(usize),
    Object(Layout),
}

impl Layout {
    pub(super) fn of<'p>(outputs: impl Iterator<Item = &'p Path>) -> Result<Layout, FilterError> {
        let mut layout = Layout::default();
        for (at, output) in outputs.enumerate() {
            if !layout.insert(output.steps(), at) {
                let what = format!("nothing can be put at {output}");
                return Err(FilterError::new(0, what));
            }
        }
        Ok(layout)
    }

    /// Puts the value of an index at a path; false if there is something else already.
    fn insert(&mut self, steps: &[Step], value: usize) -> bool {
        let Some((step, rest)) = steps.split_first() else {
            return false;
        };
        if step.index().is_some() {
            return false;
        }
        let known = self
            .members
            .iter()
            .position(|(name, _)| name == step.name());
        let at = match (known, rest) {
            (Some(_), []) => return false,
            (Some(at), _) => at,
            (None, _) => {
                let member = match rest {
                    [] => Member::Value(value),
                    _ => Member::Object(Layout::default()),
                };
                self.members.push((step.name().to_owned(), member));
                self.members.len() - 1
            }
        };
        match &mut self.members[at].1 {
            Member::Value(_) => rest.is_empty(),
            Member::Object(inner) => inner.insert(rest, value),
        }
    }

    /// True if there are no objects within.
    pub(super) fn is_flat(&self) -> bool {
        let is_value = |(_, member): &(_, Member)| matches!(member, Member::Value(_));
        self.members.iter().all(is_value)
    }

    /// Writes the values as a payload of this type.
    pub(super) fn write(&self, message_type: &MessageType, values: &[Value<'_>]) -> Vec<u8> {
        let mut out = Vec::new();
        match message_type {
            MessageType::Fix | MessageType::Nvfix => self.write_tags(&mut out, values),
            _ => self.write_json(&mut out, values),
        }
        out
    }

    fn write_json(&self, out: &mut Vec<u8>, values: &[Value<'_>]) {
        out.push(b'{');
        for (at, (name, member)) in self.members.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            write_string(out, name);
            out.push(b':');
            match member {
                Member::Value(at) => write_value(out, values.get(*at).unwrap_or(&Value::Null)),
                Member::Object(inner) => inner.write_json(out, values),
            }
        }
        out.push(b'}');
    }

    fn write_tags(&self, out: &mut Vec<u8>, values: &[Value<'_>]) {
        for (name, member) in &self.members {
            let Member::Value(at) = member else {
                continue;
            };
            out.extend_from_slice(name.as_bytes());
            out.push(b'=');
            let value = values.get(*at).unwrap_or(&Value::Null);
            if let Some(text) = value.borrowed().into_text()
                && !value.is_nan()
            {
                out.extend_from_slice(&text);
            }
            out.push(SEPARATOR);
        }
    }
}

fn write_value(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Float(number) if number.is_nan() => out.extend_from_slice(b"null"),
        Value::Str(text) | Value::Untyped(text) => {
            write_string(out, &String::from_utf8_lossy(text));
        }
        Value::Array(elements) => {
            out.push(b'[');
            for (at, element) in elements.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_value(out, element);
            }
            out.push(b']');
        }
        scalar => {
            let text = scalar
                .borrowed()
                .into_text()
                .unwrap_or(Cow::Borrowed(b"null"));
            out.extend_from_slice(&text);
        }
    }
}

fn write_string(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
}
