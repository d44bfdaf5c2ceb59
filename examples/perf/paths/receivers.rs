//! Clients that receive messages and time them.

use super::progress::{Rounds, when_late};
use crate::Result;
use crate::endpoint::{Endpoint, PATIENCE};
use amps::{Client, Command, Message, MessageStream};

pub(super) const SUB_ID: &str = "sub-00001";

/// A client with handlers for its subscriptions.
pub(super) struct Handlers {
    client: Client,
    rounds: Rounds,
}

impl Handlers {
    pub(super) fn subscribed(
        endpoint: &Endpoint,
        messages: usize,
        subscriptions: usize,
    ) -> Result<Handlers> {
        let client = endpoint.client("perf-subscriber")?;
        let rounds = Rounds::new(messages);
        for number in 1..=subscriptions {
            let progress = rounds.progress.clone();
            let command = subscribe(&format!("sub-{number:05}"), &endpoint.topic);
            client.execute_async(command, move |message: &Message| progress.step(message))?;
        }
        Ok(Handlers { client, rounds })
    }

    /// The time per message of the next round.
    pub(super) fn receive(&self) -> Result<f64> {
        self.rounds.wait()
    }

    /// The same, from a firehose.
    pub(super) fn receive_again(&self, endpoint: &Endpoint) -> Result<f64> {
        self.client.publish(&endpoint.topic, b"")?;
        self.receive()
    }
}

/// A client with a stream, which the thread that measures reads.
pub(super) struct Reader {
    client: Client,
    stream: MessageStream,
    rounds: Rounds,
    messages: usize,
}

impl Reader {
    pub(super) fn subscribed(endpoint: &Endpoint, messages: usize) -> Result<Reader> {
        let client = endpoint.client("perf-subscriber")?;
        Ok(Reader {
            stream: client.execute(subscribe(SUB_ID, &endpoint.topic))?,
            client,
            rounds: Rounds::new(messages),
            messages,
        })
    }

    /// The time per message of the next round.
    pub(super) fn receive(&mut self) -> Result<f64> {
        let canceller = self.stream.canceller();
        let _in_time = when_late(move || canceller.cancel());
        for message in self.stream.by_ref().take(self.messages) {
            self.rounds.progress.step(&message);
        }
        match self.stream.end_reason() {
            None => self.rounds.wait(),
            Some(reason) => Err(format!("the messages did not all come: {reason:?}").into()),
        }
    }

    /// The same, from a firehose.
    pub(super) fn receive_again(&mut self, endpoint: &Endpoint) -> Result<f64> {
        self.client.publish(&endpoint.topic, b"")?;
        self.receive()
    }
}

/// A subscription under an id of a length that many have.
pub(super) fn subscribe(sub_id: &str, topic: &str) -> Command {
    Command::new("subscribe")
        .set_sub_id(sub_id)
        .set_topic(topic)
        .set_timeout(PATIENCE)
}
