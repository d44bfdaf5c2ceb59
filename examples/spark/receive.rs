//! `spark sow`, `spark subscribe` and `spark sow_and_subscribe`.

use crate::cli::{Follow, Query, Receive, Server, Sow, SowAndSubscribe, Subscribe};
use crate::copies::Copies;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::publisher::counted;
use crate::session;
use amps::{Client, Command, CommandType, EndReason, Error, Message, MessageStream, bookmark};
use std::io::{BufWriter, StdoutLock, Write};
use std::time::Duration;

/// How many messages may wait to be printed before the server is held up.
const DEPTH: usize = 10_000;

/// A command that receives.
pub(crate) struct Receiving {
    server: Server,
    topic: String,
    receive: Receive,
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
    fn is_delta(&self) -> bool {
        let delta = self.follow.as_ref().and_then(|follow| follow.delta);
        delta.unwrap_or_default()
    }

    fn is_acknowledged(&self) -> bool {
        let ack = self.follow.as_ref().and_then(|follow| follow.ack);
        ack.unwrap_or_default()
    }

    fn name(&self) -> &'static str {
        match (&self.query, &self.follow, self.is_delta()) {
            (Some(_), None, _) => "sow",
            (Some(_), Some(_), false) => "sow_and_subscribe",
            (Some(_), Some(_), true) => "sow_and_delta_subscribe",
            (None, _, false) => "subscribe",
            (None, _, true) => "delta_subscribe",
        }
    }

    fn command(&self) -> Command {
        let mut options = amps::Options::parse(self.receive.options.as_deref().unwrap_or_default());
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
    fn idle(&self) -> Option<Duration> {
        let limit = match self.follow {
            None => self.server.patience(),
            Some(_) => self.server.timeout?,
        };
        (!limit.is_zero()).then_some(limit)
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

/// Why no more is read.
enum End {
    /// As many as were wanted.
    Enough,
    /// All that there is.
    Complete,
    /// Nothing came for so long.
    Silence(Duration),
    Interrupted,
}

/// Prints what comes until there is no more, or enough.
pub(crate) fn run(receiving: &Receiving, interrupt: &Interrupt) -> Result<(), Failure> {
    let target = receiving.server.target()?;
    let (server, is_delta) = (&receiving.server, receiving.is_delta());
    let copies = match &receiving.receive.copy {
        Some(address) => Some(Copies::open(address, &target, server, is_delta, interrupt)?),
        None => None,
    };
    let session = session::open(receiving.name(), &target, server, interrupt)?;
    let mut stream = session.client.execute(receiving.command())?;
    stream.set_max_depth(DEPTH);
    let canceller = stream.canceller();
    interrupt.on_press(move || canceller.cancel());

    let mut reader = Reader {
        receiving,
        client: &session.client,
        copies: copies.as_ref(),
        out: BufWriter::new(std::io::stdout().lock()),
        count: 0,
    };
    let end = reader.read(&mut stream, interrupt);
    let end = reader.flush().and(end);
    let end = end.and_then(|end| reader.settle().map(|()| end));
    let count = reader.count;
    drop(reader);
    drop(stream);
    // What was read is copied, also if nobody reads the output any more.
    let copied = copies.map_or(Ok(()), Copies::finish);
    let end = match (end, copied) {
        (Err(Failure::ClosedPipe), Err(failure)) => return Err(failure),
        (end, copied) => end.and_then(|end| copied.map(|()| end))?,
    };
    let failure = match end {
        End::Silence(limit) if receiving.is_short(count) => format!("nothing came for {limit:?}"),
        End::Interrupted if receiving.follow.is_none() => "interrupted".to_string(),
        End::Enough | End::Complete | End::Silence(_) | End::Interrupted => {
            // On standard error, so that standard output is messages and nothing else. If that is
            // closed, there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "{}", counted(count, "message"));
            return Ok(());
        }
    };
    Err(Failure::Other(format!(
        "{failure}: this is not all, but {}",
        counted(count, "message")
    )))
}

impl Receiving {
    /// True if more was asked for than came.
    fn is_short(&self, count: u64) -> bool {
        self.follow.is_none()
            || self
                .receive
                .count
                .is_some_and(|wanted| count < wanted.get())
    }
}

struct Reader<'a> {
    receiving: &'a Receiving,
    client: &'a Client,
    copies: Option<&'a Copies>,
    out: BufWriter<StdoutLock<'static>>,
    count: u64,
}

impl Reader<'_> {
    fn read(&mut self, stream: &mut MessageStream, interrupt: &Interrupt) -> Result<End, Failure> {
        let idle = self.receiving.idle();
        loop {
            if interrupt.is_pressed() {
                return Ok(End::Interrupted);
            }
            // What was printed does not wait for what comes next.
            if stream.depth() == 0 {
                self.flush()?;
            }
            let message = match idle {
                None => stream.next(),
                Some(limit) => match stream.next_timeout(limit) {
                    Err(Error::TimedOut(_)) => return Ok(End::Silence(limit)),
                    next => next?,
                },
            };
            match message {
                None => return self.ended(stream.end_reason()),
                // Not the markers around the result of a query.
                Some(message)
                    if matches!(
                        message.command(),
                        CommandType::Publish | CommandType::Sow | CommandType::Oof
                    ) =>
                {
                    self.take(&message)?;
                }
                Some(_) => {}
            }
            if self
                .receiving
                .receive
                .count
                .is_some_and(|wanted| self.count >= wanted.get())
            {
                return Ok(End::Enough);
            }
        }
    }

    fn ended(&self, reason: Option<EndReason>) -> Result<End, Failure> {
        match reason {
            Some(EndReason::Closed) => Ok(End::Interrupted),
            Some(EndReason::Disconnected) => Err(Failure::Other(format!(
                "the connection was lost after {}",
                counted(self.count, "message")
            ))),
            _ => Ok(End::Complete),
        }
    }

    /// Prints, copies, then acknowledges.
    fn take(&mut self, message: &Message) -> Result<(), Failure> {
        let is_acknowledged = self.receiving.is_acknowledged() && message.has_lease();
        self.receiving
            .receive
            .format
            .write(message, &mut self.out)
            .map_err(|error| Failure::output(&error))?;
        if is_acknowledged {
            self.flush()?;
        }
        if let Some(copies) = self.copies {
            copies.copy(message)?;
            if is_acknowledged {
                copies.flush()?;
            }
        }
        if is_acknowledged {
            message.ack()?;
        }
        self.count += 1;
        Ok(())
    }

    /// Waits until the server has seen the acknowledgements, which it does not answer.
    fn settle(&self) -> Result<(), Failure> {
        match self.receiving.is_acknowledged() {
            true => Ok(self
                .client
                .publish_flush(self.receiving.server.patience())?),
            false => Ok(()),
        }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(|error| Failure::output(&error))
    }
}
