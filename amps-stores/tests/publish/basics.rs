//! What all publish stores do alike: numbers, discarding, replay, waiting, growth.

use crate::support::*;
use amps_core::{CommandType, Error, OutgoingCommand};
use amps_stores::MemoryPublishStore;
use parking_lot::Mutex;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn numbers_begin_with_the_clock_and_go_up_by_one() {
    with_each(|store| {
        assert_eq!(put(store, b"a"), NOW);
        assert_eq!(put(store, b"b"), NOW + 1);
        assert_eq!(
            content(store),
            [(NOW, b"a".to_vec()), (NOW + 1, b"b".to_vec())]
        );
        assert_eq!(store.lowest_unpersisted(), NOW);
        assert_eq!(store.highest_unpersisted(), NOW + 1);
        assert_eq!(store.unpersisted_count(), 2);
        assert_eq!(store.last_persisted(), 0);
    });
}

#[test]
fn k3_every_field_of_a_command_comes_back() {
    let mut command = OutgoingCommand::new(CommandType::SowDelete, "orders", b"{\"id\":1}");
    command.correlation_id = "c";
    command.expiration = Some(300);
    command.sow_key = "k";
    command.sow_keys = "1,2";
    command.filter = "/id > 3";
    command.bookmark = "1|2|";
    command.options = "cancel";
    with_each(|store| {
        let number = store.store(&command).unwrap();
        let mut shown = false;
        let found = store.replay_single(number, &mut |stored| {
            assert_eq!((stored.sequence, stored.command), (number, command));
            shown = true;
        });
        assert!(found.unwrap() && shown);
    });
}

#[test]
fn k4_a_discard_is_inclusive_idempotent_and_goes_only_forward() {
    with_each(|store| {
        let numbers_given: Vec<_> = (0..5).map(|_| put(store, b"x")).collect();
        store.discard_up_to(numbers_given[2]).unwrap();
        store.discard_up_to(numbers_given[2]).unwrap();
        store.discard_up_to(numbers_given[0]).unwrap();
        assert_eq!(numbers(store), numbers_given[3..]);
        assert_eq!(store.last_persisted(), numbers_given[2]);
        assert_eq!(store.lowest_unpersisted(), numbers_given[3]);
    });
}

#[test]
fn k4_a_discard_of_numbers_to_come_empties_the_store_and_raises_the_next_number() {
    with_each(|store| {
        put(store, b"a");
        store.discard_up_to(2 * NOW).unwrap();
        assert_eq!(store.unpersisted_count(), 0);
        assert_eq!(store.lowest_unpersisted(), 0);
        assert_eq!(store.highest_unpersisted(), 0);
        assert_eq!(store.last_persisted(), 2 * NOW);
        assert_eq!(put(store, b"b"), 2 * NOW + 1);
    });
}

#[test]
fn k11_the_last_number_is_used_and_then_storing_fails_and_does_not_wrap() {
    with_each(|store| {
        store.discard_up_to(u64::MAX - 2).unwrap();
        assert_eq!(put(store, b"a"), u64::MAX - 1);
        assert_eq!(put(store, b"b"), u64::MAX);
        let reason = store_error(store.store(&publish(b"c")));
        assert!(reason.contains("no sequence numbers left"), "{reason}");
        assert_eq!(numbers(store), [u64::MAX - 1, u64::MAX]);
        store.discard_up_to(u64::MAX).unwrap();
        assert_eq!(store.unpersisted_count(), 0);
        store_error(store.store(&publish(b"c")));
    });
}

#[test]
fn h3_one_message_in_the_middle_is_dropped_alone() {
    with_each(|store| {
        let given: Vec<_> = (0..5).map(|_| put(store, b"x")).collect();
        assert!(store.discard_one(given[2]).unwrap());
        assert!(!store.discard_one(given[2]).unwrap());
        assert!(!store.discard_one(given[4] + 1).unwrap());
        assert!(!store.discard_one(0).unwrap());
        assert_eq!(numbers(store), [given[0], given[1], given[3], given[4]]);
        assert!(!store.replay_single(given[2], &mut |_| panic!()).unwrap());
        assert!(store.discard_one(given[4]).unwrap());
        assert_eq!(store.highest_unpersisted(), given[3]);
        assert!(store.discard_one(given[0]).unwrap());
        assert_eq!(store.lowest_unpersisted(), given[1]);
        assert_eq!(store.unpersisted_count(), 2);
        assert_eq!(put(store, b"y"), given[4] + 1);
    });
}

#[test]
fn k6_replay_is_ascending_begins_where_it_is_told_and_stops_when_it_is_told() {
    with_each(|store| {
        let given: Vec<_> = (0..200).map(|i| put(store, &[i; 100])).collect();
        let after = content_after(store, given[150]).unwrap();
        let shown: Vec<_> = after.iter().map(|(number, _)| *number).collect();
        assert_eq!(shown, given[151..]);
        assert_eq!(after[0].1, [151; 100]);
        let mut count = 0;
        let visitor = &mut |_: amps_core::StoredCommand<'_>| {
            count += 1;
            if count == 3 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        store.replay(0, visitor).unwrap();
        assert_eq!(count, 3);
    });
}

#[test]
fn messages_longer_than_a_segment_are_stored_and_their_space_is_used_again() {
    with_each(|store| {
        for round in 0..20_u8 {
            let long = vec![round; 300_000 + usize::from(round)];
            let number = put(store, &long);
            put(store, b"short");
            assert_eq!(content(store)[0], (number, long));
            store.discard_up_to(number + 1).unwrap();
        }
    });
}

#[test]
fn a_store_is_offline_from_the_beginning_and_tells_what_it_stored_offline() {
    with_each(|store| {
        let offline = put(store, b"a");
        assert_eq!(store.lowest_offline(), offline);
        store.set_online().unwrap();
        assert_eq!(store.lowest_offline(), 0);
        put(store, b"b");
        store.set_offline().unwrap();
        assert_eq!(store.lowest_offline(), 0);
        let again = put(store, b"c");
        store.set_offline().unwrap();
        put(store, b"d");
        assert_eq!(store.lowest_offline(), again);
        store.discard_up_to(again).unwrap();
        assert_eq!(store.lowest_offline(), again + 1);
    });
}

#[test]
fn offline_messages_are_renumbered_in_their_order_and_nothing_else_is() {
    with_each(|store| {
        store.set_online().unwrap();
        put(store, b"online");
        store.set_offline().unwrap();
        put(store, b"a");
        put(store, b"b");
        let above = NOW + 5000;
        store.renumber_offline(above).unwrap();
        let expected = [
            (NOW, b"online".to_vec()),
            (above + 1, b"a".to_vec()),
            (above + 2, b"b".to_vec()),
        ];
        assert_eq!(content(store), expected);
        assert_eq!(store.lowest_offline(), above + 1);
        assert_eq!(store.highest_unpersisted(), above + 2);
        assert_eq!(put(store, b"c"), above + 3);
        // Below what there is: nothing to do.
        store.renumber_offline(above).unwrap();
        assert_eq!(numbers(store), [NOW, above + 1, above + 2, above + 3]);
        store.discard_up_to(above).unwrap();
        assert_eq!(numbers(store), [above + 1, above + 2, above + 3]);
        store.renumber_offline(above + 2).unwrap();
        assert_eq!(numbers(store), [above + 3, above + 4, above + 5]);
        assert!(store.discard_one(above + 4).unwrap());
        assert_eq!(numbers(store), [above + 3, above + 5]);
    });
}

#[test]
fn renumbering_beyond_the_last_number_is_an_error_and_changes_nothing() {
    with_each(|store| {
        put(store, b"a");
        put(store, b"b");
        for above in [u64::MAX, u64::MAX - 1] {
            let reason = store_error(store.renumber_offline(above));
            assert!(
                reason.contains(&format!("{NOW} to {}", NOW + 1)),
                "{reason}"
            );
            assert_eq!(numbers(store), [NOW, NOW + 1]);
        }
    });
}

#[test]
fn an_empty_store_that_is_renumbered_goes_on_above() {
    with_each(|store| {
        store.renumber_offline(NOW + 10).unwrap();
        assert_eq!(put(store, b"a"), NOW + 11);
    });
}

#[test]
fn k9_a_flush_waits_for_what_was_stored_before_it_and_for_no_more() {
    with_each(|store| {
        store.flush(Duration::from_millis(1)).unwrap();
        let first = put(store, b"a");
        let last = put(store, b"b");
        let error = store.flush(Duration::from_millis(5)).unwrap_err();
        assert!(matches!(error, Error::TimedOut(_)), "{error}");
        assert!(error.to_string().contains("2 messages"), "{error}");
        store.discard_up_to(first).unwrap();
        let error = store.flush(Duration::from_millis(5)).unwrap_err();
        assert!(error.to_string().contains("1 messages"), "{error}");
        store.discard_up_to(last).unwrap();
        store.flush(Duration::ZERO).unwrap();
    });
}

/// Returns when so many threads wait for a flush.
fn until_waiting(store: &dyn Tested, count: usize) {
    let begin = Instant::now();
    while !format!("{store:?}").contains(&format!("waiting: {count},")) {
        assert!(begin.elapsed() < PATIENCE, "{store:?}");
        thread::yield_now();
    }
}

#[test]
fn trap_71_all_waiters_are_released_together_and_later_messages_do_not_extend_the_wait() {
    with_each(|store| {
        let last = put(store, b"a");
        thread::scope(|scope| {
            let waiters: Vec<_> = (0..5)
                .map(|_| scope.spawn(|| store.flush(PATIENCE)))
                .collect();
            until_waiting(store, 5);
            put(store, b"later");
            store.discard_up_to(last).unwrap();
            for waiter in waiters {
                waiter.join().unwrap().unwrap();
            }
        });
        assert_eq!(store.unpersisted_count(), 1);
    });
}

#[test]
fn a_flush_goes_on_waiting_for_what_is_renumbered_meanwhile() {
    with_each(|store| {
        put(store, b"a");
        thread::scope(|scope| {
            let waiter = scope.spawn(|| store.flush(PATIENCE));
            until_waiting(store, 1);
            store.renumber_offline(2 * NOW).unwrap();
            // This wakes the waiter, which goes on waiting.
            store.discard_up_to(2 * NOW).unwrap();
            thread::sleep(Duration::from_millis(10));
            until_waiting(store, 1);
            store.discard_one(2 * NOW + 1).unwrap();
            waiter.join().unwrap().unwrap();
        });
    });
}

#[test]
fn k12_the_resize_handler_is_asked_before_growth_and_may_refuse_it() {
    with_each(|store| {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let by_handler = asked.clone();
        store.set_resize_handler(Box::new(move |store, bytes| {
            let mut asked = by_handler.lock();
            // It may ask the store: no lock of the store is held.
            asked.push((bytes, store.unpersisted_count()));
            asked.len() < 3
        }));
        let mut count = 0;
        let error = loop {
            match store.store(&publish(&[1; 1000])) {
                Ok(_) => count += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Error::Store(_)), "{error}");
        assert!(error.to_string().contains("resize handler"), "{error}");
        let sizes: Vec<_> = asked.lock().iter().map(|(bytes, _)| *bytes).collect();
        assert_eq!(sizes.len(), 3);
        assert!(sizes.is_sorted() && sizes[0] < sizes[2], "{sizes:?}");
        assert_eq!(asked.lock()[2].1, count);
        // Nothing is lost, no number is used, and there is room again after a discard.
        assert_eq!(store.unpersisted_count(), count);
        let highest = store.highest_unpersisted();
        store.discard_up_to(highest).unwrap();
        assert_eq!(put(store, b"again"), highest + 1);
    });
}

#[test]
fn a_resize_handler_that_discards_makes_room_and_one_that_stores_is_refused_the_growth() {
    with_each(|store| {
        store.set_resize_handler(Box::new(|store, _| {
            let nested = (0..1000).find_map(|_| store.store(&publish(&[2; 1000])).err());
            assert!(matches!(nested, Some(Error::Store(_))));
            store.discard_up_to(store.highest_unpersisted()).unwrap();
            true
        }));
        for _ in 0..500 {
            put(store, &[1; 1000]);
        }
    });
}

#[test]
fn a_resize_handler_that_panics_leaves_the_store_usable() {
    with_each(|store| {
        store.set_resize_handler(Box::new(|_, _| panic!("the handler")));
        let filling = std::panic::AssertUnwindSafe(|| {
            for _ in 0..1000 {
                put(store, &[1; 1000]);
            }
        });
        assert!(std::panic::catch_unwind(filling).is_err());
        let count = store.unpersisted_count();
        assert!(count > 0);
        store.set_resize_handler(Box::new(|_, _| true));
        put(store, &[1; 5000]);
        assert_eq!(content(store).len(), count + 1);
    });
}

#[test]
fn k8_the_gap_option_is_off_and_can_be_set() {
    with_each(|store| {
        assert!(!store.error_on_publish_gap());
        store.set_error_on_publish_gap(true);
        assert!(store.error_on_publish_gap());
    });
}

#[test]
fn stores_are_used_from_many_threads_at_once() {
    with_each(|store| {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let number = put(store, &[3; 64]);
                        assert!(store.lowest_unpersisted() <= number);
                    }
                });
            }
            scope.spawn(|| {
                for _ in 0..200 {
                    let lowest = store.lowest_unpersisted();
                    store.discard_up_to(lowest).unwrap();
                    assert!(numbers(store).is_sorted_by(|a, b| a < b));
                }
            });
        });
        assert_eq!(store.highest_unpersisted(), NOW + 1999);
    });
}

#[test]
fn a_store_with_a_huge_capacity_takes_no_memory_before_it_is_used() {
    let store = MemoryPublishStore::new(usize::MAX);
    assert!(put(&store, b"a") > NOW);
}
