//! Payloads as values of the application's types, by way of JSON.

use crate::client::Client;
use crate::command_type::CommandType;
#[cfg(doc)]
use crate::error::Error;
use crate::error::{ErrorContext, Result};
use crate::message::Message;
use crate::stream::MessageStream;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::iter::FusedIterator;
use std::marker::PhantomData;

/// Publishing values.
impl Client {
    /// Publishes a value as JSON; otherwise as [`Client::publish`].
    ///
    /// # Errors
    ///
    /// [`Error::Payload`]: the value cannot be written as JSON; nothing was sent. Else as
    /// [`Client::publish`].
    pub fn publish_json<T: Serialize + ?Sized>(
        &self,
        topic: impl AsRef<str>,
        value: &T,
    ) -> Result<u64> {
        let topic = topic.as_ref();
        self.publish(topic, to_json(topic, value)?)
    }

    /// Publishes changed fields as JSON; otherwise as [`Client::delta_publish`].
    ///
    /// # Errors
    ///
    /// As [`Client::publish_json`].
    pub fn delta_publish_json<T: Serialize + ?Sized>(
        &self,
        topic: impl AsRef<str>,
        value: &T,
    ) -> Result<u64> {
        let topic = topic.as_ref();
        self.delta_publish(topic, to_json(topic, value)?)
    }
}

fn to_json<T: Serialize + ?Sized>(topic: &str, value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| {
        ErrorContext::new("write as JSON the payload for", topic)
            .with_source(error)
            .Payload()
    })
}

/// Reading values.
impl MessageStream {
    /// The payloads of this stream, read as JSON into a type of the application's.
    ///
    /// Messages that carry no record that is in scope are left out: the beginning and the end of a
    /// query, acknowledgements, and records that left ([`CommandType::Oof`]). Who needs them reads
    /// the messages, with [`Message::json`].
    ///
    /// ```no_run
    /// # fn run(client: &amps_core::Client) -> amps_core::Result<()> {
    /// #[derive(serde::Deserialize)]
    /// struct Order {
    ///     id: u64,
    ///     qty: u32,
    /// }
    /// for order in client.sow("orders")?.json::<Order>() {
    ///     let order = order?;
    ///     println!("{} {}", order.id, order.qty);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn json<T: DeserializeOwned>(self) -> JsonStream<T> {
        JsonStream {
            stream: self,
            value: PhantomData,
        }
    }
}

/// The payloads of a stream as values. See [`MessageStream::json`].
///
/// A payload that is not such a value is an [`Error::Payload`]; the next one comes all the same.
pub struct JsonStream<T> {
    stream: MessageStream,
    value: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> JsonStream<T> {
    /// The stream behind it, to look at its depth or to set it up.
    pub fn stream(&mut self) -> &mut MessageStream {
        &mut self.stream
    }

    /// The stream behind it.
    pub fn into_stream(self) -> MessageStream {
        self.stream
    }
}

impl<T: DeserializeOwned> Iterator for JsonStream<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        let message = self.stream.by_ref().find(has_record)?;
        Some(message.json())
    }
}

impl<T: DeserializeOwned> FusedIterator for JsonStream<T> {}

impl<T> fmt::Debug for JsonStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JsonStream").field(&self.stream).finish()
    }
}

fn has_record(message: &Message) -> bool {
    matches!(
        message.command(),
        CommandType::Publish | CommandType::Sow | CommandType::DeltaPublish
    )
}
