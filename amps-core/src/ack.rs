//! The acknowledgement types, as a set.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// A set of acknowledgement types.
///
/// A command lists the acknowledgements it wants as a set; each acknowledgement that the server
/// sends carries exactly one. The bits are those of the C++ client. See the table of
/// acknowledgements by command in the AMPS command reference for what each command offers.
///
/// ```
/// use amps_core::AckType;
///
/// let wanted = AckType::PROCESSED | AckType::STATS;
/// assert!(wanted.contains(AckType::STATS));
/// assert_eq!(wanted.to_string(), "processed,stats");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct AckType(u8);

impl AckType {
    /// No acknowledgement.
    pub const NONE: AckType = AckType(0);
    /// The command arrived.
    pub const RECEIVED: AckType = AckType(1);
    /// The command was parsed.
    pub const PARSED: AckType = AckType(2);
    /// The command was accepted or refused: the one that commands wait for.
    pub const PROCESSED: AckType = AckType(4);
    /// The message is safe in the server, or could not be made so.
    pub const PERSISTED: AckType = AckType(8);
    /// The immediate part of the command is done: a query answered, a replay caught up.
    pub const COMPLETED: AckType = AckType(16);
    /// The counters of a query or a delete.
    pub const STATS: AckType = AckType(32);

    const NAMES: [(AckType, &'static str); 6] = [
        (AckType::RECEIVED, "received"),
        (AckType::PARSED, "parsed"),
        (AckType::PROCESSED, "processed"),
        (AckType::PERSISTED, "persisted"),
        (AckType::COMPLETED, "completed"),
        (AckType::STATS, "stats"),
    ];

    /// The set as bits, as the C++ client has them.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// True if every type of `other` is in this set.
    pub const fn contains(self, other: AckType) -> bool {
        self.0 & other.0 == other.0
    }

    /// True if this set and `other` have a type in common.
    pub const fn intersects(self, other: AckType) -> bool {
        self.0 & other.0 != 0
    }

    /// True if no type is in this set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// This set without the types of `other`.
    #[must_use]
    pub const fn without(self, other: AckType) -> AckType {
        AckType(self.0 & !other.0)
    }

    /// Reads a comma list as it stands in a header; unknown names are left out.
    #[doc(hidden)]
    pub fn parse_list(list: &[u8]) -> AckType {
        let mut set = AckType::NONE;
        for item in list.split(|&b| b == b',') {
            let item = item.trim_ascii();
            for (ack, name) in AckType::NAMES {
                if item.eq_ignore_ascii_case(name.as_bytes()) {
                    set |= ack;
                }
            }
        }
        set
    }

    /// The names in this set, in the order in which the server sends them.
    fn names(self) -> impl Iterator<Item = &'static str> {
        AckType::NAMES
            .into_iter()
            .filter(move |(ack, _)| self.contains(*ack))
            .map(|(_, name)| name)
    }
}

impl BitOr for AckType {
    type Output = AckType;
    fn bitor(self, other: AckType) -> AckType {
        AckType(self.0 | other.0)
    }
}

impl BitOrAssign for AckType {
    fn bitor_assign(&mut self, other: AckType) {
        self.0 |= other.0;
    }
}

/// The comma list of the wire: `processed,stats`; empty for the empty set.
impl fmt::Display for AckType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.names().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

impl fmt::Debug for AckType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AckType({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_with_spaces_and_any_case_and_unknown_names_are_left_out() {
        let set = AckType::parse_list(b"Processed, stats ,sync");
        assert_eq!(set, AckType::PROCESSED | AckType::STATS);
        assert_eq!(set.to_string(), "processed,stats");
        assert_eq!(AckType::parse_list(b""), AckType::NONE);
    }

    #[test]
    fn sets_can_be_joined_and_reduced() {
        let set = AckType::PROCESSED | AckType::COMPLETED;
        assert!(set.intersects(AckType::COMPLETED | AckType::STATS));
        assert!(!set.contains(AckType::COMPLETED | AckType::STATS));
        assert_eq!(set.without(AckType::PROCESSED), AckType::COMPLETED);
        assert!(AckType::NONE.is_empty());
    }
}
