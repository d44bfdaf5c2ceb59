//! Bookmark subscriptions with a store: rules C9, L.

use crate::recovery::Server;
use crate::small_stores::Marks;
use crate::{PATIENCE, SILENCE, channel, during, exceptions, subscribed};
use amps::{
    AckType, BookmarkStore, BookmarkSubscribe, Client, Command, EndReason, Error, Message, bookmark,
};
use amps_broker::{PeerConnection, field};
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub(crate) struct Setting {
    pub(crate) client: Client,
    pub(crate) marks: Arc<Marks>,
    pub(crate) peer: PeerConnection,
}

pub(crate) fn setting(name: &str) -> Setting {
    let server = Server::start();
    let client = Client::new(name);
    let marks = Arc::new(Marks::default());
    client.set_bookmark_store(marks.clone()).unwrap();
    let peer = server.logon(&client);
    Setting {
        client,
        marks,
        peer,
    }
}

fn from(bookmark: &str) -> Command {
    Command::new("subscribe")
        .set_topic("t")
        .set_sub_id("reader")
        .set_bookmark(bookmark)
}

fn publish(peer: &mut PeerConnection, sids: &str, bookmark: &str) {
    let frame = format!(r#"{{"c":"p","t":"t","sids":"{sids}","bm":"{bookmark}"}}{bookmark}"#);
    peer.send(&frame).unwrap();
}

#[test]
fn d1_a_bookmark_subscription_asks_for_what_its_store_needs_and_keeps_it_to_itself() {
    let Setting {
        client,
        marks,
        mut peer,
    } = setting("asks");
    let mut stream = during(
        || client.execute(from("1|5|").set_timeout(PATIENCE)),
        || {
            let frame = peer.acknowledge("processed").unwrap();
            assert!(
                frame.contains(r#""a":"processed,persisted,completed""#),
                "{frame}"
            );
        },
    )
    .unwrap();
    for (ack, number) in [("completed", 7), ("persisted", 8)] {
        peer.send(&format!(
            r#"{{"c":"ack","sub_id":"reader","a":"{ack}","bm":"1|{number}|","status":"success"}}"#
        ))
        .unwrap();
    }
    publish(&mut peer, "reader", "1|9|");
    let message = stream.next_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!(message.bookmark(), "1|9|");
    assert_eq!(message.bookmark_seq_no(), 1);
    let told = [
        "version 5030500",
        "enter reader 1|5|",
        "completed reader 1|7|",
        "persisted reader 1|8|",
    ];
    assert_eq!(marks.told(), told);
}

#[test]
fn c6_acknowledgements_that_the_application_wants_go_to_both() {
    let Setting {
        client,
        marks,
        mut peer,
    } = setting("both");
    let command = from("0").add_ack_type(AckType::COMPLETED);
    let mut stream = subscribed(&client, &mut peer, command);
    peer.send(r#"{"c":"ack","sub_id":"reader","a":"completed","bm":"1|7|","status":"success"}"#)
        .unwrap();
    let ack = stream.next_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!(ack.ack_type(), AckType::COMPLETED);
    assert!(marks.told().contains(&"completed reader 1|7|".to_string()));
}

/// Trap 40.
#[test]
fn c9_what_was_discarded_goes_to_the_duplicate_handler_alone() {
    let Setting {
        client,
        marks,
        mut peer,
    } = setting("duplicates");
    let (handler, duplicates) = channel();
    client.set_duplicate_message_handler(handler);
    let (handler, every) = channel();
    client.set_global_command_type_message_handler(amps::CommandType::Publish, handler);
    marks.log("reader", "1|1|").unwrap();
    marks.discard("reader", 1).unwrap();
    let mut stream = subscribed(&client, &mut peer, from("0"));
    publish(&mut peer, "reader", "1|1|");
    publish(&mut peer, "reader", "1|2|");
    let message = stream.next_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!(message.bookmark(), "1|2|");
    assert_eq!(
        duplicates.recv_timeout(PATIENCE).unwrap().bookmark(),
        "1|1|"
    );
    assert_eq!(every.recv_timeout(PATIENCE).unwrap().bookmark(), "1|2|");
    assert!(every.try_recv().is_err());
}

#[test]
fn l6_what_was_seen_and_not_discarded_is_delivered_again() {
    let Setting {
        client, mut peer, ..
    } = setting("again");
    let mut stream = subscribed(&client, &mut peer, from("0"));
    for _ in 0..2 {
        publish(&mut peer, "reader", "1|1|");
        let message = stream.next_timeout(PATIENCE).unwrap().unwrap();
        assert_eq!(message.bookmark_seq_no(), 1);
    }
}

#[test]
fn l2_most_recent_is_resolved_when_the_command_is_executed() {
    let Setting {
        client,
        marks,
        mut peer,
    } = setting("most-recent");
    let execute = |peer: &mut PeerConnection| {
        let entered = during(
            || client.bookmark_subscribe("t", bookmark::MOST_RECENT, reader()),
            || {
                let frame = peer.acknowledge("processed").unwrap();
                let start = field(&frame, "bm").to_string();
                assert!(marks.told().contains(&format!("enter reader {start}")));
            },
        );
        entered.unwrap()
    };
    let mut stream = execute(&mut peer);
    assert_eq!(marks.told()[1], "enter reader 0");
    publish(&mut peer, "reader", "1|1|");
    let message = stream.next_timeout(PATIENCE).unwrap().unwrap();
    client.discard(&message).unwrap();
    drop(stream);
    peer.expect_frame().unwrap();
    drop(execute(&mut peer));
    assert_eq!(marks.told()[2], "enter reader 1|1|");
}

fn reader() -> BookmarkSubscribe {
    BookmarkSubscribe::new().set_sub_id("reader")
}

#[test]
fn l20_each_subscription_logs_a_message_for_itself() {
    let Setting {
        client,
        marks,
        mut peer,
    } = setting("each");
    let mut logged = subscribed(&client, &mut peer, from("0"));
    let other = Command::new("subscribe").set_topic("t").set_sub_id("other");
    // Not started with a bookmark: not for the store (rule L21).
    let mut plain = subscribed(&client, &mut peer, other);
    publish(&mut peer, "reader,other", "1|1|");
    let first = logged.next_timeout(PATIENCE).unwrap().unwrap();
    let second = plain.next_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!((first.bookmark_seq_no(), first.sub_id()), (1, "reader"));
    assert_eq!((second.bookmark_seq_no(), second.sub_id()), (0, "other"));
    client.discard(&first).unwrap();
    assert!(marks.is_discarded("reader", "1|1|"));
    assert!(!marks.is_discarded("other", "1|1|"));
    // The number travels with a private copy, too.
    assert_eq!(first.detach().bookmark_seq_no(), 1);
}

#[test]
fn what_cannot_be_logged_is_delivered_all_the_same() {
    let Setting {
        client,
        marks,
        mut peer,
    } = setting("unlogged");
    let told = exceptions(&client);
    let mut stream = subscribed(&client, &mut peer, from("0"));
    marks.fails.store(true, Ordering::SeqCst);
    publish(&mut peer, "reader", "1|1|");
    let message = stream.next_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!(message.bookmark_seq_no(), 0);
    assert!(
        told.recv_timeout(PATIENCE)
            .unwrap()
            .contains("the disk is full")
    );
    // By its bookmark it can still be discarded.
    client.discard(&message).unwrap();
}

#[test]
fn a_store_that_cannot_tell_where_to_start_fails_the_command_and_nothing_is_sent() {
    let Setting {
        client,
        marks,
        mut peer,
    } = setting("cannot-tell");
    marks.fails.store(true, Ordering::SeqCst);
    let error = client.execute(from(bookmark::MOST_RECENT)).unwrap_err();
    assert!(matches!(error, Error::Store(_)), "{error}");
    marks.fails.store(false, Ordering::SeqCst);
    client.publish("t", "next").unwrap();
    assert!(peer.expect_frame().unwrap().ends_with("next"));
}

#[test]
fn l22_a_range_is_over_when_its_replay_is() {
    let Setting {
        client,
        marks,
        mut peer,
    } = setting("range");
    let mut stream = subscribed(&client, &mut peer, from("[1|1|:1|5|)"));
    assert_eq!(marks.told()[1], "enter reader 1|1|");
    publish(&mut peer, "reader", "1|2|");
    peer.send(r#"{"c":"ack","sub_id":"reader","a":"completed","bm":"1|5|","status":"success"}"#)
        .unwrap();
    assert_eq!(stream.by_ref().count(), 1);
    assert_eq!(stream.end_reason(), Some(EndReason::Completed));
    let unsubscribe = peer.expect_frame().unwrap();
    assert!(
        unsubscribe.contains(r#""sub_id":"reader""#),
        "{unsubscribe}"
    );
}

#[test]
fn l13_without_a_store_nothing_is_filtered_and_discarding_does_nothing() {
    let server = Server::start();
    let client = Client::new("no-store");
    let mut peer = server.logon(&client);
    let (handler, messages) = channel();
    during(
        || client.bookmark_subscribe_async(handler, "t", bookmark::MOST_RECENT, reader()),
        || {
            let frame = peer.acknowledge("processed").unwrap();
            assert!(frame.contains(r#""bm":"0""#), "{frame}");
            assert!(frame.contains(r#""a":"processed""#), "{frame}");
        },
    )
    .unwrap();
    for _ in 0..2 {
        publish(&mut peer, "reader", "1|1|");
        let message = messages.recv_timeout(PATIENCE).unwrap();
        client.discard(&message).unwrap();
    }
}

#[test]
fn a_message_that_was_discarded_in_its_handler_does_not_come_again() {
    let Setting {
        client, mut peer, ..
    } = setting("in-handler");
    let weak = client.downgrade();
    let (sender, seen) = std::sync::mpsc::channel();
    let command = from("0").set_timeout(PATIENCE);
    let handler = move |message: &Message| {
        sender.send(message.bookmark_seq_no()).unwrap();
        weak.upgrade().unwrap().discard(message)
    };
    during(
        || client.execute_async(command, handler),
        || {
            peer.acknowledge("processed").unwrap();
        },
    )
    .unwrap();
    publish(&mut peer, "reader", "1|1|");
    publish(&mut peer, "reader", "1|1|");
    assert_eq!(seen.recv_timeout(PATIENCE), Ok(1));
    assert!(seen.recv_timeout(SILENCE).is_err());
}

#[test]
fn d9_a_subscription_id_in_use_moves_no_entry_point() {
    let server = Server::start();
    let client = Client::new("entry-point");
    let marks = Arc::new(Marks::default());
    client.set_bookmark_store(marks.clone()).unwrap();
    let mut peer = server.logon(&client);
    let placed = Command::new("subscribe").set_topic("t").set_sub_id("s");
    let first = placed.clone().set_bookmark(bookmark::EPOCH);
    let _stream = subscribed(&client, &mut peer, first);
    let again = client.execute(placed.set_bookmark(bookmark::NOW));
    assert!(matches!(again, Err(Error::SubIdInUse(_))), "{again:?}");
    let mut told = marks.told();
    told.retain(|what| what.starts_with("enter"));
    assert_eq!(told, ["enter s 0"]);
}
