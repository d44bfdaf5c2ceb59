//! Rules E: message streams.

use crate::{
    PATIENCE, SILENCE, broker, channel, data, during, eventually, exceptions, logged_on,
    subscribed, with_peer,
};
use amps::{AckType, Client, Command, CommandType, EndReason, Error, Message, MessageStream};
use amps_broker::{Peer, PeerConnection, field};
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

/// Trap 25.
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

/// Trap 46.
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
fn e6_dropping_a_stream_after_the_loss_says_nothing() {
    let (client, mut peer) = with_peer("silent");
    let told = exceptions(&client);
    let stream = subscribed(&client, &mut peer, subscribe("s"));
    peer.close();
    assert!(told.recv_timeout(PATIENCE).unwrap().contains("closed"));
    drop(stream);
    // Nor does it reach the connection that comes next.
    let next = Peer::listen().unwrap();
    client.connect(next.uri("json")).unwrap();
    let mut peer = next.accept().unwrap();
    client.publish("t", "first").unwrap();
    assert_eq!(field(&peer.expect_frame().unwrap(), "c"), "p");
    assert!(told.try_recv().is_err());
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

/// Trap 23.
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

/// How often this thread has slept.
#[cfg(target_os = "linux")]
fn sleeps() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.unwrap().trim().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn trap_52_waiting_does_not_poll() {
    let broker = broker();
    let client = logged_on(&broker, "idle");
    let mut stream = client.subscribe("t").unwrap();
    let (start, before) = (Instant::now(), sleeps());
    assert!(stream.next_timeout(SILENCE * 4).is_err());
    assert!(start.elapsed() >= SILENCE * 4);
    assert!(sleeps() - before < 10, "{}", sleeps() - before);
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

/// Sends numbered messages to a subscription.
fn send(peer: &mut PeerConnection, id: &str, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let frame = format!(r#"{{"c":"p","t":"t","sids":"{id}"}}{number}"#);
        peer.send(&frame).unwrap();
    }
}

fn limited(client: &Client, peer: &mut PeerConnection, id: &str, limit: usize) -> MessageStream {
    client.set_default_max_depth(limit);
    let stream = subscribed(client, peer, subscribe(id));
    assert_eq!(stream.max_depth(), limit);
    stream
}

/// A message for no subscription: when its handler runs, everything before it has been handled.
const MARKER: &str = r#"{"c":"oof","sids":"marker"}"#;

/// True if a message that comes after does not get through: the receive thread is blocked.
fn is_blocked(peer: &mut PeerConnection, markers: &mpsc::Receiver<Message>) -> bool {
    peer.send(MARKER).unwrap();
    markers.recv_timeout(SILENCE).is_err()
}

fn with_markers(name: &str) -> (Client, PeerConnection, mpsc::Receiver<Message>) {
    let (client, peer) = with_peer(name);
    let (handler, markers) = channel();
    client.set_global_command_type_message_handler(CommandType::Oof, handler);
    (client, peer, markers)
}

#[test]
fn e2_a_full_stream_blocks_the_receive_thread_until_a_message_is_taken() {
    let (client, mut peer, markers) = with_markers("full");
    let mut stream = limited(&client, &mut peer, "s", 3);
    send(&mut peer, "s", 0..4);
    assert!(is_blocked(&mut peer, &markers));
    // Trap 48: three are queued, not two and not four.
    assert_eq!(stream.depth(), 3);
    assert_eq!(data(&stream.next().unwrap()), "0");
    markers.recv_timeout(PATIENCE).unwrap();
    assert_eq!(stream.depth(), 3);
    let rest = stream
        .by_ref()
        .take(3)
        .map(|message| data(&message).to_string());
    assert_eq!(rest.collect::<Vec<_>>(), ["1", "2", "3"]);
}

/// Trap 48.
#[test]
fn e2_closing_dropping_and_disconnecting_release_a_blocked_receive_thread() {
    let (client, mut peer, markers) = with_markers("released");
    let mut stream = limited(&client, &mut peer, "a", 1);
    send(&mut peer, "a", 0..2);
    assert!(is_blocked(&mut peer, &markers));
    stream.close();
    markers.recv_timeout(PATIENCE).unwrap();
    peer.expect_frame().unwrap();

    let stream = limited(&client, &mut peer, "b", 1);
    send(&mut peer, "b", 0..2);
    assert!(is_blocked(&mut peer, &markers));
    drop(stream);
    markers.recv_timeout(PATIENCE).unwrap();
    peer.expect_frame().unwrap();

    let mut stream = limited(&client, &mut peer, "c", 1);
    send(&mut peer, "c", 0..2);
    assert!(is_blocked(&mut peer, &markers));
    let end = || drop(peer.finish().unwrap());
    during(|| client.disconnect(), end).unwrap();
    assert_eq!(data(&stream.next().unwrap()), "0");
    assert!(stream.next().is_none());
}

#[test]
fn e2_a_reader_that_executes_a_command_is_no_deadlock() {
    let (client, mut peer, markers) = with_markers("executes");
    let mut stream = limited(&client, &mut peer, "s", 2);
    send(&mut peer, "s", 0..5);
    assert!(is_blocked(&mut peer, &markers));
    // The wait begins while the receive thread is blocked already.
    during(
        || client.publish_flush(PATIENCE),
        || {
            peer.acknowledge("completed").unwrap();
        },
    )
    .unwrap();
    // It has grown past its limit, in order and without a loss.
    let read = stream
        .by_ref()
        .take(5)
        .map(|message| data(&message).to_string());
    assert_eq!(read.collect::<Vec<_>>(), ["0", "1", "2", "3", "4"]);
}

#[test]
fn e2_one_thread_may_read_two_limited_streams_in_turn() {
    let (client, mut peer, markers) = with_markers("two");
    let mut first = limited(&client, &mut peer, "a", 2);
    let mut second = limited(&client, &mut peer, "b", 2);
    send(&mut peer, "a", 0..6);
    assert!(is_blocked(&mut peer, &markers));
    send(&mut peer, "b", 0..1);
    assert_eq!(data(&first.next().unwrap()), "0");
    // The reader of the first waits on the second, behind what the first has no room for.
    assert_eq!(data(&second.next_timeout(PATIENCE).unwrap().unwrap()), "0");
    let read = first
        .by_ref()
        .take(5)
        .map(|message| data(&message).to_string());
    assert_eq!(read.collect::<Vec<_>>(), ["1", "2", "3", "4", "5"]);
}

/// Trap 48.
#[test]
fn e2_a_slow_reader_never_sees_more_than_the_limit() {
    let broker = broker();
    let client = logged_on(&broker, "slow");
    let publisher = logged_on(&broker, "fast");
    client.set_default_max_depth(10);
    let mut stream = client.subscribe("t").unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..5000 {
                publisher.publish("t", number.to_string()).unwrap();
            }
        });
        for number in 0..5000 {
            let message = stream.next_timeout(PATIENCE).unwrap().unwrap();
            assert_eq!(data(&message), number.to_string());
            assert!(stream.depth() <= 10);
        }
    });
}

/// Trap 50.
#[test]
fn e7_conflation_replaces_an_unread_message_in_its_place() {
    let (client, mut peer, markers) = with_markers("conflated");
    let mut stream = subscribed(&client, &mut peer, subscribe("s"));
    let mut send = |key: &str, body: &str| {
        let key = match key {
            "" => String::new(),
            key => format!(r#","k":"{key}""#),
        };
        peer.send(&format!(r#"{{"c":"p","t":"t","sids":"s"{key}}}{body}"#))
            .unwrap();
    };
    send("a", "a1");
    send("b", "b1");
    send("a", "a2");
    eventually("three are queued", || stream.depth() == 3);
    stream.conflate();
    send("", "none1");
    send("b", "b2");
    send("", "none2");
    send("c", "c1");
    peer.send(MARKER).unwrap();
    markers.recv_timeout(PATIENCE).unwrap();
    let mut read = |count: usize| {
        let messages = stream.by_ref().take(count);
        messages
            .map(|message| data(&message).to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(read(1), ["a2"]);
    // A record that was taken is queued anew.
    peer.send(r#"{"c":"p","t":"t","sids":"s","k":"a"}a3"#)
        .unwrap();
    peer.send(r#"{"c":"p","t":"t","sids":"s","k":"c"}c2"#)
        .unwrap();
    peer.send(MARKER).unwrap();
    markers.recv_timeout(PATIENCE).unwrap();
    assert_eq!(read(5), ["b2", "none1", "none2", "c2", "a3"]);
}

#[test]
fn trap_50_conflation_loses_no_last_value_while_a_reader_races() {
    let broker = broker();
    let client = logged_on(&broker, "racing");
    let mut stream = client.subscribe("orders").unwrap();
    stream.conflate();
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..=2000 {
                for id in 0..3 {
                    let order = format!(r#"{{"id":{id},"n":{number}}}"#);
                    client.publish("orders", order).unwrap();
                }
            }
        });
        let mut last = [0; 3];
        while last != [2000; 3] {
            let message = stream.next_timeout(PATIENCE).unwrap().unwrap();
            let order: serde_json::Value = message.json().unwrap();
            let (id, number) = (order["id"].as_u64(), order["n"].as_u64());
            let (id, number) = (id.unwrap() as usize, number.unwrap());
            assert!(last[id] <= number, "an older value came after a newer one");
            last[id] = number;
        }
    });
}

#[test]
fn e1_each_command_brings_its_kind_of_stream() {
    let broker = broker();
    let client = logged_on(&broker, "kinds");
    client.publish("orders", r#"{"id":1}"#).unwrap();
    let command = |name: &str| Command::new(name).set_timeout(PATIENCE);
    let ends = |command: Command| {
        let mut stream = client.execute(command).unwrap();
        let count = stream.by_ref().count();
        assert_eq!(stream.end_reason(), Some(EndReason::Completed));
        count
    };
    // SOW only, statistics only, acknowledgements only, complete.
    assert_eq!(ends(command("sow").set_topic("orders")), 3);
    let delete = command("sow_delete").set_topic("orders").set_filter("1=0");
    assert_eq!(ends(delete.clone().set_ack_type(AckType::STATS)), 1);
    assert_eq!(ends(delete), 0);
    let both = AckType::PROCESSED | AckType::COMPLETED;
    assert_eq!(ends(command("flush").set_ack_type(both)), 2);
    assert_eq!(ends(command("publish").set_topic("t").set_data("x")), 0);
    // A subscription does not end by itself, nor by an acknowledgement that was asked for.
    for name in ["subscribe", "delta_subscribe", "sow_and_subscribe"] {
        let asked = command(name).set_topic("orders").set_ack_type(both);
        let mut stream = client.execute(asked).unwrap();
        assert_eq!(stream.next().unwrap().command(), CommandType::Ack);
        while stream.try_next().is_some() {}
        client.publish("orders", r#"{"id":2}"#).unwrap();
        client.publish_flush(PATIENCE).unwrap();
        assert!(
            stream
                .by_ref()
                .any(|message| message.command() == CommandType::Publish)
        );
        assert_eq!(stream.end_reason(), None, "{name}");
    }
}
