//! Pruning: what it keeps, what goes on meanwhile, what happens if it fails (rule L17).

use crate::files::refused;
use crate::support::{
    Kind, SUB, discard, for_each_restart, is_duplicate, log, log_all, place, recent, work_off,
};
use amps_core::{BookmarkStore, Error};
use amps_stores::{BookmarkFileOptions, LoggedBookmarkStore, MmapBookmarkStore};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

#[test]
fn a_file_stays_locked_while_and_after_it_is_pruned() {
    let (_directory, path) = place();
    let store = LoggedBookmarkStore::open(&path).unwrap();
    work_off(&store, &["1|1|"]);
    for _ in 0..3 {
        store.prune().unwrap();
        refused(Kind::Logged, &path, "another store has it open");
    }
    work_off(&store, &["1|2|"]);
    drop(store);
    assert_eq!(recent(&*Kind::Logged.open(&path)), "1|2|");
}

#[test]
fn l17_pruning_makes_the_file_short_and_keeps_what_is_needed() {
    for_each_restart(
        |store| {
            store.enter(SUB, "9|9|").unwrap();
            for number in 1..=2_000 {
                work_off(store, &[&format!("1|{number}|")]);
            }
            log_all(store, &["1|2001|", "2|1|", "1|2002|", "a|b|c", ""]);
            discard(store, "1|2002|");
            discard(store, "a|b|c");
        },
        |store| {
            assert_eq!(recent(store), "1|2000|,9|9|");
            assert_eq!(store.oldest_bookmark_seq(SUB), 2001);
            let duplicates = [
                ("1|2000|", true),
                ("1|2001|", false),
                ("1|2002|", true),
                ("2|1|", false),
                ("a|b|c", true),
            ];
            for (bookmark, duplicate) in duplicates {
                assert_eq!(is_duplicate(store, bookmark), duplicate, "{bookmark}");
            }
            assert_eq!(log(store, "1|2003|"), 2006);
        },
    );
    for kind in Kind::FULL {
        let (_directory, path) = place();
        let store = kind.open(&path);
        for number in 1..=5_000 {
            work_off(&*store, &[&format!("1|{number}|")]);
        }
        drop(store);
        let long = fs::metadata(&path).unwrap().len();
        kind.prune(&path);
        let short = fs::metadata(&path).unwrap().len();
        let most = if kind == Kind::Logged {
            300
        } else {
            128 * 1024
        };
        assert!(long > 200_000 && short <= most, "{long} to {short}");
    }
}

#[test]
fn a_store_goes_on_in_the_file_that_pruning_made() {
    let (_directory, path) = place();
    let store = MmapBookmarkStore::open(&path).unwrap();
    store.enter("first", "3|3|").unwrap();
    log_all(&store, &["1|1|", "1|2|"]);
    store.prune().unwrap();
    // Numbers and names that were given before go on.
    store.discard(SUB, 2).unwrap();
    store.prune().unwrap();
    store.discard(SUB, 1).unwrap();
    store.log("second", "5|5|").unwrap();
    drop(store);
    let store = MmapBookmarkStore::open(&path).unwrap();
    assert_eq!(recent(&store), "1|2|");
    assert_eq!(store.most_recent("first").unwrap(), "3|3|");
    assert_eq!(store.oldest_bookmark_seq("second"), 1);
}

#[test]
fn trap62_no_change_made_while_the_file_is_pruned_is_lost() {
    for kind in Kind::FULL {
        let (_directory, path) = place();
        const EACH: u64 = 2_000;
        let done = AtomicBool::new(false);
        match kind {
            Kind::Logged => {
                let store = LoggedBookmarkStore::open(&path).unwrap();
                hammer(&store, EACH, &done, &|| store.prune().unwrap());
            }
            _ => {
                let store = MmapBookmarkStore::open(&path).unwrap();
                hammer(&store, EACH, &done, &|| store.prune().unwrap());
            }
        }
        let store = kind.open(&path);
        for thread in ["a", "b"] {
            let last = format!("1|{EACH}|");
            assert_eq!(store.most_recent(thread).unwrap(), last, "{kind:?}");
            assert_eq!(store.oldest_bookmark_seq(thread), 0);
        }
    }
}

fn hammer(store: &dyn BookmarkStore, each: u64, done: &AtomicBool, prune: &(dyn Fn() + Sync)) {
    thread::scope(|scope| {
        let pruner = scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                prune();
            }
        });
        let workers = ["a", "b"].map(|sub| {
            scope.spawn(move || {
                for number in 1..=each {
                    let bookmark = format!("1|{number}|");
                    store.log(sub, &bookmark).unwrap();
                    store.discard_bookmark(sub, &bookmark).unwrap();
                }
            })
        });
        for worker in workers {
            worker.join().unwrap();
        }
        done.store(true, Ordering::Release);
        pruner.join().unwrap();
    });
}

#[test]
fn trap63_a_file_prunes_itself_in_time() {
    for kind in Kind::FILES {
        let (_directory, path) = place();
        let options = BookmarkFileOptions::new().set_prune_above(10_000);
        let store = kind.open_with(&path, options).unwrap();
        // A backlog that must be kept, so that the file cannot get below.
        log_all(&*store, &["5|1|", "1|1|"]);
        discard(&*store, "5|1|");
        let mut longest = 0;
        for number in 2..=3_000u64 {
            log(&*store, &format!("1|{number}|"));
            store.discard(SUB, number).unwrap();
            if kind == Kind::Logged {
                longest = longest.max(fs::metadata(&path).unwrap().len());
            }
        }
        assert!(longest <= 20_000, "{longest}");
        drop(store);
        let length = fs::metadata(&path).unwrap().len();
        assert!(length <= 2 * 64 * 1024, "{kind:?}: {length}");
        assert_eq!(recent(&*kind.open(&path)), "5|1|,1|2999|");
    }
}

#[cfg(unix)]
#[test]
fn a_prune_that_fails_keeps_the_file_and_the_store_goes_on() {
    for kind in Kind::FULL {
        let (_directory, path) = place();
        let beside = path.with_file_name("bookmarks.new");
        let check = |store: &dyn BookmarkStore, prune: &dyn Fn() -> amps_core::Result<()>| {
            work_off(store, &["1|1|"]);
            log(store, "1|2|");
            // Where the new file would be made is a directory.
            fs::create_dir(&beside).unwrap();
            assert!(matches!(prune().unwrap_err(), Error::Store(_)));
            store.discard(SUB, 2).unwrap();
            fs::remove_dir(&beside).unwrap();
            refused(kind, &path, "another store has it open");
            prune().unwrap();
            work_off(store, &["1|3|"]);
        };
        if kind == Kind::Logged {
            let store = LoggedBookmarkStore::open(&path).unwrap();
            check(&store, &|| store.prune());
        } else {
            let store = MmapBookmarkStore::open(&path).unwrap();
            check(&store, &|| store.prune());
        }
        assert_eq!(recent(&*kind.open(&path)), "1|3|");
    }
}
