//! How long a client is away: from the death of a socket to the first message after its
//! subscription was entered again, against what a bare socket needs for the same conversation.

#[path = "../../examples/perf/affinity.rs"]
mod affinity;

use crate::PATIENCE;
use amps::{Command, DefaultServerChooser, HaClient, Message};
use amps_broker::{field, framed};
use amps_core::protocol::FrameBuffer;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn a_client_is_back_without_waiting_for_anything_but_the_server() {
    let (raw, client) = measure(20);
    // On a machine that does other things as well.
    let most = 30 * raw.median;
    assert!(client.median < most, "{client:?} against {raw:?}");
}

#[test]
#[ignore = "measures: run it alone, with --release"]
fn a_client_is_back_within_four_times_of_a_connect_and_three_round_trips() {
    let (raw, client) = measure(200);
    let ratio = client.median.as_secs_f64() / raw.median.as_secs_f64();
    println!(
        "median {:?} and worst {:?} against {:?} and {:?}: {ratio:.2} times",
        client.median, client.worst, raw.median, raw.worst
    );
    assert!(ratio < 4.0, "{ratio:.2} times");
}

#[derive(Debug)]
struct Times {
    median: Duration,
    worst: Duration,
}

impl Times {
    fn of(mut times: Vec<Duration>) -> Times {
        times.sort();
        Times {
            median: times[times.len() / 2],
            worst: times[times.len() - 1],
        }
    }
}

/// Both sides of everything are on one core. The two take turns, so that both see the same machine.
fn measure(count: usize) -> (Times, Times) {
    let _pinned = affinity::pin(affinity::first_core()).unwrap();
    let (for_raw, _) = server();
    let (for_client, accepted) = server();
    let client = HaClient::memory_backed("measured");
    client.set_reconnect_delay(Duration::ZERO);
    let uri = format!("tcp://{for_client}/amps/json?tcp_nodelay=true");
    client.set_server_chooser(DefaultServerChooser::new().add(uri));
    client.connect_and_logon().unwrap();
    let (sender, received) = mpsc::channel();
    let handler = move |_: &Message| {
        let _ = sender.send(Instant::now());
    };
    let command = Command::new("subscribe").set_topic("t");
    client.execute_async(command, handler).unwrap();
    let first_message = || received.recv_timeout(PATIENCE).unwrap();
    first_message();
    client.wait_for_recovery().unwrap();
    let mut times = (Vec::new(), Vec::new());
    for _ in 0..count {
        let begun = Instant::now();
        converse(for_raw);
        times.0.push(begun.elapsed());
        let socket = accepted.recv_timeout(PATIENCE).unwrap();
        let died = Instant::now();
        socket.shutdown(Shutdown::Both).unwrap();
        times.1.push(first_message() - died);
        // The message came while the client was still recovering.
        client.wait_for_recovery().unwrap();
    }
    (Times::of(times.0), Times::of(times.1))
}

/// A connect and three round trips, of which two are a logon and a subscription.
fn converse(server: SocketAddr) {
    let mut end = End::new(TcpStream::connect(server).unwrap());
    for command in ["logon", "subscribe", "flush"] {
        end.send(&format!(r#"{{"c":"{command}","cid":"1","sub_id":"1"}}"#));
        end.frame().unwrap();
    }
}

/// A server that takes one connection after the other; hands out its sockets.
fn server() -> (SocketAddr, Receiver<TcpStream>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, accepted) = mpsc::channel();
    // Ends with the process: `accept` cannot be interrupted.
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let _ = sender.send(stream.try_clone().unwrap());
            let mut end = End::new(stream);
            while let Some(frame) = end.frame() {
                end.answer(&frame);
            }
        }
    });
    (address, accepted)
}

struct End {
    stream: TcpStream,
    frames: FrameBuffer,
}

impl End {
    fn new(stream: TcpStream) -> End {
        stream.set_nodelay(true).unwrap();
        End {
            stream,
            frames: FrameBuffer::default(),
        }
    }

    fn send(&mut self, body: &str) {
        let _ = self.stream.write_all(&framed(body.as_bytes()));
    }

    /// The next frame; `None` at the end.
    fn frame(&mut self) -> Option<String> {
        loop {
            if let Some(frame) = self.frames.next_frame().unwrap() {
                return Some(String::from_utf8_lossy(&frame).into_owned());
            }
            match self.stream.read(self.frames.space()) {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.frames.advance(count),
            }
        }
    }

    /// Accepts everything; a subscription is sent a message at once.
    fn answer(&mut self, frame: &str) {
        let id = field(frame, "cid");
        self.send(&format!(
            r#"{{"c":"ack","cid":"{id}","s":0,"a":"processed","status":"success","version":"5.3.5.0"}}"#
        ));
        if field(frame, "c") == "subscribe" {
            let sub_id = field(frame, "sub_id");
            self.send(&format!(r#"{{"c":"p","t":"t","sids":"{sub_id}"}}now"#));
        }
    }
}
