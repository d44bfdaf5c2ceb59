//! Where the segments of a log are: in memory, or behind a header on a disk.

use super::format::{HEADER_LEN, Header, SLOT_LEN, SLOT_STRIDE, put_u64};
use crate::mapped_file::MappedFile;
use amps_core::{Error, ErrorContext, Result};

/// A run of segments that belong together; nearly always one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) start: u32,
    pub(super) span: u32,
}

/// Segments of one size, and a place for a header.
pub(super) trait Region: Send {
    /// Whether records carry a checksum.
    const CHECKED: bool;

    fn segment_size(&self) -> usize;

    /// How many segments there are.
    fn segments(&self) -> u32;

    /// Makes it so many segments; the new ones are zero.
    fn grow(&mut self, segments: u32) -> Result<()>;

    fn bytes(&self, place: Place) -> &[u8];

    fn bytes_mut(&mut self, place: Place) -> &mut [u8];

    /// Writes a word at once, after everything that was written before.
    fn commit(&mut self, place: Place, at: usize, word: u64);

    /// Has `write` write a record from `at` on, all but its first word, and commits that word,
    /// which it returns.
    #[inline]
    fn append(&mut self, place: Place, at: usize, write: impl FnOnce(&mut [u8]) -> u64) {
        let word = write(&mut self.bytes_mut(place)[at..]);
        self.commit(place, at, word);
    }

    /// Writes the header into the older slot, under the next generation.
    fn write_header(&mut self, header: &mut Header);

    /// Returns when everything that was written is safe from a loss of power.
    fn sync(&self) -> Result<()>;

    /// As [`sync`](Region::sync), for the header alone.
    fn sync_header(&self) -> Result<()>;

    /// Names the store in errors.
    fn name(&self) -> String;

    /// The error for a record that cannot be read.
    fn damaged(&self, place: Place, at: usize) -> Error {
        let offset = HEADER_LEN + place.start as usize * self.segment_size() + at;
        ErrorContext::new("read the publish store", self.name())
            .with_reason(format!("the record at byte {offset} is damaged"))
            .Store()
    }
}

/// How much memory is allocated before it is used: enough for the first bursts.
const AT_ONCE: usize = 64 << 20;

/// Segments in memory; most are allocated when they are first used.
pub(super) struct MemoryRegion {
    blocks: Vec<Box<[u8]>>,
    segment_size: usize,
}

impl MemoryRegion {
    pub(super) fn new(segment_size: usize, segments: u32) -> MemoryRegion {
        let mut blocks = Vec::new();
        let at_once = (segments as usize).min(AT_ONCE / segment_size);
        blocks.resize_with(at_once, || zeros(segment_size));
        blocks.resize_with(segments as usize, Box::default);
        MemoryRegion {
            blocks,
            segment_size,
        }
    }
}

fn zeros(len: usize) -> Box<[u8]> {
    vec![0; len].into_boxed_slice()
}

impl Region for MemoryRegion {
    const CHECKED: bool = false;

    fn segment_size(&self) -> usize {
        self.segment_size
    }

    fn segments(&self) -> u32 {
        self.blocks.len() as u32
    }

    fn grow(&mut self, segments: u32) -> Result<()> {
        self.blocks.resize_with(segments as usize, Box::default);
        Ok(())
    }

    #[inline]
    fn bytes(&self, place: Place) -> &[u8] {
        &self.blocks[place.start as usize]
    }

    /// A run has one block in the place of its first segment. A block of another size than the
    /// place has was for a longer record, or for none yet.
    #[inline]
    fn bytes_mut(&mut self, place: Place) -> &mut [u8] {
        let block = &mut self.blocks[place.start as usize];
        let len = place.span as usize * self.segment_size;
        if block.len() != len {
            *block = zeros(len);
        }
        block
    }

    #[inline]
    fn commit(&mut self, place: Place, at: usize, word: u64) {
        put_u64(self.bytes_mut(place), at, word);
    }

    /// Nobody finds half a record in memory: no need to look for the place again.
    #[inline]
    fn append(&mut self, place: Place, at: usize, write: impl FnOnce(&mut [u8]) -> u64) {
        let bytes = &mut self.bytes_mut(place)[at..];
        let word = write(bytes);
        put_u64(bytes, 0, word);
    }

    fn write_header(&mut self, header: &mut Header) {
        header.generation += 1;
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn sync_header(&self) -> Result<()> {
        Ok(())
    }

    fn name(&self) -> String {
        "in memory".to_owned()
    }
}

/// What a [`DiskRegion`] is on: a mapped file, or in tests one that loses what was not synced.
pub(super) trait Disk: Send {
    fn bytes(&self) -> &[u8];
    fn bytes_mut(&mut self) -> &mut [u8];
    fn commit(&mut self, at: usize, word: u64);
    fn grow(&mut self, len: usize) -> Result<()>;
    fn sync(&self, from: usize, to: usize) -> Result<()>;
    fn name(&self) -> String;
}

impl Disk for MappedFile {
    #[inline]
    fn bytes(&self) -> &[u8] {
        MappedFile::bytes(self)
    }

    #[inline]
    fn bytes_mut(&mut self) -> &mut [u8] {
        MappedFile::bytes_mut(self)
    }

    #[inline]
    fn commit(&mut self, at: usize, word: u64) {
        MappedFile::commit(self, at, word);
    }

    fn grow(&mut self, len: usize) -> Result<()> {
        MappedFile::grow(self, len)
    }

    fn sync(&self, from: usize, to: usize) -> Result<()> {
        MappedFile::sync(self, from, to)
    }

    fn name(&self) -> String {
        self.path().display().to_string()
    }
}

/// A disk that is only borrowed, while its first content is written.
impl<D: Disk> Disk for &mut D {
    fn bytes(&self) -> &[u8] {
        D::bytes(self)
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        D::bytes_mut(self)
    }

    fn commit(&mut self, at: usize, word: u64) {
        D::commit(self, at, word);
    }

    fn grow(&mut self, len: usize) -> Result<()> {
        D::grow(self, len)
    }

    fn sync(&self, from: usize, to: usize) -> Result<()> {
        D::sync(self, from, to)
    }

    fn name(&self) -> String {
        D::name(self)
    }
}

/// Segments behind two header slots.
pub(super) struct DiskRegion<D> {
    pub(super) disk: D,
    pub(super) segment_size: usize,
}

impl<D: Disk> DiskRegion<D> {
    fn offset(&self, place: Place) -> usize {
        HEADER_LEN + place.start as usize * self.segment_size
    }
}

impl<D: Disk> Region for DiskRegion<D> {
    const CHECKED: bool = true;

    fn segment_size(&self) -> usize {
        self.segment_size
    }

    fn segments(&self) -> u32 {
        let whole = self.disk.bytes().len().saturating_sub(HEADER_LEN) / self.segment_size;
        u32::try_from(whole).unwrap_or(u32::MAX)
    }

    fn grow(&mut self, segments: u32) -> Result<()> {
        let len = (segments as usize).checked_mul(self.segment_size);
        let len = len.and_then(|len| len.checked_add(HEADER_LEN));
        let Some(len) = len else {
            return Err(ErrorContext::new("grow the store file", self.name())
                .with_reason("it would be longer than this machine can address")
                .Store());
        };
        self.disk.grow(len)
    }

    #[inline]
    fn bytes(&self, place: Place) -> &[u8] {
        let len = place.span as usize * self.segment_size;
        &self.disk.bytes()[self.offset(place)..][..len]
    }

    #[inline]
    fn bytes_mut(&mut self, place: Place) -> &mut [u8] {
        let offset = self.offset(place);
        let len = place.span as usize * self.segment_size;
        &mut self.disk.bytes_mut()[offset..][..len]
    }

    #[inline]
    fn commit(&mut self, place: Place, at: usize, word: u64) {
        self.disk.commit(self.offset(place) + at, word);
    }

    fn write_header(&mut self, header: &mut Header) {
        header.generation += 1;
        let slot = (header.generation % 2) as usize * SLOT_STRIDE;
        self.disk.bytes_mut()[slot..][..SLOT_LEN].copy_from_slice(&header.encode());
    }

    fn sync(&self) -> Result<()> {
        self.disk.sync(0, self.disk.bytes().len())
    }

    fn sync_header(&self) -> Result<()> {
        self.disk.sync(0, HEADER_LEN)
    }

    fn name(&self) -> String {
        self.disk.name()
    }
}
