//! Rules E: message streams.

use crate::{
    PATIENCE, SILENCE, broker, data, during, eventually, logged_on, subscribed, with_peer,
};
use amps::{Command, CommandType, EndReason, Error, Message, MessageStream};
use amps_broker::field;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

fn subscribe(id: &str) -> Command {
    Command::new("subscribe").set_sub_id(id).set_topic("t")
}

#[test]
fn a_stream_can_be_read_on_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<MessageStream>();
    let broker = broker();
    let client = logged_on(&broker, "mover");
    let mut stream = client.subscribe("t").unwrap();
    let reader = thread::spawn(move || stream.next().map(|message| data(&message).to_string()));
    client.publish("t", "x").unwrap();
    assert_eq!(reader.join().unwrap().as_deref(), Some("x"));
}

#[test]
fn e3_a_timeout_is_not_the_end() {
    let broker = broker();
    let client = logged_on(&broker, "timed");
    let mut stream = client.subscribe("t").unwrap();
    let error = stream.next_timeout(Duration::from_millis(10)).unwrap_err();
    assert!(matches!(error, Error::TimedOut(_)), "{error}");
    assert_eq!(stream.end_reason(), None);
    assert!(stream.try_next().is_none());
    client.publish("t", "1").unwrap();
    client.publish("t", "2").unwrap();
    let read = stream
        .timeout_iter(Duration::from_millis(200))
        .map(|message| data(&message).to_string())
        .collect::<Vec<_>>();
    assert_eq!(read, ["1", "2"]);
    assert_eq!(stream.end_reason(), None);
    client.publish("t", "3").unwrap();
    let message = stream.next_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!(data(&message), "3");
    // Trap 51: a timeout that the clock cannot count to is no limit.
    client.publish("t", "4").unwrap();
    let message = stream.next_timeout(Duration::MAX).unwrap().unwrap();
    assert_eq!(data(&message), "4");
}

#[test]
fn e4_a_query_ends_with_its_group_also_when_it_is_empty() {
    let broker = broker();
    let client = logged_on(&broker, "empty");
    let commands = client
        .sow("orders")
        .unwrap()
        .map(|message| message.command())
        .collect::<Vec<_>>();
    assert_eq!(commands, [CommandType::GroupBegin, CommandType::GroupEnd]);
}

#[test]
fn e4_an_empty_query_of_a_server_without_group_markers_ends_as_well() {
    let (client, mut peer) = with_peer("bare");
    let query = Command::new("sow").set_topic("t").set_command_id("q");
    let mut stream = subscribed(&client, &mut peer, query);
    peer.send(r#"{"c":"ack","cid":"q","a":"completed","status":"success","records_returned":0}"#)
        .unwrap();
    assert!(stream.next().is_none());
    assert_eq!(stream.end_reason(), Some(EndReason::Completed));
}

#[test]
fn trap_24_query_and_subscribe_does_not_end_with_its_group() {
    let (client, mut peer) = with_peer("goes-on");
    let command = Command::new("sow_and_subscribe")
        .set_topic("t")
        .set_sub_id("s");
    let mut stream = subscribed(&client, &mut peer, command);
    peer.send(r#"{"c":"group_begin","query_id":"s"}"#).unwrap();
    peer.send(r#"{"c":"group_end","query_id":"s"}"#).unwrap();
    peer.send(r#"{"c":"p","t":"t","sids":"s"}x"#).unwrap();
    assert_eq!(data(&stream.nth(2).unwrap()), "x");
}

#[test]
fn e5_a_loss_ends_the_stream_after_what_was_queued() {
    let (client, mut peer) = with_peer("lost");
    let mut stream = subscribed(&client, &mut peer, subscribe("s"));
    for body in ["1", "2", "3"] {
        let frame = format!(r#"{{"c":"p","t":"t","sids":"s"}}{body}"#);
        peer.send(&frame).unwrap();
    }
    peer.close();
    eventually("the client sees the loss", || !client.is_connected());
    let read = stream.by_ref().map(|message| data(&message).to_string());
    assert_eq!(read.collect::<Vec<_>>(), ["1", "2", "3"]);
    assert_eq!(stream.end_reason(), Some(EndReason::Disconnected));
    assert!(stream.next().is_none());
    assert!(matches!(stream.next_timeout(PATIENCE), Ok(None)));
}

#[test]
fn e5_an_ended_stream_stays_ended_after_a_new_connection() {
    let broker = broker();
    let client = logged_on(&broker, "again");
    let mut stream = client.subscribe("t").unwrap();
    client.disconnect().unwrap();
    client.connect(broker.uri("json")).unwrap();
    client.logon().unwrap();
    let mut fresh = client.subscribe("t").unwrap();
    client.publish("t", "x").unwrap();
    assert_eq!(data(&fresh.next().unwrap()), "x");
    assert!(stream.next().is_none());
}

#[test]
fn e6_closing_unsubscribes_once() {
    let (client, mut peer) = with_peer("closing");
    let mut stream = subscribed(&client, &mut peer, subscribe("s"));
    peer.send(r#"{"c":"p","t":"t","sids":"s"}x"#).unwrap();
    assert!(stream.next().is_some());
    stream.close();
    stream.close();
    assert!(stream.next().is_none());
    assert_eq!(stream.end_reason(), Some(EndReason::Closed));
    drop(stream);
    let frame = peer.expect_frame().unwrap();
    assert_eq!(field(&frame, "c"), "unsubscribe");
    assert_eq!(field(&frame, "sub_id"), "s");
    assert_eq!(field(&frame, "query_id"), "");
    client.publish("t", "next").unwrap();
    assert_eq!(field(&peer.expect_frame().unwrap(), "c"), "p");
}

#[test]
fn e6_dropping_an_unfinished_query_cancels_it_and_a_finished_one_needs_nothing() {
    let (client, mut peer) = with_peer("cancelling");
    let query = |id: &str| Command::new("sow").set_topic("t").set_command_id(id);
    let unfinished = subscribed(&client, &mut peer, query("q1"));
    peer.send(r#"{"c":"group_begin","query_id":"q1"}"#).unwrap();
    drop(unfinished);
    let frame = peer.expect_frame().unwrap();
    assert_eq!(field(&frame, "c"), "unsubscribe");
    assert_eq!(field(&frame, "query_id"), "q1");
    assert_eq!(field(&frame, "sub_id"), "");

    let mut finished = subscribed(&client, &mut peer, query("q2"));
    peer.send(r#"{"c":"group_begin","query_id":"q2"}"#).unwrap();
    peer.send(r#"{"c":"group_end","query_id":"q2"}"#).unwrap();
    assert_eq!(finished.by_ref().count(), 2);
    drop(finished);
    client.publish("t", "next").unwrap();
    assert_eq!(field(&peer.expect_frame().unwrap(), "c"), "p");
}

#[test]
fn e6_dropping_a_stream_after_the_loss_is_silent() {
    let (client, mut peer) = with_peer("silent");
    let stream = subscribed(&client, &mut peer, subscribe("s"));
    peer.close();
    eventually("the client sees the loss", || !client.is_connected());
    drop(stream);
}

#[test]
fn trap_46_closing_wakes_a_reader_that_waits() {
    let broker = broker();
    let client = logged_on(&broker, "cancelled");
    let mut stream = client.subscribe("t").unwrap();
    let canceller = stream.canceller();
    let reader = thread::spawn(move || {
        let message = stream.next();
        (message.is_none(), stream.end_reason())
    });
    canceller.cancel();
    canceller.clone().cancel();
    assert_eq!(reader.join().unwrap(), (true, Some(EndReason::Closed)));
    let gone = |state: &amps_broker::State<'_>| state.subscription_count("t") == 0;
    assert!(broker.wait_until(PATIENCE, gone));
}

#[test]
fn e9_what_comes_with_or_before_the_acknowledgement_is_kept() {
    let (client, mut peer) = with_peer("early");
    let command = subscribe("s").set_timeout(PATIENCE);
    let mut stream = during(
        || client.execute(command),
        || {
            let frame = peer.expect_frame().unwrap();
            peer.send(r#"{"c":"p","t":"t","sids":"s"}early"#).unwrap();
            let id = field(&frame, "cid");
            peer.send(&format!(
                r#"{{"c":"ack","cid":"{id}","a":"processed","status":"success"}}"#
            ))
            .unwrap();
        },
    )
    .unwrap();
    assert_eq!(data(&stream.next().unwrap()), "early");
}

#[test]
fn reading_a_stream_of_the_same_client_in_a_handler_ends_it_instead_of_hanging() {
    let broker = broker();
    let client = logged_on(&broker, "deadlock");
    let mut stream = client.subscribe("never").unwrap();
    let (sender, result) = mpsc::channel();
    let handler = move |_: &Message| {
        let _ = sender.send((stream.next().is_none(), stream.end_reason()));
    };
    client.subscribe_async(handler, "t", None).unwrap();
    client.publish("t", "x").unwrap();
    let ended = result.recv_timeout(PATIENCE).unwrap();
    assert_eq!(ended, (true, Some(EndReason::Usage)));
}

#[test]
fn trap_52_waiting_does_not_poll() {
    let broker = broker();
    let client = logged_on(&broker, "idle");
    let mut stream = client.subscribe("t").unwrap();
    let start = Instant::now();
    assert!(stream.next_timeout(SILENCE).is_err());
    assert!(start.elapsed() >= SILENCE);
}

#[test]
fn depth_counts_what_waits() {
    let (client, mut peer) = with_peer("deep");
    let mut stream = subscribed(&client, &mut peer, subscribe("s"));
    for _ in 0..5 {
        peer.send(r#"{"c":"p","t":"t","sids":"s"}x"#).unwrap();
    }
    eventually("five messages are queued", || stream.depth() == 5);
    stream.next();
    assert_eq!(stream.depth(), 4);
}
