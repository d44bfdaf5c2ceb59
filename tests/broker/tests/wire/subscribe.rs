//! Subscribing and unsubscribing.

use crate::peer::Peer;
use amps_broker::Broker;

#[test]
fn a_pattern_matches_what_is_found_in_a_name_now_and_later() {
    let broker = Broker::builder().start().unwrap();
    let mut publisher = Peer::named(&broker, "p");
    publisher.send(r#"{"c":"p","t":"old/trades"}0"#);
    publisher.expect_nothing();
    let mut peer = Peer::named(&broker, "s");
    peer.subscribe("r", "trade");
    peer.subscribe("t", "^new/tr.*s$");
    for topic in ["old/trades", "new/trades", "Trades", "trade"] {
        publisher.send(&format!(r#"{{"c":"p","t":"{topic}"}}1"#));
    }
    publisher.expect_nothing();
    // Without a metacharacter it is a name.
    peer.expect(r#"{"c":"p","t":"new/trades","sids":"t"}1"#);
    peer.expect(r#"{"c":"p","t":"trade","sids":"r"}1"#);
    peer.subscribe("u", "trades?$");
    publisher.send(r#"{"c":"p","t":"old/trades"}2"#);
    peer.expect(r#"{"c":"p","t":"old/trades","sids":"u"}2"#);
    peer.expect_nothing();
}

#[test]
fn with_non_regex_topic_a_pattern_is_a_name() {
    let broker = Broker::builder().start().unwrap();
    let mut peer = Peer::named(&broker, "a");
    peer.send(r#"{"c":"subscribe","cid":"4","t":"a.b","o":"non_regex_topic","a":"processed"}"#);
    peer.receive();
    peer.send(r#"{"c":"p","t":"a/b"}{}"#);
    peer.send(r#"{"c":"p","t":"a.b"}{}"#);
    peer.expect(r#"{"c":"p","t":"a.b","sids":"4"}{}"#);
}

#[test]
fn a_message_comes_once_for_all_subscriptions_of_a_connection() {
    let broker = Broker::builder()
        .sow_topic_with_explicit_keys("orders")
        .start()
        .unwrap();
    let mut peer = Peer::named(&broker, "a");
    peer.subscribe("4", "orders");
    peer.send(r#"{"c":"subscribe","cid":"9","sub_id":"replay","t":"^ord","o":"no_sowkey","a":"processed"}"#);
    peer.expect(r#"{"c":"ack","cid":"9","sub_id":"replay","a":"processed","status":"success"}"#);
    peer.send(r#"{"c":"p","t":"orders","k":"1"}{"id":1}"#);
    peer.expect(r#"{"c":"p","t":"orders","sids":"4,replay","k":"1"}{"id":1}"#);
    peer.send(r#"{"c":"unsubscribe","cid":"10","sub_id":"4"}"#);
    peer.send(r#"{"c":"p","t":"orders","k":"1"}{"id":1}"#);
    peer.expect(r#"{"c":"p","t":"orders","sids":"replay"}{"id":1}"#);
}

#[test]
fn the_option_timestamp_says_when_a_message_was_processed() {
    let broker = Broker::builder().start().unwrap();
    let mut peer = Peer::named(&broker, "a");
    peer.send(r#"{"c":"subscribe","cid":"4","t":"orders","o":" timestamp ","a":"processed"}"#);
    peer.receive();
    peer.send(r#"{"c":"p","t":"orders"}{}"#);
    let message = peer.receive();
    let rest = message
        .strip_prefix(r#"{"c":"p","t":"orders","sids":"4","ts":""#)
        .and_then(|rest| rest.strip_suffix(r#""}{}"#))
        .unwrap_or_else(|| panic!("{message}"));
    let shape = rest.replace(|character: char| character.is_ascii_digit(), "9");
    assert_eq!(shape, "99999999T999999.999999Z");
}

#[test]
fn a_used_id_is_refused_unless_the_command_replaces() {
    let broker = Broker::builder().start().unwrap();
    let mut peer = Peer::named(&broker, "a");
    peer.subscribe("4", "orders");
    peer.refused(
        r#"{"c":"subscribe","cid":"5","sub_id":"4","t":"trades","a":"processed"}"#,
        "subid in use",
    );
    peer.refused(
        r#"{"c":"sow_and_subscribe","cid":"4","t":"trades","a":"processed"}"#,
        "subid in use",
    );
    peer.send(
        r#"{"c":"subscribe","cid":"5","sub_id":"4","t":"trades","o":"replace","a":"processed"}"#,
    );
    peer.expect(r#"{"c":"ack","cid":"5","sub_id":"4","a":"processed","status":"success"}"#);
    peer.send(r#"{"c":"p","t":"orders"}{}"#);
    peer.send(r#"{"c":"p","t":"trades"}{}"#);
    peer.expect(r#"{"c":"p","t":"trades","sids":"4"}{}"#);
    // The id is used on this connection only.
    Peer::named(&broker, "b").subscribe("4", "orders");
    // An id that is not used can be replaced.
    peer.send(r#"{"c":"subscribe","cid":"6","t":"x","o":"replace","a":"processed"}"#);
    peer.expect(r#"{"c":"ack","cid":"6","sub_id":"6","a":"processed","status":"success"}"#);
}

#[test]
fn unsubscribing_takes_an_id_a_list_or_all_and_forgives_an_unknown_id() {
    let broker = Broker::builder().start().unwrap();
    let mut peer = Peer::named(&broker, "a");
    for id in ["1", "2", "3", "4", "5"] {
        peer.subscribe(id, "^orders$");
    }
    let ids = |peer: &mut Peer, unsubscribe: &str| {
        peer.send(unsubscribe);
        peer.expect(r#"{"c":"ack","cid":"9","a":"processed","status":"success"}"#);
        peer.send(r#"{"c":"p","t":"orders"}{}"#);
        peer.send(r#"{"c":"flush","cid":"f","a":"completed"}"#);
        let message = peer.receive();
        if message.starts_with(r#"{"c":"ack""#) {
            return String::new();
        }
        peer.receive();
        message
            .trim_start_matches(r#"{"c":"p","t":"orders","sids":""#)
            .trim_end_matches(r#""}{}"#)
            .to_owned()
    };
    for (fields, left) in [
        (r#""sub_id":"1""#, "2,3,4,5"),
        (r#""sub_id":"nobody""#, "2,3,4,5"),
        (r#""query_id":"2""#, "2,3,4,5"),
        (r#""sub_id":"2, 4""#, "3,5"),
        (r#""sub_id":"5","query_id":"5""#, "3"),
        (r#""sub_id":"all""#, ""),
    ] {
        let command = format!(r#"{{"c":"unsubscribe","cid":"9",{fields},"a":"processed"}}"#);
        assert_eq!(ids(&mut peer, &command), left, "{fields}");
    }
    assert_eq!(broker.subscription_count("^orders$"), 0);
    peer.refused(
        r#"{"c":"unsubscribe","cid":"9","a":"processed"}"#,
        "invalid sub id",
    );
    peer.subscribe("1", "orders");
}

#[test]
fn an_id_that_a_list_of_ids_cannot_name_is_refused() {
    let broker = Broker::builder().start().unwrap();
    let mut peer = Peer::named(&broker, "a");
    for id in [" 4", "4 ", " ", "4,5", "all", r"4\t"] {
        for command in ["subscribe", "sow_and_subscribe"] {
            peer.refused(
                &format!(
                    r#"{{"c":"{command}","cid":"1","sub_id":"{id}","t":"orders","a":"processed"}}"#
                ),
                "invalid sub id",
            );
        }
    }
    peer.subscribe("4 5", "orders");
    peer.send(r#"{"c":"unsubscribe","sub_id":"4 5"}"#);
    peer.expect_nothing();
    assert_eq!(broker.subscription_count("orders"), 0);
}

#[test]
fn an_empty_order_is_none_and_does_not_hinder_a_subscription() {
    let broker = Broker::builder().start().unwrap();
    let mut peer = Peer::named(&broker, "a");
    peer.send(r#"{"c":"subscribe","cid":"4","t":"orders","orderby":"","a":"processed"}"#);
    peer.expect(r#"{"c":"ack","cid":"4","sub_id":"4","a":"processed","status":"success"}"#);
}

#[test]
fn what_is_malformed_is_refused_with_the_documented_reason() {
    let broker = Broker::builder()
        .sow_topic("orders", ["/id"])
        .start()
        .unwrap();
    let mut peer = Peer::named(&broker, "a");
    for (fields, reason) in [
        (r#""t":"(orders""#, "bad regex topic"),
        (r#""x":"no topic""#, "no topic"),
        (r#""t":"/AMPS/ClientStatus""#, "invalid topic"),
        (r#""t":"orders","f":"/id CONTAINS 1""#, "bad filter"),
        (r#""t":"orders","filter":"/id =""#, "bad filter"),
        (r#""t":"orders","bm":"yesterday""#, "invalid bookmark"),
        (r#""t":"orders","orderby":"/id""#, "invalid order by"),
        (r#""t":"orders","o":"sparkle""#, "invalid options"),
        (r#""t":"adhoc","o":"conflation=1s""#, "invalid options"),
        (
            r#""t":"orders","o":"conflation=1s,oof,conflation_key=[/x]""#,
            "invalid options",
        ),
        (r#""t":"orders","o":"select=[id]""#, "invalid options"),
        (r#""t":"orders","opts":"rate=750""#, "invalid options"),
        (r#""t":"orders","top_n":1"#, "invalid options"),
        (
            r#""t":"orders","o":"oof","f":"/ts > UNIX_TIMESTAMP()""#,
            "bad filter",
        ),
        (r#""t":"orders","sub_id":"a,b""#, "invalid sub id"),
        (r#""t":"orders","sub_id":"all""#, "invalid sub id"),
    ] {
        for command in ["subscribe", "delta_subscribe"] {
            peer.refused(
                &format!(r#"{{"c":"{command}","cid":"1",{fields},"a":"processed"}}"#),
                reason,
            );
        }
    }
    // Refused without having asked for an answer: none, and no subscription.
    peer.send(r#"{"c":"subscribe","cid":"1","t":"orders","f":"/id = "}"#);
    peer.send(r#"{"c":"p","t":"orders"}{"id":1}"#);
    peer.expect_nothing();
    assert_eq!(broker.subscription_count("orders"), 0);
}
