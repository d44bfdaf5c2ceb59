//! Where the next record goes: the rest of the last segment, a free one, or one that the region
//! has to grow by.

use super::{Log, Open, Segment};
use crate::publish::format::{SEGMENT_HEADER_LEN, SegmentHeader, WORD, record_len};
use crate::publish::region::{Place, Region};
use amps_core::{Error, ErrorContext, Result};

/// The longest payload of a record. Frames are shorter.
const MAX_PAYLOAD: usize = 1 << 30;

impl<R: Region> Log<R> {
    /// True if a record of this payload fits into the last segment.
    #[inline]
    pub(in crate::publish) fn has_room(&self, payload: usize) -> bool {
        record_len(payload) <= self.open.room
    }

    /// How many segments the region needs for a record of this payload; none if there is room.
    pub(in crate::publish) fn wants(&mut self, payload: usize) -> Option<u32> {
        if self.has_room(payload) {
            return None;
        }
        let need = record_len(payload);
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
    pub(in crate::publish) fn size_of(&self, segments: u32) -> usize {
        (segments as usize).saturating_mul(self.region.segment_size())
    }

    /// What the region takes, in bytes.
    pub(in crate::publish) fn size(&self) -> usize {
        self.size_of(self.region.segments())
    }

    /// Makes it so many segments.
    pub(in crate::publish) fn grow(&mut self, segments: u32) -> Result<()> {
        let before = self.region.segments();
        self.region.grow(segments)?;
        // No allocation later, when they are freed.
        self.free.reserve(segments as usize);
        self.free.extend((before..self.region.segments()).rev());
        Ok(())
    }

    /// Notes where the last segment ends.
    pub(super) fn measure(&mut self) {
        self.open.room = 0;
        if let Some(tail) = self.chain.back() {
            let size = tail.place.span as usize * self.region.segment_size();
            self.open = Open {
                place: tail.place,
                at: tail.end,
                room: size - tail.end,
            };
        }
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
        let mut run = self.free.drain(at..at + span as usize);
        run.next_back().map(|start| Place { start, span })
    }

    pub(super) fn release(&mut self, place: Place) {
        self.free
            .extend((place.start..place.start + place.span).rev());
    }

    pub(super) fn release_all(&mut self) {
        while let Some(segment) = self.chain.pop_front() {
            self.release(segment.place);
        }
        self.header.first_ordinal = self.header.last_ordinal + 1;
        self.measure();
    }

    /// Makes a free segment the last of the chain.
    #[cold]
    pub(super) fn link(&mut self, need: usize, payload: usize) -> Result<()> {
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
            if let Err(error) = self.sync_header() {
                self.release(place);
                return Err(error);
            }
        }
        let ordinal = self.header.last_ordinal + 1;
        let header = SegmentHeader {
            span,
            file_id: self.header.file_id,
            ordinal,
            previous: self.last_raw,
        };
        let bytes = self.region.bytes_mut(place);
        bytes[SEGMENT_HEADER_LEN..][..WORD].fill(0);
        bytes[..SEGMENT_HEADER_LEN].copy_from_slice(&header.encode());
        self.chain.push_back(Segment {
            place,
            last: self.last_raw,
            end: SEGMENT_HEADER_LEN,
            live: 0,
        });
        self.measure();
        self.header.last_ordinal = ordinal;
        self.settle()?;
        // Both slots, so that the loss of one does not hide the segment.
        self.write_both_headers();
        Ok(())
    }

    /// Gives up all segments, for a region that is to be cut off. Only for a log without records.
    pub(in crate::publish) fn forget_all(&mut self) {
        self.release_all();
        self.free.clear();
        self.header.synced_up_to = 0;
        self.header.last_number = self.last;
        self.header.segments = 0;
        self.region.write_header(&mut self.header);
        self.region.write_header(&mut self.header);
    }
}

#[cold]
pub(super) fn no_room<R: Region>(region: &R) -> Error {
    ErrorContext::new("store a message", region.name())
        .with_reason("the store is full")
        .Store()
}
