//! What the client talks to: servers that do one thing each, in processes of their own.

mod roles;
mod session;

pub(crate) use session::serve;

use crate::Result;
use clap::{Args, ValueEnum};
use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};

/// What a peer does.
#[derive(Args, Clone, Debug)]
pub(crate) struct Spec {
    #[arg(value_enum)]
    pub(crate) kind: Kind,
    /// Bytes of payload in what it sends
    #[arg(long, default_value_t = 100)]
    pub(crate) payload: usize,
    /// How many messages or records it sends
    #[arg(long, default_value_t = 0)]
    pub(crate) messages: usize,
    /// Begins to send once there are so many subscriptions
    #[arg(long, default_value_t = 1)]
    pub(crate) subscriptions: usize,
    /// How many different messages a firehose repeats; 0: about a mebibyte of them
    #[arg(long, default_value_t = 0)]
    pub(crate) prepared: usize,
    /// Sleeps between reads, so that the writer never has to wake it
    #[arg(long)]
    pub(crate) naps: bool,
    /// Runs on this core only
    #[arg(long)]
    pub(crate) core: Option<usize>,
}

/// The kinds of peers. All answer logon, flush and heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Reads and discards publishes.
    Sink,
    /// Sends prepared messages once the last subscription has come, and again for each flush.
    Firehose,
    /// Answers a query with prepared batches of 100 records.
    Sow,
    /// Sends every publish back to the subscriber.
    Echo,
}

impl Spec {
    pub(crate) fn new(kind: Kind, payload: usize) -> Spec {
        Spec {
            kind,
            payload,
            messages: 0,
            subscriptions: 1,
            prepared: 0,
            naps: false,
            core: None,
        }
    }

    fn arguments(&self) -> Vec<String> {
        let kind = format!("{:?}", self.kind).to_lowercase();
        let mut arguments = vec!["peer".to_string(), kind];
        let mut option = |name: &str, value: usize| {
            arguments.extend([format!("--{name}"), value.to_string()]);
        };
        option("payload", self.payload);
        option("messages", self.messages);
        option("subscriptions", self.subscriptions);
        option("prepared", self.prepared);
        if let Some(core) = self.core {
            option("core", core);
        }
        if self.naps {
            arguments.push("--naps".to_string());
        }
        arguments
    }

    /// Starts the peer and waits until it listens.
    pub(crate) fn start(&self) -> Result<Peer> {
        let mut child = Command::new(env::current_exe()?)
            .args(self.arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let life = child.stdin.take();
        let output = child.stdout.take().ok_or("the peer has no output")?;
        let mut peer = Peer {
            child,
            life,
            port: 0,
        };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        peer.port = line
            .trim()
            .parse()
            .map_err(|_| format!("the peer did not start: {self:?}"))?;
        Ok(peer)
    }
}

/// A running peer; dropping it ends its process.
pub(crate) struct Peer {
    child: Child,
    /// The peer ends when this closes: also if this process is killed.
    life: Option<ChildStdin>,
    port: u16,
}

impl Peer {
    /// Where it listens, for plain sockets.
    pub(crate) fn address(&self) -> (&'static str, u16) {
        ("127.0.0.1", self.port)
    }

    /// Where it listens, for the client.
    pub(crate) fn uri(&self, nodelay: bool) -> String {
        format!(
            "tcp://127.0.0.1:{}/amps/json?tcp_nodelay={nodelay}",
            self.port
        )
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.life.take());
        // It ends because its input has; there is nothing to do if waiting for that fails.
        let _ = self.child.wait();
    }
}
