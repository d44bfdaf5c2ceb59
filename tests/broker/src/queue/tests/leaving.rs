//! How messages leave a queue.

use super::*;

/// Of a disk that is full.
struct Unwritable;

impl Ledger for Unwritable {
    fn ended(&mut self, _: Bookmark, _: End) -> Result<(), Refusal> {
        Err(Refusal::new("no room", "the disk is full"))
    }
}

#[test]
fn a_strict_lease_is_answered_by_its_holder_only_and_a_sublet_one_by_everybody() {
    let mut case = Case::new(queue());
    case.join(1, 1);
    case.put_many(2);
    assert_eq!(case.delivered(), [(1, 1)]);
    assert!(case.ack(2, 1));
    let mut case = Case::new(queue().lease_owner(LeaseOwner::Strict));
    case.join(1, 1);
    case.put_many(2);
    assert_eq!(case.delivered(), [(1, 1)]);
    for answer in [Answer::Done, Answer::Cancel, Answer::Expire] {
        assert!(!case.says(2, 1, answer));
    }
    assert_eq!(case.counts(), (2, 1, 0));
    assert!(case.ack(2, 2), "nobody has leased it");
    assert!(case.ack(1, 1));
}

#[test]
fn a_message_expires_when_it_was_cancelled_or_delivered_too_often() {
    let mut case = Case::new(queue().max_cancels(2));
    case.join(1, 1);
    case.put("{}");
    assert!(!case.says(1, 1, Answer::Cancel), "nobody has leased it");
    assert_eq!(case.delivered(), [(1, 1)]);
    assert!(case.says(1, 1, Answer::Cancel));
    assert_eq!(case.delivered(), [(1, 1)]);
    assert!(case.says(1, 1, Answer::Cancel));
    assert_eq!(case.delivered(), []);
    assert_eq!(case.counts(), (0, 0, 1));
    let mut case = Case::new(queue().max_deliveries(2).lease_period(SECOND));
    case.join(1, 1);
    case.put("{}");
    assert_eq!(case.delivered(), [(1, 1)]);
    case.after(1);
    assert_eq!(case.delivered(), [(1, 1)]);
    case.after(1);
    assert_eq!(case.counts(), (0, 0, 1));
}

#[test]
fn a_message_can_be_expired_whether_it_is_leased_or_not() {
    let mut case = Case::new(queue());
    case.join(1, 1);
    case.put_many(3);
    assert_eq!(case.delivered(), [(1, 1)]);
    assert!(case.says(1, 2, Answer::Expire));
    assert!(case.says(1, 1, Answer::Expire));
    assert_eq!(case.delivered(), [(1, 3)]);
    assert_eq!(case.counts(), (1, 1, 2));
}

#[test]
fn the_publishers_lifetime_comes_before_the_queues_and_zero_is_for_ever() {
    let mut case = Case::new(queue().expiration(SECOND * 10));
    for lifetime in [None, Some(5), Some(20), Some(0)] {
        case.put_for("{}", lifetime);
    }
    for (seconds, left) in [(4, 4), (1, 3), (5, 2), (10, 1), (1000, 1)] {
        case.after(seconds);
        assert_eq!(case.queue.depth(), left);
    }
    case.join(1, 5);
    assert_eq!(case.delivered(), [(1, 4)]);
}

#[test]
fn a_leased_message_does_not_expire_before_it_comes_back() {
    let mut case = Case::new(queue());
    case.join(1, 1);
    case.put_for("{}", Some(5));
    assert_eq!(case.delivered(), [(1, 1)]);
    case.after(6);
    assert_eq!(case.counts(), (1, 1, 0));
    case.queue.forget(1, case.now.instant);
    assert_eq!(case.delivered(), []);
    assert_eq!(case.counts(), (0, 0, 1));
}

#[test]
fn what_has_expired_is_not_delivered_even_if_its_timer_is_late() {
    let mut case = Case::new(queue());
    case.put_for("{}", Some(5));
    case.join(1, 1);
    case.now.instant += SECOND * 5;
    assert_eq!(case.delivered(), []);
    assert_eq!(case.counts(), (0, 0, 1));
}

#[test]
fn delivered_once_at_most_a_message_is_gone_and_its_acknowledgement_makes_room() {
    let mut case = Case::new(queue().delivery(Delivery::AtMostOnce));
    case.join(1, 1);
    case.put_many(3);
    assert_eq!(case.delivered(), [(1, 1)]);
    assert_eq!(case.counts(), (2, 1, 0));
    for answer in [Answer::Cancel, Answer::Expire] {
        assert!(!case.says(1, 1, answer));
        assert!(!case.says(1, 2, answer));
    }
    assert_eq!(case.delivered(), []);
    assert!(case.ack(1, 1));
    assert!(!case.ack(1, 1), "twice");
    assert_eq!(case.delivered(), [(1, 2)]);
    case.queue.forget(1, case.now.instant);
    assert_eq!(case.counts(), (1, 0, 0));
    case.join(2, 1);
    assert_eq!(case.delivered(), [(2, 3)]);
}

#[test]
fn a_message_that_was_acknowledged_before_it_came_never_shows_up() {
    let mut case = Case::new(queue());
    case.join(1, 1);
    assert!(!case.ack(1, 2));
    assert!(
        !case.says(1, 1, Answer::Expire),
        "there is nothing to expire"
    );
    case.put_many(3);
    assert_eq!(case.delivered(), [(1, 1)]);
    assert!(case.ack(1, 1));
    assert_eq!(case.delivered(), [(1, 3)]);
}

#[test]
fn who_may_not_see_a_message_cannot_acknowledge_it() {
    let mut case = Case::new(queue());
    case.put(r#"{"a":1}"#);
    case.put(r#"{"a":2}"#);
    let grant = Grant::Only(Arc::new(Filter::parse("/a = 1").unwrap()));
    let by = By {
        connection: 1,
        grant: &grant,
        now: case.now.instant,
    };
    let mut answer = |n| {
        case.queue
            .answer(bookmark(n), Answer::Done, by, &mut case.ended)
    };
    assert!(!answer(2).unwrap());
    assert!(answer(1).unwrap());
}

#[test]
fn messages_are_told_by_a_filter_whoever_has_them() {
    let mut case = Case::new(queue());
    case.join(1, 1);
    for payload in [r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":1}"#] {
        case.put(payload);
    }
    assert_eq!(case.delivered(), [(1, 1)]);
    let filter = Filter::parse("/a = 1").unwrap();
    assert_eq!(case.queue.matching(&filter), [bookmark(1), bookmark(3)]);
    let browsed = case
        .queue
        .deliverable()
        .map(|entry| entry.bookmark.sequence);
    assert_eq!(browsed.collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn the_ledger_is_told_of_each_message_when_it_leaves() {
    let mut case = Case::new(queue().max_cancels(1));
    case.join(1, 9);
    case.put_many(4);
    case.put_for("{}", Some(5));
    case.delivered();
    assert_eq!(case.ended, []);
    case.ack(1, 2);
    case.ack(1, 2);
    case.says(1, 1, Answer::Expire);
    case.says(1, 3, Answer::Cancel);
    case.after(5);
    // What comes later is acknowledged now.
    case.ack(1, 6);
    case.queue.forget(1, case.now.instant);
    case.delivered();
    let expected = [
        (2, End::Done),
        (1, End::Expired),
        (3, End::Expired),
        (6, End::Done),
        (5, End::Expired),
    ];
    assert_eq!(case.ended, expected);
    assert_eq!(case.queue.depth(), 1);
    let mut case = Case::new(queue().delivery(Delivery::AtMostOnce));
    case.join(1, 9);
    case.put("{}");
    case.delivered();
    case.ack(1, 1);
    assert_eq!(case.ended, [(1, End::Done)]);
}

#[test]
fn what_the_ledger_tells_puts_a_queue_back_to_where_it_was() {
    let mut case = Case::new(queue());
    case.join(1, 9);
    case.put_many(4);
    case.delivered();
    case.ack(1, 2);
    case.says(1, 3, Answer::Expire);
    case.ack(1, 6);
    let mut again = Case::new(queue());
    again.put_many(4);
    for (sequence, _) in case.ended {
        again
            .queue
            .restore_end(bookmark(sequence), again.now.instant);
    }
    again.put_many(3);
    again.join(1, 9);
    assert_eq!(again.delivered(), [(1, 1), (1, 4), (1, 5), (1, 7)]);
}

#[test]
fn what_cannot_be_written_down_is_neither_acknowledged_nor_sent_once_at_most() {
    let mut case = Case::new(queue());
    case.join(1, 1);
    case.put_many(2);
    case.delivered();
    let by = By {
        connection: 1,
        grant: &Grant::Everything,
        now: case.now.instant,
    };
    for sequence in [1, 9] {
        let bookmark = bookmark(sequence);
        let refused = case
            .queue
            .answer(bookmark, Answer::Done, by, &mut Unwritable);
        assert!(refused.is_err());
    }
    assert_eq!(case.delivered(), []);
    assert_eq!(case.counts(), (2, 1, 0));
    let mut case = Case::new(queue().delivery(Delivery::AtMostOnce));
    case.join(1, 1);
    case.put("{}");
    case.queue
        .deliver(case.now, &mut Unwritable, |_| panic!("it was sent"));
    assert_eq!(case.counts(), (1, 0, 0));
    assert_eq!(case.delivered(), [(1, 1)]);
}
