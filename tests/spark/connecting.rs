//! Where spark connects to, and what it says if that fails.

use crate::process::{Running, spark};
use crate::{PATIENCE, address, broker, start};
use amps_broker::{Broker, Logon, Peer};
use std::net::TcpListener;
use std::time::Instant;

#[test]
fn ping_says_where_to_without_the_password() {
    let broker = broker();
    let address = address(&broker);
    let out = spark(&[
        "ping",
        "-server",
        &format!("ana:s%40cret@{address}"),
        "-type",
        "nvfix",
    ])
    .ok();
    let expected =
        format!("connected to tcp://ana:***@{address}/amps/nvfix, server version 5.3.5.0\n");
    assert_eq!(out, expected);
}

#[test]
fn a_full_uri_and_the_double_dash_form_are_understood() {
    let broker = broker();
    let uri = format!("{}?tcp_nodelay=true", broker.uri("json"));
    let out = spark(&["ping", "--server", &uri]).ok();
    assert!(out.starts_with(&format!("connected to {uri},")), "{out}");
}

/// The system's trust in authorities can be extended for one process, by its environment.
#[cfg(target_os = "linux")]
#[test]
fn secure_connects_with_tls() {
    use crate::certificates::Authority;
    use crate::process::binary;
    use amps_broker::ServerTls;

    let authority = Authority::new("spark");
    let shown = authority.issue(&["localhost"]);
    let tls = ServerTls::new(shown.chain, shown.key).unwrap();
    let broker = start(Broker::builder().tls(tls));
    let port = broker.tls_address().unwrap().port();
    let server = format!("localhost:{port}");
    let folder = tempfile::tempdir().unwrap();
    let trusted = folder.path().join("authority.pem");
    std::fs::write(&trusted, authority.pem()).unwrap();
    let output = std::process::Command::new(binary())
        .args(["ping", "-server", &server, "-secure", "true"])
        .env("SSL_CERT_FILE", &trusted)
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(
        out.starts_with(&format!("connected to tcps://{server}/amps/json,")),
        "{output:?}"
    );
    let line = spark(&["ping", "-server", &server, "-secure"]).failed(1);
    assert!(line.contains("certificate"), "{line}");
}

#[cfg(unix)]
#[test]
fn a_unix_socket_is_named_by_scheme_and_options() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("amps");
    let broker = start(Broker::builder().unix_socket(&path));
    let options = format!("path={}", path.display());
    let args = [
        "ping",
        "-server",
        "localhost:1",
        "-urischeme",
        "unix",
        "-uriopts",
        &options,
    ];
    let out = spark(&args).ok();
    assert!(out.starts_with("connected to unix://"), "{out}");
    drop(broker);
}

#[test]
fn the_server_sees_the_name() {
    let broker = broker();
    let address = address(&broker);
    let args = [
        "subscribe",
        "-server",
        &address,
        "-topic",
        "x",
        "-name",
        "viewer",
    ];
    let running = Running::start(&args);
    assert!(broker.wait_for_client("viewer", PATIENCE));
    drop(running);
}

#[test]
fn a_server_that_is_not_there_ends_with_1() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let line = spark(&["ping", "-server", &format!("ana:secret@{free}")]).failed(1);
    assert!(line.contains("connection refused"), "{line}");
    assert!(line.contains("check -server"), "{line}");
    assert!(!line.contains("secret"), "{line}");
}

#[test]
fn a_refused_logon_ends_with_1_and_shows_no_password() {
    let broker = start(
        Broker::builder().authenticate(|credentials| match credentials.password {
            "right" => Logon::Accept,
            _ => Logon::Refuse("auth failure".to_string()),
        }),
    );
    let server = |password| format!("ana:{password}@{}", broker.address());
    spark(&["ping", "-server", &server("right")]).ok();
    let line = spark(&["ping", "-server", &server("secret")]).failed(1);
    assert!(line.contains("check the user and password"), "{line}");
    assert!(!line.contains("secret"), "{line}");
}

#[test]
fn an_unknown_message_type_ends_with_1() {
    let broker = broker();
    let line = spark(&["ping", "-server", &address(&broker), "-type", "smoke"]).failed(1);
    assert!(line.contains("check -type"), "{line}");
}

#[test]
fn a_server_that_does_not_answer_ends_with_1_after_the_timeout() {
    let peer = Peer::listen().unwrap();
    let server = peer.address().to_string();
    let start = Instant::now();
    let line = spark(&["ping", "-server", &server, "-timeout", "200ms"]).failed(1);
    assert!(start.elapsed().as_millis() >= 200);
    assert!(line.contains("-timeout"), "{line}");
}
