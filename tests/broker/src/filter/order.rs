//! The order of query results: `/day DESC, /name TEXT` (broker-behaviour §3, OrderBy).
//!
//! The default sort takes values of every type. Comparison as filters do it is no order (`'10'` is
//! less than `'9'`, and 9.5 is between them the other way round), and NULL has no documented place,
//! so the choice here is: NULL, then NaN, then numbers, then strings by their bytes, where a string
//! is one even if it reads as a number; FIX values that read as numbers are numbers. TEXT sorts
//! everything by its text, NULL first. DESC turns the whole order around, so that NULL comes last.
//! Of an array the first element counts.

use std::cmp::Ordering;

use super::error::FilterError;
use super::extract::Extractor;
use super::path::Path;
use super::value::{Scalar, Value};
use crate::message_type::MessageType;

/// How records are ordered.
///
/// ```
/// use amps_broker::filter::OrderBy;
/// use amps_broker::message_type::MessageType;
///
/// let order = OrderBy::parse("/day DESC, /name")?;
/// let key = |payload| order.key(&MessageType::Json, payload);
/// let mut keys = [
///     key(br#"{"day":1,"name":"b"}"#),
///     key(br#"{"day":2,"name":"c"}"#),
///     key(br#"{"day":2,"name":"a"}"#),
/// ];
/// keys.sort_by(|a, b| order.compare(a, b));
/// assert_eq!(keys[0], key(br#"{"day":2,"name":"a"}"#));
/// # Ok::<(), amps_broker::filter::FilterError>(())
/// ```
#[derive(Clone, Debug)]
pub struct OrderBy {
    columns: Vec<Column>,
    extractor: Extractor,
}

#[derive(Clone, Copy, Debug)]
struct Column {
    descending: bool,
    text: bool,
}

/// What a record is sorted by.
#[derive(Clone, Debug, PartialEq)]
pub struct SortKey(Vec<Value<'static>>);

impl OrderBy {
    /// Reads a comma list of `/path [ASC|DESC] [TEXT]`.
    ///
    /// # Errors
    /// When the text is anything else, also when it is empty.
    pub fn parse(text: &str) -> Result<OrderBy, FilterError> {
        let mut columns = Vec::new();
        let mut paths = Vec::new();
        let mut rest = text;
        loop {
            rest = rest.trim_start();
            let at = text.len() - rest.len();
            let (path, used) = Path::scan(rest).map_err(|error| error.shifted(at))?;
            // A bracketed path may have a comma in it, so the words are what is behind the path.
            let behind = rest.get(used..).unwrap_or_default();
            let (words, tail) = match behind.split_once(',') {
                Some((words, tail)) => (words, Some(tail)),
                None => (behind, None),
            };
            paths.push(path);
            columns.push(Column::parse(words).map_err(|error| error.shifted(at + used))?);
            match tail {
                Some(tail) => rest = tail,
                None => break,
            }
        }
        Ok(OrderBy {
            columns,
            extractor: Extractor::new(&paths),
        })
    }

    /// What a record with this payload is sorted by. Worth keeping while a sort goes on.
    pub fn key(&self, message_type: &MessageType, payload: &[u8]) -> SortKey {
        let values = self.extractor.extract(message_type, payload);
        let columns = 0..self.columns.len();
        SortKey(columns.map(|i| values.get(i).into_owned()).collect())
    }

    /// Compares two records by their keys: a total order.
    pub fn compare(&self, left: &SortKey, right: &SortKey) -> Ordering {
        for (column, (left, right)) in self.columns.iter().zip(left.0.iter().zip(&right.0)) {
            let ordering = if column.text {
                let text = |value: &Value<'static>| value.clone().into_text();
                text(left).cmp(&text(right))
            } else {
                mixed(left.scalar(), right.scalar())
            };
            if ordering.is_ne() {
                return if column.descending {
                    ordering.reverse()
                } else {
                    ordering
                };
            }
        }
        Ordering::Equal
    }
}

impl Column {
    fn parse(words: &str) -> Result<Column, FilterError> {
        let mut column = Column {
            descending: false,
            text: false,
        };
        if words.starts_with(|c: char| !c.is_whitespace()) {
            return Err(FilterError::new(
                0,
                "expected a space or ',' behind the path",
            ));
        }
        let mut words = words.split_whitespace().peekable();
        if let Some(word) = words.peek() {
            column.descending = word.eq_ignore_ascii_case("DESC");
            if column.descending || word.eq_ignore_ascii_case("ASC") {
                words.next();
            }
        }
        if let Some(word) = words.peek() {
            column.text = word.eq_ignore_ascii_case("TEXT");
            if column.text {
                words.next();
            }
        }
        match words.next() {
            None => Ok(column),
            Some(word) => Err(FilterError::new(
                0,
                format!("expected ASC, DESC or TEXT, found {word}"),
            )),
        }
    }
}

fn mixed(left: Scalar<'_>, right: Scalar<'_>) -> Ordering {
    let rank = |scalar| match scalar {
        Scalar::Null => 0,
        Scalar::Nan => 1,
        Scalar::Int(_) | Scalar::Float(_) => 2,
        Scalar::Str(_) => 3,
    };
    let by_rank = rank(left).cmp(&rank(right));
    by_rank.then_with(|| super::compare::order(left, right).unwrap_or(Ordering::Equal))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sorted(order: &str, message_type: &MessageType, payloads: &[&str]) -> Vec<String> {
        let order = OrderBy::parse(order).unwrap();
        let mut payloads: Vec<_> = payloads.iter().map(|p| p.to_string()).collect();
        payloads.sort_by(|a, b| {
            let key = |payload: &str| order.key(message_type, payload.as_bytes());
            order.compare(&key(a), &key(b))
        });
        payloads
    }

    /// The values of `x` in their order.
    fn values(order: &str, values: &[&str]) -> String {
        let payloads: Vec<_> = values.iter().map(|v| format!(r#"{{"x":{v}}}"#)).collect();
        let payloads: Vec<_> = payloads.iter().map(String::as_str).collect();
        let sorted = sorted(order, &MessageType::Json, &payloads);
        let values: Vec<_> = sorted.iter().map(|p| &p[5..p.len() - 1]).collect();
        values.join(" ")
    }

    #[test]
    fn null_comes_before_numbers_before_strings() {
        let mixed = [
            r#""b""#, "10", "null", "9.5", r#""10""#, "true", r#""9""#, "-1",
        ];
        assert_eq!(values("/x", &mixed), r#"null -1 true 9.5 10 "10" "9" "b""#);
        assert_eq!(
            values("/x DESC", &mixed),
            r#""b" "9" "10" 10 9.5 true -1 null"#
        );
    }

    #[test]
    fn text_sorts_numbers_by_their_digits() {
        let mixed = ["10", "9", r#""1x""#, "null", "1.5"];
        assert_eq!(values("/x TEXT", &mixed), r#"null 1.5 10 "1x" 9"#);
        assert_eq!(values("/x desc text", &mixed), r#"9 "1x" 10 1.5 null"#);
    }

    #[test]
    fn later_columns_decide_ties_and_full_ties_keep_their_order() {
        let payloads = [
            r#"{"a":1,"b":"x","n":1}"#,
            r#"{"a":2,"b":"x","n":2}"#,
            r#"{"a":1,"b":"y","n":3}"#,
            r#"{"a":1,"b":"x","n":4}"#,
        ];
        let sorted = sorted("/a ASC, /b DESC", &MessageType::Json, &payloads);
        assert_eq!(sorted, [2, 0, 3, 1].map(|i| payloads[i]));
    }

    #[test]
    fn fix_values_sort_as_the_numbers_they_read_as() {
        let payloads = ["38=9\x01", "38=10\x01", "38=x\x01", "55=a\x01"];
        assert_eq!(
            sorted("/38", &MessageType::Fix, &payloads),
            [3, 0, 1, 2].map(|i| payloads[i])
        );
    }

    #[test]
    fn what_is_no_order_is_refused() {
        for text in [
            "",
            " ",
            ",",
            "/a,",
            ",/a",
            "/a DOWN",
            "/a TEXT DESC",
            "/a ASC DESC",
            "a",
            "/a /b",
            "/a;",
            "/a DESC TEXT x",
            "/a+1",
        ] {
            assert!(OrderBy::parse(text).is_err(), "{text}");
        }
        for text in [
            "/a",
            " /a , /b/c DESC ",
            "[/odd, name] ASC TEXT,/b",
            "/a[1] asc",
        ] {
            assert!(OrderBy::parse(text).is_ok(), "{text}");
        }
    }

    fn scalar() -> impl Strategy<Value = Value<'static>> {
        prop_oneof![
            Just(Value::Null),
            Just(Value::Float(f64::NAN)),
            any::<bool>().prop_map(Value::Bool),
            prop::sample::select(vec![i64::MIN, -1, 0, 1, 9_007_199_254_740_993, i64::MAX])
                .prop_map(Value::Int),
            prop::sample::select(vec![-0.5, 0.0, 1.0, 1.5, 9_007_199_254_740_992.0, 1e19])
                .prop_map(Value::Float),
            prop::sample::select(vec!["9", "10", "9.5", "a", "B"])
                .prop_map(|text| Value::string(text.as_bytes().to_vec())),
        ]
    }

    proptest! {
        #[test]
        fn the_order_is_total(a in scalar(), b in scalar(), c in scalar()) {
            for text in ["/x", "/x DESC", "/x TEXT"] {
                let order = OrderBy::parse(text).unwrap();
                let [a, b, c] = [&a, &b, &c].map(|value| SortKey(vec![value.clone()]));
                prop_assert_eq!(order.compare(&a, &b), order.compare(&b, &a).reverse());
                if order.compare(&a, &b).is_le() && order.compare(&b, &c).is_le() {
                    prop_assert!(order.compare(&a, &c).is_le());
                }
            }
        }
    }
}
