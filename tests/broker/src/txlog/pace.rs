//! How fast a replay may go: the options `rate` and `rate_max_gap`.

use crate::interval;
use std::time::{Duration, Instant};

/// Timers are not exact: what one lets through late, the next messages make up for, up to this
/// much. So in any time `t` there are at most `rate * (t + SLACK) + 1` messages.
const SLACK: Duration = Duration::from_millis(1);

/// The pace that a client asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Rate {
    /// Messages per second.
    Messages(f64),
    /// Bytes of payload per second.
    Bytes(f64),
    /// Times as fast as it was at the time.
    Factor(f64),
}

impl Rate {
    /// Reads `750`, `500KB` or `2X`; letters in any case.
    pub(crate) fn parse(text: &str) -> Option<Rate> {
        let text = text.trim().to_ascii_uppercase();
        let split = text.find(|c: char| c.is_ascii_alphabetic());
        let (number, unit) = text.split_at(split.unwrap_or(text.len()));
        let number = number.trim().parse::<f64>().ok()?;
        // Slower than this is for ever.
        if !(1e-6..1e15).contains(&number) {
            return None;
        }
        Some(match unit {
            "" => Rate::Messages(number),
            "B" => Rate::Bytes(number),
            "KB" => Rate::Bytes(number * 1024.0),
            "MB" => Rate::Bytes(number * 1024.0 * 1024.0),
            "GB" => Rate::Bytes(number * 1024.0 * 1024.0 * 1024.0),
            "X" => Rate::Factor(number),
            _ => return None,
        })
    }
}

/// Keeps a replay at its pace.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pace {
    rate: Rate,
    /// The longest wait between two messages.
    max_gap: Option<Duration>,
    /// When the last message was sent; at first when the replay began.
    last: Instant,
    /// When the next one may be, of a rate that counts.
    next: Instant,
    /// An instant and the time in the log that belongs to it, of a rate that follows the log.
    base: Option<(Instant, u64)>,
}

impl Pace {
    pub(crate) fn new(rate: Rate, max_gap: Option<Duration>, now: Instant) -> Pace {
        Pace {
            rate,
            max_gap,
            last: now,
            next: now,
            base: None,
        }
    }

    /// True if both are to go equally fast.
    pub(crate) fn equals(&self, other: &Pace) -> bool {
        self.rate == other.rate && self.max_gap == other.max_gap
    }

    /// After a pause: what passed meanwhile does not count.
    pub(crate) fn resume(&mut self, now: Instant) {
        self.last = now;
        self.next = self.next.max(now);
        self.base = None;
    }

    /// When an entry of this time may be sent; `None` if it may be sent now.
    pub(crate) fn due(&mut self, processed: u64, now: Instant) -> Option<Instant> {
        let due = match self.rate {
            Rate::Messages(_) | Rate::Bytes(_) => self.next,
            Rate::Factor(factor) => {
                let (instant, time) = *self.base.get_or_insert((now, processed));
                let micros = processed.saturating_sub(time) as f64 / factor;
                instant + seconds(micros / 1e6)
            }
        };
        let latest = self.max_gap.and_then(|gap| self.last.checked_add(gap));
        let due = match latest {
            Some(latest) if latest < due => {
                // The rest of the gap is skipped.
                self.base = Some((latest, processed));
                self.next = self.next.min(latest);
                latest
            }
            _ => due,
        };
        (due > now).then_some(due)
    }

    /// A message was sent.
    pub(crate) fn sent(&mut self, bytes: usize, now: Instant) {
        self.last = now;
        let wait = match self.rate {
            Rate::Messages(rate) => 1.0 / rate,
            Rate::Bytes(rate) => bytes as f64 / rate,
            Rate::Factor(_) => return,
        };
        let earliest = now.checked_sub(SLACK).unwrap_or(now);
        self.next = self.next.max(earliest) + seconds(wait);
    }
}

/// A duration; one that no clock can count to is a very long one.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds)
        .unwrap_or(interval::LONGEST)
        .min(interval::LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MILLI: Duration = Duration::from_millis(1);

    fn pace(rate: &str, max_gap: Option<Duration>) -> (Pace, Instant) {
        let now = Instant::now() + SECOND;
        (Pace::new(Rate::parse(rate).unwrap(), max_gap, now), now)
    }

    /// How many messages go out within a time, if somebody looks every `tick`.
    fn sent_within(pace: &mut Pace, start: Instant, time: Duration, tick: Duration) -> u32 {
        let mut count = 0;
        let mut now = start;
        while now < start + time {
            while pace.due(0, now).is_none() {
                pace.sent(1024, now);
                count += 1;
                assert!(count < 100_000);
            }
            now += tick;
        }
        count
    }

    #[test]
    fn a_rate_is_a_number_with_a_unit_or_without() {
        for (text, rate) in [
            ("750", Rate::Messages(750.0)),
            ("0.5", Rate::Messages(0.5)),
            ("500KB", Rate::Bytes(512_000.0)),
            ("1mb", Rate::Bytes(1_048_576.0)),
            ("2X", Rate::Factor(2.0)),
            (".5x", Rate::Factor(0.5)),
        ] {
            assert_eq!(Rate::parse(text), Some(rate), "{text}");
        }
        for wrong in [
            "",
            "0",
            "-1",
            "fast",
            "X",
            "NaN",
            "inf",
            "1e300",
            "5 furlongs",
        ] {
            assert_eq!(Rate::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn there_are_never_more_messages_than_the_rate_allows_and_not_many_less() {
        let (mut each, now) = pace("1000", None);
        let count = sent_within(&mut each, now, SECOND, Duration::from_micros(300));
        assert!((995..=1002).contains(&count), "{count}");
        // Looked at rarely, it does not catch up.
        let (mut each, now) = pace("1000", None);
        let count = sent_within(&mut each, now, SECOND, MILLI * 50);
        assert!(count <= 60, "{count}");
        let (mut bytes, now) = pace("100KB", None);
        let count = sent_within(&mut bytes, now, SECOND, MILLI);
        assert!((99..=102).contains(&count), "{count}");
    }

    #[test]
    fn a_factor_keeps_the_distances_of_the_log() {
        let (mut pace, now) = pace("2X", None);
        assert_eq!(pace.due(5_000_000, now), None);
        pace.sent(1, now);
        assert_eq!(pace.due(7_000_000, now), Some(now + SECOND));
        assert_eq!(pace.due(7_000_000, now + SECOND), None);
        pace.resume(now + SECOND * 5);
        assert_eq!(pace.due(9_000_000, now + SECOND * 5), None);
        assert_eq!(
            pace.due(9_200_000, now + SECOND * 5),
            Some(now + SECOND * 5 + MILLI * 100)
        );
    }

    #[test]
    fn no_gap_is_longer_than_the_longest_that_is_wanted() {
        let (mut pace, now) = pace("2X", Some(SECOND * 3));
        assert_eq!(pace.due(0, now), None);
        pace.sent(1, now);
        // An hour of silence in the log.
        let hour = 3_600_000_000;
        assert_eq!(pace.due(hour, now), Some(now + SECOND * 3));
        let later = now + SECOND * 3;
        assert_eq!(pace.due(hour, later), None);
        pace.sent(1, later);
        assert_eq!(pace.due(hour + 2_000_000, later), Some(later + SECOND));
    }

    #[test]
    fn a_slow_rate_is_no_slower_than_the_longest_gap() {
        let (mut pace, now) = pace("0.01", Some(SECOND));
        assert_eq!(pace.due(0, now), None);
        pace.sent(1, now);
        assert_eq!(pace.due(0, now), Some(now + SECOND));
        assert_eq!(pace.due(0, now + SECOND), None);
    }
}
