//! Names, getters and short forms, one by one: what no rule of behaviour speaks of.

use crate::{PATIENCE, broker, channel, during, with_peer};
use amps::{
    AckType, BookmarkStore, Client, Command, CommandType, Error, MemoryBookmarkStore,
    MemoryPublishStore, MemorySubscriptionManager, Message, PublishStore, SubscriptionManager,
};
use amps_broker::{PeerConnection, field};
use std::sync::Arc;
use std::time::Duration;

#[test]
fn the_getters_tell_what_was_set() {
    let broker = broker();
    let client = Client::new("getters");
    assert_eq!(client.uri(), None);
    assert!(!client.auto_ack() && !client.retry_on_disconnect());
    assert_eq!(client.default_max_depth(), 0);
    client.set_retry_on_disconnect(true);
    client.set_default_max_depth(9);
    assert!(client.retry_on_disconnect());
    assert_eq!(client.default_max_depth(), 9);
    client.connect(broker.uri("json")).unwrap();
    client.logon().unwrap();
    assert_eq!(client.uri(), Some(broker.uri("json")));
    assert_eq!(client.subscribe("t").unwrap().max_depth(), 9);
    client.disconnect().unwrap();
    assert_eq!(client.uri(), Some(broker.uri("json")));
}

/// What is sent by a call that the peer accepts, and what the call brings.
fn sent<T: Send>(
    peer: &mut PeerConnection,
    call: impl FnOnce() -> amps::Result<T> + Send,
) -> (String, T) {
    let mut frame = String::new();
    let outcome = during(call, || frame = peer.acknowledge("processed").unwrap());
    (frame, outcome.unwrap())
}

#[test]
fn each_named_method_sends_its_command() {
    type Streams = fn(&Client) -> amps::Result<amps::MessageStream>;
    type Handlers = fn(&Client) -> amps::Result<String>;
    fn nothing(_: &Message) {}
    let methods: [(&str, Streams, Streams, Handlers); 5] = [
        (
            "subscribe",
            |client| client.subscribe("t"),
            |client| client.subscribe_filtered("t", "/a > 1"),
            |client| client.subscribe_async(nothing, "t", Some("/a > 1")),
        ),
        (
            "delta_subscribe",
            |client| client.delta_subscribe("t"),
            |client| client.delta_subscribe_filtered("t", "/a > 1"),
            |client| client.delta_subscribe_async(nothing, "t", Some("/a > 1")),
        ),
        (
            "sow",
            |client| client.sow("t"),
            |client| client.sow_filtered("t", "/a > 1"),
            |client| client.sow_async(nothing, "t", Some("/a > 1")),
        ),
        (
            "sow_and_subscribe",
            |client| client.sow_and_subscribe("t"),
            |client| client.sow_and_subscribe_filtered("t", "/a > 1"),
            |client| client.sow_and_subscribe_async(nothing, "t", Some("/a > 1")),
        ),
        (
            "sow_and_delta_subscribe",
            |client| client.sow_and_delta_subscribe("t"),
            |client| client.sow_and_delta_subscribe_filtered("t", "/a > 1"),
            |client| client.sow_and_delta_subscribe_async(nothing, "t", Some("/a > 1")),
        ),
    ];
    for (name, plain, filtered, handled) in methods {
        let (client, mut peer) = with_peer(name);
        // A stream that is dropped says so on the wire: they live until the end.
        let (plain, _first) = sent(&mut peer, || plain(&client));
        let (filtered, _second) = sent(&mut peer, || filtered(&client));
        let (handled, _) = sent(&mut peer, || handled(&client));
        let frames = [plain, filtered, handled];
        for (frame, filter) in frames.iter().zip(["", "/a > 1", "/a > 1"]) {
            assert_eq!(field(frame, "c"), name, "{frame}");
            assert_eq!(field(frame, "t"), "t", "{frame}");
            assert_eq!(field(frame, "f"), filter, "{frame}");
        }
    }
}

#[test]
fn timers_are_commands_without_a_topic() {
    let (client, mut peer) = with_peer("timers");
    for name in ["start_timer", "stop_timer"] {
        let command = Command::new(name).set_ack_type(AckType::PROCESSED);
        let (frame, _) = sent(&mut peer, || client.execute(command.set_timeout(PATIENCE)));
        assert_eq!((field(&frame, "c"), field(&frame, "t")), (name, ""));
    }
}

#[test]
fn every_field_of_a_command_is_sent_and_read_back() {
    let (client, mut peer) = with_peer("fields");
    let command = Command::new("publish")
        .set_command("sow_and_subscribe")
        .set_topic("t\"opic")
        .set_filter("/a = 'x'")
        .set_options("oof,top_n=3")
        .set_bookmark("1|2|")
        .set_sub_id("s")
        .set_query_id("q")
        .set_command_id("c")
        .set_correlation_id("Y29ycg==")
        .set_sow_key("k")
        .set_sow_keys("1,2")
        .set_order_by("/a DESC")
        .set_top_n(0)
        .set_batch_size(7)
        .set_sequence(u64::MAX)
        .set_expiration(Duration::from_secs(3))
        .set_data("payload")
        .set_timeout(PATIENCE);
    assert_eq!(command.command(), CommandType::SowAndSubscribe);
    let texts = [
        (command.topic(), "t", r#"t\"opic"#),
        (command.filter(), "f", "/a = 'x'"),
        (command.options(), "o", "oof,top_n=3"),
        (command.bookmark(), "bm", "1|2|"),
        (command.sub_id(), "sub_id", "s"),
        (command.query_id(), "query_id", "q"),
        (command.command_id(), "cid", "c"),
        (command.correlation_id(), "x", "Y29ycg=="),
        (command.sow_key(), "k", "k"),
        (command.sow_keys(), "sow_keys", "1,2"),
        (command.order_by(), "orderby", "/a DESC"),
    ];
    let (handler, _messages) = channel();
    let (frame, _) = sent(&mut peer, || client.execute_async(command.clone(), handler));
    for (got, key, wire) in texts {
        assert_eq!(got, wire.replace('\\', ""), "{key}");
        assert!(frame.contains(&format!(r#""{key}":"{wire}""#)), "{frame}");
    }
    assert_eq!(command.top_n(), Some(0));
    assert_eq!(command.batch_size(), Some(7));
    assert_eq!(command.sequence(), Some(u64::MAX));
    assert_eq!(command.expiration(), Some(Duration::from_secs(3)));
    assert_eq!(command.timeout(), PATIENCE);
    assert_eq!(command.data(), b"payload");
    for number in [r#""top_n":0"#, r#""bs":7"#, r#""e":3"#] {
        assert!(frame.contains(number), "{frame}");
    }
    assert!(frame.contains(&format!(r#""s":{}"#, u64::MAX)), "{frame}");
    assert!(frame.ends_with("}payload"), "{frame}");
}

#[test]
fn a_command_knows_its_family_and_its_acknowledgements() {
    for (name, is_sow, is_subscribe, is_numbered) in [
        ("publish", false, false, true),
        ("p", false, false, true),
        ("delta_publish", false, false, true),
        ("sow_delete", false, false, true),
        ("sow", true, false, false),
        ("subscribe", false, true, false),
        ("delta_subscribe", false, true, false),
        ("sow_and_subscribe", true, true, false),
        ("sow_and_delta_subscribe", true, true, false),
        ("flush", false, false, false),
        ("unheard_of", false, false, false),
    ] {
        let command = Command::new(name);
        assert_eq!(command.is_sow(), is_sow, "{name}");
        assert_eq!(command.is_subscribe(), is_subscribe, "{name}");
        assert_eq!(command.needs_sequence_number(), is_numbered, "{name}");
    }
    let command = Command::from(CommandType::Sow).set_ack_type(AckType::PROCESSED);
    assert!(command.has_processed_ack() && !command.has_stats_ack());
    let command = command.add_ack_type(AckType::STATS).set_topic("t");
    assert!(command.has_processed_ack() && command.has_stats_ack());
    let command = command.set_ack_type(AckType::STATS);
    assert!(!command.has_processed_ack() && command.has_stats_ack());
    let fresh = command.reset("flush");
    assert_eq!(fresh.command(), CommandType::Flush);
    assert_eq!((fresh.topic(), fresh.ack_type()), ("", AckType::NONE));
}

#[test]
fn b17_stores_and_the_manager_are_fixed_while_connected() {
    let broker = broker();
    let client = Client::new("fixed");
    assert!(client.publish_store().is_none() && client.bookmark_store().is_none());
    assert!(client.subscription_manager().is_none());
    let publishes: Arc<dyn PublishStore> = Arc::new(MemoryPublishStore::new(10));
    let bookmarks: Arc<dyn BookmarkStore> = Arc::new(MemoryBookmarkStore::new());
    let manager: Arc<dyn SubscriptionManager> = Arc::new(MemorySubscriptionManager::new());
    let set = || {
        [
            client.set_publish_store(publishes.clone()),
            client.set_bookmark_store(bookmarks.clone()),
            client.set_subscription_manager(manager.clone()),
        ]
    };
    assert!(set().iter().all(Result::is_ok));
    assert!(Arc::ptr_eq(&client.publish_store().unwrap(), &publishes));
    assert!(Arc::ptr_eq(&client.bookmark_store().unwrap(), &bookmarks));
    assert!(Arc::ptr_eq(
        &client.subscription_manager().unwrap(),
        &manager
    ));
    client.connect(broker.uri("json")).unwrap();
    assert!(set().iter().all(|set| matches!(set, Err(Error::Usage(_)))));
    client.disconnect().unwrap();
    assert!(set().iter().all(Result::is_ok));
}
