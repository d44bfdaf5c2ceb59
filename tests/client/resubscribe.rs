//! Subscriptions that come back after a loss: rules M.

use crate::recovery::Server;
use crate::small_stores::Marks;
use crate::{PATIENCE, SILENCE, channel, during};
use amps::{
    AckType, BookmarkStore, Client, Command, Error, MemorySubscriptionManager, Message,
    SubscriptionManager,
};
use amps_broker::{PeerConnection, field};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, mpsc};
use std::time::Duration;

pub(crate) struct Setting {
    pub(crate) server: Server,
    pub(crate) client: Client,
    pub(crate) manager: Arc<MemorySubscriptionManager>,
    pub(crate) peer: PeerConnection,
}

pub(crate) fn setting(name: &str) -> Setting {
    let client = Client::new(name);
    setting_of(client)
}

pub(crate) fn setting_of(client: Client) -> Setting {
    let server = Server::start();
    let manager = Arc::new(MemorySubscriptionManager::new());
    client.set_subscription_manager(manager.clone()).unwrap();
    let peer = server.logon(&client);
    Setting {
        server,
        client,
        manager,
        peer,
    }
}

impl Setting {
    /// Places a subscription that the peer accepts.
    pub(crate) fn place(&mut self, command: Command) -> Receiver<Message> {
        let (handler, messages) = channel();
        let command = command.set_topic("t").set_timeout(PATIENCE);
        let (client, peer) = (&self.client, &mut self.peer);
        during(
            || client.execute_async(command, handler),
            || {
                peer.acknowledge("processed").unwrap();
            },
        )
        .unwrap();
        messages
    }

    /// Sends a command that the peer accepts.
    pub(crate) fn execute(&mut self, command: Command) {
        let command = command.set_topic("t").set_timeout(PATIENCE);
        let (client, peer) = (&self.client, &mut self.peer);
        during(
            || client.execute_async_no_handler(command),
            || {
                peer.acknowledge("processed").unwrap();
            },
        )
        .unwrap();
    }

    /// Cuts the connection and logs on anew; returns what is entered again, as it is accepted.
    pub(crate) fn reconnect(&mut self, expected: usize) -> Vec<String> {
        self.cut();
        self.client.connect(self.server.uri()).unwrap();
        self.peer = self.server.accept();
        let (client, server, peer) = (&self.client, &self.server, &mut self.peer);
        let mut entered = Vec::new();
        during(
            || client.logon(),
            || {
                server.answer(peer, None);
                for _ in 0..expected {
                    entered.push(peer.acknowledge("processed").unwrap());
                }
            },
        )
        .unwrap();
        entered
    }

    fn cut(&mut self) {
        self.peer.close();
        let client = &self.client;
        crate::eventually("the loss is noticed", || !client.is_connected());
    }
}

pub(crate) fn subscribe(sub_id: &str) -> Command {
    Command::new("subscribe").set_sub_id(sub_id)
}

#[test]
fn m2_subscriptions_come_back_in_their_order_with_their_ids_and_handlers() {
    let mut setting = setting("order");
    let first = setting.place(subscribe("z").set_filter("/a > 1"));
    let command = Command::new("sow_and_subscribe").set_sub_id("a");
    let _second = setting.place(command.set_query_id("q").set_options("oof"));
    let wanted = subscribe("m").set_ack_type(AckType::COMPLETED);
    let _third = setting.place(wanted);
    let entered = setting.reconnect(3);
    assert_eq!(
        entered
            .iter()
            .map(|frame| field(frame, "sub_id"))
            .collect::<Vec<_>>(),
        ["z", "a", "m"]
    );
    assert_eq!(field(&entered[0], "f"), "/a > 1");
    assert_eq!(
        (field(&entered[1], "query_id"), field(&entered[1], "o")),
        ("q", "oof")
    );
    assert_eq!(field(&entered[2], "a"), "processed,completed");
    setting
        .peer
        .send(r#"{"c":"p","t":"t","sids":"z"}again"#)
        .unwrap();
    assert_eq!(first.recv_timeout(PATIENCE).unwrap().data(), b"again");
}

#[test]
fn m1_streams_queries_and_those_that_ask_not_to_do_not_come_back() {
    let mut setting = setting("not-back");
    let (client, peer) = (&setting.client, &mut setting.peer);
    let mut stream = crate::subscribed(client, peer, subscribe("stream").set_topic("t"));
    let (handler, _messages) = channel();
    let command = subscribe("loose").set_topic("t").set_timeout(PATIENCE);
    during(
        || client.execute_async_no_resubscribe(command, handler),
        || {
            peer.acknowledge("processed").unwrap();
        },
    )
    .unwrap();
    assert!(setting.manager.sub_ids().is_empty());
    setting.reconnect(0);
    assert!(stream.next().is_none());
}

#[test]
fn d4_a_subscription_that_is_refused_is_not_tracked() {
    let mut setting = setting("refused");
    let (client, peer) = (&setting.client, &mut setting.peer);
    let (handler, _messages) = channel();
    let command = subscribe("s").set_topic("t").set_timeout(PATIENCE);
    let refused = during(
        || client.execute_async(command, handler),
        || {
            let id = field(&peer.expect_frame().unwrap(), "cid").to_string();
            peer.send(&format!(
                r#"{{"c":"ack","cid":"{id}","a":"processed","status":"failure","reason":"not entitled"}}"#
            ))
            .unwrap();
        },
    );
    assert!(matches!(refused, Err(Error::NotEntitled(_))));
    assert!(setting.manager.sub_ids().is_empty());
}

/// Trap 21.
#[test]
fn m5_a_replacement_comes_back_in_place_of_the_first() {
    let mut setting = setting("replaced");
    let messages = setting.place(subscribe("s").set_filter("/a"));
    // Without a handler of its own it keeps the old one (rule D10).
    setting.execute(subscribe("s").set_filter("/b").set_options("replace"));
    let entered = setting.reconnect(1);
    assert_eq!(
        (field(&entered[0], "f"), field(&entered[0], "o")),
        ("/b", "")
    );
    setting
        .peer
        .send(r#"{"c":"p","t":"t","sids":"s"}x"#)
        .unwrap();
    messages.recv_timeout(PATIENCE).unwrap();
}

/// Trap 31.
#[test]
fn i10_what_is_unsubscribed_while_disconnected_does_not_come_back() {
    let mut setting = setting("offline");
    let _first = setting.place(subscribe("a"));
    let _second = setting.place(subscribe("b"));
    let _third = setting.place(subscribe("c"));
    setting.cut();
    setting.client.unsubscribe("a,c").unwrap();
    let entered = setting.reconnect(1);
    assert_eq!(field(&entered[0], "sub_id"), "b");
    setting.client.unsubscribe_all().unwrap();
    assert!(setting.manager.sub_ids().is_empty());
}

#[test]
fn trap_31_a_command_that_unsubscribes_counts_also_if_it_is_not_sent() {
    let mut setting = setting("command");
    let _first = setting.place(subscribe("a"));
    let _second = setting.place(subscribe("b"));
    let unsubscribe = || Command::new("unsubscribe").set_sub_id("a");
    setting.cut();
    // An empty id means nothing, and not everything that has none.
    setting.manager.unsubscribe("x,,");
    let unsent = setting.client.execute(unsubscribe());
    assert!(matches!(unsent, Err(Error::Disconnected(_))), "{unsent:?}");
    let entered = setting.reconnect(1);
    assert_eq!(field(&entered[0], "sub_id"), "b");
    let all = Command::new("unsubscribe").set_sub_id("all");
    setting.client.execute(all).unwrap();
    assert!(setting.manager.sub_ids().is_empty());
    setting.reconnect(0);
}

#[test]
fn m3_bookmark_subscriptions_go_on_where_their_store_left_off() {
    let client = Client::new("go-on");
    let marks = Arc::new(Marks::default());
    client.set_bookmark_store(marks.clone()).unwrap();
    let mut setting = setting_of(client);
    let _messages = setting.place(subscribe("s").set_bookmark("1|3|"));
    let _range = setting.place(subscribe("r").set_bookmark("[1|3|:1|900|)"));
    for sub_id in ["s", "r"] {
        marks.log(sub_id, "1|4|").unwrap();
        marks.discard(sub_id, 1).unwrap();
    }
    let entered = setting.reconnect(2);
    assert_eq!(field(&entered[0], "bm"), "1|4|");
    // Of a range only the start changes (rule L22).
    assert_eq!(field(&entered[1], "bm"), "[1|4|:1|900|)");
    // Once its replay is done it does not come back.
    setting
        .peer
        .send(r#"{"c":"ack","sub_id":"r","a":"completed","bm":"1|5|","status":"success"}"#)
        .unwrap();
    let manager = setting.manager.clone();
    crate::eventually("the range is forgotten", || manager.sub_ids() == ["s"]);
}

#[test]
fn m3_without_a_store_the_bookmark_stays() {
    let mut setting = setting("stays");
    let _messages = setting.place(subscribe("s").set_bookmark("1|3|"));
    let entered = setting.reconnect(1);
    assert_eq!(field(&entered[0], "bm"), "1|3|");
}

#[test]
fn m8_a_failing_subscription_is_forgotten_or_fails_the_logon() {
    let mut setting = setting("fails");
    let _first = setting.place(subscribe("a"));
    let _second = setting.place(subscribe("b"));
    let refuse = |server: &Server, client: &Client| {
        client.connect(server.uri()).unwrap();
        let mut peer = server.accept();
        let logged_on = during(
            || client.logon(),
            || {
                server.answer(&mut peer, None);
                let id = field(&peer.expect_frame().unwrap(), "cid").to_string();
                peer.send(&format!(
                    r#"{{"c":"ack","cid":"{id}","a":"processed","status":"failure","reason":"not entitled"}}"#
                ))
                .unwrap();
                // Goes on only if the handler says so.
                while let Ok(Some(frame)) = peer.read_frame() {
                    let id = field(&frame, "cid");
                    let ack = r#""a":"processed","status":"success""#;
                    peer.send(&format!(r#"{{"c":"ack","cid":"{id}",{ack}}}"#))
                        .unwrap();
                    if frame.contains(r#""sub_id":"b""#) {
                        break;
                    }
                }
            },
        );
        (logged_on, peer)
    };
    setting.cut();
    let (failed, _) = refuse(&setting.server, &setting.client);
    assert!(matches!(failed, Err(Error::NotEntitled(_))), "{failed:?}");
    assert!(!setting.client.is_connected());
    assert_eq!(setting.manager.sub_ids(), ["a", "b"]);

    setting
        .manager
        .set_failed_resubscribe_handler(Box::new(|_, _, _| panic!("a bug")));
    let (failed, _) = refuse(&setting.server, &setting.client);
    assert!(matches!(failed, Err(Error::Handler(_))), "{failed:?}");
    assert_eq!(setting.manager.sub_ids(), ["a", "b"]);

    let (sender, asked) = mpsc::channel();
    setting
        .manager
        .set_failed_resubscribe_handler(Box::new(move |command, _, error| {
            let is_refused = matches!(error, Error::NotEntitled(_));
            sender
                .send((command.sub_id().to_string(), is_refused))
                .unwrap();
            true
        }));
    let (logged_on, _peer) = refuse(&setting.server, &setting.client);
    logged_on.unwrap();
    assert_eq!(
        asked.recv_timeout(PATIENCE).unwrap(),
        ("a".to_string(), true)
    );
    assert_eq!(setting.manager.sub_ids(), ["b"]);
}

#[test]
fn m8_a_loss_during_the_walk_forgets_nothing() {
    let mut setting = setting("walk-loss");
    let _first = setting.place(subscribe("a"));
    setting
        .manager
        .set_failed_resubscribe_handler(Box::new(|_, _, _| true));
    setting.cut();
    setting.client.connect(setting.server.uri()).unwrap();
    let mut peer = setting.server.accept();
    let client = &setting.client;
    let lost = during(
        || client.logon(),
        || {
            setting.server.answer(&mut peer, None);
            peer.expect_frame().unwrap();
            peer.close();
        },
    );
    assert!(matches!(lost, Err(Error::Disconnected(_))), "{lost:?}");
    assert_eq!(setting.manager.sub_ids(), ["a"]);
}

#[test]
fn m9_each_re_entry_takes_no_longer_than_its_timeout() {
    let mut setting = setting("slow");
    let _first = setting.place(subscribe("a"));
    let short = Duration::from_millis(30);
    setting.manager.set_resubscription_timeout(short);
    assert_eq!(setting.manager.resubscription_timeout(), short);
    setting.cut();
    let slow = setting.server.logon_at(&setting.client, None);
    assert!(matches!(slow, Err(Error::TimedOut(_))), "{slow:?}");
    assert_eq!(setting.manager.sub_ids(), ["a"]);
}

#[test]
fn m10_what_is_unsubscribed_during_the_walk_does_not_come_back() {
    let mut setting = setting("walk");
    let _first = setting.place(subscribe("a"));
    let _second = setting.place(subscribe("b"));
    setting.cut();
    setting.client.connect(setting.server.uri()).unwrap();
    let mut peer = setting.server.accept();
    let client = &setting.client;
    during(
        || client.logon(),
        || {
            setting.server.answer(&mut peer, None);
            // The first is on its way, the second is still to come.
            let entered = peer.expect_frame().unwrap();
            client.unsubscribe("a,b").unwrap();
            let id = field(&entered, "cid");
            peer.send(&format!(
                r#"{{"c":"ack","cid":"{id}","a":"processed","status":"success"}}"#
            ))
            .unwrap();
        },
    )
    .unwrap();
    let frame = peer.expect_frame().unwrap();
    assert!(frame.starts_with(r#"{"c":"unsubscribe""#), "{frame}");
    assert!(setting.manager.sub_ids().is_empty());
    client.publish("t", "marker").unwrap();
    let mut frames = Vec::new();
    while frames
        .last()
        .is_none_or(|frame: &String| !frame.ends_with("marker"))
    {
        frames.push(peer.expect_frame().unwrap());
    }
    assert!(
        frames
            .iter()
            .all(|frame| !frame.contains("subscribe\",\"cid\"") || frame.contains("unsubscribe")),
        "{frames:?}"
    );
}

#[test]
fn m10_what_was_entered_over_the_new_connection_is_not_entered_twice() {
    let mut setting = setting("twice");
    let _first = setting.place(subscribe("a"));
    setting.cut();
    // Its listener enters another one before the walk begins.
    let (sender, entered) = mpsc::channel();
    let weak = setting.client.downgrade();
    setting.client.add_connection_state_listener(move |state| {
        if state == amps::ConnectionState::LoggedOn {
            let (handler, _messages) = channel();
            let client = weak.upgrade().unwrap();
            let command = subscribe("new").set_topic("t").set_timeout(PATIENCE);
            let _ = sender.send(client.execute_async(command, handler));
        }
    });
    setting.client.connect(setting.server.uri()).unwrap();
    let mut peer = setting.server.accept();
    let client = &setting.client;
    during(
        || client.logon(),
        || {
            setting.server.answer(&mut peer, None);
            assert_eq!(
                field(&peer.acknowledge("processed").unwrap(), "sub_id"),
                "new"
            );
            assert_eq!(
                field(&peer.acknowledge("processed").unwrap(), "sub_id"),
                "a"
            );
        },
    )
    .unwrap();
    entered.recv_timeout(SILENCE).unwrap().unwrap();
    assert_eq!(setting.manager.sub_ids(), ["a", "new"]);
}
