//! A store's file: opened, appended to, rewritten.

use super::file::LogFile;
use super::format::{BODY_MAX, HEADER_LENGTH, RECORD_WORD, Record, encode, header};
use super::options::BookmarkFileOptions;
use super::recover::{Header, Rest, read_header, read_records};
use crate::mapped_file::{MappedFile, boot_id};
use amps_core::{Error, ErrorContext, Result};
use std::path::{Path, PathBuf};

/// How much longer a file gets before it is rewritten again.
const GROWTH: u64 = 4;

/// A locked file of records.
pub(super) struct Journal<F> {
    /// None: it was lost while it was being rewritten.
    file: Option<F>,
    path: PathBuf,
    flavour: u32,
    options: BookmarkFileOptions,
    /// Where the content ends.
    used: usize,
    /// Rewrite when the content ends behind this.
    rewrite_above: u64,
    buffer: Vec<u8>,
}

/// Takes a record that was read; returns why it cannot be.
pub(super) type Show<'a> = dyn FnMut(u32, &Record<'_>) -> Result<(), &'static str> + 'a;

/// Writes the records that make the present state.
pub(super) struct Snapshot {
    bytes: Vec<u8>,
}

impl Snapshot {
    /// Adds a record.
    pub(super) fn push(&mut self, subscription: u32, record: &Record<'_>) {
        let at = self.bytes.len() as u64;
        encode(&mut self.bytes, at, subscription, record);
    }
}

impl<F: LogFile> Journal<F> {
    /// Opens a file, or makes it, and shows its records. The second value is true if it should be
    /// rewritten now: it is of another run of the machine, whose damage is no longer to be told
    /// from this one's, or lacks the name of the client.
    pub(super) fn open(
        path: &Path,
        flavour: u32,
        options: BookmarkFileOptions,
        show: &mut Show<'_>,
    ) -> Result<(Journal<F>, bool)> {
        let mut locked = MappedFile::open(path)?;
        let mut journal = Journal {
            file: None,
            path: locked.path().to_path_buf(),
            flavour,
            used: HEADER_LENGTH,
            rewrite_above: options.prune_above(),
            options,
            buffer: Vec::new(),
        };
        let found = read_header(locked.bytes(), flavour).map_err(|why| journal.refused(why))?;
        let Header::Written(run) = found else {
            journal.replace(locked, |_| {})?;
            return Ok((journal, false));
        };
        let mut owner = None;
        let end = read_records(locked.bytes(), &mut |index, record| match record {
            Record::Client(name) => {
                owner = Some(name.to_string());
                Ok(())
            }
            other => show(index, other),
        });
        journal.check_owner(owner.as_deref())?;
        let this_run = boot_id().unwrap_or_default();
        let lost = locked.len() - end.at;
        let where_ = journal.path.display();
        match &end.rest {
            Rest::Nothing => {}
            Rest::Torn => log::warn!(
                "bookmark store {where_}: a change was being written when its process died; it is \
                 cut off at {}",
                end.at
            ),
            Rest::Damaged(_) if run != this_run && run != [0; 16] => log::warn!(
                "bookmark store {where_}: the machine lost changes that were not synced; up to \
                 {lost} bytes are cut off at {}, and messages discarded since come again",
                end.at
            ),
            Rest::Damaged(damage) if journal.options.salvage() => {
                let copy = locked.copy_aside()?;
                log::warn!(
                    "bookmark store {where_}: {}; it goes on from before, {lost} bytes are only \
                     in the copy {}",
                    damage.what,
                    copy.display()
                );
            }
            Rest::Damaged(damage) => return Err(journal.refused(damage.what.clone())),
        }
        if end.rest != Rest::Nothing {
            let rest = &mut locked.bytes_mut()[end.at..];
            rest.iter_mut()
                .filter(|byte| **byte != 0)
                .for_each(|byte| *byte = 0);
        }
        journal.used = end.at;
        journal.file = Some(F::new(locked, end.at)?);
        let unnamed = owner.is_none() && !journal.options.client_name().is_empty();
        Ok((journal, run != this_run || unnamed))
    }

    fn check_owner(&self, owner: Option<&str>) -> Result<()> {
        let name = self.options.client_name();
        match owner {
            Some(owner) if !name.is_empty() && owner != name => {
                Err(self.refused(format!("it is of the client {owner}, not of {name}")))
            }
            _ => Ok(()),
        }
    }

    fn refused(&self, why: String) -> Error {
        ErrorContext::new("open the bookmark store", self.path.display().to_string())
            .with_reason(why)
            .Store()
    }

    /// Appends a record.
    pub(super) fn append(&mut self, subscription: u32, record: &Record<'_>) -> Result<()> {
        self.buffer.clear();
        encode(&mut self.buffer, self.used as u64, subscription, record);
        let failed = |why: &str| {
            ErrorContext::new(
                "write to the bookmark store",
                self.path.display().to_string(),
            )
            .with_reason(why)
            .Store()
        };
        if self.buffer.len() - RECORD_WORD > BODY_MAX {
            return Err(failed("a bookmark or the id of a subscription is too long"));
        }
        let Some(file) = &mut self.file else {
            return Err(failed("it was lost while it was being pruned"));
        };
        file.append(self.used, &self.buffer, self.options.sync_every_change())?;
        self.used += self.buffer.len();
        Ok(())
    }

    /// True if the file has become so long that it is to be rewritten.
    pub(super) fn is_long(&self) -> bool {
        self.options.prune_above() > 0 && self.used as u64 > self.rewrite_above
    }

    /// Rewrites the file, so that it holds these records only, and syncs it: at any instant it is
    /// the old one or the new one.
    ///
    /// # Errors
    ///
    /// It holds what it held.
    pub(super) fn rewrite(&mut self, fill: impl FnOnce(&mut Snapshot)) -> Result<()> {
        let locked = match self.file.take() {
            Some(file) => file.into_locked(),
            None => MappedFile::open(&self.path)?,
        };
        let rewritten = self.replace(locked, fill);
        if rewritten.is_err() {
            // Try again when there is as much again, not at each change (trap 63).
            self.rewrite_above = (self.used as u64).saturating_mul(2);
            self.reopen();
        }
        rewritten
    }

    fn replace(&mut self, locked: MappedFile, fill: impl FnOnce(&mut Snapshot)) -> Result<()> {
        let mut snapshot = Snapshot {
            bytes: header(self.flavour, boot_id().unwrap_or_default()).to_vec(),
        };
        if !self.options.client_name().is_empty() {
            snapshot.push(0, &Record::Client(self.options.client_name()));
        }
        fill(&mut snapshot);
        let content = snapshot.bytes;
        let new = locked.replace(F::length_for(content.len()), |new| {
            new.bytes_mut()[..content.len()].copy_from_slice(&content);
            Ok(())
        })?;
        self.used = content.len();
        self.rewrite_above = self
            .options
            .prune_above()
            .max((self.used as u64).saturating_mul(GROWTH));
        self.file = Some(F::new(new, self.used)?);
        Ok(())
    }

    /// Goes on with the file after it could not be replaced: the lock went with it.
    fn reopen(&mut self) {
        let reopened = MappedFile::open(&self.path).and_then(|locked| {
            let used = read_records(locked.bytes(), &mut |_, _| Ok(())).at;
            Ok((F::new(locked, used)?, used))
        });
        match reopened {
            Ok((file, used)) => {
                self.file = Some(file);
                self.used = used;
            }
            Err(error) => log::warn!("a bookmark store lost its file: {error}"),
        }
    }
}
