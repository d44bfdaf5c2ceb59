//! A log in a file: created, opened, salvaged, synced and closed.

use super::format::{HEADER_LEN, Header, MIN_SEGMENT, SegmentHeader};
use super::log::Log;
use super::options::{FileStoreOptions, SyncPolicy};
use super::recover::{self, Recovered, Refusal, recover};
use super::region::{Disk, DiskRegion, Region};
use crate::mapped_file::MappedFile;
use amps_core::{ErrorContext, OutgoingCommand, Result};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};

/// What was kept of a damaged file, and what may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SalvageReport {
    /// Why the file was refused.
    pub damage: String,
    /// The copy of the file as it was.
    pub copy: PathBuf,
    /// How many messages were kept.
    pub kept: usize,
    /// The pairs of numbers between which numbers are missing. Numbers also jump when a store is
    /// opened, so a gap may hold no message. What is missing after the last number cannot be told.
    pub gaps: Vec<(u64, u64)>,
}

/// A log in a file.
pub(super) struct FileLog {
    pub(super) log: Log<DiskRegion<MappedFile>>,
    policy: SyncPolicy,
    truncate_on_close: bool,
    /// Set when a sync failed: the system may have dropped what it could not write, and a later
    /// sync would not tell.
    broken: bool,
}

impl FileLog {
    pub(super) fn open(
        path: &Path,
        options: &FileStoreOptions,
    ) -> Result<(FileLog, Option<SalvageReport>)> {
        let file = MappedFile::open(path)?;
        let file = if file.len() == 0 {
            create(file, options)?
        } else {
            file
        };
        let name = Disk::name(&file);
        let (recovered, report) = match recover(file, options.expected()) {
            Ok(recovered) => (recovered, None),
            Err((file, Refusal::Damaged(error))) if options.salvages() => {
                let (file, report) = salvage(file, options, error.reason())?;
                match recover(file, options.expected()) {
                    Ok(recovered) => (recovered, Some(report)),
                    Err((_, Refusal::Foreign(error) | Refusal::Damaged(error))) => {
                        return Err(error);
                    }
                }
            }
            Err((_, Refusal::Foreign(error) | Refusal::Damaged(error))) => return Err(error),
        };
        let Recovered { log, cut } = recovered;
        if let Some(cut) = cut {
            log::warn!("publish store {name}: {cut}");
        }
        let log = FileLog {
            log,
            policy: options.policy(),
            truncate_on_close: options.truncates(),
            broken: false,
        };
        Ok((log, report))
    }

    /// Appends under a number that is above all others, and syncs if that is the policy.
    #[inline]
    pub(super) fn append(
        &mut self,
        number: u64,
        command: &OutgoingCommand<'_>,
        payload: usize,
    ) -> Result<()> {
        if self.policy != SyncPolicy::EveryAppend {
            return self.log.append(number, command, payload);
        }
        self.check()?;
        let before = self.log.mark();
        self.log.append(number, command, payload)?;
        if let Err(error) = self.log.sync_record(&before) {
            self.log.take_back(before);
            self.broken = true;
            return Err(error);
        }
        Ok(())
    }

    /// Syncs, whatever the policy.
    pub(super) fn sync(&mut self) -> Result<()> {
        self.check()?;
        self.log.sync().inspect_err(|_| self.broken = true)
    }

    /// Syncs, if the policy is to do so now and then.
    pub(super) fn sync_if_asked(&mut self) -> Result<()> {
        match self.policy {
            SyncPolicy::Never => Ok(()),
            SyncPolicy::OnFlush | SyncPolicy::EveryAppend => self.sync(),
        }
    }

    /// Syncs a change of the header that a loss of power must not undo, unless the policy is never
    /// to sync: messages that were sent would count as never sent, and be sent twice.
    pub(super) fn sync_header_if_asked(&mut self) -> Result<()> {
        if self.policy == SyncPolicy::Never {
            return Ok(());
        }
        self.check()?;
        self.log.sync_header().inspect_err(|_| self.broken = true)
    }

    /// Syncs, if the policy is to sync always.
    pub(super) fn sync_always_if_asked(&mut self) -> Result<()> {
        match self.policy {
            SyncPolicy::EveryAppend => self.sync(),
            _ => Ok(()),
        }
    }

    fn check(&self) -> Result<()> {
        if !self.broken {
            return Ok(());
        }
        let reason =
            "syncing it has failed before, so nobody knows what is on the disk; open it anew";
        Err(
            ErrorContext::new("sync the publish store", self.log.region.name())
                .with_reason(reason)
                .Store(),
        )
    }

    fn close(&mut self) -> Result<()> {
        if self.truncate_on_close && self.log.count() == 0 {
            self.log.forget_all();
            self.log.region.disk.shrink(HEADER_LEN)?;
        }
        self.sync_if_asked()
    }
}

impl Drop for FileLog {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            log::warn!("closing a publish store: {error}");
        }
    }
}

fn create(file: MappedFile, options: &FileStoreOptions) -> Result<MappedFile> {
    let segments = options.segments();
    let len = (segments as usize).saturating_mul(options.size_of_segments());
    file.replace(len.saturating_add(HEADER_LEN), |new| {
        empty(new, options).write_both_headers();
        Ok(())
    })
}

fn empty<'a>(
    disk: &'a mut MappedFile,
    options: &FileStoreOptions,
) -> Log<DiskRegion<&'a mut MappedFile>> {
    let expected = options.expected();
    let header = Header {
        file_id: RandomState::new().build_hasher().finish(),
        client_hash: expected.client_hash,
        segment_size: options.size_of_segments() as u32,
        first_ordinal: 1,
        boot_id: expected.boot_id,
        ..Header::default()
    };
    let segment_size = options.size_of_segments();
    Log::new(DiskRegion { disk, segment_size }, header, 1)
}

/// Replaces a damaged file by one with every valid record, and keeps a copy of the damaged one.
fn salvage(
    file: MappedFile,
    options: &FileStoreOptions,
    damage: &str,
) -> Result<(MappedFile, SalvageReport)> {
    let name = Disk::name(&file);
    let old = match recover::header(file.bytes(), &name) {
        Ok(header) => header,
        Err(Refusal::Damaged(_)) => Header {
            file_id: file_id(file.bytes()),
            ..Header::default()
        },
        Err(Refusal::Foreign(error)) => return Err(error),
    };
    let copy = file.copy_aside()?;
    let bytes = file.bytes().get(HEADER_LEN..).unwrap_or_default();
    let mut found: Vec<_> = recover::records(bytes, old.file_id)
        .map(|(_, record)| {
            (
                old.number(record.raw),
                record.dropped,
                record.payload.to_vec(),
            )
        })
        .filter(|(number, ..)| *number > old.last_persisted)
        .collect();
    found.sort_by_key(|(number, ..)| *number);
    found.dedup_by_key(|(number, ..)| *number);
    let mut report = SalvageReport {
        damage: damage.to_owned(),
        copy,
        kept: 0,
        gaps: Vec::new(),
    };
    let mut previous = old.last_persisted;
    for (number, dropped, _) in &found {
        if previous > 0 && *number > previous + 1 {
            report.gaps.push((previous, *number));
        }
        previous = *number;
        report.kept += usize::from(!dropped);
    }
    let len = HEADER_LEN + options.size_of_segments();
    let file = file.replace(len, |new| {
        let mut log = empty(new, options);
        log.header.client_hash = old.client_hash.max(log.header.client_hash);
        log.header.last_persisted = old.last_persisted;
        log.header.offline_from = old.offline_from;
        for (number, _, payload) in found.iter().filter(|(_, dropped, _)| !dropped) {
            let command = OutgoingCommand::decode(payload)?;
            if let Some(segments) = log.wants(payload.len()) {
                log.grow(segments)?;
            }
            log.append(*number, &command, payload.len())?;
        }
        log.skip_to(old.last_number.max(previous));
        log.sync()
    })?;
    let SalvageReport { kept, gaps, .. } = &report;
    log::warn!(
        "publish store {name}: {damage}; salvaged {kept} messages, gaps in the numbers: {gaps:?}, \
         the damaged file is {}",
        report.copy.display()
    );
    Ok((file, report))
}

/// The id of a file whose header is lost: every segment has it.
fn file_id(bytes: &[u8]) -> u64 {
    let places = (HEADER_LEN..bytes.len()).step_by(MIN_SEGMENT);
    let mut segments = places.filter_map(|at| SegmentHeader::decode(&bytes[at..]));
    segments.next().map_or(0, |segment| segment.file_id)
}
