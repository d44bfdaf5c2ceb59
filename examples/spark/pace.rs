//! Publishing at a rate.

use std::time::{Duration, Instant};

/// Timers do not wait for less than this with any precision. At higher rates, messages leave in
/// bursts of at most this long; their number over any longer time is right all the same.
const RESOLUTION: Duration = Duration::from_millis(1);

/// What was missed for longer than this, because the input or the server was slow, is not made
/// up for: it would come as a burst far above the rate.
const CATCH_UP: Duration = Duration::from_millis(100);

/// No wait is longer than this at a time, so that no clock overflows.
const LONGEST: Duration = Duration::from_secs(3600);

/// When the next message is due: message `n` after `n / rate` seconds, however long each of the
/// waits before it really took.
#[derive(Debug)]
pub(crate) struct Pace {
    rate: f64,
    start: Instant,
    sent: u64,
}

impl Pace {
    /// `rate` messages per second, a positive number; the first one is due at `now`.
    pub(crate) fn new(rate: f64, now: Instant) -> Pace {
        Pace {
            rate,
            start: now,
            sent: 0,
        }
    }

    /// How long to wait before the next message; `None` if it may go now. After the wait, ask
    /// again.
    pub(crate) fn wait(&mut self, now: Instant) -> Option<Duration> {
        let elapsed = now.saturating_duration_since(self.start);
        let due =
            Duration::try_from_secs_f64(self.sent as f64 / self.rate).unwrap_or(Duration::MAX);
        let wait = due.saturating_sub(elapsed);
        if elapsed.saturating_sub(due) > CATCH_UP {
            self.start = now;
            self.sent = 0;
        }
        (wait >= RESOLUTION).then(|| wait.min(LONGEST))
    }

    /// A message has left.
    pub(crate) fn count(&mut self) {
        self.sent += 1;
    }
}

/// Reads a rate: messages per second, also a fraction of one.
pub(crate) fn parse(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(rate),
        _ => Err(format!(
            "'{text}' is no rate: write messages per second, such as 100 or 0.5"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Publishes until `end` with a timer that wakes up late by `late`; returns the count.
    fn sent_within(rate: f64, end: Duration, late: Duration) -> u64 {
        let start = Instant::now();
        let mut now = start;
        let mut pace = Pace::new(rate, start);
        let mut sent = 0;
        while now < start + end {
            match pace.wait(now) {
                Some(wait) => now += wait + late,
                None => {
                    pace.count();
                    sent += 1;
                    now += Duration::from_nanos(100);
                }
            }
        }
        sent
    }

    #[test]
    fn a_fraction_is_a_rate() {
        let sent = sent_within(0.5, Duration::from_secs(9), Duration::ZERO);
        assert_eq!(sent, 5, "at 0, 2, 4, 6 and 8 s");
    }

    #[test]
    fn a_timer_that_is_late_does_not_slow_the_rate() {
        let sent = sent_within(100.0, Duration::from_secs(10), Duration::from_millis(5));
        assert!((995..=1001).contains(&sent), "{sent}");
    }

    #[test]
    fn trap_101_a_rate_above_the_resolution_of_the_timer_is_kept() {
        let sent = sent_within(
            100_000.0,
            Duration::from_secs(2),
            Duration::from_micros(300),
        );
        assert!((199_000..=200_200).contains(&sent), "{sent}");
    }

    #[test]
    fn a_rate_that_cannot_be_reached_never_waits() {
        let mut pace = Pace::new(1e300, Instant::now());
        pace.count();
        assert_eq!(pace.wait(Instant::now()), None);
    }

    #[test]
    fn a_rate_that_is_hardly_one_waits_an_hour_at_a_time() {
        let mut pace = Pace::new(1e-300, Instant::now());
        assert_eq!(
            pace.wait(Instant::now()),
            None,
            "the first one goes at once"
        );
        pace.count();
        assert_eq!(pace.wait(Instant::now()), Some(LONGEST));
    }

    #[test]
    fn an_input_that_pauses_is_not_followed_by_a_burst() {
        let start = Instant::now();
        let mut pace = Pace::new(10.0, start);
        pace.count();
        let late = start + Duration::from_secs(60);
        assert_eq!(pace.wait(late), None);
        pace.count();
        let wait = pace.wait(late).unwrap();
        assert!(wait > Duration::from_millis(90), "{wait:?}");
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for text in ["", "0", "-1", "NaN", "inf", "fast", "1e-400"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(parse("0.25"), Ok(0.25));
        assert_eq!(parse("1e6"), Ok(1e6));
    }
}
