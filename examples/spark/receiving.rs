//! What to receive: the commands `sow`, `subscribe` and `sow_and_subscribe` and their deltas.

use crate::cli::{Follow, Query, Receive, Server, Sow, SowAndSubscribe, Subscribe};
use amps::{Command, Options, bookmark};
use std::time::Duration;

/// A command that receives.
pub(crate) struct Receiving {
    pub(crate) server: Server,
    topic: String,
    pub(crate) receive: Receive,
    query: Option<Query>,
    follow: Option<Follow>,
}

impl From<Sow> for Receiving {
    fn from(sow: Sow) -> Receiving {
        Receiving {
            server: sow.server,
            topic: sow.topic.topic,
            receive: sow.receive,
            query: Some(sow.query),
            follow: None,
        }
    }
}

impl From<Subscribe> for Receiving {
    fn from(subscribe: Subscribe) -> Receiving {
        Receiving {
            server: subscribe.server,
            topic: subscribe.topic.topic,
            receive: subscribe.receive,
            query: None,
            follow: Some(subscribe.follow),
        }
    }
}

impl From<SowAndSubscribe> for Receiving {
    fn from(both: SowAndSubscribe) -> Receiving {
        Receiving {
            server: both.server,
            topic: both.topic.topic,
            receive: both.receive,
            query: Some(both.query),
            follow: Some(both.follow),
        }
    }
}

impl Receiving {
    /// True for what only queries.
    pub(crate) fn is_query(&self) -> bool {
        self.follow.is_none()
    }

    pub(crate) fn is_delta(&self) -> bool {
        let delta = self.follow.as_ref().and_then(|follow| follow.delta);
        delta.unwrap_or_default()
    }

    pub(crate) fn is_acknowledged(&self) -> bool {
        let ack = self.follow.as_ref().and_then(|follow| follow.ack);
        ack.unwrap_or_default()
    }

    pub(crate) fn name(&self) -> &'static str {
        match (&self.query, &self.follow, self.is_delta()) {
            (Some(_), None, _) => "sow",
            (Some(_), Some(_), false) => "sow_and_subscribe",
            (Some(_), Some(_), true) => "sow_and_delta_subscribe",
            (None, _, false) => "subscribe",
            (None, _, true) => "delta_subscribe",
        }
    }

    pub(crate) fn command(&self) -> Command {
        let mut options = Options::parse(self.receive.options.as_deref().unwrap_or_default());
        if let Some(backlog) = self.follow.as_ref().and_then(|follow| follow.backlog) {
            options = options.max_backlog(backlog.get());
        }
        let mut command = Command::new(self.name())
            .set_topic(&self.topic)
            .set_filter(self.receive.filter.as_deref().unwrap_or_default())
            .set_options(options.as_str())
            .set_bookmark(self.receive.bookmark.as_deref().map_or("", known_bookmark))
            .set_timeout(self.server.patience());
        if let Some(query) = &self.query {
            command = command.set_order_by(query.orderby.as_deref().unwrap_or_default());
            if let Some(size) = query.batchsize {
                command = command.set_batch_size(size.get());
            }
            if let Some(count) = query.topn {
                command = command.set_top_n(count);
            }
        }
        command
    }

    /// How long the next message may take. A query is answered, so it has a limit; a subscription
    /// has one if it was asked for.
    pub(crate) fn idle(&self) -> Option<Duration> {
        let limit = match self.follow {
            None => self.server.patience(),
            Some(_) => self.server.timeout?,
        };
        (!limit.is_zero()).then_some(limit)
    }

    /// True if more was asked for than came.
    pub(crate) fn is_short(&self, count: u64) -> bool {
        self.is_query()
            || self
                .receive
                .count
                .is_some_and(|wanted| count < wanted.get())
    }
}

/// The words for the two ends of the log.
fn known_bookmark(text: &str) -> &str {
    match text.to_ascii_lowercase().as_str() {
        "epoch" => bookmark::EPOCH,
        "now" => bookmark::NOW,
        _ => text,
    }
}
