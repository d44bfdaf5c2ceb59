//! A chain of segments that records are appended to at one end and forgotten at the other.
//!
//! What has been forgotten is never moved, and what stays is never touched: a discard moves the
//! head of the chain, and segments before it are used again.

use super::format::{
    ALIGN, Header, RECORD_HEADER_LEN, Record, SEGMENT_HEADER_LEN, SegmentHeader, record_len,
    tombstone, write_record,
};
use super::region::{Place, Region};
use amps_core::{Error, ErrorContext, OutgoingCommand, Result, StoredCommand};
use std::collections::VecDeque;
use std::ops::ControlFlow;

/// The longest payload of a record. Frames are shorter.
const MAX_PAYLOAD: usize = 1 << 30;

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

    /// Numbers up to this one are not given any more, as long as the log is open.
    pub(super) fn skip_to(&mut self, number: u64) {
        self.last = self.last.max(number);
    }

    /// Numbers up to this one are not given any more, also when the log is opened anew.
    pub(super) fn raise_to(&mut self, number: u64) {
        if number > self.last {
            self.skip_to(number);
            self.write_both_headers();
        }
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

    /// How many segments the region needs for a record of this payload; none if there is room.
    #[inline]
    pub(super) fn wants(&mut self, payload: usize) -> Option<u32> {
        let need = record_len(payload);
        if self.fits(need) {
            return None;
        }
        if self.count == 0 {
            self.release_all();
        }
        let span = self.span(need);
        if self.has_free(span) {
            return None;
        }
        let more = span.next_multiple_of(self.growth.max(1));
        Some(self.region.segments().saturating_add(more))
    }

    /// What the region would take with so many segments, in bytes.
    pub(super) fn size_of(&self, segments: u32) -> usize {
        (segments as usize).saturating_mul(self.region.segment_size())
    }

    /// What the region takes, in bytes.
    pub(super) fn size(&self) -> usize {
        self.size_of(self.region.segments())
    }

    /// Makes it so many segments.
    pub(super) fn grow(&mut self, segments: u32) -> Result<()> {
        let before = self.region.segments();
        self.region.grow(segments)?;
        // No allocation later, when they are freed.
        self.free.reserve(segments as usize);
        self.free.extend((before..self.region.segments()).rev());
        Ok(())
    }

    fn fits(&self, need: usize) -> bool {
        let Some(tail) = self.chain.back() else {
            return false;
        };
        tail.place.span as usize * self.region.segment_size() - tail.end >= need
    }

    fn span(&self, need: usize) -> u32 {
        (SEGMENT_HEADER_LEN + need).div_ceil(self.region.segment_size()) as u32
    }

    fn has_free(&mut self, span: u32) -> bool {
        (span == 1 && !self.free.is_empty()) || self.free_run(span).is_some()
    }

    /// Where in the free list so many segments in a row begin. Sorts the list, lowest last.
    fn free_run(&mut self, span: u32) -> Option<usize> {
        let span = span as usize;
        self.free.sort_unstable_by(|a, b| b.cmp(a));
        let runs = self.free.windows(span);
        runs.into_iter()
            .rposition(|run| (run[0] - run[span - 1]) as usize == span - 1)
    }

    fn take_free(&mut self, span: u32) -> Option<Place> {
        // The one that was used last is the one that is still in the caches.
        if span == 1 {
            let start = self.free.pop()?;
            return Some(Place { start, span });
        }
        let at = self.free_run(span)?;
        let run = self.free.drain(at..at + span as usize);
        run.last().map(|start| Place { start, span })
    }

    fn release(&mut self, place: Place) {
        self.free
            .extend((place.start..place.start + place.span).rev());
    }

    fn release_all(&mut self) {
        while let Some(segment) = self.chain.pop_front() {
            self.release(segment.place);
        }
        self.header.first_ordinal = self.header.last_ordinal + 1;
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
        if !self.fits(need) {
            self.link(need, payload)?;
        }
        let checked = self.checked();
        let Some(tail) = self.chain.back_mut() else {
            return Err(no_room(&self.region));
        };
        let (place, at) = (tail.place, tail.end);
        let bytes = &mut self.region.bytes_mut(place)[at..];
        // The end of the records is a zero word. It is written before the record is there.
        if let Some(end) = bytes.get_mut(need..need + ALIGN) {
            end.fill(0);
        }
        let word = write_record(bytes, number, command, payload, checked);
        self.region.commit(place, at, word);
        tail.end = at + need;
        tail.last = number;
        tail.live += 1;
        self.count += 1;
        if self.count == 1 {
            self.lowest = number;
            self.head = at;
        }
        self.highest = number;
        self.last_raw = number;
        self.last = number;
        Ok(())
    }

    /// Makes a free segment the last of the chain.
    #[cold]
    fn link(&mut self, need: usize, payload: usize) -> Result<()> {
        if payload > MAX_PAYLOAD {
            return Err(ErrorContext::new("store a message", self.region.name())
                .with_reason(format!("{payload} bytes are too many for a store"))
                .Store());
        }
        if self.count == 0 {
            self.release_all();
        }
        let span = self.span(need);
        let Some(place) = self.take_free(span) else {
            return Err(no_room(&self.region));
        };
        // A segment is used again only when no header that may be read knows of its old records:
        // neither of the slots, nor those that come back after a loss of power.
        while self.slots != [self.header.first_ordinal; 2] {
            self.write_header();
        }
        if self.claimed > 0 {
            self.write_both_headers();
            if let Err(error) = self.region.sync_header() {
                self.release(place);
                return Err(error);
            }
            self.claimed = self.header.synced_up_to;
        }
        let ordinal = self.header.last_ordinal + 1;
        let header = SegmentHeader {
            span,
            file_id: self.header.file_id,
            ordinal,
            previous: self.last_raw,
        };
        let bytes = self.region.bytes_mut(place);
        bytes[SEGMENT_HEADER_LEN..][..ALIGN].fill(0);
        bytes[..SEGMENT_HEADER_LEN].copy_from_slice(&header.encode());
        self.chain.push_back(Segment {
            place,
            last: self.last_raw,
            end: SEGMENT_HEADER_LEN,
            live: 0,
        });
        self.header.last_ordinal = ordinal;
        self.settle()?;
        // Both slots, so that the loss of one does not hide the segment.
        self.write_both_headers();
        Ok(())
    }

    /// Gives up all segments, for a region that is to be cut off. Only for a log without records.
    pub(super) fn forget_all(&mut self) {
        self.release_all();
        self.free.clear();
        self.header.synced_up_to = 0;
        self.write_both_headers();
    }

    /// Writes what the log knows into the older header slot.
    pub(super) fn write_header(&mut self) {
        self.slots = [self.slots[1], self.header.first_ordinal];
        self.header.last_number = self.last;
        self.header.segments = self.region.segments();
        self.region.write_header(&mut self.header);
    }

    /// Writes a change into both slots that must not be undone by the loss of one.
    pub(super) fn write_both_headers(&mut self) {
        self.write_header();
        self.write_header();
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
        self.count -= 1;
        self.last_raw = mark.last_raw;
        self.last = mark.last;
        self.lowest = mark.lowest;
        self.highest = mark.highest;
    }

    /// Syncs everything and notes in the header that it is.
    pub(super) fn sync(&mut self) -> Result<()> {
        self.region.sync()?;
        self.header.synced_up_to = self.synced(self.last_raw);
        self.write_both_headers();
        self.region.sync_header()?;
        self.claimed = self.header.synced_up_to;
        Ok(())
    }

    /// Syncs everything at the price of one sync: what the header tells is one record behind.
    pub(super) fn sync_record(&mut self, before: &Mark) -> Result<()> {
        let claim = self.synced(before.last_raw);
        if claim != self.header.synced_up_to {
            self.header.synced_up_to = claim;
            self.write_header();
        }
        self.region.sync()?;
        self.claimed = self.claimed.max(claim);
        Ok(())
    }

    /// 0 if nothing of it is there any more: then the header claims nothing.
    fn synced(&self, raw: u64) -> u64 {
        if self.lowest == 0 || self.lowest_raw() > raw {
            return 0;
        }
        raw
    }

    fn lowest_raw(&self) -> u64 {
        let record = self.chain.front().and_then(|front| {
            let bytes = self.region.bytes(front.place).get(self.head..front.end)?;
            Record::read(bytes, None)
        });
        record.map_or(u64::MAX, |record| record.raw)
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
        self.region.commit(segment.place, at + ALIGN, word);
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

    /// The segment in the chain and the place in it of the live record of this number.
    fn find(&self, number: u64) -> Result<Option<(usize, usize)>> {
        let mut found = None;
        self.visit(number.saturating_sub(1), |index, at, record| {
            if self.header.number(record.raw) == number {
                found = Some((index, at));
            }
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    fn find_highest(&self) -> u64 {
        let mut highest = 0;
        let Some(index) = self.chain.iter().rposition(|segment| segment.live > 0) else {
            return 0;
        };
        // Reads only what was read before.
        let _ = self.visit_segment(index, 0, &mut |_, _, record| {
            highest = self.header.number(record.raw);
            ControlFlow::Continue(())
        });
        highest
    }

    /// Shows the live records above `after` with the index of their segment and their place in it.
    fn visit<'a>(
        &'a self,
        after: u64,
        mut visitor: impl FnMut(usize, usize, Record<'a>) -> ControlFlow<()>,
    ) -> Result<()> {
        let first = self
            .chain
            .partition_point(|segment| self.header.number(segment.last) <= after);
        for index in first..self.chain.len() {
            if self.visit_segment(index, after, &mut visitor)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn visit_segment<'a>(
        &'a self,
        index: usize,
        after: u64,
        visitor: &mut dyn FnMut(usize, usize, Record<'a>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        let segment = &self.chain[index];
        let mut at = if index == 0 {
            self.head
        } else {
            SEGMENT_HEADER_LEN
        };
        while at < segment.end {
            let record = self.read(segment, at, None)?;
            if !record.dropped
                && self.header.number(record.raw) > after
                && visitor(index, at, record).is_break()
            {
                return Ok(ControlFlow::Break(()));
            }
            at += record.len;
        }
        Ok(ControlFlow::Continue(()))
    }

    #[inline]
    fn read(&self, segment: &Segment, at: usize, checked: Option<u64>) -> Result<Record<'_>> {
        let bytes = self.region.bytes(segment.place).get(at..segment.end);
        bytes
            .and_then(|bytes| Record::read(bytes, checked))
            .ok_or_else(|| self.region.damaged(segment.place, at))
    }

    /// Shows the commands above `after`, checked and in ascending order.
    pub(super) fn replay(
        &self,
        after: u64,
        visitor: &mut dyn FnMut(StoredCommand<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        let mut outcome = Ok(ControlFlow::Continue(()));
        self.visit(after, |index, at, record| {
            let segment = &self.chain[index];
            let command = self.read(segment, at, self.checked()).and_then(|_| {
                OutgoingCommand::decode(record.payload)
                    .map_err(|_| self.region.damaged(segment.place, at))
            });
            match command {
                Ok(command) => {
                    let number = self.header.number(record.raw);
                    let flow = visitor(StoredCommand::new(number, command));
                    outcome = Ok(flow);
                    flow
                }
                Err(error) => {
                    outcome = Err(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        outcome
    }

    /// Begins to give numbers: above its own and above the clock. The log is offline.
    pub(super) fn begin_at(&mut self, now: u64) {
        self.skip_to(now.saturating_sub(1));
        self.set_offline();
    }

    /// From now on, what is stored is offline: it can have reached no server.
    pub(super) fn set_offline(&mut self) {
        if self.header.offline_from == 0 {
            self.header.offline_from = self.last.saturating_add(1);
            self.write_both_headers();
        }
    }

    /// From now on, what is stored may be on its way.
    pub(super) fn set_online(&mut self) {
        if self.header.offline_from != 0 {
            self.header.offline_from = 0;
            self.write_both_headers();
        }
    }

    /// The lowest live number that is offline; 0 if there is none.
    pub(super) fn lowest_offline(&self) -> Result<u64> {
        let mut lowest = 0;
        if self.header.offline_from == 0 {
            return Ok(0);
        }
        self.visit(self.header.offline_from - 1, |_, _, record| {
            lowest = self.header.number(record.raw);
            ControlFlow::Break(())
        })?;
        Ok(lowest)
    }

    /// The header with all records from this number on moved up.
    pub(super) fn moved(&self, from: u64, add: u64) -> Result<Header> {
        let mut raw = None;
        self.visit(from.saturating_sub(1), |_, _, record| {
            raw = Some(record.raw);
            ControlFlow::Break(())
        })?;
        let header = match raw {
            None => Some(self.header.clone()),
            Some(raw) => self
                .header
                .moved(self.lowest_raw(), raw, self.last_raw, add),
        };
        let error = || -> Error {
            ErrorContext::new("renumber the stored messages from", from.to_string())
                .with_reason("they were renumbered too often without being persisted")
                .Store()
        };
        let mut header = header.ok_or_else(error)?;
        header.offline_from = from.checked_add(add).ok_or_else(error)?;
        Ok(header)
    }

    /// Makes such a header the one that counts.
    pub(super) fn put(&mut self, header: Header) -> Result<()> {
        self.header = header;
        self.skip_to(self.header.number(self.last_raw));
        self.write_both_headers();
        self.settle()?;
        self.highest = self.find_highest();
        Ok(())
    }
}

#[cold]
fn no_room<R: Region>(region: &R) -> Error {
    ErrorContext::new("store a message", region.name())
        .with_reason("the store is full")
        .Store()
}

/// A record is never shorter than its header.
const _: () = assert!(RECORD_HEADER_LEN % ALIGN == 0 && SEGMENT_HEADER_LEN % ALIGN == 0);
