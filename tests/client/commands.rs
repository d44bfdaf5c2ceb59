//! Rules D: executing commands.

use crate::{
    PATIENCE, SILENCE, broker, channel, data, during, logged_on, sent_by, start, subscribed,
    with_peer,
};
use amps::{AckType, Client, Command, CommandType, EndReason, Error};
use amps_broker::{Broker, field};
use std::time::Duration;

#[test]
fn publishes_reach_streams_and_handlers_as_they_were_sent() {
    let broker = broker();
    let client = logged_on(&broker, "both-ways");
    let mut stream = client.subscribe("news").unwrap();
    let (handler, messages) = channel();
    client.subscribe_async(handler, "^ne", None).unwrap();
    let payload = "{\"text\":\"\u{0}\\\"}\n\u{7f}é\"}";
    client.publish("news", payload).unwrap();
    assert_eq!(data(&stream.next().unwrap()), payload);
    let message = messages.recv_timeout(PATIENCE).unwrap();
    assert_eq!(data(&message), payload);
    assert_eq!(message.topic(), "news");
}

#[test]
fn a_large_payload_arrives_whole() {
    let broker = broker();
    let client = logged_on(&broker, "large");
    let mut stream = client.subscribe("large").unwrap();
    for size in [0, 1, 8191, 8192, 8193, 100_000, 5_000_000] {
        let payload = (0..size).map(|at| at as u8).collect::<Vec<_>>();
        client.publish("large", &payload).unwrap();
        assert!(stream.next().unwrap().data() == payload, "{size} bytes");
    }
}

#[test]
fn d2_the_acknowledgements_of_both_are_asked_for_together() {
    let (client, mut peer) = with_peer("union");
    let command = Command::new("subscribe")
        .set_topic("t")
        .set_ack_type(AckType::COMPLETED);
    let _stream = during(
        || client.execute(command),
        || {
            let sent = peer.acknowledge("processed").unwrap();
            assert_eq!(field(&sent, "a"), "processed,completed");
        },
    )
    .unwrap();
}

#[test]
fn d3_the_id_that_comes_back_is_the_subscriptions_or_the_commands() {
    let broker = broker();
    let client = logged_on(&broker, "ids");
    let nobody = |command: Command| client.execute_async_no_handler(command).unwrap();
    let subscribe = Command::new("subscribe").set_topic("t");
    let generated = nobody(subscribe.clone());
    assert!(generated.parse::<u64>().is_ok(), "{generated}");
    assert_eq!(nobody(subscribe.clone().set_sub_id("mine")), "mine");
    let with_both = subscribe.set_sub_id("ours").set_command_id("c7");
    assert_eq!(nobody(with_both), "ours");
    let sow = Command::new("sow").set_topic("orders");
    assert_eq!(nobody(sow.set_command_id("q1")), "q1");
}

/// Trap 26.
#[test]
fn d4_a_refusal_is_mapped_and_leaves_nothing_behind() {
    let broker = broker();
    let client = logged_on(&broker, "refused");
    let (handler, messages) = channel();
    let bad = Command::new("subscribe").set_topic("(").set_sub_id("s");
    let error = client.execute_async(bad, handler).unwrap_err();
    assert!(matches!(error, Error::BadRegexTopic(_)), "{error}");
    assert_eq!(error.context().attempted(), "subscribe");
    assert_eq!(error.context().subject(), "(");
    // The handler is gone (its end of the channel is closed), and the id is free.
    assert!(messages.recv_timeout(PATIENCE).is_err());
    let good = Command::new("subscribe").set_topic("t").set_sub_id("s");
    assert_eq!(client.execute_async_no_handler(good).unwrap(), "s");

    let error = client.sow("nothing").unwrap_err();
    assert!(matches!(error, Error::InvalidTopic(_)), "{error}");
    assert!(error.is_command_error() && !error.is_connection_error());
}

#[test]
fn d4_a_refusal_that_was_asked_for_is_delivered_as_well() {
    let broker = broker();
    let client = logged_on(&broker, "both");
    let (handler, messages) = channel();
    let bad = Command::new("subscribe")
        .set_topic("(")
        .set_ack_type(AckType::PROCESSED);
    assert!(client.execute_async(bad, handler).is_err());
    let ack = messages.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(ack.to_result(), Err(Error::BadRegexTopic(_))));
}

/// Trap 36.
#[test]
fn d5_ids_are_filled_in_and_never_overwritten() {
    let (client, mut peer) = with_peer("ids");
    let mut sent = |command: Command| {
        let command = command.set_topic("t").set_timeout(PATIENCE);
        let mut frame = String::new();
        during(
            || client.execute_async_no_handler(command),
            || frame = peer.acknowledge("processed").unwrap(),
        )
        .unwrap();
        ["cid", "sub_id", "query_id"].map(|key| field(&frame, key).to_string())
    };
    let command = Command::new("sow_and_subscribe");
    let [first, sub_id, query_id] = sent(command.clone());
    assert_eq!((&sub_id, &query_id), (&first, &first));
    let [second, _, _] = sent(command.clone());
    assert_ne!(first, second, "each execution gets fresh ids");
    let [cid, sub_id, query_id] = sent(command.clone().set_sub_id("s"));
    assert_ne!(cid, "s");
    assert_eq!((sub_id.as_str(), query_id.as_str()), ("s", "s"));
    let all = command
        .set_command_id("c")
        .set_sub_id("s2")
        .set_query_id("q");
    assert_eq!(sent(all), ["c", "s2", "q"]);
    let [cid, sub_id, query_id] = sent(Command::new("sow"));
    assert_eq!((sub_id.as_str(), query_id), ("", cid));
}

#[test]
fn d5_a_generated_id_steps_aside_for_one_of_the_application() {
    let (client, mut peer) = with_peer("aside");
    // Ids are generated in order; the logon took 0.
    let mine = Command::new("subscribe").set_command_id("1").set_topic("t");
    let _mine = subscribed(&client, &mut peer, mine);
    let theirs = subscribed(&client, &mut peer, Command::new("subscribe").set_topic("t"));
    assert_ne!(theirs.command_id(), "1");
}

/// Trap 37.
#[test]
fn d6_a_command_that_times_out_is_taken_back() {
    let (client, mut peer) = with_peer("timeout");
    let command = Command::new("sow_and_subscribe")
        .set_topic("t")
        .set_sub_id("s")
        .set_timeout(Duration::from_millis(20));
    let error = client.execute(command.clone()).unwrap_err();
    assert!(matches!(error, Error::TimedOut(_)), "{error}");
    assert!(error.to_string().contains("20ms"), "{error}");
    peer.expect_frame().unwrap();
    let unsubscribe = peer.expect_frame().unwrap();
    assert_eq!(field(&unsubscribe, "c"), "unsubscribe");
    assert_eq!(field(&unsubscribe, "sub_id"), "s");
    assert_eq!(field(&unsubscribe, "query_id"), "s");
    // The id is free again.
    subscribed(&client, &mut peer, command);
}

/// Trap 33.
#[test]
fn d7_without_a_handler_acknowledgements_are_dropped() {
    let (client, mut peer) = with_peer("nobody");
    let (handler, unexpected) = channel();
    client.set_last_chance_message_handler(handler);
    let command = Command::new("flush")
        .set_ack_type(AckType::PROCESSED | AckType::COMPLETED)
        .set_timeout(PATIENCE);
    during(
        || client.execute_async_no_handler(command),
        || {
            let frame = peer.acknowledge("processed").unwrap();
            let id = field(&frame, "cid");
            peer.send(&format!(
                r#"{{"c":"ack","cid":"{id}","a":"completed","status":"success"}}"#
            ))
            .unwrap();
        },
    )
    .unwrap();
    assert!(unexpected.recv_timeout(SILENCE).is_err());
}

#[test]
fn d8_queries_ask_for_batches_of_ten_and_subscriptions_for_none() {
    let (client, mut peer) = with_peer("batches");
    for (command, batch_size) in [
        (Command::new("sow"), r#""bs":10"#),
        (Command::new("sow_and_subscribe"), r#""bs":10"#),
        (Command::new("sow").set_batch_size(1), r#""bs":1,"#),
        (Command::new("subscribe"), ""),
    ] {
        let command = command.set_topic("t").set_timeout(PATIENCE);
        let mut frame = String::new();
        during(
            || client.execute_async_no_handler(command),
            || frame = peer.acknowledge("processed").unwrap(),
        )
        .unwrap();
        assert!(frame.contains(batch_size), "{frame}");
        assert_eq!(batch_size.is_empty(), !frame.contains("\"bs\""), "{frame}");
    }
}

/// Trap 27.
#[test]
fn d9_an_id_in_use_is_refused_here_and_nothing_is_sent() {
    let broker = start(Broker::builder().record_frames(true));
    let client = logged_on(&broker, "taken");
    let first = Command::new("subscribe")
        .set_topic("t")
        .set_command_id("c")
        .set_sub_id("s");
    let _stream = client.execute(first).unwrap();
    let sent = sent_by(&broker, "taken").len();
    let same_sub = Command::new("subscribe").set_topic("t").set_sub_id("s");
    let error = client.execute(same_sub).unwrap_err();
    assert!(matches!(error, Error::SubIdInUse(_)), "{error}");
    assert!(error.to_string().contains("the id s is in use"), "{error}");
    let same_command = Command::new("subscribe").set_topic("t").set_command_id("c");
    let error = client.execute(same_command).unwrap_err();
    assert!(
        matches!(error, Error::SubscriptionAlreadyExists(_)),
        "{error}"
    );
    client.publish_flush(PATIENCE).unwrap();
    assert_eq!(sent_by(&broker, "taken").len(), sent + 1);
}

#[test]
fn d9_a_query_id_in_use_is_refused_by_its_name_and_the_query_goes_on() {
    let (client, mut peer) = with_peer("query-taken");
    let query = |command: &str| {
        let command = Command::new(command).set_topic("t").set_query_id("q");
        command.set_timeout(PATIENCE)
    };
    let mut first = subscribed(&client, &mut peer, query("sow"));
    let other = query("sow_and_subscribe").set_sub_id("s");
    for second in [query("sow"), other] {
        let error = client.execute(second).unwrap_err();
        assert!(matches!(error, Error::SubIdInUse(_)), "{error}");
        assert!(error.to_string().contains("the id q is in use"), "{error}");
    }
    // Also not by what takes over the ids of another one than the query.
    let _replaced = subscribed(
        &client,
        &mut peer,
        Command::new("subscribe").set_topic("t").set_sub_id("s"),
    );
    let replacing = query("sow_and_subscribe").set_sub_id("s");
    let error = client.execute(replacing.set_options("replace"));
    let error = error.unwrap_err();
    assert!(error.to_string().contains("the id q is in use"), "{error}");
    peer.send(r#"{"c":"group_begin","query_id":"q"}"#).unwrap();
    peer.send(r#"{"c":"group_end","query_id":"q"}"#).unwrap();
    assert_eq!(first.by_ref().count(), 2);
    assert_eq!(first.end_reason(), Some(EndReason::Completed));
}

/// Traps 21 and 49.
#[test]
fn d10_a_replacing_stream_takes_over_and_a_refused_one_does_not() {
    let (client, mut peer) = with_peer("replace");
    let command = |topic: &str| {
        Command::new("subscribe")
            .set_sub_id("s")
            .set_topic(topic)
            .set_timeout(PATIENCE)
    };
    let replace = |topic: &str| command(topic).set_options("replace");
    let mut old = subscribed(&client, &mut peer, command("a"));
    let refused = during(
        || client.execute(replace("(")),
        || {
            let frame = peer.expect_frame().unwrap();
            let id = field(&frame, "cid");
            peer.send(&format!(
                r#"{{"c":"ack","cid":"{id}","a":"processed","status":"failure","reason":"bad regex topic"}}"#
            ))
            .unwrap();
        },
    );
    assert!(matches!(refused, Err(Error::BadRegexTopic(_))));
    peer.send(r#"{"c":"p","t":"a","sids":"s"}1"#).unwrap();
    assert_eq!(data(&old.next().unwrap()), "1");

    let mut new = subscribed(&client, &mut peer, replace("b"));
    peer.send(r#"{"c":"p","t":"b","sids":"s"}2"#).unwrap();
    assert_eq!(data(&new.next().unwrap()), "2");
    assert!(old.next().is_none());
    assert_eq!(old.end_reason(), Some(EndReason::Replaced));
    // The id belongs to the new one: closing the old one unsubscribes nothing.
    old.close();
    peer.send(r#"{"c":"p","t":"b","sids":"s"}3"#).unwrap();
    assert_eq!(data(&new.next().unwrap()), "3");

    // Trap 22: without a handler the old one stays.
    during(
        || client.execute_async_no_handler(replace("c")),
        || {
            let frame = peer.acknowledge("processed").unwrap();
            assert_eq!(field(&frame, "t"), "c", "no unsubscribe came before");
        },
    )
    .unwrap();
    peer.send(r#"{"c":"p","t":"c","sids":"s"}4"#).unwrap();
    assert_eq!(data(&new.next().unwrap()), "4");
}

#[test]
fn d12_unsubscribing_takes_one_id_a_list_or_all() {
    let broker = broker();
    let client = logged_on(&broker, "leaver");
    let subscribe = |id: &str| {
        let (handler, messages) = channel();
        let command = Command::new("subscribe").set_topic("t").set_sub_id(id);
        client.execute_async(command, handler).unwrap();
        messages
    };
    let messages = ["a", "b", "c", "d", "e"].map(subscribe);
    let mut stream = client.subscribe("t").unwrap();
    let ended = |at: usize| messages[at].recv_timeout(PATIENCE).is_err();
    client.unsubscribe("a").unwrap();
    assert!(ended(0));
    client.unsubscribe("b, c").unwrap();
    assert!(ended(1) && ended(2));
    let left = |count| broker.wait_until(PATIENCE, |state| state.subscription_count("t") == count);
    assert!(left(3));
    client.unsubscribe_all().unwrap();
    assert!(ended(3) && ended(4));
    assert!(left(0));
    assert!(stream.next().is_none());
    assert_eq!(stream.end_reason(), Some(EndReason::Unsubscribed));
    client.unsubscribe("nobody").unwrap();
    assert!(matches!(
        client.unsubscribe(" "),
        Err(Error::InvalidSubId(_))
    ));
}

#[test]
fn d13_an_empty_topic_is_refused_here() {
    let client = Client::new("topicless");
    for error in [
        client.publish("", "x").unwrap_err(),
        client.delta_publish("", "x").unwrap_err(),
        client.subscribe("").unwrap_err(),
        client.execute(Command::new("sow_delete")).unwrap_err(),
    ] {
        assert!(matches!(error, Error::InvalidTopic(_)), "{error}");
    }
}

#[test]
fn an_unknown_command_is_sent_as_it_stands() {
    let (client, mut peer) = with_peer("explorer");
    let command = Command::new("teleport")
        .set_topic("mars")
        .set_ack_type(AckType::PROCESSED);
    let mut stream = client.execute(command).unwrap();
    let sent = peer.acknowledge("processed").unwrap();
    assert_eq!(field(&sent, "c"), "teleport");
    assert_eq!(stream.next().unwrap().command(), CommandType::Ack);
    assert!(stream.next().is_none());
    let error = client.execute(Command::new("logon")).unwrap_err();
    assert!(matches!(error, Error::Usage(_)), "{error}");
}

#[test]
fn a_query_returns_every_record_once_and_a_subscription_goes_on_from_there() {
    let broker = broker();
    let client = logged_on(&broker, "seam");
    for id in 0..25 {
        let order = format!(r#"{{"id":{id},"qty":{}}}"#, id * 10);
        client.publish("orders", order).unwrap();
    }
    let records = client.sow("orders").unwrap().collect::<Vec<_>>();
    assert_eq!(records.len(), 27);
    assert_eq!(records[0].command(), CommandType::GroupBegin);
    assert_eq!(records[26].command(), CommandType::GroupEnd);
    let mut keys = records[1..26]
        .iter()
        .map(|record| record.sow_key().to_string())
        .collect::<Vec<_>>();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 25);

    let mut stream = client.sow_and_subscribe("orders").unwrap();
    client.publish("orders", r#"{"id":3,"qty":1}"#).unwrap();
    let seen = stream.by_ref().take(28).collect::<Vec<_>>();
    assert_eq!(seen[26].command(), CommandType::GroupEnd);
    assert_eq!(seen[27].command(), CommandType::Publish);
    assert_eq!(data(&seen[27]), r#"{"id":3,"qty":1}"#);
}

#[test]
fn an_expiration_goes_out_in_whole_seconds() {
    let (client, mut peer) = with_peer("mortal");
    client
        .publish_with_expiration("t", "x", Duration::from_millis(1500))
        .unwrap();
    client
        .delta_publish_with_expiration("t", "x", Duration::ZERO)
        .unwrap();
    assert_eq!(peer.expect_frame().unwrap(), r#"{"c":"p","t":"t","e":2}x"#);
    assert_eq!(
        peer.expect_frame().unwrap(),
        r#"{"c":"delta_publish","t":"t","e":0}x"#
    );
}

#[test]
fn trap_81_most_recent_is_never_sent() {
    let (client, mut peer) = with_peer("resuming");
    let command = Command::new("subscribe")
        .set_topic("t")
        .set_bookmark(amps::bookmark::MOST_RECENT)
        .set_timeout(PATIENCE);
    let mut frame = String::new();
    during(
        || client.execute_async_no_handler(command),
        || frame = peer.acknowledge("processed").unwrap(),
    )
    .unwrap();
    assert_eq!(field(&frame, "bm"), amps::bookmark::EPOCH);
}
