//! Rules C: from the receive thread to whoever takes a message.

use crate::{
    PATIENCE, broker, channel, data, during, exceptions, logged_on, subscribed, with_peer,
};
use amps::{AckType, Client, Command, CommandType, Error, Message};
use amps_broker::framed;
use std::sync::mpsc;
use std::thread;

#[test]
fn c1_an_absurd_length_is_a_protocol_error_and_a_loss() {
    let (client, mut peer) = with_peer("flooded");
    let told = exceptions(&client);
    peer.send_bytes(&u32::MAX.to_be_bytes()).unwrap();
    let error = told.recv_timeout(PATIENCE).unwrap();
    assert!(error.starts_with("protocol error"), "{error}");
    assert!(error.contains("4294967295"), "{error}");
    assert!(!client.is_connected());
}

#[test]
fn c2_a_record_beyond_its_frame_is_a_protocol_error() {
    for bad in [
        r#"{"c":"sow","query_id":"9"}{"l":5}abc"#,
        r#"{"c":"sow","query_id":"9"}{"k":"1"}abc"#,
        r#"{"c":"sow","query_id":"9"}abc"#,
    ] {
        let (client, mut peer) = with_peer("overrun");
        let told = exceptions(&client);
        peer.send(bad).unwrap();
        let error = told.recv_timeout(PATIENCE).unwrap();
        assert!(error.starts_with("protocol error"), "{error}");
    }
}

#[test]
fn trap_41_malformed_headers_end_the_connection_and_nothing_else() {
    for bad in [
        "",
        "x",
        "{",
        "{\"c\"",
        "{\"c\":\"p\"",
        "{c:1}",
        "{]}",
        "[1]",
    ] {
        let (client, mut peer) = with_peer("malformed");
        let told = exceptions(&client);
        // An empty frame carries nothing and is no error; the one after it is.
        peer.send(bad).unwrap();
        if bad.is_empty() {
            peer.send("{").unwrap();
        }
        let error = told.recv_timeout(PATIENCE).unwrap();
        assert!(error.starts_with("protocol error"), "{bad}: {error}");
        let error = client.publish("x", "y").unwrap_err();
        assert!(matches!(error, Error::Disconnected(_)));
    }
}

#[test]
fn c3_a_message_for_two_subscriptions_is_delivered_to_each_under_its_own_id() {
    let broker = broker();
    let client = logged_on(&broker, "both");
    let (first, firsts) = channel();
    let (second, seconds) = channel();
    let a = client.subscribe_async(first, "topic", None).unwrap();
    let b = client.subscribe_async(second, "^top", None).unwrap();
    client.publish("topic", "x").unwrap();
    for (messages, id) in [(firsts, a), (seconds, b)] {
        let message = messages.recv_timeout(PATIENCE).unwrap();
        assert_eq!(message.sub_id(), id);
        assert_eq!(message.sub_ids().split(',').count(), 2);
        assert_eq!(data(&message), "x");
    }
}

#[test]
fn c3_ids_without_a_route_go_to_the_last_chance_handler() {
    let (client, mut peer) = with_peer("last-chance");
    let (handler, messages) = channel();
    client.set_last_chance_message_handler(handler);
    let mut stream = subscribed(
        &client,
        &mut peer,
        Command::new("subscribe").set_sub_id("s").set_topic("t"),
    );
    peer.send(r#"{"c":"p","t":"t","sids":"gone"}1"#).unwrap();
    peer.send(r#"{"c":"p","t":"t","sids":"gone, s"}2"#).unwrap();
    peer.send(r#"{"c":"ack","s":7,"a":"persisted","status":"failure","reason":"not entitled"}"#)
        .unwrap();
    assert_eq!(data(&messages.recv_timeout(PATIENCE).unwrap()), "1");
    let left = messages.recv_timeout(PATIENCE).unwrap();
    assert_eq!((data(&left), left.sub_id()), ("2", "gone"));
    let taken = stream.next().unwrap();
    assert_eq!((data(&taken), taken.sub_id()), ("2", "s"));
    let failed = messages.recv_timeout(PATIENCE).unwrap();
    assert_eq!(failed.sequence(), Some(7));
}

#[test]
fn c4_without_a_list_the_query_the_subscription_and_the_command_id_are_tried() {
    let (client, mut peer) = with_peer("one-id");
    let command = Command::new("sow_and_subscribe")
        .set_command_id("c")
        .set_sub_id("s")
        .set_query_id("q")
        .set_topic("t");
    let mut stream = subscribed(&client, &mut peer, command);
    peer.send(r#"{"c":"group_begin","query_id":"q"}"#).unwrap();
    peer.send(r#"{"c":"p","t":"t","sub_id":"s"}1"#).unwrap();
    peer.send(r#"{"c":"p","t":"t","cid":"c"}2"#).unwrap();
    assert_eq!(stream.next().unwrap().command(), CommandType::GroupBegin);
    assert_eq!(data(&stream.next().unwrap()), "1");
    assert_eq!(data(&stream.next().unwrap()), "2");
}

/// Trap 45.
#[test]
fn ids_with_escapes_are_routed_by_what_they_mean() {
    let (client, mut peer) = with_peer("escaped");
    let command = Command::new("subscribe").set_sub_id("a\"b").set_topic("t");
    let mut stream = subscribed(&client, &mut peer, command);
    peer.send(r#"{"c":"p","t":"t\u0031","sids":"x,a\"b"}1"#)
        .unwrap();
    let message = stream.next().unwrap();
    assert_eq!((message.topic(), message.sub_id()), ("t1", "a\"b"));
}

/// A list that is the id of a subscription is that id, however the rest of the header is written.
#[test]
fn an_id_with_a_comma_or_spaces_is_one_id() {
    let (client, mut peer) = with_peer("comma");
    let ids = ["a,b", "c d"];
    let mut streams = ids.map(|id| {
        let command = Command::new("subscribe").set_sub_id(id).set_topic("t");
        subscribed(&client, &mut peer, command)
    });
    for (id, stream) in ids.into_iter().zip(&mut streams) {
        for topic in ["t", "\\u0074"] {
            peer.send(&format!(r#"{{"c":"p","t":"{topic}","sids":"{id}"}}1"#))
                .unwrap();
            let message = stream.next_timeout(PATIENCE).unwrap().unwrap();
            assert_eq!(message.sub_id(), id);
        }
    }
}

/// Trap 35.
#[test]
fn c5_each_waiting_thread_gets_its_own_acknowledgement() {
    let broker = broker();
    let client = logged_on(&broker, "crowd");
    thread::scope(|scope| {
        for thread in 0..8 {
            let client = &client;
            scope.spawn(move || {
                for round in 0..50 {
                    if (thread + round) % 2 == 0 {
                        let topic = format!("topic-{thread}-{round}");
                        let stream = client.subscribe(&topic).unwrap();
                        assert!(!stream.sub_id().is_empty());
                    } else {
                        let error = client.subscribe("(").unwrap_err();
                        assert!(matches!(error, Error::BadRegexTopic(_)), "{error}");
                    }
                }
            });
        }
    });
}

#[test]
fn c6_acknowledgements_are_delivered_only_if_the_application_asked_for_them() {
    let broker = broker();
    let client = logged_on(&broker, "acks");
    client.publish("orders", r#"{"id":1}"#).unwrap();
    let silent = client.sow("orders").unwrap();
    let kinds = |stream: amps::MessageStream| {
        stream
            .map(|message| format!("{} {}", message.command(), message.ack_type()))
            .collect::<Vec<_>>()
    };
    assert_eq!(kinds(silent), ["group_begin ", "sow ", "group_end "]);
    let asked = Command::new("sow")
        .set_topic("orders")
        .set_ack_type(amps::AckType::PROCESSED | amps::AckType::STATS);
    let asked = kinds(client.execute(asked).unwrap());
    assert_eq!(
        asked,
        [
            "ack processed",
            "group_begin ",
            "sow ",
            "group_end ",
            "ack stats"
        ]
    );
}

#[test]
fn c7_the_route_of_a_query_is_gone_after_its_last_message() {
    let (client, mut peer) = with_peer("once");
    let (handler, late) = channel();
    client.set_last_chance_message_handler(handler);
    let (handler, messages) = channel();
    let query = Command::new("sow")
        .set_command_id("q")
        .set_topic("t")
        .set_timeout(PATIENCE);
    during(
        || client.execute_async(query, handler),
        || {
            peer.acknowledge("processed").unwrap();
        },
    )
    .unwrap();
    // Trap 25: the completed acknowledgement may overtake the end of the group.
    for body in [
        r#"{"c":"group_begin","query_id":"q"}"#,
        r#"{"c":"ack","cid":"q","a":"completed","status":"success","records_returned":1}"#,
        r#"{"c":"sow","query_id":"q"}{"l":1}x"#,
        r#"{"c":"group_end","query_id":"q"}"#,
        r#"{"c":"sow","query_id":"q"}{"l":4}late"#,
    ] {
        peer.send(body).unwrap();
    }
    let commands = messages.iter().map(|message| message.command());
    assert_eq!(
        commands.collect::<Vec<_>>(),
        [
            CommandType::GroupBegin,
            CommandType::Sow,
            CommandType::GroupEnd
        ]
    );
    assert_eq!(data(&late.recv_timeout(PATIENCE).unwrap()), "late");
}

#[test]
fn c8_the_global_handler_runs_after_the_route_and_spares_the_last_chance() {
    let (client, mut peer) = with_peer("global");
    let (sender, order) = mpsc::channel();
    let told = |label: &'static str| {
        let sender = sender.clone();
        move |message: &Message| {
            let _ = sender.send(format!("{label} {}", data(message)));
        }
    };
    client.set_global_command_type_message_handler(CommandType::Publish, told("global"));
    client.set_last_chance_message_handler(told("last"));
    let command = Command::new("subscribe")
        .set_sub_id("s")
        .set_topic("t")
        .set_timeout(PATIENCE);
    during(
        || client.execute_async(command, told("route")),
        || {
            peer.acknowledge("processed").unwrap();
        },
    )
    .unwrap();
    peer.send(r#"{"c":"p","t":"t","sids":"s"}1"#).unwrap();
    peer.send(r#"{"c":"p","t":"t","sids":"x"}2"#).unwrap();
    peer.send(r#"{"c":"oof","t":"t","sids":"x"}3"#).unwrap();
    let seen = (0..4).map(|_| order.recv_timeout(PATIENCE).unwrap());
    assert_eq!(
        seen.collect::<Vec<_>>(),
        ["route 1", "global 1", "global 2", "last 3"]
    );
}

#[test]
fn c10_heartbeats_are_consumed_unless_a_global_handler_wants_them() {
    let (client, mut peer) = with_peer("beats");
    let (handler, unexpected) = channel();
    client.set_last_chance_message_handler(handler);
    peer.send(r#"{"c":"heartbeat"}"#).unwrap();
    peer.send(r#"{"c":"oof","sids":"marker"}"#).unwrap();
    assert_eq!(
        unexpected.recv_timeout(PATIENCE).unwrap().command(),
        CommandType::Oof
    );
    let (handler, beats) = channel();
    client.set_global_command_type_message_handler(CommandType::Heartbeat, handler);
    peer.send(r#"{"c":"heartbeat"}"#).unwrap();
    assert_eq!(
        beats.recv_timeout(PATIENCE).unwrap().command(),
        CommandType::Heartbeat
    );
}

#[test]
fn c11_a_handler_that_fails_or_panics_does_not_keep_the_next_message_from_coming() {
    let broker = broker();
    let client = logged_on(&broker, "clumsy");
    let told = exceptions(&client);
    let (sender, handled) = mpsc::channel();
    let handler = move |message: &Message| match data(message) {
        "fail" => Err(std::io::Error::other("spilled the tea")),
        "panic" => panic!("dropped the {}", "cup"),
        other => {
            let _ = sender.send(other.to_string());
            Ok(())
        }
    };
    client.subscribe_async(handler, "tea", None).unwrap();
    for data in ["fail", "panic", "fine"] {
        client.publish("tea", data).unwrap();
    }
    let failed = told.recv_timeout(PATIENCE).unwrap();
    assert!(failed.contains("spilled the tea") && failed.contains("tea"));
    assert!(
        told.recv_timeout(PATIENCE)
            .unwrap()
            .contains("dropped the cup")
    );
    assert_eq!(handled.recv_timeout(PATIENCE).unwrap(), "fine");
}

#[test]
fn c11_an_exception_listener_that_panics_is_absorbed() {
    let broker = broker();
    let client = logged_on(&broker, "hopeless");
    client.set_exception_listener(|_| panic!("me too"));
    let (handler, messages) = channel();
    client.subscribe_async(|_| Err("no"), "t", None).unwrap();
    client.subscribe_async(handler, "u", None).unwrap();
    client.publish("t", "1").unwrap();
    client.publish("u", "2").unwrap();
    assert_eq!(data(&messages.recv_timeout(PATIENCE).unwrap()), "2");
}

#[test]
fn c12_what_waits_is_refused_in_a_handler_and_what_does_not_is_fine() {
    let broker = broker();
    let client = logged_on(&broker, "inside");
    let (sender, results) = mpsc::channel();
    let weak = client.downgrade();
    let handler = move |message: &Message| {
        let Some(client) = weak.upgrade() else { return };
        let refused = [
            client.publish_flush(PATIENCE).err(),
            client.subscribe("other").err(),
            client.sow("orders").err(),
            client.logon().err(),
        ];
        let refused = refused
            .iter()
            .all(|error| matches!(error, Some(Error::Usage(_))));
        let allowed = client.publish("echo", message.data()).is_ok()
            && client.unsubscribe(message.sub_id()).is_ok();
        let _ = sender.send((refused, allowed));
    };
    let (echo, echoes) = channel();
    client.subscribe_async(echo, "echo", None).unwrap();
    client.subscribe_async(handler, "call", None).unwrap();
    client.publish("call", "1").unwrap();
    client.publish("call", "2").unwrap();
    assert_eq!(results.recv_timeout(PATIENCE).unwrap(), (true, true));
    assert_eq!(data(&echoes.recv_timeout(PATIENCE).unwrap()), "1");
    // It unsubscribed itself with the first message.
    client.publish_flush(PATIENCE).unwrap();
    assert!(results.try_recv().is_err());
}

#[test]
fn trap_35_an_acknowledgement_that_comes_late_finds_nobody_else() {
    let (client, mut peer) = with_peer("late");
    let flush = Command::new("flush")
        .set_command_id("first")
        .set_timeout(std::time::Duration::from_millis(20));
    let error = client.execute_async_no_handler(flush).unwrap_err();
    assert!(matches!(error, Error::TimedOut(_)), "{error}");
    let result = during(
        || client.publish_flush(PATIENCE),
        || {
            peer.expect_frame().unwrap();
            let second = peer.expect_frame().unwrap();
            let late = r#"{"c":"ack","cid":"first","a":"processed","status":"failure"}"#;
            let id = amps_broker::field(&second, "cid");
            let good = format!(r#"{{"c":"ack","cid":"{id}","a":"completed","status":"success"}}"#);
            let both = [framed(late.as_bytes()), framed(good.as_bytes())].concat();
            peer.send_bytes(&both).unwrap();
        },
    );
    result.unwrap();
}

#[test]
fn two_clients_are_told_apart() {
    let broker = broker();
    let one: Client = logged_on(&broker, "one");
    let two = logged_on(&broker, "two");
    let (sender, results) = mpsc::channel();
    // A handler of one client may wait for another client.
    let handler = move |message: &Message| {
        let _ = two.publish("copy", message.data());
        let _ = sender.send(two.publish_flush(PATIENCE).is_ok());
    };
    one.subscribe_async(handler, "t", None).unwrap();
    one.publish("t", "x").unwrap();
    assert!(results.recv_timeout(PATIENCE).unwrap());
}

#[test]
fn h1_a_failed_write_goes_to_its_handler_and_a_duplicate_does_not() {
    let (client, mut peer) = with_peer("failed-write");
    let (handler, left) = channel();
    client.set_last_chance_message_handler(handler);
    let (sender, failed) = mpsc::channel();
    client.set_failed_write_handler(move |ack: &Message, reason: &str| {
        let _ = sender.send((ack.sequence(), reason.to_string()));
    });
    let mut refuse = |fields: &str, reason: &str| {
        let body = format!(
            r#"{{"c":"ack",{fields}"a":"persisted","status":"failure","reason":"{reason}"}}"#
        );
        peer.send(&body).unwrap();
    };
    refuse(r#""s":7,"#, "not entitled");
    // Rule H6: the server has it.
    refuse(r#""s":8,"#, "duplicate");
    // Trap 56: that of a subscription is no failed write.
    refuse(r#""sub_id":"s","bm":"1|2|","#, "not entitled");
    assert_eq!(
        failed.recv_timeout(PATIENCE).unwrap(),
        (Some(7), "not entitled".to_string())
    );
    assert_eq!(left.recv_timeout(PATIENCE).unwrap().reason(), "duplicate");
    assert_eq!(left.recv_timeout(PATIENCE).unwrap().sub_id(), "s");
    assert!(failed.try_recv().is_err());
}

#[test]
fn c13_conflated_acknowledgements_are_routed_by_subscription_or_go_to_last_chance() {
    let (client, mut peer) = with_peer("conflated");
    let (handler, left) = channel();
    client.set_last_chance_message_handler(handler);
    let command = Command::new("subscribe")
        .set_topic("t")
        .set_sub_id("s")
        .set_bookmark("0")
        .set_ack_type(AckType::PERSISTED);
    let mut stream = subscribed(&client, &mut peer, command);
    peer.send(r#"{"c":"ack","sub_id":"s","bm":"1|7|","a":"persisted","status":"success"}"#)
        .unwrap();
    peer.send(r#"{"c":"ack","s":907,"a":"persisted","status":"success"}"#)
        .unwrap();
    let ack = stream.next_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!((ack.bookmark(), ack.command_id()), ("1|7|", ""));
    assert_eq!(left.recv_timeout(PATIENCE).unwrap().sequence(), Some(907));
    assert_eq!(stream.end_reason(), None);
}
