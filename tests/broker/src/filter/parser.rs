//! Reads the filter language and compiles it (broker-behaviour §2.3).
//!
//! One function per line of the grammar. Where a text is not in the grammar it is refused; nothing
//! is guessed.

use std::collections::HashMap;

use super::compare::{Arithmetic, Comparison};
use super::error::FilterError;
use super::functions::{self, Function};
use super::lexer::{Lexer, Token, unescape};
use super::path::Path;
use super::program::{Op, Pattern};
use super::regex::Regex;
use super::value::Value;

mod projection;

pub(super) use projection::{Aggregate, Item, parse_list};

/// How deep parentheses, function calls and NOTs may nest. Each level is about ten calls of the
/// parser; without optimisation a hundred levels take nearly 1 MiB of stack, half of what a thread
/// has by default.
const MAX_DEPTH: usize = 100;

/// How many patterns of the regex engine a text may have: each has an automaton of its own.
const MAX_PATTERNS: usize = 100;

/// As how many patterns one counts that backtracks: to look for it may take that much longer.
const BACKTRACKING_WEIGHT: usize = 10;

/// How long a text may be.
pub(super) const MAX_LENGTH: usize = 64 << 10;

/// What the parser makes of a text.
#[derive(Debug, Default)]
pub(super) struct Compiled {
    pub(super) program: Vec<Op>,
    pub(super) paths: Vec<Path>,
    pub(super) deterministic: bool,
}

/// Compiles a whole text.
pub(super) fn parse(text: &str) -> Result<Compiled, FilterError> {
    if text.len() > MAX_LENGTH {
        return Err(FilterError::new(MAX_LENGTH, "too long"));
    }
    let mut parser = Parser::new(text);
    parser.advance()?;
    parser.expression()?;
    match parser.token {
        Token::End => Ok(parser.compiled),
        _ => Err(parser.unexpected("the end")),
    }
}

struct Parser<'t> {
    lexer: Lexer<'t>,
    /// The token that is looked at, and where it starts.
    token: Token<'t>,
    at: usize,
    depth: usize,
    /// How many patterns there were, by weight.
    patterns: usize,
    /// Paths that were already seen.
    slots: HashMap<Path, usize>,
    compiled: Compiled,
    /// The aggregates so far, where there may be some.
    aggregates: Option<Vec<Aggregate>>,
}

type Parsed<T = ()> = Result<T, FilterError>;

impl<'t> Parser<'t> {
    fn new(text: &'t str) -> Parser<'t> {
        Parser {
            lexer: Lexer::new(text),
            token: Token::End,
            at: 0,
            depth: 0,
            patterns: 0,
            slots: HashMap::new(),
            compiled: Compiled {
                deterministic: true,
                ..Compiled::default()
            },
            aggregates: None,
        }
    }

    fn advance(&mut self) -> Parsed<Token<'t>> {
        let (at, token) = self.lexer.next()?;
        self.at = at;
        Ok(std::mem::replace(&mut self.token, token))
    }

    fn unexpected(&self, wanted: &str) -> FilterError {
        let found = match &self.token {
            Token::End => "the end of the text".to_owned(),
            Token::Word(word) => word.to_string(),
            Token::Path(path) => path.to_string(),
            Token::Text(text) | Token::RawText(text) => format!("the string {text:?}"),
            Token::Number(number) => format!("the number {number:?}"),
            other => format!("{other:?}"),
        };
        FilterError::new(self.at, format!("expected {wanted}, found {found}"))
    }

    fn take_word(&mut self, keyword: &str) -> Parsed<bool> {
        let found = self.token.is_word(keyword);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn expect_word(&mut self, keyword: &str) -> Parsed {
        if self.take_word(keyword)? {
            Ok(())
        } else {
            Err(self.unexpected(keyword))
        }
    }

    fn expect(&mut self, token: &Token<'_>, name: &str) -> Parsed {
        if self.token == *token {
            self.advance()?;
            Ok(())
        } else {
            Err(self.unexpected(name))
        }
    }

    fn emit(&mut self, op: Op) {
        self.compiled.program.push(op);
    }

    fn emit_comparison(&mut self, operator: Comparison) {
        let program = &mut self.compiled.program;
        // Two operations that only push are the two operands.
        let op = match &program[..] {
            [.., Op::Field(index), Op::Constant(value)] => {
                let op = Op::CompareField(*index, operator, value.clone());
                program.truncate(program.len() - 2);
                op
            }
            _ => Op::Compare(operator),
        };
        program.push(op);
    }

    fn next_op(&self) -> usize {
        self.compiled.program.len()
    }

    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == MAX_DEPTH {
            return Err(FilterError::new(self.at, "nested too deep"));
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    fn expression(&mut self) -> Parsed {
        self.and()?;
        while self.take_word("OR")? {
            let skip = self.next_op();
            self.emit(Op::SkipIfTrue(0));
            self.and()?;
            self.emit(Op::Or);
            self.compiled.program[skip] = Op::SkipIfTrue(self.next_op());
        }
        Ok(())
    }

    fn and(&mut self) -> Parsed {
        self.not()?;
        while self.take_word("AND")? {
            let skip = self.next_op();
            self.emit(Op::SkipIfFalse(0));
            self.not()?;
            self.emit(Op::And);
            self.compiled.program[skip] = Op::SkipIfFalse(self.next_op());
        }
        Ok(())
    }

    fn not(&mut self) -> Parsed {
        if self.take_word("NOT")? {
            self.deeper(Self::not)?;
            self.emit(Op::Not);
            return Ok(());
        }
        self.predicate()
    }

    fn predicate(&mut self) -> Parsed {
        self.sum()?;
        if let Token::Compare(..) = self.token {
            return self.comparisons(0);
        }
        if self.take_word("IS")? {
            let op = if self.take_word("NOT")? {
                self.expect_word("NULL")?;
                Op::IsNotNull
            } else if self.take_word("NAN")? {
                Op::IsNan
            } else {
                self.expect_word("NULL")?;
                Op::IsNull
            };
            self.emit(op);
            return Ok(());
        }
        let negated = self.take_word("NOT")?;
        if self.take_word("BETWEEN")? {
            self.sum()?;
            self.expect_word("AND")?;
            self.sum()?;
            self.emit(Op::Between);
        } else if self.take_word("IN")? {
            self.expect(&Token::Open, "'('")?;
            let count = self.list(Self::sum)?;
            self.emit(Op::In(count));
        } else if self.take_word("LIKE")? {
            let pattern = self.pattern()?;
            self.emit(Op::Like(pattern));
        } else if self.take_word("BEGINS")? {
            let starts = self.strings()?;
            self.emit(Op::BeginsWith(starts));
        } else if self.take_word("ENDS")? {
            let ends = self.strings()?;
            self.emit(Op::EndsWith(ends));
        } else if negated {
            return Err(self.unexpected("BETWEEN, IN, LIKE, BEGINS or ENDS"));
        }
        if negated {
            self.emit(Op::Not);
        }
        Ok(())
    }

    /// A chain of comparisons, of those that bind at least as tightly as `level`. It recurses only
    /// into tighter levels, of which there are eight.
    fn comparisons(&mut self, level: u8) -> Parsed {
        while let Token::Compare(operator, own) = self.token {
            if own < level {
                break;
            }
            self.advance()?;
            self.sum()?;
            self.comparisons(own + 1)?;
            self.emit_comparison(operator);
        }
        Ok(())
    }

    fn sum(&mut self) -> Parsed {
        self.term()?;
        loop {
            let operator = match self.token {
                Token::Plus => Arithmetic::Add,
                Token::Minus => Arithmetic::Subtract,
                _ => return Ok(()),
            };
            self.advance()?;
            self.term()?;
            self.emit(Op::Arithmetic(operator));
        }
    }

    fn term(&mut self) -> Parsed {
        self.unary()?;
        loop {
            let operator = match self.token {
                Token::Star => Arithmetic::Multiply,
                Token::Slash => Arithmetic::Divide,
                Token::Percent => Arithmetic::Remainder,
                Token::Word(word) if word.eq_ignore_ascii_case("MOD") => Arithmetic::Remainder,
                _ => return Ok(()),
            };
            self.advance()?;
            self.unary()?;
            self.emit(Op::Arithmetic(operator));
        }
    }

    fn unary(&mut self) -> Parsed {
        let negative = self.token == Token::Minus;
        if negative {
            self.advance()?;
        }
        self.primary()?;
        if negative {
            self.emit(Op::Negate);
        }
        Ok(())
    }

    fn primary(&mut self) -> Parsed {
        let op = match &self.token {
            Token::Number(number) => Op::Constant(number.clone()),
            Token::Text(text) => Op::Constant(Value::string(unescape(text))),
            Token::RawText(text) => Op::Constant(Value::string(text.as_bytes().to_vec())),
            Token::Path(path) => Op::Field(self.slot(path.clone())),
            Token::Open => {
                self.advance()?;
                self.deeper(Self::expression)?;
                return self.expect(&Token::Close, "')'");
            }
            word if word.is_word("NULL") => Op::Constant(Value::Null),
            &Token::Word(word) => {
                let at = self.at;
                self.advance()?;
                if self.token != Token::Open {
                    return Err(FilterError::new(at, format!("unknown word {word}")));
                }
                self.advance()?;
                return self.deeper(|parser| parser.call(word, at));
            }
            _ => return Err(self.unexpected("a value")),
        };
        self.advance()?;
        self.emit(op);
        Ok(())
    }

    fn slot(&mut self, path: Path) -> usize {
        let paths = &mut self.compiled.paths;
        *self.slots.entry(path).or_insert_with_key(|path| {
            paths.push(path.clone());
            paths.len() - 1
        })
    }

    /// A function call, from behind its opening parenthesis.
    fn call(&mut self, name: &str, at: usize) -> Parsed {
        if let Some(aggregate) = projection::find(name) {
            return self.aggregate(aggregate, at);
        }
        let signature = functions::find(name)
            .ok_or_else(|| FilterError::new(at, format!("unknown function {name}")))?;
        self.compiled.deterministic &= signature.function != Function::UnixTimestamp;
        if signature.function == Function::RegexpMatch {
            let pattern = self.subject_and_pattern()?;
            self.emit(Op::RegexpMatch(pattern));
            return self.expect(&Token::Close, "')'");
        }
        if signature.function == Function::RegexpReplace {
            let pattern = self.subject_and_pattern()?;
            self.expect(&Token::Comma, "','")?;
            self.expression()?;
            self.emit(Op::RegexpReplace(pattern));
            return self.expect(&Token::Close, "')'");
        }
        let count = if self.token == Token::Close {
            self.advance()?;
            0
        } else {
            self.list(Self::expression)?
        };
        if !signature.arguments.contains(&count) {
            let what = format!("{name} does not take {count} arguments");
            return Err(FilterError::new(at, what));
        }
        self.emit(Op::Call(signature.function, count));
        Ok(())
    }

    /// The first two arguments of the REGEXP functions.
    fn subject_and_pattern(&mut self) -> Parsed<Pattern> {
        self.expression()?;
        self.expect(&Token::Comma, "','")?;
        self.pattern()
    }

    /// Items between commas, up to and with the closing parenthesis. Says how many.
    fn list(&mut self, item: impl Fn(&mut Self) -> Parsed) -> Parsed<usize> {
        let mut count = 1;
        item(self)?;
        while self.token == Token::Comma {
            self.advance()?;
            item(self)?;
            count += 1;
        }
        self.expect(&Token::Close, "',' or ')'")?;
        Ok(count)
    }

    /// A pattern literal. A plain string goes to the regex engine with its backslashes; a raw one
    /// means its characters.
    fn pattern(&mut self) -> Parsed<Pattern> {
        let at = self.at;
        let pattern = match self.token {
            Token::RawText(text) => Pattern::Plain(text.as_bytes().into()),
            Token::Text(text) if is_plain(text) => Pattern::Plain(text.as_bytes().into()),
            Token::Text(text) => {
                let regex = Regex::of_bytes(text)
                    .map_err(|error| FilterError::new(at, format!("bad pattern: {error}")))?;
                self.patterns += if regex.backtracks() {
                    BACKTRACKING_WEIGHT
                } else {
                    1
                };
                if self.patterns > MAX_PATTERNS {
                    return Err(FilterError::new(at, "too many patterns"));
                }
                Pattern::Regex(Box::new(regex))
            }
            _ => return Err(self.unexpected("a pattern literal")),
        };
        self.advance()?;
        Ok(pattern)
    }

    /// `WITH` and one string, or several in parentheses.
    fn strings(&mut self) -> Parsed<Box<[Vec<u8>]>> {
        self.expect_word("WITH")?;
        let mut strings = Vec::new();
        let many = self.token == Token::Open;
        if many {
            self.advance()?;
        }
        loop {
            strings.push(match self.token {
                Token::Text(text) => unescape(text),
                Token::RawText(text) => text.as_bytes().to_vec(),
                _ => return Err(self.unexpected("a string literal")),
            });
            self.advance()?;
            if !many || self.token != Token::Comma {
                break;
            }
            self.advance()?;
        }
        if many {
            self.expect(&Token::Close, "',' or ')'")?;
        }
        // The empty string is NULL, with which nothing begins or ends.
        strings.retain(|string| !string.is_empty());
        Ok(strings.into())
    }
}

/// Whether a pattern has no character that means anything to a regex engine.
fn is_plain(pattern: &str) -> bool {
    !pattern.contains(|c| r"\^$.|?*+()[]{}".contains(c))
}
