//! Both directions at once, with peers that do not read.

use crate::certificates::Authority;
use crate::peer::{Peer, PeerConnection};
use crate::{client, in_time, trusting};
use amps::{Client, Message};
use amps_broker::framed;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// What goes each way.
const FLOOD: usize = 50 << 20;
const PAYLOAD: usize = 100 << 10;
const MESSAGES: usize = FLOOD / PAYLOAD;

/// A frame for the subscription `sub`, with the number that it must have at the other end.
fn frame(number: usize) -> Vec<u8> {
    let mut body = br#"{"c":"publish","t":"down","sids":"sub"}"#.to_vec();
    body.extend(payload(number));
    framed(&body)
}

fn payload(number: usize) -> Vec<u8> {
    let mut payload = vec![b'x'; PAYLOAD];
    let digits = format!("{number:010}");
    payload[..digits.len()].copy_from_slice(digits.as_bytes());
    payload
}

fn number_of(payload: &[u8]) -> usize {
    assert_eq!(payload.len(), PAYLOAD);
    std::str::from_utf8(&payload[..10])
        .unwrap()
        .parse()
        .unwrap()
}

/// Reads a publish and checks that it is this one.
fn expect(peer: &mut PeerConnection, number: usize) {
    let frame = peer.read_frame();
    let at = frame.len() - PAYLOAD;
    assert_eq!(number_of(&frame[at..]), number);
}

/// A client that is logged on, with a subscription that counts what comes in order.
fn subscribed(
    name: &str,
    mut each: impl FnMut(usize) + Send + 'static,
) -> (Client, PeerConnection, Arc<AtomicUsize>) {
    let authority = Authority::new("ours");
    let (listening, uri) = Peer::listen(&authority);
    let server = thread::spawn(move || {
        let mut peer = listening.accept();
        peer.answer_logon();
        peer.acknowledge("");
        peer
    });
    let client = client(name, trusting(&authority));
    client.connect(uri).unwrap();
    client.logon().unwrap();
    let received = Arc::new(AtomicUsize::new(0));
    let count = received.clone();
    let handler = move |message: &Message| {
        let number = number_of(message.data());
        assert_eq!(number, count.load(Ordering::Acquire));
        each(number);
        count.fetch_add(1, Ordering::AcqRel);
    };
    client
        .execute_async(
            amps::Command::new("subscribe")
                .set_topic("down")
                .set_sub_id("sub"),
            handler,
        )
        .unwrap();
    (client, server.join().unwrap(), received)
}

fn publish_all(client: Client) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        for number in 0..MESSAGES {
            client.publish("up", payload(number)).unwrap();
        }
    })
}

fn wait_for_all(received: &AtomicUsize) {
    crate::eventually("everything has come", || {
        received.load(Ordering::Acquire) == MESSAGES
    });
}

#[test]
fn a_writer_that_waits_for_space_does_not_stop_the_reader() {
    let (client, mut peer, received) = subscribed("reader", |_| {});
    let publisher = publish_all(client.clone());
    in_time("the peer's part", move || {
        // The peer reads nothing until all that it sends has been taken.
        for number in 0..MESSAGES {
            peer.write(&frame(number));
        }
        wait_for_all(&received);
        for number in 0..MESSAGES {
            expect(&mut peer, number);
        }
        assert!(client.is_connected());
        let closing = thread::spawn(move || client.disconnect());
        peer.expect_goodbye();
        drop(peer);
        closing.join().unwrap().unwrap();
    });
    publisher.join().unwrap();
}

#[test]
fn a_reader_that_does_not_come_round_does_not_stop_the_writer() {
    let (sender, release) = std::sync::mpsc::channel::<()>();
    let (client, mut peer, received) = subscribed("writer", move |number| {
        if number == 0 {
            let _ = release.recv();
        }
    });
    let publisher = publish_all(client.clone());
    in_time("the peer's part", move || {
        peer.write(&frame(0));
        // The client takes in nothing meanwhile.
        for number in 0..MESSAGES {
            expect(&mut peer, number);
        }
        drop(sender);
        for number in 1..MESSAGES {
            peer.write(&frame(number));
        }
        wait_for_all(&received);
    });
    publisher.join().unwrap();
}

#[test]
fn keys_are_renewed_in_the_middle_of_traffic_both_ways() {
    let (client, mut peer, received) = subscribed("renewing", |_| {});
    let publisher = publish_all(client.clone());
    in_time("the peer's part", move || {
        for number in 0..MESSAGES {
            // The client has to answer with new keys of its own, in the middle of a record that
            // waits for space. (This peer takes no more than 32 answers in a row.)
            if number % 8 == 0 {
                peer.refresh_keys();
            }
            peer.write(&frame(number));
            expect(&mut peer, number);
        }
        wait_for_all(&received);
        assert!(client.is_connected());
    });
    publisher.join().unwrap();
}

#[test]
fn requests_for_new_keys_to_a_client_that_only_receives_are_no_burden() {
    let (client, mut peer, received) = subscribed("listening", |_| {});
    in_time("the peer's part", move || {
        // Each wants an answer that the peer never reads.
        for number in 0..MESSAGES {
            peer.refresh_keys();
            peer.write(&frame(number));
        }
        wait_for_all(&received);
        assert!(client.is_connected());
    });
}
