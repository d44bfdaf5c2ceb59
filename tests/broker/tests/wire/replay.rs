//! Subscriptions that begin at a bookmark.

use crate::peer::{PATIENCE, Peer};
use crate::transaction_log::field;
use amps_broker::{Broker, Builder, State};
use std::thread;
use std::time::Duration;

fn builder() -> Builder {
    Broker::builder()
        .sow_topic("orders", ["/id"])
        .logged_topic("^(orders|trades)$")
}

fn broker() -> Broker {
    builder().start().unwrap()
}

/// Publishes messages `{"id":n}` with these sequence numbers, and returns the number that stands
/// for the publisher in bookmarks.
fn publish(broker: &Broker, name: &str, topic: &str, ids: impl IntoIterator<Item = u64>) -> String {
    let mut peer = Peer::connect(broker);
    peer.send(&format!(
        r#"{{"c":"logon","cid":"0","client_name":"{name}","mt":"json","a":"processed"}}"#
    ));
    let ack = peer.receive();
    for id in ids {
        peer.send(&format!(
            r#"{{"c":"p","t":"{topic}","s":{id}}}{{"id":{id}}}"#
        ));
    }
    peer.expect_nothing();
    field(&ack, "bm").split_once('|').unwrap().0.to_owned()
}

fn subscribe(peer: &mut Peer, fields: &str) {
    peer.send(&format!(
        r#"{{"c":"subscribe","cid":"1",{fields},"a":"processed,completed"}}"#
    ));
    peer.expect(r#"{"c":"ack","cid":"1","sub_id":"1","a":"processed","status":"success"}"#);
}

/// The ids of the messages up to the `completed` acknowledgement.
fn replayed(peer: &mut Peer) -> Vec<u64> {
    let mut ids = Vec::new();
    loop {
        let frame = peer.receive();
        if frame.contains(r#""a":"completed""#) {
            return ids;
        }
        let (_, id) = frame
            .split_once(r#"{"id":"#)
            .unwrap_or_else(|| panic!("{frame}"));
        ids.push(id.trim_end_matches('}').parse().unwrap());
    }
}

/// As [`replayed`], of a subscription of its own with these fields.
fn replay(broker: &Broker, fields: &str) -> Vec<u64> {
    let mut peer = Peer::named(broker, "reader");
    subscribe(&mut peer, fields);
    replayed(&mut peer)
}

#[test]
fn a_replay_is_followed_by_what_is_published_later_and_every_message_has_its_bookmark() {
    let broker = broker();
    let hash = publish(&broker, "p", "trades", 1..=2);
    let mut peer = Peer::named(&broker, "reader");
    subscribe(&mut peer, r#""t":"trades","bm":"0""#);
    for id in 1..=2 {
        peer.expect(&format!(
            r#"{{"c":"p","t":"trades","sids":"1","bm":"{hash}|{id}|"}}{{"id":{id}}}"#
        ));
    }
    peer.expect(&format!(
        r#"{{"c":"ack","cid":"1","sub_id":"1","bm":"{hash}|2|","a":"completed","status":"success"}}"#
    ));
    publish(&broker, "p", "trades", 3..=3);
    peer.expect(&format!(
        r#"{{"c":"p","t":"trades","sids":"1","bm":"{hash}|3|"}}{{"id":3}}"#
    ));
    peer.expect_nothing();
}

#[test]
fn every_form_of_a_bookmark_starts_where_it_says() {
    let broker = broker();
    let first = publish(&broker, "p", "trades", [1, 2]);
    let second = publish(&broker, "q", "trades", [3, 4]);
    for (bookmark, ids) in [
        ("0".to_owned(), &[1, 2, 3, 4][..]),
        ("0|1|".to_owned(), &[]),
        ("0|1".to_owned(), &[]),
        (format!("{first}|1|"), &[2, 3, 4]),
        (format!("{second}|4|"), &[]),
        (format!("{second}|3|,{first}|2|"), &[3, 4]),
        (format!("{second}|99|,{first}|2|"), &[3, 4]),
        ("20200101T000000Z".to_owned(), &[1, 2, 3, 4]),
        ("22000101T000000.5".to_owned(), &[]),
        // Not in this log: from now on.
        (format!("{second}|99|"), &[]),
        (format!("[{first}|1|:{second}|3|]"), &[1, 2, 3]),
        (format!("({first}|1|:{second}|3|)"), &[2]),
        (format!("[0:{first}|1|,{second}|3|]"), &[1, 2, 3]),
        ("[0|1|:0|1|]".to_owned(), &[4]),
        ("(0|1|:0|1|]".to_owned(), &[]),
        ("[20200101T000000:0|1|)".to_owned(), &[1, 2, 3, 4]),
        ("[0:20200101T000000)".to_owned(), &[]),
    ] {
        let fields = format!(r#""t":"trades","bm":"{bookmark}""#);
        assert_eq!(replay(&broker, &fields), ids, "{bookmark}");
    }
}

#[test]
fn a_bookmark_that_is_not_found_is_what_the_option_says() {
    let broker = broker();
    publish(&broker, "p", "trades", [1]);
    let with =
        |option: &str| format!(r#""t":"trades","bm":"17|4|","o":"bookmark_not_found={option}""#);
    assert_eq!(replay(&broker, &with("epoch")), [1]);
    assert_eq!(replay(&broker, &with("now")), [0; 0]);
    let mut peer = Peer::named(&broker, "a");
    let refused =
        |fields: String| format!(r#"{{"c":"subscribe","cid":"1",{fields},"a":"processed"}}"#);
    peer.refused(&refused(with("fail")), "invalid bookmark");
    peer.refused(&refused(with("never")), "invalid options");
    peer.refused(
        &refused(r#""t":"trades","bm":"[0:17|4|]""#.to_owned()),
        "invalid bookmark",
    );
    // The broker may still have to notice that the readers are gone.
    let nobody = |state: &State<'_>| state.subscription_count("trades") == 0;
    assert!(broker.wait_until(PATIENCE, nobody));
}

#[test]
fn a_time_of_the_log_splits_it_there() {
    let broker = broker();
    publish(&broker, "p", "trades", [1]);
    let mut peer = Peer::named(&broker, "reader");
    subscribe(&mut peer, r#""t":"trades","bm":"0","o":"timestamp""#);
    let message = peer.receive();
    assert!(peer.receive().contains("completed"));
    let time = field(&message, "ts").to_owned();
    // A microsecond is enough for the clock to have gone on.
    thread::sleep(Duration::from_millis(2));
    publish(&broker, "p", "trades", [2]);
    drop(peer);
    for (bookmark, ids) in [
        (time.clone(), &[1, 2][..]),
        (format!("({time}:0|1|]"), &[2]),
        (format!("[0:{time}]"), &[1]),
        (format!("[0:{time})"), &[]),
    ] {
        let fields = format!(r#""t":"trades","bm":"{bookmark}""#);
        assert_eq!(replay(&broker, &fields), ids, "{bookmark}");
    }
}

#[test]
fn after_the_end_of_a_range_nothing_more_comes() {
    let broker = broker();
    let hash = publish(&broker, "p", "trades", [1, 2]);
    let mut peer = Peer::named(&broker, "reader");
    subscribe(&mut peer, &format!(r#""t":"trades","bm":"[0:{hash}|1|]""#));
    assert_eq!(replayed(&mut peer), [1]);
    publish(&broker, "p", "trades", [3]);
    peer.expect_nothing();
}

#[test]
fn a_range_into_the_future_goes_on_until_its_time_has_come() {
    let broker = broker();
    publish(&broker, "p", "trades", [1]);
    let mut peer = Peer::named(&broker, "reader");
    subscribe(&mut peer, r#""t":"trades","bm":"[0:22000101T000000Z]""#);
    publish(&broker, "p", "trades", [2]);
    for id in 1..=2 {
        assert!(peer.receive().ends_with(&format!(r#"{{"id":{id}}}"#)));
    }
    peer.expect_nothing();
    let soon = std::time::SystemTime::now() + Duration::from_secs(1);
    let end = amps_core::bookmark::timestamp(soon);
    peer.send(&format!(
        r#"{{"c":"subscribe","cid":"2","t":"trades","bm":"[0|1|:{end}]","a":"completed"}}"#
    ));
    assert!(peer.receive().ends_with(r#"{"id":2}"#));
    // Nothing is published: the time alone ends it.
    assert!(peer.receive().contains(r#""a":"completed""#));
}

#[test]
fn filter_select_and_top_n_apply_to_a_replay() {
    let broker = broker();
    let mut peer = Peer::named(&broker, "p");
    for id in 1..=9 {
        peer.send(&format!(r#"{{"c":"p","t":"trades"}}{{"id":{id},"x":0}}"#));
    }
    peer.expect_nothing();
    let filtered = r#""t":"trades","bm":"0","f":"/id > 5","o":"select=[-/,+/id]""#;
    assert_eq!(replay(&broker, filtered), [6, 7, 8, 9]);
    let mut reader = Peer::named(&broker, "reader");
    subscribe(
        &mut reader,
        r#""t":"trades","bm":"0","f":"/id > 5","top_n":2,"o":"select=[-/,+/id]""#,
    );
    assert_eq!(replayed(&mut reader), [6, 7]);
    peer.send(r#"{"c":"p","t":"trades"}{"id":10}"#);
    peer.expect_nothing();
    reader.expect_nothing();
    assert_eq!(
        replay(&broker, r#""t":"trades","bm":"0","top_n":0"#),
        [0; 0]
    );
}

#[test]
fn a_pattern_reads_only_logged_topics_and_only_messages_of_its_type() {
    let broker = broker();
    publish(&broker, "p", "trades", [1]);
    publish(&broker, "p", "orders", [2]);
    publish(&broker, "p", "other", [3]);
    let mut binary = Peer::of_type(&broker, "b", "binary");
    binary.send(r#"{"c":"p","t":"trades"}{"id":9}"#);
    binary.expect_nothing();
    let mut peer = Peer::named(&broker, "reader");
    subscribe(&mut peer, r#""t":".*","bm":"0""#);
    assert_eq!(replayed(&mut peer), [1, 2]);
    publish(&broker, "p", "other", [4]);
    publish(&broker, "p", "trades", [5]);
    assert!(peer.receive().ends_with(r#"{"id":5}"#));
}

#[test]
fn a_replay_returns_merged_messages_with_keys_and_no_deletes() {
    let broker = broker();
    let mut peer = Peer::named(&broker, "p");
    for frame in [
        r#"{"c":"p","t":"orders","x":"one"}{"id":1,"a":1}"#,
        r#"{"c":"delta_publish","t":"orders"}{"id":1,"b":2}"#,
        r#"{"c":"sow_delete","t":"orders","f":"1=1"}"#,
        r#"{"c":"p","t":"orders"}{"id":1}"#,
    ] {
        peer.send(frame);
    }
    peer.expect_nothing();
    let mut reader = Peer::named(&broker, "reader");
    subscribe(&mut reader, r#""t":"orders","bm":"0""#);
    let frames = [(); 3].map(|()| reader.receive());
    for (frame, payload) in frames.iter().zip([
        r#"{"id":1,"a":1}"#,
        r#"{"id":1,"a":1,"b":2}"#,
        r#"{"id":1}"#,
    ]) {
        assert!(frame.ends_with(payload), "{frame}");
        assert_eq!(field(frame, "k"), field(&frames[0], "k"));
    }
    assert_eq!(field(&frames[1], "x"), "one");
    assert!(reader.receive().contains("completed"));
}

#[test]
fn nothing_is_lost_or_doubled_while_others_publish() {
    let broker = broker();
    let last = 3000;
    thread::scope(|scope| {
        for publisher in 0..2 {
            let broker = &broker;
            scope.spawn(move || publish(broker, &format!("p{publisher}"), "trades", 1..=last));
        }
        for reader in 0..3u64 {
            let broker = &broker;
            scope.spawn(move || {
                assert!(broker.wait_for_log_len(reader * last / 2, PATIENCE));
                let mut peer = Peer::named(broker, &format!("r{reader}"));
                peer.send(r#"{"c":"subscribe","cid":"1","t":"trades","bm":"0"}"#);
                let mut bookmarks = std::collections::HashMap::new();
                for _ in 0..2 * last {
                    let frame = peer.receive();
                    let (publisher, sequence) = field(&frame, "bm").split_once('|').unwrap();
                    let sequence = sequence.trim_end_matches('|').parse::<u64>().unwrap();
                    let before = bookmarks.insert(publisher.to_owned(), sequence);
                    assert_eq!(before.unwrap_or(0) + 1, sequence, "of {publisher}");
                }
                peer.expect_nothing();
            });
        }
    });
}

#[test]
fn a_client_that_does_not_read_holds_up_nobody_and_piles_up_little() {
    let broker = builder().output_limit(8 << 20).start().unwrap();
    let mut peer = Peer::named(&broker, "p");
    let text = "x".repeat(10_000);
    let count = 3000;
    for id in 0..count {
        peer.send(&format!(
            r#"{{"c":"p","t":"trades"}}{{"id":{id},"text":"{text}"}}"#
        ));
    }
    peer.expect_nothing();
    let mut lazy = Peer::named(&broker, "lazy");
    subscribe(&mut lazy, r#""t":"trades","bm":"0""#);
    // More than the limit for plain subscriptions, while it does not read.
    for id in count..2 * count {
        peer.send(&format!(
            r#"{{"c":"p","t":"trades"}}{{"id":{id},"text":"{text}"}}"#
        ));
        if id % 100 == 0 {
            let waiting = broker.output_waiting("lazy");
            assert!(waiting < 300 << 10, "{waiting} bytes");
        }
    }
    peer.expect_nothing();
    for id in 0..2 * count {
        let mut frame = lazy.receive();
        if frame.contains(r#""a":"completed""#) {
            frame = lazy.receive();
        }
        assert!(frame.contains(&format!(r#"{{"id":{id},"#)), "{id}");
    }
    lazy.expect_nothing();
}

#[test]
fn subscriptions_that_do_not_match_do_not_stop_a_replay() {
    let broker = broker();
    publish(&broker, "p", "trades", 1..=1000);
    assert_eq!(
        replay(&broker, r#""t":"trades","bm":"0","f":"/id = 1000""#),
        [1000]
    );
}

#[test]
fn a_subscription_is_told_what_is_safe_and_not_more_than_it_was_sent() {
    let broker = broker();
    let hash = publish(&broker, "p", "trades", [1]);
    let mut peer = Peer::named(&broker, "reader");
    peer.send(r#"{"c":"subscribe","cid":"1","t":"orders","bm":"0","a":"persisted"}"#);
    let safe = |sequence: u64| {
        format!(
            r#"{{"c":"ack","sub_id":"1","bm":"{hash}|{sequence}|","a":"persisted","status":"success"}}"#
        )
    };
    // Of the whole log, though nothing of it matched.
    peer.expect(&safe(1));
    publish(&broker, "p", "trades", [2]);
    peer.expect(&safe(2));
    broker.hold_persisted_acks();
    publish(&broker, "p", "orders", [3]);
    assert!(peer.receive().ends_with(r#"{"id":3}"#));
    peer.expect_nothing();
    broker.release_persisted_acks();
    peer.expect(&safe(3));
    peer.expect_nothing();
}

#[test]
fn a_bookmark_on_a_topic_that_is_not_logged_is_a_live_subscription_or_refused() {
    let broker = broker();
    let mut peer = Peer::named(&broker, "reader");
    publish(&broker, "p", "adhoc", [1]);
    subscribe(&mut peer, r#""t":"adhoc","bm":"0""#);
    assert_eq!(replayed(&mut peer), [0; 0]);
    publish(&broker, "p", "adhoc", [2]);
    peer.expect(r#"{"c":"p","t":"adhoc","sids":"1"}{"id":2}"#);
    let broker = builder()
        .refuse_bookmarks_without_log(true)
        .start()
        .unwrap();
    let mut peer = Peer::named(&broker, "reader");
    peer.refused(
        r#"{"c":"subscribe","cid":"1","t":"adhoc","bm":"0","a":"processed"}"#,
        "invalid topic",
    );
}

#[test]
fn what_contradicts_a_bookmark_is_refused() {
    let broker = builder()
        .refuse_bookmarks_with_deltas(true)
        .start()
        .unwrap();
    let mut peer = Peer::named(&broker, "reader");
    for (command, fields) in [
        ("subscribe", r#""t":"orders","bm":"0","o":"oof""#),
        ("subscribe", r#""t":"orders","bm":"0","o":"conflation=1s""#),
        ("subscribe", r#""t":"orders","bm":"0|1|","top_n":3"#),
        ("subscribe", r#""t":"orders","bm":"0","top_n":3,"o":"live""#),
        ("delta_subscribe", r#""t":"orders","bm":"0""#),
    ] {
        peer.refused(
            &format!(r#"{{"c":"{command}","cid":"1",{fields},"a":"processed"}}"#),
            "invalid options",
        );
    }
}

#[test]
fn a_delta_subscription_gets_whole_messages_of_the_past_and_then_deltas() {
    let broker = broker();
    let mut peer = Peer::named(&broker, "p");
    peer.send(r#"{"c":"p","t":"orders"}{"id":1,"a":1,"b":1}"#);
    peer.send(r#"{"c":"p","t":"orders"}{"id":1,"a":2,"b":1}"#);
    peer.send(r#"{"c":"delta_subscribe","cid":"1","t":"orders","bm":"0","o":"no_sowkey","a":"completed"}"#);
    for end in [
        r#"{"id":1,"a":1,"b":1}"#,
        r#"{"id":1,"a":2,"b":1}"#,
        r#""a":"completed","status":"success"}"#,
    ] {
        let frame = peer.receive();
        assert!(frame.ends_with(end), "{frame}");
    }
    peer.send(r#"{"c":"p","t":"orders"}{"id":1,"a":2,"b":3}"#);
    assert!(peer.receive().ends_with(r#"{"id":1,"b":3}"#));
    peer.send(r#"{"c":"p","t":"orders"}{"id":2,"a":2,"b":3}"#);
    assert!(peer.receive().ends_with(r#"{"id":2,"a":2,"b":3}"#));
}

#[test]
fn a_replacement_goes_on_where_the_subscription_was_or_at_its_bookmark() {
    let broker = broker();
    publish(&broker, "p", "trades", 1..=4);
    let mut peer = Peer::named(&broker, "reader");
    subscribe(&mut peer, r#""t":"trades","bm":"0","f":"/id > 3""#);
    assert_eq!(replayed(&mut peer), [4]);
    publish(&broker, "p", "trades", 5..=5);
    assert!(peer.receive().ends_with(r#"{"id":5}"#));
    peer.send(
        r#"{"c":"subscribe","cid":"2","sub_id":"1","t":"trades","o":"replace","f":"/id != 6"}"#,
    );
    peer.expect_nothing();
    publish(&broker, "p", "trades", 6..=7);
    let frame = peer.receive();
    assert!(
        frame.ends_with(r#"{"id":7}"#) && frame.contains(r#""bm":""#),
        "{frame}"
    );
    subscribe_again(&mut peer);
    for id in 1..=7 {
        assert!(peer.receive().ends_with(&format!(r#"{{"id":{id}}}"#)));
    }
    peer.send(r#"{"c":"unsubscribe","cid":"3","sub_id":"1","a":"processed"}"#);
    assert!(peer.receive().contains("success"));
    publish(&broker, "p", "trades", 8..=8);
    peer.expect_nothing();
}

/// From the beginning, in the place of what is there.
fn subscribe_again(peer: &mut Peer) {
    peer.send(r#"{"c":"subscribe","cid":"1","sub_id":"1","t":"trades","bm":"0","o":"replace"}"#);
}

#[test]
fn a_query_with_the_bookmark_now_is_followed_from_the_log() {
    let broker = broker();
    publish(&broker, "p", "orders", [1]);
    let mut peer = Peer::named(&broker, "reader");
    peer.send(r#"{"c":"sow_and_subscribe","cid":"1","t":"orders","bm":"0|1|","a":"completed"}"#);
    peer.expect(r#"{"c":"group_begin","query_id":"1"}"#);
    assert!(peer.receive().ends_with(r#"{"id":1}"#));
    peer.expect(r#"{"c":"group_end","query_id":"1"}"#);
    assert!(peer.receive().contains(r#""a":"completed""#));
    publish(&broker, "p", "orders", [2]);
    assert!(peer.receive().contains(r#""bm":""#));
}

#[test]
fn a_live_subscription_gets_the_past_too() {
    let broker = broker();
    publish(&broker, "p", "trades", 1..=300);
    let mut peer = Peer::named(&broker, "reader");
    subscribe(&mut peer, r#""t":"trades","bm":"0","o":"live""#);
    assert_eq!(replayed(&mut peer), (1..=300).collect::<Vec<_>>());
    publish(&broker, "p", "trades", 301..=301);
    assert!(peer.receive().ends_with(r#"{"id":301}"#));
}

#[test]
fn every_topic_may_be_logged() {
    let broker = Broker::builder().log_every_topic().start().unwrap();
    publish(&broker, "p", "any", [1]);
    publish(&broker, "p", "other", [2]);
    assert_eq!(replay(&broker, r#""t":".*","bm":"0""#), [1, 2]);
}

#[test]
fn an_unsubscribed_replay_stops_at_once() {
    let broker = broker();
    let text = "x".repeat(1000);
    let mut peer = Peer::named(&broker, "p");
    for id in 0..2000 {
        peer.send(&format!(
            r#"{{"c":"p","t":"trades"}}{{"id":{id},"x":"{text}"}}"#
        ));
    }
    peer.expect_nothing();
    let mut reader = Peer::named(&broker, "reader");
    reader.send(r#"{"c":"subscribe","cid":"1","t":"trades","bm":"0"}"#);
    reader.send(r#"{"c":"unsubscribe","cid":"2","sub_id":"1","a":"processed"}"#);
    let mut received = 0;
    while !reader.receive().contains("processed") {
        received += 1;
    }
    assert!(received < 2000, "{received}");
    reader.expect_nothing();
}

#[test]
fn a_broker_ends_and_a_client_leaves_while_a_replay_waits_for_its_reader() {
    let broker = broker();
    let text = "x".repeat(100_000);
    let mut peer = Peer::named(&broker, "p");
    for id in 0..200 {
        peer.send(&format!(
            r#"{{"c":"p","t":"trades"}}{{"id":{id},"x":"{text}"}}"#
        ));
    }
    peer.expect_nothing();
    let mut readers = ["stays", "goes"].map(|name| {
        let mut reader = Peer::named(&broker, name);
        reader.send(r#"{"c":"subscribe","cid":"1","t":"trades","bm":"0"}"#);
        reader
    });
    for reader in &mut readers {
        assert!(reader.receive().contains(r#"{"id":0,"#));
    }
    let [stays, goes] = readers;
    drop(goes);
    let gone = |state: &amps_broker::State<'_>| !state.client_names().contains(&"goes".to_owned());
    assert!(broker.wait_until(PATIENCE, gone));
    let began = std::time::Instant::now();
    broker.stop();
    assert!(began.elapsed() < PATIENCE / 2);
    drop(stays);
}

#[test]
fn a_message_that_is_larger_than_all_room_is_replayed_too() {
    let broker = builder().output_limit(100_000).start().unwrap();
    let text = "x".repeat(80_000);
    let mut peer = Peer::named(&broker, "p");
    for id in 0..20 {
        peer.send(&format!(
            r#"{{"c":"p","t":"trades"}}{{"id":{id},"x":"{text}"}}"#
        ));
    }
    peer.expect_nothing();
    let mut reader = Peer::named(&broker, "reader");
    subscribe(&mut reader, r#""t":"trades","bm":"0""#);
    for id in 0..20 {
        assert!(reader.receive().contains(&format!(r#"{{"id":{id},"#)));
    }
    assert!(reader.receive().contains("completed"));
}
