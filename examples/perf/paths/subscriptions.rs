//! Receiving with 10,000 subscriptions on the connection, each with its own handler.
//!
//! Floor: the same messages with one. With many, they go to all of them in turn.

use super::log_on;
use super::receive::{Progress, subscribe};
use crate::Result;
use crate::measure::{Plan, Row, pairs};
use crate::peers::{Kind, Peer, Spec};
use amps::{Client, Message};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

const MANY: usize = 10_000;

const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn run(plan: &Plan, name: &str) -> Result<Vec<Row>> {
    let messages = plan.messages(400_000);
    let spec = |subscriptions| Spec {
        messages,
        subscriptions,
        prepared: MANY,
        ..Spec::new(Kind::Firehose, 100)
    };
    let (many_peer, one_peer) = (spec(MANY).start()?, spec(1).start()?);
    let (many, one) = (
        subscribed(&many_peer, messages, MANY)?,
        subscribed(&one_peer, messages, 1)?,
    );
    let pairs = pairs(plan, || many.receive(), || one.receive())?;
    Ok(vec![pairs.row(name, 1.2)])
}

/// A client with its subscriptions, to which the firehose sends again when it is asked to flush.
struct Subscribed {
    client: Client,
    progress: Receiver<f64>,
}

fn subscribed(peer: &Peer, messages: usize, subscriptions: usize) -> Result<Subscribed> {
    let client = log_on(peer.uri(true))?;
    let (progress, done) = Progress::new(messages);
    let progress = Arc::new(progress);
    for number in 0..subscriptions {
        let progress = progress.clone();
        let command = subscribe(&format!("sub-{number:05}"));
        client.execute_async(command, move |message: &Message| progress.step(message))?;
    }
    // The last subscription starts the first round, which warms up.
    done.recv_timeout(PATIENCE)?;
    Ok(Subscribed {
        client,
        progress: done,
    })
}

impl Subscribed {
    fn receive(&self) -> Result<f64> {
        self.client.publish_flush(PATIENCE)?;
        Ok(self.progress.recv_timeout(PATIENCE)?)
    }
}
