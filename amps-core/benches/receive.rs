//! Two steps of receiving, without sockets: finding the subscription of a message, and handing
//! messages from the receive thread to the reader of a stream.
//!
//! `cargo bench -p amps-core --bench receive`.

use amps_core::internals::{HandOver, Router};
use amps_core::{CommandType, Message};
use criterion::{BenchmarkId, Criterion, Throughput};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

/// A step through the subscriptions that shares no factor with their number, so that each message
/// is for another one than the message before, and each has its turn.
const STEP: usize = 7919;

/// The most messages that wait: a reader that is slower does not make the queue grow for ever.
const MOST_WAITING: u64 = 100_000;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    route(&mut criterion);
    hand_over(&mut criterion);
    criterion.final_summary();
}

fn route(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route to one of");
    group.throughput(Throughput::Elements(1));
    for count in [1, 100, 10_000] {
        let mut router = Router::default();
        let ids = (0..count).map(|at| format!("sub-{at:05}"));
        let ids = ids.collect::<Vec<_>>();
        assert!(ids.iter().all(|id| router.add(id)), "an id is there twice");
        assert!(!router.find(b"sub-x") && router.find(b"sub-00000"));
        let mut at = 0;
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| {
                at = (at + STEP) % count;
                black_box(router.find(black_box(ids[at].as_bytes())))
            });
        });
    }
    group.finish();
}

fn hand_over(criterion: &mut Criterion) {
    let mut message = Message::new(CommandType::Publish.name());
    message.set_topic("orders").set_data([b'x'; 100]);
    let mut group = criterion.benchmark_group("hand over to another thread, from one read");
    // One message in each read, and as many as a full read brings.
    for batch in [1, 250] {
        group.throughput(Throughput::Elements(batch));
        group.bench_function(BenchmarkId::from_parameter(batch), |bencher| {
            bencher.iter_custom(|reads| {
                let (queue, taken) = (HandOver::default(), AtomicU64::new(0));
                let total = reads * batch;
                let start = Instant::now();
                thread::scope(|scope| {
                    scope.spawn(|| {
                        let mut count = 0;
                        while count < total {
                            count += queue.take() as u64;
                            taken.store(count, Ordering::Relaxed);
                        }
                    });
                    for read in 0..reads {
                        while read * batch > taken.load(Ordering::Relaxed) + MOST_WAITING {
                            thread::yield_now();
                        }
                        queue.push(&message, batch as usize);
                    }
                });
                start.elapsed()
            });
        });
    }
    group.finish();
}
