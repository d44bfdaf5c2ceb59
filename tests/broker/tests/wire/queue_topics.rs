//! Queues: who consumes them, and what they are made of.

use crate::peer::{PATIENCE, Peer};
use crate::queue::{answer, consume, over_orders, publish, stats, take};
use amps_broker::{Access, Broker, Entitlement, Fairness, QueueConfig, TopicConfig, field};
use std::time::Duration;

#[test]
fn one_connection_may_consume_twice_and_each_message_goes_to_one_of_both() {
    let broker = over_orders(|queue| queue.fairness(Fairness::RoundRobin));
    let mut peer = Peer::named(&broker, "a");
    consume(&mut peer, "x", "max_backlog=2");
    consume(&mut peer, "y", "max_backlog=2");
    publish(&mut peer, "orders", 1..=5);
    let who = (0..4).map(|_| field(&peer.receive(), "sids").to_owned());
    assert_eq!(who.collect::<Vec<_>>(), ["x", "y", "x", "y"]);
    peer.expect_nothing();
}

#[test]
fn a_filter_of_one_does_not_hold_up_another() {
    let broker = over_orders(|queue| queue);
    let mut peer = Peer::named(&broker, "a");
    publish(&mut peer, "orders", 1..=4);
    peer.send(r#"{"c":"subscribe","cid":"even","t":"jobs","f":"/n % 2 = 0","o":"max_backlog=9,select=[-/,+/n]"}"#);
    take(&mut peer, 2);
    take(&mut peer, 4);
    peer.expect_nothing();
    peer.send(r#"{"c":"subscribe","cid":"rest","t":"jobs","o":"max_backlog=9"}"#);
    take(&mut peer, 1);
    take(&mut peer, 3);
    peer.expect_nothing();
}

#[test]
fn a_replaced_subscription_keeps_what_it_has_and_gets_more_only_when_it_has_room() {
    let broker = over_orders(|queue| queue);
    let mut peer = Peer::named(&broker, "a");
    consume(&mut peer, "j", "max_backlog=3");
    publish(&mut peer, "orders", 1..=6);
    let taken = [1, 2, 3].map(|n| take(&mut peer, n));
    let ack = consume(&mut peer, "j", "replace,max_backlog=1");
    assert_eq!(field(&ack, "o"), "max_backlog=1");
    peer.expect_nothing();
    answer(&mut peer, &format!("{},{}", taken[0], taken[1]), "");
    peer.expect_nothing();
    answer(&mut peer, &taken[2], "");
    take(&mut peer, 4);
    peer.expect_nothing();
    // Another topic under the same id gives everything back.
    peer.send(r#"{"c":"subscribe","cid":"j","t":"other","o":"replace"}"#);
    peer.expect_nothing();
    assert_eq!(
        (broker.queue_depth("jobs"), broker.leased_count("jobs")),
        (3, 0)
    );
}

#[test]
fn browsing_shows_what_nobody_works_on_and_leases_nothing() {
    let broker = over_orders(|queue| queue);
    let mut peer = Peer::named(&broker, "a");
    publish(&mut peer, "orders", 1..=3);
    consume(&mut peer, "j", "");
    let first = take(&mut peer, 1);
    let second = first.replace("|1|", "|2|");
    peer.send(r#"{"c":"sow","cid":"7","t":"jobs","f":"/n < 3","bs":5,"a":"processed,stats"}"#);
    peer.expect(r#"{"c":"ack","cid":"7","query_id":"7","a":"processed","status":"success"}"#);
    peer.expect(r#"{"c":"group_begin","query_id":"7"}"#);
    peer.expect(&format!(
        r#"{{"c":"sow","query_id":"7","t":"jobs","bs":1}}{{"bm":"{second}","l":7}}{{"n":2}}"#
    ));
    peer.expect(r#"{"c":"group_end","query_id":"7"}"#);
    peer.expect(r#"{"c":"ack","cid":"7","query_id":"7","a":"stats","status":"success","records_returned":1,"matches":1,"topic_matches":2}"#);
    // A queue has no past.
    peer.send(r#"{"c":"sow","cid":"7","t":"jobs","bm":"0","bs":5,"o":"top_n=1"}"#);
    peer.receive();
    assert!(peer.receive().ends_with(r#"{"n":2}"#));
    peer.receive();
    // Page by page as well.
    peer.send(r#"{"c":"sow","cid":"7","t":"jobs","o":"top_n=1,skip_n=1"}"#);
    peer.receive();
    assert!(peer.receive().ends_with(r#"{"n":3}"#));
    peer.receive();
    peer.expect_nothing();
    assert_eq!(
        (broker.queue_depth("jobs"), broker.leased_count("jobs")),
        (3, 1)
    );
}

#[test]
fn a_query_that_goes_on_browses_and_then_consumes() {
    let broker = over_orders(|queue| queue);
    let mut peer = Peer::named(&broker, "a");
    publish(&mut peer, "orders", 1..=1);
    peer.send(
        r#"{"c":"sow_and_subscribe","cid":"7","t":"jobs","o":"max_backlog=2","a":"processed,completed"}"#,
    );
    peer.expect(r#"{"c":"ack","cid":"7","sub_id":"7","query_id":"7","o":"max_backlog=2","a":"processed","status":"success"}"#);
    peer.expect(r#"{"c":"group_begin","query_id":"7"}"#);
    assert!(peer.receive().starts_with(r#"{"c":"sow","#));
    peer.expect(r#"{"c":"group_end","query_id":"7"}"#);
    peer.expect(
        r#"{"c":"ack","cid":"7","sub_id":"7","query_id":"7","a":"completed","status":"success"}"#,
    );
    take(&mut peer, 1);
}

#[test]
fn messages_that_match_a_filter_are_acknowledged_whoever_has_them() {
    let broker = over_orders(|queue| queue);
    let mut peer = Peer::named(&broker, "a");
    consume(&mut peer, "j", "");
    publish(&mut peer, "orders", 1..=5);
    take(&mut peer, 1);
    peer.send(r#"{"c":"sow_delete","cid":"d","t":"jobs","f":"/n < 4","a":"completed,stats"}"#);
    peer.expect(r#"{"c":"ack","cid":"d","a":"completed","status":"success"}"#);
    peer.expect(&stats([3, 3, 3]));
    take(&mut peer, 4);
}

#[test]
fn what_a_subscription_to_records_has_makes_no_sense_on_a_queue_or_changes_nothing() {
    let broker = over_orders(|queue| queue);
    let mut peer = Peer::named(&broker, "a");
    for (command, more, reason) in [
        (
            "subscribe",
            r#""o":"conflation=1s,conflation_key=[/n]""#,
            "invalid options",
        ),
        (
            "sow_and_subscribe",
            r#""o":"top_n=1,skip_n=1""#,
            "invalid options",
        ),
        ("subscribe", r#""f":"/n < UNIX_TIMESTAMP()""#, "bad filter"),
    ] {
        peer.refused(
            &format!(r#"{{"c":"{command}","cid":"1","t":"jobs",{more},"a":"processed"}}"#),
            reason,
        );
    }
    peer.send(r#"{"c":"delta_subscribe","cid":"1","t":"jobs","o":"oof,no_empties,max_backlog=5"}"#);
    publish(&mut peer, "orders", 1..=2);
    take(&mut peer, 1);
    take(&mut peer, 2);
}

#[test]
fn a_queue_over_records_gets_each_merged_update_and_keeps_it_when_the_record_goes() {
    let broker = Broker::builder()
        .sow_topic("orders", ["/n"])
        .queue(QueueConfig::new("jobs").over("orders").max_backlog(9))
        .start()
        .unwrap();
    let mut peer = Peer::named(&broker, "a");
    publish(&mut peer, "orders", 1..=1);
    peer.send(r#"{"c":"delta_publish","t":"orders","s":2}{"n":1,"q":5}"#);
    peer.send(r#"{"c":"sow_delete","t":"orders","f":"1=1"}"#);
    assert!(broker.wait_for_queue_depth("jobs", 2, PATIENCE));
    consume(&mut peer, "j", "max_backlog=5");
    take(&mut peer, 1);
    assert!(peer.receive().ends_with(r#"}{"n":1,"q":5}"#));
    peer.expect_nothing();
}

#[test]
fn what_is_published_to_the_queue_goes_to_its_first_topic_and_several_topics_are_collected() {
    let broker = Broker::builder()
        .queue(
            QueueConfig::new("jobs")
                .over("orders")
                .over("quotes")
                .max_backlog(9),
        )
        .queue(QueueConfig::new("audit").over("orders"))
        .start()
        .unwrap();
    let mut peer = Peer::named(&broker, "a");
    peer.subscribe("o", "orders");
    for (n, topic) in [(1, "jobs"), (2, "quotes"), (3, "orders")] {
        peer.send(&format!(r#"{{"c":"p","t":"{topic}"}}{{"n":{n}}}"#));
    }
    peer.expect(r#"{"c":"p","t":"orders","sids":"o"}{"n":1}"#);
    peer.expect(r#"{"c":"p","t":"orders","sids":"o"}{"n":3}"#);
    consume(&mut peer, "j", "max_backlog=9");
    for n in 1..=3 {
        take(&mut peer, n);
    }
    assert_eq!(
        (broker.queue_depth("audit"), broker.leased_count("audit")),
        (2, 0)
    );
}

#[test]
fn a_queue_whose_name_looks_like_a_pattern_is_acknowledged_by_its_name() {
    let broker = Broker::builder()
        .queue(QueueConfig::new("jobs.eu"))
        .start()
        .unwrap();
    let mut peer = Peer::named(&broker, "a");
    peer.send(r#"{"c":"p","t":"jobs.eu"}1"#);
    peer.subscribe_to_queue("j", "jobs.eu");
    let frame = peer.receive();
    let bookmark = field(&frame, "bm");
    peer.send(&format!(
        r#"{{"c":"sow_delete","cid":"d","t":"jobs.eu","bm":"{bookmark}","a":"stats"}}"#
    ));
    peer.expect(&stats([1, 1, 1]));
}

#[test]
fn the_same_sequence_number_makes_one_message_only() {
    let broker = over_orders(|queue| queue);
    let mut peer = Peer::named(&broker, "a");
    for (n, highest) in [(1, 1), (2, 2), (2, 2), (1, 2), (3, 3)] {
        peer.send(&format!(
            r#"{{"c":"p","t":"orders","s":{n},"a":"persisted"}}{{"n":{n}}}"#
        ));
        let ack = peer.receive();
        assert!(
            ack.starts_with(&format!(r#"{{"c":"ack","s":{highest},"#)),
            "{ack}"
        );
    }
    assert_eq!(broker.queue_depth("jobs"), 3);
    // An acknowledgement with a number of its own counts once as well.
    consume(&mut peer, "j", "max_backlog=9");
    let bookmarks = [1, 2, 3].map(|n| take(&mut peer, n));
    for (bookmark, deleted) in [(&bookmarks[0], 1), (&bookmarks[1], 0)] {
        peer.send(&format!(
            r#"{{"c":"sow_delete","cid":"d","t":"jobs","bm":"{bookmark}","s":4,"a":"stats"}}"#
        ));
        peer.expect(&stats([deleted; 3]));
    }
    assert_eq!(broker.queue_depth("jobs"), 2);
}

#[test]
fn with_a_bookmark_a_queue_is_its_topics_in_the_log_and_nothing_is_consumed() {
    let broker = Broker::builder()
        .queue(QueueConfig::new("jobs").over("orders").over("quotes"))
        .queue(QueueConfig::new("own"))
        .start()
        .unwrap();
    let mut peer = Peer::named(&broker, "a");
    for topic in ["orders", "other", "quotes", "own"] {
        peer.send(&format!(r#"{{"c":"p","t":"{topic}"}}1"#));
    }
    peer.subscribe_to_queue("worker", "jobs");
    let bookmark = field(&peer.receive(), "bm").to_owned();
    answer(&mut peer, &bookmark, "");
    peer.receive();
    for (queue, topics) in [("jobs", &["orders", "quotes"][..]), ("own", &["own"])] {
        peer.send(&format!(
            r#"{{"c":"subscribe","cid":"r","t":"{queue}","bm":"0","a":"processed,completed"}}"#
        ));
        peer.expect(r#"{"c":"ack","cid":"r","sub_id":"r","a":"processed","status":"success"}"#);
        for topic in topics {
            let frame = peer.receive();
            assert!(
                frame.starts_with(&format!(r#"{{"c":"p","t":"{topic}","sids":"r","#)),
                "{frame}"
            );
            assert!(!frame.contains(r#""lp""#), "{frame}");
        }
        assert!(peer.receive().contains(r#""a":"completed""#));
        // It goes on with what is new.
        peer.send(&format!(r#"{{"c":"p","t":"{queue}"}}2"#));
        let frame = peer.receive();
        assert!(
            frame.starts_with(&format!(r#"{{"c":"p","t":"{}","#, topics[0])),
            "{frame}"
        );
        peer.send(r#"{"c":"unsubscribe","sub_id":"r"}"#);
        peer.expect_nothing();
    }
    assert_eq!(
        (broker.queue_depth("jobs"), broker.leased_count("jobs")),
        (2, 1)
    );
    assert_eq!(broker.queue_depth("own"), 2);
}

#[test]
fn who_may_read_a_queue_may_acknowledge_and_who_may_not_sees_nothing() {
    let broker = Broker::builder()
        .queue(QueueConfig::new("jobs").over("orders").max_backlog(9))
        .entitle(|request| match (request.client_name, request.access) {
            ("writer", _) => Entitlement::Granted,
            ("reader", Access::Read) => Entitlement::Filtered("/n > 1".to_owned()),
            _ => Entitlement::Refused,
        })
        .start()
        .unwrap();
    let mut writer = Peer::named(&broker, "writer");
    let mut reader = Peer::named(&broker, "reader");
    let mut nobody = Peer::named(&broker, "nobody");
    publish(&mut writer, "orders", 1..=2);
    nobody.refused(
        r#"{"c":"subscribe","cid":"1","t":"jobs","a":"processed"}"#,
        "not entitled",
    );
    nobody.send(r#"{"c":"subscribe","cid":"1","t":"^jo","a":"processed"}"#);
    assert!(nobody.receive().contains("success"));
    nobody.refused(
        r#"{"c":"sow_delete","cid":"1","t":"jobs","bm":"1|1|","a":"processed"}"#,
        "not entitled",
    );
    consume(&mut reader, "j", "max_backlog=5");
    let second = take(&mut reader, 2);
    let first = second.replace("|2|", "|1|");
    reader.send(&format!(
        r#"{{"c":"sow_delete","cid":"d","t":"jobs","bm":"{first},{second}","a":"stats"}}"#
    ));
    reader.expect(&stats([1, 2, 2]));
    nobody.expect_nothing();
    assert_eq!(broker.queue_depth("jobs"), 1);
}

#[test]
fn a_connection_that_is_cut_in_the_middle_loses_nothing() {
    const MESSAGES: u32 = 300;
    let broker = over_orders(|queue| queue.max_backlog(50));
    let mut publisher = Peer::named(&broker, "p");
    publish(&mut publisher, "orders", 1..=MESSAGES);
    let mut done = std::collections::BTreeSet::new();
    let mut round = 0;
    while done.len() < MESSAGES as usize {
        round += 1;
        let mut peer = Peer::named(&broker, "c");
        consume(&mut peer, "j", "max_backlog=50");
        // Each round acknowledges most of what it gets and then breaks off.
        for _ in 0..40.min(MESSAGES as usize - done.len()) {
            let frame = peer.receive();
            let number = frame.rsplit_once(':').unwrap().1.to_owned();
            assert!(done.insert(number), "{frame} was acknowledged before");
            answer(&mut peer, field(&frame, "bm"), "");
        }
        peer.send(r#"{"c":"flush","cid":"f","a":"completed"}"#);
        while !peer.receive().starts_with(r#"{"c":"ack","cid":"f""#) {}
        broker.disconnect_client("c");
    }
    assert_eq!(round, 8);
    assert!(broker.wait_for_queue_depth("jobs", 0, PATIENCE));
}

#[test]
fn a_queue_that_cannot_be_is_refused_at_the_start() {
    for queue in [
        QueueConfig::new(""),
        QueueConfig::new("/AMPS/x"),
        QueueConfig::new("jobs").over("/AMPS/x"),
        QueueConfig::new("jobs").message_type("unknown"),
        QueueConfig::new("jobs").max_backlog(0),
        QueueConfig::new("jobs").priority("/p +"),
        QueueConfig::new("kept"),
        QueueConfig::new("first"),
        QueueConfig::new("jobs").over("first"),
        QueueConfig::new("source"),
    ] {
        let started = Broker::builder()
            .topic(TopicConfig::sow("kept", ["/id"]))
            .queue(QueueConfig::new("first").over("source"))
            .queue(queue.clone())
            .start();
        assert!(started.is_err(), "{queue:?}");
    }
}

#[test]
fn what_was_acknowledged_there_before_it_came_from_another_broker_never_shows_up_there() {
    let (here, there) = (over_orders(|queue| queue), over_orders(|queue| queue));
    here.replicate_to(&there, Duration::from_secs(3600))
        .unwrap();
    let mut peer = Peer::named(&here, "a");
    publish(&mut peer, "orders", 1..=2);
    consume(&mut peer, "j", "");
    let first = take(&mut peer, 1);
    // The worker comes over with what it has not acknowledged yet.
    let mut moved = Peer::named(&there, "a");
    answer(&mut moved, &first, "");
    consume(&mut moved, "j", "");
    moved.expect_nothing();
    here.set_replication_lag(Duration::ZERO);
    take(&mut moved, 2);
    moved.expect_nothing();
    assert_eq!(
        (here.queue_depth("jobs"), there.queue_depth("jobs")),
        (2, 1)
    );
}
