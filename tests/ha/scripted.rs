//! Choosers and strategies that do what a test tells them, and remember what they were told.

use amps::{
    Authenticator, ConnectionInfo, DefaultAuthenticator, Error, ErrorContext,
    ReconnectDelayStrategy, Result, ServerChooser,
};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What was asked and told, in order, by everything that shares it.
#[derive(Clone, Default)]
pub(crate) struct Record(Arc<Mutex<Vec<String>>>);

impl Record {
    pub(crate) fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    pub(crate) fn count(&self, what: &str) -> usize {
        let entries = self.0.lock().unwrap();
        entries
            .iter()
            .filter(|entry| entry.starts_with(what))
            .count()
    }
}

/// Hands out its servers once each, in order.
pub(crate) struct Servers {
    pub(crate) record: Record,
    pub(crate) uris: VecDeque<String>,
    pub(crate) authenticator: Arc<dyn Authenticator>,
}

impl Servers {
    pub(crate) fn new<S: Into<String>>(record: &Record, uris: impl IntoIterator<Item = S>) -> Self {
        Servers {
            record: record.clone(),
            uris: uris.into_iter().map(Into::into).collect(),
            authenticator: Arc::new(DefaultAuthenticator),
        }
    }
}

impl ServerChooser for Servers {
    fn current_uri(&mut self) -> Option<String> {
        self.record.note("choose");
        self.uris.pop_front()
    }

    fn current_authenticator(&mut self) -> Arc<dyn Authenticator> {
        self.record.note("authenticator");
        self.authenticator.clone()
    }

    fn report_failure(&mut self, error: &Error, info: &ConnectionInfo) {
        let server = info.get("port").unwrap_or_default();
        self.record.note(format!("failure {server} {error}"));
    }

    fn report_success(&mut self, info: &ConnectionInfo) {
        let name = info.get("client_name").unwrap_or_default();
        self.record.note(format!("success {name}"));
    }

    fn error(&self) -> String {
        "out of servers".to_string()
    }
}

/// Waits as it is told, and gives up when the list is at its end.
pub(crate) struct Delays {
    pub(crate) record: Record,
    pub(crate) delays: VecDeque<Duration>,
}

impl ReconnectDelayStrategy for Delays {
    fn connect_wait_duration(&mut self, _uri: &str) -> Result<Duration> {
        self.record.note("delay");
        self.delays.pop_front().ok_or_else(|| {
            ErrorContext::new("reconnect", "")
                .with_reason("enough is enough")
                .TimedOut()
        })
    }

    fn reset(&mut self) {
        self.record.note("reset");
    }
}

impl Drop for Delays {
    fn drop(&mut self) {
        self.record.note("dropped");
    }
}
