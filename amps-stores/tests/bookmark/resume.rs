//! The resume point, as the project's design decides it: the entry point, the persisted points.

use crate::support::{
    Kind, SUB, discard, for_each_restart, for_each_store, is_duplicate, log, log_all, place,
    recent, work_off,
};
use amps_core::{BookmarkStore, bookmark};
use std::time::{Duration, SystemTime};

/// Enters where the store says, as a client does that lost its connection.
fn reconnect(store: &dyn BookmarkStore) -> String {
    let point = recent(store);
    store.enter(SUB, &point).unwrap();
    point
}

#[test]
fn l10_a_drop_before_the_first_message_resumes_at_the_entry_point() {
    for point in ["0", "5|6|", "5|6|,7|8|", "20240315T093000Z"] {
        for_each_restart(
            |store| store.enter(SUB, point).unwrap(),
            |store| {
                assert_eq!(reconnect(store), point);
                assert_eq!(recent(store), point);
            },
        );
    }
}

/// Also if that is where the subscription would have resumed by itself: what was received since is
/// no word about what comes after the point.
#[test]
fn an_application_that_goes_back_to_a_point_begins_there_anew() {
    for_each_store(|_, store| {
        store.enter(SUB, "0").unwrap();
        for bookmark in ["1|1|", "1|2|", "1|3|"] {
            log(store, bookmark);
        }
        discard(store, "1|3|");
        store.enter(SUB, "1|8|").unwrap();
        discard(store, "1|1|");
        log(store, "1|9|");
        discard(store, "1|2|");
        store.enter(SUB, "0").unwrap();
        discard(store, "1|9|");
        // 2|1| may have come before 1|9|.
        assert_eq!(recent(store), "0");
    });
}

#[test]
fn now_is_a_minute_ago_until_completed_tells_the_place() {
    for_each_restart(
        |store| {
            let ago =
                |seconds| bookmark::timestamp(SystemTime::now() - Duration::from_secs(seconds));
            let earliest = ago(61);
            store.enter(SUB, bookmark::NOW).unwrap();
            let point = recent(store);
            assert!(earliest <= point && point <= ago(59), "{point}");
        },
        |store| {
            store.completed(SUB, "3|900|").unwrap();
            assert_eq!(recent(store), "3|900|");
            // An undiscarded message of a publisher that has nothing in the prefix.
            log(store, "1|1|");
            assert_eq!(recent(store), "3|900|");
            discard(store, "1|1|");
            assert_eq!(recent(store), "1|1|");
        },
    );
}

#[test]
fn a_completed_without_a_place_leaves_now_where_it_was() {
    for_each_store(|_, store| {
        store.enter(SUB, "0|1").unwrap();
        let point = recent(store);
        for nowhere in ["", "0", "0|1|", "1|2|,3|4|"] {
            store.completed(SUB, nowhere).unwrap();
            assert_eq!(recent(store), point);
        }
        // The first has come; a later one belongs to something else.
        store.completed(SUB, "3|900|").unwrap();
        assert_eq!(recent(store), point);
    });
}

#[test]
fn a_message_that_comes_before_completed_is_not_skipped_by_it() {
    for_each_store(|_, store| {
        store.enter(SUB, bookmark::NOW).unwrap();
        let point = recent(store);
        log(store, "1|1|");
        store.completed(SUB, "1|1|").unwrap();
        assert_eq!(recent(store), point);
    });
}

#[test]
fn the_completed_of_a_replay_moves_nothing() {
    for_each_store(|_, store| {
        store.enter(SUB, "5|6|").unwrap();
        log(store, "1|1|");
        store.completed(SUB, "1|1|").unwrap();
        assert_eq!(recent(store), "5|6|");
    });
}

#[test]
fn trap77_a_persisted_point_during_the_replay_does_not_count() {
    for_each_restart(
        |store| {
            store.enter(SUB, "0").unwrap();
            work_off(store, &["1|1|"]);
            store.persisted(SUB, "1|500|").unwrap();
            assert_eq!(recent(store), "1|1|");
            store.completed(SUB, "1|500|").unwrap();
        },
        |store| {
            assert_eq!(recent(store), "1|1|");
            store.persisted(SUB, "1|500|").unwrap();
            assert_eq!(recent(store), "1|1|,1|500|");
            // A new replay begins.
            reconnect(store);
            store.persisted(SUB, "1|900|").unwrap();
            assert!(!recent(store).contains("900"));
        },
    );
}

#[test]
fn a_persisted_point_is_the_entry_point_once_all_before_it_is_discarded() {
    for_each_restart(
        |store| {
            store.enter(SUB, "0").unwrap();
            store.completed(SUB, "9|9|").unwrap();
            log_all(store, &["1|1|", "1|2|"]);
            store.persisted(SUB, "9|10|").unwrap();
            log(store, "2|1|");
            store.persisted(SUB, "9|11|").unwrap();
        },
        |store| {
            // Never the whole list.
            assert_eq!(recent(store), "0");
            discard(store, "1|1|");
            assert_eq!(recent(store), "0");
            discard(store, "1|2|");
            assert_eq!(recent(store), "1|2|,9|11|,9|10|");
            discard(store, "2|1|");
            assert_eq!(recent(store), "1|2|,2|1|,9|11|");
            log(store, "3|1|");
            assert_eq!(recent(store), "1|2|,2|1|,9|11|");
        },
    );
}

#[test]
fn with_nothing_undiscarded_a_persisted_point_is_the_entry_point_at_once() {
    for_each_restart(
        |store| {
            store.enter(SUB, "0").unwrap();
            store.completed(SUB, "").unwrap();
            store.persisted(SUB, "9|9|").unwrap();
        },
        |store| {
            assert_eq!(recent(store), "9|9|");
            log(store, "1|1|");
            assert_eq!(recent(store), "9|9|");
        },
    );
}

#[test]
fn persisted_points_that_come_all_the_time_still_move_the_entry_point() {
    for_each_store(|_, store| {
        store.enter(SUB, "0").unwrap();
        store.completed(SUB, "").unwrap();
        // Always one undiscarded message, each of a publisher of its own.
        for number in 1..100 {
            log(store, &format!("{number}|1|"));
            store.persisted(SUB, &format!("500|{number}|")).unwrap();
            if number > 1 {
                store.discard(SUB, number - 1).unwrap();
            }
        }
        assert!(
            recent(store).ends_with(",500|99|,500|98|"),
            "{}",
            recent(store)
        );
    });
}

#[test]
fn what_cannot_stand_in_a_list_is_no_persisted_point() {
    for_each_store(|_, store| {
        store.enter(SUB, "0").unwrap();
        store.completed(SUB, "").unwrap();
        for odd in [
            "",
            "0",
            "0|1|",
            "recent",
            "20240315T093000Z",
            "1|2|,3|4|",
            "[1:2)",
        ] {
            store.persisted(SUB, odd).unwrap();
            assert_eq!(recent(store), "0", "{odd}");
        }
    });
}

#[test]
fn to_enter_again_where_it_left_off_forgets_nothing() {
    for_each_restart(
        |store| {
            store.enter(SUB, "0").unwrap();
            log_all(store, &["1|1|", "2|1|", "1|2|", "2|2|"]);
            discard(store, "1|1|");
            discard(store, "1|2|");
            reconnect(store);
        },
        |store| {
            assert_eq!(recent(store), "0");
            // The other server has the same messages in another order.
            for (bookmark, duplicate) in [
                ("2|1|", false),
                ("2|2|", false),
                ("1|1|", true),
                ("1|2|", true),
            ] {
                assert_eq!(is_duplicate(store, bookmark), duplicate, "{bookmark}");
            }
            assert_eq!((log(store, "2|1|"), log(store, "2|2|")), (2, 4));
            discard(store, "2|1|");
            assert_eq!(recent(store), "1|2|,2|1|");
        },
    );
}

#[test]
fn messages_discarded_between_asking_and_entering_do_not_make_it_a_new_entry() {
    for_each_store(|_, store| {
        store.enter(SUB, "0").unwrap();
        log_all(store, &["1|1|", "2|1|", "1|2|"]);
        discard(store, "1|1|");
        discard(store, "2|1|");
        let told = recent(store);
        discard(store, "1|2|");
        store.enter(SUB, &told).unwrap();
        assert_eq!(recent(store), "1|2|,2|1|");
    });
}

#[test]
fn the_resume_point_does_not_grow_with_the_number_of_reconnects() {
    for_each_store(|_, store| {
        store.enter(SUB, "5|5|").unwrap();
        // Undiscarded, and nothing of its publisher is: the entry point stays in the list.
        work_off(store, &["1|1|"]);
        for number in 2..200 {
            work_off(store, &[&format!("1|{number}|")]);
            log(store, "2|1|");
            reconnect(store);
        }
        assert_eq!(recent(store), "1|2|,5|5|");
    });
}

#[test]
fn a_publisher_with_a_discarded_message_but_no_prefix_needs_the_entry_point() {
    for_each_restart(
        |store| {
            store.enter(SUB, "0").unwrap();
            log_all(store, &["1|1|", "1|2|", "2|1|"]);
            discard(store, "1|1|");
            discard(store, "2|1|");
        },
        // Another server may have 2|2|, which has not arrived, before 1|1|.
        |store| assert_eq!(recent(store), "0"),
    );
}

#[test]
fn to_enter_at_another_point_starts_there_until_something_new_is_discarded() {
    for_each_restart(
        |store| {
            store.enter(SUB, "0").unwrap();
            work_off(store, &["1|5|"]);
            store.enter(SUB, "6|6|").unwrap();
        },
        |store| {
            // Not 1|5|, which is not where the application asked to start.
            assert_eq!(recent(store), "6|6|");
            assert!(is_duplicate(store, "1|5|"));
            log(store, "2|1|");
            discard(store, "2|1|");
            // 1 is known, and only the entry point comes before its next message for certain.
            assert_eq!(recent(store), "2|1|,6|6|");
            work_off(store, &["1|6|"]);
            assert_eq!(recent(store), "1|6|,2|1|");
        },
    );
}

#[test]
fn to_enter_at_the_epoch_again_is_resumed_at_the_epoch_also_if_old_messages_are_discarded() {
    for_each_restart(
        |store| {
            store.enter(SUB, "4|4|").unwrap();
            work_off(store, &["1|5|"]);
            log(store, "1|6|");
            store.enter(SUB, "0").unwrap();
            // It arrived before: 2|1|, at the beginning of the log, has still not.
            discard(store, "1|6|");
        },
        |store| {
            assert_eq!(recent(store), "0");
            work_off(store, &["2|1|"]);
            assert_eq!(recent(store), "0");
            work_off(store, &["1|7|"]);
            assert_eq!(recent(store), "1|7|,2|1|");
        },
    );
}

#[test]
fn to_enter_elsewhere_does_not_skip_what_is_not_discarded() {
    let entered = |first: &'static str, then: &'static str, expected: &'static str| {
        for_each_restart(
            move |store| {
                store.enter(SUB, first).unwrap();
                work_off(store, &["1|5|"]);
                log(store, "1|6|");
                store.enter(SUB, then).unwrap();
            },
            move |store| assert_eq!(recent(store), expected),
        );
    };
    entered("0", bookmark::NOW, "1|5|");
    entered("0", "7|7|", "7|7|,1|5|");
    entered("0", "0|1|,7|7|", "7|7|,1|5|");
    // Only the server knows where an instant lies among bookmarks.
    entered("0", "20240315T093000Z", "0");
}

#[test]
fn a_message_that_arrived_before_the_application_went_back_is_not_where_it_resumes() {
    for_each_restart(
        |store| {
            store.enter(SUB, "1|3|").unwrap();
            log(store, "2|4|");
            // From the beginning, where 2|1| is the first and 1|1| the second.
            store.enter(SUB, "0").unwrap();
            log(store, "2|1|");
            discard(store, "2|4|");
            discard(store, "2|1|");
        },
        |store| assert_eq!(recent(store), "2|1|"),
    );
}

#[test]
fn a_point_that_was_told_before_the_last_entry_is_another_point() {
    for_each_store(|_, store| {
        assert_eq!(reconnect(store), "0");
        work_off(store, &["1|5|"]);
        store.enter(SUB, "0").unwrap();
        assert_eq!(recent(store), "0");
    });
}

#[test]
fn what_says_nothing_enters_nowhere() {
    for_each_store(|_, store| {
        store.enter(SUB, "5|6|").unwrap();
        store.enter(SUB, bookmark::MOST_RECENT).unwrap();
        store.enter(SUB, "").unwrap();
        assert_eq!(recent(store), "5|6|");
    });
}

#[test]
fn a_drop_in_the_middle_of_a_replay_resumes_in_it() {
    for_each_restart(
        |store| {
            store.enter(SUB, "0").unwrap();
            work_off(store, &["1|1|", "2|1|"]);
            log(store, "1|2|");
        },
        |store| {
            assert_eq!(reconnect(store), "1|1|,2|1|");
            assert_eq!(log(store, "1|2|"), 3);
            discard(store, "1|2|");
            assert_eq!(recent(store), "1|2|,2|1|");
        },
    );
}

#[test]
fn a_publisher_that_sends_out_of_order_loses_nothing() {
    for_each_restart(
        |store| {
            log_all(store, &["1|5|", "1|2|", "1|3|"]);
            discard(store, "1|5|");
            discard(store, "1|3|");
        },
        |store| {
            // 1|5| is in the prefix, but 1|2| is not discarded.
            assert_eq!(recent(store), "0");
            assert!(!is_duplicate(store, "1|2|"));
            assert!(is_duplicate(store, "1|3|"));
            assert!(is_duplicate(store, "1|5|"));
            discard(store, "1|2|");
            // The last in the order of arrival: 1|4| may come after it.
            assert_eq!(recent(store), "1|3|");
            assert!(is_duplicate(store, "1|4|"));
        },
    );
}

#[test]
fn a_ring_that_is_opened_again_is_entered_where_it_left_off() {
    let (_directory, path) = place();
    let store = Kind::Ring.open(&path);
    store.enter(SUB, "7|7|").unwrap();
    work_off(&*store, &["1|1|"]);
    log(&*store, "2|1|");
    drop(store);
    let store = Kind::Ring.open(&path);
    assert_eq!(reconnect(&*store), "1|1|,7|7|");
    work_off(&*store, &["2|1|"]);
    drop(store);
    assert_eq!(recent(&*Kind::Ring.open(&path)), "2|1|");
}
