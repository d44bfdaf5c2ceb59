//! How a message is printed: text with placeholders.

use amps::Message;
use std::io::{self, Write};

/// A text such as `{topic}: {data}`, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Format {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Placeholder(Placeholder),
}

macro_rules! placeholders {
    ($($variant:ident = $name:literal;)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        enum Placeholder {
            $($variant,)*
        }

        const PLACEHOLDERS: &[(&str, Placeholder)] = &[$(($name, Placeholder::$variant),)*];
    };
}

placeholders! {
    Bookmark = "bookmark";
    Command = "command";
    CorrelationId = "correlation_id";
    Data = "data";
    Expiration = "expiration";
    LeasePeriod = "lease_period";
    Length = "length";
    SowKey = "sowkey";
    Timestamp = "timestamp";
    Topic = "topic";
    UserId = "user_id";
}

impl Format {
    /// Takes a format apart. `\n`, `\t` and `\\` are what they are elsewhere. A name in braces is
    /// a placeholder; braces around anything else stay, so a format can be JSON.
    pub(crate) fn parse(text: &str) -> Result<Format, String> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if let Some((name, after)) = name_in_braces(rest) {
                let placeholder = PLACEHOLDERS.iter().find(|(known, _)| *known == name);
                let (_, placeholder) = placeholder.ok_or_else(|| unknown(name))?;
                if !literal.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut literal)));
                }
                pieces.push(Piece::Placeholder(*placeholder));
                rest = after;
            } else if let Some((escaped, after)) = escape(rest) {
                literal.push(escaped);
                rest = after;
            } else {
                literal.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Ok(Format { pieces })
    }

    /// Writes a message and the end of the line. What a message does not have is left out.
    pub(crate) fn write(&self, message: &Message, out: &mut impl Write) -> io::Result<()> {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.write_all(text.as_bytes())?,
                Piece::Placeholder(placeholder) => placeholder.write(message, out)?,
            }
        }
        out.write_all(b"\n")
    }
}

impl Placeholder {
    fn write(self, message: &Message, out: &mut impl Write) -> io::Result<()> {
        let text = match self {
            Placeholder::Bookmark => message.bookmark(),
            Placeholder::Command => message.command().name(),
            Placeholder::CorrelationId => message.correlation_id(),
            // Not always text.
            Placeholder::Data => return out.write_all(message.data()),
            Placeholder::Expiration => {
                let expiration = message.expiration();
                return expiration.map_or(Ok(()), |seconds| write!(out, "{seconds}"));
            }
            Placeholder::LeasePeriod => message.lease_period(),
            Placeholder::Length => return write!(out, "{}", message.data().len()),
            Placeholder::SowKey => message.sow_key(),
            Placeholder::Timestamp => message.timestamp(),
            Placeholder::Topic => message.topic(),
            Placeholder::UserId => message.user_id(),
        };
        out.write_all(text.as_bytes())
    }
}

/// The name at the start, if it is one in braces, and what follows.
fn name_in_braces(text: &str) -> Option<(&str, &str)> {
    let (name, after) = text.strip_prefix('{')?.split_once('}')?;
    let allowed = |c: char| c.is_ascii_alphabetic() || c == '_';
    (!name.is_empty() && name.chars().all(allowed)).then_some((name, after))
}

/// The character that an escape at the start stands for, and what follows.
fn escape(text: &str) -> Option<(char, &str)> {
    [("\\n", '\n'), ("\\t", '\t'), ("\\\\", '\\')]
        .into_iter()
        .find_map(|(escape, meant)| Some((meant, text.strip_prefix(escape)?)))
}

fn unknown(name: &str) -> String {
    let known: Vec<String> = PLACEHOLDERS
        .iter()
        .map(|(name, _)| format!("{{{name}}}"))
        .collect();
    format!("there is no {{{name}}}, but {}", known.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = concat!(
        r#"{"c":"p","t":"orders","k":"17","bm":"1|2|","x":"tok","e":60,"lp":"20240315T093000Z","#,
        r#""ts":"20240315T093000.123456Z","user_id":"ana","l":8}{"id":1}"#
    );

    fn printed(format: &str, frame: &str) -> String {
        let frame = bytes::Bytes::copy_from_slice(frame.as_bytes());
        let message = Message::from_frame(frame).unwrap();
        let mut out = Vec::new();
        let format = Format::parse(format).unwrap();
        format.write(&message, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_placeholder_stands_for_its_field() {
        for (name, value) in [
            ("bookmark", "1|2|"),
            ("command", "publish"),
            ("correlation_id", "tok"),
            ("data", r#"{"id":1}"#),
            ("expiration", "60"),
            ("lease_period", "20240315T093000Z"),
            ("length", "8"),
            ("sowkey", "17"),
            ("timestamp", "20240315T093000.123456Z"),
            ("topic", "orders"),
            ("user_id", "ana"),
        ] {
            assert_eq!(
                printed(&format!("<{{{name}}}>"), FULL),
                format!("<{value}>\n")
            );
        }
    }

    #[test]
    fn what_a_message_does_not_have_is_left_out() {
        for (name, _) in PLACEHOLDERS {
            let expected = match *name {
                "command" => "publish\n",
                "length" => "0\n",
                _ => "\n",
            };
            assert_eq!(printed(&format!("{{{name}}}"), r#"{"c":"p"}"#), expected);
        }
    }

    #[test]
    fn a_format_can_be_json_and_hold_escapes() {
        let format = r#"{"topic":"{topic}", "data":{data}, "none":{}, "open":{"#;
        assert_eq!(
            printed(format, FULL),
            "{\"topic\":\"orders\", \"data\":{\"id\":1}, \"none\":{}, \"open\":{\n"
        );
        assert_eq!(
            printed(r"{topic}\t{length}\n\\t\x", FULL),
            "orders\t8\n\\t\\x\n"
        );
        assert_eq!(printed("é{topic}ß", FULL), "éordersß\n");
        assert_eq!(printed("", FULL), "\n");
    }

    #[test]
    fn an_unknown_placeholder_is_refused_with_those_that_there_are() {
        let error = Format::parse("{topic} {sow_key}").unwrap_err();
        assert!(error.starts_with("there is no {sow_key}, but {bookmark} {command}"));
        assert!(error.ends_with("{topic} {user_id}"));
    }
}
