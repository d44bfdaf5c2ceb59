//! Pausing and resuming subscriptions, and how they come back: rules D11, M6.

use crate::recovery::Server;
use crate::resubscribe::{setting, setting_of, subscribe};
use crate::small_stores::Marks;
use crate::{PATIENCE, during, subscribed};
use amps::{BookmarkStore, Client, Command, EndReason, bookmark};
use amps_broker::field;
use std::sync::Arc;

#[test]
fn m6_paused_subscriptions_come_back_paused_and_groups_resume_together() {
    let client = Client::new("pace");
    let marks = Arc::new(Marks::default());
    client.set_bookmark_store(marks.clone()).unwrap();
    let mut setting = setting_of(client);
    for (sub_id, bookmark) in [("a", "1|7|"), ("b", "1|4|"), ("c", "1|9|"), ("d", "1|2|")] {
        let _messages = setting.place(subscribe(sub_id).set_bookmark("0"));
        marks.log(sub_id, bookmark).unwrap();
        marks.discard(sub_id, 1).unwrap();
    }
    let pause = subscribe("a,b,c").set_options("pause");
    let before = pause.clone();
    setting.execute(pause.clone());
    // The caller's command is as it was (trap 83).
    assert_eq!(pause, before);
    setting.execute(subscribe("a,b").set_options("resume"));
    let entered = setting.reconnect(5);
    let seen = entered
        .iter()
        .map(|frame| {
            (
                field(frame, "sub_id"),
                field(frame, "o"),
                field(frame, "bm"),
            )
        })
        .collect::<Vec<_>>();
    let expected = [
        ("a", "pause", "1|4|"),
        ("b", "pause", "1|4|"),
        ("c", "pause", "1|9|"),
        ("d", "", "1|2|"),
        ("a,b", "resume", ""),
    ];
    assert_eq!(seen, expected);
    // A group of which one is left is no group (rule M7).
    setting.client.unsubscribe("a").unwrap();
    setting.peer.expect_frame().unwrap();
    let entered = setting.reconnect(3);
    assert_eq!(field(&entered[0], "sub_id"), "b");
    assert_eq!(field(&entered[0], "o"), "");
}

#[test]
fn m6_ranges_that_were_resumed_together_keep_their_ends() {
    let client = Client::new("pace-of-ranges");
    let marks = Arc::new(Marks::default());
    client.set_bookmark_store(marks.clone()).unwrap();
    let mut setting = setting_of(client);
    for (sub_id, bookmark) in [("a", "1|7|"), ("b", "1|4|")] {
        let range = subscribe(sub_id).set_bookmark("[1|1|:1|9|]");
        let _messages = setting.place(range);
        marks.log(sub_id, bookmark).unwrap();
        marks.discard(sub_id, 1).unwrap();
    }
    setting.execute(subscribe("a,b").set_options("pause"));
    setting.execute(subscribe("a,b").set_options("resume"));
    let entered = setting.reconnect(3);
    let seen = entered
        .iter()
        .map(|frame| (field(frame, "o"), field(frame, "bm")));
    let expected = [
        ("pause", "[1|7|:1|9|]"),
        ("pause", "[1|4|:1|9|]"),
        ("resume", ""),
    ];
    assert_eq!(seen.collect::<Vec<_>>(), expected);
}

#[test]
fn d11_pausing_makes_no_route_and_entering_paused_does() {
    let mut setting = setting("routes");
    let _messages = setting.place(subscribe("a").set_bookmark("0").set_options("pause"));
    assert_eq!(setting.manager.sub_ids(), ["a"]);
    setting.execute(subscribe("a").set_options("resume"));
    setting.execute(subscribe("a").set_options("pause"));
    let entered = setting.reconnect(1);
    assert_eq!(field(&entered[0], "o"), "pause");
}

#[test]
fn trap_81_recent_is_not_sent_by_a_command_that_only_pauses() {
    let server = Server::start();
    let client = Client::new("only-pauses");
    let mut peer = server.logon(&client);
    let placed = Command::new("subscribe").set_topic("t").set_sub_id("s");
    let placed = placed.set_bookmark(bookmark::MOST_RECENT);
    let _stream = subscribed(&client, &mut peer, placed.clone());
    let pause = placed.set_options("pause").set_timeout(PATIENCE);
    let mut frame = String::new();
    during(
        || client.execute(pause),
        || frame = peer.acknowledge("processed").unwrap(),
    )
    .unwrap();
    assert_eq!((field(&frame, "o"), field(&frame, "bm")), ("pause", ""));
}

#[test]
fn d10_a_command_that_replaces_and_pauses_makes_a_subscription() {
    let server = Server::start();
    let client = Client::new("replaces-and-pauses");
    let mut peer = server.logon(&client);
    let placed = Command::new("subscribe").set_topic("t").set_sub_id("s");
    let mut old = subscribed(&client, &mut peer, placed.clone().set_bookmark("0"));
    let new = placed.set_bookmark("1|5|").set_options("replace,pause");
    let mut new = subscribed(&client, &mut peer, new);
    assert!(old.next_timeout(PATIENCE).unwrap().is_none());
    assert_eq!(old.end_reason(), Some(EndReason::Replaced));
    peer.send(r#"{"c":"p","t":"t","sids":"s"}new"#).unwrap();
    let message = new.next_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!(message.data(), b"new");
}
