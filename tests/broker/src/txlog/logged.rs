//! Which topics are in the log.

use crate::config::Settings;
use crate::error::BrokerError;
use crate::queue::QueueConfig;
use crate::topic::Pattern;

/// Which topics are logged.
#[derive(Default)]
pub(crate) struct LoggedTopics {
    all: bool,
    patterns: Vec<Pattern>,
}

impl LoggedTopics {
    /// # Errors
    ///
    /// [`BrokerError::Topic`] for a pattern that is none.
    pub(crate) fn configure(settings: &Settings) -> Result<LoggedTopics, BrokerError> {
        let mut patterns = Vec::new();
        for topic in &settings.logged {
            let pattern =
                Pattern::parse(topic.as_bytes(), false).map_err(|refusal| BrokerError::Topic {
                    topic: topic.clone(),
                    problem: refusal.why.into_owned(),
                })?;
            patterns.push(pattern);
        }
        // A queue is a view of logged topics.
        let queued = settings.queues.iter().flat_map(QueueConfig::topics);
        patterns.extend(queued.map(|topic| Pattern::Literal(topic.as_bytes().into())));
        let configured = settings.topics.iter().filter(|topic| topic.is_logged());
        patterns.extend(configured.map(|topic| Pattern::Literal(topic.name().as_bytes().into())));
        Ok(LoggedTopics {
            all: settings.log_everything,
            patterns,
        })
    }

    /// True if there are any.
    pub(crate) fn any(&self) -> bool {
        self.all || !self.patterns.is_empty()
    }

    /// True if the topic of this name is among them.
    pub(crate) fn has(&self, name: &[u8]) -> bool {
        self.all || self.patterns.iter().any(|pattern| pattern.matches(name))
    }
}
