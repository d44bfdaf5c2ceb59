//! Walking over the records that are live.

use super::{Log, Segment};
use crate::publish::format::{Record, SEGMENT_HEADER_LEN};
use crate::publish::region::Region;
use amps_core::{OutgoingCommand, Result, StoredCommand};
use std::ops::ControlFlow;

impl<R: Region> Log<R> {
    /// The segment in the chain and the place in it of the live record of this number.
    pub(super) fn find(&self, number: u64) -> Result<Option<(usize, usize)>> {
        let mut found = None;
        self.visit(number.saturating_sub(1), |index, at, record| {
            if self.header.number(record.raw) == number {
                found = Some((index, at));
            }
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    pub(super) fn find_highest(&self) -> u64 {
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

    pub(super) fn lowest_raw(&self) -> u64 {
        let record = self.chain.front().and_then(|front| {
            let bytes = self.region.bytes(front.place).get(self.head..front.end)?;
            Record::read(bytes, None)
        });
        record.map_or(u64::MAX, |record| record.raw)
    }

    /// Shows the live records above `after` with the index of their segment and their place in it.
    pub(super) fn visit<'a>(
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
    pub(super) fn read(
        &self,
        segment: &Segment,
        at: usize,
        checked: Option<u64>,
    ) -> Result<Record<'_>> {
        let bytes = self.region.bytes(segment.place).get(at..segment.end);
        bytes
            .and_then(|bytes| Record::read(bytes, checked))
            .ok_or_else(|| self.region.damaged(segment.place, at))
    }

    /// Shows the commands above `after`, checked and in ascending order.
    pub(in crate::publish) fn replay(
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
}
