//! Where messages come from: the command line, a file, an archive, standard input.

use crate::cli::Messages;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::split::Splitter;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;
use std::sync::mpsc::{self, SyncSender};
use std::thread;
use zip::ZipArchive;

const CHUNK: usize = 64 * 1024;

/// How many chunks are read ahead.
const AHEAD: usize = 8;

/// An input that has been opened.
pub(crate) struct Input {
    source: Source,
    delimiter: u8,
    /// For messages: the name of the file, or where else it comes from.
    shown: String,
}

enum Source {
    Message(Vec<u8>),
    /// The numbers of the entries, in order.
    Archive(ZipArchive<File>, Vec<u64>),
    Stream(Box<dyn Read + Send>, Option<u64>),
}

/// What the reading thread passes on.
enum Event {
    Chunk(Vec<u8>),
    Failed(io::Error),
    Interrupted,
}

impl Input {
    /// Opens what the flags name; standard input if they name nothing.
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`] for a file that cannot be opened, or an archive that is none of messages.
    pub(crate) fn open(messages: &Messages) -> Result<Input, Failure> {
        let (source, shown) = match (&messages.data, &messages.file) {
            (Some(data), _) => (
                Source::Message(data.clone().into_bytes()),
                "-data".to_string(),
            ),
            (None, Some(path)) => (open_file(path)?, path.display().to_string()),
            (None, None) => (
                Source::Stream(Box::new(io::stdin()), None),
                "standard input".to_string(),
            ),
        };
        Ok(Input {
            source,
            delimiter: messages.delimiter,
            shown,
        })
    }

    /// How many bytes it has, if that is known.
    pub(crate) fn size(&self) -> Option<u64> {
        match &self.source {
            Source::Stream(_, size) => *size,
            Source::Message(_) | Source::Archive(..) => None,
        }
    }

    /// Hands out one message after the other.
    ///
    /// # Errors
    ///
    /// That of `each`, or [`Failure::Other`] if reading fails or the user wants it to end.
    pub(crate) fn for_each(
        self,
        interrupt: &Interrupt,
        mut each: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let unreadable = |error: &dyn std::error::Error| {
            Failure::Other(format!("cannot read {}: {error}", self.shown))
        };
        let mut each = |message: &[u8]| match interrupt.is_pressed() {
            true => Err(interrupted()),
            false => each(message),
        };
        match self.source {
            Source::Message(data) => each(&data),
            Source::Archive(mut archive, numbers) => {
                for number in numbers {
                    let mut message = Vec::new();
                    archive
                        .by_name(&number.to_string())
                        .map_err(io::Error::from)
                        .and_then(|mut entry| entry.read_to_end(&mut message))
                        .map_err(|error| unreadable(&error))?;
                    each(&message)?;
                }
                Ok(())
            }
            Source::Stream(mut reader, _) => {
                let (sender, events) = mpsc::sync_channel(AHEAD);
                let waker = sender.clone();
                // If the channel is full, nobody waits for it.
                interrupt.on_press(move || drop(waker.try_send(Event::Interrupted)));
                // Reading standard input cannot be ended, so it is left to a thread of its own.
                thread::spawn(move || pass_on(&mut reader, &sender));
                let mut splitter = Splitter::new(self.delimiter);
                loop {
                    match events.recv() {
                        Ok(Event::Chunk(chunk)) if chunk.is_empty() => break,
                        Ok(Event::Chunk(chunk)) => splitter.push(&chunk, &mut each)?,
                        Ok(Event::Failed(error)) => return Err(unreadable(&error)),
                        Ok(Event::Interrupted) | Err(_) => return Err(interrupted()),
                    }
                }
                interrupt.forget();
                splitter.finish().map_or(Ok(()), |last| each(&last))
            }
        }
    }
}

/// Reads until the end, which is an empty chunk, or until nobody wants more.
fn pass_on(reader: &mut dyn Read, events: &SyncSender<Event>) {
    let mut buffer = vec![0; CHUNK];
    loop {
        let event = match reader.read(&mut buffer) {
            Ok(count) => Event::Chunk(buffer[..count].to_vec()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Event::Failed(error),
        };
        let goes_on = matches!(&event, Event::Chunk(chunk) if !chunk.is_empty());
        if events.send(event).is_err() || !goes_on {
            return;
        }
    }
}

fn open_file(path: &Path) -> Result<Source, Failure> {
    let wrong = |reason: &dyn std::fmt::Display| {
        Failure::Usage(format!("-file {}: {reason}", path.display()))
    };
    let mut file = File::open(path).map_err(|error| wrong(&error))?;
    let metadata = file.metadata().map_err(|error| wrong(&error))?;
    if metadata.is_dir() {
        return Err(wrong(&"it is a directory"));
    }
    // A pipe has no size, and nothing can be read from it twice.
    if !metadata.is_file() {
        return Ok(Source::Stream(Box::new(file), None));
    }
    if !is_archive(&mut file).map_err(|error| wrong(&error))? {
        return Ok(Source::Stream(Box::new(file), Some(metadata.len())));
    }
    let archive = ZipArchive::new(file).map_err(|error| wrong(&error))?;
    let mut numbers = Vec::new();
    for name in archive.file_names() {
        let name = name.map_err(|error| wrong(&error))?;
        match name.parse::<u64>() {
            Ok(number) if number.to_string() == name => numbers.push(number),
            _ => {
                return Err(wrong(&format!(
                    "the entry '{name}' of the archive is no message: they are called 1, 2, 3, ..."
                )));
            }
        }
    }
    numbers.sort_unstable();
    Ok(Source::Archive(archive, numbers))
}

/// Told by the first bytes, with which no message begins.
fn is_archive(file: &mut File) -> io::Result<bool> {
    let mut magic = Vec::new();
    file.take(4).read_to_end(&mut magic)?;
    file.rewind()?;
    Ok(magic == b"PK\x03\x04" || magic == b"PK\x05\x06")
}

fn interrupted() -> Failure {
    Failure::Other("interrupted before the end of the input".to_string())
}
