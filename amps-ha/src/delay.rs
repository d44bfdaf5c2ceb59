//! How long to wait before a connection attempt.

use amps_core::{Error, ErrorContext, Result};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Says how long to wait before each connection attempt of an `HaClient`.
///
/// Called on the thread that drives the reconnect, one call at a time and with no lock held. The
/// wait itself is the client's, and ends at once when the client is disconnected. Guide §9.3;
/// rules O5 to O8.
pub trait ReconnectDelayStrategy: Send {
    /// How long to wait before the next attempt at this server.
    ///
    /// # Errors
    ///
    /// Any error gives up: the reconnect ends with it.
    fn connect_wait_duration(&mut self, uri: &str) -> Result<Duration>;

    /// A connection was made, or is to be made anew by the application: begins again.
    fn reset(&mut self);
}

/// The same wait before every attempt. Default 200 ms, without an end.
#[derive(Debug, Clone)]
pub struct FixedDelayStrategy {
    delay: Duration,
    limit: RetryLimit,
}

impl FixedDelayStrategy {
    /// Waits this long before every attempt, the first one included.
    pub fn new(delay: Duration) -> FixedDelayStrategy {
        FixedDelayStrategy {
            delay,
            limit: RetryLimit::default(),
        }
    }

    /// Gives up when attempts have failed for this long; zero, the default, never does.
    #[must_use]
    pub fn max_retry_time(mut self, limit: Duration) -> FixedDelayStrategy {
        self.limit.limit = limit;
        self
    }
}

impl Default for FixedDelayStrategy {
    fn default() -> Self {
        FixedDelayStrategy::new(Duration::from_millis(200))
    }
}

impl ReconnectDelayStrategy for FixedDelayStrategy {
    fn connect_wait_duration(&mut self, uri: &str) -> Result<Duration> {
        self.limit.allow(self.delay, uri, Instant::now())
    }

    fn reset(&mut self) {
        self.limit.since = None;
    }
}

/// A wait that grows from attempt to attempt, for each server on its own.
///
/// The first attempt at a server is made at once. Before the one after its nth failure it waits
/// `initial_delay × backoff_exponent^(n-1)`, at most `maximum_delay`, and up to
/// `jitter × initial_delay` longer, at random: so that the clients of a server that went away do
/// not all come back at the same instant. Rules O6 to O8.
///
/// ```
/// use amps_ha::{ExponentialDelayStrategy, ReconnectDelayStrategy};
/// use std::time::Duration;
///
/// let mut delays = ExponentialDelayStrategy::new()
///     .initial_delay(Duration::from_millis(200))
///     .maximum_delay(Duration::from_secs(5))
///     .backoff_exponent(1.5)
///     .maximum_retry_time(Duration::from_secs(60))
///     .jitter(0.0);
/// let waits = [(); 4].map(|()| delays.connect_wait_duration("a").unwrap().as_millis());
/// assert_eq!(waits, [0, 200, 300, 450]);
/// ```
#[derive(Debug, Clone)]
pub struct ExponentialDelayStrategy {
    initial: Duration,
    maximum: Duration,
    exponent: f64,
    jitter: f64,
    limit: RetryLimit,
    /// How often each server was asked for since the last reset.
    attempts: HashMap<String, u32>,
}

impl Default for ExponentialDelayStrategy {
    fn default() -> Self {
        ExponentialDelayStrategy {
            initial: Duration::from_millis(200),
            maximum: Duration::from_secs(20),
            exponent: 2.0,
            jitter: 1.0,
            limit: RetryLimit::default(),
            attempts: HashMap::new(),
        }
    }
}

impl ExponentialDelayStrategy {
    /// The defaults: from 200 ms by doubling to 20 s, jitter 1, without an end.
    pub fn new() -> ExponentialDelayStrategy {
        ExponentialDelayStrategy::default()
    }

    /// Sets the wait after the first failure. Default 200 ms.
    #[must_use]
    pub fn initial_delay(mut self, delay: Duration) -> Self {
        self.initial = delay;
        self
    }

    /// Sets the longest wait, jitter apart. Default 20 s.
    #[must_use]
    pub fn maximum_delay(mut self, delay: Duration) -> Self {
        self.maximum = delay;
        self
    }

    /// Sets the factor from one wait to the next. Default 2; less than 1 counts as 1.
    #[must_use]
    pub fn backoff_exponent(mut self, exponent: f64) -> Self {
        self.exponent = exponent;
        self
    }

    /// Sets how much longer a wait may get at random, in initial delays. Default 1; less than 0
    /// counts as 0.
    #[must_use]
    pub fn jitter(mut self, jitter: f64) -> Self {
        self.jitter = jitter;
        self
    }

    /// Gives up when attempts have failed for this long; zero, the default, never does.
    #[must_use]
    pub fn maximum_retry_time(mut self, limit: Duration) -> Self {
        self.limit.limit = limit;
        self
    }

    /// The wait after so many failures, without jitter.
    fn backoff(&self, failures: u32) -> Duration {
        let power = i32::try_from(failures - 1).unwrap_or(i32::MAX);
        let factor = self.exponent.max(1.0).powi(power);
        let seconds = self.initial.as_secs_f64() * factor;
        // Beyond what a duration holds is beyond the maximum, too (rule O8).
        let delay = Duration::try_from_secs_f64(seconds).unwrap_or(self.maximum);
        delay.min(self.maximum)
    }
}

impl ReconnectDelayStrategy for ExponentialDelayStrategy {
    fn connect_wait_duration(&mut self, uri: &str) -> Result<Duration> {
        let failures = match self.attempts.get_mut(uri) {
            Some(failures) => {
                *failures = failures.saturating_add(1);
                *failures
            }
            None => {
                self.attempts.insert(uri.to_string(), 0);
                0
            }
        };
        let delay = match failures {
            0 => Duration::ZERO,
            _ => {
                let jitter = self.jitter.max(0.0) * fastrand::f64() * self.initial.as_secs_f64();
                let jitter = Duration::try_from_secs_f64(jitter).unwrap_or(self.maximum);
                self.backoff(failures).saturating_add(jitter)
            }
        };
        self.limit.allow(delay, uri, Instant::now())
    }

    fn reset(&mut self) {
        self.attempts.clear();
        self.limit.since = None;
    }
}

/// The total time that attempts may take (rule O7).
#[derive(Debug, Clone, Default)]
struct RetryLimit {
    /// Zero is no limit.
    limit: Duration,
    /// The first attempt since the last reset.
    since: Option<Instant>,
}

impl RetryLimit {
    /// The delay, cut to what is left of the total time.
    fn allow(&mut self, delay: Duration, uri: &str, now: Instant) -> Result<Duration> {
        let since = *self.since.get_or_insert(now);
        if self.limit.is_zero() {
            return Ok(delay);
        }
        let left = self
            .limit
            .saturating_sub(now.saturating_duration_since(since));
        if left.is_zero() {
            return Err(self.gave_up(uri));
        }
        Ok(delay.min(left))
    }

    fn gave_up(&self, uri: &str) -> Error {
        // A connection string may hold a password.
        let server = match amps_core::AmpsUri::parse(uri) {
            Ok(uri) => uri.to_string(),
            Err(_) => String::new(),
        };
        ErrorContext::new("reconnect to", server)
            .with_reason(format!(
                "attempts have failed for {:?}, the limit of the delay strategy",
                self.limit
            ))
            .Connection()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn steady() -> ExponentialDelayStrategy {
        ExponentialDelayStrategy::new().jitter(0.0)
    }

    fn waits(delays: &mut impl ReconnectDelayStrategy, count: usize) -> Vec<u128> {
        (0..count)
            .map(|_| delays.connect_wait_duration("a").unwrap().as_millis())
            .collect()
    }

    #[test]
    fn o5_a_fixed_delay_is_always_the_delay() {
        assert_eq!(waits(&mut FixedDelayStrategy::default(), 3), [200; 3]);
    }

    #[test]
    fn o6_the_delay_grows_to_its_maximum() {
        let mut delays = steady().maximum_delay(1000 * MS);
        assert_eq!(waits(&mut delays, 6), [0, 200, 400, 800, 1000, 1000]);
    }

    #[test]
    fn o6_each_server_has_delays_of_its_own() {
        let mut delays = steady();
        assert_eq!(waits(&mut delays, 3), [0, 200, 400]);
        assert_eq!(delays.connect_wait_duration("b").unwrap(), Duration::ZERO);
        assert_eq!(waits(&mut delays, 1), [800]);
    }

    #[test]
    fn o6_jitter_adds_less_than_its_share_of_the_initial_delay() {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..200 {
            let mut delays = ExponentialDelayStrategy::new().jitter(0.5);
            waits(&mut delays, 1);
            let delay = delays.connect_wait_duration("a").unwrap();
            assert!((200 * MS..300 * MS).contains(&delay), "{delay:?}");
            seen.insert(delay);
        }
        assert!(seen.len() > 100, "{} different delays", seen.len());
    }

    #[test]
    fn trap_88_after_a_reset_every_server_begins_again() {
        let mut delays = steady();
        waits(&mut delays, 3);
        delays.reset();
        assert_eq!(waits(&mut delays, 2), [0, 200]);
    }

    #[test]
    fn trap_88_odd_parameters_do_no_harm() {
        for odd in [0.0, -3.0, f64::NAN, f64::NEG_INFINITY] {
            let mut delays = ExponentialDelayStrategy::new()
                .backoff_exponent(odd)
                .jitter(odd);
            assert_eq!(waits(&mut delays, 4), [0, 200, 200, 200], "{odd}");
        }
        let mut zero = ExponentialDelayStrategy::new().initial_delay(Duration::ZERO);
        assert_eq!(waits(&mut zero, 3), [0, 0, 0]);
        let mut huge = ExponentialDelayStrategy::new()
            .backoff_exponent(f64::INFINITY)
            .jitter(f64::MAX);
        assert_eq!(waits(&mut huge, 1), [0]);
        assert!(huge.connect_wait_duration("a").is_ok());
    }

    #[test]
    fn o8_powers_beyond_all_bounds_are_the_maximum() {
        let mut delays = steady()
            .maximum_delay(Duration::MAX)
            .backoff_exponent(1e300);
        waits(&mut delays, 3);
        assert_eq!(delays.connect_wait_duration("a").unwrap(), Duration::MAX);
        let delays = steady();
        assert_eq!(delays.backoff(u32::MAX), delays.maximum);
    }

    #[test]
    fn o7_attempts_end_when_the_total_time_is_over() {
        let mut limit = RetryLimit {
            limit: 1000 * MS,
            since: None,
        };
        let start = Instant::now();
        let uri = "tcp://u:s3cret@h:1/amps/json";
        assert_eq!(limit.allow(200 * MS, uri, start).unwrap(), 200 * MS);
        // No wait reaches beyond the end.
        let late = start + 900 * MS;
        assert_eq!(limit.allow(200 * MS, uri, late).unwrap(), 100 * MS);
        let error = limit
            .allow(Duration::ZERO, uri, start + 1000 * MS)
            .unwrap_err();
        assert!(matches!(error, Error::Connection(_)), "{error}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }

    #[test]
    fn o7_the_total_time_counts_from_the_last_success() {
        let mut delays = FixedDelayStrategy::new(Duration::ZERO).max_retry_time(MS);
        delays.connect_wait_duration("a").unwrap();
        while delays.connect_wait_duration("a").is_ok() {
            std::thread::yield_now();
        }
        delays.reset();
        assert!(delays.connect_wait_duration("a").is_ok());
    }
}
