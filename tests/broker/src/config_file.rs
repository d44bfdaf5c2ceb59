//! The configuration file of the program.

use crate::builder::Builder;
use crate::config::TopicConfig;
use crate::error::BrokerError;
use crate::interval;
use crate::queue::{Delivery, Fairness, LeaseOwner, QueueConfig};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// What the file may say; anything else in it is an error.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    message_types: Option<Vec<String>>,
    #[serde(default)]
    composite_types: BTreeMap<String, String>,
    ack_conflation: Option<String>,
    server_version: Option<String>,
    unique_client_names: Option<bool>,
    output_limit: Option<usize>,
    heartbeat_tolerance: Option<u32>,
    #[serde(default)]
    logged_topics: Vec<String>,
    #[serde(default)]
    topics: Vec<Topic>,
    #[serde(default)]
    queues: Vec<Queue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Topic {
    name: String,
    message_type: Option<String>,
    key: Option<Vec<String>>,
    #[serde(default)]
    explicit_keys: bool,
    expiration: Option<String>,
    #[serde(default)]
    logged: bool,
    history: Option<String>,
}

impl Topic {
    fn config(self) -> Result<TopicConfig, String> {
        let config = match (self.key, self.explicit_keys) {
            (Some(paths), false) => TopicConfig::sow(&self.name, paths),
            (None, true) => TopicConfig::sow_with_explicit_keys(&self.name),
            _ => {
                return Err(format!(
                    "topic {}: say either \"key\" or \"explicit_keys\": true",
                    self.name
                ));
            }
        };
        let config = match self.message_type {
            Some(message_type) => config.message_type(message_type),
            None => config,
        };
        let config = match self.logged {
            true => config.logged(),
            false => config,
        };
        let config = match self.history.as_deref() {
            None => config,
            Some("unlimited") => config.history(None),
            Some(window) => config.history(duration(window)?),
        };
        Ok(match self.expiration.as_deref() {
            None => config,
            Some("enabled") => config.expiration(None),
            Some(lifetime) => config.expiration(duration(lifetime)?),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Queue {
    name: String,
    #[serde(default)]
    topics: Vec<String>,
    message_type: Option<String>,
    delivery: Option<String>,
    fairness: Option<String>,
    lease_owner: Option<String>,
    lease_period: Option<String>,
    max_backlog: Option<usize>,
    max_outstanding: Option<usize>,
    max_deliveries: Option<u32>,
    max_cancels: Option<u32>,
    expiration: Option<String>,
    priority: Option<String>,
    late_ack_memory: Option<String>,
}

impl Queue {
    fn config(self) -> Result<QueueConfig, String> {
        let name = self.name.clone();
        self.read()
            .map_err(|problem| format!("queue {name}: {problem}"))
    }

    fn read(self) -> Result<QueueConfig, String> {
        let mut config = QueueConfig::new(self.name);
        config.sources = self.topics;
        if let Some(message_type) = self.message_type {
            config = config.message_type(message_type);
        }
        if let Some(delivery) = self.delivery {
            config = config.delivery(match delivery.as_str() {
                "at-least-once" => Delivery::AtLeastOnce,
                "at-most-once" => Delivery::AtMostOnce,
                _ => return Err(format!("{delivery:?} is no delivery")),
            });
        }
        if let Some(fairness) = self.fairness {
            config = config.fairness(match fairness.as_str() {
                "proportional" => Fairness::Proportional,
                "round-robin" => Fairness::RoundRobin,
                "fast" => Fairness::Fast,
                _ => return Err(format!("{fairness:?} is no fairness")),
            });
        }
        if let Some(owner) = self.lease_owner {
            config = config.lease_owner(match owner.as_str() {
                "sublet" => LeaseOwner::Sublet,
                "strict" => LeaseOwner::Strict,
                _ => return Err(format!("{owner:?} is no lease owner")),
            });
        }
        if let Some(period) = self.late_ack_memory {
            config = config.late_ack_memory(duration(&period)?);
        }
        config.lease_period = self.lease_period.as_deref().map(duration).transpose()?;
        config.expiration = self.expiration.as_deref().map(duration).transpose()?;
        config.max_backlog = self.max_backlog.unwrap_or(config.max_backlog);
        config.max_outstanding = self.max_outstanding;
        config.max_deliveries = self.max_deliveries.unwrap_or_default();
        config.max_cancels = self.max_cancels.unwrap_or_default();
        config.priority = self.priority;
        Ok(config)
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    interval::parse(text).ok_or_else(|| format!("{text:?} is no interval such as 250ms"))
}

impl Builder {
    /// Takes over what a JSON file says; what it does not say stays as it is.
    ///
    /// ```json
    /// {
    ///   "message_types": ["json", "binary"],
    ///   "composite_types": { "order-with-scan": "composite-local(json,binary)" },
    ///   "ack_conflation": "1s",
    ///   "server_version": "5.3.5.0",
    ///   "unique_client_names": false,
    ///   "output_limit": 268435456,
    ///   "heartbeat_tolerance": 3,
    ///   "logged_topics": ["orders", "^trades/"],
    ///   "topics": [
    ///     { "name": "orders", "key": ["/id"], "logged": true },
    ///     { "name": "positions", "key": ["/id"], "history": "1h" },
    ///     { "name": "quotes", "key": ["/symbol"], "expiration": "30s" },
    ///     { "name": "blobs", "message_type": "binary", "explicit_keys": true }
    ///   ],
    ///   "queues": [
    ///     { "name": "jobs", "topics": ["orders"], "lease_period": "30s", "max_backlog": 10 }
    ///   ]
    /// }
    /// ```
    ///
    /// A queue has an entry for each method of [`QueueConfig`], with what the method takes:
    /// `topics` stands for `over`, and words are written as in `at-most-once`, `round-robin`,
    /// `strict`.
    ///
    /// The expiration of a topic is the lifetime of records whose publisher says none, or
    /// `enabled` if these never expire. Its history is the window of
    /// [`TopicConfig::history`](crate::TopicConfig::history), or `unlimited`.
    ///
    /// # Errors
    ///
    /// [`BrokerError::ConfigFile`] if the file cannot be read, is no such JSON, or has an entry
    /// that is not listed above.
    pub fn config_file(self, file: impl AsRef<Path>) -> Result<Builder, BrokerError> {
        let path = file.as_ref();
        let failed = |problem: String| BrokerError::ConfigFile {
            file: path.display().to_string(),
            problem,
        };
        let text = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        let file = serde_json::from_slice(&text).map_err(|error| failed(error.to_string()))?;
        self.take_over(file).map_err(failed)
    }

    fn take_over(mut self, file: File) -> Result<Builder, String> {
        if let Some(types) = file.message_types {
            self = self.message_types(types);
        }
        for (name, parts) in file.composite_types {
            let message_type = parts.parse().map_err(|error| format!("{name}: {error}"))?;
            self = self.composite_type(name, message_type);
        }
        if let Some(interval) = file.ack_conflation {
            self = self.conflate_acks(duration(&interval)?);
        }
        if let Some(version) = file.server_version {
            self = self.server_version(version);
        }
        if let Some(unique) = file.unique_client_names {
            self = self.unique_client_names(unique);
        }
        if let Some(bytes) = file.output_limit {
            self = self.output_limit(bytes);
        }
        if let Some(intervals) = file.heartbeat_tolerance {
            self = self.heartbeat_tolerance(intervals);
        }
        for topic in file.logged_topics {
            self = self.logged_topic(topic);
        }
        for topic in file.topics {
            self = self.topic(topic.config()?);
        }
        for queue in file.queues {
            self = self.queue(queue.config()?);
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Builder, String> {
        let file = serde_json::from_str(text).map_err(|error| error.to_string())?;
        Builder::default().take_over(file)
    }

    #[test]
    fn a_file_sets_what_it_says_and_leaves_the_rest() {
        let builder = read(
            r#"{"message_types":["json","binary"],"topics":[
                {"name":"orders","key":["/id"],"logged":true},
                {"name":"positions","key":["/id"],"history":"1h"},
                {"name":"limits","key":["/id"],"history":"unlimited"},
                {"name":"quotes","key":["/symbol"],"expiration":"30s"},
                {"name":"pairs","key":["/0/id"],"message_type":"pair","expiration":"enabled"},
                {"name":"blobs","message_type":"binary","explicit_keys":true}],
                "queues":[
                {"name":"work","topics":["orders","quotes"],"message_type":"json",
                 "delivery":"at-least-once","fairness":"round-robin","lease_owner":"strict",
                 "lease_period":"30s","max_backlog":5,"max_outstanding":50,"max_deliveries":3,
                 "max_cancels":2,"expiration":"1h","priority":"/p","late_ack_memory":"1m"},
                {"name":"jobs","delivery":"at-most-once"}],
                "composite_types":{"pair":"composite-local(json,json)"},"ack_conflation":"10ms","logged_topics":["orders"]}"#,
        );
        assert!(builder.unwrap().start().is_ok());
        assert!(read("{}").is_ok());
    }

    #[test]
    fn a_file_with_anything_unknown_or_contradictory_is_refused() {
        for text in [
            "",
            "[]",
            r#"{"topic":[]}"#,
            r#"{"topics":[{"name":"x"}]}"#,
            r#"{"topics":[{"name":"x","key":["/id"],"expiration":"soon"}]}"#,
            r#"{"queues":[{"name":"x","topic":"y"}]}"#,
            r#"{"queues":[{"name":"x","delivery":"twice"}]}"#,
            r#"{"queues":[{"name":"x","fairness":"unfair"}]}"#,
            r#"{"queues":[{"name":"x","lease_owner":"me"}]}"#,
            r#"{"queues":[{"name":"x","lease_period":"soon"}]}"#,
            r#"{"composite_types":{"x":"json json"}}"#,
            r#"{"topics":[{"name":"x","key":["/id"],"history":"long"}]}"#,
            r#"{"ack_conflation":"1"}"#,
            r#"{"logged_topics":"orders"}"#,
            r#"{"topics":[{"name":"x","key":["/id"],"explicit_keys":true}]}"#,
            r#"{"topics":[{"name":"x","keys":["/id"]}]}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
