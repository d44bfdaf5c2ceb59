//! What a bookmark store costs for each message, as ratios to what a map needs in the same run.
//!
//! For each message: log it, ask whether it was discarded, discard the one that arrived a backlog
//! before; against inserting the same bookmark into a `HashMap` of the standard library, looking it
//! up, and removing the one of a backlog before. The map borrows its keys, so neither side
//! allocates. The bookmarks are of three publishers.
//!
//! The ratios are printed last, from the medians: `cargo bench -p amps-stores --bench bookmark`.

mod measure;

use amps_core::{BookmarkStore, Logged, Result};
use amps_stores::{LoggedBookmarkStore, MemoryBookmarkStore, MmapBookmarkStore, RingBookmarkStore};
use criterion::Criterion;
use measure::{Report, median, print};
use std::collections::HashMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Bookmarks that are made before the clock runs.
const BATCH: u64 = 10_000;
const BACKLOGS: [u64; 2] = [100, 100_000];
const SUB: &str = "sub-00001";

type AnyResult = std::result::Result<(), Box<dyn std::error::Error>>;

fn main() -> AnyResult {
    let mut criterion = Criterion::default().configure_from_args();
    let mut report = Report::new();
    for backlog in BACKLOGS {
        let directory = tempfile::tempdir()?;
        let path = |name: &str| directory.path().join(name);
        let memory = MemoryBookmarkStore::new();
        let ring = RingBookmarkStore::open(path("ring"))?;
        let mmap = MmapBookmarkStore::open(path("mmap"))?;
        let logged = LoggedBookmarkStore::open(path("logged"))?;
        let stores: [(&str, &dyn BookmarkStore); 4] = [
            ("memory", &memory),
            ("ring", &ring),
            ("mmap", &mmap),
            ("logged", &logged),
        ];
        let floor = map(&mut criterion, backlog);
        for (name, store) in stores {
            let ours = working(&mut criterion, name, store, backlog)?;
            let what = format!("log, check and discard in {name}, {backlog} stay / a map");
            report.push((what, ours, floor));
        }
    }
    criterion.final_summary();
    print(report);
    Ok(())
}

/// The bookmarks of these numbers.
fn bookmarks(numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers
        .map(|number| format!("{}|{number}|", 4_418_602_183_412_675_531 + number % 3))
        .collect()
}

fn map(criterion: &mut Criterion, backlog: u64) -> f64 {
    let mut map = HashMap::new();
    // What the map borrows: a circle, longer than the backlog.
    let all = bookmarks(1..backlog + BATCH);
    for bookmark in &all[..backlog as usize] {
        map.insert(bookmark.as_str(), 0);
    }
    let mut newest = backlog as usize;
    let mut oldest = 0;
    median(criterion, "map", &backlog.to_string(), |rounds| {
        let begin = Instant::now();
        for number in 0..rounds {
            map.insert(all[newest].as_str(), number);
            black_box(map.get(all[newest].as_str()));
            black_box(map.remove(all[oldest].as_str()));
            newest = if newest + 1 < all.len() {
                newest + 1
            } else {
                0
            };
            oldest = if oldest + 1 < all.len() {
                oldest + 1
            } else {
                0
            };
        }
        begin.elapsed()
    })
}

fn working(
    criterion: &mut Criterion,
    name: &str,
    store: &dyn BookmarkStore,
    backlog: u64,
) -> Result<f64> {
    // The first entry has the number 1, as has the first bookmark.
    for bookmark in bookmarks(1..backlog + 1) {
        store.log(SUB, &bookmark)?;
    }
    let mut next = backlog + 1;
    let mut failed = None;
    let median = median(criterion, name, &backlog.to_string(), |rounds| {
        let mut taken = Duration::ZERO;
        let mut left = rounds;
        while left > 0 && failed.is_none() {
            let now = left.min(BATCH);
            let batch = bookmarks(next..next + now);
            let begin = Instant::now();
            failed = work(store, &batch, backlog).err();
            taken += begin.elapsed();
            next += now;
            left -= now;
        }
        taken
    });
    failed.map_or(Ok(median), Err)
}

fn work(store: &dyn BookmarkStore, bookmarks: &[String], backlog: u64) -> Result<()> {
    for bookmark in bookmarks {
        if let Logged::Undiscarded(entry) = store.log(SUB, bookmark)? {
            black_box(store.is_discarded(SUB, bookmark));
            store.discard(SUB, entry - backlog)?;
        }
    }
    Ok(())
}
