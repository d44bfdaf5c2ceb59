//! Killed at any instruction, a store with a full log is in the state after the last change that
//! returned, or after the one that was being made; also while it was being pruned.
//!
//! A child makes changes that depend on their number only, and notes after each how many it has
//! made. It is killed at a random moment. The file must then be as a memory store to which the same
//! changes were made. The next child goes on with the same file.

use crate::child::{Orders, child, orders, progress_path};
use crate::support::{Kind, SUB, place};
use amps_core::BookmarkStore;
use amps_stores::BookmarkFileOptions;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// How many messages wait between arrival and the sweep that discards them.
const BACKLOG: u64 = 40;

/// A number that looks random, for a number.
fn scramble(number: u64) -> u64 {
    let mixed = (number ^ (number >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 20
}

fn bookmark(number: u64) -> String {
    match scramble(number) % 10 {
        0 => format!("text|{number}|0"),
        publisher => format!("{}|{number}|", publisher % 3 + 1),
    }
}

/// Makes the change of this number. To make it twice is to make it once.
fn change(store: &dyn BookmarkStore, step: u64) {
    let number = step / 3 + 1;
    let dice = scramble(step);
    match step % 3 {
        0 => drop(store.log(SUB, &bookmark(number)).unwrap()),
        1 => store.discard(SUB, number.saturating_sub(BACKLOG)).unwrap(),
        _ => match dice % 16 {
            0 => {
                let point = store.most_recent(SUB).unwrap();
                store.enter(SUB, &point).unwrap();
            }
            1 | 2 => store.completed(SUB, "8|8|").unwrap(),
            3..6 => store.persisted(SUB, &format!("9|{step}|")).unwrap(),
            _ => store
                .discard(SUB, number.saturating_sub(dice / 16 % BACKLOG))
                .unwrap(),
        },
    }
}

fn open(kind: Kind, path: &Path) -> Box<dyn BookmarkStore> {
    // It is pruned again and again.
    let options = BookmarkFileOptions::new().set_prune_above(8 * 1024);
    kind.open_with(path, options).unwrap()
}

/// The body of the child.
#[test]
fn child_that_is_killed() {
    let Some(orders) = orders() else {
        return;
    };
    let store = open(orders.kind, &orders.path);
    let progress = OpenOptions::new()
        .write(true)
        .open(progress_path(&orders.path))
        .unwrap();
    for step in orders.start.. {
        change(&*store, step);
        progress.write_all_at(&(step + 1).to_le_bytes(), 0).unwrap();
    }
}

fn made(progress: &File) -> u64 {
    let mut bytes = [0; 8];
    progress.read_exact_at(&mut bytes, 0).unwrap();
    u64::from_le_bytes(bytes)
}

/// What can be asked of a store, after this many changes.
fn answers(kind: Kind, store: &dyn BookmarkStore, steps: u64) -> (String, u64, Vec<bool>) {
    let last = steps / 3 + 2;
    let discarded = (last.saturating_sub(3 * BACKLOG)..last)
        .map(|number| store.is_discarded(SUB, &bookmark(number)));
    let recent = store.most_recent(SUB).unwrap();
    match kind {
        Kind::Ring => (recent, 0, Vec::new()),
        _ => (recent, store.oldest_bookmark_seq(SUB), discarded.collect()),
    }
}

fn kill_again_and_again(kind: Kind, times: u64, seed: u64) {
    let (_directory, path) = place();
    fs::write(progress_path(&path), [0; 8]).unwrap();
    let progress = File::open(progress_path(&path)).unwrap();
    let memory = Kind::Memory.open(&path);
    let mut steps = 0;
    for time in 0..times {
        let orders = Orders {
            path: path.clone(),
            kind,
            start: steps,
        };
        let mut process = child("kill::child_that_is_killed", &orders, None)
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while made(&progress) == steps {
            assert!(process.try_wait().unwrap().is_none(), "the child gave up");
            assert!(Instant::now() < deadline, "the child does nothing");
            thread::yield_now();
        }
        // The moment of the kill, in microseconds.
        thread::sleep(Duration::from_micros(scramble(seed + time) % 12_000));
        process.kill().unwrap();
        process.wait().unwrap();

        let returned = made(&progress);
        (steps..returned).for_each(|step| change(&*memory, step));
        let store = kind.open(&path);
        let found = answers(kind, &*store, returned);
        if found != answers(kind, &*memory, returned) {
            change(&*memory, returned);
            assert_eq!(
                found,
                answers(kind, &*memory, returned),
                "{kind:?} after {returned} changes"
            );
        }
        steps = returned;
    }
    assert!(steps > times * 20, "only {steps} changes were made");
}

#[test]
fn a_mapped_file_survives_100_kills() {
    kill_again_and_again(Kind::Mmap, 100, 1);
}

#[test]
fn a_logged_file_survives_100_kills() {
    kill_again_and_again(Kind::Logged, 100, 2);
}

/// A ring knows less after a restart, so each kill begins with a new file.
#[test]
fn a_ring_survives_20_kills() {
    for seed in 0..20 {
        kill_again_and_again(Kind::Ring, 1, 100 + seed);
    }
}

#[test]
#[ignore = "the long mode of the above"]
fn files_survive_2000_kills_each() {
    thread::scope(|scope| {
        scope.spawn(|| kill_again_and_again(Kind::Mmap, 2_000, 10_000));
        scope.spawn(|| kill_again_and_again(Kind::Logged, 2_000, 20_000));
    });
}
