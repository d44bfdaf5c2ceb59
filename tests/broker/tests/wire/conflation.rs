//! Conflated subscriptions.

use crate::peer::Peer;
use amps_broker::Broker;

fn orders() -> (Broker, Peer) {
    let broker = Broker::builder()
        .sow_topic("orders", ["/id"])
        .start()
        .unwrap();
    let peer = Peer::named(&broker, "a");
    (broker, peer)
}

fn put(peer: &mut Peer, payload: &str) {
    peer.send(&format!(r#"{{"c":"p","t":"orders"}}{payload}"#));
}

fn subscribe(peer: &mut Peer, command: &str, options: &str) {
    peer.send(&format!(
        r#"{{"c":"{command}","cid":"4","t":"orders","o":"no_sowkey,{options}","a":"processed"}}"#
    ));
    assert!(peer.receive().contains("success"));
}

#[test]
fn a_field_that_becomes_null_in_an_interval_is_delivered_as_null() {
    for null in ["null", r#""""#] {
        let (_broker, mut peer) = orders();
        put(&mut peer, r#"{"id":1,"x":1}"#);
        subscribe(&mut peer, "delta_subscribe", "conflation=200ms");
        put(&mut peer, r#"{"id":1,"x":5}"#);
        let becomes = format!(r#"{{"id":1,"x":{null}}}"#);
        put(&mut peer, &becomes);
        peer.expect(&format!(r#"{{"c":"p","t":"orders","sids":"4"}}{becomes}"#));
    }
}

#[test]
fn deltas_of_different_records_are_never_mixed() {
    let (_broker, mut peer) = orders();
    put(&mut peer, r#"{"id":1,"g":1,"x":0,"y":0}"#);
    put(&mut peer, r#"{"id":2,"g":1,"x":0,"y":0}"#);
    subscribe(
        &mut peer,
        "delta_subscribe",
        "conflation=200ms,conflation_key=[/g]",
    );
    put(&mut peer, r#"{"id":1,"g":1,"x":5,"y":0}"#);
    put(&mut peer, r#"{"id":2,"g":1,"x":0,"y":6}"#);
    peer.expect(r#"{"c":"p","t":"orders","sids":"4"}{"id":2,"y":6}"#);
}

#[test]
fn a_conflated_oof_shows_only_the_fields_that_the_client_selected() {
    let (_broker, mut peer) = orders();
    put(&mut peer, r#"{"id":1,"x":1,"secret":7}"#);
    subscribe(
        &mut peer,
        "sow_and_subscribe",
        "oof,conflation=100ms,select=[-/secret]",
    );
    for _ in 0..3 {
        assert!(!peer.receive().contains("secret"));
    }
    peer.send(r#"{"c":"sow_delete","t":"orders","f":"1=1"}"#);
    peer.expect(r#"{"c":"oof","t":"orders","sids":"4","reason":"deleted"}{"id":1,"x":1}"#);
}
