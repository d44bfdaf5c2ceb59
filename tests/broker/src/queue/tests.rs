mod leaving;

use super::*;
use crate::entitlement::Grant;
use crate::filter::Filter;
use std::sync::Arc;

/// A queue with subscriptions that are their own connections, and what they got.
struct Case {
    queue: Queue,
    now: Now,
    ended: Vec<(u64, End)>,
    sequence: u64,
}

impl Case {
    fn new(config: QueueConfig) -> Case {
        Case {
            queue: Queue::new(&config, &MessageType::Json).unwrap(),
            now: Now {
                instant: Instant::now(),
                micros: 1_000_000,
            },
            ended: Vec::new(),
            sequence: 0,
        }
    }

    fn put(&mut self, payload: &str) -> u64 {
        self.put_for(payload, None)
    }

    fn put_for(&mut self, payload: &str, lifetime: Option<u64>) -> u64 {
        self.sequence += 1;
        let record = Record {
            key: Box::default(),
            payload: payload.as_bytes().to_vec().into(),
            correlation_id: Vec::new(),
            updated: self.now.micros,
            version: 0,
            expires: None,
        };
        let bookmark = bookmark(self.sequence);
        let lifetime = lifetime.map(Duration::from_secs);
        self.queue.enqueue(bookmark, record, lifetime, self.now);
        self.sequence
    }

    fn put_many(&mut self, count: usize) {
        for _ in 0..count {
            self.put("{}");
        }
    }

    fn join(&mut self, connection: u64, backlog: usize) {
        self.join_for(connection, None, backlog);
    }

    fn join_for(&mut self, connection: u64, filter: Option<&str>, backlog: usize) {
        let subscription = Arc::new(Subscription::of_queue("s", filter, backlog));
        self.queue
            .attach(connection, &subscription, Grant::Everything);
    }

    /// What is delivered now: to whom, and the number of the message.
    fn delivered(&mut self) -> Vec<(u64, u64)> {
        let mut all = Vec::new();
        self.queue.deliver(self.now, &mut self.ended, |parcel| {
            all.push((parcel.connection, parcel.entry.bookmark.sequence));
        });
        all
    }

    fn says(&mut self, connection: u64, sequence: u64, answer: Answer) -> bool {
        let by = By {
            connection,
            grant: &Grant::Everything,
            now: self.now.instant,
        };
        self.queue
            .answer(bookmark(sequence), answer, by, &mut self.ended)
            .unwrap()
    }

    fn ack(&mut self, connection: u64, sequence: u64) -> bool {
        self.says(connection, sequence, Answer::Done)
    }

    fn after(&mut self, seconds: u64) {
        self.now.instant += Duration::from_secs(seconds);
        self.now.micros += seconds * 1_000_000;
        self.queue.due(self.now.instant, &mut self.ended);
    }

    fn counts(&self) -> (usize, usize, u64) {
        (
            self.queue.depth(),
            self.queue.outstanding(),
            self.queue.expired(),
        )
    }
}

impl Ledger for Vec<(u64, End)> {
    fn ended(&mut self, bookmark: Bookmark, end: End) -> Result<(), Refusal> {
        self.push((bookmark.sequence, end));
        Ok(())
    }
}

fn bookmark(sequence: u64) -> Bookmark {
    Bookmark {
        publisher: 7,
        sequence,
    }
}

fn queue() -> QueueConfig {
    QueueConfig::new("q").max_backlog(100)
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_subscription_gets_its_backlog_oldest_first_and_one_more_for_each_it_acknowledges() {
    let mut case = Case::new(queue());
    case.put_many(5);
    case.join(1, 2);
    assert_eq!(case.delivered(), [(1, 1), (1, 2)]);
    assert_eq!(case.delivered(), []);
    assert!(case.ack(1, 2));
    assert_eq!(case.delivered(), [(1, 3)]);
    assert!(!case.ack(1, 2), "twice");
    assert_eq!(case.delivered(), []);
    assert_eq!(case.counts(), (4, 2, 0));
}

#[test]
fn the_queues_limit_is_above_the_subscriptions_wish() {
    let mut case = Case::new(QueueConfig::new("q"));
    case.put_many(3);
    case.join(1, 10);
    assert_eq!(case.delivered(), [(1, 1)]);
    let mut case = Case::new(queue().max_outstanding(3));
    case.put_many(5);
    case.join(1, 2);
    case.join(2, 2);
    assert_eq!(case.delivered().len(), 3);
    assert!(case.ack(1, 1));
    assert_eq!(case.delivered(), [(1, 4)]);
}

#[test]
fn proportional_goes_to_the_least_used_backlog_and_to_the_first_on_a_tie() {
    let mut case = Case::new(queue());
    case.join(1, 4);
    case.join(2, 2);
    case.put_many(6);
    let order = case
        .delivered()
        .iter()
        .map(|(who, _)| *who)
        .collect::<Vec<_>>();
    assert_eq!(order, [1, 2, 1, 1, 2, 1]);
}

#[test]
fn round_robin_takes_turns_among_those_with_room() {
    let mut case = Case::new(queue().fairness(Fairness::RoundRobin));
    case.join(1, 3);
    case.join(2, 1);
    case.join(3, 2);
    case.put_many(7);
    let order = case
        .delivered()
        .iter()
        .map(|(who, _)| *who)
        .collect::<Vec<_>>();
    assert_eq!(order, [1, 2, 3, 1, 3, 1]);
    assert!(case.ack(2, 2));
    assert_eq!(case.delivered(), [(2, 7)]);
}

#[test]
fn fast_fills_the_first_before_the_second() {
    let mut case = Case::new(queue().fairness(Fairness::Fast));
    case.join(1, 2);
    case.join(2, 2);
    case.put_many(3);
    assert_eq!(case.delivered(), [(1, 1), (1, 2), (2, 3)]);
}

#[test]
fn a_filter_takes_only_what_it_matches_and_holds_up_nobody() {
    let mut case = Case::new(queue());
    case.put(r#"{"a":1}"#);
    case.put(r#"{"a":2}"#);
    case.join_for(1, Some("/a = 2"), 5);
    assert_eq!(case.delivered(), [(1, 2)]);
    case.put(r#"{"a":2}"#);
    case.put(r#"{"a":1}"#);
    case.join(2, 1);
    assert_eq!(case.delivered(), [(2, 1), (1, 3)]);
    // What comes back is offered to all whom it concerns.
    case.queue.forget(1, case.now.instant);
    case.join_for(3, Some("/a = 2"), 1);
    assert_eq!(case.delivered(), [(3, 2)]);
}

#[test]
fn a_filter_may_ask_how_often_a_message_was_leased() {
    let mut case = Case::new(queue());
    case.join_for(1, Some("LEASE_COUNT() < 1"), 1);
    case.put("{}");
    assert_eq!(case.delivered(), [(1, 1)]);
    assert!(case.says(1, 1, Answer::Cancel));
    assert_eq!(case.delivered(), []);
    case.join_for(2, Some("LEASE_COUNT() = 1 AND BOOKMARK() = '7|1|'"), 1);
    assert_eq!(case.delivered(), [(2, 1)]);
}

#[test]
fn what_has_the_highest_priority_goes_first_and_what_has_none_last() {
    let mut case = Case::new(queue().priority("/p"));
    for payload in [
        r#"{"p":1}"#,
        r#"{"p":"x"}"#,
        r#"{"p":9}"#,
        r#"{"p":-1}"#,
        r#"{"p":9}"#,
    ] {
        case.put(payload);
    }
    case.join(1, 9);
    let order = case.delivered().iter().map(|(_, n)| *n).collect::<Vec<_>>();
    assert_eq!(order, [3, 5, 1, 2, 4]);
}

#[test]
fn a_lease_that_ends_lets_the_message_go_to_another() {
    let mut case = Case::new(queue().lease_period(SECOND * 10));
    case.join(1, 1);
    case.put("{}");
    assert_eq!(case.delivered(), [(1, 1)]);
    assert_eq!(case.queue.arm(), Some(case.now.instant + SECOND * 10));
    assert_eq!(case.queue.arm(), None, "a timer is set");
    case.after(9);
    assert_eq!(case.counts(), (1, 1, 0));
    case.queue.forget(1, case.now.instant);
    case.join(2, 1);
    assert_eq!(case.delivered(), [(2, 1)]);
    case.after(1);
    assert_eq!(case.counts(), (1, 1, 0), "the lease is another one");
    case.after(9);
    assert_eq!(case.counts(), (1, 0, 0));
    assert_eq!(case.delivered(), [(2, 1)]);
    assert!(case.ack(2, 1));
    assert_eq!(case.queue.arm(), None);
}

#[test]
fn the_end_of_a_lease_is_told_and_one_without_end_is_far_away() {
    let end = |config| {
        let mut case = Case::new(config);
        case.join(1, 1);
        case.put("{}");
        let mut end = None;
        let ended: &mut Vec<(u64, End)> = &mut Vec::new();
        case.queue
            .deliver(case.now, ended, |parcel| end = Some(parcel.lease_end));
        end.unwrap()
    };
    assert_eq!(end(queue().lease_period(SECOND)), Some(2_000_000));
    assert_eq!(end(queue()), Some(u64::MAX));
    assert_eq!(end(queue().delivery(Delivery::AtMostOnce)), None);
}

#[test]
fn a_replaced_subscription_keeps_its_leases_and_waits_if_it_has_too_many() {
    let mut case = Case::new(queue());
    case.put_many(5);
    case.join(1, 3);
    assert_eq!(case.delivered().len(), 3);
    case.join(1, 2);
    assert_eq!(case.delivered(), []);
    assert!(case.ack(1, 1));
    assert_eq!(case.delivered(), []);
    assert!(case.ack(1, 2));
    assert_eq!(case.delivered(), [(1, 4)]);
    assert_eq!(case.counts(), (3, 2, 0));
}

#[test]
fn only_the_subscription_that_stands_here_can_be_taken_away() {
    let mut case = Case::new(queue());
    let old = Arc::new(Subscription::of_queue("s", None, 1));
    let new = Arc::new(Subscription::of_queue("s", None, 1));
    case.queue.attach(1, &old, Grant::Everything);
    case.put("{}");
    assert_eq!(case.delivered(), [(1, 1)]);
    case.queue.attach(1, &new, Grant::Everything);
    assert!(!case.queue.detach(1, &old, case.now.instant));
    assert_eq!(case.counts(), (1, 1, 0));
    assert!(case.queue.detach(1, &new, case.now.instant));
    assert_eq!(case.counts(), (1, 0, 0));
}

#[test]
fn a_message_that_is_in_the_queue_does_not_get_there_twice() {
    let mut case = Case::new(queue());
    case.put("{}");
    case.sequence = 0;
    case.put("{}");
    assert_eq!(case.queue.depth(), 1);
}

#[test]
fn the_life_of_a_message_counts_from_when_it_was_processed() {
    let mut case = Case::new(queue());
    let old = case.now;
    case.now.instant += SECOND * 4;
    case.now.micros += 4_000_000;
    let record = Record {
        key: Box::default(),
        payload: Vec::new().into(),
        correlation_id: Vec::new(),
        updated: old.micros,
        version: 0,
        expires: None,
    };
    let lifetime = Some(SECOND * 5);
    case.queue.enqueue(bookmark(1), record, lifetime, case.now);
    assert_eq!(case.queue.arm(), Some(old.instant + SECOND * 5));
}

/// Were any step as long as the queue, this would take hours.
#[test]
fn each_message_of_many_costs_little() {
    const MANY: usize = 100_000;
    let mut case = Case::new(queue().lease_period(SECOND));
    case.put_many(MANY);
    // It wants none of them, and must not be asked about each again and again.
    case.join_for(1, Some("/a = 1"), 10);
    case.join(2, 100);
    let mut done = 0;
    loop {
        let delivered = case.delivered();
        if delivered.is_empty() {
            break;
        }
        for (who, sequence) in delivered {
            assert!(case.ack(who, sequence));
            done += 1;
        }
    }
    assert_eq!(done, MANY);
    assert_eq!(case.counts(), (0, 0, 0));
}
