//! Cuts the text of a filter into tokens (broker-behaviour §2.3).

use super::compare::Comparison;
use super::error::FilterError;
use super::path::Path;
use super::value::{Scalar, Value, numeral};

/// A token of a filter.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'t> {
    Number(Value<'static>),
    /// What is between the quotes, escapes and all: a pattern wants them untouched.
    Text(&'t str),
    /// What is between the quotes of `r'...'`.
    RawText(&'t str),
    Path(Path),
    Word(&'t str),
    /// With how tightly it binds among its like.
    Compare(Comparison, u8),
    Plus,
    Minus,
    Star,
    Slash,
    Percent,
    Open,
    Close,
    Comma,
    End,
}

impl Token<'_> {
    /// Whether this is the keyword, in whatever case.
    pub(super) fn is_word(&self, keyword: &str) -> bool {
        matches!(self, Token::Word(word) if word.eq_ignore_ascii_case(keyword))
    }
}

/// Reads tokens one after another.
#[derive(Debug)]
pub(super) struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str) -> Lexer<'t> {
        Lexer { text, at: 0 }
    }

    /// The next token and where it starts.
    pub(super) fn next(&mut self) -> Result<(usize, Token<'t>), FilterError> {
        let rest = self.rest().trim_start();
        self.at = self.text.len() - rest.len();
        let start = self.at;
        let Some(first) = rest.chars().next() else {
            return Ok((start, Token::End));
        };
        let token = match first {
            '/' if self.divides() => self.symbol(1, Token::Slash),
            '/' | '[' => {
                let (path, used) = Path::scan(rest).map_err(|e| e.shifted(start))?;
                self.symbol(used, Token::Path(path))
            }
            '\'' | '"' => Token::Text(self.quoted(0, true)?),
            'r' | 'R' if rest[1..].starts_with(['\'', '"']) => {
                Token::RawText(self.quoted(1, false)?)
            }
            '0'..='9' => self.number()?,
            'a'..='z' | 'A'..='Z' | '_' => {
                let end = rest
                    .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .unwrap_or(rest.len());
                self.symbol(end, Token::Word(&rest[..end]))
            }
            '+' => self.symbol(1, Token::Plus),
            '-' => self.symbol(1, Token::Minus),
            '*' => self.symbol(1, Token::Star),
            '%' => self.symbol(1, Token::Percent),
            '(' => self.symbol(1, Token::Open),
            ')' => self.symbol(1, Token::Close),
            ',' => self.symbol(1, Token::Comma),
            _ => self.comparison(first)?,
        };
        Ok((start, token))
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn symbol(&mut self, length: usize, token: Token<'t>) -> Token<'t> {
        self.at += length;
        token
    }

    /// Whether the slash here has whitespace on both sides; otherwise it starts a path.
    fn divides(&self) -> bool {
        let before = self.text.get(..self.at).unwrap_or_default();
        let after = self.text.get(self.at + 1..).unwrap_or_default();
        before.ends_with(char::is_whitespace) && after.starts_with(char::is_whitespace)
    }

    /// The comparison operators bind among themselves in this order, tightest first:
    /// `== = > >= < <= != <>`.
    fn comparison(&mut self, first: char) -> Result<Token<'t>, FilterError> {
        const OPERATORS: [(&str, Comparison, u8); 8] = [
            ("==", Comparison::Equal, 7),
            (">=", Comparison::GreaterOrEqual, 4),
            ("<=", Comparison::LessOrEqual, 2),
            ("!=", Comparison::NotEqual, 1),
            ("<>", Comparison::NotEqual, 0),
            ("=", Comparison::Equal, 6),
            (">", Comparison::Greater, 5),
            ("<", Comparison::Less, 3),
        ];
        let rest = self.rest();
        for (text, operator, level) in OPERATORS {
            if rest.starts_with(text) {
                return Ok(self.symbol(text.len(), Token::Compare(operator, level)));
            }
        }
        Err(FilterError::new(self.at, format!("unexpected {first:?}")))
    }

    fn number(&mut self) -> Result<Token<'t>, FilterError> {
        let rest = self.rest();
        let mut previous = '0';
        let end = rest
            .find(|c: char| {
                let signed_exponent = matches!(c, '+' | '-') && matches!(previous, 'e' | 'E');
                previous = c;
                !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_') || signed_exponent)
            })
            .unwrap_or(rest.len());
        let number = match numeral(&rest.as_bytes()[..end]) {
            Some(Scalar::Int(i)) => Value::integer(i),
            Some(Scalar::Float(f)) => Value::Float(f),
            _ => {
                let what = format!("{:?} is no number", &rest[..end]);
                return Err(FilterError::new(self.at, what));
            }
        };
        Ok(self.symbol(end, Token::Number(number)))
    }

    /// A string that starts `skip` bytes on with its quote.
    fn quoted(&mut self, skip: usize, escapes: bool) -> Result<&'t str, FilterError> {
        let body = &self.rest()[skip + 1..];
        let quote = self.rest().as_bytes()[skip];
        let mut escaped = false;
        for (i, b) in body.bytes().enumerate() {
            if escaped {
                escaped = false;
            } else if b == quote {
                self.at += skip + 1 + i + 1;
                return Ok(&body[..i]);
            } else {
                escaped = escapes && b == b'\\';
            }
        }
        Err(FilterError::new(
            self.at,
            "string without its closing quote",
        ))
    }
}

/// The bytes that a string means: `\a \b \t \n \f \r \xHH \OOO`; a backslash before anything else
/// is dropped.
pub(super) fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        let (byte, length) = match rest {
            [b'a', ..] => (7, 1),
            [b'b', ..] => (8, 1),
            [b't', ..] => (b'\t', 1),
            [b'n', ..] => (b'\n', 1),
            [b'f', ..] => (12, 1),
            [b'r', ..] => (b'\r', 1),
            [b'x', h, l, ..] if h.is_ascii_hexdigit() && l.is_ascii_hexdigit() => {
                (hex(*h) << 4 | hex(*l), 3)
            }
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] => {
                ((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'), 3)
            }
            [other, ..] => (*other, 1),
            // A quoted string never ends in a lone backslash.
            [] => (b'\\', 0),
        };
        bytes.push(byte);
        rest = rest.get(length..).unwrap_or_default();
    }
    bytes
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Result<Vec<Token<'_>>, FilterError> {
        let mut lexer = Lexer::new(text);
        let mut tokens = Vec::new();
        loop {
            match lexer.next()?.1 {
                Token::End => return Ok(tokens),
                token => tokens.push(token),
            }
        }
    }

    #[test]
    fn a_slash_divides_only_with_whitespace_on_both_sides() {
        assert!(tokens("/a / /b").unwrap().contains(&Token::Slash));
        assert_eq!(tokens("/a/b").unwrap().len(), 1);
        assert_eq!(tokens("/a /b").unwrap().len(), 2);
        assert!(tokens("(1)/ 2").is_err());
        assert!(tokens("/a/ 2").is_err());
    }

    #[test]
    fn escapes_mean_bytes_and_unknown_ones_their_character() {
        for (text, expected) in [
            (r"\a\b\t\n\f\r", &b"\x07\x08\t\n\x0c\r"[..]),
            (r"\x41\xff\xG1\x4", b"A\xffxG1x4"),
            (r"\101\377\400\18", b"A\xff40018"),
            (r"\'\\\q", b"'\\q"),
            ("ü", "ü".as_bytes()),
        ] {
            assert_eq!(unescape(text), expected, "{text}");
        }
    }

    #[test]
    fn an_escaped_quote_does_not_end_a_string_but_ends_a_raw_one() {
        assert_eq!(tokens(r"'it\'s'").unwrap(), [Token::Text(r"it\'s")]);
        assert_eq!(
            tokens(r"r'it\' R").unwrap(),
            [Token::RawText(r"it\"), Token::Word("R")]
        );
        assert_eq!(tokens(r#""a'b""#).unwrap(), [Token::Text("a'b")]);
    }

    #[test]
    fn half_numbers_and_open_strings_are_refused() {
        for text in [
            "5abc", "1.", "1.2.3", "1e", "0x10", "1e999", "'abc", r"'abc\'", "r'abc",
        ] {
            assert!(tokens(text).is_err(), "{text}");
        }
    }
}
