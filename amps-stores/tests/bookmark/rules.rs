//! Rules L4 to L20, and the traps of other implementations, by number.

use crate::support::{
    Kind, SUB, discard, for_each_restart, for_each_store, is_duplicate, log, log_all, place,
    recent, work_off,
};
use amps_core::{Error, Logged, bookmark};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn l2_trap81_an_unknown_subscription_starts_at_the_epoch() {
    for_each_store(|_, store| {
        assert_eq!(recent(store), bookmark::EPOCH);
        // Asking made nothing.
        assert_eq!(store.oldest_bookmark_seq(SUB), 0);
        assert!(!store.is_discarded(SUB, "1|1|"));
    });
}

#[test]
fn l5_entries_are_numbered_from_1_and_one_that_is_there_keeps_its_number() {
    for_each_store(|_, store| {
        assert_eq!(log(store, "1|10|"), 1);
        assert_eq!(log(store, "2|10|"), 2);
        assert_eq!(log(store, "1|10|"), 1);
        assert_eq!(log(store, "2|10|"), 2);
        assert_eq!(log(store, "1|11|"), 3);
    });
}

#[test]
fn l6_trap76_an_undiscarded_message_seen_twice_is_delivered_twice() {
    for_each_restart(
        |store| log_all(store, &["1|1|", "1|2|"]),
        |store| {
            assert!(!is_duplicate(store, "1|1|"));
            assert!(!is_duplicate(store, "1|2|"));
            assert_eq!(recent(store), "0");
            discard(store, "1|1|");
            assert!(is_duplicate(store, "1|1|"));
            assert!(!is_duplicate(store, "1|2|"));
        },
    );
}

#[test]
fn l7_trap77_a_discard_discards_one_entry_and_not_those_before_it() {
    for_each_restart(
        |store| {
            log_all(store, &["1|1|", "1|2|", "1|3|"]);
            store.discard(SUB, 3).unwrap();
        },
        |store| {
            assert!(!is_duplicate(store, "1|1|"));
            assert!(!is_duplicate(store, "1|2|"));
            assert!(is_duplicate(store, "1|3|"));
            assert_eq!(recent(store), "0");
            assert_eq!(store.oldest_bookmark_seq(SUB), 1);
        },
    );
}

#[test]
fn l7_a_number_that_is_not_there_changes_nothing() {
    for_each_store(|_, store| {
        log_all(store, &["1|1|", "1|2|"]);
        store.discard("other", 1).unwrap();
        for number in [0, 3, u64::MAX] {
            store.discard(SUB, number).unwrap();
        }
        store.discard_bookmark(SUB, "9|9|").unwrap();
        store.discard_bookmark("other", "1|1|").unwrap();
        assert_eq!(store.oldest_bookmark_seq(SUB), 1);
        store.discard(SUB, 1).unwrap();
        store.discard(SUB, 1).unwrap();
        discard(store, "1|1|");
        assert_eq!(
            (recent(store).as_str(), store.oldest_bookmark_seq(SUB)),
            ("1|1|", 2)
        );
    });
}

#[test]
fn l9_the_example_with_one_publisher() {
    for_each_restart(
        |store| {
            log_all(store, &["1|1|", "1|2|", "1|3|"]);
            discard(store, "1|1|");
            discard(store, "1|3|");
            assert_eq!(recent(store), "1|1|");
        },
        |store| {
            assert_eq!(recent(store), "1|1|");
            assert!(!is_duplicate(store, "1|2|"));
            assert!(is_duplicate(store, "1|3|"));
        },
    );
}

#[test]
fn l9_the_example_with_two_publishers() {
    for_each_restart(
        |store| {
            store.enter(SUB, "7|7|").unwrap();
            log_all(store, &["1|1|", "2|5|", "1|2|"]);
            discard(store, "1|1|");
            discard(store, "1|2|");
        },
        // Not 1|2|; and 2 has nothing in the prefix, so the entry point is added.
        |store| assert_eq!(recent(store), "1|1|,7|7|"),
    );
}

#[test]
fn l15_a_purge_forgets_and_late_discards_hit_nothing() {
    for_each_store(|_, store| {
        work_off(store, &["1|1|", "1|2|"]);
        let late = log(store, "1|3|");
        store.log("other", "1|1|").unwrap();
        store.purge_sub(SUB).unwrap();
        assert_eq!(
            (recent(store).as_str(), store.oldest_bookmark_seq(SUB)),
            ("0", 0)
        );
        assert_eq!(store.oldest_bookmark_seq("other"), 1);
        let again = log(store, "1|1|");
        store.discard(SUB, late).unwrap();
        store.discard(SUB, 1).unwrap();
        assert_eq!(store.oldest_bookmark_seq(SUB), again);
        store.purge().unwrap();
        assert_eq!(
            (recent(store).as_str(), store.oldest_bookmark_seq(SUB)),
            ("0", 0)
        );
        assert_eq!(store.oldest_bookmark_seq("other"), 0);
        let last = log(store, "1|1|");
        store.discard(SUB, again).unwrap();
        assert_eq!(store.oldest_bookmark_seq(SUB), last);
        store.purge_sub("unknown").unwrap();
    });
}

#[test]
fn l15_trap70_what_was_purged_is_still_gone_after_a_restart() {
    for kind in Kind::FILES {
        for all in [false, true] {
            let (_directory, path) = place();
            let store = kind.open(&path);
            work_off(&*store, &["1|1|"]);
            store.log("other", "1|1|").unwrap();
            store.discard("other", 1).unwrap();
            if all {
                store.purge().unwrap();
            } else {
                store.purge_sub(SUB).unwrap();
            }
            drop(store);
            let store = kind.open(&path);
            assert_eq!(recent(&*store), "0");
            let other = if all { "0" } else { "1|1|" };
            assert_eq!(store.most_recent("other").unwrap(), other);
            work_off(&*store, &["1|2|"]);
            drop(store);
            assert_eq!(recent(&*kind.open(&path)), "1|2|");
        }
    }
}

#[test]
fn l16_the_oldest_number_is_the_lowest_that_is_not_discarded() {
    for_each_store(|_, store| {
        log_all(store, &["1|1|", "1|2|", "1|3|"]);
        for (discarded, oldest) in [(2, 1), (1, 3), (3, 0)] {
            store.discard(SUB, discarded).unwrap();
            assert_eq!(store.oldest_bookmark_seq(SUB), oldest);
        }
        assert_eq!(log(store, "1|4|"), 4);
        assert_eq!(store.oldest_bookmark_seq(SUB), 4);
    });
}

#[test]
fn l18_a_ring_knows_the_resume_point_after_a_restart_and_nothing_later() {
    let (_directory, path) = place();
    let store = Kind::Ring.open(&path);
    log_all(&*store, &["1|1|", "1|2|", "1|3|"]);
    discard(&*store, "1|1|");
    discard(&*store, "1|3|");
    drop(store);
    let store = Kind::Ring.open(&path);
    assert_eq!(recent(&*store), "1|1|");
    // Rule L9: the ring delivers both.
    assert!(!is_duplicate(&*store, "1|2|"));
    assert!(!is_duplicate(&*store, "1|3|"));
}

#[test]
fn l18_ids_of_any_length_and_any_number_of_subscriptions_fit() {
    let long = "x".repeat(100_000);
    for kind in Kind::FILES {
        let (_directory, path) = place();
        let store = kind.open(&path);
        let ids = (0..500).map(|number| format!("subscription {number} é"));
        let ids: Vec<String> = ids.chain([String::new(), long.clone()]).collect();
        for (place, id) in ids.iter().enumerate() {
            store.log(id, &format!("1|{}|", place + 1)).unwrap();
            store.discard(id, 1).unwrap();
        }
        drop(store);
        let store = kind.open(&path);
        for (place, id) in ids.iter().enumerate() {
            assert_eq!(store.most_recent(id).unwrap(), format!("1|{}|", place + 1));
        }
    }
}

#[test]
fn l19_the_resize_handler_is_asked_without_a_lock_and_can_forbid() {
    for_each_store(|_, store| {
        let asked = Arc::new(AtomicUsize::new(0));
        let noted = Arc::clone(&asked);
        store.set_resize_handler(Box::new(move |store, sub_id, wanted| {
            assert_eq!(sub_id, SUB);
            // The store may be looked at from here.
            assert_eq!(store.oldest_bookmark_seq(sub_id), 1);
            noted.store(wanted, Ordering::SeqCst);
            wanted <= 2048
        }));
        let mut held = 0;
        let error = loop {
            match store.log(SUB, &format!("1|{}|", held + 1)) {
                Ok(_) => held += 1,
                Err(error) => break error,
            }
        };
        assert_eq!((held, asked.load(Ordering::SeqCst)), (2048, 4096));
        assert!(matches!(error, Error::Store(_)), "{error}");
        assert!(error.to_string().contains("orders"), "{error}");
        // What is there is still known, and room can be made.
        assert_eq!(log(store, "1|2048|"), 2048);
        store.discard(SUB, 1).unwrap();
        assert_eq!(log(store, "1|2049|"), 2049);
    });
}

#[test]
fn l20_two_subscriptions_log_the_same_message_apart() {
    for_each_restart(
        |store| {
            work_off(store, &["1|1|"]);
            assert_eq!(store.log("other", "1|1|").unwrap(), Logged::Undiscarded(1));
        },
        |store| {
            assert_eq!(
                (recent(store).as_str(), store.oldest_bookmark_seq(SUB)),
                ("1|1|", 0)
            );
            assert_eq!(store.most_recent("other").unwrap(), "0");
            assert_eq!(store.oldest_bookmark_seq("other"), 1);
        },
    );
}

#[test]
fn trap77_a_persisted_point_discards_nothing() {
    for_each_store(|_, store| {
        store.enter(SUB, "0").unwrap();
        log_all(store, &["1|1|", "1|2|"]);
        store.completed(SUB, "1|2|").unwrap();
        store.persisted(SUB, "1|2|").unwrap();
        assert!(!is_duplicate(store, "1|1|"));
        assert_eq!(
            (recent(store).as_str(), store.oldest_bookmark_seq(SUB)),
            ("0", 1)
        );
    });
}

#[test]
fn trap75_trap78_the_resume_point_follows_each_change_and_not_what_was_seen() {
    for_each_store(|_, store| {
        log_all(store, &["1|1|", "1|2|", "1|3|"]);
        let mut points = vec![recent(store)];
        for number in [2, 1, 3] {
            store.discard(SUB, number).unwrap();
            points.push(recent(store));
        }
        log(store, "1|4|");
        points.push(recent(store));
        assert_eq!(points, ["0", "0", "1|2|", "1|3|", "1|3|"]);
    });
}

#[test]
fn trap80_publishers_are_listed_in_the_order_in_which_they_came() {
    let publishers: Vec<String> = (0..50)
        .map(|n| format!("{}|1|", (n * 7919) % 101 + 1))
        .collect();
    let texts: Vec<&str> = publishers.iter().map(String::as_str).collect();
    for_each_restart(
        |store| {
            work_off(store, &texts);
            work_off(store, &["1|2|"]);
        },
        |store| {
            let expected = bookmark::list(&texts).replacen("1|1|", "1|2|", 1);
            assert_eq!(recent(store), expected);
            assert_eq!(recent(store), expected);
        },
    );
}

#[test]
fn bookmarks_of_any_form_are_delivered_and_no_panic() {
    let odd = [
        "",
        "0",
        "0|1|",
        "recent",
        "20240315T093000Z",
        "1|1|,2|2|",
        "[0:1)",
        "a b",
        "\u{0}\u{7f}",
    ];
    for_each_restart(
        |store| {
            for bookmark in odd {
                // Each is a message of its own, delivered whatever came before.
                let number = log(store, bookmark);
                assert_ne!(log(store, bookmark), number);
            }
            work_off(store, &["1|1|"]);
        },
        |store| {
            assert!(
                odd.iter()
                    .all(|bookmark| !store.is_discarded(SUB, bookmark))
            );
            // None is a point to start at.
            for number in 1..=19 {
                store.discard(SUB, number).unwrap();
            }
            assert_eq!(
                (recent(store).as_str(), store.oldest_bookmark_seq(SUB)),
                ("1|1|", 0)
            );
        },
    );
}

#[test]
fn bookmarks_that_cannot_be_compared_are_resumed_at_and_told_apart() {
    for_each_restart(
        |store| {
            log_all(
                store,
                &["a|1|x|", "1|2|3|", "x|5|", "18446744073709551616|1|"],
            );
            discard(store, "a|1|x|");
            discard(store, "x|5|");
        },
        |store| {
            assert_eq!(recent(store), "a|1|x|");
            assert!(is_duplicate(store, "a|1|x|"));
            assert!(!is_duplicate(store, "1|2|3|"));
            assert!(is_duplicate(store, "x|5|"));
            assert!(!is_duplicate(store, "1|5|"));
            discard(store, "1|2|3|");
            // 1|5| is not discarded, and nothing of its publisher is.
            assert_eq!(recent(store), "0");
        },
    );
}

#[test]
fn numbers_filled_up_with_zeros_are_compared_and_written_as_the_server_does() {
    for_each_restart(
        |store| {
            work_off(store, &["0012|0000000099|", "0012|0000000100|", "7|8|"]);
            log(store, "0012|0000000101|");
        },
        |store| {
            assert_eq!(recent(store), "0012|0000000100|,7|8|");
            assert!(is_duplicate(store, "0012|0000000099|"));
            assert!(!is_duplicate(store, "0012|0000000101|"));
        },
    );
}
