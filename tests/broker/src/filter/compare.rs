//! Comparison, arithmetic and three-valued logic (broker-behaviour §2.4).

use std::cmp::Ordering;

use super::value::{Scalar, Value, any, numeral};

/// A comparison operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// An arithmetic operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Comparison {
    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Comparison::Equal => ordering.is_eq(),
            Comparison::NotEqual => ordering.is_ne(),
            Comparison::Less => ordering.is_lt(),
            Comparison::LessOrEqual => ordering.is_le(),
            Comparison::Greater => ordering.is_gt(),
            Comparison::GreaterOrEqual => ordering.is_ge(),
        }
    }

    /// Compares two values; of arrays, any element with any element.
    pub(super) fn apply(self, left: &Value<'_>, right: &Value<'_>) -> Option<bool> {
        let scalars = |left: &Value<'_>, right: &Value<'_>| {
            order(left.scalar(), right.scalar()).map(|ordering| self.holds(ordering))
        };
        match (left, right) {
            (Value::Array(_), _) | (_, Value::Array(_)) => any(left
                .elements()
                .iter()
                .flat_map(|l| right.elements().iter().map(move |r| (l, r)))
                .map(|(l, r)| scalars(l, r)))
            .filter(|_| !left.is_null() && !right.is_null()),
            _ => scalars(left, right),
        }
    }
}

/// The order of two scalars, `None` if either is NULL or NaN. Strings compare as bytes; a string
/// against a number is read as one, and if that fails it is the greater.
pub(super) fn order(left: Scalar<'_>, right: Scalar<'_>) -> Option<Ordering> {
    Some(match (left, right) {
        (Scalar::Null | Scalar::Nan, _) | (_, Scalar::Null | Scalar::Nan) => return None,
        (Scalar::Str(l), Scalar::Str(r)) => l.cmp(r),
        (Scalar::Str(l), r) => match numeral(l) {
            Some(l) => return order(l, r),
            None => Ordering::Greater,
        },
        (l, Scalar::Str(r)) => match numeral(r) {
            Some(r) => return order(l, r),
            None => Ordering::Less,
        },
        (Scalar::Int(l), Scalar::Int(r)) => l.cmp(&r),
        (Scalar::Float(l), Scalar::Float(r)) => l.partial_cmp(&r)?,
        (Scalar::Int(l), Scalar::Float(r)) => int_with_float(l, r),
        (Scalar::Float(l), Scalar::Int(r)) => int_with_float(r, l).reverse(),
    })
}

/// Exact, where a conversion to `f64` would make neighbours above 2^53 equal: a sort needs an order
/// that is one.
fn int_with_float(int: i128, float: f64) -> Ordering {
    // 32 bits convert exactly, and much faster than 128.
    if let Ok(int) = i32::try_from(int) {
        return f64::from(int)
            .partial_cmp(&float)
            .unwrap_or(Ordering::Equal);
    }
    // The cast saturates far outside the range of any `int`.
    let whole = float.trunc();
    int.cmp(&(whole as i128)).then_with(|| {
        // Equal whole parts: the fraction decides.
        whole.partial_cmp(&float).unwrap_or(Ordering::Equal)
    })
}

/// `left AND right` with NULL as unknown.
pub(super) fn and(left: Option<bool>, right: Option<bool>) -> Option<bool> {
    match (left, right) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

/// `left OR right` with NULL as unknown.
pub(super) fn or(left: Option<bool>, right: Option<bool>) -> Option<bool> {
    any([left, right])
}

/// `value BETWEEN low AND high`, both ends included; of an array any element.
pub(super) fn between(value: &Value<'_>, low: &Value<'_>, high: &Value<'_>) -> Option<bool> {
    let one = |value: &Value<'_>| {
        and(
            Comparison::GreaterOrEqual.apply(value, low),
            Comparison::LessOrEqual.apply(value, high),
        )
    };
    match value {
        Value::Array(elements) => any(elements.iter().map(one)),
        scalar => one(scalar),
    }
}

impl Arithmetic {
    /// NaN before NULL before float before integer. Division by zero and infinite results are NaN.
    pub(super) fn apply(self, left: &Value<'_>, right: &Value<'_>) -> Value<'static> {
        match (left.number(), right.number()) {
            (Scalar::Nan, _) | (_, Scalar::Nan) => Value::Float(f64::NAN),
            (Scalar::Null, _) | (_, Scalar::Null) => Value::Null,
            (Scalar::Int(l), Scalar::Int(r)) => self.integers(l, r),
            (l, r) => Value::float(self.floats(as_float(l), as_float(r))),
        }
    }

    fn integers(self, left: i128, right: i128) -> Value<'static> {
        // 64-bit operands: only a product of two can leave 128 bits.
        let result = match self {
            Arithmetic::Add => left.checked_add(right),
            Arithmetic::Subtract => left.checked_sub(right),
            Arithmetic::Multiply => match left.checked_mul(right) {
                None => return Value::Float(left as f64 * right as f64),
                product => product,
            },
            Arithmetic::Divide => left.checked_div(right),
            Arithmetic::Remainder => left.checked_rem(right),
        };
        result.map_or(Value::Float(f64::NAN), Value::integer)
    }

    fn floats(self, left: f64, right: f64) -> f64 {
        match self {
            Arithmetic::Add => left + right,
            Arithmetic::Subtract => left - right,
            Arithmetic::Multiply => left * right,
            Arithmetic::Divide => left / right,
            Arithmetic::Remainder => left % right,
        }
    }
}

/// `-value`.
pub(super) fn negate(value: &Value<'_>) -> Value<'static> {
    match value.number() {
        Scalar::Null => Value::Null,
        Scalar::Int(i) => Value::integer(-i),
        other => Value::Float(-as_float(other)),
    }
}

/// The number as a float; NaN for everything that is none.
pub(super) fn as_float(number: Scalar<'_>) -> f64 {
    match number {
        Scalar::Int(i) => i as f64,
        Scalar::Float(f) => f,
        Scalar::Null | Scalar::Nan | Scalar::Str(_) => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_and_floats_compare_exactly_beyond_two_to_the_53() {
        let int = |i: i128| Value::integer(i);
        let big = 9_007_199_254_740_993;
        assert_eq!(
            Comparison::Greater.apply(&int(big), &Value::Float(9_007_199_254_740_992.0)),
            Some(true)
        );
        assert_eq!(
            Comparison::Less.apply(&int(-3), &Value::Float(-2.5)),
            Some(true)
        );
        assert_eq!(
            Comparison::Greater.apply(&int(-2), &Value::Float(-2.5)),
            Some(true)
        );
        assert_eq!(
            Comparison::Less.apply(&int(u64::MAX.into()), &Value::Float(1e300)),
            Some(true)
        );
    }

    #[test]
    fn integer_arithmetic_leaves_64_bits_as_a_float() {
        let max = Value::UInt(u64::MAX);
        assert_eq!(
            Arithmetic::Add.apply(&max, &Value::Int(1)),
            Value::Float(18_446_744_073_709_551_616.0)
        );
        assert_eq!(
            Arithmetic::Multiply.apply(&max, &max),
            Value::Float(u64::MAX as f64 * u64::MAX as f64)
        );
        assert_eq!(negate(&Value::Int(i64::MIN)), Value::UInt(1 << 63));
    }

    #[test]
    fn division_by_zero_is_not_a_number() {
        for zero in [Value::Int(0), Value::Float(0.0)] {
            for op in [Arithmetic::Divide, Arithmetic::Remainder] {
                assert!(op.apply(&Value::Int(1), &zero).is_nan());
            }
        }
    }

    #[test]
    fn nan_beats_null_in_arithmetic_and_null_beats_numbers() {
        let text = Value::string(&b"abc"[..]);
        assert!(Arithmetic::Add.apply(&Value::Null, &text).is_nan());
        assert!(
            Arithmetic::Add
                .apply(&Value::Null, &Value::Int(1))
                .is_null()
        );
    }

    #[test]
    fn and_and_or_follow_the_three_valued_tables() {
        let (t, f, n) = (Some(true), Some(false), None);
        for (l, r, both, either) in [
            (t, t, t, t),
            (t, f, f, t),
            (t, n, n, t),
            (f, t, f, t),
            (f, f, f, f),
            (f, n, f, n),
            (n, t, n, t),
            (n, f, f, n),
            (n, n, n, n),
        ] {
            assert_eq!(and(l, r), both, "{l:?} AND {r:?}");
            assert_eq!(or(l, r), either, "{l:?} OR {r:?}");
        }
    }
}
