//! The functions of the language: their names and arities, and the ones about arrays, choices and
//! the message (broker-behaviour §2.5). Text and numbers have a file each.

mod numeric;
mod text;

use std::cmp::Ordering;
use std::ops::RangeInclusive;
use std::time::{SystemTime, UNIX_EPOCH};

use super::Candidate;
use super::compare::{Arithmetic, order};
use super::value::{Scalar, Value};

pub(super) use text::{Room, regexp_match, regexp_replace};

macro_rules! functions {
    ($($name:literal $function:ident $arguments:expr;)*) => {
        /// A function of the language.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Function { $($function),* }

        const SIGNATURES: &[Signature] = &[$(Signature {
            name: $name,
            function: Function::$function,
            arguments: $arguments,
        }),*];
    };
}

/// As many arguments as one likes.
const MANY: usize = usize::MAX;

functions! {
    "INSTR" Instr 2..=2;
    "INSTR_I" InstrI 2..=2;
    "STREQUAL_I" StrEqualI 2..=2;
    "LENGTH" Length 1..=1;
    "CONCAT" Concat 1..=MANY;
    "UPPER" Upper 1..=1;
    "LOWER" Lower 1..=1;
    "REPLACE" Replace 3..=3;
    // These two the parser compiles with their pattern.
    "REGEXP_MATCH" RegexpMatch 2..=2;
    "REGEXP_REPLACE" RegexpReplace 3..=3;
    "REVERSE" Reverse 1..=1;
    "SUBSTR" Substr 2..=3;
    "LEFT" Left 2..=2;
    "RIGHT" Right 2..=2;
    "TRIM" Trim 1..=2;
    "LTRIM" LTrim 1..=2;
    "RTRIM" RTrim 1..=2;
    "CHAR_VALUE" CharValue 1..=1;
    "COALESCE" Coalesce 1..=MANY;
    "IF" If 3..=3;
    "ABS" Abs 1..=1;
    "CEILING" Ceiling 1..=1;
    "FLOOR" Floor 1..=1;
    "ROUND" Round 1..=2;
    "SIGN" Sign 1..=1;
    "SQRT" Sqrt 1..=1;
    "POWER" Power 2..=2;
    "EXP" Exp 1..=1;
    "LN" Ln 1..=1;
    "LOG2" Log2 1..=1;
    "LOG10" Log10 1..=1;
    "RADIANS" Radians 1..=1;
    "DEGREES" Degrees 1..=1;
    "WIDTH_BUCKET" WidthBucket 4..=4;
    "GREATEST" Greatest 1..=MANY;
    "LEAST" Least 1..=MANY;
    "ARRAY_COUNT" ArrayCount 1..=1;
    "ARRAY_MIN" ArrayMin 1..=1;
    "ARRAY_MAX" ArrayMax 1..=1;
    "ARRAY_SUM" ArraySum 1..=1;
    "ARRAY_TO_STRING" ArrayToString 2..=3;
    "UNIX_TIMESTAMP" UnixTimestamp 0..=0;
    "TOPIC_NAME" TopicName 0..=0;
    "MESSAGE_SIZE" MessageSize 0..=0;
    "CORRELATION_ID" CorrelationId 0..=0;
    "BOOKMARK" Bookmark 0..=0;
    "SOW_KEY" SowKey 0..=0;
    "LAST_UPDATED" LastUpdated 0..=0;
    "LAST_LEASED" LastLeased 0..=0;
    "LEASE_COUNT" LeaseCount 0..=0;
    "TRUE_VALUE" TrueValue 0..=0;
    "FALSE_VALUE" FalseValue 0..=0;
    "NAN_VALUE" NanValue 0..=0;
}

/// What the parser has to know of a function.
#[derive(Debug)]
pub(super) struct Signature {
    name: &'static str,
    pub(super) function: Function,
    pub(super) arguments: RangeInclusive<usize>,
}

/// The function of that name, in whatever case.
pub(super) fn find(name: &str) -> Option<&'static Signature> {
    SIGNATURES
        .iter()
        .find(|signature| signature.name.eq_ignore_ascii_case(name))
}

/// Calls a function. The parser has checked the number of arguments.
pub(super) fn call<'v>(
    function: Function,
    arguments: &mut [Value<'v>],
    message: &'v dyn Candidate,
    room: &mut Room,
) -> Value<'v> {
    let seconds = |time: Option<f64>| time.map_or(Value::Null, Value::float);
    let string = |text: Option<&'v [u8]>| text.map_or(Value::Null, Value::string);
    match function {
        Function::ArrayCount => Value::integer(argument(arguments, 0).elements().len() as i128),
        Function::ArrayMin => extreme(argument(arguments, 0).elements(), Ordering::Less),
        Function::ArrayMax => extreme(argument(arguments, 0).elements(), Ordering::Greater),
        Function::ArraySum => sum(argument(arguments, 0).elements()),
        Function::ArrayToString => text::array_to_string(arguments, room).unwrap_or_default(),
        Function::Coalesce => arguments
            .iter_mut()
            .map(|value| std::mem::take(value).first())
            .find(|value| !value.is_null())
            .unwrap_or_default(),
        Function::If => {
            let chosen = if argument(arguments, 0).truth() == Some(true) {
                1
            } else {
                2
            };
            take(arguments, chosen)
        }
        Function::Greatest | Function::Least if arguments.iter().any(Value::is_null) => Value::Null,
        Function::Greatest => extreme(arguments, Ordering::Greater),
        Function::Least => extreme(arguments, Ordering::Less),
        Function::TrueValue => Value::Bool(true),
        Function::FalseValue => Value::Bool(false),
        Function::NanValue => Value::Float(f64::NAN),
        Function::UnixTimestamp => seconds(
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .ok()
                .map(|since| since.as_secs_f64()),
        ),
        Function::TopicName => Value::string(message.topic().as_bytes()),
        Function::MessageSize => Value::integer(message.payload().len() as i128),
        Function::CorrelationId => string(message.correlation_id()),
        Function::Bookmark => string(message.bookmark().map(str::as_bytes)),
        Function::SowKey => string(message.sow_key().map(str::as_bytes)),
        Function::LastUpdated => seconds(message.last_updated()),
        Function::LastLeased => seconds(message.last_leased()),
        Function::LeaseCount => message
            .lease_count()
            .map_or(Value::Null, |count| Value::integer(count.into())),
        _ => numeric::call(function, arguments)
            .or_else(|| text::call(function, arguments, room))
            .unwrap_or_default(),
    }
}

/// The argument, NULL if it was left out.
fn argument<'a, 'v>(arguments: &'a [Value<'v>], index: usize) -> &'a Value<'v> {
    arguments.get(index).unwrap_or(&Value::Null)
}

/// Moves an argument out; of an array its first element.
fn take<'v>(arguments: &mut [Value<'v>], index: usize) -> Value<'v> {
    arguments
        .get_mut(index)
        .map(std::mem::take)
        .unwrap_or_default()
        .first()
}

/// The least or the greatest of the values that have an order.
fn extreme<'v>(values: &[Value<'v>], wanted: Ordering) -> Value<'v> {
    let mut best: Option<&Value<'v>> = None;
    for value in values {
        let better = match best {
            None => !value.is_null() && !value.is_nan(),
            Some(best) => order(value.scalar(), best.scalar()) == Some(wanted),
        };
        if better {
            best = Some(value);
        }
    }
    best.cloned().unwrap_or_default().first()
}

/// The sum of the elements that are not NULL; NULL if there are none.
fn sum(elements: &[Value<'_>]) -> Value<'static> {
    elements
        .iter()
        .filter(|element| !element.is_null())
        .fold(Value::Null, |sum, element| match sum {
            Value::Null => match element.number() {
                Scalar::Int(i) => Value::integer(i),
                Scalar::Float(f) => Value::Float(f),
                _ => Value::Float(f64::NAN),
            },
            sum => Arithmetic::Add.apply(&sum, element),
        })
}
