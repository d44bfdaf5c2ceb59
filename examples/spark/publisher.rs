//! Publishing, and learning what the server has refused.

use crate::failure::{Failure, described};
use amps::{AckType, Client, Command, CommandType, Error};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// Publishes to one server.
pub(crate) struct Publisher {
    client: Client,
    command: CommandType,
    is_checked: bool,
    refused: Arc<Mutex<Refused>>,
}

#[derive(Default)]
struct Refused {
    count: u64,
    first: Option<Error>,
}

impl Publisher {
    /// `is_checked`: asks the server about each message, so that [`Publisher::flush`] knows of
    /// those that it has refused. Nothing is waited for: the answers come on the receive thread
    /// of the client, and as no route takes them, to the last chance handler.
    pub(crate) fn new(client: Client, is_delta: bool, is_checked: bool) -> Publisher {
        let refused = Arc::new(Mutex::new(Refused::default()));
        let seen = refused.clone();
        client.set_last_chance_message_handler(move |message: &amps::Message| {
            if let Err(error) = message.to_result() {
                let mut seen = seen.lock();
                seen.count += 1;
                seen.first.get_or_insert(error);
            }
        });
        Publisher {
            client,
            command: match is_delta {
                true => CommandType::DeltaPublish,
                false => CommandType::Publish,
            },
            is_checked,
            refused,
        }
    }

    /// Hands a message to the operating system.
    pub(crate) fn publish(&self, topic: &str, data: &[u8]) -> Result<(), Error> {
        let mut command = Command::from(self.command).set_topic(topic).set_data(data);
        if self.is_checked {
            command = command.add_ack_type(AckType::PROCESSED);
        }
        self.client.execute_async_no_handler(command)?;
        Ok(())
    }

    /// Waits until the server has processed everything; zero waits for ever.
    ///
    /// # Errors
    ///
    /// That of the flush; else [`Failure::Other`] if the server has refused any message so far.
    pub(crate) fn flush(&self, timeout: Duration) -> Result<(), Failure> {
        self.client.publish_flush(timeout)?;
        let refused = self.refused.lock();
        match &refused.first {
            None => Ok(()),
            Some(first) => Err(Failure::Other(format!(
                "{} refused, the first: {}",
                counted(refused.count, "message"),
                described(first)
            ))),
        }
    }
}

/// A number of things.
pub(crate) fn counted(count: u64, thing: &str) -> String {
    match count {
        1 => format!("1 {thing}"),
        _ => format!("{count} {thing}s"),
    }
}
