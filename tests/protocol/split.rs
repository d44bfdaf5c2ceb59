//! However the bytes come in, the same messages come out.
//!
//! The system may join what was written in pieces; that every cut gives the same frames for certain
//! is a unit test beside the frame reader.

use crate::golden;
use amps::{Client, Command, Message};
use amps_broker::{Peer, PeerConnection};
use std::thread;

const SERVER: &str = include_str!("data/server.txt");

/// Subscribes to everything in the frames and returns what arrives as text.
fn received(send: impl FnOnce(&mut PeerConnection, &[u8])) -> Vec<String> {
    let peer = Peer::listen().unwrap();
    let client = Client::new("splitter");
    client.connect(peer.uri("json")).unwrap();
    let mut connection = peer.accept().unwrap();
    let mut stream = thread::scope(|scope| {
        let subscribed = scope.spawn(|| {
            client.execute(
                Command::new("sow_and_subscribe")
                    .set_sub_id("4")
                    .set_query_id("7")
                    .set_topic("orders"),
            )
        });
        connection.acknowledge("processed").unwrap();
        subscribed.join().unwrap().unwrap()
    });
    let names = [
        "group_begin",
        "sow_batch_of_two",
        "sow_batch_with_braces",
        "group_end",
        "publish_plain",
        "oof_deleted",
    ];
    let bytes = names.map(|name| golden(SERVER, name)).concat();
    send(&mut connection, &bytes);
    connection.close();
    let shown = |message: Message| {
        let data = String::from_utf8_lossy(message.data()).into_owned();
        format!("{} {} {data}", message.command(), message.sow_key())
    };
    stream.by_ref().map(shown).collect()
}

/// Trap 41.
#[test]
fn a_stream_split_at_every_byte_gives_the_same_messages() {
    let whole = received(|peer, bytes| peer.send_bytes(bytes).unwrap());
    assert_eq!(whole.len(), 7);
    let single = received(|peer, bytes| {
        for byte in bytes {
            peer.send_bytes(&[*byte]).unwrap();
        }
    });
    assert_eq!(single, whole);
}
