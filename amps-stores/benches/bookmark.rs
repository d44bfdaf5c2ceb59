//! What a bookmark store costs for each message, as ratios to what a map needs in the same run.
//!
//! For each message: log it, ask whether it was discarded, discard the one that arrived a backlog
//! before; against inserting the same bookmark into a `HashMap` of the standard library, looking it
//! up, and removing the one of a backlog before. The map borrows its keys, so neither side
//! allocates.
//!
//! The ratios are printed last, from the medians: `cargo bench -p amps-stores --bench bookmark`.

use amps_core::{BookmarkStore, Logged, Result};
use amps_stores::{LoggedBookmarkStore, MemoryBookmarkStore, MmapBookmarkStore, RingBookmarkStore};
use std::collections::HashMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Messages between two looks at the clock.
const BATCH: usize = 20_000;
/// Rounds; each measures all candidates, one after the other.
const ROUNDS: usize = 15;
const SUB: &str = "sub-00001";

fn main() -> Result<()> {
    // Cargo passes arguments for another harness; a test run only shows that it runs.
    let rounds = if std::env::args().any(|argument| argument == "--test") {
        1
    } else {
        ROUNDS
    };
    for backlog in [100, 100_000] {
        compare(backlog, rounds)?;
    }
    Ok(())
}

fn bookmarks(backlog: usize, rounds: usize) -> Vec<String> {
    (1..=backlog + rounds * BATCH)
        .map(|number| {
            format!(
                "{}|{number}|",
                4_418_602_183_412_675_531 + (number as u64 % 3)
            )
        })
        .collect()
}

fn compare(backlog: usize, rounds: usize) -> Result<()> {
    let bookmarks = bookmarks(backlog, rounds);
    let directory =
        std::env::temp_dir().join(format!("amps-bookmark-bench-{}", std::process::id()));
    // A directory that is there is as good as a new one.
    let _ = std::fs::create_dir_all(&directory);
    let stores: [(&str, Box<dyn BookmarkStore>); 4] = [
        ("memory", Box::new(MemoryBookmarkStore::new())),
        (
            "ring",
            Box::new(RingBookmarkStore::open(directory.join("ring"))?),
        ),
        (
            "mmap",
            Box::new(MmapBookmarkStore::open(directory.join("mmap"))?),
        ),
        (
            "logged",
            Box::new(LoggedBookmarkStore::open(directory.join("logged"))?),
        ),
    ];
    let mut map = HashMap::new();
    for (number, bookmark) in bookmarks[..backlog].iter().enumerate() {
        map.insert(bookmark.as_str(), number);
        for (_, store) in &stores {
            store.log(SUB, bookmark)?;
        }
    }
    let mut floor = Vec::new();
    let mut ours = vec![Vec::new(); stores.len()];
    for round in 0..rounds {
        let range = backlog + round * BATCH..backlog + (round + 1) * BATCH;
        floor.push(timed(|| {
            for number in range.clone() {
                map.insert(bookmarks[number].as_str(), number);
                black_box(map.get(bookmarks[number].as_str()));
                black_box(map.remove(bookmarks[number - backlog].as_str()));
            }
            Ok(())
        })?);
        for ((_, store), times) in stores.iter().zip(&mut ours) {
            times.push(timed(|| {
                work(&**store, &bookmarks, backlog, range.clone())
            })?);
        }
    }
    println!("backlog {backlog}: insert, look up and remove in a map 1.00");
    let floor = median(floor);
    for ((name, _), times) in stores.iter().zip(ours) {
        let ratio = median(times).as_secs_f64() / floor.as_secs_f64();
        println!("backlog {backlog}: log, check and discard in {name:<10} {ratio:>6.2}");
    }
    drop(stores);
    let _ = std::fs::remove_dir_all(&directory);
    Ok(())
}

fn work(
    store: &dyn BookmarkStore,
    bookmarks: &[String],
    backlog: usize,
    range: std::ops::Range<usize>,
) -> Result<()> {
    for number in range {
        if let Logged::Undiscarded(entry) = store.log(SUB, &bookmarks[number])? {
            black_box(store.is_discarded(SUB, &bookmarks[number]));
            store.discard(SUB, entry - backlog as u64)?;
        }
    }
    Ok(())
}

fn timed(run: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let begin = Instant::now();
    run()?;
    Ok(begin.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
