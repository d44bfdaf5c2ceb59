//! The aggregates of projections. NULL counts for nothing in all of them.

use std::cmp::Ordering;

use rustc_hash::FxHashSet;

use crate::filter::compare::{Arithmetic, order};
use crate::filter::value::{Scalar, Value};

/// Which aggregate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sum,
    Avg,
    Count,
    CountDistinct,
    Min,
    Max,
    Any,
    Unique,
    StddevPop,
    StddevSamp,
    /// With what goes between.
    GroupConcat(Vec<u8>),
}

/// The aggregate over values in the order in which they were processed.
pub(super) fn aggregate<'v>(
    kind: &Kind,
    values: impl Iterator<Item = &'v Value<'static>>,
) -> Value<'static> {
    let values = values.filter(|value| !value.is_null()).collect::<Vec<_>>();
    match kind {
        Kind::Count => count(values.len()),
        Kind::CountDistinct => count(distinct(&values).len()),
        _ if values.is_empty() => Value::Null,
        Kind::Sum => values.into_iter().fold(Value::Int(0), |sum, value| {
            Arithmetic::Add.apply(&sum, value)
        }),
        Kind::Avg => Value::float(mean(&numbers(&values))),
        Kind::Min => extreme(&values, Ordering::Less),
        Kind::Max => extreme(&values, Ordering::Greater),
        Kind::Any => values[0].clone(),
        Kind::Unique if distinct(&values).len() == 1 => values[0].clone(),
        Kind::Unique => Value::Null,
        Kind::StddevPop => deviation(&numbers(&values), values.len()),
        // One value has no sample deviation.
        Kind::StddevSamp if values.len() == 1 => Value::Null,
        Kind::StddevSamp => deviation(&numbers(&values), values.len() - 1),
        Kind::GroupConcat(delimiter) => {
            let texts = values
                .iter()
                .filter_map(|value| (*value).clone().into_text());
            let texts = texts.collect::<Vec<_>>();
            Value::string(texts.join(&delimiter[..]))
        }
    }
}

fn count(number: usize) -> Value<'static> {
    Value::integer(number as i128)
}

/// The values as they differ: 1 and 1.0 do not, 1 and "1" do.
fn distinct(values: &[&Value<'static>]) -> FxHashSet<Vec<u8>> {
    let different = values.iter().map(|value| match value.scalar() {
        Scalar::Null | Scalar::Nan => b"nan".to_vec(),
        Scalar::Int(number) => number.to_string().into_bytes(),
        Scalar::Float(number) if number.fract() == 0.0 && number.abs() < 1e18 => {
            (number as i64).to_string().into_bytes()
        }
        Scalar::Float(number) => number.to_string().into_bytes(),
        Scalar::Str(text) => [b"'", text].concat(),
    });
    different.collect()
}

/// What comes first or last in the order of mixed values; NaN has no place in it.
fn extreme(values: &[&Value<'static>], wanted: Ordering) -> Value<'static> {
    let mut best: Option<&Value<'static>> = None;
    for value in values.iter().filter(|value| !value.is_nan()) {
        let better = |best: &Value<'_>| order(value.scalar(), best.scalar()) == Some(wanted);
        if best.is_none_or(better) {
            best = Some(value);
        }
    }
    best.cloned().unwrap_or_default()
}

/// The values as numbers; what is none is NaN, and so is then every result.
fn numbers(values: &[&Value<'static>]) -> Vec<f64> {
    let number = |value: &&Value<'static>| match value.number() {
        Scalar::Int(number) => number as f64,
        Scalar::Float(number) => number,
        _ => f64::NAN,
    };
    values.iter().map(number).collect()
}

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

fn deviation(numbers: &[f64], divisor: usize) -> Value<'static> {
    let mean = mean(numbers);
    let squares = numbers.iter().map(|number| (number - mean).powi(2));
    Value::float((squares.sum::<f64>() / divisor as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: Kind, values: &[Value<'static>]) -> Value<'static> {
        aggregate(&kind, values.iter())
    }

    fn text(text: &'static str) -> Value<'static> {
        Value::string(text.as_bytes())
    }

    #[test]
    fn null_counts_for_nothing_and_nothing_aggregates_to_null_or_zero() {
        let values = [Value::Int(4), Value::Null, Value::Int(2)];
        assert_eq!(of(Kind::Sum, &values), Value::Int(6));
        assert_eq!(of(Kind::Avg, &values), Value::Float(3.0));
        assert_eq!(of(Kind::Count, &values), Value::Int(2));
        assert_eq!(of(Kind::Min, &values), Value::Int(2));
        assert_eq!(of(Kind::StddevPop, &values), Value::Float(1.0));
        assert_eq!(of(Kind::StddevSamp, &values), Value::Float(2f64.sqrt()));
        for kind in [
            Kind::Sum,
            Kind::Avg,
            Kind::Min,
            Kind::Max,
            Kind::Any,
            Kind::Unique,
            Kind::StddevPop,
            Kind::StddevSamp,
            Kind::GroupConcat(Vec::new()),
        ] {
            assert_eq!(of(kind.clone(), &[Value::Null]), Value::Null, "{kind:?}");
        }
        assert_eq!(of(Kind::Count, &[Value::Null]), Value::Int(0));
        assert_eq!(of(Kind::CountDistinct, &[]), Value::Int(0));
        assert_eq!(of(Kind::StddevSamp, &[Value::Int(1)]), Value::Null);
        assert_eq!(of(Kind::StddevPop, &[Value::Int(1)]), Value::Float(0.0));
    }

    #[test]
    fn sums_stay_integers_until_something_is_not() {
        let sum = |values: &[Value<'static>]| of(Kind::Sum, values);
        assert_eq!(sum(&[Value::Int(1), text("2")]), Value::Int(3));
        assert_eq!(sum(&[Value::Int(1), Value::Float(0.5)]), Value::Float(1.5));
        assert!(sum(&[Value::Int(1), text("x")]).is_nan());
        assert!(of(Kind::Avg, &[Value::Int(1), text("x")]).is_nan());
    }

    #[test]
    fn the_least_and_the_greatest_are_those_of_mixed_values() {
        let values = [text("abc"), Value::Int(10), text("9"), Value::Float(9.5)];
        assert_eq!(of(Kind::Min, &values), text("9"));
        assert_eq!(of(Kind::Max, &values), text("abc"));
    }

    #[test]
    fn different_values_are_counted_and_unique_wants_only_one() {
        let same = [Value::Int(1), Value::Float(1.0), Value::Null];
        assert_eq!(of(Kind::CountDistinct, &same), Value::Int(1));
        assert_eq!(of(Kind::Unique, &same), Value::Int(1));
        let mixed = [Value::Int(1), text("1"), Value::Int(2)];
        assert_eq!(of(Kind::CountDistinct, &mixed), Value::Int(3));
        assert_eq!(of(Kind::Unique, &mixed), Value::Null);
        assert_eq!(of(Kind::Any, &mixed), Value::Int(1));
        let joined = of(Kind::GroupConcat(b"; ".to_vec()), &mixed);
        assert_eq!(joined, text("1; 1; 2"));
    }
}
