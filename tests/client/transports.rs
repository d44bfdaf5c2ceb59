//! Rules A4, A5, Q4 and Q5: other networks than plain TCP over IPv4, and the HTTP preflight.

use crate::{PATIENCE, during, eventually};
use amps::{Client, Error};
use amps_broker::{Broker, framed};
use std::error::Error as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

#[cfg(unix)]
mod unix {
    use super::*;
    use std::os::unix::net::UnixListener;

    fn broker(directory: &tempfile::TempDir, name: &str) -> Broker {
        let path = directory.path().join(name);
        Broker::builder().unix_socket(path).start().unwrap()
    }

    /// Trap 17.
    #[test]
    fn q4_the_same_protocol_over_a_unix_socket() {
        let directory = tempfile::tempdir().unwrap();
        // What has a meaning in a connection string may be in a path.
        let broker = broker(&directory, "a socket&more=1%+#");
        let client = Client::new("local");
        client.connect(broker.unix_uri("json")).unwrap();
        client.logon().unwrap();
        let mut stream = client.subscribe("t").unwrap();
        // More than the socket holds, so that reading and writing take turns.
        let payload = vec![b'x'; 100_000];
        for _ in 0..50 {
            client.publish("t", &payload).unwrap();
        }
        for _ in 0..50 {
            let message = stream.next_timeout(PATIENCE).unwrap().unwrap();
            assert_eq!(message.data(), payload);
        }
        drop(stream);
        client.disconnect().unwrap();
        let path = broker.unix_socket().unwrap().to_owned();
        drop(broker);
        assert!(!path.exists(), "the broker removes its socket");
    }

    #[test]
    fn b15_everything_published_before_disconnect_arrives() {
        let directory = tempfile::tempdir().unwrap();
        let broker = broker(&directory, "socket");
        let client = Client::new("burst");
        client.connect(broker.unix_uri("json")).unwrap();
        client.logon().unwrap();
        let stream = client.subscribe("burst").unwrap();
        for _ in 0..10_000 {
            client.publish("burst", "0123456789").unwrap();
        }
        client.disconnect().unwrap();
        assert!(broker.wait_for_published("burst", 10_000, PATIENCE));
        drop(stream);
    }

    #[test]
    fn a5_any_words_may_stand_for_the_address_and_credentials_count() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let (sender, logons) = mpsc::channel();
        let broker = Broker::builder()
            .unix_socket(&path)
            .authenticate(move |logon| {
                let _ = sender.send(format!("{}/{}", logon.user, logon.password));
                amps_broker::Logon::Accept
            })
            .start()
            .unwrap();
        let client = Client::new("words");
        for address in ["unix:unix", "localhost:0"] {
            let path = path.display();
            client
                .connect(format!("unix://ana:pw@{address}/amps/json?path={path}"))
                .unwrap();
            client.logon().unwrap();
            assert_eq!(logons.recv_timeout(PATIENCE).unwrap(), "ana/pw");
            client.disconnect().unwrap();
        }
        drop(broker);
    }

    #[test]
    fn b2_a_socket_that_is_not_there_is_refused_with_the_system_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("nobody");
        let client = Client::new("refused");
        let uri = format!("unix://localhost:0/amps/json?path={}", path.display());
        let error = client.connect(&uri).unwrap_err();
        assert!(matches!(error, Error::ConnectionRefused(_)), "{error}");
        assert!(error.to_string().contains("nobody"), "{error}");
        assert!(error.source().unwrap().is::<std::io::Error>());
        // Left behind by a server that was killed.
        drop(UnixListener::bind(&path).unwrap());
        let error = client.connect(&uri).unwrap_err();
        assert!(matches!(error, Error::ConnectionRefused(_)), "{error}");
        let too_long = format!("unix://localhost:0/amps/json?path=/{}", "x".repeat(200));
        let error = client.connect(too_long).unwrap_err();
        assert!(matches!(error, Error::ConnectionRefused(_)), "{error}");
        assert!(!client.is_connected());
        // A broker takes its place.
        let broker = Broker::builder().unix_socket(&path).start().unwrap();
        client.connect(broker.unix_uri("json")).unwrap();
        client.logon().unwrap();
    }

    #[test]
    fn b2_a_unix_server_without_room_is_waited_for_until_the_timeout() {
        use socket2::{Domain, SockAddr, Socket, Type};
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("crowded");
        let address = SockAddr::unix(&path).unwrap();
        let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        listener.bind(&address).unwrap();
        listener.listen(0).unwrap();
        let mut waiting = Vec::new();
        loop {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            match socket.connect(&address) {
                Ok(()) => waiting.push(socket),
                Err(_) => break,
            }
        }
        let uri = format!("unix://localhost:0/amps/json?path={}", path.display());
        let client = Client::new("waiting");
        client.set_connect_timeout(Duration::from_millis(200));
        let start = Instant::now();
        let error = client.connect(&uri).unwrap_err();
        // Linux lets it wait; other systems refuse.
        if cfg!(target_os = "linux") {
            assert!(matches!(error, Error::TimedOut(_)), "{error}");
            assert!(start.elapsed() >= Duration::from_millis(200));
            client.set_connect_timeout(PATIENCE);
            thread::scope(|scope| {
                let connect = scope.spawn(|| client.connect(&uri));
                // Disconnecting before the dial has begun does nothing, so it is repeated.
                eventually("the dial ends", || {
                    client.disconnect().unwrap();
                    connect.is_finished()
                });
                let error = connect.join().unwrap().unwrap_err();
                assert!(matches!(error, Error::Disconnected(_)), "{error}");
            });
            // Now there is room.
            during(
                || client.connect(&uri).unwrap(),
                || drop((listener.accept().unwrap(), listener.accept().unwrap())),
            );
        }
    }
}

/// A broker that listens by IPv6; `None` if this machine has none.
fn ipv6_broker() -> Option<Broker> {
    TcpListener::bind("[::1]:0").ok()?;
    Some(Broker::builder().listen("[::1]:0").start().unwrap())
}

#[test]
fn trap_19_an_ipv6_address_is_no_host_name() {
    let Some(broker) = ipv6_broker() else { return };
    let client = Client::new("six");
    let uri = broker.uri("json");
    assert!(uri.starts_with("tcp://[::1]:"));
    client.connect(&uri).unwrap();
    client.logon().unwrap();
    client.disconnect().unwrap();
    client
        .connect(format!("{uri}?bind=::1&ip_protocol_prefer=ipv6"))
        .unwrap();
    client.logon().unwrap();
}

#[test]
fn a4_an_address_that_is_not_ours_cannot_be_bound_to() {
    let broker = Broker::builder().start().unwrap();
    let client = Client::new("elsewhere");
    // Reserved for documentation, so it is nobody's.
    let error = client
        .connect(format!("{}?bind=192.0.2.1", broker.uri("json")))
        .unwrap_err();
    assert!(matches!(error, Error::ConnectionRefused(_)), "{error}");
    assert!(error.source().is_some());
    // An IPv4 server cannot be reached from an IPv6 address.
    let error = client
        .connect(format!("{}?bind=::1", broker.uri("json")))
        .unwrap_err();
    assert!(matches!(error, Error::ConnectionRefused(_)), "{error}");
    assert!(error.to_string().contains("bind"), "{error}");
    client
        .connect(format!("{}?bind=127.0.0.1", broker.uri("json")))
        .unwrap();
}

/// A web server that answers each request with this, byte by byte, and goes on as `then` says.
fn web_server(
    answer: impl Into<Vec<u8>>,
    then: impl FnOnce(TcpStream) + Send + 'static,
) -> (String, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!(
        "tcp://{}/amps/json?http_preflight=true",
        listener.local_addr().unwrap()
    );
    let answer = answer.into();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.extend(byte);
        }
        for part in answer.chunks(7) {
            // The client may have seen enough.
            let _ = stream.write_all(part);
            thread::yield_now();
        }
        then(stream);
        String::from_utf8(request).unwrap()
    });
    (uri, server)
}

#[test]
fn q5_after_the_preflight_the_connection_speaks_amps() {
    let broker = Broker::builder().start().unwrap();
    let behind = broker.address();
    let answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: amps\r\nX: y\r\n\r\n";
    let (uri, server) = web_server(answer, move |stream| {
        // From here on a proxy.
        let server = TcpStream::connect(behind).unwrap();
        let back = (server.try_clone().unwrap(), stream.try_clone().unwrap());
        thread::spawn(move || std::io::copy(&mut &back.0, &mut &back.1));
        thread::spawn(move || {
            let _ = std::io::copy(&mut &stream, &mut &server);
            server.shutdown(std::net::Shutdown::Write)
        });
    });
    let client = Client::new("proxied");
    client
        .set_http_preflight_headers(["X-Dropped: yes", "Cookie: c=1"])
        .unwrap();
    client.clear_http_preflight_headers();
    client.add_http_preflight_header("X-Desk: rates").unwrap();
    client
        .add_http_preflight_header_kv("Authorization", "Bearer abc")
        .unwrap();
    client.connect(&uri).unwrap();
    client.logon().unwrap();
    client.publish("t", "x").unwrap();
    client.publish_flush(PATIENCE).unwrap();
    let request = server.join().unwrap();
    let address = uri["tcp://".len()..].split('/').next().unwrap();
    assert_eq!(
        request,
        format!(
            "GET /amps/json HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\n\
             Upgrade: amps\r\nX-Desk: rates\r\nAuthorization: Bearer abc\r\n\r\n"
        )
    );
}

#[test]
fn trap_20_what_follows_the_blank_line_belongs_to_amps() {
    // A frame right behind the answer, with blank lines of its own: nothing may be swallowed.
    let mut answer = b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec();
    answer.extend(framed(b"{\"c\":\"publish\",\"t\":\"T\"}\r\n\r\nearly"));
    let (sender, until) = mpsc::channel::<()>();
    let (uri, server) = web_server(answer, move |_stream| {
        let _ = until.recv();
    });
    let client = Client::new("early");
    let (handler, received) = crate::channel();
    client.set_last_chance_message_handler(handler);
    client.connect(&uri).unwrap();
    let message = received.recv_timeout(PATIENCE).unwrap();
    assert_eq!(message.data(), b"\r\n\r\nearly");
    drop(sender);
    server.join().unwrap();
}

#[test]
fn trap_20_any_other_answer_is_a_connection_error_that_quotes_it() {
    for (answer, quoted) in [
        (
            &b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"[..],
            "HTTP/1.1 403 Forbidden",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK"),
        (b"\0\0\0\x05{\"c\":", "not HTTP"),
        (b"HTTP/1.1 101 Swit", "closed the connection"),
    ] {
        let (uri, server) = web_server(answer, drop);
        let client = Client::new("turned-away");
        client.set_disconnect_handler(|_| panic!("a failed connect calls no disconnect handler"));
        let error = client.connect(&uri).unwrap_err();
        assert!(matches!(error, Error::Connection(_)), "{error}");
        assert!(error.to_string().contains(quoted), "{error}");
        assert!(error.source().is_some());
        assert!(!client.is_connected());
        server.join().unwrap();
    }
}

/// A web server that stops in the middle of its answer. It says so, and waits until the sender is
/// dropped.
fn halting_server() -> (String, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (sender, until) = mpsc::channel::<()>();
    let (halted, halts) = mpsc::channel();
    let (uri, _) = web_server(b"HTTP/1.1 101", move |_stream| {
        let _ = halted.send(());
        let _ = until.recv();
    });
    (uri, halts, sender)
}

#[test]
fn q5_a_preflight_that_is_not_answered_times_out() {
    let (uri, _halts, _until) = halting_server();
    let client = Client::new("patient");
    client.set_connect_timeout(Duration::from_millis(500));
    let error = client.connect(&uri).unwrap_err();
    assert!(matches!(error, Error::TimedOut(_)), "{error}");
    assert!(error.to_string().contains("preflight"), "{error}");
}

#[test]
fn q5_a_preflight_ends_at_once_when_another_thread_disconnects() {
    let (uri, halts, _until) = halting_server();
    let client = Client::new("impatient");
    client.set_connect_timeout(Duration::from_secs(60));
    thread::scope(|scope| {
        let connect = scope.spawn(|| client.connect(&uri));
        halts.recv_timeout(PATIENCE).unwrap();
        client.disconnect().unwrap();
        let error = connect.join().unwrap().unwrap_err();
        assert!(matches!(error, Error::Disconnected(_)), "{error}");
    });
    assert!(!client.is_connected());
}

#[test]
fn q5_a_header_with_a_line_break_is_refused() {
    let client = Client::new("smuggler");
    let error = client
        .add_http_preflight_header("A: b\r\nC: d")
        .unwrap_err();
    assert!(matches!(error, Error::Usage(_)), "{error}");
    let error = client
        .set_http_preflight_headers(["Good: yes", "bad"])
        .unwrap_err();
    assert!(matches!(error, Error::Usage(_)), "{error}");
}
