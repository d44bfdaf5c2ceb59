//! Leases end with their connection.

use crate::{
    PATIENCE, SILENCE, acks, broker, deliver, during, eventually, granted, logged_on, publish,
    take, with_peer, work,
};
use amps::{Client, Error};
use amps_broker::Peer;
use std::time::Duration;

fn is_disconnected(result: Result<(), Error>) -> bool {
    matches!(result, Err(Error::Disconnected(_)))
}

#[test]
fn g10_trap_55_what_waits_is_dropped_with_the_connection() {
    let (client, mut peer) = with_peer("dropped");
    client.set_ack_batch_size(100);
    client.set_ack_timeout(SILENCE);
    let mut stream = granted(&client, &mut peer, "s", 100);
    deliver(&mut peer, "jobs", "s", 1);
    deliver(&mut peer, "jobs", "s", 2);
    take(&mut stream).ack().unwrap();
    let late = take(&mut stream);
    peer.close();
    eventually("the loss is noticed", || !client.is_connected());
    assert!(is_disconnected(late.ack()));
    assert!(is_disconnected(client.flush_acks()));
    // A later connection hears of neither.
    let peer = Peer::listen().unwrap();
    client.connect(peer.uri("json")).unwrap();
    let mut peer = peer.accept().unwrap();
    during(|| client.logon(), || peer.answer_logon().unwrap()).unwrap();
    assert!(is_disconnected(late.ack()));
    assert!(is_disconnected(late.clone().ack_with("cancel")));
    client.flush_acks().unwrap();
    std::thread::sleep(2 * SILENCE);
    client.publish("marker", "x").unwrap();
    assert!(peer.expect_frame().unwrap().contains("marker"));
}

#[test]
fn g10_what_was_not_acknowledged_comes_again_over_the_next_connection() {
    let broker = broker();
    publish(&broker, 3);
    let client = logged_on(&broker, "returning");
    client.set_ack_batch_size(100);
    client.set_ack_timeout(Duration::ZERO);
    // One more than there are, so that the batch is not full.
    let mut stream = client.execute(work("max_backlog=4")).unwrap();
    for _ in 0..3 {
        take(&mut stream).ack().unwrap();
    }
    broker.disconnect_client("returning");
    assert!(stream.next().is_none());
    assert!(broker.wait_for_leased("jobs", 0, PATIENCE));
    client.connect(broker.uri("json")).unwrap();
    client.logon().unwrap();
    let mut stream = client.execute(work("max_backlog=3")).unwrap();
    for number in 0..3 {
        assert_eq!(take(&mut stream).data(), number.to_string().as_bytes());
    }
    assert_eq!(acks(&broker, "returning"), []);
}

#[test]
fn g10_a_stream_that_is_read_to_its_end_after_a_loss_acknowledges_nothing() {
    let (client, mut peer) = with_peer("too-late");
    client.set_auto_ack(true);
    let mut stream = granted(&client, &mut peer, "s", 10);
    for bookmark in 1..=3 {
        deliver(&mut peer, "jobs", "s", bookmark);
    }
    eventually("all are queued", || stream.depth() == 3);
    peer.close();
    eventually("the loss is noticed", || !client.is_connected());
    let peer = Peer::listen().unwrap();
    client.connect(peer.uri("json")).unwrap();
    let mut peer = peer.accept().unwrap();
    assert_eq!(stream.by_ref().count(), 3);
    client.publish("marker", "x").unwrap();
    assert!(peer.expect_frame().unwrap().contains("marker"));
}

#[test]
fn a_message_does_not_keep_its_client_and_says_so() {
    let broker = broker();
    publish(&broker, 1);
    let client = logged_on(&broker, "gone");
    let mut stream = client.execute(work("")).unwrap();
    let message = take(&mut stream);
    drop(stream);
    drop(client);
    assert!(broker.wait_until(PATIENCE, |state| {
        !state.client_names().contains(&"gone".to_string())
    }));
    assert!(is_disconnected(message.ack()));
}

#[test]
fn without_a_connection_nothing_is_acknowledged() {
    let client = Client::new("nowhere");
    assert!(is_disconnected(client.ack("jobs", "1|1|", None)));
    assert!(is_disconnected(client.flush_acks()));
}
