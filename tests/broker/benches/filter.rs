//! What a filter costs: evaluating one on a JSON message, as a ratio to the floor, which is letting
//! `serde_json` skim the same message.

use std::hint::black_box;
use std::time::{Duration, Instant};

use amps_broker::filter::{BareMessage, Filter};
use amps_broker::message_type::MessageType;
use criterion::{Criterion, criterion_group};
use serde::de::IgnoredAny;

const PAYLOAD: &str = r#"{"id":100243,"sym":"IBM","px":92.75,"qty":1200,"side":"BUY","account":"ACC-00417","trader":"jsmith","venue":{"mic":"XNYS","seq":774512},"tags":["algo","dma"],"ts":"2024-03-05T14:30:12.000412Z"}"#;
const FILTER: &str = "/px > 90 AND /sym = 'IBM'";

fn skim() {
    let skimmed: Result<IgnoredAny, _> = serde_json::from_slice(black_box(PAYLOAD.as_bytes()));
    assert!(skimmed.is_ok());
}

fn evaluate(filter: &Filter) {
    let message = BareMessage {
        message_type: &MessageType::Json,
        topic: "orders",
        payload: black_box(PAYLOAD.as_bytes()),
    };
    assert!(black_box(filter).matches(&message));
}

fn filter() -> Filter {
    Filter::parse(FILTER).unwrap_or_else(|error| panic!("{FILTER}: {error}"))
}

fn benches(criterion: &mut Criterion) {
    let filter = filter();
    let mut group = criterion.benchmark_group("filter");
    group.bench_function("skim", |bencher| bencher.iter(skim));
    group.bench_function("evaluate", |bencher| bencher.iter(|| evaluate(&filter)));
    group.finish();
}

/// The medians of many short rounds, in turns, so that both see the same machine.
fn medians() -> (Duration, Duration) {
    const ROUNDS: usize = 301;
    const CALLS: u32 = 2_000;
    let filter = filter();
    let time = |call: &dyn Fn()| {
        let start = Instant::now();
        for _ in 0..CALLS {
            call();
        }
        start.elapsed() / CALLS
    };
    let (mut floor, mut cost): (Vec<_>, Vec<_>) = (0..ROUNDS)
        .map(|_| (time(&skim), time(&|| evaluate(&filter))))
        .unzip();
    floor.sort_unstable();
    cost.sort_unstable();
    (floor[ROUNDS / 2], cost[ROUNDS / 2])
}

criterion_group!(group, benches);

fn main() {
    group();
    Criterion::default().configure_from_args().final_summary();
    // Under `cargo test` there is nothing to measure.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let (floor, cost) = medians();
    println!(
        "evaluate / skim, medians of one run over {} bytes: {:.2} ({cost:?} / {floor:?})",
        PAYLOAD.len(),
        cost.as_secs_f64() / floor.as_secs_f64(),
    );
}
