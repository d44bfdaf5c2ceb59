//! Functions of numbers. A NULL argument gives NULL, one that is no number NaN.

use super::{Function, argument};
use crate::filter::compare::{as_float, negate};
use crate::filter::value::{Scalar, Value};

/// Calls a numeric function; `None` if the function is none.
pub(super) fn call(function: Function, arguments: &[Value<'_>]) -> Option<Value<'static>> {
    let float = |operation: fn(f64) -> f64| {
        of_numbers(arguments, |numbers| match numbers {
            [x, ..] => Value::float(operation(as_float(*x))),
            [] => Value::Null,
        })
    };
    Some(match function {
        Function::Abs => match argument(arguments, 0).number() {
            Scalar::Int(i) => Value::integer(i.abs()),
            Scalar::Float(f) if f < 0.0 => negate(argument(arguments, 0)),
            _ => float(|x| x),
        },
        Function::Ceiling => whole(arguments, f64::ceil),
        Function::Floor => whole(arguments, f64::floor),
        Function::Round if arguments.len() < 2 => whole(arguments, f64::round),
        Function::Round => of_numbers(arguments, |numbers| match numbers {
            [Scalar::Int(i), Scalar::Int(0..)] => Value::integer(*i),
            [x, places] => Value::float(round(as_float(*x), as_float(*places))),
            _ => Value::Null,
        }),
        Function::Sign => of_numbers(arguments, |numbers| match numbers {
            [Scalar::Int(i)] => Value::integer(i.signum()),
            [Scalar::Float(f)] => Value::integer(i128::from(*f > 0.0) - i128::from(*f < 0.0)),
            _ => Value::Null,
        }),
        Function::Sqrt => float(f64::sqrt),
        Function::Exp => float(f64::exp),
        Function::Ln => float(f64::ln),
        Function::Log2 => float(f64::log2),
        Function::Log10 => float(f64::log10),
        Function::Radians => float(f64::to_radians),
        Function::Degrees => float(f64::to_degrees),
        Function::Power => of_numbers(arguments, |numbers| match numbers {
            [x, y] => Value::float(as_float(*x).powf(as_float(*y))),
            _ => Value::Null,
        }),
        Function::WidthBucket => of_numbers(arguments, |numbers| match numbers {
            [x, low, high, count] => {
                let [x, low, high, count] = [x, low, high, count].map(|n| as_float(*n));
                width_bucket(x, low, high, count)
            }
            _ => Value::Null,
        }),
        _ => return None,
    })
}

/// Applies a function to the arguments as numbers, unless one is NULL or NaN.
fn of_numbers(
    arguments: &[Value<'_>],
    operation: impl FnOnce(&[Scalar<'_>]) -> Value<'static>,
) -> Value<'static> {
    let mut numbers = [Scalar::Null; 4];
    let mut null = false;
    for (number, argument) in numbers.iter_mut().zip(arguments) {
        *number = argument.number();
        match number {
            Scalar::Nan => return Value::Float(f64::NAN),
            Scalar::Null => null = true,
            _ => {}
        }
    }
    if null {
        return Value::Null;
    }
    operation(numbers.get(..arguments.len()).unwrap_or_default())
}

/// A float made whole; integers are already.
fn whole(arguments: &[Value<'_>], operation: fn(f64) -> f64) -> Value<'static> {
    of_numbers(arguments, |numbers| match numbers {
        [Scalar::Int(i), ..] => Value::integer(*i),
        [Scalar::Float(f), ..] => {
            let whole = operation(*f);
            // Outside the range of 64 bits the cast may be off; the float is exact.
            if whole.abs() < 9e18 {
                Value::integer(whole as i128)
            } else {
                Value::Float(whole)
            }
        }
        _ => Value::Null,
    })
}

/// Half away from zero, as decimal places; a negative number of places rounds to tens.
fn round(x: f64, places: f64) -> f64 {
    let factor = 10f64.powi(places.clamp(-400.0, 400.0) as i32);
    let rounded = if factor.is_finite() && factor > 0.0 {
        (x * factor).round() / factor
    } else if factor == 0.0 {
        0.0
    } else {
        x
    };
    // A product that overflows had no decimal places to lose.
    if rounded.is_finite() { rounded } else { x }
}

/// As in SQL: 0 below the range, count + 1 at its end and above.
fn width_bucket(x: f64, low: f64, high: f64, count: f64) -> Value<'static> {
    if count < 1.0 || low == high {
        return Value::Float(f64::NAN);
    }
    let share = (x - low) / (high - low);
    let bucket = if share < 0.0 {
        0.0
    } else if share >= 1.0 {
        count.floor() + 1.0
    } else {
        (share * count.floor()).floor() + 1.0
    };
    Value::integer(bucket as i128)
}
