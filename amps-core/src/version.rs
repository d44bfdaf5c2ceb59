//! Server versions.

use std::fmt;

/// The version of a server: four numbers, compared as numbers.
///
/// ```
/// use amps_core::VersionInfo;
///
/// let version = VersionInfo::parse("5.3.5.0.1234.abcdef");
/// assert_eq!(version.to_string(), "5.3.5.0");
/// assert_eq!(version.to_number(), 5_030_500);
/// assert!(VersionInfo::parse("10.0.0.0") > version);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct VersionInfo {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
    /// The third number.
    pub maintenance: u32,
    /// The fourth number.
    pub hotfix: u32,
}

impl VersionInfo {
    /// Reads up to four numbers with dots between them; what follows is ignored, and reading
    /// stops at the first part that is not a number. Garbage gives 0.0.0.0; a part is at most 99.
    pub fn parse(text: impl AsRef<str>) -> VersionInfo {
        let mut parts = text
            .as_ref()
            .trim()
            .split('.')
            .map_while(|part| part.parse::<u64>().ok())
            .fuse()
            .map(|part| part.min(99) as u32);
        let mut next = || parts.next().unwrap_or_default();
        VersionInfo {
            major: next(),
            minor: next(),
            maintenance: next(),
            hotfix: next(),
        }
    }

    /// One number that compares as the version does: 5.3.5.0 is 5 030 500.
    pub fn to_number(self) -> u64 {
        u64::from(self.major) * 1_000_000
            + u64::from(self.minor) * 10_000
            + u64::from(self.maintenance) * 100
            + u64::from(self.hotfix)
    }
}

impl fmt::Display for VersionInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let VersionInfo {
            major,
            minor,
            maintenance,
            hotfix,
        } = self;
        write!(f, "{major}.{minor}.{maintenance}.{hotfix}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trap_92_two_digit_parts_compare_as_numbers() {
        assert!(VersionInfo::parse("10.1") > VersionInfo::parse("9.9.9.9"));
        assert!(VersionInfo::parse("5.10.0.0") > VersionInfo::parse("5.9.0.0"));
    }

    #[test]
    fn reading_stops_at_the_first_part_that_is_no_number() {
        assert_eq!(VersionInfo::parse("5.2.x.7").to_string(), "5.2.0.0");
        assert_eq!(VersionInfo::parse("garbage"), VersionInfo::default());
        assert_eq!(VersionInfo::parse("5.200.1.1").minor, 99);
    }
}
