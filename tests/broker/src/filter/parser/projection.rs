//! Projections: `SUM(/qty) AS /total, /symbol` (broker-behaviour §12).

use super::{MAX_LENGTH, Op, Parsed, Parser, Token};
use crate::filter::error::FilterError;
use crate::filter::lexer::unescape;
use crate::filter::path::Path;
use crate::filter::projection::Kind;

/// An aggregate in a projection.
#[derive(Clone, Debug)]
pub(crate) struct Aggregate {
    pub(crate) kind: Kind,
    /// What is aggregated.
    pub(crate) argument: Vec<Op>,
}

/// One field of the result.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) program: Vec<Op>,
    /// Where the result goes.
    pub(crate) output: Path,
    /// The field, if it is taken over as it is.
    pub(crate) plain: Option<Path>,
}

/// A projection and everything that its items share.
#[derive(Debug)]
pub(crate) struct List {
    pub(crate) items: Vec<Item>,
    pub(crate) aggregates: Vec<Aggregate>,
    /// The fields that are read.
    pub(crate) paths: Vec<Path>,
    pub(crate) deterministic: bool,
}

/// Compiles a list of `expression AS /path`; a field that keeps its path needs no `AS`.
pub(crate) fn parse_list(text: &str) -> Result<List, FilterError> {
    if text.len() > MAX_LENGTH {
        return Err(FilterError::new(MAX_LENGTH, "too long"));
    }
    let mut parser = Parser::new(text);
    parser.aggregates = Some(Vec::new());
    parser.advance()?;
    let mut items = vec![parser.item()?];
    while parser.token == Token::Comma {
        parser.advance()?;
        items.push(parser.item()?);
    }
    if parser.token != Token::End {
        return Err(parser.unexpected("',' or the end"));
    }
    Ok(List {
        items,
        aggregates: parser.aggregates.unwrap_or_default(),
        paths: parser.compiled.paths,
        deterministic: parser.compiled.deterministic,
    })
}

/// The aggregate of this name. The delimiter of GROUP_CONCAT is still to be read.
pub(super) fn find(name: &str) -> Option<Kind> {
    let kinds = [
        ("SUM", Kind::Sum),
        ("AVG", Kind::Avg),
        ("COUNT", Kind::Count),
        ("COUNT_DISTINCT", Kind::CountDistinct),
        ("MIN", Kind::Min),
        ("MAX", Kind::Max),
        ("ANY", Kind::Any),
        ("UNIQUE", Kind::Unique),
        ("STDDEV_POP", Kind::StddevPop),
        ("STDDEV_SAMP", Kind::StddevSamp),
        ("GROUP_CONCAT", Kind::GroupConcat(b",".to_vec())),
    ];
    let found = |(known, _): &(&str, Kind)| known.eq_ignore_ascii_case(name);
    kinds.into_iter().find(found).map(|(_, kind)| kind)
}

impl Parser<'_> {
    fn item(&mut self) -> Parsed<Item> {
        self.expression()?;
        let program = std::mem::take(&mut self.compiled.program);
        let plain = match &program[..] {
            [Op::Field(slot)] => self.compiled.paths.get(*slot).cloned(),
            _ => None,
        };
        let output = if self.take_word("AS")? {
            match self.advance()? {
                Token::Path(path) => path,
                _ => return Err(self.unexpected("a path before this")),
            }
        } else {
            plain.clone().ok_or_else(|| self.unexpected("AS"))?
        };
        Ok(Item {
            program,
            output,
            plain,
        })
    }

    /// An aggregate, from behind its opening parenthesis.
    pub(super) fn aggregate(&mut self, mut kind: Kind, at: usize) -> Parsed {
        // Taken away meanwhile: there are no aggregates of aggregates.
        let Some(mut aggregates) = self.aggregates.take() else {
            return Err(FilterError::new(at, "an aggregate is not possible here"));
        };
        let outside = std::mem::take(&mut self.compiled.program);
        self.expression()?;
        if let Kind::GroupConcat(delimiter) = &mut kind
            && self.token == Token::Comma
        {
            self.advance()?;
            *delimiter = match self.token {
                Token::Text(text) => unescape(text),
                Token::RawText(text) => text.as_bytes().to_vec(),
                _ => return Err(self.unexpected("a string literal")),
            };
            self.advance()?;
        }
        self.expect(&Token::Close, "')'")?;
        let argument = std::mem::replace(&mut self.compiled.program, outside);
        self.emit(Op::Aggregate(aggregates.len()));
        aggregates.push(Aggregate { kind, argument });
        self.aggregates = Some(aggregates);
        Ok(())
    }
}
