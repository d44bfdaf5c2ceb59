//! `-copy`: what comes is also published to a second server.

use crate::cli::Server;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::publisher::Publisher;
use crate::session;
use crate::target::Target;
use amps::{CommandType, Message};
use std::time::Duration;

/// The second server.
pub(crate) struct Copies {
    publisher: Publisher,
    patience: Duration,
}

impl Copies {
    /// Connects to the second server; what its address does not say is as for the first.
    pub(crate) fn open(
        address: &str,
        first: &Target,
        server: &Server,
        is_delta: bool,
        interrupt: &Interrupt,
    ) -> Result<Copies, Failure> {
        let target = first.second(address)?;
        let session = session::open("copy", &target, server, interrupt).map_err(of_copy)?;
        Ok(Copies {
            publisher: Publisher::new(session.client, is_delta, true),
            patience: server.patience(),
        })
    }

    /// Publishes a message to the topic that it came from. A record that is gone is no message.
    pub(crate) fn copy(&self, message: &Message) -> Result<(), Failure> {
        if message.command() == CommandType::Oof {
            return Ok(());
        }
        self.publisher
            .publish(message.topic(), message.data())
            .map_err(|error| of_copy(error.into()))
    }

    /// Waits until the second server has everything.
    pub(crate) fn flush(&self) -> Result<(), Failure> {
        self.publisher.flush(self.patience).map_err(of_copy)
    }
}

/// Says which of the two servers it is about.
fn of_copy(failure: Failure) -> Failure {
    match failure.exit_code() {
        2 => failure,
        _ => Failure::Other(format!("-copy: {failure}")),
    }
}
