//! Intervals as they stand in options: `250ms`, `1.5s`, `1m` (`commands.md`, first section).

use std::time::Duration;

/// Longer is as good as for ever, and would not fit every clock.
pub(crate) const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// Reads a number and a unit: `ns us ms s m h d w` in any case.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at_checked(unit)?;
    let seconds_per_unit = match unit.to_ascii_lowercase().as_str() {
        "ns" => 1e-9,
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        "w" => 604_800.0,
        _ => return None,
    };
    let seconds = number.trim().parse::<f64>().ok()? * seconds_per_unit;
    let interval = Duration::try_from_secs_f64(seconds).ok()?;
    (interval <= LONGEST).then_some(interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_a_number_and_a_unit() {
        for (text, expected) in [
            ("250ms", Duration::from_millis(250)),
            ("1m", Duration::from_secs(60)),
            ("1.5S", Duration::from_millis(1500)),
            (" 2 h ", Duration::from_secs(7200)),
            ("0s", Duration::ZERO),
            ("5us", Duration::from_micros(5)),
            ("1W", Duration::from_secs(604_800)),
        ] {
            assert_eq!(parse(text), Some(expected), "{text}");
        }
        for wrong in [
            "",
            "5",
            "ms",
            "-1s",
            "1 fortnight",
            "NaNs",
            "1e300s",
            "60w",
            "1s1",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
