//! `spark publish`.

use crate::cli::Publish;
use crate::failure::Failure;
use crate::input::Input;
use crate::interrupt::Interrupt;
use crate::pace::Pace;
use crate::publisher::{Publisher, counted};
use crate::{say, session};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Publishes every message of the input, in its order, and says how many.
pub(crate) fn run(args: &Publish, interrupt: &Interrupt) -> Result<(), Failure> {
    let target = args.server.target()?;
    let input = Input::open(&args.messages)?;
    let session = session::open("publish", &target, &args.server, interrupt)?;
    interrupt.forget();
    let is_delta = args.delta.unwrap_or_default();
    let is_checked = !args.unchecked.unwrap_or_default();
    let publisher = Publisher::new(session.client, is_delta, is_checked);
    let start = Instant::now();
    let mut pace = args.rate.map(|rate| Pace::new(rate, start));
    let mut progress = Progress::new(&input, start);
    let mut count = 0;
    let read = input.for_each(interrupt, |message| {
        while let Some(wait) = pace.as_mut().and_then(|pace| pace.wait(Instant::now())) {
            progress.show(count);
            if interrupt.wait(wait) {
                return Err(Failure::Other(
                    "interrupted before the end of the input".to_string(),
                ));
            }
        }
        publisher.publish(&args.topic.topic, message)?;
        count += 1;
        pace.iter_mut().for_each(Pace::count);
        progress.advance(message.len(), count);
        Ok(())
    });
    // Whatever ended the input, what was published before is to arrive.
    let flushed = publisher.flush(args.server.patience());
    progress.finish();
    let rate = count as f64 / start.elapsed().as_secs_f64().max(1e-9);
    let said = say(&format!(
        "{} published, {rate:.2} per second",
        counted(count, "message")
    ));
    read.and(flushed).and(said)
}

/// A line on the terminal that tells how far it is, if it takes long.
struct Progress {
    start: Instant,
    size: Option<u64>,
    bytes: u64,
    bar: Option<ProgressBar>,
    /// Nobody wants it in a file, or between the lines that are being typed.
    is_wanted: bool,
}

impl Progress {
    /// An input that takes less long needs no line.
    const LONG: Duration = Duration::from_millis(500);

    fn new(input: &Input, start: Instant) -> Progress {
        let is_typed = input.size().is_none() && std::io::stdin().is_terminal();
        Progress {
            start,
            size: input.size(),
            bytes: 0,
            bar: None,
            is_wanted: std::io::stderr().is_terminal() && !is_typed,
        }
    }

    fn advance(&mut self, length: usize, count: u64) {
        self.bytes += length as u64 + 1;
        // The clock is not asked for each of millions of messages.
        if count.is_multiple_of(256) {
            self.show(count);
        }
    }

    fn show(&mut self, count: u64) {
        if !self.is_wanted || self.start.elapsed() < Progress::LONG {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| new_bar(self.size));
        bar.set_position(self.bytes);
        bar.set_message(counted(count, "message"));
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn new_bar(size: Option<u64>) -> ProgressBar {
    let (bar, template) = match size {
        Some(size) => (
            ProgressBar::new(size),
            "{wide_bar} {percent}% {msg} {bytes_per_sec} {eta}",
        ),
        None => (
            ProgressBar::new_spinner(),
            "{spinner} {msg} {bytes} {bytes_per_sec}",
        ),
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
