//! Messages that arrive in one read: while code of the application runs on the receive thread, none
//! that came before may be held back.

use crate::bookmark_stores::{Setting, setting};
use crate::{PATIENCE, broker, data, logged_on, subscribed, with_peer};
use amps::{BookmarkStore, Client, Command, Direction, Error, Message, MessageStream};
use amps_broker::{PeerConnection, framed};
use parking_lot::Mutex;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

fn subscribe(id: &str) -> Command {
    Command::new("subscribe").set_topic("t").set_sub_id(id)
}

/// Sends frames that arrive together.
fn send(peer: &mut PeerConnection, bodies: &[&str]) {
    let bytes = bodies.iter().flat_map(|body| framed(body.as_bytes()));
    peer.send_bytes(&bytes.collect::<Vec<_>>()).unwrap();
}

/// Tells when a stream has brought its first message; another thread reads it.
fn first_of(mut stream: MessageStream) -> mpsc::Receiver<Message> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for message in stream.by_ref() {
            let _ = sender.send(message);
        }
    });
    receiver
}

/// A callback of the application: waits until the stream has brought its first message, and passes
/// that on.
fn waits_for(
    first: mpsc::Receiver<Message>,
) -> (
    impl FnMut() + Send + 'static,
    mpsc::Receiver<Option<Message>>,
) {
    let (sender, receiver) = mpsc::channel();
    let callback = move || {
        let _ = sender.send(first.recv_timeout(PATIENCE / 4).ok());
    };
    (callback, receiver)
}

fn assert_came(seen: &mpsc::Receiver<Option<Message>>, expected: &str) {
    let message = seen.recv_timeout(PATIENCE).unwrap();
    let message = message.expect("what came before is held back while the callback runs");
    assert_eq!(data(&message), expected);
}

const FIRST: &str = r#"{"c":"p","t":"t","sids":"s","bm":"1|1|"}first"#;
const SECOND: &str = r#"{"c":"p","t":"t","sids":"s","bm":"1|2|"}second"#;

#[test]
fn c9_the_duplicate_handler_runs_after_what_came_before_is_delivered() {
    let Setting {
        client,
        marks,
        mut peer,
    } = setting("duplicate");
    marks.log("s", "1|2|").unwrap();
    marks.discard("s", 1).unwrap();
    let stream = subscribed(&client, &mut peer, subscribe("s").set_bookmark("0"));
    let (mut callback, seen) = waits_for(first_of(stream));
    client.set_duplicate_message_handler(move |_: &Message| callback());
    send(&mut peer, &[FIRST, SECOND]);
    assert_came(&seen, "first");
}

#[test]
fn the_exception_listener_hears_of_a_bookmark_after_what_came_before_it_is_delivered() {
    let Setting {
        client,
        marks,
        mut peer,
    } = setting("unlogged");
    let plain = subscribed(&client, &mut peer, subscribe("plain"));
    let _stream = subscribed(&client, &mut peer, subscribe("s").set_bookmark("0"));
    marks.fails.store(true, Ordering::SeqCst);
    let (callback, seen) = waits_for(first_of(plain));
    let callback = Mutex::new(callback);
    client.set_exception_listener(move |_: &Error| callback.lock()());
    send(
        &mut peer,
        &[r#"{"c":"p","t":"t","sids":"plain"}plain"#, FIRST],
    );
    assert_came(&seen, "plain");
}

/// As one whose resize handler waits until the application has discarded something.
#[test]
fn a_bookmark_store_that_waits_for_the_reader_is_no_deadlock() {
    let Setting {
        client,
        marks,
        mut peer,
    } = setting("slow");
    let stream = subscribed(&client, &mut peer, subscribe("s").set_bookmark("0"));
    let (mut callback, seen) = waits_for(first_of(stream));
    *marks.before_log.lock() = Some(Box::new(move |bookmark| {
        if bookmark == "1|2|" {
            callback();
        }
    }));
    send(&mut peer, &[FIRST, SECOND]);
    assert_came(&seen, "first");
}

#[test]
fn a_filter_sees_the_answer_to_a_heartbeat_after_what_came_before_it_is_delivered() {
    let (client, mut peer) = with_peer("beat");
    let stream = subscribed(&client, &mut peer, subscribe("s"));
    let (mut callback, seen) = waits_for(first_of(stream));
    client.set_transport_filter(move |direction, frame| {
        if direction == Direction::Outgoing && String::from_utf8_lossy(frame).contains("beat") {
            callback();
        }
    });
    send(&mut peer, &[FIRST, r#"{"c":"heartbeat","o":"beat"}"#]);
    assert_came(&seen, "first");
}

/// Numbers without order, but the same ones in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

const STREAMS: usize = 4;
const EACH: usize = 3000;

/// Reads two streams in turn while it limits them, frees them, or asks the server something; every
/// message is to come, in order.
fn read_in_turn(client: &Client, streams: &mut [MessageStream], random: &mut Random) {
    let mut next = vec![0; streams.len()];
    while next.iter().any(|&next| next < EACH) {
        let at = random.below(streams.len() as u64) as usize;
        if next[at] == EACH {
            continue;
        }
        let stream = &mut streams[at];
        match random.below(40) {
            0 => stream.set_max_depth(0),
            1 => stream.set_max_depth(random.below(6) as usize),
            2 => client.publish_flush(PATIENCE).unwrap(),
            3 => drop(
                stream
                    .try_next()
                    .map(|message| expect(&message, &mut next[at])),
            ),
            _ => {
                let message = stream.next_timeout(PATIENCE).unwrap().unwrap();
                expect(&message, &mut next[at]);
            }
        }
    }
}

fn expect(message: &Message, next: &mut usize) {
    assert_eq!(data(message), next.to_string());
    *next += 1;
}

/// Streams that are filled from the same reads, with limits that change while a part of a read waits
/// for room, and readers that wait for each other's streams and for acknowledgements.
#[test]
fn e2_bursts_for_streams_with_changing_limits_arrive_whole_and_hang_nobody() {
    let broker = broker();
    let client = logged_on(&broker, "bursts");
    let topics = (0..STREAMS).map(|number| format!("burst-{number}"));
    let topics = topics.collect::<Vec<_>>();
    let streams = topics.iter().map(|topic| client.subscribe(topic).unwrap());
    let mut streams = streams.collect::<Vec<_>>();
    let publisher = logged_on(&broker, "burst-publisher");
    publisher.set_publish_batching(8 << 10, Duration::from_millis(1));
    thread::scope(|scope| {
        for (seed, streams) in streams.chunks_mut(2).enumerate() {
            let mut random = Random(seed as u64 + 1);
            let client = client.clone();
            scope.spawn(move || read_in_turn(&client, streams, &mut random));
        }
        let mut sent = [0; STREAMS];
        let mut random = Random(7);
        while let Some(left) = sent.iter().position(|&sent| sent < EACH) {
            let at = random.below(STREAMS as u64) as usize;
            let at = if sent[at] < EACH { at } else { left };
            for _ in 0..random.below(20).min((EACH - sent[at]) as u64) {
                publisher
                    .publish(&topics[at], sent[at].to_string())
                    .unwrap();
                sent[at] += 1;
            }
            if random.below(4) == 0 {
                // Meanwhile the readers catch up and wait.
                publisher.publish_flush(PATIENCE).unwrap();
            }
        }
    });
}
