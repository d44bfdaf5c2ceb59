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

/// The single times of a path in nanoseconds, of all rounds.
pub(crate) struct Latency {
    pub(crate) name: String,
    pub(crate) ours: Histogram<u64>,
    pub(crate) floor: Option<Histogram<u64>>,
}

/// One line of the table. Times are per message, or per round trip.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) ours_ns: f64,
    /// None where there is nothing to compare with.
    pub(crate) floor_ns: Option<f64>,
    /// What the project wants the ratio to be at most.
    pub(crate) target: Option<f64>,
    /// The ratios of single rounds, or without a floor their times over the median of these: half
    /// of them lie between these two.
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
    pub(crate) fn ratio(&self) -> Option<f64> {
        self.floor_ns.map(|floor| self.ours_ns / floor)
    }

    /// True if there is a target, and the ratio is above it.
    pub(crate) fn misses(&self) -> bool {
        matches!((self.ratio(), self.target), (Some(ratio), Some(target)) if ratio > target)
    }
}

/// What both sides took in each round: nanoseconds per message.
#[derive(Default)]
pub(crate) struct Pairs {
    ours: Vec<f64>,
    /// None, or as many.
    floor: Vec<f64>,
}

impl Pairs {
    /// Adds a round.
    pub(crate) fn push(&mut self, ours: f64, floor: Option<f64>) {
        self.ours.push(ours);
        self.floor.extend(floor);
    }

    /// Makes a row of the rounds.
    pub(crate) fn row(&self, name: impl Into<String>, target: Option<f64>) -> Row {
        let ours_ns = quantile(&self.ours, 0.5);
        let ratios = match self.floor.is_empty() {
            true => self.ours.iter().map(|ours| ours / ours_ns).collect(),
            false => {
                let pairs = self.ours.iter().zip(&self.floor);
                pairs.map(|(ours, floor)| ours / floor).collect::<Vec<_>>()
            }
        };
        Row {
            name: name.into(),
            ours_ns,
            floor_ns: (!self.floor.is_empty()).then(|| quantile(&self.floor, 0.5)),
            target,
            spread: (quantile(&ratios, 0.25), quantile(&ratios, 0.75)),
            shown_as: ShownAs::Rate,
        }
    }
}

/// The other side of a comparison.
pub(crate) type Floor<'a, T> = Option<&'a mut dyn FnMut() -> Result<T>>;

/// Runs both sides in turn, and each first in every other round, so that neither profits from
/// what the one before it left behind.
pub(crate) fn in_turn<T>(
    plan: &Plan,
    mut ours: impl FnMut() -> Result<T>,
    mut floor: Floor<'_, T>,
) -> Result<Vec<(T, Option<T>)>> {
    let mut rounds = Vec::new();
    for round in 0..plan.rounds {
        let mut floor = || floor.as_mut().map(|floor| floor()).transpose();
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
    floor: Floor<'_, f64>,
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
