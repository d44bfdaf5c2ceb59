//! `spark sow`, `spark subscribe` and `spark sow_and_subscribe`.

use crate::closed::when_output_is_closed;
use crate::copies::Copies;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::publisher::counted;
use crate::receiving::Receiving;
use crate::session;
use amps::{Client, CommandType, EndReason, Error, Message, MessageStream};
use std::io::{BufWriter, StdoutLock, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How many messages may wait to be printed before the server is held up.
const DEPTH: usize = 10_000;

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
    let is_closed = Arc::new(AtomicBool::new(false));
    let (canceller, closed) = (stream.canceller(), is_closed.clone());
    when_output_is_closed(move || {
        closed.store(true, Ordering::SeqCst);
        canceller.cancel();
    });

    let mut reader = Reader {
        receiving,
        client: &session.client,
        copies: copies.as_ref(),
        is_closed,
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
    let copied = copies.as_ref().map_or(Ok(()), Copies::flush);
    match (end, copied) {
        (Err(Failure::ClosedPipe), Err(failure)) => Err(failure),
        (end, copied) => {
            let end = end?;
            copied?;
            report(receiving, end, count)
        }
    }
}

/// Says how many messages came, on standard error, so that standard output is messages and
/// nothing else.
fn report(receiving: &Receiving, end: End, count: u64) -> Result<(), Failure> {
    let messages = counted(count, "message");
    let why = match end {
        End::Silence(limit) if receiving.is_short(count) => format!("nothing came for {limit:?}"),
        End::Interrupted if receiving.is_query() => "interrupted".to_string(),
        End::Enough | End::Complete | End::Silence(_) | End::Interrupted => {
            // If it is closed, there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "{messages}");
            return Ok(());
        }
    };
    let reason = format!("{why}: this is not all, but {messages}");
    Err(Failure::Other(reason))
}

struct Reader<'a> {
    receiving: &'a Receiving,
    client: &'a Client,
    copies: Option<&'a Copies>,
    /// Nobody reads the output any more.
    is_closed: Arc<AtomicBool>,
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
            Some(EndReason::Closed) if self.is_closed.load(Ordering::SeqCst) => {
                Err(Failure::ClosedPipe)
            }
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
