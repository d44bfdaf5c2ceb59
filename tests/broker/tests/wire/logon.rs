//! Logging on.

use crate::peer::{PATIENCE, Peer};
use amps_broker::{Broker, Logon};
use parking_lot::Mutex;
use std::sync::mpsc;

const LOGON: &str = r#"{"c":"logon","cid":"0","client_name":"risk-gui-1","mt":"json","user_id":"ana","pw":"s3cret","a":"processed","version":"0.1.0:rust"}"#;

/// The part of the bookmark that stands for the name.
fn name_hash(ack: &str) -> u64 {
    let (_, rest) = ack.split_once(r#""bm":""#).unwrap();
    rest.split_once('|').unwrap().0.parse().unwrap()
}

#[test]
fn the_answer_to_a_logon_has_the_fields_of_the_trace_in_its_order() {
    let broker = Broker::builder()
        .server_version("5.2.1.17")
        .start()
        .unwrap();
    let mut peer = Peer::connect(&broker);
    peer.send(LOGON);
    let ack = peer.receive();
    let hash = name_hash(&ack);
    assert_eq!(
        ack,
        format!(
            r#"{{"c":"ack","cid":"0","s":0,"bm":"{hash}|0|","client_name":"risk-gui-1","a":"processed","status":"success","reason":"authentication disabled","version":"5.2.1.17"}}"#
        )
    );
}

#[test]
fn the_same_name_has_the_same_hash_in_another_broker() {
    let hashes = [(); 2].map(|()| {
        let broker = Broker::builder().start().unwrap();
        let mut peer = Peer::connect(&broker);
        peer.send(LOGON);
        name_hash(&peer.receive())
    });
    assert_eq!(hashes[0], hashes[1]);
}

#[test]
fn a_command_before_the_logon_is_refused_and_the_connection_closed() {
    let broker = Broker::builder().start().unwrap();
    let mut peer = Peer::connect(&broker);
    peer.send(r#"{"c":"subscribe","cid":"1","t":"orders","a":"processed"}"#);
    peer.expect(
        r#"{"c":"ack","cid":"1","a":"processed","status":"failure","reason":"logon required"}"#,
    );
    peer.expect_end();
    let mut peer = Peer::connect(&broker);
    peer.send(r#"{"c":"p","t":"orders"}{"id":1}"#);
    peer.expect_end();
    assert_eq!(broker.published_count("orders"), 0);
}

#[test]
fn a_second_logon_is_refused_and_the_connection_stays() {
    let broker = Broker::builder().start().unwrap();
    let mut peer = Peer::named(&broker, "a");
    peer.refused(
        r#"{"c":"logon","cid":"1","client_name":"b","mt":"json","a":"processed"}"#,
        "duplicate logon",
    );
    assert_eq!(broker.client_names(), ["a"]);
}

#[test]
fn an_unknown_message_type_or_option_is_refused_and_the_connection_closed() {
    let broker = Broker::builder()
        .message_types(["json", "binary"])
        .start()
        .unwrap();
    for (fields, reason) in [
        (r#""mt":"fix""#, "invalid message type"),
        (r#""version":"1""#, "invalid message type"),
        (r#""mt":"json","o":"sparkle""#, "invalid options"),
    ] {
        let mut peer = Peer::connect(&broker);
        peer.send(&format!(
            r#"{{"c":"logon","cid":"0","client_name":"x",{fields},"a":"processed"}}"#
        ));
        peer.expect(&format!(
            r#"{{"c":"ack","cid":"0","client_name":"x","a":"processed","status":"failure","reason":"{reason}"}}"#
        ));
        peer.expect_end();
    }
    let mut peer = Peer::connect(&broker);
    peer.send(r#"{"c":"logon","client_name":"x","mt":"binary","o":"ack_conflation=10ms,pretty=true","a":"processed"}"#);
    assert!(peer.receive().contains(r#""status":"success""#));
}

#[test]
fn a_refused_logon_gets_its_reason_and_the_end_of_the_stream() {
    let broker = Broker::builder()
        .authenticate(|who| match (who.user, who.password) {
            ("ana", "s3cret") => Logon::Accept,
            _ => Logon::Refuse("auth failure".to_owned()),
        })
        .start()
        .unwrap();
    let mut peer = Peer::connect(&broker);
    peer.send(&LOGON.replace("s3cret", "wrong"));
    peer.expect(r#"{"c":"ack","cid":"0","client_name":"risk-gui-1","a":"processed","status":"failure","reason":"auth failure"}"#);
    peer.expect_end();
    let mut peer = Peer::connect(&broker);
    peer.send(LOGON);
    let ack = peer.receive();
    assert!(
        ack.ends_with(r#""status":"success","version":"5.3.5.0"}"#),
        "{ack}"
    );
}

#[test]
fn a_client_that_is_told_to_retry_may_log_on_again() {
    let broker = Broker::builder()
        .authenticate(|who| match who.password {
            "token-2" => Logon::Accept,
            _ => Logon::Retry {
                user: "ana".to_owned(),
                password: "token-2".to_owned(),
                reason: "challenge:9f31".to_owned(),
            },
        })
        .start()
        .unwrap();
    let mut peer = Peer::connect(&broker);
    peer.send(LOGON);
    peer.expect(r#"{"c":"ack","cid":"0","client_name":"risk-gui-1","a":"processed","status":"retry","reason":"challenge:9f31","user_id":"ana","pw":"token-2"}"#);
    assert!(broker.client_names().is_empty());
    peer.send(&LOGON.replace("s3cret", "token-2"));
    assert!(peer.receive().contains(r#""status":"success""#));
    assert_eq!(broker.client_names(), ["risk-gui-1"]);
}

#[test]
fn a_logon_that_takes_long_delays_nobody_else() {
    let (release, released) = mpsc::channel();
    let released = Mutex::new(released);
    let broker = Broker::builder()
        .authenticate(move |who| {
            if who.client_name == "slow" {
                released.lock().recv_timeout(PATIENCE).unwrap();
            }
            Logon::Accept
        })
        .start()
        .unwrap();
    let mut slow = Peer::connect(&broker);
    slow.send(&LOGON.replace("risk-gui-1", "slow"));
    let mut quick = Peer::named(&broker, "quick");
    quick.subscribe("1", "orders");
    assert_eq!(broker.client_names(), ["quick"]);
    release.send(()).unwrap();
    assert!(slow.receive().contains(r#""status":"success""#));
    assert_eq!(broker.client_names(), ["quick", "slow"]);
}

#[test]
fn a_logon_can_be_left_without_an_answer() {
    let broker = Broker::builder()
        .authenticate(|who| match who.client_name {
            "nobody" => Logon::Ignore,
            _ => Logon::Accept,
        })
        .start()
        .unwrap();
    let mut peer = Peer::connect(&broker);
    peer.send(&LOGON.replace("risk-gui-1", "nobody"));
    // The answer to the second logon is the first frame.
    peer.send(LOGON);
    assert!(peer.receive().contains("risk-gui-1"));
}

#[test]
fn the_same_user_takes_over_its_name() {
    let broker = Broker::builder().unique_client_names(true).start().unwrap();
    let mut old = Peer::named(&broker, "a");
    old.subscribe("1", "orders");
    let mut new = Peer::named(&broker, "a");
    old.expect_end();
    assert_eq!(broker.subscription_count("orders"), 0);
    new.subscribe("1", "orders");
    assert!(broker.wait_until(PATIENCE, |state| state.connection_count() == 1));
    assert_eq!(broker.client_names(), ["a"]);
}

#[test]
fn another_user_does_not_get_a_name_that_is_in_use() {
    let broker = Broker::builder()
        .unique_client_names(true)
        .authenticate(|_| Logon::Accept)
        .start()
        .unwrap();
    let mut ana = Peer::connect(&broker);
    ana.send(LOGON);
    ana.receive();
    let mut bob = Peer::connect(&broker);
    bob.send(&LOGON.replace(r#""ana""#, r#""bob""#));
    bob.expect(r#"{"c":"ack","cid":"0","client_name":"risk-gui-1","a":"processed","status":"failure","reason":"name in use"}"#);
    bob.expect_end();
    ana.expect_nothing();
}

#[test]
fn without_unique_names_two_connections_share_one() {
    let broker = Broker::builder().start().unwrap();
    let mut peers = [(); 2].map(|()| Peer::named(&broker, "a"));
    for peer in &mut peers {
        peer.expect_nothing();
    }
    assert_eq!(broker.client_names(), ["a", "a"]);
}

#[test]
fn clients_without_a_name_do_not_throw_each_other_out() {
    let broker = Broker::builder()
        .unique_client_names(true)
        .authenticate(|_| Logon::Accept)
        .start()
        .unwrap();
    let mut peers = ["ana", "ana", "bob"].map(|user| {
        let mut peer = Peer::connect(&broker);
        peer.send(&format!(
            r#"{{"c":"logon","cid":"0","mt":"json","user_id":"{user}","a":"processed"}}"#
        ));
        assert!(peer.receive().contains(r#""status":"success""#));
        peer
    });
    for peer in &mut peers {
        peer.expect_nothing();
    }
}
