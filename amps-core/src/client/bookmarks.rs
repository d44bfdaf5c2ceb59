//! Bookmark subscriptions: where they start, and which of their messages come through.

use super::Client;
use super::receiving::DEFAULT_TIMEOUT;
use super::route::Route;
use super::shared::Shared;
use crate::ack::AckType;
use crate::bookmark::{self, BookmarkRange};
use crate::command::Command;
use crate::command_type::CommandType;
use crate::error::Result;
use crate::handler::{HandlerOutcome, MessageHandler};
use crate::message::Message;
use crate::protocol::Field;
use crate::store::{BookmarkStore, Logged};
use crate::stream::MessageStream;
use std::sync::Arc;
use std::time::Duration;

/// The rarer parts of a bookmark subscription: a content filter, options, a subscription id, and
/// how long to wait for the server (default 10 s; zero waits for ever).
///
/// Give it a subscription id that stays the same from run to run, or nothing can be resumed by the
/// next run (rule L3).
#[derive(Debug, Clone)]
pub struct BookmarkSubscribe {
    filter: String,
    options: String,
    sub_id: String,
    timeout: Duration,
}

impl Default for BookmarkSubscribe {
    fn default() -> Self {
        BookmarkSubscribe {
            filter: String::new(),
            options: String::new(),
            sub_id: String::new(),
            timeout: DEFAULT_TIMEOUT,
        }
    }
}

impl BookmarkSubscribe {
    /// No filter, no options, a subscription id that is made up.
    pub fn new() -> BookmarkSubscribe {
        BookmarkSubscribe::default()
    }

    /// Sets the content filter.
    #[must_use]
    pub fn set_filter(mut self, filter: impl AsRef<str>) -> Self {
        self.filter = filter.as_ref().to_string();
        self
    }

    /// Sets the options, a comma list; see [`Options`](crate::Options).
    #[must_use]
    pub fn set_options(mut self, options: impl AsRef<str>) -> Self {
        self.options = options.as_ref().to_string();
        self
    }

    /// Sets the subscription id.
    #[must_use]
    pub fn set_sub_id(mut self, sub_id: impl AsRef<str>) -> Self {
        self.sub_id = sub_id.as_ref().to_string();
        self
    }

    /// Sets how long to wait for the server; zero waits for ever.
    #[must_use]
    pub fn set_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    fn command(&self, topic: &str, bookmark: &str) -> Command {
        Command::from(CommandType::Subscribe)
            .set_topic(topic)
            .set_bookmark(bookmark)
            .set_filter(&self.filter)
            .set_options(&self.options)
            .set_sub_id(&self.sub_id)
            .set_timeout(self.timeout)
    }
}

/// Subscriptions that start in the past.
impl Client {
    /// Subscribes to a logged topic from a bookmark on: first what was published since, then what
    /// comes.
    ///
    /// With [`bookmark::MOST_RECENT`] it goes on where the bookmark store left off. Guide §9.6,
    /// §10.4; rules L1 to L4.
    ///
    /// ```no_run
    /// # fn run(client: &amps_core::Client) -> amps_core::Result<()> {
    /// use amps_core::{BookmarkSubscribe, bookmark};
    ///
    /// let resumable = BookmarkSubscribe::new().set_sub_id("orders-reader");
    /// for message in client.bookmark_subscribe("orders", bookmark::MOST_RECENT, resumable)? {
    ///     println!("{}", message.data_str()?);
    ///     client.discard(&message)?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Client::execute`]; [`Error::Store`](crate::Error::Store) if the bookmark store cannot
    /// tell where to start.
    pub fn bookmark_subscribe(
        &self,
        topic: impl AsRef<str>,
        bookmark: impl AsRef<str>,
        rest: BookmarkSubscribe,
    ) -> Result<MessageStream> {
        self.execute(rest.command(topic.as_ref(), bookmark.as_ref()))
    }

    /// As [`Client::bookmark_subscribe`], with a handler on the receive thread; returns the
    /// subscription id.
    ///
    /// # Errors
    ///
    /// As [`Client::bookmark_subscribe`].
    pub fn bookmark_subscribe_async<H, O>(
        &self,
        handler: H,
        topic: impl AsRef<str>,
        bookmark: impl AsRef<str>,
        rest: BookmarkSubscribe,
    ) -> Result<String>
    where
        H: FnMut(&Message) -> O + Send + 'static,
        O: HandlerOutcome,
    {
        self.execute_async(rest.command(topic.as_ref(), bookmark.as_ref()), handler)
    }

    /// Sets who gets the messages of bookmark subscriptions that the application has discarded
    /// before, and which are therefore not delivered. Runs on the receive thread. Default: they are
    /// dropped. Rules C9, L4.
    pub fn set_duplicate_message_handler<H, O>(&self, handler: H)
    where
        H: FnMut(&Message) -> O + Send + 'static,
        O: HandlerOutcome,
    {
        let handler = MessageHandler::new(handler);
        self.shared().callbacks.set_duplicate(handler);
    }
}

/// What a bookmark means for a subscription.
#[derive(Default)]
pub(crate) struct Start {
    /// Where its messages are logged.
    pub(crate) store: Option<Arc<dyn BookmarkStore>>,
    /// The bookmark, or the start of the range, that it is entered with.
    pub(crate) point: String,
    /// It is over when the replay is done.
    pub(crate) ends_with_replay: bool,
    /// What the engine asks for to know.
    pub(crate) acks: AckType,
}

impl Shared {
    /// Makes the bookmark of a subscription one that the server understands, and tells what the
    /// bookmark store has to know of it (rules L2, L13, L21). Nothing for any other command.
    ///
    /// # Errors
    ///
    /// `Store`: where it left off is not known. Nothing was sent.
    pub(crate) fn start_at_bookmark(&self, command: &mut Command) -> Result<Start> {
        if command.bookmark().is_empty() {
            return Ok(Start::default());
        }
        let store = self.stores.lock().bookmark.clone();
        let store = store.filter(|_| command.is_subscribe());
        if command.bookmark() == bookmark::MOST_RECENT {
            let most_recent = match &store {
                Some(store) => store.most_recent(command.sub_id())?,
                // Nothing is known of the subscription.
                None => bookmark::EPOCH.to_string(),
            };
            command.set_field(Field::Bookmark, &most_recent);
        }
        if !command.is_subscribe() {
            return Ok(Start::default());
        }
        let range = match BookmarkRange::is_range(command.bookmark()) {
            true => Some(BookmarkRange::parse(command.bookmark())?),
            false => None,
        };
        let point = range
            .as_ref()
            .map_or(command.bookmark(), BookmarkRange::start)
            .to_string();
        let ends_with_replay = range.is_some_and(|range| !range.end().is_empty());
        let mut acks = AckType::NONE;
        if store.is_some() {
            acks |= AckType::PERSISTED | AckType::COMPLETED;
        }
        if ends_with_replay {
            acks |= AckType::COMPLETED;
        }
        Ok(Start {
            store,
            point,
            ends_with_replay,
            acks,
        })
    }

    /// Logs a message of a bookmark subscription before it is delivered; false if it was discarded
    /// before (rule L4). A message that cannot be logged is delivered all the same, without a
    /// number: a store that fails must not stop the flow, and the exception listener is told.
    #[inline]
    pub(crate) fn log_bookmark(&self, route: &Route, message: &mut Message) -> bool {
        let Some(store) = &route.bookmarks else {
            return true;
        };
        if message.command() != CommandType::Publish || message.bookmark().is_empty() {
            return true;
        }
        let logged = self.report_failed(|| store.log(&route.sub_id, message.bookmark()));
        let number = match logged {
            Some(Logged::Undiscarded(number)) => number,
            None => 0,
            Some(Logged::Discarded) => return false,
        };
        message.set_bookmark_seq_no(number);
        true
    }

    /// Takes note of what the server says of a replay (rules L11, L12).
    pub(crate) fn note_bookmark_ack(&self, route: &Route, ack: &Message) {
        let Some(store) = &route.bookmarks else {
            return;
        };
        if ack.to_result().is_err() {
            return;
        }
        if ack.ack_type().contains(AckType::COMPLETED) {
            self.report_failed(|| store.completed(&route.sub_id, ack.bookmark()));
        } else if ack.ack_type().contains(AckType::PERSISTED) && !ack.bookmark().is_empty() {
            self.report_failed(|| store.persisted(&route.sub_id, ack.bookmark()));
        }
    }
}
