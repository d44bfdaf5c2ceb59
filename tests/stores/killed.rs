//! Processes that are killed, and started again with the same files.
//!
//! The programs are tests of this file that do nothing unless they are started by another one. They
//! say what they have done in lines on the standard output, which survive them.

use crate::{PATIENCE, broker, log_on, next, witness};
use amps::{
    AckType, BookmarkSubscribe, Client, FilePublishStore, FileStoreOptions, MmapBookmarkStore,
    bookmark,
};
use amps_broker::Broker;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;

/// What begins a line that a program says.
const MARK: &str = "\n@";

fn say(what: &str, number: u64) {
    // In one write, so that a kill leaves whole lines or nothing.
    let line = format!("{MARK}{what} {number}\n");
    std::io::stdout().write_all(line.as_bytes()).unwrap();
}

/// A program that runs until it is killed.
struct Program {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Program {
    fn start(name: &str, broker: &Broker, file: &Path, from: u64) -> Program {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                &format!("killed::{name}"),
                "--exact",
                "--ignored",
                "--nocapture",
            ])
            .env("STORES_URI", broker.uri("json"))
            .env("STORES_FILE", file)
            .env("STORES_FROM", from.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Program { child, lines }
    }

    /// The next thing that it says; none when it is dead and everything was read.
    fn next(&mut self) -> Option<(String, u64)> {
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            let said = line.trim().strip_prefix('@').map(str::to_string);
            if let Some((what, number)) = said.as_deref().and_then(|said| said.split_once(' ')) {
                return Some((what.to_string(), number.parse().unwrap()));
            }
        }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn setting(name: &str) -> String {
    std::env::var(name).unwrap()
}

#[test]
#[ignore = "the program of the test below"]
fn publisher() {
    let client = Client::new("publisher");
    let options = FileStoreOptions::new().set_client_name("publisher");
    let store = FilePublishStore::open(setting("STORES_FILE"), options).unwrap();
    client.set_publish_store(Arc::new(store)).unwrap();
    client.connect(setting("STORES_URI")).unwrap();
    client.logon().unwrap();
    let from = setting("STORES_FROM").parse::<u64>().unwrap();
    for number in from.. {
        client.publish("orders", number.to_string()).unwrap();
        say("published", number);
    }
}

#[test]
fn a_publisher_that_is_killed_delivers_every_message_exactly_once() {
    let broker = broker();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("publish");
    let mut delivered = witness(&broker);
    let mut expected = 0;
    for round in 0..6 {
        let mut program = Program::start("publisher", &broker, &file, expected);
        let enough = expected + 50 + round * 37;
        let mut published = expected;
        while let Some((_, number)) = program.next() {
            published = number;
            if number == enough {
                // Some of it is not acknowledged, and the last may not have been written.
                program.kill();
            }
        }
        // The next run sends what is left; nothing else is known of the one before.
        let client = Client::new("publisher");
        let options = FileStoreOptions::new().set_client_name("publisher");
        let store = FilePublishStore::open(&file, options).unwrap();
        client.set_publish_store(Arc::new(store)).unwrap();
        log_on(&client, &broker);
        client
            .publish_flush_ack(PATIENCE, AckType::PERSISTED)
            .unwrap();
        assert_eq!(client.unpersisted_count(), 0);
        client.disconnect().unwrap();
        let count = broker.log_len();
        assert!(count > published, "{count} of {published}");
        while expected < count {
            assert_eq!(next(&mut delivered), expected, "in round {round}");
            expected += 1;
        }
    }
    assert!(delivered.try_next().is_none());
}

#[test]
#[ignore = "the program of the test below"]
fn subscriber() {
    let client = Client::new("subscriber");
    let store = MmapBookmarkStore::open(setting("STORES_FILE")).unwrap();
    client.set_bookmark_store(Arc::new(store)).unwrap();
    client.connect(setting("STORES_URI")).unwrap();
    client.logon().unwrap();
    let named = BookmarkSubscribe::new().set_sub_id("reader");
    let stream = client
        .bookmark_subscribe("orders", bookmark::MOST_RECENT, named)
        .unwrap();
    for message in stream {
        let number = message.data_str().unwrap().parse().unwrap();
        say("seen", number);
        client.discard(&message).unwrap();
        say("discarded", number);
    }
}

#[test]
fn a_subscriber_that_is_killed_sees_no_gap_and_nothing_that_it_had_discarded() {
    const COUNT: u64 = 6000;
    let broker = broker();
    let publisher = Client::new("publisher");
    log_on(&publisher, &broker);
    for number in 0..COUNT {
        publisher.publish("orders", number.to_string()).unwrap();
    }
    publisher.publish_flush(PATIENCE).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("bookmarks");
    let mut seen = BTreeSet::new();
    let mut discarded = BTreeSet::new();
    let mut runs = 0;
    // What was discarded just before a kill is not said, so only what was seen is counted on.
    while seen.len() < COUNT as usize {
        let mut program = Program::start("subscriber", &broker, &file, 0);
        runs += 1;
        let mut lines = 0;
        let mut is_killed = false;
        while let Some((what, number)) = program.next() {
            match &*what {
                "seen" => {
                    assert!(!discarded.contains(&number), "{number} again in run {runs}");
                    seen.insert(number);
                }
                _ => {
                    discarded.insert(number);
                }
            }
            lines += 1;
            let is_done = seen.len() == COUNT as usize;
            if !is_killed && (lines == 600 + 13 * runs || is_done) {
                program.kill();
                is_killed = true;
            }
        }
        assert!(is_killed, "it ended by itself");
    }
    assert!(seen.into_iter().eq(0..COUNT));
    assert!(runs > 1);
}
