//! The content filter language (broker-behaviour §2), and what else reads the fields of payloads.
//!
//! | for | use |
//! |---|---|
//! | the filter of a subscription, query or delete | [`Filter`] |
//! | a projected expression | [`Expression`] |
//! | the order of query results | [`OrderBy`] |
//! | the fields that a subscriber selects | [`Select`] |
//! | one record for each group of records | [`Projection`] |
//! | delta publishes and delta subscriptions | [`merge`], [`diff`] |
//! | SOW keys, grouping, anything that needs the values of given paths | [`Extractor`] |
//!
//! A text is parsed once, by [`Filter::parse`], into a small program and the list of the paths that
//! it reads; for each message one pass over the payload finds just these, and the program runs over
//! them. What is not in the language is refused: no text ever means "matches" by not being
//! understood.
//!
//! # Where the sources are silent
//!
//! - Keywords and function names are taken in any case.
//! - A comparison with NULL or NaN is NULL, also under NOT and OR; AND, OR and NOT are those of SQL.
//! - NaN in arithmetic beats NULL. Division by zero and results that are not finite are NaN. Integer
//!   results outside 64 bits become floats.
//! - `IS NAN` asks for the number that is none; the string `'abc'` is not NaN, `'abc' + 1` is.
//! - FIX and NVFIX values that read as numbers are numbers, and keep their text for LIKE and the
//!   text functions. JSON strings stay strings.
//! - A string is a number if all of it is: no spaces, no `.5`, no `inf`.
//! - As text, true is `true`; a float has a `.0` at least.
//! - Functions of NULL are NULL, except that CONCAT takes it as empty (as the empty string *is*
//!   NULL), as do the replacement of REPLACE and REGEXP_REPLACE and the characters of TRIM.
//! - An array in NOT LIKE, NOT BETWEEN and NOT BEGINS WITH behaves as in NOT IN.
//! - Patterns are literals, also in the REGEXP functions; characters are bytes, `\w` is ASCII,
//!   `$` without `(?m)` matches at the very end only. A search that the engine gives up has not
//!   matched.
//! - `r'...'` after LIKE is looked for as it stands.
//!
//! Left out: XML; and of the functions trigonometry, checksums, geo, time formatting, those about the
//! client, `LAST_READ` and `SOW_KEY_HASH`, which are unknown, hence errors.
//!
//! # The broker's own limits
//!
//! - A pattern with look-around or backreferences is not found in a text of more than 8 KiB, nor if
//!   the search backtracks more than 20 000 times.
//! - The text functions make at most 16 MiB of text in one evaluation; a result beyond is NULL.
//! - A filter is at most 64 KiB long, with at most 100 patterns, where one with
//!   look-around or backreferences counts as ten; a select list is 64 KiB at most.
//! - A pattern whose automaton takes more than 128 KiB is refused.

mod compare;
mod composite;
mod delta;
mod error;
mod extract;
mod functions;
mod json;
mod lexer;
mod order;
mod parser;
mod path;
mod program;
mod projection;
mod raw_json;
pub(crate) mod regex;
mod select;
mod tag_value;
#[cfg(test)]
mod tests;
mod value;

pub use composite::{BrokenPart, parts, push_part};
pub(crate) use delta::overlay;
pub use delta::{Delta, diff, merge};
pub use error::{FilterError, PayloadError};
pub use extract::{Extractor, Values};
pub use order::{OrderBy, SortKey};
pub use path::{Path, Step};
pub use projection::Projection;
pub use select::Select;
pub use value::Value;

use crate::message_type::MessageType;
use program::Op;

/// A message that an expression is evaluated over. What is not known of it is NULL to the function
/// that asks.
pub trait Candidate {
    /// How the payload is written.
    fn message_type(&self) -> &MessageType;

    /// The payload.
    fn payload(&self) -> &[u8];

    /// `TOPIC_NAME()`.
    fn topic(&self) -> &str;

    /// `BOOKMARK()`.
    fn bookmark(&self) -> Option<&str> {
        None
    }

    /// `CORRELATION_ID()`.
    fn correlation_id(&self) -> Option<&[u8]> {
        None
    }

    /// `SOW_KEY()`.
    fn sow_key(&self) -> Option<&str> {
        None
    }

    /// `LAST_UPDATED()`: when the record was last written, in seconds since 1970.
    fn last_updated(&self) -> Option<f64> {
        None
    }

    /// `LAST_LEASED()`: when the queue message was last leased, in seconds since 1970.
    fn last_leased(&self) -> Option<f64> {
        None
    }

    /// `LEASE_COUNT()`: how often the queue message was leased.
    fn lease_count(&self) -> Option<u64> {
        None
    }
}

/// A message of which only the essentials are known.
#[derive(Clone, Copy, Debug)]
pub struct BareMessage<'a> {
    /// How the payload is written.
    pub message_type: &'a MessageType,
    /// The topic that it was published to.
    pub topic: &'a str,
    /// The payload.
    pub payload: &'a [u8],
}

impl Candidate for BareMessage<'_> {
    fn message_type(&self) -> &MessageType {
        self.message_type
    }

    fn payload(&self) -> &[u8] {
        self.payload
    }

    fn topic(&self) -> &str {
        self.topic
    }
}

/// A compiled expression.
#[derive(Clone, Debug)]
pub struct Expression {
    program: Vec<Op>,
    paths: Vec<Path>,
    extractor: Extractor,
    deterministic: bool,
}

impl Expression {
    /// Compiles a text.
    ///
    /// # Errors
    /// When the text is not in the language: unknown words and functions, a wrong number of
    /// arguments, a bad pattern, anything behind the end, more than a hundred levels of nesting or
    /// patterns, or more than 64 KiB.
    pub fn parse(text: &str) -> Result<Expression, FilterError> {
        let compiled = parser::parse(text)?;
        Ok(Expression {
            program: compiled.program,
            extractor: Extractor::new(&compiled.paths),
            paths: compiled.paths,
            deterministic: compiled.deterministic,
        })
    }

    /// The value of the expression over a message.
    pub fn evaluate(&self, message: &dyn Candidate) -> Value<'static> {
        self.with_value(message, |value| value.into_owned())
    }

    fn with_value<T>(&self, message: &dyn Candidate, then: impl FnOnce(Value<'_>) -> T) -> T {
        let fields = self
            .extractor
            .extract(message.message_type(), message.payload());
        then(program::run(&self.program, &fields, message, &[]))
    }

    /// The fields that the expression reads.
    pub fn paths(&self) -> &[Path] {
        &self.paths
    }

    /// Whether the value depends on the message alone. If not, AMPS refuses the expression in
    /// filters of out-of-focus, paginated and aggregated subscriptions, queues and views.
    pub fn is_deterministic(&self) -> bool {
        self.deterministic
    }
}

/// A content filter: an expression of which only the truth counts.
///
/// ```
/// use amps_broker::filter::{BareMessage, Filter};
/// use amps_broker::message_type::MessageType;
///
/// let filter = Filter::parse("/qty > 50 AND /sym IN ('IBM', 'MSFT')")?;
/// let message = |payload| BareMessage { message_type: &MessageType::Json, topic: "orders", payload };
/// assert!(filter.matches(&message(br#"{"sym":"IBM","qty":100}"#)));
/// assert!(!filter.matches(&message(br#"{"sym":"IBM"}"#)));
/// assert!(Filter::parse("/sym CONTAINS 'IBM'").is_err());
/// # Ok::<(), amps_broker::filter::FilterError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Filter(Expression);

impl Filter {
    /// Compiles the text of a filter.
    ///
    /// # Errors
    /// As [`Expression::parse`]; the text is then refused with `bad filter`.
    pub fn parse(text: &str) -> Result<Filter, FilterError> {
        Expression::parse(text).map(Filter)
    }

    /// Whether the filter is true for the message: neither false nor NULL.
    pub fn matches(&self, message: &dyn Candidate) -> bool {
        self.0
            .with_value(message, |value| value.truth() == Some(true))
    }

    /// The expression behind the filter.
    pub fn expression(&self) -> &Expression {
        &self.0
    }
}
