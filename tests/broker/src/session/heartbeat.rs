//! `heartbeat`: signs of life in both directions.

use super::Session;
use crate::engine::Engine;
use crate::reason::{Refusal, text};
use crate::request::Request;
use crate::server::{Connection, Task};
use amps_core::CommandType;
use amps_core::protocol::{Field, FrameWriter};
use std::sync::Arc;
use std::time::{Duration, Instant};

impl Session {
    pub(super) fn heartbeat(
        &self,
        engine: &mut Engine,
        request: &Request<'_>,
    ) -> Result<(), Refusal> {
        let options = request.lossy(Field::Options);
        match options.trim() {
            // Any frame counts as life; it was noted when it was read.
            "beat" => {}
            "stop" => self.set_heartbeat(engine, Duration::ZERO),
            other => {
                let interval =
                    other
                        .strip_prefix("start,")
                        .and_then(interval)
                        .ok_or_else(|| {
                            Refusal::new(text::INVALID_OPTIONS, format!("heartbeat {other:?}"))
                        })?;
                self.set_heartbeat(engine, interval);
            }
        }
        self.processed(engine, request);
        Ok(())
    }

    /// Starts the timer, or stops it if the interval is zero.
    fn set_heartbeat(&self, engine: &mut Engine, interval: Duration) {
        let connection = self.connection.id();
        let Some(client) = engine.clients.get_mut(&connection) else {
            return;
        };
        client.heartbeat.generation += 1;
        client.heartbeat.interval = interval;
        let generation = client.heartbeat.generation;
        if !interval.is_zero() {
            engine.timers.add(
                Instant::now() + interval,
                Task::Heartbeat {
                    connection,
                    generation,
                },
            );
        }
    }
}

/// Reads a number of seconds. AMPS takes whole ones; a fraction saves tests time.
fn interval(seconds: &str) -> Option<Duration> {
    let seconds = seconds.trim().parse::<f64>().ok()?;
    let longest = Duration::from_secs(86_400).as_secs_f64();
    (seconds >= 0.001 && seconds <= longest).then(|| Duration::from_secs_f64(seconds))
}

/// Sends the server's sign of life.
pub(crate) fn send_beat(engine: &mut Engine, to: &Arc<Connection>) {
    engine.send(to, |out| {
        FrameWriter::begin(out, CommandType::Heartbeat).finish(b"");
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_a_number_of_seconds_above_zero() {
        assert_eq!(interval("5"), Some(Duration::from_secs(5)));
        assert_eq!(interval(" 0.05"), Some(Duration::from_millis(50)));
        for wrong in ["", "0", "-1", "x", "NaN", "inf", "1e30", "5,6"] {
            assert_eq!(interval(wrong), None, "{wrong}");
        }
    }
}
