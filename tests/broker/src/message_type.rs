//! The message types that the broker understands (broker-behaviour §11).

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// How the payloads of a connection are written.
///
/// A composite type has no fixed name on the wire: AMPS lets the configuration choose one. Here its
/// text form spells out the parts, `composite-local(json,binary)`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MessageType {
    /// A JSON object.
    Json,
    /// `tag=value` fields with numeric tags, each ended by byte 0x01.
    Fix,
    /// `name=value` fields, each ended by byte 0x01.
    Nvfix,
    /// Opaque bytes: no fields.
    Binary,
    /// Parts of the given types; a path starts with the number of its part.
    CompositeLocal(Vec<MessageType>),
    /// Parts of the given types, seen as one merged set of fields.
    CompositeGlobal(Vec<MessageType>),
}

/// A name that is no message type of this broker.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("unknown message type {0:?}")]
pub struct UnknownMessageType(String);

impl MessageType {
    /// Whether deltas merge; if not, a delta is stored as the literal message (broker-behaviour §5).
    pub fn has_deltas(&self) -> bool {
        !matches!(self, MessageType::Binary | MessageType::CompositeGlobal(_))
    }

    /// Whether payloads have fields at all.
    pub fn has_fields(&self) -> bool {
        *self != MessageType::Binary
    }
}

impl FromStr for MessageType {
    type Err = UnknownMessageType;

    fn from_str(name: &str) -> Result<MessageType, UnknownMessageType> {
        let unknown = || UnknownMessageType(name.to_owned());
        Ok(match name {
            "json" => MessageType::Json,
            "fix" => MessageType::Fix,
            "nvfix" => MessageType::Nvfix,
            "binary" => MessageType::Binary,
            _ => {
                let (kind, rest) = name.split_once('(').ok_or_else(unknown)?;
                let parts = rest.strip_suffix(')').ok_or_else(unknown)?;
                let parts = parts
                    .split(',')
                    .map(|part| match part.trim() {
                        // A composite within a composite is unknown here, which also bounds the
                        // depth of everything that walks a message type.
                        nested if nested.contains('(') => Err(unknown()),
                        simple => simple.parse().map_err(|_| unknown()),
                    })
                    .collect::<Result<Vec<_>, _>>()?;
                match kind {
                    "composite-local" => MessageType::CompositeLocal(parts),
                    "composite-global" => MessageType::CompositeGlobal(parts),
                    _ => return Err(unknown()),
                }
            }
        })
    }
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, parts) = match self {
            MessageType::Json => return f.write_str("json"),
            MessageType::Fix => return f.write_str("fix"),
            MessageType::Nvfix => return f.write_str("nvfix"),
            MessageType::Binary => return f.write_str("binary"),
            MessageType::CompositeLocal(parts) => ("composite-local", parts),
            MessageType::CompositeGlobal(parts) => ("composite-global", parts),
        };
        write!(f, "{kind}(")?;
        for (i, part) in parts.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            write!(f, "{part}")?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_reads_back_from_its_own_name() {
        for name in [
            "json",
            "fix",
            "nvfix",
            "binary",
            "composite-local(json,binary)",
            "composite-global(json,json)",
        ] {
            assert_eq!(name.parse::<MessageType>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn unknown_and_nested_names_are_refused() {
        for name in [
            "",
            "JSON",
            "xml",
            "composite-local",
            "composite-local()",
            "composite-local(json",
            "composite-other(json)",
            "composite-local(composite-global(json))",
        ] {
            assert!(name.parse::<MessageType>().is_err(), "{name}");
        }
    }
}
