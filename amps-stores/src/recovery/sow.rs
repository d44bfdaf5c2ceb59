//! An adapter that keeps recovery points as records of a SOW topic.

use super::{FixedRecoveryPoint, RecoveryPoint, RecoveryPointAdapter};
use amps_core::{Client, Command, CommandType, EndReason, Error, ErrorContext, Message, Result};
use serde_json::{Map, Value};
use std::time::Duration;

/// Keeps each recovery point as a record of a SOW topic of a server, in JSON.
///
/// A record has three fields: the name of the client whose subscriptions are tracked, the
/// subscription, the bookmark. The topic must exist on the server, with the first two as its key.
/// The adapter works over a client of its own, connected with the message type `json` and logged
/// on; it must not be the one that is tracked. Rule P6.
///
/// Each update is a publish. With subscriptions that move fast, put a
/// [`ConflatingRecoveryPointAdapter`](super::ConflatingRecoveryPointAdapter) in front.
///
/// ```no_run
/// use amps_core::Client;
/// use amps_stores::{
///     ConflatingRecoveryPointAdapter, MemoryBookmarkStore, SowRecoveryPointAdapter,
/// };
///
/// let keeper = Client::new("viewer-recovery-points");
/// keeper.connect("tcp://127.0.0.1:9007/amps/json")?;
/// keeper.logon()?;
/// let sow = SowRecoveryPointAdapter::builder(&keeper, "viewer").build();
/// let conflating = ConflatingRecoveryPointAdapter::builder(sow).build();
/// let store = MemoryBookmarkStore::with_adapter(conflating)?;
/// # Ok::<(), amps_core::Error>(())
/// ```
#[derive(Debug)]
pub struct SowRecoveryPointAdapter {
    client: Client,
    settings: Settings,
}

/// How a [`SowRecoveryPointAdapter`] is to be made.
#[must_use]
#[derive(Debug)]
pub struct SowRecoveryPointAdapterBuilder {
    client: Client,
    settings: Settings,
}

#[derive(Debug, Clone)]
struct Settings {
    tracked: String,
    timeout: Duration,
    use_timestamp: bool,
    close_client: bool,
    update_failure_throws: bool,
    topic: String,
    client_name_field: String,
    sub_id_field: String,
    bookmark_field: String,
}

impl SowRecoveryPointAdapter {
    /// Begins to make one that works over `client` and keeps the points of the client of the name
    /// `tracked_client_name`.
    pub fn builder(
        client: &Client,
        tracked_client_name: impl AsRef<str>,
    ) -> SowRecoveryPointAdapterBuilder {
        SowRecoveryPointAdapterBuilder {
            client: client.clone(),
            settings: Settings {
                tracked: tracked_client_name.as_ref().to_string(),
                timeout: Duration::from_secs(10),
                use_timestamp: false,
                close_client: false,
                update_failure_throws: false,
                topic: "/ADMIN/bookmark_store".to_string(),
                client_name_field: "clientName".to_string(),
                sub_id_field: "subId".to_string(),
                bookmark_field: "bookmark".to_string(),
            },
        }
    }
}

impl SowRecoveryPointAdapterBuilder {
    /// How long recovering, purging and closing wait for each answer of the server; 10 s by
    /// default.
    pub fn set_timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// Whether a recovered point has the time of its record in its list, too; off by default.
    ///
    /// A server that knows none of the bookmarks then starts at that time, and not at the end of
    /// its log. What was still undiscarded at that time may be older.
    pub fn set_use_timestamp(mut self, use_timestamp: bool) -> Self {
        self.settings.use_timestamp = use_timestamp;
        self
    }

    /// Whether closing the adapter disconnects its client; off by default.
    pub fn set_close_client(mut self, close: bool) -> Self {
        self.settings.close_client = close;
        self
    }

    /// Whether a point that could not be published is an error of the discard that moved it; off
    /// by default: it is logged, and the next point makes up for it.
    pub fn set_update_failure_throws(mut self, throws: bool) -> Self {
        self.settings.update_failure_throws = throws;
        self
    }

    /// The topic; `/ADMIN/bookmark_store` by default.
    pub fn set_topic(mut self, topic: impl AsRef<str>) -> Self {
        self.settings.topic = topic.as_ref().to_string();
        self
    }

    /// The field of the client's name; `clientName` by default.
    pub fn set_client_name_field(mut self, field: impl AsRef<str>) -> Self {
        self.settings.client_name_field = field.as_ref().to_string();
        self
    }

    /// The field of the subscription; `subId` by default.
    pub fn set_sub_id_field(mut self, field: impl AsRef<str>) -> Self {
        self.settings.sub_id_field = field.as_ref().to_string();
        self
    }

    /// The field of the bookmark; `bookmark` by default.
    pub fn set_bookmark_field(mut self, field: impl AsRef<str>) -> Self {
        self.settings.bookmark_field = field.as_ref().to_string();
        self
    }

    /// Makes the adapter.
    pub fn build(self) -> SowRecoveryPointAdapter {
        SowRecoveryPointAdapter {
            client: self.client,
            settings: self.settings,
        }
    }
}

impl RecoveryPointAdapter for SowRecoveryPointAdapter {
    /// Queries the records of the tracked client.
    ///
    /// # Errors
    ///
    /// Those of a query; [`Error::Payload`] for a record that is not JSON or lacks a field;
    /// [`Error::Disconnected`] if the connection was lost before all had come.
    fn recover(&mut self) -> Result<Vec<FixedRecoveryPoint>> {
        self.records(|record, fields| {
            let sub_id = self.text(record, fields, &self.settings.sub_id_field)?;
            let mut bookmark = self.text(record, fields, &self.settings.bookmark_field)?;
            if self.settings.use_timestamp
                && let Some(instant) = record.timestamp().get(..15)
            {
                // Without the parts of a second, so that it is not later than it was.
                bookmark = format!("{bookmark},{instant}Z");
            }
            Ok(FixedRecoveryPoint::new(sub_id, bookmark))
        })
    }

    fn update(&self, point: &dyn RecoveryPoint) -> Result<()> {
        let record = self.record(point.sub_id(), Some(&point.bookmark()));
        let published = self
            .client
            .publish(&self.settings.topic, record.to_string());
        match published {
            Ok(_) => Ok(()),
            Err(error) if self.settings.update_failure_throws => Err(error),
            Err(error) => {
                let sub_id = point.sub_id();
                log::warn!("the recovery point of {sub_id} was not published: {error}");
                Ok(())
            }
        }
    }

    fn purge(&self) -> Result<()> {
        let keys = self.records(|record, _| Ok(record.sow_key().to_string()))?;
        if keys.is_empty() {
            return Ok(());
        }
        let delete = self.command("sow_delete").set_sow_keys(keys.join(","));
        self.delete(delete)
    }

    fn purge_sub(&self, sub_id: &str) -> Result<()> {
        let record = self.record(sub_id, None).to_string();
        self.delete(self.command("sow_delete").set_data(record))
    }

    /// Waits until the server has what was published, and disconnects the client if asked to.
    fn close(&self) -> Result<()> {
        let flushed = self.client.publish_flush(self.settings.timeout);
        if self.settings.close_client {
            self.client.disconnect()?;
        }
        flushed
    }
}

impl SowRecoveryPointAdapter {
    fn command(&self, name: &str) -> Command {
        Command::new(name)
            .set_topic(&self.settings.topic)
            .set_timeout(self.settings.timeout)
    }

    fn record(&self, sub_id: &str, bookmark: Option<&str>) -> Value {
        let settings = &self.settings;
        let mut fields = Map::new();
        fields.insert(
            settings.client_name_field.clone(),
            settings.tracked.as_str().into(),
        );
        fields.insert(settings.sub_id_field.clone(), sub_id.into());
        if let Some(bookmark) = bookmark {
            fields.insert(settings.bookmark_field.clone(), bookmark.into());
        }
        Value::Object(fields)
    }

    fn delete(&self, delete: Command) -> Result<()> {
        // What was published before is to be deleted, too.
        self.client.publish_flush(self.settings.timeout)?;
        let delete = delete.set_ack_type(amps_core::AckType::PROCESSED);
        self.client.execute_async_no_handler(delete)?;
        Ok(())
    }

    /// Reads all records of the tracked client.
    fn records<T>(&self, mut read: impl FnMut(&Message, &Value) -> Result<T>) -> Result<Vec<T>> {
        let settings = &self.settings;
        let mut query = self.command("sow").set_options("timestamp");
        if let Some(name) = quoted(&settings.tracked) {
            query = query.set_filter(format!("/{} = {name}", settings.client_name_field));
        }
        let mut stream = self.client.execute(query)?;
        let mut all = Vec::new();
        while let Some(message) = stream.next_timeout(settings.timeout)? {
            if message.command() != CommandType::Sow {
                continue;
            }
            let fields: Value = message.json()?;
            if fields.get(&settings.client_name_field) == Some(&settings.tracked.as_str().into()) {
                all.push(read(&message, &fields)?);
            }
        }
        if stream.end_reason() != Some(EndReason::Completed) {
            return Err(
                ErrorContext::new("read all recovery points of", &settings.tracked)
                    .with_reason("the query ended before its result was complete")
                    .Disconnected(),
            );
        }
        Ok(all)
    }

    fn text(&self, record: &Message, fields: &Value, field: &str) -> Result<String> {
        match fields.get(field).and_then(Value::as_str) {
            Some(text) => Ok(text.to_string()),
            None => Err(self.lacks(record, field)),
        }
    }

    fn lacks(&self, record: &Message, field: &str) -> Error {
        ErrorContext::new("read a recovery point from", record.topic())
            .with_reason(format!("the record has no text in its field {field}"))
            .Payload()
    }
}

/// A name as a string of a filter; none if it can be written without escapes in neither way. The
/// names of the records are compared again as they come.
fn quoted(name: &str) -> Option<String> {
    let quote = ['\'', '"']
        .into_iter()
        .find(|quote| !name.contains(*quote))?;
    (!name.contains('\\')).then(|| format!("{quote}{name}{quote}"))
}
