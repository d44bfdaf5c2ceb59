//! Defects that were found by reading and by trying, each with the moment that brought it out.

use crate::{
    PATIENCE, SILENCE, broker, channel, data, during, eventually, exceptions, logged_on,
    subscribed, with_peer,
};
use amps::{AckType, Client, Command, CommandType, EndReason, Error, Message};
use amps_broker::{PeerConnection, field};
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

fn acknowledge(peer: &mut PeerConnection, id: &str, ack: &str, status: &str) {
    let body = format!(r#"{{"c":"ack","cid":"{id}","a":"{ack}","status":"{status}"}}"#);
    peer.send(&body).unwrap();
}

fn subscribe(id: &str) -> Command {
    Command::new("subscribe").set_topic("t").set_sub_id(id)
}

fn replace(id: &str) -> Command {
    subscribe(id).set_options("replace")
}

fn publish(peer: &mut PeerConnection, id: &str, body: &str) {
    peer.send(&format!(r#"{{"c":"p","t":"t","sids":"{id}"}}{body}"#))
        .unwrap();
}

/// A receive thread that came back between "closing" and its deadline found the deadline in the
/// past and reset the connection, with the publishes that were still on their way.
#[test]
fn a_busy_receive_thread_does_not_cut_off_what_a_disconnect_delivers() {
    let broker = broker();
    for round in 0..20 {
        let topic = format!("burst-{round}");
        let client = logged_on(&broker, "burst");
        let (handler, _messages) = channel();
        client.subscribe_async(handler, &topic, None).unwrap();
        for _ in 0..2000 {
            client.publish(&topic, "0123456789").unwrap();
        }
        client.disconnect().unwrap();
        assert!(broker.wait_for_published(&topic, 2000, PATIENCE), "{round}");
    }
}

/// A disconnect that gave up waiting for the server said `Ok` and threw away what was sent.
#[test]
fn a_disconnect_says_when_it_cannot_tell_whether_all_arrived() {
    let (client, mut peer) = with_peer("unsure");
    for _ in 0..1000 {
        client.publish("t", "x".repeat(500)).unwrap();
    }
    let error = client.disconnect().unwrap_err();
    assert!(matches!(error, Error::Disconnected(_)), "{error}");
    // All the same it arrives, if the server reads at last.
    for _ in 0..1000 {
        assert!(peer.expect_frame().unwrap().starts_with(r#"{"c":"p""#));
    }
    assert_eq!(peer.read_frame().unwrap(), None);
}

#[test]
fn a_second_disconnect_waits_for_the_first() {
    let (client, mut peer) = with_peer("two-enders");
    client.publish("t", "x").unwrap();
    thread::scope(|scope| {
        let first = scope.spawn(|| client.disconnect());
        eventually("the first has begun", || !client.is_connected());
        let second = scope.spawn(|| client.disconnect());
        thread::sleep(SILENCE);
        assert!(!second.is_finished());
        while peer.read_frame().unwrap().is_some() {}
        drop(peer);
        first.join().unwrap().unwrap();
        second.join().unwrap().unwrap();
    });
}

struct Unprintable;

impl fmt::Display for Unprintable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("no text for you")
    }
}

impl fmt::Debug for Unprintable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unprintable")
    }
}

impl std::error::Error for Unprintable {}

struct DropsBadly;

impl Drop for DropsBadly {
    fn drop(&mut self) {
        if !thread::panicking() {
            panic!("dropped badly");
        }
    }
}

/// A panic in an odd place killed the receive thread and left a client that seemed connected.
#[test]
fn an_error_that_panics_when_it_is_shown_does_not_stop_the_receive_thread() {
    let broker = broker();
    let client = logged_on(&broker, "unprintable");
    let told = exceptions(&client);
    let handler = |message: &Message| match data(message) {
        "error" => Err(Unprintable),
        _ => std::panic::panic_any(DropsBadly),
    };
    client.subscribe_async(handler, "bad", None).unwrap();
    let (handler, messages) = channel();
    client.subscribe_async(handler, "good", None).unwrap();
    client.publish("bad", "error").unwrap();
    client.publish("bad", "panic").unwrap();
    client.publish("good", "x").unwrap();
    assert_eq!(data(&messages.recv_timeout(PATIENCE).unwrap()), "x");
    assert!(
        told.recv_timeout(PATIENCE)
            .unwrap()
            .contains("no text for you")
    );
    told.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn a_capture_that_panics_when_it_is_dropped_ends_the_connection_and_says_so() {
    let (client, mut peer) = with_peer("drops-badly");
    let told = exceptions(&client);
    let captured = DropsBadly;
    let handler = move |_: &Message| {
        let _captured = &captured;
    };
    let query = Command::new("sow").set_topic("t").set_command_id("q");
    during(
        || client.execute_async(query.set_timeout(PATIENCE), handler),
        || {
            peer.acknowledge("processed").unwrap();
        },
    )
    .unwrap();
    peer.send(r#"{"c":"group_begin","query_id":"q"}"#).unwrap();
    peer.send(r#"{"c":"group_end","query_id":"q"}"#).unwrap();
    let error = told.recv_timeout(PATIENCE).unwrap();
    assert!(error.contains("dropped badly"), "{error}");
    assert!(!client.is_connected());
}

/// The timeout began when the send lock was got, which a publisher stuck in a write never gave.
#[test]
fn a_timeout_holds_while_a_publisher_is_stuck() {
    let (client, peer) = with_peer("bounded");
    let publisher = client.clone();
    let stuck = thread::spawn(move || {
        let payload = vec![b'x'; 1 << 20];
        while publisher.publish("t", &payload).is_ok() {}
    });
    let timeout = Duration::from_millis(200);
    let start = Instant::now();
    let stuck_flush = loop {
        // Until the publisher is stuck, the peer's silence is what times out.
        let error = client.publish_flush(timeout).unwrap_err();
        if start.elapsed() > timeout * 5 {
            break error;
        }
    };
    assert!(matches!(stuck_flush, Error::TimedOut(_)), "{stuck_flush}");
    let error = client
        .execute(subscribe("s").set_timeout(timeout))
        .unwrap_err();
    assert!(matches!(error, Error::TimedOut(_)), "{error}");
    assert!(start.elapsed() < PATIENCE);
    drop(peer);
    stuck.join().unwrap();
}

/// The refusal of a command that had timed out ended the one that had taken its id since.
#[test]
fn a_late_refusal_leaves_the_next_holder_of_the_id_alone() {
    let (client, mut peer) = with_peer("late");
    let first = subscribe("s").set_command_id("first");
    let error = client
        .execute(first.set_timeout(Duration::from_millis(20)))
        .unwrap_err();
    assert!(matches!(error, Error::TimedOut(_)), "{error}");
    peer.expect_frame().unwrap();
    peer.expect_frame().unwrap();
    let mut stream = subscribed(&client, &mut peer, subscribe("s"));
    peer.send(
        r#"{"c":"ack","cid":"first","sub_id":"s","a":"processed","status":"failure","reason":"not entitled"}"#,
    )
    .unwrap();
    publish(&mut peer, "s", "x");
    assert_eq!(data(&stream.next().unwrap()), "x");
}

/// `unsubscribe` overtook the `subscribe` that it was meant for; the server went on sending.
#[test]
fn a_subscription_that_is_unsubscribed_on_its_way_is_taken_back() {
    let (client, mut peer) = with_peer("overtaken");
    let mut stream = during(
        || client.execute(subscribe("s").set_timeout(PATIENCE)),
        || {
            let frame = peer.expect_frame().unwrap();
            client.unsubscribe_all().unwrap();
            assert_eq!(field(&peer.expect_frame().unwrap(), "sub_id"), "all");
            acknowledge(&mut peer, field(&frame, "cid"), "processed", "success");
        },
    )
    .unwrap();
    let again = peer.expect_frame().unwrap();
    assert_eq!(field(&again, "c"), "unsubscribe");
    assert_eq!(field(&again, "sub_id"), "s");
    assert!(stream.next().is_none());
    assert_eq!(stream.end_reason(), Some(EndReason::Unsubscribed));
}

/// The command id ended the subscription here, and named nothing on the server.
#[test]
fn unsubscribing_by_the_command_id_names_the_subscription_to_the_server() {
    let (client, mut peer) = with_peer("by-command");
    let stream = subscribed(&client, &mut peer, subscribe("orders"));
    let ids = format!("{}, elsewhere", stream.command_id());
    client.unsubscribe(ids).unwrap();
    let frame = peer.expect_frame().unwrap();
    assert_eq!(field(&frame, "sub_id"), "orders,elsewhere");
}

/// A `replace` that timed out unsubscribed the subscription that it had not replaced.
#[test]
fn a_replace_that_times_out_leaves_the_old_subscription_working() {
    let (client, mut peer) = with_peer("slow-replace");
    let mut old = subscribed(&client, &mut peer, subscribe("s"));
    let late = replace("s").set_timeout(Duration::from_millis(20));
    assert!(matches!(client.execute(late), Err(Error::TimedOut(_))));
    peer.expect_frame().unwrap();
    client.publish("t", "marker").unwrap();
    assert_eq!(field(&peer.expect_frame().unwrap(), "c"), "p");
    publish(&mut peer, "s", "x");
    assert_eq!(data(&old.next().unwrap()), "x");
}

/// Any successful acknowledgement counted as acceptance.
#[test]
fn a_replace_takes_over_when_it_is_processed_and_not_when_it_is_received() {
    let (client, mut peer) = with_peer("hasty");
    let mut old = subscribed(&client, &mut peer, subscribe("s"));
    let asking = replace("s").add_ack_type(AckType::RECEIVED);
    let result = during(
        || client.execute(asking.set_timeout(PATIENCE)),
        || {
            let frame = peer.expect_frame().unwrap();
            let id = field(&frame, "cid");
            acknowledge(&mut peer, id, "received", "success");
            acknowledge(&mut peer, id, "processed", "failure");
        },
    );
    assert!(result.is_err());
    publish(&mut peer, "s", "x");
    assert_eq!(data(&old.next().unwrap()), "x");
}

/// A replacing subscription without a handler and without an old one to replace got nothing.
#[test]
fn a_replace_of_nothing_is_a_subscription() {
    let (client, mut peer) = with_peer("fresh");
    let (handler, unexpected) = channel();
    client.set_last_chance_message_handler(handler);
    during(
        || client.execute_async_no_handler(replace("s").set_timeout(PATIENCE)),
        || {
            peer.acknowledge("processed").unwrap();
        },
    )
    .unwrap();
    publish(&mut peer, "s", "dropped");
    publish(&mut peer, "other", "marker");
    assert_eq!(data(&unexpected.recv_timeout(PATIENCE).unwrap()), "marker");
}

/// A connection made while another thread was still closing the last one was announced too early.
#[test]
fn states_are_announced_in_the_order_in_which_they_happened() {
    let broker = broker();
    let (client, peer) = with_peer("orderly");
    let states = Arc::new(Mutex::new(Vec::new()));
    let seen = states.clone();
    client.add_connection_state_listener(move |state| seen.lock().push(state));
    thread::scope(|scope| {
        // The peer does not answer, so this takes its second.
        let closing = scope.spawn(|| client.disconnect());
        eventually("the old one is going", || !client.is_connected());
        client.connect(broker.uri("json")).unwrap();
        client.logon().unwrap();
        assert!(closing.join().unwrap().is_err());
    });
    drop(peer);
    assert_eq!(
        format!("{:?}", states.lock()),
        "[Shutdown, Disconnected, Connected, LoggedOn]"
    );
    assert!(client.is_logged_on());
}

/// The acknowledgement that the engine itself had asked for surprised the last chance handler.
#[test]
fn the_completed_acknowledgement_of_a_query_is_no_news_to_the_last_chance_handler() {
    let (client, mut peer) = with_peer("no-news");
    let (handler, unexpected) = channel();
    client.set_last_chance_message_handler(handler);
    let query = Command::new("sow").set_topic("t").set_command_id("q");
    let stream = subscribed(&client, &mut peer, query);
    peer.send(r#"{"c":"group_begin","query_id":"q"}"#).unwrap();
    peer.send(r#"{"c":"group_end","query_id":"q"}"#).unwrap();
    acknowledge(&mut peer, "q", "completed", "success");
    publish(&mut peer, "other", "marker");
    assert_eq!(stream.count(), 2);
    let first = unexpected.recv_timeout(PATIENCE).unwrap();
    assert_eq!(first.command(), CommandType::Publish);
}

/// An acknowledgement that the command does not offer was waited for, for ever.
#[test]
fn a_stream_does_not_wait_for_what_a_command_does_not_offer() {
    let (client, _peer) = with_peer("offers");
    let command = Command::new("unsubscribe")
        .set_sub_id("s")
        .set_ack_type(AckType::COMPLETED);
    let mut stream = client.execute(command).unwrap();
    assert!(stream.next().is_none());
    assert_eq!(stream.end_reason(), Some(EndReason::Completed));
}

/// A query that failed half-way kept its stream open.
/// Trap 26.
#[test]
fn a_query_that_fails_after_its_beginning_ends() {
    let (client, mut peer) = with_peer("half-way");
    let query = Command::new("sow").set_topic("t").set_command_id("q");
    let mut stream = subscribed(&client, &mut peer, query);
    peer.send(r#"{"c":"group_begin","query_id":"q"}"#).unwrap();
    acknowledge(&mut peer, "q", "completed", "failure");
    assert_eq!(stream.by_ref().count(), 1);
}

/// The system takes no thread name with a zero byte, and starting the thread panicked.
#[test]
fn a_client_name_may_have_any_character() {
    let broker = broker();
    let client = logged_on(&broker, "zero\0byte");
    client.publish_flush(PATIENCE).unwrap();
    assert_eq!(broker.client_names(), ["zero\0byte"]);
}

/// A query that only waited for its statistics was cancelled by a frame without any id.
#[test]
fn an_unsubscribe_always_names_something() {
    let (client, mut peer) = with_peer("nameless");
    let query = Command::new("sow")
        .set_topic("t")
        .set_command_id("q")
        .add_ack_type(AckType::STATS);
    let mut stream = subscribed(&client, &mut peer, query);
    peer.send(r#"{"c":"group_begin","query_id":"q"}"#).unwrap();
    peer.send(r#"{"c":"group_end","query_id":"q"}"#).unwrap();
    assert!(stream.nth(1).is_some());
    drop(stream);
    client.publish("t", "marker").unwrap();
    assert_eq!(field(&peer.expect_frame().unwrap(), "c"), "p");
}

/// A handler that disconnected was followed by another one of the same message.
#[test]
fn nothing_is_handled_after_a_handler_has_disconnected() {
    let (client, mut peer) = with_peer("last-word");
    let (sender, calls) = mpsc::channel();
    let count = |label: &'static str| {
        let sender = sender.clone();
        move |_: &Message| {
            let _ = sender.send(label);
        }
    };
    client.set_last_chance_message_handler(count("last chance"));
    client.set_global_command_type_message_handler(CommandType::Publish, count("global"));
    let (weak, called) = (client.downgrade(), count("handler"));
    let handler = move |message: &Message| {
        called(message);
        if let Some(client) = weak.upgrade() {
            let _ = client.disconnect();
        }
    };
    during(
        || client.execute_async(subscribe("a").set_timeout(PATIENCE), handler),
        || {
            peer.acknowledge("processed").unwrap();
        },
    )
    .unwrap();
    publish(&mut peer, "a,b", "x");
    assert_eq!(calls.recv_timeout(PATIENCE).unwrap(), "handler");
    // The peer sees the end when the handler and all that follows are done.
    assert_eq!(peer.read_frame().unwrap(), None);
    drop(peer);
    eventually("the receive thread is gone", || client.disconnect().is_ok());
    assert!(calls.try_recv().is_err());
}

/// A detached copy of a record that came for a subscription forgot for which.
#[test]
fn a_detached_record_knows_its_subscription() {
    let (client, mut peer) = with_peer("detached");
    let mut stream = subscribed(&client, &mut peer, subscribe("s"));
    peer.send(r#"{"c":"sow","t":"t","sids":"s"}{"k":"1","l":1}x{"k":"2","l":1}y"#)
        .unwrap();
    let record = stream.next().unwrap();
    let copy = record.detach();
    assert_eq!(copy.sub_id(), "s");
    assert_eq!((copy.sow_key(), copy.topic(), data(&copy)), ("1", "t", "x"));
}

#[test]
fn a_client_that_was_never_connected_disconnects_at_once() {
    let start = Instant::now();
    Client::new("idle").disconnect().unwrap();
    assert!(start.elapsed() < Duration::from_millis(500));
}
