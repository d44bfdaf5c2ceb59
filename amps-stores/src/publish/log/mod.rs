//! A chain of segments that records are appended to at one end and forgotten at the other.
//!
//! What has been forgotten is never moved, and what stays is never touched: a discard moves the
//! head of the chain, and segments before it are used again.

mod header;
mod read;
mod space;

use super::format::{
    ALIGN, Header, SEGMENT_HEADER_LEN, WORD, put_u64, record_len, tombstone, write_record,
};
use super::region::{Place, Region};
use amps_core::{ErrorContext, OutgoingCommand, Result};
use std::collections::VecDeque;

/// One link of the chain.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    pub(super) place: Place,
    /// The number in its last record, or in the last one before it.
    pub(super) last: u64,
    /// Where its records end.
    pub(super) end: usize,
    /// How many of its records are neither discarded nor dropped.
    pub(super) live: usize,
}

/// The end of the last segment, as it is known there, too. An append finds its place here with one
/// look: behind a lock, looks that wait for each other are what takes time.
#[derive(Debug, Clone, Copy)]
struct Open {
    place: Place,
    at: usize,
    /// How many bytes there are from there on; 0 if there is no segment.
    room: usize,
}

/// A log in a region.
pub(super) struct Log<R> {
    pub(super) region: R,
    /// As last written.
    pub(super) header: Header,
    /// The first ordinal in each header slot, the older one first.
    slots: [u64; 2],
    /// `synced_up_to` in the header that was last synced: what a loss of power would bring back.
    claimed: u64,
    pub(super) chain: VecDeque<Segment>,
    /// Where the next record goes.
    open: Open,
    free: Vec<u32>,
    /// Where the lowest live record is in the first segment.
    head: usize,
    count: usize,
    lowest: u64,
    highest: u64,
    /// The number in the last record that was ever written.
    last_raw: u64,
    /// The highest number that was given or skipped.
    last: u64,
    growth: u32,
}

/// The end of a log, to go back to.
pub(super) struct Mark {
    ordinal: u64,
    end: usize,
    last_raw: u64,
    last: u64,
    lowest: u64,
    highest: u64,
}

impl<R: Region> Log<R> {
    /// An empty log; it grows by so many segments at a time.
    pub(super) fn new(region: R, header: Header, growth: u32) -> Log<R> {
        Log::restored(region, header, VecDeque::new(), growth)
    }

    /// A log as it was found: the chain that the header tells of.
    pub(super) fn restored(
        region: R,
        header: Header,
        chain: VecDeque<Segment>,
        growth: u32,
    ) -> Log<R> {
        let mut used = vec![false; region.segments() as usize];
        for Place { start, span } in chain.iter().map(|segment| segment.place) {
            used[start as usize..][..span as usize].fill(true);
        }
        let free = (0..region.segments()).rev();
        let free = free.filter(|index| !used[*index as usize]).collect();
        let last_raw = chain.back().map_or(0, |segment| segment.last);
        let mut log = Log {
            slots: [0; 2],
            claimed: header.synced_up_to,
            open: Open {
                place: Place { start: 0, span: 0 },
                at: 0,
                room: 0,
            },
            free,
            head: SEGMENT_HEADER_LEN,
            count: chain.iter().map(|segment| segment.live).sum(),
            lowest: 0,
            highest: 0,
            last_raw,
            last: (header.last_number.max(header.last_persisted)).max(header.number(last_raw)),
            growth,
            region,
            header,
            chain,
        };
        log.measure();
        // Reads only lengths, which were checked when the chain was found.
        let _ = log.settle();
        log.highest = log.find_highest();
        log
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn lowest(&self) -> u64 {
        self.lowest
    }

    pub(super) fn highest(&self) -> u64 {
        self.highest
    }

    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// The number for the next record (rule K11).
    #[inline]
    pub(super) fn next_number(&self) -> Result<u64> {
        self.last.checked_add(1).ok_or_else(|| {
            ErrorContext::new("store a message", self.region.name())
                .with_reason("there are no sequence numbers left")
                .Store()
        })
    }

    fn checked(&self) -> Option<u64> {
        R::CHECKED.then_some(self.header.file_id)
    }

    /// Appends a record under a number that is above all others.
    ///
    /// # Errors
    ///
    /// There is no room (see [`wants`](Log::wants)), or the header could not be synced before a
    /// segment is used again. Nothing was appended.
    #[inline]
    pub(super) fn append(
        &mut self,
        number: u64,
        command: &OutgoingCommand<'_>,
        payload: usize,
    ) -> Result<()> {
        let need = record_len(payload);
        if need > self.open.room {
            self.link(need, payload)?;
        }
        let checked = self.checked();
        let Open { place, at, room } = self.open;
        let Some(tail) = self.chain.back_mut() else {
            return Err(space::no_room(&self.region));
        };
        debug_assert_eq!(
            (tail.place, tail.end),
            (place, at),
            "the end as it is known here"
        );
        tail.end = at + need;
        tail.last = number;
        tail.live += 1;
        self.open.at = at + need;
        self.open.room = room - need;
        self.region.append(place, at, |bytes| {
            let word = write_record(bytes, number, command, payload, checked);
            // The end of the records is a zero word. It is written before the record is there, and
            // after the checksum, which would wait for memory that is not in the caches yet.
            if room > need {
                put_u64(bytes, need, 0);
            }
            word
        });
        self.count += 1;
        if self.count == 1 {
            self.lowest = number;
            self.head = at;
        }
        self.highest = number;
        self.last_raw = number;
        self.last = self.last.max(number);
        Ok(())
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            ordinal: self.header.last_ordinal,
            end: self.chain.back().map_or(0, |tail| tail.end),
            last_raw: self.last_raw,
            last: self.last,
            lowest: self.lowest,
            highest: self.highest,
        }
    }

    /// Takes back the one record that was appended since the mark.
    pub(super) fn take_back(&mut self, mark: Mark) {
        let Some(tail) = self.chain.back_mut() else {
            return;
        };
        let same = mark.ordinal == self.header.last_ordinal;
        tail.end = if same { mark.end } else { SEGMENT_HEADER_LEN };
        tail.last = mark.last_raw;
        tail.live -= 1;
        self.region.commit(tail.place, tail.end, 0);
        self.measure();
        self.count -= 1;
        self.last_raw = mark.last_raw;
        self.last = mark.last;
        self.lowest = mark.lowest;
        self.highest = mark.highest;
    }

    /// Forgets everything up to this number. What stays is not touched.
    pub(super) fn discard_up_to(&mut self, number: u64) -> Result<()> {
        if number <= self.header.last_persisted {
            return Ok(());
        }
        while let Some(front) = self.chain.front_mut() {
            if self.header.number(front.last) > number {
                break;
            }
            self.count -= std::mem::take(&mut front.live);
            self.head = front.end;
            if !self.pop_front() {
                break;
            }
        }
        while let Some((record, len)) = self.at_head()? {
            if self.header.number(record.0) > number {
                break;
            }
            self.pass(record.1, len);
        }
        self.settle()?;
        if self.count == 0 {
            self.highest = 0;
        }
        self.skip_to(number);
        self.header.last_persisted = number;
        self.header.synced_up_to = self.synced(self.header.synced_up_to);
        self.write_header();
        Ok(())
    }

    /// The number in the first record of the chain and whether it was dropped, and its length.
    #[inline]
    fn at_head(&self) -> Result<Option<((u64, bool), usize)>> {
        let Some(front) = self.chain.front().filter(|front| self.head < front.end) else {
            return Ok(None);
        };
        let record = self.read(front, self.head, None)?;
        Ok(Some(((record.raw, record.dropped), record.len)))
    }

    fn pass(&mut self, dropped: bool, len: usize) {
        self.head += len;
        if let Some(front) = self.chain.front_mut().filter(|_| !dropped) {
            front.live -= 1;
            self.count -= 1;
        }
    }

    /// Gives up the first segment if nothing in it is live and it is not the last.
    fn pop_front(&mut self) -> bool {
        match self.chain.front() {
            Some(front) if front.live == 0 && self.chain.len() > 1 => {
                let place = front.place;
                self.chain.pop_front();
                self.release(place);
                self.header.first_ordinal += 1;
                self.head = SEGMENT_HEADER_LEN;
                true
            }
            _ => false,
        }
    }

    /// Moves the head to the lowest live record.
    fn settle(&mut self) -> Result<()> {
        while self.pop_front() {}
        self.lowest = 0;
        while let Some(((raw, dropped), len)) = self.at_head()? {
            let number = self.header.number(raw);
            if !dropped && number > self.header.last_persisted {
                self.lowest = number;
                break;
            }
            self.head += len;
        }
        Ok(())
    }

    /// Drops the record of this number; false if there is none.
    pub(super) fn discard_one(&mut self, number: u64) -> Result<bool> {
        let Some((index, at)) = self.find(number)? else {
            return Ok(false);
        };
        let segment = &mut self.chain[index];
        let word = tombstone(&self.region.bytes(segment.place)[at..]);
        self.region.commit(segment.place, at + WORD, word);
        segment.live -= 1;
        self.count -= 1;
        if number == self.lowest {
            let first = self.header.first_ordinal;
            self.settle()?;
            if self.header.first_ordinal != first {
                self.write_header();
            }
        }
        if number == self.highest {
            self.highest = self.find_highest();
        }
        Ok(true)
    }
}

/// So every record begins at a multiple, and there is room for a word behind the last, or none.
const _: () = assert!(SEGMENT_HEADER_LEN.is_multiple_of(ALIGN) && ALIGN >= WORD);
