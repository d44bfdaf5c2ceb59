//! A compiled expression: operations on a stack of values.
//!
//! The parser appends operations in the order in which they run, so neither running nor dropping an
//! expression recurses, however long a chain of operators it is.

use memchr::memmem;
use smallvec::SmallVec;

use super::Candidate;
use super::compare::{Arithmetic, Comparison, and, between, negate, or};
use super::extract::Values;
use super::functions::{self, Function, Room};
use super::regex::Regex;
use super::value::{Value, any};

/// One operation. What it takes from the stack it removes; its result goes on top.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Constant(Value<'static>),
    /// The value of the path with this index.
    Field(usize),
    Compare(Comparison),
    /// Field, constant and comparison in one: most filters are made of these, and moving the values
    /// to the stack and back costs more than comparing them.
    CompareField(usize, Comparison, Value<'static>),
    Arithmetic(Arithmetic),
    Negate,
    Not,
    And,
    Or,
    /// Goes to the operation if the top is false, and leaves it as the result of AND.
    SkipIfFalse(usize),
    /// Goes to the operation if the top is true, and leaves it as the result of OR.
    SkipIfTrue(usize),
    Between,
    /// The value is below this many others.
    In(usize),
    Like(Pattern),
    BeginsWith(Box<[Vec<u8>]>),
    EndsWith(Box<[Vec<u8>]>),
    IsNull,
    IsNotNull,
    IsNan,
    /// With how many arguments.
    Call(Function, usize),
    RegexpMatch(Pattern),
    RegexpReplace(Pattern),
    /// The result of the aggregate with this index.
    Aggregate(usize),
}

/// A pattern literal.
#[derive(Clone, Debug)]
pub(super) enum Pattern {
    Regex(Box<Regex>),
    /// A pattern without special characters, which is found faster as what it is.
    Plain(Box<[u8]>),
}

impl Pattern {
    /// Whether it is found anywhere in the text. A search that the engine gives up (too much
    /// backtracking) has not found it.
    fn is_in(&self, text: &[u8]) -> bool {
        match self {
            Pattern::Regex(regex) => regex.is_in(text),
            Pattern::Plain(plain) => memmem::find(text, plain).is_some(),
        }
    }

    /// Where it is next found at or after `from`.
    pub(super) fn find(&self, text: &[u8], from: usize) -> Option<(usize, usize)> {
        match self {
            Pattern::Regex(regex) => regex.find(text, from),
            Pattern::Plain(plain) => {
                let start = from + memmem::find(text.get(from..)?, plain)?;
                Some((start, start + plain.len()))
            }
        }
    }
}

/// What is on the stack. Few expressions hold more than a handful at once.
pub(super) type Stack<'v> = SmallVec<[Value<'v>; 6]>;

/// Runs the operations and returns what they leave. Only projections have aggregates.
pub(super) fn run<'v>(
    program: &'v [Op],
    fields: &'v Values<'_>,
    message: &'v dyn Candidate,
    aggregates: &'v [Value<'static>],
) -> Value<'v> {
    let mut stack = Stack::new();
    let mut room = Room::default();
    let mut next = 0;
    while let Some(op) = program.get(next) {
        next += 1;
        let result = match op {
            Op::Constant(value) => value.borrowed(),
            Op::Field(index) => fields.get(*index),
            Op::Aggregate(index) => aggregates
                .get(*index)
                .map(Value::borrowed)
                .unwrap_or_default(),
            Op::Compare(operator) => binary(&mut stack, |l, r| operator.apply(l, r)),
            Op::CompareField(index, operator, value) => {
                Value::truth_of(operator.apply(&fields.get(*index), value))
            }
            Op::And => binary(&mut stack, |l, r| and(l.truth(), r.truth())),
            Op::Or => binary(&mut stack, |l, r| or(l.truth(), r.truth())),
            Op::Arithmetic(operator) => {
                let right = pop(&mut stack);
                operator.apply(&pop(&mut stack), &right)
            }
            Op::Negate => negate(&pop(&mut stack)),
            Op::Not => Value::truth_of(pop(&mut stack).truth().map(|truth| !truth)),
            Op::SkipIfFalse(target) | Op::SkipIfTrue(target) => {
                let decided = Some(matches!(op, Op::SkipIfTrue(_)));
                if stack.last().and_then(Value::truth) != decided {
                    continue;
                }
                next = *target;
                pop(&mut stack);
                Value::truth_of(decided)
            }
            Op::Between => {
                let high = pop(&mut stack);
                let low = pop(&mut stack);
                Value::truth_of(between(&pop(&mut stack), &low, &high))
            }
            Op::In(count) => {
                let items = stack.len().saturating_sub(*count);
                let value = items.checked_sub(1).and_then(|i| stack.get(i));
                let truth = value.and_then(|value| {
                    let items = stack.get(items..).unwrap_or_default();
                    any(items
                        .iter()
                        .map(|item| Comparison::Equal.apply(value, item)))
                });
                stack.truncate(items.saturating_sub(1));
                Value::truth_of(truth)
            }
            Op::Like(pattern) => each(&mut stack, |text| pattern.is_in(text)),
            Op::BeginsWith(starts) => each(&mut stack, |text| {
                starts.iter().any(|start| text.starts_with(start))
            }),
            Op::EndsWith(ends) => each(&mut stack, |text| {
                ends.iter().any(|end| text.ends_with(end))
            }),
            Op::IsNull => Value::Bool(pop(&mut stack).is_null()),
            Op::IsNotNull => Value::Bool(!pop(&mut stack).is_null()),
            Op::IsNan => Value::Bool(pop(&mut stack).is_nan()),
            Op::Call(function, arguments) => {
                let first = stack.len().saturating_sub(*arguments);
                let arguments = stack.get_mut(first..).unwrap_or_default();
                let result = functions::call(*function, arguments, message, &mut room);
                stack.truncate(first);
                result
            }
            Op::RegexpMatch(pattern) => functions::regexp_match(pop(&mut stack), pattern),
            Op::RegexpReplace(pattern) => {
                let new = pop(&mut stack);
                functions::regexp_replace(pop(&mut stack), pattern, new, &mut room)
                    .unwrap_or_default()
            }
        };
        stack.push(result);
    }
    pop(&mut stack)
}

/// The parser never emits an operation without its operands, so this never has to invent one.
fn pop<'v>(stack: &mut Stack<'v>) -> Value<'v> {
    stack.pop().unwrap_or_default()
}

fn binary<'v>(
    stack: &mut Stack<'v>,
    operate: impl FnOnce(&Value<'v>, &Value<'v>) -> Option<bool>,
) -> Value<'v> {
    let right = pop(stack);
    let left = pop(stack);
    Value::truth_of(operate(&left, &right))
}

/// Tests the text of a value, or of any element of an array; NULL is neither true nor false.
fn each<'v>(stack: &mut Stack<'v>, test: impl Fn(&[u8]) -> bool) -> Value<'v> {
    let one = |value: &Value<'_>| value.borrowed().into_text().map(|text| test(&text));
    let value = pop(stack);
    Value::truth_of(match &value {
        Value::Null => None,
        Value::Array(elements) => any(elements.iter().map(one)),
        scalar => one(scalar),
    })
}
