//! Ad hoc aggregation: `projection=[SUM(/qty) AS /total,/symbol],grouping=[/symbol]`
//! (broker-behaviour §12).
//!
//! Where the sources are silent: values group by their text, and NULL is a group of its own. A NULL
//! or NaN result is `null` in JSON and an empty field in FIX. A field that is an object has no value.
//! Composite messages cannot be projected.

mod aggregate;
mod write;

pub(crate) use aggregate::Kind;

use super::error::FilterError;
use super::extract::Extractor;
use super::parser::{self, Aggregate, Item};
use super::path::Path;
use super::value::Value;
use super::{Candidate, program};
use crate::hash::stable_hash;
use crate::message_type::MessageType;
use amps_core::protocol::option_items;
use write::Layout;

/// What the records of a group are made into.
///
/// ```
/// use amps_broker::filter::{BareMessage, Projection};
/// use amps_broker::message_type::MessageType;
///
/// let projection = Projection::parse("[SUM(/qty) AS /total,/sym]", "[/sym]")?;
/// let message = |payload| BareMessage { message_type: &MessageType::Json, topic: "orders", payload };
/// let orders = [message(br#"{"sym":"IBM","qty":5}"#), message(br#"{"sym":"IBM","qty":7}"#)];
/// let inputs = orders.map(|order| projection.inputs(&order));
/// let record = projection.record(&orders[1], inputs.iter().map(|inputs| &inputs[..]));
/// assert_eq!(record, br#"{"total":12,"sym":"IBM"}"#);
/// # Ok::<(), amps_broker::filter::FilterError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Projection {
    items: Vec<Item>,
    aggregates: Vec<Aggregate>,
    extractor: Extractor,
    grouping: Extractor,
    grouped: usize,
    /// Where the fields that make the groups are in the result.
    keys: Vec<Path>,
    layout: Layout,
}

/// How many fields may be projected, and grouped by.
const MAX_FIELDS: usize = 1000;

impl Projection {
    /// Reads the two lists, each in its brackets.
    ///
    /// # Errors
    /// When either is not in the language, is empty, longer than 64 KiB or of more than 1000 fields, when two results go to
    /// the same field, and when the value depends on more than the messages.
    pub fn parse(projection: &str, grouping: &str) -> Result<Projection, FilterError> {
        let list = parser::parse_list(inner(projection)?)?;
        if !list.deterministic {
            return Err(FilterError::new(
                0,
                "the result must depend on the messages alone",
            ));
        }
        let grouping = option_items(inner(grouping)?)
            .map(Path::parse)
            .collect::<Result<Vec<_>, _>>()?;
        if list.items.len().max(grouping.len()) > MAX_FIELDS {
            return Err(FilterError::new(0, "too many fields"));
        }
        if grouping.is_empty() {
            return Err(FilterError::new(0, "no field to group by"));
        }
        let is_key = |item: &&Item| {
            item.plain
                .as_ref()
                .is_some_and(|path| grouping.contains(path))
        };
        Ok(Projection {
            keys: list
                .items
                .iter()
                .filter(is_key)
                .map(|item| item.output.clone())
                .collect(),
            layout: Layout::of(list.items.iter().map(|item| &item.output))?,
            items: list.items,
            aggregates: list.aggregates,
            extractor: Extractor::new(&list.paths),
            grouped: grouping.len(),
            grouping: Extractor::new(&grouping),
        })
    }

    /// Whether messages of this type can be projected.
    pub fn suits(&self, message_type: &MessageType) -> bool {
        match message_type {
            MessageType::Json => true,
            MessageType::Fix | MessageType::Nvfix => self.layout.is_flat(),
            MessageType::Binary
            | MessageType::CompositeLocal(_)
            | MessageType::CompositeGlobal(_) => false,
        }
    }

    /// Where the fields that make the groups are in the result.
    pub(crate) fn keys(&self) -> &[Path] {
        &self.keys
    }

    /// The key of the group that a message belongs to: the same digits for the same values.
    pub fn group(&self, message: &dyn Candidate) -> Vec<u8> {
        let found = self
            .grouping
            .extract(message.message_type(), message.payload());
        let texts = (0..self.grouped).map(|at| found.get(at).into_text());
        // NULL is no text, not even an empty one.
        let parts = texts.map(|text| text.map_or_else(Vec::new, |text| [b"=", &*text].concat()));
        let parts = parts.collect::<Vec<_>>();
        let parts =
            std::iter::once(message.topic().as_bytes()).chain(parts.iter().map(|part| &part[..]));
        stable_hash(parts).to_string().into_bytes()
    }

    /// What a message contributes to the aggregates.
    pub fn inputs(&self, message: &dyn Candidate) -> Vec<Value<'static>> {
        let fields = self
            .extractor
            .extract(message.message_type(), message.payload());
        self.aggregates
            .iter()
            .map(|aggregate| program::run(&aggregate.argument, &fields, message, &[]).into_owned())
            .collect()
    }

    /// The record of a group: of what its messages contribute, in the order in which they were
    /// processed, and of the last one.
    pub fn record<'i>(
        &self,
        last: &dyn Candidate,
        inputs: impl Iterator<Item = &'i [Value<'static>]> + Clone,
    ) -> Vec<u8> {
        let of = |(at, one): (usize, &Aggregate)| {
            let values = inputs.clone().filter_map(|inputs| inputs.get(at));
            aggregate::aggregate(&one.kind, values)
        };
        let aggregates = self
            .aggregates
            .iter()
            .enumerate()
            .map(of)
            .collect::<Vec<_>>();
        let fields = self.extractor.extract(last.message_type(), last.payload());
        let values = self
            .items
            .iter()
            .map(|item| program::run(&item.program, &fields, last, &aggregates))
            .collect::<Vec<_>>();
        self.layout.write(last.message_type(), &values)
    }
}

fn inner(list: &str) -> Result<&str, FilterError> {
    list.strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .ok_or_else(|| FilterError::new(0, "a list stands in brackets"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::BareMessage;

    fn project(projection: &str, grouping: &str, payloads: &[&str]) -> Vec<String> {
        let projection = Projection::parse(projection, grouping).unwrap();
        let mut groups: Vec<(Vec<u8>, Vec<BareMessage<'_>>)> = Vec::new();
        for payload in payloads {
            let message = BareMessage {
                message_type: &MessageType::Json,
                topic: "t",
                payload: payload.as_bytes(),
            };
            let group = projection.group(&message);
            match groups.iter_mut().find(|(known, _)| *known == group) {
                Some((_, messages)) => messages.push(message),
                None => groups.push((group, vec![message])),
            }
        }
        let record = |messages: &Vec<BareMessage<'_>>| {
            let inputs = messages
                .iter()
                .map(|one| projection.inputs(one))
                .collect::<Vec<_>>();
            let last = messages.last().unwrap();
            let record = projection.record(last, inputs.iter().map(|inputs| &inputs[..]));
            String::from_utf8(record).unwrap()
        };
        groups
            .iter()
            .map(|(_, messages)| record(messages))
            .collect()
    }

    #[test]
    fn there_is_one_record_for_each_combination_of_values() {
        assert_eq!(
            project(
                "[/a, /b AS /x/b, COUNT(/n) AS /x/count, SUM(/n) / COUNT(/n) as /mean]",
                "[/a,/b]",
                &[
                    r#"{"a":1,"b":"x","n":1}"#,
                    r#"{"a":1,"b":"y","n":2}"#,
                    r#"{"a":1,"b":"x","n":4}"#,
                    r#"{"a":1}"#,
                    r#"{"a":1,"b":"","n":9}"#,
                ]
            ),
            [
                r#"{"a":1,"x":{"b":"x","count":2},"mean":2}"#,
                r#"{"a":1,"x":{"b":"y","count":1},"mean":2}"#,
                r#"{"a":1,"x":{"b":null,"count":1},"mean":9}"#,
            ]
        );
    }

    #[test]
    fn a_field_outside_the_groups_has_the_last_value_and_arrays_stay_arrays() {
        assert_eq!(
            project(
                r#"[/g,/v,/list,"a\"b" AS /text,MAX(/f) AS /f,NAN_VALUE() AS /nan]"#,
                "[/g]",
                &[
                    r#"{"g":1,"v":"old","f":1.5}"#,
                    r#"{"g":1,"v":"n\new","list":[1,"two"],"f":2}"#,
                ]
            ),
            [r#"{"g":1,"v":"n\new","list":[1,"two"],"text":"a\"b","f":2,"nan":null}"#]
        );
    }

    #[test]
    fn tags_are_projected_as_tags() {
        let projection = Projection::parse("[SUM(/qty) AS /total,/sym,/none]", "[/sym]").unwrap();
        let message = BareMessage {
            message_type: &MessageType::Nvfix,
            topic: "t",
            payload: b"sym=IBM\x01qty=5\x01",
        };
        let inputs = projection.inputs(&message);
        let record = projection.record(&message, std::iter::repeat_n(&inputs[..], 2));
        assert_eq!(record, b"total=10\x01sym=IBM\x01none=\x01");
        assert!(projection.suits(&MessageType::Nvfix));
        let nested = Projection::parse("[/a AS /b/c]", "[/a]").unwrap();
        assert!(!nested.suits(&MessageType::Nvfix) && nested.suits(&MessageType::Json));
    }

    #[test]
    fn what_is_no_projection_is_refused() {
        for (projection, grouping) in [
            ("[]", "[/a]"),
            ("[/a]", "[]"),
            ("/a", "[/a]"),
            ("[/a]", "/a"),
            ("[/a]", "[a]"),
            ("[SUM(/a)]", "[/a]"),
            ("[SUM(/a) AS total]", "[/a]"),
            ("[SUM(SUM(/a)) AS /t]", "[/a]"),
            ("[SUM(/a,/b) AS /t]", "[/a]"),
            ("[SUM() AS /t]", "[/a]"),
            ("[GROUP_CONCAT(/a,/b) AS /t]", "[/a]"),
            ("[MEDIAN(/a) AS /t]", "[/a]"),
            ("[/a,/b AS /a]", "[/a]"),
            ("[/a,/b AS /a/b]", "[/a]"),
            ("[/a/b,/b AS /a]", "[/a]"),
            ("[/a AS /b[0]]", "[/a]"),
            ("[/a,]", "[/a]"),
            ("[/a /b]", "[/a]"),
            ("[UNIX_TIMESTAMP() AS /now]", "[/a]"),
        ] {
            assert!(
                Projection::parse(projection, grouping).is_err(),
                "{projection} {grouping}"
            );
        }
        assert!(crate::filter::Filter::parse("SUM(/a) > 1").is_err());
    }
}
