//! The bytes of a publish store file. `docs/store-format.md` describes them under the same names.
//!
//! All numbers are little endian. The file is two header slots, then segments of one size. A
//! segment begins with a segment header; records follow, each a multiple of 16 bytes.

use amps_core::OutgoingCommand;

/// The first bytes of each header slot.
pub(super) const MAGIC: [u8; 8] = *b"AMPS-PUB";
/// The version of the format that this code reads and writes.
pub(super) const VERSION: u32 = 1;
/// The distance of the two header slots. They are on different pages and sectors.
pub(super) const SLOT_STRIDE: usize = 4096;
/// The bytes of a header slot that are used.
pub(super) const SLOT_LEN: usize = 512;
/// Where the first segment begins.
pub(super) const HEADER_LEN: usize = 2 * SLOT_STRIDE;
/// How many changes of numbers a header can hold, see [`Step`].
pub(super) const MAX_STEPS: usize = 16;
/// The sizes that segments may have; multiples of the smallest.
pub(super) const MIN_SEGMENT: usize = 4096;
/// See [`MIN_SEGMENT`].
pub(super) const MAX_SEGMENT: usize = 1 << 30;

/// The first bytes of each segment that was ever used.
const SEGMENT_MAGIC: [u8; 8] = *b"AMPS-SEG";
/// The bytes of a segment before its first record.
pub(super) const SEGMENT_HEADER_LEN: usize = 48;

/// The bytes of a record before its payload.
pub(super) const RECORD_HEADER_LEN: usize = 24;
/// The kind of a record that holds a command: the only one so far.
const KIND_COMMAND: u32 = 1;
/// Records begin at multiples of this. So is the length of what a checksum is over, which makes it
/// cheaper.
pub(super) const ALIGN: usize = 16;
/// The first word of a record, which says that it is there; also the end of the records, if zero.
pub(super) const WORD: usize = 8;
/// Where the checksum of a record begins: with its number.
const CHECKED_FROM: usize = 16;

/// From a number in a record on, the numbers that count are greater by `add`, up to the next step.
///
/// Records are renumbered by a change of the header, which is one step: the records themselves are
/// never written again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Step {
    pub(super) from: u64,
    pub(super) add: u64,
}

/// What a header slot holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Header {
    pub(super) generation: u64,
    pub(super) file_id: u64,
    pub(super) client_hash: u64,
    pub(super) segment_size: u32,
    pub(super) segments: u32,
    pub(super) first_ordinal: u64,
    pub(super) last_ordinal: u64,
    pub(super) last_persisted: u64,
    pub(super) synced_up_to: u64,
    pub(super) offline_from: u64,
    pub(super) last_number: u64,
    pub(super) boot_id: [u8; 16],
    pub(super) step_count: usize,
    pub(super) steps: [Step; MAX_STEPS],
}

/// What became of a header slot.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Valid(Box<Header>),
    /// It begins as ours does, but the rest is damaged.
    Damaged,
    /// It was written by a later version of this library.
    Newer(u32),
    /// It is not a header of ours.
    Foreign,
}

impl Header {
    /// The steps that are in force.
    pub(super) fn steps(&self) -> &[Step] {
        &self.steps[..self.step_count]
    }

    pub(super) fn encode(&self) -> [u8; SLOT_LEN] {
        let mut slot = [0; SLOT_LEN];
        slot[..8].copy_from_slice(&MAGIC);
        put_u32(&mut slot, 8, VERSION);
        put_u64(&mut slot, 16, self.generation);
        put_u64(&mut slot, 24, self.file_id);
        put_u64(&mut slot, 32, self.client_hash);
        put_u32(&mut slot, 40, self.segment_size);
        put_u32(&mut slot, 44, self.segments);
        put_u64(&mut slot, 48, self.first_ordinal);
        put_u64(&mut slot, 56, self.last_ordinal);
        put_u64(&mut slot, 64, self.last_persisted);
        put_u64(&mut slot, 72, self.synced_up_to);
        put_u64(&mut slot, 80, self.offline_from);
        put_u64(&mut slot, 88, self.last_number);
        slot[96..112].copy_from_slice(&self.boot_id);
        put_u32(&mut slot, 112, self.step_count as u32);
        for (index, step) in self.steps().iter().enumerate() {
            put_u64(&mut slot, 128 + 16 * index, step.from);
            put_u64(&mut slot, 136 + 16 * index, step.add);
        }
        let checksum = slot_checksum(&slot);
        put_u32(&mut slot, 12, checksum);
        slot
    }

    pub(super) fn decode(slot: &[u8]) -> Slot {
        if slot.len() < SLOT_LEN || slot[..8] != MAGIC {
            return Slot::Foreign;
        }
        let slot = &slot[..SLOT_LEN];
        match (get_u32(slot, 8), get_u32(slot, 12) == slot_checksum(slot)) {
            (VERSION, true) => {}
            (version, _) if version > VERSION => return Slot::Newer(version),
            _ => return Slot::Damaged,
        }
        let mut header = Header {
            generation: get_u64(slot, 16),
            file_id: get_u64(slot, 24),
            client_hash: get_u64(slot, 32),
            segment_size: get_u32(slot, 40),
            segments: get_u32(slot, 44),
            first_ordinal: get_u64(slot, 48),
            last_ordinal: get_u64(slot, 56),
            last_persisted: get_u64(slot, 64),
            synced_up_to: get_u64(slot, 72),
            offline_from: get_u64(slot, 80),
            last_number: get_u64(slot, 88),
            boot_id: [0; 16],
            step_count: get_u32(slot, 112) as usize,
            steps: [Step::default(); MAX_STEPS],
        };
        header.boot_id.copy_from_slice(&slot[96..112]);
        let size = header.segment_size as usize;
        let chain = header.last_ordinal.wrapping_sub(header.first_ordinal);
        if header.step_count > MAX_STEPS
            || !(MIN_SEGMENT..=MAX_SEGMENT).contains(&size)
            || !size.is_multiple_of(MIN_SEGMENT)
            || header.first_ordinal == 0
            || chain.wrapping_add(1) > u64::from(header.segments)
        {
            return Slot::Damaged;
        }
        for index in 0..header.step_count {
            header.steps[index] = Step {
                from: get_u64(slot, 128 + 16 * index),
                add: get_u64(slot, 136 + 16 * index),
            };
        }
        Slot::Valid(Box::new(header))
    }
}

/// Over what is in use, but for itself: the rest is as long as there are steps.
fn slot_checksum(slot: &[u8]) -> u32 {
    let steps = (get_u32(slot, 112) as usize).min(MAX_STEPS);
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&slot[..12]);
    hasher.update(&slot[16..128 + 16 * steps]);
    hasher.finalize()
}

/// What stands at the beginning of a segment, or of a run of segments for one long record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    /// How many segments belong together.
    pub(super) span: u32,
    /// The file it belongs to.
    pub(super) file_id: u64,
    /// Its place in the chain: each use of a segment gets the next one.
    pub(super) ordinal: u64,
    /// The number of the last record before this segment.
    pub(super) previous: u64,
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> [u8; SEGMENT_HEADER_LEN] {
        let mut bytes = [0; SEGMENT_HEADER_LEN];
        bytes[..8].copy_from_slice(&SEGMENT_MAGIC);
        put_u32(&mut bytes, 12, self.span);
        put_u64(&mut bytes, 16, self.file_id);
        put_u64(&mut bytes, 24, self.ordinal);
        put_u64(&mut bytes, 32, self.previous);
        let checksum = crc32fast::hash(&bytes[12..]);
        put_u32(&mut bytes, 8, checksum);
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<SegmentHeader> {
        let bytes = bytes.get(..SEGMENT_HEADER_LEN)?;
        let valid = bytes[..8] == SEGMENT_MAGIC
            && get_u32(bytes, 8) == crc32fast::hash(&bytes[12..])
            && get_u32(bytes, 12) > 0;
        valid.then(|| SegmentHeader {
            span: get_u32(bytes, 12),
            file_id: get_u64(bytes, 16),
            ordinal: get_u64(bytes, 24),
            previous: get_u64(bytes, 32),
        })
    }
}

/// The bytes that a record of this payload takes.
#[inline]
pub(super) fn record_len(payload: usize) -> usize {
    (RECORD_HEADER_LEN + payload + ALIGN - 1) & !(ALIGN - 1)
}

/// Writes a record, all but its first word, and returns that word. A record is there once the word
/// is: it holds the length of the payload and the checksum.
#[inline]
pub(super) fn write_record(
    bytes: &mut [u8],
    number: u64,
    command: &OutgoingCommand<'_>,
    payload: usize,
    checked: Option<u64>,
) -> u64 {
    let len = record_len(payload);
    let bytes = &mut bytes[..len];
    // The zeros at the end first, two words of them: what stands there covers some. That costs less
    // than a run of bytes whose length is not known.
    put_u64(bytes, len - ALIGN, 0);
    put_u64(bytes, len - WORD, 0);
    put_u64(bytes, WORD, u64::from(KIND_COMMAND) << 32);
    put_u64(bytes, 16, number);
    command.encode_to(&mut bytes[RECORD_HEADER_LEN..][..payload]);
    let checksum = checked.map_or(0, |file_id| record_checksum(bytes, payload as u32, file_id));
    payload as u64 | u64::from(checksum) << 32
}

/// Over number, payload and the zeros behind it. It starts from the kind, the length and the id of
/// the file, so that what another file or a payload holds is no record of this file.
#[inline]
fn record_checksum(record: &[u8], payload: u32, file_id: u64) -> u32 {
    let start = file_id as u32 ^ payload ^ KIND_COMMAND.rotate_right(4);
    let mut hasher = crc32fast::Hasher::new_with_initial(start);
    hasher.update(&record[CHECKED_FROM..]);
    hasher.finalize()
}

/// A record as it is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    /// The number in the record.
    pub(super) raw: u64,
    /// Whether it was dropped.
    pub(super) dropped: bool,
    pub(super) payload: &'a [u8],
    /// The bytes that it takes.
    pub(super) len: usize,
}

impl<'a> Record<'a> {
    /// Reads the record at the beginning of these bytes; none if there is none that can be
    /// trusted. With the id of the file, its checksum is checked.
    #[inline]
    pub(super) fn read(bytes: &'a [u8], checked: Option<u64>) -> Option<Record<'a>> {
        let head = bytes.get(..RECORD_HEADER_LEN)?;
        let payload = get_u32(head, 0) as usize;
        let len = record_len(payload);
        if payload == 0 || len > bytes.len() || get_u32(head, 12) != KIND_COMMAND {
            return None;
        }
        let checksum = get_u32(head, 4);
        let dropped = match get_u32(head, 8) {
            0 => false,
            word if word == !checksum => true,
            _ => return None,
        };
        let record = &bytes[..len];
        let valid = |file_id| record_checksum(record, payload as u32, file_id) == checksum;
        if !checked.is_none_or(valid) {
            return None;
        }
        Some(Record {
            raw: get_u64(head, 16),
            dropped,
            payload: &record[RECORD_HEADER_LEN..][..payload],
            len,
        })
    }
}

/// The word at byte 8 of a record that makes it dropped, from the record's bytes.
pub(super) fn tombstone(record: &[u8]) -> u64 {
    u64::from(KIND_COMMAND) << 32 | u64::from(!get_u32(record, 4))
}

/// The hash of a client's name in the header; never 0, which stands for "not known".
pub(super) fn client_hash(name: &str) -> u64 {
    // FNV-1a: short, and the same everywhere and for ever.
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash.max(1)
}

#[inline]
pub(super) fn get_u32(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

#[inline]
pub(super) fn get_u64(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

#[inline]
pub(super) fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

#[inline]
pub(super) fn put_u64(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}
