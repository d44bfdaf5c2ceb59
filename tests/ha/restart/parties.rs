//! The processes as the test sees them.

use super::roles::{FILE, FIRST, URI};
use super::{Party, TEST, file, until};
use crate::alone::{self, Process};
use crate::built::Program;
use std::collections::{BTreeSet, HashSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver};
use std::thread;

/// The program `amps-broker` on a journal.
pub(super) struct BrokerProcess {
    /// Port 0 at first, then the one that it got.
    listen: String,
    journal: String,
    config: String,
    process: Option<Process>,
}

impl BrokerProcess {
    pub(super) fn new(folder: &Path) -> BrokerProcess {
        let config = file(folder, "config.json");
        std::fs::write(&config, r#"{"logged_topics":["t"]}"#).unwrap();
        BrokerProcess {
            listen: "127.0.0.1:0".to_string(),
            journal: file(folder, "journal"),
            config,
            process: None,
        }
    }

    pub(super) fn uri(&self) -> String {
        format!("tcp://{}/amps/json?tcp_nodelay=true", self.listen)
    }

    /// Starts it, and reads where it listens; `None` if it does not.
    fn try_start(&mut self) -> Option<String> {
        let mut child = Command::new(program())
            .args(["--listen", &self.listen, "--journal", &self.journal])
            .args(["--config", &self.config])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let out = child.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut line).unwrap();
        self.process = Some(Process(child));
        let address = line.split("tcp://").nth(1)?.split('/').next()?;
        Some(address.to_string())
    }
}

impl Party for BrokerProcess {
    fn start(&mut self) {
        // The port may be taken for a moment, by a socket of somebody else.
        let mut address = None;
        until("the broker listens", || {
            address = self.try_start();
            address.is_some()
        });
        self.listen = address.unwrap();
    }

    fn kill(&mut self) {
        self.process = None;
    }
}

fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let broker = Program {
        file: "amps-broker",
        build: &["--package", "amps-broker"],
        sources: &["tests/broker/src", "amps-core/src", "amps-codecs/src"],
    };
    PROGRAM.get_or_init(|| broker.path().unwrap())
}

/// A process of this test binary, and what it says.
struct Talker {
    process: Process,
    lines: Receiver<(String, u64)>,
}

impl Talker {
    fn start(mut command: Command) -> Talker {
        let mut child: Child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        // Until the process ends.
        thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                // The harness talks, too.
                let said = line.rsplit("... ").next().unwrap_or_default();
                if let Some((what, number)) = said.split_once(' ')
                    && let Ok(number) = number.parse()
                {
                    let _ = sender.send((what.to_string(), number));
                }
            }
        });
        Talker {
            process: Process(child),
            lines,
        }
    }

    /// Kills it; returns what it had still said.
    fn kill(mut self) -> Vec<(String, u64)> {
        self.process.kill();
        self.lines.iter().collect()
    }
}

/// What was published.
#[derive(Default)]
pub(super) struct Published {
    /// `publish` has returned.
    pub(super) confirmed: BTreeSet<u64>,
    /// The process was killed before it said so.
    pub(super) uncertain: HashSet<u64>,
}

pub(super) struct PublisherProcess {
    uri: String,
    file: String,
    published: Published,
    first: u64,
    talker: Option<Talker>,
}

impl PublisherProcess {
    pub(super) fn new(uri: &str, folder: &Path) -> PublisherProcess {
        PublisherProcess {
            uri: uri.to_string(),
            file: file(folder, "publishes"),
            published: Published::default(),
            first: 1,
            talker: None,
        }
    }

    fn note(&mut self, said: Vec<(String, u64)>) {
        let published = said.into_iter().filter(|(what, _)| what == "published");
        for (_, number) in published {
            self.published.confirmed.insert(number);
            self.first = number + 1;
        }
    }

    /// Lets it end in peace.
    pub(super) fn finish(mut self) -> Published {
        let mut talker = self.talker.take().unwrap();
        drop(talker.process.0.stdin.take());
        let mut said = Vec::new();
        until("the publisher is finished", || {
            said.extend(talker.lines.try_iter());
            said.iter().any(|(what, _)| what == "finished")
        });
        self.note(said);
        self.published
    }
}

impl Party for PublisherProcess {
    fn start(&mut self) {
        let mut command = alone::command(TEST, "publisher");
        command
            .env(URI, &self.uri)
            .env(FILE, &self.file)
            .env(FIRST, self.first.to_string());
        self.talker = Some(Talker::start(command));
    }

    fn kill(&mut self) {
        let said = self.talker.take().unwrap().kill();
        self.note(said);
        // It may have published one more than it had time to say.
        self.published.uncertain.insert(self.first);
        self.first += 1;
    }
}

pub(super) struct SubscriberProcess {
    uri: String,
    file: String,
    last: u64,
    seen: HashSet<u64>,
    discarded: HashSet<u64>,
    repeats: u64,
    faults: Vec<String>,
    talker: Option<Talker>,
}

impl SubscriberProcess {
    pub(super) fn new(uri: &str, folder: &Path) -> SubscriberProcess {
        SubscriberProcess {
            uri: uri.to_string(),
            file: file(folder, "bookmarks"),
            last: 0,
            seen: HashSet::new(),
            discarded: HashSet::new(),
            repeats: 0,
            faults: Vec::new(),
            talker: None,
        }
    }

    fn note(&mut self, said: impl IntoIterator<Item = (String, u64)>) {
        for (what, number) in said {
            match what.as_str() {
                "discarded" => {
                    self.discarded.insert(number);
                }
                "saw" if self.seen.insert(number) => {
                    if number < self.last {
                        let fault = format!("{number} came after {}", self.last);
                        self.faults.push(fault);
                    }
                    self.last = number;
                }
                "saw" if self.discarded.contains(&number) => {
                    self.faults.push(format!("{number} came again"));
                }
                "saw" => self.repeats += 1,
                _ => {}
            }
        }
    }

    /// Waits until something new has come, so that everybody is connected again.
    pub(super) fn wait_for_news(&mut self) {
        let before = self.last;
        until("something new comes", || {
            self.listen();
            self.last > before + 5
        });
    }

    pub(super) fn wait_for(&mut self, published: &Published) {
        until("everything has come", || {
            self.listen();
            published
                .confirmed
                .iter()
                .all(|number| self.seen.contains(number))
        });
    }

    fn listen(&mut self) {
        let said: Vec<_> = self.talker.as_ref().unwrap().lines.try_iter().collect();
        self.note(said);
    }

    /// Fails if something was lost, or came again after it was discarded, or out of order.
    pub(super) fn verdict(mut self, published: &Published) -> u64 {
        self.kill();
        assert_eq!(self.faults, [""; 0]);
        for number in &self.seen {
            let known =
                published.confirmed.contains(number) || published.uncertain.contains(number);
            assert!(known, "{number} was never published");
        }
        self.repeats
    }
}

impl Party for SubscriberProcess {
    fn start(&mut self) {
        let mut command = alone::command(TEST, "subscriber");
        command.env(URI, &self.uri).env(FILE, &self.file);
        self.talker = Some(Talker::start(command));
    }

    fn kill(&mut self) {
        let said = self.talker.take().unwrap().kill();
        self.note(said);
    }
}
