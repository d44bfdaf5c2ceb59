//! The broker as a program.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking, in the functions it shares too"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amps-broker"));
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Ends the program also when an assertion fails before.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn failing(command: &mut Command) -> (i32, String) {
    let Output { status, stderr, .. } = command.output().unwrap();
    (
        status.code().unwrap(),
        String::from_utf8_lossy(&stderr).into_owned(),
    )
}

#[test]
fn the_program_says_where_it_listens_serves_its_topics_and_ends_on_an_interrupt() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("broker.json");
    std::fs::write(&config, r#"{"topics":[{"name":"orders","key":["/id"]}]}"#).unwrap();
    let mut running = Running(
        program()
            .args(["--listen", "127.0.0.1:0", "--config"])
            .arg(&config)
            .spawn()
            .unwrap(),
    );
    let mut lines = BufReader::new(running.0.stdout.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    let address = line
        .strip_prefix("amps-broker listens on tcp://")
        .and_then(|rest| rest.strip_suffix("/amps/json"))
        .unwrap_or_else(|| panic!("{line}"));

    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    for body in [
        r#"{"c":"logon","client_name":"a","mt":"json"}"#,
        r#"{"c":"sow","cid":"1","t":"orders"}"#,
    ] {
        socket
            .write_all(&(body.len() as u32).to_be_bytes())
            .unwrap();
        socket.write_all(body.as_bytes()).unwrap();
    }
    let mut answer = [0; 4 + 34];
    socket.read_exact(&mut answer).unwrap();
    assert_eq!(&answer[4..], br#"{"c":"group_begin","query_id":"1"}"#);

    let interrupted = Command::new("kill")
        .args(["-INT", &running.0.id().to_string()])
        .status()
        .unwrap();
    assert!(interrupted.success());
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
}

#[test]
fn the_program_listens_for_tls_and_on_a_unix_socket_if_asked() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_string()]).unwrap();
    std::fs::write(path("cert.pem"), cert.pem()).unwrap();
    std::fs::write(path("key.pem"), signing_key.serialize_pem()).unwrap();
    let mut command = program();
    command
        .args(["--listen", "127.0.0.1:0", "--tls-listen", "127.0.0.1:0"])
        .args(["--tls-cert".into(), path("cert.pem")])
        .args(["--unix-socket".into(), path("socket")]);
    let (code, stderr) = failing(&mut command);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("--tls-key"), "{stderr}");

    let key = ["--tls-key".into(), path("key.pem")];
    let mut running = Running(command.args(key).spawn().unwrap());
    let lines = BufReader::new(running.0.stdout.take().unwrap()).lines();
    let lines: Vec<_> = lines.take(3).map(Result::unwrap).collect();
    for (line, transport) in lines.iter().zip(["tcp:", "tcps:", "unix:"]) {
        let begin = format!("amps-broker listens on {transport}//");
        assert!(line.starts_with(&begin), "{line}");
    }
    std::os::unix::net::UnixStream::connect(path("socket")).unwrap();
    drop(running);

    std::fs::write(path("key.pem"), "no key").unwrap();
    let (code, stderr) = failing(&mut command);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("TLS: the key"), "{stderr}");
}

#[test]
fn a_bad_configuration_gives_one_line_that_names_it_and_exit_code_2() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("broker.json");
    for text in [
        None,
        Some("{"),
        Some(r#"{"topic":1}"#),
        Some(r#"{"topics":[{"name":"orders","key":["id"]}]}"#),
    ] {
        if let Some(text) = text {
            std::fs::write(&config, text).unwrap();
        }
        let (code, stderr) = failing(program().arg("--config").arg(&config));
        assert_eq!(code, 2, "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(stderr.starts_with("amps-broker: "), "{stderr}");
        let names_it = stderr.contains("broker.json") || stderr.contains("orders");
        assert!(names_it, "{stderr}");
    }
}

#[test]
fn an_address_that_cannot_be_had_gives_one_line_and_exit_code_1() {
    let (code, stderr) = failing(program().args(["--listen", "nonsense"]));
    assert_eq!(code, 1, "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains("nonsense"), "{stderr}");
}
