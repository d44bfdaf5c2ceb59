//! What the client talks to: servers that do one thing each, in processes of their own.

mod answers;
mod roles;
mod session;
mod tls;

pub(crate) use session::serve;

use crate::Result;
use crate::endpoint::Endpoint;
use crate::frames;
use clap::{Args, ValueEnum};
use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

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
    /// How many different messages a firehose repeats; 0: about a mebibyte of them
    #[arg(long, default_value_t = 0)]
    pub(crate) prepared: usize,
    /// Tells after every so many publishes that they are persisted; 0: never
    #[arg(long, default_value_t = 0)]
    pub(crate) acks: usize,
    /// Sleeps between reads, so that the writer never has to wake it
    #[arg(long)]
    pub(crate) naps: bool,
    /// Speaks TLS
    #[arg(long)]
    pub(crate) tls: bool,
    /// Runs on this core only
    #[arg(long)]
    pub(crate) core: Option<usize>,
}

/// The kinds of peers. All answer logon, flush and heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Reads and discards publishes.
    Sink,
    /// Sends prepared messages to all subscriptions in turn, once for each publish.
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
            prepared: 0,
            acks: 0,
            naps: false,
            tls: false,
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
        option("prepared", self.prepared);
        option("acks", self.acks);
        if let Some(core) = self.core {
            option("core", core);
        }
        let switches = [("--naps", self.naps), ("--tls", self.tls)];
        let on = switches.into_iter().filter(|(_, on)| *on);
        arguments.extend(on.map(|(name, _)| name.to_string()));
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
            output: BufReader::new(output),
            port: 0,
            certificate: None,
        };
        let mut line = String::new();
        peer.output.read_line(&mut line)?;
        peer.port = line
            .trim()
            .parse()
            .map_err(|_| format!("the peer did not start: {self:?}"))?;
        if self.tls {
            peer.certificate = Some(tls::read_certificate(&mut peer.output)?);
        }
        Ok(peer)
    }
}

/// A running peer; dropping it ends its process.
pub(crate) struct Peer {
    child: Child,
    /// The peer ends when this closes: also if this process is killed.
    life: Option<ChildStdin>,
    /// Open as long as the peer may write.
    output: BufReader<ChildStdout>,
    port: u16,
    /// If it speaks TLS.
    certificate: Option<String>,
}

impl Peer {
    /// Where it listens.
    pub(crate) fn endpoint(&self, nodelay: bool) -> Result<Endpoint> {
        let transport = match self.certificate {
            Some(_) => "tcps",
            None => "tcp",
        };
        let port = self.port;
        let uri = format!("{transport}://127.0.0.1:{port}/amps/json?tcp_nodelay={nodelay}");
        Ok(Endpoint::new(&uri, frames::TOPIC)?.trusting(self.certificate.clone()))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.life.take());
        // It ends because its input has; there is nothing to do if waiting for that fails.
        let _ = self.child.wait();
    }
}
