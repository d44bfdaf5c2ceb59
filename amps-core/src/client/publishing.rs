//! The methods that publish.

use super::Client;
use super::shared::Shared;
use super::stored::encode_header;
use super::wire::Wire;
use crate::command::whole_seconds;
use crate::command_type::CommandType;
#[cfg(doc)]
use crate::error::Error;
use crate::error::{ErrorContext, Result};
use crate::protocol::{Field, FrameWriter};
use crate::store::OutgoingCommand;
use parking_lot::MutexGuard;
use std::sync::Arc;
use std::time::Duration;

/// What is published: by reference, so that it does not go through the stack field by field.
struct Manner {
    command: CommandType,
    /// Seconds to live.
    expiration: Option<u64>,
}

impl Manner {
    const PUBLISH: Manner = Manner {
        command: CommandType::Publish,
        expiration: None,
    };

    const DELTA: Manner = Manner {
        command: CommandType::DeltaPublish,
        expiration: None,
    };

    fn expiring_after(self, lifetime: Duration) -> Manner {
        Manner {
            expiration: Some(whole_seconds(lifetime)),
            ..self
        }
    }
}

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
        self.publish_as(&Manner::PUBLISH, topic.as_ref(), data.as_ref())
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
        let manner = Manner::PUBLISH.expiring_after(lifetime);
        self.publish_as(&manner, topic.as_ref(), data.as_ref())
    }

    /// Publishes the changed fields of a record, which the server merges into it.
    ///
    /// The data must contain the fields that make up the key of the record. Guide §8.3.
    ///
    /// # Errors
    ///
    /// As [`Client::publish`].
    pub fn delta_publish(&self, topic: impl AsRef<str>, data: impl AsRef<[u8]>) -> Result<u64> {
        self.publish_as(&Manner::DELTA, topic.as_ref(), data.as_ref())
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
        let manner = Manner::DELTA.expiring_after(lifetime);
        self.publish_as(&manner, topic.as_ref(), data.as_ref())
    }

    fn publish_as(&self, manner: &Manner, topic: &str, data: &[u8]) -> Result<u64> {
        let context = || context(topic);
        if topic.is_empty() {
            return Err(context().with_reason("the topic is empty").InvalidTopic());
        }
        let shared = self.shared();
        shared.check_not_in_store(context)?;
        let wire = shared.wire.lock();
        if wire.store.is_some() {
            let mut stored = OutgoingCommand::new(manner.command, topic, data);
            stored.expiration = manner.expiration;
            return shared.publish_stored(wire, &stored);
        }
        shared.send(wire, data, context, |out| {
            let mut frame = FrameWriter::begin(out, manner.command);
            frame.text(Field::Topic, topic.as_bytes());
            if let Some(seconds) = manner.expiration {
                frame.number(Field::Expiration, seconds);
            }
            frame.finish_header(data.len());
        })?;
        Ok(0)
    }
}

#[cold]
#[inline(never)]
fn context(topic: &str) -> ErrorContext {
    ErrorContext::new("publish to", topic)
}

impl Shared {
    /// Apart from the way without a store, which is shorter and stays so.
    #[inline(never)]
    fn publish_stored(
        self: &Arc<Self>,
        wire: MutexGuard<'_, Wire>,
        command: &OutgoingCommand<'_>,
    ) -> Result<u64> {
        let context = || context(command.topic);
        self.store_and_send(wire, command, true, context, |out, sequence| {
            encode_header(out, sequence, command);
        })
    }
}
