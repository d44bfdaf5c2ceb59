//! The example `perf`, run as a process: what it writes, and how it fails. Its figures are not
//! looked at; they mean nothing on a busy machine.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking"
)]

#[path = "../spark/built.rs"]
mod built;

use amps_broker::Broker;
use built::Program;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

#[test]
fn a_path_with_its_own_peer_has_a_floor_and_its_target() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("rows.json");
    let table = succeeds(&["--only", "TLS publish", "--json", text(&json)]);
    let [row] = &rows(&json)[..] else {
        panic!("not one row:\n{table}");
    };
    assert!(
        table.contains("TLS publish 1 KiB, reader blocks"),
        "{table}"
    );
    assert_eq!(row["name"], "TLS publish 1 KiB, reader blocks");
    assert_eq!(row["target"], 1.3);
    let number = |name: &str| row[name].as_f64().unwrap();
    // Reading a number from JSON may round its last digit.
    let quotient = number("ours_ns") / number("floor_ns");
    assert!((number("ratio") / quotient - 1.0).abs() < 1e-9, "{row}");
    assert!(number("floor_ns") > 0.0, "{row}");
    assert_eq!(row["spread"].as_array().unwrap().len(), 2);
}

#[test]
fn a_server_is_measured_and_what_has_no_floor_says_null() {
    let broker = Broker::builder().start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("rows.json");
    let uri = broker.uri("json");
    let table = succeeds(&[
        "--uri",
        &uri,
        "--topic",
        "quiet",
        "--only",
        "to handler",
        "--json",
        text(&json),
    ]);
    let [row] = &rows(&json)[..] else {
        panic!("not one row:\n{table}");
    };
    assert!(row["ours_ns"].as_f64().unwrap() > 0.0, "{row}");
    for nothing in ["floor_ns", "ratio", "target"] {
        assert_eq!(row[nothing], Value::Null, "{row}");
    }
    assert!(table.contains(" - "), "{table}");
}

#[test]
fn round_trips_of_a_server_are_compared_and_drawn() {
    let broker = Broker::builder().start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (json, svg) = (folder.path().join("rows.json"), folder.path().join("p.svg"));
    let uri = broker.uri("json");
    let only = ["--only", "round trip, p", "--uri", &uri];
    let files = ["--json", text(&json), "--svg", text(&svg)];
    succeeds(&[&only[..], &files[..]].concat());
    let names = rows(&json)
        .iter()
        .map(|row| row["name"].as_str().unwrap().to_string())
        .collect::<Vec<_>>();
    assert_eq!(names, ["round trip, p50", "round trip, p99"]);
    assert!(rows(&json).iter().all(|row| row["ratio"].is_f64()));
    let picture = std::fs::read_to_string(svg).unwrap();
    for part in [
        "<svg",
        "percentile",
        "99 %",
        "amps",
        "plain socket",
        "</svg>",
    ] {
        assert!(picture.contains(part), "{part} is missing");
    }
}

#[test]
fn what_cannot_be_measured_is_an_error_that_says_why() {
    for (arguments, says) in [
        (&["--uri", "nonsense"][..], "nonsense"),
        (&["--uri", "tcp://127.0.0.1:1/amps/json"], "127.0.0.1:1"),
        (&["--only", "no such path"], "no such path"),
    ] {
        let output = perf(arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains("perf: ") && error.contains(says), "{error}");
    }
}

/// Runs it to its end, with few messages.
fn perf(arguments: &[&str]) -> Output {
    Command::new(binary())
        .arg("--quick")
        .args(arguments)
        .output()
        .unwrap()
}

/// What it printed.
#[track_caller]
fn succeeds(arguments: &[&str]) -> String {
    let output = perf(arguments);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn rows(json: &Path) -> Vec<Value> {
    serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The built example.
fn binary() -> &'static Path {
    // Also what went wrong is found out only once.
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let perf = Program {
        file: "examples/perf",
        build: &["--example", "perf"],
        sources: &["examples/perf", "src", "amps-core/src", "amps-stores/src"],
    };
    match BINARY.get_or_init(|| perf.path()) {
        Ok(binary) => binary,
        Err(error) => panic!("{error}"),
    }
}
