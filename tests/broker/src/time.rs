//! The time of day as it stands in headers.

use amps_core::protocol::civil_from_days;
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
    let (year, month, day) = civil_from_days(seconds / DAY);
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
