//! Durations as they are typed: `20`, `2.5`, `20s`, `500ms`, `1m`.

use std::time::Duration;

/// Reads a number of seconds, or a number with one of the units `ms`, `s`, `m`, `h`.
///
/// Zero stands for no limit, as in the library, and so does what no clock can count to.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let split = text
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let seconds_per_unit = match unit.to_ascii_lowercase().as_str() {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong(text)),
    };
    let number: f64 = number.trim().parse().map_err(|_| wrong(text))?;
    let duration =
        Duration::try_from_secs_f64(number * seconds_per_unit).map_err(|_| wrong(text))?;
    if duration.is_zero() && number > 0.0 {
        return Err(format!("'{text}' is too short to be measured"));
    }
    Ok(duration)
}

fn wrong(text: &str) -> String {
    format!("'{text}' is no duration: write seconds, or a number with ms, s, m or h")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_need_no_unit_and_other_units_are_understood() {
        for (text, millis) in [
            ("20", 20_000),
            ("20s", 20_000),
            ("500ms", 500),
            ("2.5", 2_500),
            (".5s", 500),
            ("1M", 60_000),
            (" 2 h ", 7_200_000),
            ("0", 0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "", "s", "ms", "-1", "5x", "1e400", "5 s 3", "NaN", "inf", "1e-300",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
