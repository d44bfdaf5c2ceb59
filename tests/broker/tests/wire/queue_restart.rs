//! Queues that outlive their broker.

use crate::journal::program_with;
use crate::peer::{PATIENCE, Peer, framed};
use crate::queue::{answer, consume, publish, take};
use amps_broker::{Broker, Delivery, QueueConfig, field};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// A broker with three queues over `orders`, and a journal.
fn journaled(journal: &Path) -> Broker {
    Broker::builder()
        .queue(QueueConfig::new("jobs").over("orders").max_backlog(9))
        .queue(
            QueueConfig::new("once")
                .over("orders")
                .delivery(Delivery::AtMostOnce)
                .max_backlog(9),
        )
        .queue(
            QueueConfig::new("short")
                .over("orders")
                .expiration(Duration::from_millis(1)),
        )
        .journal(journal)
        .start()
        .unwrap()
}

#[test]
fn queues_are_after_a_restart_what_they_were_without_their_leases() {
    let directory = tempfile::tempdir().unwrap();
    let journal = directory.path().join("journal");
    let broker = journaled(&journal);
    let mut peer = Peer::named(&broker, "a");
    publish(&mut peer, "orders", 1..=6);
    consume(&mut peer, "j", "max_backlog=9");
    let bookmarks = [1, 2, 3, 4, 5, 6].map(|n| take(&mut peer, n));
    answer(&mut peer, &format!("{},{}", bookmarks[1], bookmarks[3]), "");
    answer(&mut peer, &bookmarks[4], "expire");
    answer(&mut peer, &bookmarks[5], "cancel");
    take(&mut peer, 6);
    // One that is still to come.
    answer(&mut peer, &bookmarks[5].replace("|6|", "|8|"), "");
    peer.send(r#"{"c":"subscribe","cid":"o","t":"once","o":"max_backlog=2"}"#);
    for _ in 0..2 {
        assert!(peer.receive().starts_with(r#"{"c":"p","t":"once","#));
    }
    peer.expect_nothing();
    assert!(broker.wait_until(PATIENCE, |state| state.expired_count("short") == 6));
    drop(broker);

    let broker = journaled(&journal);
    let depths = ["jobs", "once", "short"].map(|queue| broker.queue_depth(queue));
    assert_eq!(depths, [3, 4, 0]);
    let mut peer = Peer::named(&broker, "a");
    consume(&mut peer, "j", "max_backlog=9");
    for (n, bookmark) in [(1, 0), (3, 2), (6, 5)] {
        assert_eq!(take(&mut peer, n), bookmarks[bookmark]);
    }
    publish(&mut peer, "orders", 6..=9);
    take(&mut peer, 7);
    take(&mut peer, 9);
    peer.expect_nothing();
    answer(&mut peer, &bookmarks[0], "");
    peer.expect_nothing();
    drop(broker);
    let broker = journaled(&journal);
    assert_eq!(broker.queue_depth("jobs"), 4);
    assert_eq!(broker.queue_depth("once"), 7);
}

#[test]
fn a_queue_that_is_new_has_what_its_topic_has_in_the_log_and_one_that_is_gone_does_no_harm() {
    let directory = tempfile::tempdir().unwrap();
    let journal = directory.path().join("journal");
    let with = |queue: &str| {
        Broker::builder()
            .queue(QueueConfig::new(queue).over("orders"))
            .journal(&journal)
            .start()
            .unwrap()
    };
    let broker = with("jobs");
    let mut peer = Peer::named(&broker, "a");
    publish(&mut peer, "orders", 1..=3);
    consume(&mut peer, "j", "");
    let first = take(&mut peer, 1);
    answer(&mut peer, &first, "");
    take(&mut peer, 2);
    drop(broker);
    assert_eq!(with("other").queue_depth("other"), 3);
    assert_eq!(with("jobs").queue_depth("jobs"), 2);
}

/// The number in a message.
fn number(frame: &str) -> u32 {
    let (_, rest) = frame
        .rsplit_once(r#"{"n":"#)
        .unwrap_or_else(|| panic!("{frame}"));
    rest.trim_end_matches('}').parse().unwrap()
}

/// Consumes `jobs` and acknowledges each message, until `enough` say that they are gone for good or
/// there are no more. Returns what came, and what is gone for good.
fn work(peer: &mut Peer, enough: usize) -> (BTreeSet<u32>, BTreeSet<u32>) {
    consume(peer, "j", "max_backlog=50");
    // It comes after the last message, which is acknowledged before.
    let fence = r#"{"c":"flush","cid":"fence","a":"completed"}"#;
    let (mut came, mut gone) = (BTreeSet::new(), BTreeSet::new());
    let mut fenced = 0;
    while gone.len() < enough {
        let frame = peer.receive();
        if frame.starts_with(r#"{"c":"p","#) {
            came.insert(number(&frame));
            let command = format!(
                r#"{{"c":"sow_delete","cid":"{}","t":"jobs","bm":"{}","a":"processed"}}"#,
                number(&frame),
                field(&frame, "bm")
            );
            peer.send_bytes(&[framed(command.as_bytes()), framed(fence.as_bytes())].concat());
        } else if field(&frame, "cid") == "fence" {
            fenced += 1;
            if fenced == came.len() {
                break;
            }
        } else {
            gone.insert(field(&frame, "cid").parse().unwrap());
        }
    }
    (came, gone)
}

#[test]
fn a_killed_broker_forgets_no_message_and_no_acknowledgement_that_it_confirmed() {
    const MESSAGES: u32 = 2000;
    let directory = tempfile::tempdir().unwrap();
    let journal = directory.path().join("journal");
    let config = r#"{"queues":[{"name":"jobs","topics":["work"],"max_backlog":50}]}"#;
    let mut first = program_with(&directory, &journal, config);
    let mut publisher = Peer::to(&first.address);
    publisher.log_on("p", "json");
    publish(&mut publisher, "work", 1..=MESSAGES);
    publisher.expect_nothing();
    let mut worker = Peer::to(&first.address);
    worker.log_on("w", "json");
    let (came, mut gone) = work(&mut worker, MESSAGES as usize / 2);
    first.kill();
    while let Some(frame) = worker.try_receive_whole() {
        if let Ok(number) = field(&frame, "cid").parse() {
            gone.insert(number);
        }
    }
    let second = program_with(&directory, &journal, config);
    let mut worker = Peer::to(&second.address);
    worker.log_on("w", "json");
    let (again, all_gone) = work(&mut worker, usize::MAX);
    assert_eq!(again, all_gone);
    assert!(again.is_disjoint(&gone), "what was done is done again");
    let everything = came.union(&again).copied().collect::<Vec<_>>();
    assert_eq!(everything, (1..=MESSAGES).collect::<Vec<_>>());
    assert!(again.len() >= MESSAGES as usize / 2 - 50, "{}", again.len());
}
