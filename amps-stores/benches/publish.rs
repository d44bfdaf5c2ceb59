//! What a publish store costs, as ratios measured in the same run.
//!
//! - Appending a message of 100 bytes to each store, warm: against the same copy at the same
//!   stride through a warm map of 64 MiB, which is all that a store without numbers, checksums and
//!   locks could do. The stores walk through as much memory as the floor does.
//! - Appending, and discarding one message, with a backlog of 100,000: against the same with one of
//!   100. A short backlog stays in the caches, a long one does not.
//!
//! The ratios are printed last, from the medians: `cargo bench -p amps-stores --bench publish`.

mod measure;

use amps_core::{CommandType, OutgoingCommand, PublishStore, Result};
use amps_stores::{FilePublishStore, FileStoreOptions, HybridPublishStore, MemoryPublishStore};
use criterion::Criterion;
use measure::{Report, median, print};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// What the stores and the floor walk through.
const MEMORY: usize = 64 << 20;
/// What a record of the message below takes in a store.
const STRIDE: usize = (24_usize + 112).next_multiple_of(16);
/// Messages until everything is discarded: a little less than fits.
const CYCLE: u64 = (MEMORY / STRIDE) as u64 - 5_000;
/// Appends or discards between two looks at the clock.
const AT_ONCE: u64 = 1000;

type AnyResult = std::result::Result<(), Box<dyn std::error::Error>>;

fn main() -> AnyResult {
    let mut criterion = Criterion::default().configure_from_args();
    let directory = tempfile::tempdir()?;
    let options = FileStoreOptions::new().set_initial_size(MEMORY);
    let memory = MemoryPublishStore::new(MEMORY / 2048);
    let file = FilePublishStore::open(directory.path().join("file"), options.clone())?;
    let hybrid = directory.path().join("hybrid");
    let hybrid = HybridPublishStore::open_with(hybrid, CYCLE as usize + 1, options)?;
    let stores: [(&str, &dyn PublishStore); 3] =
        [("memory", &memory), ("file", &file), ("hybrid", &hybrid)];

    let data = [b'x'; 100];
    let command = OutgoingCommand::new(CommandType::Publish, "orders", &data);
    let floor = copying(&mut criterion, &command)?;
    let mut report = Report::new();
    for (name, store) in stores {
        let ours = appending(&mut criterion, name, store, &command)?;
        report.push((format!("append to the {name} store / copying"), ours, floor));
    }
    for (name, store) in stores {
        let few = appending_to(&mut criterion, name, store, &command, 100)?;
        let many = appending_to(&mut criterion, name, store, &command, 100_000)?;
        let what = format!("append to the {name} store, 100,000 stay / 100 stay");
        report.push((what, many, few));
        let few = discarding(&mut criterion, name, store, &command, 100)?;
        let many = discarding(&mut criterion, name, store, &command, 100_000)?;
        let what = format!("discard from the {name} store, 100,000 stay / 100 stay");
        report.push((what, many, few));
    }
    criterion.final_summary();
    print(report);
    Ok(())
}

fn copying(criterion: &mut Criterion, command: &OutgoingCommand<'_>) -> std::io::Result<f64> {
    let mut map = memmap2::MmapMut::map_anon(MEMORY)?;
    map.fill(1);
    let mut encoded = vec![0; command.encoded_len()];
    command.encode_to(&mut encoded);
    assert_eq!((24 + encoded.len()).next_multiple_of(16), STRIDE);
    let mut at = 0;
    Ok(median(criterion, "copy", "100 bytes", |rounds| {
        let begin = Instant::now();
        for _ in 0..rounds {
            if at + STRIDE > MEMORY {
                at = 0;
            }
            map[at + 24..][..encoded.len()].copy_from_slice(black_box(&encoded));
            at += STRIDE;
        }
        begin.elapsed()
    }))
}

fn appending(
    criterion: &mut Criterion,
    name: &str,
    store: &dyn PublishStore,
    command: &OutgoingCommand<'_>,
) -> Result<f64> {
    // Everything is touched once before it counts.
    for _ in 0..CYCLE {
        store.store(command)?;
    }
    store.discard_up_to(store.highest_unpersisted())?;
    let mut stored = 0;
    let mut failed = None;
    let median = median(criterion, "append", name, |rounds| {
        let mut taken = Duration::ZERO;
        let mut left = rounds;
        while left > 0 && failed.is_none() {
            let now = left.min(CYCLE - stored);
            let begin = Instant::now();
            for _ in 0..now {
                if let Err(error) = store.store(black_box(command)) {
                    failed = Some(error);
                    break;
                }
            }
            taken += begin.elapsed();
            left -= now;
            stored += now;
            if stored == CYCLE {
                stored = 0;
                failed = store.discard_up_to(store.highest_unpersisted()).err();
            }
        }
        taken
    });
    store.discard_up_to(store.highest_unpersisted())?;
    failed.map_or(Ok(median), Err)
}

/// Appends a thousand at a time to a backlog that is brought back to its length in between.
fn appending_to(
    criterion: &mut Criterion,
    name: &str,
    store: &dyn PublishStore,
    command: &OutgoingCommand<'_>,
    backlog: u64,
) -> Result<f64> {
    let append = |count: u64| -> Result<()> {
        for _ in 0..count {
            store.store(black_box(command))?;
        }
        Ok(())
    };
    // Numbers follow one another, so the newest that goes is known.
    let shorten = || store.discard_up_to(store.highest_unpersisted() - backlog);
    append(backlog)?;
    let mut failed = None;
    let name = format!("{name}/{backlog}");
    let median = median(criterion, "append", &name, |rounds| {
        let mut taken = Duration::ZERO;
        let mut left = rounds;
        while left > 0 && failed.is_none() {
            let now = left.min(AT_ONCE);
            let begin = Instant::now();
            failed = append(now).err();
            taken += begin.elapsed();
            left -= now;
            failed = failed.take().or_else(|| shorten().err());
        }
        taken
    });
    store.discard_up_to(store.highest_unpersisted())?;
    failed.map_or(Ok(median), Err)
}

fn discarding(
    criterion: &mut Criterion,
    name: &str,
    store: &dyn PublishStore,
    command: &OutgoingCommand<'_>,
    backlog: u64,
) -> Result<f64> {
    let fill = || -> Result<()> {
        while (store.unpersisted_count() as u64) < backlog + AT_ONCE {
            store.store(command)?;
        }
        Ok(())
    };
    let mut failed = fill().err();
    let name = format!("{name}/{backlog}");
    let median = median(criterion, "discard", &name, |rounds| {
        let mut taken = Duration::ZERO;
        let mut left = rounds;
        while left > 0 && failed.is_none() {
            let now = left.min(AT_ONCE);
            let lowest = store.lowest_unpersisted();
            let begin = Instant::now();
            for number in lowest..lowest + now {
                if let Err(error) = store.discard_up_to(black_box(number)) {
                    failed = Some(error);
                }
            }
            taken += begin.elapsed();
            left -= now;
            failed = failed.take().or_else(|| fill().err());
        }
        taken
    });
    store.discard_up_to(store.highest_unpersisted())?;
    failed.map_or(Ok(median), Err)
}
