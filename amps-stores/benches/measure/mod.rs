//! What both benchmarks of stores do alike: medians and ratios, beside what criterion reports.

use criterion::{Criterion, Throughput};
use std::time::Duration;

/// Measures one message of `group`/`name` with criterion, and returns the median of its samples in
/// nanoseconds; not a number if the command line leaves this one out.
pub(crate) fn median(
    criterion: &mut Criterion,
    group: &str,
    name: &str,
    mut work: impl FnMut(u64) -> Duration,
) -> f64 {
    let mut samples = Vec::new();
    let mut group = criterion.benchmark_group(group);
    group.throughput(Throughput::Elements(1));
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|rounds| {
            let taken = work(rounds);
            samples.push(taken.as_secs_f64() * 1e9 / rounds as f64);
            taken
        });
    });
    group.finish();
    // The first samples warm up, with few rounds each, and would only be noise.
    samples.drain(..samples.len() / 4);
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}

/// What was measured, and the medians of both sides.
pub(crate) type Report = Vec<(String, f64, f64)>;

/// Prints the ratios of what was measured on both sides.
pub(crate) fn print(report: Report) {
    println!("\nRatios of medians, measured in this run:");
    for (what, ours, floor) in report {
        let ratio = ours / floor;
        if ratio.is_finite() {
            println!("{what:<62} {ratio:>6.2}   ({ours:.1} ns to {floor:.1} ns)");
        }
    }
}
