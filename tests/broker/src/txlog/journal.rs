//! The file in which the log and the records of topics outlive the broker.
//!
//! It begins with a header of 24 bytes (magic, version, the number of the broker, a checksum of
//! these), then [records](super::record) follow. Each is given to the system with one `write`
//! before anything else comes of it, an acknowledgement in particular: what was acknowledged as
//! persisted survives the end of the process, however that comes. The file is not synced, so it
//! does not survive the end of the machine. It only grows.

use super::entry::Entry;
use super::record::{Damage, QueueEvent, Record, whole, write_logged};
use crate::error::BrokerError;
use crate::reason::{Refusal, text};
use bytes::{Buf, Bytes};
use rustc_hash::FxHashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"AMPSJRNL";
const VERSION: u32 = 1;
const HEADER: usize = 24;

/// A buffer that was larger than this for one record is let go.
const KEEP: usize = 1 << 20;

/// A journal that is open for writing.
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    /// How much of the file is whole.
    length: u64,
    /// The numbers of topics, by their places.
    numbers: FxHashMap<usize, u32>,
    next_number: u32,
    buffer: Vec<u8>,
    /// The file could not be brought back into order after a failed write: nothing is written
    /// any more.
    broken: bool,
}

/// What a journal tells when it is opened.
pub(crate) trait Restore {
    /// The place of a topic.
    ///
    /// # Errors
    ///
    /// There can be no such topic.
    fn topic(&mut self, message_type: &str, name: &[u8]) -> Result<usize, String>;

    /// A place of the log.
    fn logged(&mut self, entry: Entry);

    /// What happened to a topic that is not logged.
    fn kept(&mut self, entry: Entry);

    /// What happened to a queue.
    fn queue(&mut self, topic: usize, event: QueueEvent);
}

impl Journal {
    /// Opens a journal, or begins one, and tells what is in it. Returns it with the number of the
    /// broker that began it, which is `instance` for a new one.
    ///
    /// What a broker was writing when it ended is cut off, with a warning.
    ///
    /// # Errors
    ///
    /// [`BrokerError::Journal`] if the file cannot be read and written, belongs to another broker
    /// that runs, is no journal, or is damaged before its end; it is left as it is.
    pub(crate) fn open(
        path: &Path,
        instance: u64,
        into: &mut dyn Restore,
    ) -> Result<(Journal, u64), BrokerError> {
        let failed = |problem: String| BrokerError::Journal {
            file: path.display().to_string(),
            problem,
        };
        let told = |what: &str, error: io::Error| failed(format!("{what}: {error}"));
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|error| told("cannot open it", error))?;
        lock(&file).map_err(|error| told("another broker uses it", error))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)
            .map_err(|error| told("cannot read it", error))?;
        let mut journal = Journal {
            path: path.to_owned(),
            file,
            length: HEADER as u64,
            numbers: FxHashMap::default(),
            next_number: 0,
            buffer: Vec::new(),
            broken: false,
        };
        let begun = header(instance);
        // A header that was being written when the broker ended: it ends in the middle of one.
        let unfinished = bytes.len() < HEADER && MAGIC.starts_with(&bytes[..bytes.len().min(8)]);
        if unfinished {
            journal
                .begin(&begun)
                .map_err(|error| told("cannot write to it", error))?;
            return Ok((journal, instance));
        }
        let instance = read_header(&bytes).map_err(&failed)?;
        journal.restore(bytes.into(), into).map_err(failed)?;
        journal
            .cut()
            .map_err(|error| told("cannot cut off its end", error))?;
        Ok((journal, instance))
    }

    fn begin(&mut self, header: &[u8]) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(header)
    }

    /// Drops what follows the whole records.
    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.length)?;
        self.file.seek(SeekFrom::Start(self.length)).map(drop)
    }

    fn restore(&mut self, bytes: Bytes, into: &mut dyn Restore) -> Result<(), String> {
        let mut places = FxHashMap::default();
        let mut rest = bytes.slice(HEADER..);
        while !rest.is_empty() {
            let at = bytes.len() - rest.len();
            let place = |number: u32| places.get(&number).copied();
            let (record, length) = match Record::read(&rest, place) {
                Ok(read) => read,
                Err(Damage::Torn) if !has_record(&rest[1..]) => {
                    log::warn!(
                        "{}: the last record is not whole: {} bytes are cut off",
                        self.path.display(),
                        rest.len()
                    );
                    break;
                }
                Err(Damage::Torn) => {
                    return Err(format!(
                        "it is damaged at byte {at}, and goes on after that"
                    ));
                }
                Err(Damage::Unknown) => {
                    return Err(format!("the record at byte {at} is of an unknown kind"));
                }
            };
            rest = rest.slice(length..);
            match record {
                Record::Topic {
                    number,
                    message_type,
                    name,
                } => {
                    let message_type = String::from_utf8_lossy(&message_type);
                    let place = into.topic(&message_type, &name)?;
                    places.insert(number, place);
                    self.numbers.insert(place, number);
                    self.next_number = self.next_number.max(number.saturating_add(1));
                }
                Record::Logged(entry) => into.logged(entry),
                Record::Kept(entry) => into.kept(entry),
                Record::Queue { topic, event } => into.queue(topic, event),
            }
        }
        self.length = (bytes.len() - rest.len()) as u64;
        Ok(())
    }

    /// Gives a topic its number, if it has none.
    pub(crate) fn introduce(
        &mut self,
        place: usize,
        message_type: &str,
        name: &[u8],
    ) -> Result<(), Refusal> {
        if self.numbers.contains_key(&place) {
            return Ok(());
        }
        let number = self.next_number;
        self.write(&Record::Topic {
            number,
            message_type: Bytes::copy_from_slice(message_type.as_bytes()),
            name: Bytes::copy_from_slice(name),
        })?;
        self.next_number += 1;
        self.numbers.insert(place, number);
        Ok(())
    }

    /// Writes a record; every topic in it must have been introduced.
    ///
    /// # Errors
    ///
    /// The system did not take it, as the disk is full perhaps. Then the journal is as it was.
    pub(crate) fn write(&mut self, record: &Record) -> Result<(), Refusal> {
        let mut buffer = std::mem::take(&mut self.buffer);
        record.write(&mut buffer, |place| self.number(place));
        self.finish(buffer)
    }

    /// As [`Journal::write`] of [`Record::Logged`].
    pub(crate) fn write_logged(&mut self, entry: &Entry) -> Result<(), Refusal> {
        let mut buffer = std::mem::take(&mut self.buffer);
        write_logged(&mut buffer, entry, |place| self.number(place));
        self.finish(buffer)
    }

    fn number(&self, place: usize) -> u32 {
        self.numbers.get(&place).copied().unwrap_or(u32::MAX)
    }

    fn finish(&mut self, mut buffer: Vec<u8>) -> Result<(), Refusal> {
        let written = match self.broken {
            true => Err(io::Error::other("an earlier write failed half way")),
            false => self.file.write_all(&buffer),
        };
        let result = match written {
            Ok(()) => {
                self.length += buffer.len() as u64;
                Ok(())
            }
            Err(error) => {
                // Part of it may be there.
                if let Err(error) = self.cut() {
                    log::warn!("{}: cannot be cut: {error}", self.path.display());
                    self.broken = true;
                }
                log::warn!("{}: {error}", self.path.display());
                Err(Refusal::new(text::NOT_JOURNALED, error.to_string()))
            }
        };
        if buffer.capacity() <= KEEP {
            buffer.clear();
            self.buffer = buffer;
        }
        result
    }
}

/// True if there is a whole record anywhere.
fn has_record(bytes: &[u8]) -> bool {
    (0..bytes.len()).any(|at| whole(&bytes[at..]).is_some())
}

fn header(instance: u64) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    header.extend_from_slice(&VERSION.to_le_bytes());
    header.extend_from_slice(&instance.to_le_bytes());
    let crc = crc32fast::hash(&header);
    header.extend_from_slice(&crc.to_le_bytes());
    header
}

/// The number of the broker that began the journal.
fn read_header(bytes: &[u8]) -> Result<u64, String> {
    let Some((header, _)) = bytes.split_first_chunk::<HEADER>() else {
        return Err("it is no journal of this program".to_owned());
    };
    if !header.starts_with(MAGIC) {
        return Err("it is no journal of this program".to_owned());
    }
    let mut fields = &header[MAGIC.len()..];
    let (version, instance, crc) = (
        fields.get_u32_le(),
        fields.get_u64_le(),
        fields.get_u32_le(),
    );
    if crc != crc32fast::hash(&header[..HEADER - 4]) {
        return Err("its header is damaged".to_owned());
    }
    match version {
        VERSION => Ok(instance),
        other => Err(format!("it is of version {other}, which is unknown")),
    }
}

#[cfg(unix)]
fn lock(file: &File) -> io::Result<()> {
    let exclusive = rustix::fs::FlockOperation::NonBlockingLockExclusive;
    Ok(rustix::fs::flock(file, exclusive)?)
}

#[cfg(not(unix))]
fn lock(_: &File) -> io::Result<()> {
    Ok(())
}
