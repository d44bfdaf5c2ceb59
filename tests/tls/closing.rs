//! Disconnecting and losing a connection by TLS.

use crate::certificates::Authority;
use crate::peer::Peer;
use crate::{PATIENCE, broker, client, in_time, logged_on, trusting};
use amps::Error;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn b15_everything_published_before_disconnect_arrives() {
    let authority = Authority::new("ours");
    let broker = broker(&authority);
    let client = logged_on(&broker, &authority, "burst");
    // The client receives, too: a socket closed with unread input would drop what it sent.
    let stream = client.subscribe("burst").unwrap();
    for number in 0..10_000 {
        client.publish("burst", "0123456789").unwrap();
        if number == 8_000 {
            // A busy machine has a second for the rest.
            client.publish_flush(PATIENCE).unwrap();
        }
    }
    client.disconnect().unwrap();
    assert!(broker.wait_for_published("burst", 10_000, PATIENCE));
    drop(stream);
}

#[test]
fn disconnect_says_goodbye_to_a_peer_that_has_no_room_for_it_yet() {
    let authority = Authority::new("ours");
    let (listening, uri) = Peer::listen(&authority);
    // So little is on its way that it is read within the time that a disconnect has.
    listening.narrow();
    let server = thread::spawn(move || {
        let mut peer = listening.accept();
        peer.answer_logon();
        peer
    });
    let client = client("crowded", trusting(&authority));
    client.connect(format!("{uri}?tcp_sndbuf=4096")).unwrap();
    client.logon().unwrap();
    let mut peer = server.join().unwrap();
    let publisher = {
        let client = client.clone();
        thread::spawn(move || {
            let mut sent = 0_usize;
            // Small ones, so that the socket ends up as full as can be.
            while client.publish("up", "x").is_ok() {
                sent += 1;
            }
            sent
        })
    };
    // The publisher is stuck when nothing more goes out.
    thread::sleep(Duration::from_millis(300));
    let reading = thread::spawn(move || {
        thread::sleep(Duration::from_millis(200));
        let mut received = 0_usize;
        while peer.try_frame().is_some() {
            received += 1;
        }
        received
    });
    in_time("disconnect", move || client.disconnect()).unwrap();
    let (sent, received) = (publisher.join().unwrap(), reading.join().unwrap());
    // The publish that came upon the disconnect may have gone out, or not.
    assert!(
        received == sent || received == sent + 1,
        "{received} of {sent}"
    );
}

#[test]
fn disconnect_gives_up_on_a_peer_that_never_reads() {
    let authority = Authority::new("ours");
    let (listening, uri) = Peer::listen(&authority);
    let server = thread::spawn(move || {
        let mut peer = listening.accept();
        peer.answer_logon();
        peer
    });
    let client = client("unheard", trusting(&authority));
    client.connect(uri).unwrap();
    client.logon().unwrap();
    let _peer = server.join().unwrap();
    let publisher = {
        let client = client.clone();
        thread::spawn(move || while client.publish("up", [b'x'; 1000]).is_ok() {})
    };
    thread::sleep(Duration::from_millis(200));
    let start = Instant::now();
    let error = in_time("disconnect", move || client.disconnect()).unwrap_err();
    assert!(matches!(error, Error::Disconnected(_)), "{error}");
    assert!(start.elapsed() < Duration::from_secs(5));
    publisher.join().unwrap();
}

#[test]
fn i1_a_connection_that_is_cut_is_a_loss() {
    let authority = Authority::new("ours");
    let broker = broker(&authority);
    let client = logged_on(&broker, &authority, "cut");
    let (sender, lost) = mpsc::channel();
    client.set_disconnect_handler(move |_| {
        sender.send(()).unwrap();
        Ok(())
    });
    let mut stream = client.subscribe("t").unwrap();
    assert_eq!(broker.disconnect_client("cut"), 1);
    assert!(stream.next_timeout(PATIENCE).unwrap().is_none());
    lost.recv_timeout(PATIENCE).unwrap();
    assert!(!client.is_connected());
    client.connect(broker.tls_uri("json")).unwrap();
    client.logon().unwrap();
}

#[test]
fn a_server_that_ends_without_a_goodbye_has_ended_all_the_same() {
    let authority = Authority::new("ours");
    let (listening, uri) = Peer::listen(&authority);
    let server = thread::spawn(move || {
        let mut peer = listening.accept();
        peer.answer_logon();
        peer.expect_goodbye();
        // Dropped: the socket is closed, and TLS says nothing.
    });
    let client = client("curt", trusting(&authority));
    client.connect(uri).unwrap();
    client.logon().unwrap();
    in_time("disconnect", move || client.disconnect()).unwrap();
    server.join().unwrap();
}
