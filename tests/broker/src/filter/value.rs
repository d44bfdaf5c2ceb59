//! Values of fields and expressions (broker-behaviour §2.1).

use std::borrow::Cow;

/// The value of a field or of an expression.
///
/// NULL covers every kind of nothing: a missing field, JSON `null`, a FIX tag without a value, an
/// empty string, an empty array. So no [`Str`](Value::Str) is empty: build one with
/// [`string`](Value::string).
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value<'a> {
    /// Nothing.
    #[default]
    Null,
    /// A truth value; as a number 1 or 0.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer above the range of `i64`.
    UInt(u64),
    /// A number with a decimal point or an exponent. NaN is "not a number".
    Float(f64),
    /// A string: bytes, not characters.
    Str(Cow<'a, [u8]>),
    /// The text of a FIX or NVFIX field, which is a number if it reads as one. It keeps its text,
    /// so LIKE sees `90.50` as it was sent.
    Untyped(Cow<'a, [u8]>),
    /// Several values under one path.
    Array(&'a [Value<'a>]),
}

/// What comparison and arithmetic see of a value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scalar<'a> {
    Null,
    Nan,
    /// Between `i64::MIN` and `u64::MAX`.
    Int(i128),
    /// Never NaN.
    Float(f64),
    Str(&'a [u8]),
}

impl<'a> Value<'a> {
    /// A string, or NULL if it is empty.
    pub fn string(bytes: impl Into<Cow<'a, [u8]>>) -> Value<'a> {
        let bytes = bytes.into();
        if bytes.is_empty() {
            Value::Null
        } else {
            Value::Str(bytes)
        }
    }

    /// The value of a FIX or NVFIX field.
    pub(super) fn untyped(bytes: &'a [u8]) -> Value<'a> {
        if bytes.is_empty() {
            Value::Null
        } else {
            Value::Untyped(Cow::Borrowed(bytes))
        }
    }

    /// An integer, or a float if it has left the range of 64 bits.
    pub(super) fn integer(i: i128) -> Value<'static> {
        if let Ok(i) = i64::try_from(i) {
            Value::Int(i)
        } else if let Ok(u) = u64::try_from(i) {
            Value::UInt(u)
        } else {
            Value::Float(i as f64)
        }
    }

    /// A float; infinities are no numbers here.
    pub(super) fn float(f: f64) -> Value<'static> {
        Value::Float(if f.is_finite() { f } else { f64::NAN })
    }

    /// A truth value, where `None` is NULL.
    pub(super) fn truth_of(truth: Option<bool>) -> Value<'static> {
        truth.map_or(Value::Null, Value::Bool)
    }

    /// The same value without copying its bytes.
    pub(super) fn borrowed(&self) -> Value<'_> {
        match self {
            Value::Null => Value::Null,
            Value::Bool(b) => Value::Bool(*b),
            Value::Int(i) => Value::Int(*i),
            Value::UInt(u) => Value::UInt(*u),
            Value::Float(f) => Value::Float(*f),
            Value::Str(s) => Value::Str(Cow::Borrowed(s)),
            Value::Untyped(s) => Value::Untyped(Cow::Borrowed(s)),
            Value::Array(elements) => Value::Array(elements),
        }
    }

    /// Itself, or the first element of an array.
    pub fn first(self) -> Value<'a> {
        match self {
            Value::Array(elements) => elements.first().map_or(Value::Null, Value::borrowed),
            scalar => scalar,
        }
    }

    /// A copy that borrows nothing; of an array its first element.
    pub fn into_owned(self) -> Value<'static> {
        match self.first() {
            // The first element of an array is never an array.
            Value::Null | Value::Array(_) => Value::Null,
            Value::Bool(b) => Value::Bool(b),
            Value::Int(i) => Value::Int(i),
            Value::UInt(u) => Value::UInt(u),
            Value::Float(f) => Value::Float(f),
            Value::Str(s) => Value::Str(Cow::Owned(s.into_owned())),
            Value::Untyped(s) => Value::Untyped(Cow::Owned(s.into_owned())),
        }
    }

    /// The elements of an array, or the value as the only one; none for NULL.
    pub fn elements(&self) -> &[Value<'a>] {
        match self {
            Value::Null => &[],
            Value::Array(elements) => elements,
            scalar => std::slice::from_ref(scalar),
        }
    }

    /// Whether this is NULL, or an array of nothing but NULL.
    pub fn is_null(&self) -> bool {
        match self {
            Value::Null => true,
            Value::Array(elements) => elements.iter().all(Value::is_null),
            _ => false,
        }
    }

    /// Whether this is the number that is none. A string that is no numeral is still a string.
    pub fn is_nan(&self) -> bool {
        match self {
            Value::Float(f) => f.is_nan(),
            Value::Array(elements) => elements.first().is_some_and(Value::is_nan),
            _ => false,
        }
    }

    /// The value as text, `None` for NULL. Booleans are `true` and `false` as JSON writes them, an
    /// integral float keeps its `.0`.
    pub fn into_text(self) -> Option<Cow<'a, [u8]>> {
        let owned = |text: String| Some(Cow::Owned(text.into_bytes()));
        match self.first() {
            Value::Null | Value::Array(_) => None,
            Value::Bool(true) => Some(Cow::Borrowed(b"true")),
            Value::Bool(false) => Some(Cow::Borrowed(b"false")),
            Value::Int(i) => owned(i.to_string()),
            Value::UInt(u) => owned(u.to_string()),
            Value::Float(f) => owned(format!("{f:?}")),
            Value::Str(s) | Value::Untyped(s) => Some(s),
        }
    }

    /// The truth of the value as a condition: numbers other than 0 are true, NULL, NaN and strings
    /// that are no numerals are NULL; an array is true if any element is.
    pub(super) fn truth(&self) -> Option<bool> {
        match self {
            Value::Bool(b) => Some(*b),
            Value::Null => None,
            Value::Array(elements) => any(elements.iter().map(Value::truth)),
            scalar => match scalar.number() {
                Scalar::Int(i) => Some(i != 0),
                Scalar::Float(f) => Some(f != 0.0),
                _ => None,
            },
        }
    }

    /// The value (of an array its first) as comparison sees it: untyped text has found its type.
    pub(super) fn scalar(&self) -> Scalar<'_> {
        match self {
            Value::Null => Scalar::Null,
            Value::Bool(b) => Scalar::Int(i128::from(*b)),
            Value::Int(i) => Scalar::Int(i128::from(*i)),
            Value::UInt(u) => Scalar::Int(i128::from(*u)),
            Value::Float(f) if f.is_nan() => Scalar::Nan,
            Value::Float(f) => Scalar::Float(*f),
            Value::Str(s) => Scalar::Str(s),
            Value::Untyped(s) => numeral(s).unwrap_or(Scalar::Str(s)),
            Value::Array(elements) => elements.first().map_or(Scalar::Null, Value::scalar),
        }
    }

    /// The value as arithmetic sees it: never [`Scalar::Str`].
    pub(super) fn number(&self) -> Scalar<'_> {
        match self.scalar() {
            Scalar::Str(s) => numeral(s).unwrap_or(Scalar::Nan),
            other => other,
        }
    }
}

/// OR over many: true if any is true, else NULL if any is NULL, else false.
pub(super) fn any(truths: impl IntoIterator<Item = Option<bool>>) -> Option<bool> {
    let mut result = Some(false);
    for truth in truths {
        match truth {
            Some(true) => return truth,
            Some(false) => {}
            None => result = None,
        }
    }
    result
}

/// Reads a whole text as a number: a sign, digits, a fraction, an exponent. What else Rust or C
/// would take ("inf", "0x10", " 1") is text.
pub(super) fn numeral(text: &[u8]) -> Option<Scalar<'static>> {
    let (negative, unsigned) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let digits = count_digits(unsigned);
    if digits == 0 {
        return None;
    }
    if digits == unsigned.len() {
        if let Some(i) = integer(unsigned) {
            let i = if negative { -i } else { i };
            if i >= i128::from(i64::MIN) {
                return Some(Scalar::Int(i));
            }
        }
    } else if !is_fraction(unsigned.get(digits..)?) {
        return None;
    }
    let float: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    float.is_finite().then_some(Scalar::Float(float))
}

/// Decimal digits up to `u64::MAX`.
fn integer(digits: &[u8]) -> Option<i128> {
    let mut value = 0u64;
    for digit in digits {
        value = value
            .checked_mul(10)?
            .checked_add(u64::from(digit.wrapping_sub(b'0')))?;
    }
    Some(i128::from(value))
}

/// `.5`, `e9` or `.5e-9`.
fn is_fraction(mut rest: &[u8]) -> bool {
    if let [b'.', fraction @ ..] = rest {
        let digits = count_digits(fraction);
        if digits == 0 {
            return false;
        }
        rest = fraction.get(digits..).unwrap_or_default();
    }
    match rest {
        [] => true,
        [b'e' | b'E', b'+' | b'-', digits @ ..] | [b'e' | b'E', digits @ ..] => {
            !digits.is_empty() && count_digits(digits) == digits.len()
        }
        _ => false,
    }
}

fn count_digits(text: &[u8]) -> usize {
    text.iter().take_while(|b| b.is_ascii_digit()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads_as(text: &str) -> String {
        match numeral(text.as_bytes()) {
            Some(Scalar::Int(i)) => format!("int {i}"),
            Some(Scalar::Float(f)) => format!("float {f:?}"),
            _ => "text".to_owned(),
        }
    }

    #[test]
    fn only_whole_finite_decimal_numerals_are_numbers() {
        for (text, expected) in [
            ("0", "int 0"),
            ("-5", "int -5"),
            ("+5", "int 5"),
            ("007", "int 7"),
            ("18446744073709551615", "int 18446744073709551615"),
            ("18446744073709551616", "float 1.8446744073709552e19"),
            ("-9223372036854775808", "int -9223372036854775808"),
            ("-9223372036854775809", "float -9.223372036854776e18"),
            ("1.0", "float 1.0"),
            ("31.4e-1", "float 3.14"),
            ("6.022E23", "float 6.022e23"),
            ("1e5", "float 100000.0"),
            ("", "text"),
            ("-", "text"),
            ("1.", "text"),
            (".5", "text"),
            ("1e", "text"),
            ("1e+", "text"),
            (" 1", "text"),
            ("1 ", "text"),
            ("0x10", "text"),
            ("inf", "text"),
            ("NaN", "text"),
            ("1e999", "text"),
        ] {
            assert_eq!(reads_as(text), expected, "{text}");
        }
    }

    #[test]
    fn or_over_many_is_true_then_null_then_false() {
        assert_eq!(any([Some(false), None, Some(true)]), Some(true));
        assert_eq!(any([Some(false), None]), None);
        assert_eq!(any([Some(false)]), Some(false));
        assert_eq!(any([]), Some(false));
    }
}
