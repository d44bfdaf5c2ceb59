//! With a constant backlog, memory and disk are constant, and the steady state does not allocate
//! (rule L19).

use crate::support::{Kind, SUB, place};
use amps_core::{BookmarkStore, Logged};
use amps_stores::BookmarkFileOptions;
use std::fmt::Write;
use std::fs;

const BACKLOG: u64 = 100;

/// Logs messages of three publishers and discards each when 100 more have arrived.
fn work(store: &dyn BookmarkStore, from: u64, to: u64) {
    let mut bookmark = String::with_capacity(64);
    for number in from..to {
        bookmark.clear();
        write!(bookmark, "{}|{number}|", number % 3 + 1).unwrap();
        let logged = store.log(SUB, &bookmark).unwrap();
        assert_eq!(logged, Logged::Undiscarded(number));
        assert!(!store.is_discarded(SUB, &bookmark));
        if number > BACKLOG {
            store.discard(SUB, number - BACKLOG).unwrap();
        }
    }
}

fn constant_backlog(messages: u64) {
    for kind in [Kind::Memory, Kind::Logged, Kind::Mmap] {
        let (_directory, path) = place();
        let limit = 256 * 1024;
        let options = BookmarkFileOptions::new().set_prune_above(limit);
        let store = kind.open_with(&path, options).unwrap();
        work(&*store, 1, 20_000);
        let used = allocation_counter::measure(|| work(&*store, 20_000, messages));
        // Nothing grows; what is allocated for a while is for pruning.
        assert!(used.bytes_current <= 64 * 1024, "{kind:?}: {used:?}");
        assert!(used.bytes_max <= 256 * 1024, "{kind:?}: {used:?}");
        let per_message = used.count_total as f64 / (messages - 20_000) as f64;
        assert!(
            per_message < 0.05,
            "{kind:?}: {per_message} allocations per message"
        );
        drop(store);
        if kind != Kind::Memory {
            let length = fs::metadata(&path).unwrap().len();
            assert!(length <= 2 * limit + 128 * 1024, "{kind:?}: {length}");
            assert_eq!(
                kind.open(&path).oldest_bookmark_seq(SUB),
                messages - BACKLOG
            );
        }
    }
}

#[test]
fn l19_memory_and_disk_do_not_grow_with_a_constant_backlog() {
    constant_backlog(100_000);
}

#[test]
#[ignore = "the long mode of the one above"]
fn l19_memory_and_disk_do_not_grow_over_ten_million_messages() {
    constant_backlog(10_000_000);
}

#[test]
fn l19_a_backlog_that_is_worked_off_gives_its_memory_back() {
    let (_directory, path) = place();
    let store = Kind::Memory.open(&path);
    const MANY: u64 = 200_000;
    let used = allocation_counter::measure(|| {
        for number in 1..=MANY {
            store.log(SUB, &format!("1|{number}|")).unwrap();
        }
        for number in 1..=MANY {
            store.discard(SUB, number).unwrap();
        }
    });
    assert!(used.bytes_max > 16 * MANY, "{used:?}");
    assert!(used.bytes_current < 512 * 1024, "{used:?}");
}
