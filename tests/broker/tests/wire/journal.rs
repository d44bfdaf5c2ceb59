//! What outlives a broker in its journal, and what becomes of a journal that is not as it should
//! be.

use crate::peer::{Peer, framed};
use crate::transaction_log::field;
use amps_broker::{Broker, BrokerError, Builder, TopicConfig};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

fn builder(journal: &Path) -> Builder {
    Broker::builder()
        .sow_topic("orders", ["/id"])
        .topic(TopicConfig::sow("quotes", ["/id"]).expiration(None))
        .logged_topic("^(orders|trades)$")
        .journal(journal)
}

fn directory() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let journal = directory.path().join("broker.journal");
    (directory, journal)
}

/// Everything that a replay of all topics brings, in short: bookmark and payload.
fn whole_log(broker: &Broker) -> Vec<String> {
    let mut peer = Peer::named(broker, "reader of all");
    peer.send(r#"{"c":"subscribe","cid":"1","t":".*","bm":"0","a":"completed"}"#);
    let mut all = Vec::new();
    loop {
        let frame = peer.receive();
        if frame.contains("completed") {
            return all;
        }
        let (_, payload) = frame.split_once('}').unwrap();
        all.push(format!("{} {payload}", field(&frame, "bm")));
    }
}

/// The result of a query, frame by frame.
fn query(broker: &Broker, topic: &str) -> Vec<String> {
    let mut peer = Peer::named(broker, "reader of records");
    peer.send(&format!(
        r#"{{"c":"sow","cid":"1","t":"{topic}","o":"timestamp","a":"completed"}}"#
    ));
    let mut frames = Vec::new();
    loop {
        let frame = peer.receive();
        if frame.contains("completed") {
            return frames;
        }
        frames.push(frame);
    }
}

fn send_all(broker: &Broker, frames: &[&str]) {
    let mut peer = Peer::named(broker, "p");
    for frame in frames {
        peer.send(frame);
    }
    peer.expect_nothing();
}

#[test]
fn log_records_and_sequence_numbers_are_there_again_after_a_restart() {
    let (_directory, journal) = directory();
    let broker = builder(&journal).start().unwrap();
    send_all(
        &broker,
        &[
            r#"{"c":"p","t":"orders","s":1,"x":"token"}{"id":1}"#,
            r#"{"c":"p","t":"orders","s":2}{"id":2}"#,
            r#"{"c":"p","t":"trades","s":3}{"price":1}"#,
            r#"{"c":"delta_publish","t":"orders","s":4}{"id":1,"a":1}"#,
            r#"{"c":"sow_delete","t":"orders","s":5,"f":"/id = 2"}"#,
            r#"{"c":"p","t":"trades"}{"price":2}"#,
            r#"{"c":"p","t":"quotes","e":1000}{"id":7}"#,
            r#"{"c":"p","t":"quotes"}{"id":8}"#,
            r#"{"c":"sow_delete","t":"quotes","f":"/id = 8"}"#,
        ],
    );
    let before = (
        whole_log(&broker),
        query(&broker, "orders"),
        query(&broker, "quotes"),
    );
    assert_eq!(before.0.len(), 5);
    assert_eq!((before.1.len(), before.2.len()), (3, 3));
    broker.stop();
    let broker = builder(&journal).start().unwrap();
    let after = (
        whole_log(&broker),
        query(&broker, "orders"),
        query(&broker, "quotes"),
    );
    assert_eq!(before, after);
    let mut peer = Peer::connect(&broker);
    let ack = peer.log_on("p", "json");
    assert!(ack.contains(r#""s":5,"#), "{ack}");
    // What it gives numbers to itself goes on counting.
    peer.send(r#"{"c":"p","t":"trades"}{"price":3}"#);
    peer.send(r#"{"c":"p","t":"orders","s":5}{"id":5}"#);
    peer.expect_nothing();
    let log = whole_log(&broker);
    let given = |at: usize| log[at].split_once(' ').unwrap().0.to_owned();
    assert_eq!(given(5), given(4).replace("|1|", "|2|"));
    assert_eq!((log.len(), broker.log_len()), (6, 7));
}

#[test]
fn a_record_whose_time_is_over_when_the_broker_comes_back_is_gone() {
    let (_directory, journal) = directory();
    let broker = builder(&journal).start().unwrap();
    send_all(
        &broker,
        &[
            r#"{"c":"p","t":"quotes","e":1}{"id":1}"#,
            r#"{"c":"p","t":"quotes","e":1000}{"id":2}"#,
        ],
    );
    broker.stop();
    thread::sleep(Duration::from_millis(1100));
    let broker = builder(&journal).start().unwrap();
    assert_eq!(broker.record_count("quotes"), 1);
}

#[test]
fn a_torn_end_is_cut_off_wherever_it_is_torn_and_the_rest_stays() {
    let (_directory, journal) = directory();
    let broker = builder(&journal).start().unwrap();
    send_all(&broker, &[r#"{"c":"p","t":"trades","s":1}1"#]);
    let whole = fs::metadata(&journal).unwrap().len();
    send_all(&broker, &[r#"{"c":"p","t":"trades","s":2}2"#]);
    broker.stop();
    let bytes = fs::read(&journal).unwrap();
    for torn in [whole + 1, whole + 9, bytes.len() as u64 - 1] {
        fs::write(&journal, &bytes[..torn as usize]).unwrap();
        let broker = builder(&journal).start().unwrap();
        assert_eq!(broker.log_len(), 1);
        assert_eq!(fs::metadata(&journal).unwrap().len(), whole);
        send_all(&broker, &[r#"{"c":"p","t":"trades","s":2}3"#]);
        broker.stop();
        let broker = builder(&journal).start().unwrap();
        assert!(whole_log(&broker)[1].ends_with(" 3"));
    }
    // As a file system leaves it that had grown the file and not yet written to it.
    fs::write(&journal, [&bytes[..], &[0; 100]].concat()).unwrap();
    let broker = builder(&journal).start().unwrap();
    assert_eq!(broker.log_len(), 2);
    broker.stop();
    // Not even the header was written.
    for begun in [0, 5, 20] {
        fs::write(&journal, &bytes[..begun]).unwrap();
        let broker = builder(&journal).start().unwrap();
        assert_eq!(broker.log_len(), 0);
    }
}

fn problem(builder: Builder) -> String {
    match builder.start().err() {
        Some(BrokerError::Journal { file, problem }) => {
            assert!(file.ends_with("broker.journal"), "{file}");
            problem
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_journal_that_is_none_or_damaged_is_an_error_that_names_it_and_leaves_it_alone() {
    let (_directory, journal) = directory();
    let broker = builder(&journal).start().unwrap();
    for sequence in 1..=3 {
        send_all(
            &broker,
            &[&format!(r#"{{"c":"p","t":"trades","s":{sequence}}}1"#)],
        );
    }
    // It is ours as long as the broker runs.
    let taken = problem(builder(&journal));
    assert!(taken.contains("another broker"), "{taken}");
    broker.stop();
    let good = fs::read(&journal).unwrap();
    let changed = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    for (bytes, expected) in [
        (
            b"dear diary, today I opened a file that I do not know".to_vec(),
            "no journal",
        ),
        (b"short".to_vec(), "no journal"),
        (changed(0), "no journal"),
        (changed(9), "header"),
        (changed(15), "header"),
        (changed(24), "damaged at byte 24"),
        (changed(40), "damaged at byte 24"),
    ] {
        fs::write(&journal, &bytes).unwrap();
        let problem = problem(builder(&journal));
        assert!(problem.contains(expected), "{problem}");
        assert_eq!(fs::read(&journal).unwrap(), bytes);
    }
    fs::write(&journal, &good).unwrap();
    let problem_of_type = problem(Broker::builder().message_types(["fix"]).journal(&journal));
    assert!(problem_of_type.contains("json"), "{problem_of_type}");
    assert_eq!(builder(&journal).start().unwrap().log_len(), 3);
    let nowhere = journal.join("broker.journal");
    assert!(problem(builder(&nowhere)).contains("cannot open"));
}

/// The broker as a program.
pub(crate) struct Program {
    child: Child,
    pub(crate) address: String,
    stderr: Option<ChildStderr>,
}

impl Program {
    fn start(command: &mut Command) -> Program {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next().expect("the program ended").unwrap();
        let (_, address) = line.split_once("tcp://").unwrap();
        let address = address.split_once('/').unwrap().0.to_owned();
        let stderr = child.stderr.take();
        Program {
            child,
            address,
            stderr,
        }
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        drop(self.stderr.take());
    }
}

/// A configuration file and the arguments that name it and the journal.
fn arguments(directory: &TempDir, journal: &Path) -> Vec<String> {
    let text = r#"{"logged_topics":["trades"],"ack_conflation":"1ms"}"#;
    arguments_with(directory, journal, text)
}

fn arguments_with(directory: &TempDir, journal: &Path, text: &str) -> Vec<String> {
    let config = directory.path().join("broker.json");
    fs::write(&config, text).unwrap();
    ["--listen", "127.0.0.1:0", "--config"]
        .map(str::to_owned)
        .into_iter()
        .chain([
            config.display().to_string(),
            "--journal".to_owned(),
            journal.display().to_string(),
        ])
        .collect()
}

fn program(directory: &TempDir, journal: &Path) -> Program {
    Program::start(
        Command::new(env!("CARGO_BIN_EXE_amps-broker")).args(arguments(directory, journal)),
    )
}

/// A broker of this configuration, as a process of its own.
pub(crate) fn program_with(directory: &TempDir, journal: &Path, text: &str) -> Program {
    let arguments = arguments_with(directory, journal, text);
    Program::start(Command::new(env!("CARGO_BIN_EXE_amps-broker")).args(arguments))
}

fn sequence_of(ack: &str) -> u64 {
    let (_, rest) = ack.split_once(r#""s":"#).unwrap_or_else(|| panic!("{ack}"));
    rest.split_once(',').unwrap().0.parse().unwrap()
}

/// The frames of these publishes.
fn publishes(sequences: impl Iterator<Item = u64>) -> Vec<u8> {
    let frame = |sequence: u64| {
        let frame =
            format!(r#"{{"c":"p","t":"trades","s":{sequence},"a":"persisted"}}{{"n":{sequence}}}"#);
        framed(frame.as_bytes())
    };
    sequences.flat_map(frame).collect()
}

#[test]
fn what_a_killed_broker_acknowledged_is_replayed_once_and_in_order() {
    const LAST: u64 = 10_000;
    let (directory, journal) = directory();
    let mut first = program(&directory, &journal);
    let mut peer = Peer::to(&first.address);
    peer.log_on("p", "json");
    let mut socket = peer.socket.try_clone().unwrap();
    let writer = thread::spawn(move || {
        for from in (1..=LAST).step_by(100) {
            // Fails when the broker is killed.
            if socket.write_all(&publishes(from..from + 100)).is_err() {
                return;
            }
        }
    });
    let mut acknowledged = 0;
    while acknowledged < LAST / 3 {
        acknowledged = sequence_of(&peer.receive());
    }
    first.kill();
    writer.join().unwrap();
    while let Some(ack) = peer.try_receive_whole() {
        acknowledged = sequence_of(&ack);
    }

    let second = program(&directory, &journal);
    let mut peer = Peer::to(&second.address);
    let persisted = sequence_of(&peer.log_on("p", "json"));
    assert!(persisted >= acknowledged, "{persisted} {acknowledged}");
    peer.send_bytes(&publishes(persisted + 1..=LAST));
    while persisted < LAST && sequence_of(&peer.receive()) < LAST {}
    let mut reader = Peer::to(&second.address);
    reader.log_on("reader", "json");
    reader.send(r#"{"c":"subscribe","cid":"1","t":"trades","bm":"0","a":"completed"}"#);
    for sequence in 1..=LAST {
        let frame = reader.receive();
        assert!(
            frame.ends_with(&format!(r#"{{"n":{sequence}}}"#)),
            "{frame}"
        );
    }
    assert!(reader.receive().contains("completed"));
}

#[test]
#[cfg(unix)]
fn on_a_full_disk_writes_are_refused_and_the_broker_goes_on() {
    let (directory, journal) = directory();
    // A file of this process cannot become larger than 16 KiB, and trying does not end it.
    let script = r#"trap '' XFSZ; ulimit -f 32; exec "$0" "$@""#;
    let mut command = Command::new("sh");
    command
        .args(["-c", script, env!("CARGO_BIN_EXE_amps-broker")])
        .args(arguments(&directory, &journal));
    let mut full = Program::start(&mut command);
    let mut peer = Peer::to(&full.address);
    peer.log_on("p", "json");
    peer.send(r#"{"c":"subscribe","cid":"1","t":"trades","a":"processed"}"#);
    peer.receive();
    let text = "x".repeat(5000);
    let mut refused = Vec::new();
    for sequence in 1..=9 {
        // Small ones still find a place when large ones do not.
        let text = if sequence % 3 == 0 { "" } else { &*text };
        peer.send(&format!(
            r#"{{"c":"p","t":"trades","s":{sequence},"a":"persisted"}}{{"n":{sequence},"x":"{text}"}}"#
        ));
        let first = peer.receive();
        if first.contains("failure") {
            assert!(
                first.ends_with(r#""reason":"journal write failed"}"#),
                "{first}"
            );
            refused.push(sequence);
            continue;
        }
        assert!(first.contains(&format!(r#"{{"n":{sequence},"#)), "{first}");
        assert_eq!(sequence_of(&peer.receive()), sequence);
    }
    assert!(refused.contains(&8) && !refused.contains(&9), "{refused:?}");
    full.kill();

    let again = program(&directory, &journal);
    let mut reader = Peer::to(&again.address);
    reader.log_on("reader", "json");
    reader.send(r#"{"c":"subscribe","cid":"1","t":"trades","bm":"0","a":"completed"}"#);
    for sequence in (1..=9).filter(|sequence| !refused.contains(sequence)) {
        let frame = reader.receive();
        assert!(frame.contains(&format!(r#"{{"n":{sequence},"#)), "{frame}");
    }
    assert!(reader.receive().contains("completed"));
}
