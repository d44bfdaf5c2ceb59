//! What the socket does not take at once, or not at all.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use super::*;
use signal_hook::consts::SIGPIPE;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const PATIENCE: Duration = Duration::from_secs(20);

/// Both ends of a TCP and of a Unix connection; ours as transports.
fn pairs() -> [(Box<dyn Transport>, Box<dyn Read + Send>); 2] {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (theirs, _) = listener.accept().unwrap();
    let (ours_unix, theirs_unix) = UnixStream::pair().unwrap();
    for socket in [SockRef::from(&ours), SockRef::from(&ours_unix)] {
        socket.set_send_buffer_size(4 << 10).unwrap();
    }
    [
        (Box::new(SocketTransport::new(ours)), Box::new(theirs)),
        (
            Box::new(SocketTransport::new(ours_unix)),
            Box::new(theirs_unix),
        ),
    ]
}

#[test]
fn what_the_socket_takes_in_parts_arrives_whole_and_in_order() {
    let header = (0..30_011u32).map(|at| (at % 251) as u8);
    let header = header.collect::<Vec<_>>();
    let payload = header.iter().map(|byte| byte ^ 0xFF).collect::<Vec<_>>();
    let parts = [
        (&header[..], &payload[..]),
        (&header[..10], &payload[..]),
        (&header[..], b""),
        (b"", &payload[..]),
        (b"", b""),
    ];
    for (ours, mut theirs) in pairs() {
        let reader = thread::spawn(move || {
            let mut all = Vec::new();
            theirs.read_to_end(&mut all).unwrap();
            all
        });
        let mut expected = Vec::new();
        for (header, payload) in parts {
            ours.write_all(header, payload).unwrap();
            expected.extend([header, payload].concat());
        }
        ours.shutdown_write(Instant::now());
        assert!(reader.join().unwrap() == expected);
    }
}

#[test]
fn a_write_without_space_ends_with_its_timeout_whatever_its_parts() {
    let bytes = vec![b'x'; 8 << 20];
    for (header, payload) in [(&bytes[..], &b""[..]), (b"header", &bytes[..])] {
        for (ours, theirs) in pairs() {
            ours.set_timeouts(Some(Duration::from_millis(50))).unwrap();
            let error = ours.write_all(header, payload).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
            let error = ours.try_write(&bytes).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
            drop(theirs);
        }
    }
}

/// A program that is not written in Rust has no reason to ignore it, and would end by it.
#[test]
fn a_write_to_a_peer_that_is_gone_fails_and_raises_no_signal() {
    let raised = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGPIPE, raised.clone()).unwrap();
    let bytes = vec![b'x'; 20 << 10];
    for (header, payload) in [(&bytes[..], &b""[..]), (b"header", &bytes[..])] {
        for (ours, theirs) in pairs() {
            drop(theirs);
            // By TCP the first ones may go nowhere without an error.
            let start = Instant::now();
            let mut failed = 0;
            while failed < 3 {
                match ours.write_all(header, payload) {
                    Ok(()) => assert!(start.elapsed() < PATIENCE),
                    Err(_) => failed += 1,
                }
            }
            assert!(ours.try_write(b"x").is_err());
        }
    }
    assert!(!raised.load(Ordering::SeqCst));
}
