//! The methods that publish.

use super::Client;
use super::stored::encode_header;
use crate::command::whole_seconds;
use crate::command_type::CommandType;
#[cfg(doc)]
use crate::error::Error;
use crate::error::{ErrorContext, Result};
use crate::protocol::{Field, FrameWriter};
use crate::store::OutgoingCommand;
use std::time::Duration;

/// Publishing.
impl Client {
    /// Publishes a message and returns at once; the number is 0 without a publish store.
    ///
    /// With a [publish store](Client::set_publish_store) the message is safe once this returns,
    /// connected or not: it goes out now or, if that is not possible, after the next logon. The
    /// number is what the server and the failed write handler know it by; one that is given while
    /// no connection is logged on is provisional, because a server that has seen it already makes
    /// the store give a new one.
    ///
    /// Without a store the message has been handed to the operating system when this returns; it may wait for
    /// space in the socket if the server is slow to read. Fine in a handler, where that wait also
    /// holds up receiving. Guide §3.2.
    ///
    /// ```no_run
    /// # fn run(client: &amps_core::Client) -> amps_core::Result<()> {
    /// client.publish("orders", r#"{"id":1,"qty":100}"#)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::InvalidTopic`]: the topic is empty. [`Error::Usage`]: the payload is beyond the
    /// protocol's limit, or this is a call from a store. [`Error::Store`]: the publish store could
    /// not keep it. In all these cases nothing was stored and nothing sent.
    /// [`Error::Disconnected`], only without a store: not connected, or another thread is about to
    /// log on, or the connection broke; then the server may have received it.
    #[inline]
    pub fn publish(&self, topic: impl AsRef<str>, data: impl AsRef<[u8]>) -> Result<u64> {
        self.publish_as(CommandType::Publish, topic.as_ref(), data.as_ref(), None)
    }

    /// Publishes a record that expires after `lifetime`: whole seconds, a part of one counts as
    /// one; zero never expires.
    ///
    /// # Errors
    ///
    /// As [`Client::publish`].
    pub fn publish_with_expiration(
        &self,
        topic: impl AsRef<str>,
        data: impl AsRef<[u8]>,
        lifetime: Duration,
    ) -> Result<u64> {
        let seconds = Some(whole_seconds(lifetime));
        self.publish_as(CommandType::Publish, topic.as_ref(), data.as_ref(), seconds)
    }

    /// Publishes the changed fields of a record, which the server merges into it.
    ///
    /// The data must contain the fields that make up the key of the record. Guide §8.3.
    ///
    /// # Errors
    ///
    /// As [`Client::publish`].
    pub fn delta_publish(&self, topic: impl AsRef<str>, data: impl AsRef<[u8]>) -> Result<u64> {
        let command = CommandType::DeltaPublish;
        self.publish_as(command, topic.as_ref(), data.as_ref(), None)
    }

    /// As [`Client::delta_publish`], for a record that expires after `lifetime`.
    ///
    /// # Errors
    ///
    /// As [`Client::publish`].
    pub fn delta_publish_with_expiration(
        &self,
        topic: impl AsRef<str>,
        data: impl AsRef<[u8]>,
        lifetime: Duration,
    ) -> Result<u64> {
        let command = CommandType::DeltaPublish;
        let seconds = Some(whole_seconds(lifetime));
        self.publish_as(command, topic.as_ref(), data.as_ref(), seconds)
    }

    #[inline]
    fn publish_as(
        &self,
        command: CommandType,
        topic: &str,
        data: &[u8],
        expiration: Option<u64>,
    ) -> Result<u64> {
        let context = || ErrorContext::new("publish to", topic);
        if topic.is_empty() {
            return Err(context().with_reason("the topic is empty").InvalidTopic());
        }
        let shared = self.shared();
        let mut stored = OutgoingCommand::new(command, topic, data);
        stored.expiration = expiration;
        shared.check_not_in_store(context)?;
        let wire = shared.wire.lock();
        if wire.store.is_some() {
            return shared.store_and_send(wire, &stored, true, context, |out, sequence| {
                encode_header(out, sequence, &stored);
            });
        }
        shared.send(wire, data, context, |out| {
            let mut frame = FrameWriter::begin(out, command);
            frame.text(Field::Topic, topic.as_bytes());
            if let Some(seconds) = expiration {
                frame.number(Field::Expiration, seconds);
            }
            frame.finish_header(data.len());
        })?;
        Ok(0)
    }
}
