//! Finding the records of a store file again, and judging what is wrong with it.
//!
//! The rule, see `docs/store-format.md`: a damaged record ends the log if nothing valid follows
//! and it was never synced; the loss of power may take more than that, but only what was not
//! synced; everything else is damage that nobody repairs without being asked to.

use super::format::{
    ALIGN, HEADER_LEN, Header, Record, SEGMENT_HEADER_LEN, SLOT_LEN, SLOT_STRIDE, SegmentHeader,
    Slot, WORD, get_u64,
};
use super::log::{Log, Segment};
use super::region::{Disk, DiskRegion, Place, Region};
use amps_core::{Error, ErrorContext, Result};
use std::collections::{HashMap, VecDeque};

/// What the file is opened with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    /// 0: any.
    pub(super) client_hash: u64,
    /// Zeros: not known.
    pub(super) boot_id: [u8; 16],
}

/// Why a file is not opened.
pub(super) enum Refusal {
    /// It is not ours to touch.
    Foreign(Error),
    /// It is ours and damaged: salvaging may help.
    Damaged(Error),
}

/// A file with all its records, and how much of it was cut.
pub(super) struct Recovered<D> {
    pub(super) log: Log<DiskRegion<D>>,
    /// What was cut, if anything was, in words.
    pub(super) cut: Option<String>,
}

/// The newest valid header of a file.
pub(super) fn header(bytes: &[u8], name: &str) -> Result<Header, Refusal> {
    let slot = |index: usize| {
        let at = index * SLOT_STRIDE;
        bytes.get(at..at + SLOT_LEN).map(Header::decode)
    };
    let foreign = |reason: &str| Refusal::Foreign(error(name, reason));
    match (slot(0), slot(1)) {
        (Some(Slot::Valid(a)), Some(Slot::Valid(b))) => {
            Ok(if a.generation > b.generation { *a } else { *b })
        }
        (Some(Slot::Valid(header)), _) | (_, Some(Slot::Valid(header))) => Ok(*header),
        (Some(Slot::Newer(version)), _) | (_, Some(Slot::Newer(version))) => Err(foreign(
            &format!("it was written by a newer version of this library (format {version})"),
        )),
        (Some(Slot::Damaged), _) | (_, Some(Slot::Damaged)) => Err(Refusal::Damaged(error(
            name,
            "both copies of its header are damaged",
        ))),
        _ if bytes.len() < SLOT_LEN => Err(foreign("it is too short to be a publish store")),
        _ if bytes.iter().all(|byte| *byte == 0) => Err(foreign("it holds nothing but zeros")),
        _ => Err(foreign("it is not a publish store")),
    }
}

pub(super) fn error(name: &str, reason: &str) -> Error {
    ErrorContext::new("open the publish store", name)
        .with_reason(reason)
        .Store()
}

/// Finds the records of a file that is not empty. Nothing is written if it is refused.
pub(super) fn recover<D: Disk>(disk: D, expected: Expected) -> Result<Recovered<D>, (D, Refusal)> {
    let name = disk.name();
    let mut header = match header(disk.bytes(), &name) {
        Ok(header) => header,
        Err(refusal) => return Err((disk, refusal)),
    };
    let region = DiskRegion {
        segment_size: header.segment_size as usize,
        disk,
    };
    let power_lost = header.boot_id != [0; 16]
        && expected.boot_id != [0; 16]
        && header.boot_id != expected.boot_id;
    let refused = |region: DiskRegion<D>, refusal| Err((region.disk, refusal));
    if let Err(refusal) = check(&header, expected, &region, power_lost) {
        return refused(region, refusal);
    }
    let found = scan(&region, &header);
    let mut cut = None;
    if let Some(damage) = &found.damage {
        let later = found.later.len();
        let unsynced = found.prev >= header.synced_up_to;
        if !unsynced || (later > 0 && !power_lost) {
            let refusal = Refusal::Damaged(error(&name, &damage.describe(later, unsynced)));
            return refused(region, refusal);
        }
        let why = if power_lost {
            "the machine lost power before they were synced"
        } else {
            "the last one was not complete"
        };
        cut = Some(format!(
            "everything from byte {} on was cut, with {later} readable records: {why}",
            damage.offset
        ));
    }
    let mut region = region;
    let highest = found.later.iter().copied().max().unwrap_or(0);
    header.last_number = header.last_number.max(header.number(highest));
    if found.damage.is_some() {
        // A process that dies while it cuts must find the same again, and the numbers that were
        // used; so the header tells of the cut only when it is done.
        region.write_header(&mut header);
        region.write_header(&mut header);
    }
    header.last_ordinal = header.first_ordinal + found.chain.len() as u64 - 1;
    let wiped = wipe(&mut region, &header, &found);
    header.segments = region.segments();
    header.client_hash = header.client_hash.max(expected.client_hash);
    header.boot_id = expected.boot_id;
    let mut log = Log::restored(region, header, found.chain, 1);
    let mut finish = || {
        if wiped {
            // What a loss of power could bring back must not meet what is written from now on.
            log.region.sync()?;
        }
        log.write_both_headers();
        if wiped {
            log.region.sync_header()
        } else {
            Ok(())
        }
    };
    match finish() {
        Ok(()) => Ok(Recovered { log, cut }),
        Err(error) => Err((log.region.disk, Refusal::Foreign(error))),
    }
}

fn check<D: Disk>(
    header: &Header,
    expected: Expected,
    region: &DiskRegion<D>,
    power_lost: bool,
) -> Result<(), Refusal> {
    let name = region.name();
    let theirs = (header.client_hash, expected.client_hash);
    if theirs.0 != 0 && theirs.1 != 0 && theirs.0 != theirs.1 {
        let reason = "it belongs to a client of another name";
        return Err(Refusal::Foreign(error(&name, reason)));
    }
    let length = region.disk.bytes().len();
    if length < HEADER_LEN || (region.segments() < header.segments && !power_lost) {
        let expected = HEADER_LEN + header.segments as usize * region.segment_size;
        let reason = format!("it was truncated to {length} of {expected} bytes");
        return Err(Refusal::Damaged(error(&name, &reason)));
    }
    Ok(())
}

struct Damage {
    offset: usize,
    what: String,
}

impl Damage {
    fn describe(&self, later: usize, unsynced: bool) -> String {
        let offset = self.offset;
        let but = if unsynced {
            format!("{later} readable records follow")
        } else {
            "it had been synced".to_owned()
        };
        let what = &self.what;
        format!("{what} at byte {offset} is damaged, but {but}; nothing was changed")
    }
}

struct Found {
    chain: VecDeque<Segment>,
    /// The number in the last good record.
    prev: u64,
    damage: Option<Damage>,
    /// The numbers in the valid records behind the damage.
    later: Vec<u64>,
}

fn scan<D: Disk>(region: &DiskRegion<D>, header: &Header) -> Found {
    let segments = segments(region, header);
    let mut found = Found {
        chain: VecDeque::new(),
        prev: 0,
        damage: None,
        later: Vec::new(),
    };
    let mut missing = false;
    for ordinal in header.first_ordinal..=header.last_ordinal {
        let Some((place, segment)) = segments.get(&ordinal) else {
            missing = true;
            let damage = Damage {
                offset: found.end(region),
                what: format!("segment {ordinal} of the chain, behind what ends"),
            };
            found.damage.get_or_insert(damage);
            continue;
        };
        if found.damage.is_some() {
            found.search(region, header, *place, SEGMENT_HEADER_LEN);
            continue;
        }
        if found.chain.is_empty() {
            found.prev = segment.previous;
        } else if found.prev != segment.previous {
            let damage = Damage {
                offset: found.end(region),
                what: "the last record of a segment".to_owned(),
            };
            found.damage = Some(damage);
            found.search(region, header, *place, SEGMENT_HEADER_LEN);
            continue;
        }
        found.read_segment(region, header, *place);
    }
    if missing {
        // Its records are somewhere, if it is only its header that is damaged.
        let known = segments.values().map(|(place, _)| *place);
        for place in unknown(region.segments(), known) {
            found.search(region, header, place, 0);
        }
    }
    if found.damage.is_none() && found.prev < header.synced_up_to {
        let damage = Damage {
            offset: found.end(region),
            what: "the record".to_owned(),
        };
        found.damage = Some(damage);
    }
    found
}

/// The segments that the chain may consist of.
fn segments<D: Disk>(
    region: &DiskRegion<D>,
    header: &Header,
) -> HashMap<u64, (Place, SegmentHeader)> {
    let chain = header.first_ordinal..=header.last_ordinal;
    let mut segments = HashMap::new();
    for start in 0..region.segments() {
        let bytes = region.bytes(Place { start, span: 1 });
        let Some(segment) = SegmentHeader::decode(bytes) else {
            continue;
        };
        let place = Place {
            start,
            span: segment.span,
        };
        let fits = u64::from(start) + u64::from(segment.span) <= u64::from(region.segments());
        if fits && segment.file_id == header.file_id && chain.contains(&segment.ordinal) {
            segments.insert(segment.ordinal, (place, segment));
        }
    }
    segments
}

/// The runs of segments that are not among these.
fn unknown(segments: u32, known: impl Iterator<Item = Place>) -> Vec<Place> {
    let mut known: Vec<_> = known.collect();
    known.push(Place {
        start: segments,
        span: 0,
    });
    known.sort_unstable_by_key(|place| place.start);
    let mut start = 0;
    let mut runs = Vec::new();
    for place in known {
        if let Some(span) = place.start.checked_sub(start).filter(|span| *span > 0) {
            runs.push(Place { start, span });
        }
        start = start.max(place.start + place.span);
    }
    runs
}

impl Found {
    /// Where in the file the last segment of the chain ends so far.
    fn end<D: Disk>(&self, region: &DiskRegion<D>) -> usize {
        self.chain.back().map_or(HEADER_LEN, |segment| {
            HEADER_LEN + segment.place.start as usize * region.segment_size + segment.end
        })
    }

    fn read_segment<D: Disk>(&mut self, region: &DiskRegion<D>, header: &Header, place: Place) {
        let bytes = region.bytes(place);
        let mut segment = Segment {
            place,
            last: self.prev,
            end: SEGMENT_HEADER_LEN,
            live: 0,
        };
        let mut clean = true;
        while let Some(word) = bytes.get(segment.end..segment.end + WORD) {
            if get_u64(word, 0) == 0 {
                break;
            }
            let record = Record::read(&bytes[segment.end..], Some(header.file_id));
            let Some(record) = record else {
                clean = false;
                break;
            };
            // What a segment held before its last use has lower numbers.
            if record.raw <= self.prev {
                break;
            }
            self.prev = record.raw;
            segment.last = record.raw;
            segment.end += record.len;
            if !record.dropped && header.number(record.raw) > header.last_persisted {
                segment.live += 1;
            }
        }
        self.chain.push_back(segment);
        self.search(region, header, place, segment.end);
        if !clean || !self.later.is_empty() {
            self.damage = Some(Damage {
                offset: self.end(region),
                what: "the record".to_owned(),
            });
        }
    }

    /// Notes all valid records from here to the end of the segment that are above the last good
    /// one.
    fn search<D: Disk>(
        &mut self,
        region: &DiskRegion<D>,
        header: &Header,
        place: Place,
        from: usize,
    ) {
        let bytes = region.bytes(place);
        let prev = self.prev;
        let valid = records(&bytes[from..], header.file_id);
        let later = valid.map(|(_, record)| record.raw);
        self.later.extend(later.filter(|raw| *raw > prev));
    }
}

/// All valid records in these bytes, wherever they begin, with their places.
pub(super) fn records(bytes: &[u8], file_id: u64) -> impl Iterator<Item = (usize, Record<'_>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() {
            let here = at;
            match Record::read(&bytes[here..], Some(file_id)) {
                Some(record) => {
                    at += record.len;
                    return Some((here, record));
                }
                None => at += ALIGN,
            }
        }
        None
    })
}

/// Clears what was cut, so that it is not found again; true if there was anything.
fn wipe<D: Disk>(region: &mut DiskRegion<D>, header: &Header, found: &Found) -> bool {
    let chain = found.chain.iter().map(|segment| segment.place);
    let outside = unknown(region.segments(), chain);
    if found.damage.is_some() {
        if let Some(tail) = found.chain.back() {
            region.bytes_mut(tail.place)[tail.end..].fill(0);
        }
        for place in outside {
            region.bytes_mut(place).fill(0);
        }
        return true;
    }
    // A segment that was linked by a process that died before it said so in the header.
    let mut wiped = false;
    let outside = outside.into_iter();
    for start in outside.flat_map(|run| run.start..run.start + run.span) {
        let place = Place { start, span: 1 };
        let segment = SegmentHeader::decode(region.bytes(place));
        if segment.is_some_and(|segment| segment.ordinal > header.last_ordinal) {
            region.bytes_mut(place)[..SEGMENT_HEADER_LEN].fill(0);
            wiped = true;
        }
    }
    wiped
}
