//! Rounds, medians and rows.

use crate::Result;
use hdrhistogram::Histogram;
use std::time::Duration;

/// How much is measured.
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    /// Divides the number of messages.
    divisor: usize,
}

impl Plan {
    pub(crate) fn new(quick: bool) -> Plan {
        // Many short rounds rather than few long ones: what disturbs a machine comes in bursts, and
        // then it disturbs both sides of the same rounds.
        match quick {
            true => Plan {
                rounds: 5,
                divisor: 2,
            },
            false => Plan {
                rounds: 15,
                divisor: 1,
            },
        }
    }

    /// The messages of one round, where a full run has `full`.
    pub(crate) fn messages(&self, full: usize) -> usize {
        full / self.divisor
    }
}

/// What a path has brought.
pub(crate) struct Measured {
    pub(crate) rows: Vec<Row>,
    pub(crate) latency: Option<Latency>,
}

impl From<Row> for Measured {
    fn from(row: Row) -> Measured {
        Measured {
            rows: vec![row],
            latency: None,
        }
    }
}

/// The single times of a path in nanoseconds.
pub(crate) struct Latency {
    pub(crate) name: String,
    pub(crate) ours: Histogram<u64>,
    pub(crate) floor: Histogram<u64>,
}

/// One line of the table. Times are per message, or per round trip.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) ours_ns: f64,
    pub(crate) floor_ns: f64,
    /// What the project wants the ratio to be at most.
    pub(crate) target: Option<f64>,
    /// The ratios of single rounds: half of them lie between these.
    pub(crate) spread: (f64, f64),
    pub(crate) shown_as: ShownAs,
}

/// What the table shows a time as; the JSON has nanoseconds for both.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShownAs {
    Rate,
    Latency,
}

impl Row {
    /// The ratio of the medians.
    pub(crate) fn ratio(&self) -> f64 {
        self.ours_ns / self.floor_ns
    }
}

/// What both sides took in each round: nanoseconds per message.
#[derive(Default)]
pub(crate) struct Pairs {
    ours: Vec<f64>,
    floor: Vec<f64>,
}

impl Pairs {
    /// Adds a round.
    pub(crate) fn push(&mut self, ours: f64, floor: f64) {
        self.ours.push(ours);
        self.floor.push(floor);
    }

    /// Makes a row of the rounds.
    pub(crate) fn row(&self, name: impl Into<String>, target: impl Into<Option<f64>>) -> Row {
        let ratios = self.ours.iter().zip(&self.floor).map(|(a, b)| a / b);
        let ratios = ratios.collect::<Vec<_>>();
        Row {
            name: name.into(),
            ours_ns: quantile(&self.ours, 0.5),
            floor_ns: quantile(&self.floor, 0.5),
            target: target.into(),
            spread: (quantile(&ratios, 0.25), quantile(&ratios, 0.75)),
            shown_as: ShownAs::Rate,
        }
    }
}

/// Runs both sides in turn, and each first in every other round, so that neither profits from
/// what the one before it left behind.
pub(crate) fn in_turn<T>(
    plan: &Plan,
    mut ours: impl FnMut() -> Result<T>,
    mut floor: impl FnMut() -> Result<T>,
) -> Result<Vec<(T, T)>> {
    let mut rounds = Vec::new();
    for round in 0..plan.rounds {
        rounds.push(if round % 2 == 0 {
            let ours = ours()?;
            (ours, floor()?)
        } else {
            let floor = floor()?;
            (ours()?, floor)
        });
    }
    Ok(rounds)
}

/// As [`in_turn`], for sides that return nanoseconds per message.
pub(crate) fn pairs(
    plan: &Plan,
    ours: impl FnMut() -> Result<f64>,
    floor: impl FnMut() -> Result<f64>,
) -> Result<Pairs> {
    let mut pairs = Pairs::default();
    for (ours, floor) in in_turn(plan, ours, floor)? {
        pairs.push(ours, floor);
    }
    Ok(pairs)
}

/// Nanoseconds for each of `count`.
pub(crate) fn per_message(taken: Duration, count: usize) -> f64 {
    taken.as_secs_f64() * 1e9 / count as f64
}

/// The value below which a part of the values lies, interpolated between the nearest two.
fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = part * sorted.len().saturating_sub(1) as f64;
    let at = |place: f64| sorted.get(place as usize).copied().unwrap_or(f64::NAN);
    let (low, high) = (at(place.floor()), at(place.ceil()));
    low + (high - low) * place.fract()
}
