//! The time of day as it stands in headers.

use amps_core::protocol::{civil_from_days, parse_u64};
use std::ops::Range;
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

/// Reads `YYYYMMDDTHHMMSS` in UTC, with a fraction of a second and a `Z` or without: microseconds
/// since 1970. `None` for anything else, and for what was before 1970.
pub(crate) fn parse(text: &[u8]) -> Option<u64> {
    let text = text.strip_suffix(b"Z").unwrap_or(text);
    let (whole, fraction) = text.split_at_checked(15)?;
    let number = |range: Range<usize>| parse_u64(&whole[range]);
    let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
    let (hour, minute, second) = (number(9..11)?, number(11..13)?, number(13..15)?);
    // A leap second counts as the first one after it.
    if whole[8] != b'T' || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = days_from_civil(year, month, day)?;
    let micros = match fraction.strip_prefix(b".") {
        None if fraction.is_empty() => 0,
        Some(digits) if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => {
            let digits = digits.iter().chain(std::iter::repeat(&b'0')).take(6);
            digits.fold(0, |micros, digit| micros * 10 + u64::from(digit - b'0'))
        }
        _ => return None,
    };
    Some((days * DAY + hour * 3600 + minute * 60 + second) * MICROS + micros)
}

/// The days from 1970 to a date; `None` if there is no such day, or it was before.
fn days_from_civil(year: u64, month: u64, day: u64) -> Option<u64> {
    // Counted as `civil_from_days` does: in years that begin in March.
    let shifted_year = year.checked_sub(u64::from(month <= 2))?;
    let shifted_month = (month + 9) % 12;
    let (era, year_of_era) = (shifted_year / 400, shifted_year % 400);
    let day_of_year = (153 * shifted_month + 2) / 5 + day.checked_sub(1)?;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = (era * 146_097 + day_of_era).checked_sub(719_468)?;
    // A day that its month has not comes out as one of the next.
    (civil_from_days(days) == (year, month, day)).then_some(days)
}

fn put(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// How long this thread has worked: what a busy machine does to it meanwhile does not count.
#[cfg(all(test, unix))]
pub(crate) fn time_of_this_thread() -> std::time::Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    std::time::Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Elsewhere, how long the process has.
#[cfg(all(test, not(unix)))]
pub(crate) fn time_of_this_thread() -> std::time::Duration {
    static BEGIN: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    BEGIN.get_or_init(std::time::Instant::now).elapsed()
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

    #[test]
    fn a_timestamp_is_read_back_and_what_is_none_is_not() {
        for micros in [
            0,
            1_710_495_000_123_456,
            951_782_400_000_000,
            4_107_542_399_999_999,
            4_107_542_400_000_000,
        ] {
            assert_eq!(parse(&timestamp(micros)), Some(micros));
        }
        let seconds = Some(1_710_495_000_000_000);
        assert_eq!(parse(b"20240315T093000"), seconds);
        assert_eq!(parse(b"20240315T093000Z"), seconds);
        assert_eq!(parse(b"20240315T093000.25"), Some(1_710_495_000_250_000));
        for wrong in [
            "",
            "Z",
            "20240315",
            "20240315T0930",
            "20240315 093000",
            "20240230T093000",
            "20241301T093000",
            "20240015T093000",
            "20240300T093000",
            "20240315T243000",
            "20240315T096000",
            "20240315T093061",
            "20240315T093000.",
            "20240315T093000.x",
            "20240315T093000+1",
            "19691231T235959",
        ] {
            assert_eq!(parse(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
