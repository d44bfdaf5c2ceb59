//! What several subscriptions of one connection make of one change, frame by frame.

use crate::peer::Peer;
use amps_broker::Broker;

fn orders() -> (Broker, Peer) {
    let broker = Broker::builder()
        .sow_topic_with_explicit_keys("orders")
        .start()
        .unwrap();
    let peer = Peer::named(&broker, "a");
    (broker, peer)
}

fn subscribe(peer: &mut Peer, command: &str, id: &str, fields: &str) {
    peer.send(&format!(
        r#"{{"c":"{command}","cid":"{id}","t":"orders",{fields},"a":"processed"}}"#
    ));
    peer.expect(&format!(
        r#"{{"c":"ack","cid":"{id}","sub_id":"{id}","a":"processed","status":"success"}}"#
    ));
}

fn put(peer: &mut Peer, payload: &str) {
    peer.send(&format!(r#"{{"c":"p","t":"orders","k":"1"}}{payload}"#));
}

#[test]
fn an_out_of_focus_message_is_the_one_of_the_protocol_reference() {
    let (_broker, mut peer) = orders();
    subscribe(&mut peer, "subscribe", "4", r#""f":"/qty > 50","o":"oof""#);
    peer.send(r#"{"c":"p","t":"orders","k":"13480907839116428812"}{"id":1,"qty":100}"#);
    peer.expect(
        r#"{"c":"p","t":"orders","sids":"4","k":"13480907839116428812"}{"id":1,"qty":100}"#,
    );
    peer.send(r#"{"c":"p","t":"orders","k":"13480907839116428812"}{"id":1,"qty":5}"#);
    peer.expect(r#"{"c":"oof","t":"orders","sids":"4","k":"13480907839116428812","reason":"match"}{"id":1,"qty":5}"#);
}

#[test]
fn subscriptions_share_a_frame_if_they_get_the_same_and_only_then() {
    let (_broker, mut peer) = orders();
    subscribe(&mut peer, "subscribe", "1", r#""f":"/qty > 1","o":"oof""#);
    subscribe(&mut peer, "subscribe", "2", r#""f":"/qty > 2","o":"oof""#);
    subscribe(&mut peer, "subscribe", "3", r#""o":"select=[-/,+/id]""#);
    subscribe(&mut peer, "delta_subscribe", "4", r#""o":"no_sowkey""#);
    put(&mut peer, r#"{"id":1,"qty":3}"#);
    peer.expect(r#"{"c":"p","t":"orders","sids":"1,2,4","k":"1"}{"id":1,"qty":3}"#);
    peer.expect(r#"{"c":"p","t":"orders","sids":"3","k":"1"}{"id":1}"#);
    put(&mut peer, r#"{"id":1,"qty":2}"#);
    peer.expect(r#"{"c":"p","t":"orders","sids":"1,4","k":"1"}{"id":1,"qty":2}"#);
    peer.expect(r#"{"c":"oof","t":"orders","sids":"2","k":"1","reason":"match"}{"id":1,"qty":2}"#);
    peer.expect(r#"{"c":"p","t":"orders","sids":"3","k":"1"}{"id":1}"#);
    peer.send(r#"{"c":"unsubscribe","sub_id":"3"}"#);
    // The subscription to everything is gone: what is left may be a delta.
    put(&mut peer, r#"{"id":1,"qty":1}"#);
    peer.expect(r#"{"c":"oof","t":"orders","sids":"1","k":"1","reason":"match"}{"id":1,"qty":1}"#);
    peer.expect(r#"{"c":"p","t":"orders","sids":"4"}{"qty":1}"#);
    peer.send(r#"{"c":"sow_delete","t":"orders","f":"1=1"}"#);
    peer.expect_nothing();
}

#[test]
fn the_header_field_of_old_clients_asks_for_out_of_focus_messages() {
    let (_broker, mut peer) = orders();
    subscribe(&mut peer, "subscribe", "4", r#""send_oof":"true""#);
    put(&mut peer, "{}");
    peer.expect(r#"{"c":"p","t":"orders","sids":"4","k":"1"}{}"#);
    peer.send(r#"{"c":"sow_delete","t":"orders","sow_keys":"1"}"#);
    peer.expect(r#"{"c":"oof","t":"orders","sids":"4","k":"1","reason":"deleted"}{}"#);
}
