//! The time of day as it stands in headers.

use std::time::{SystemTime, UNIX_EPOCH};

const MICROS: u64 = 1_000_000;
const DAY: u64 = 86_400;

/// Microseconds since 1970, UTC; 0 if the clock stands before that.
pub(crate) fn now_micros() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map(|since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
        .unwrap_or_default()
}

/// Such as `20240315T093000.123456Z` (`protocol §3`).
pub(crate) fn timestamp(micros: u64) -> [u8; 23] {
    let seconds = micros / MICROS;
    let (year, month, day) = civil(seconds / DAY);
    let of_day = seconds % DAY;
    let mut text = *b"00000000T000000.000000Z";
    put(&mut text[0..4], year);
    put(&mut text[4..6], month);
    put(&mut text[6..8], day);
    put(&mut text[9..11], of_day / 3600);
    put(&mut text[11..13], of_day / 60 % 60);
    put(&mut text[13..15], of_day % 60);
    put(&mut text[16..22], micros % MICROS);
    text
}

fn put(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar.
///
/// The year is taken to begin in March, so that the leap day is its last day; 400 years are
/// 146,097 days.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_reads_as_in_the_reference() {
        assert_eq!(
            &timestamp(1_710_495_000_123_456),
            b"20240315T093000.123456Z"
        );
        assert_eq!(&timestamp(0), b"19700101T000000.000000Z");
        assert_eq!(&timestamp(951_782_400_000_000), b"20000229T000000.000000Z");
        assert_eq!(
            &timestamp(4_107_542_399_999_999),
            b"21000228T235959.999999Z"
        );
        assert_eq!(
            &timestamp(4_107_542_400_000_000),
            b"21000301T000000.000000Z"
        );
    }
}
