//! What is said about a log as a whole: headers, syncs, and which numbers count.

use super::{Log, Mark};
use crate::publish::format::Header;
use crate::publish::region::Region;
use amps_core::{Error, ErrorContext, Result};
use std::ops::ControlFlow;

impl<R: Region> Log<R> {
    /// Writes what the log knows into the older header slot.
    pub(in crate::publish) fn write_header(&mut self) {
        self.slots = [self.slots[1], self.header.first_ordinal];
        self.header.last_number = self.last;
        self.header.segments = self.region.segments();
        self.region.write_header(&mut self.header);
    }

    /// Writes a change into both slots that must not be undone by the loss of one.
    pub(in crate::publish) fn write_both_headers(&mut self) {
        self.write_header();
        self.write_header();
    }

    /// Syncs everything and notes in the header that it is.
    pub(in crate::publish) fn sync(&mut self) -> Result<()> {
        self.region.sync()?;
        self.header.synced_up_to = self.synced(self.last_raw);
        self.write_both_headers();
        self.sync_header()
    }

    /// Syncs the header as it was last written.
    pub(in crate::publish) fn sync_header(&mut self) -> Result<()> {
        self.region.sync_header()?;
        self.claimed = self.header.synced_up_to;
        Ok(())
    }

    /// Syncs everything at the price of one sync: what the header tells is one record behind.
    pub(in crate::publish) fn sync_record(&mut self, before: &Mark) -> Result<()> {
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
    pub(super) fn synced(&self, raw: u64) -> u64 {
        if self.lowest == 0 || self.lowest_raw() > raw {
            return 0;
        }
        raw
    }

    /// Begins to give numbers: above its own and above the clock. The log is offline.
    pub(in crate::publish) fn begin_at(&mut self, now: u64) {
        self.skip_to(now.saturating_sub(1));
        self.set_offline(self.last.saturating_add(1));
    }

    /// Numbers up to this one are not given any more, as long as the log is open.
    pub(in crate::publish) fn skip_to(&mut self, number: u64) {
        self.last = self.last.max(number);
    }

    /// Numbers up to this one are not given any more, also when the log is opened anew.
    pub(in crate::publish) fn raise_to(&mut self, number: u64) {
        if number > self.last {
            self.skip_to(number);
            self.write_both_headers();
        }
    }

    /// What is stored from this number on is offline: it can have reached no server. Changes
    /// nothing if the log is offline already.
    pub(in crate::publish) fn set_offline(&mut self, from: u64) {
        if self.header.offline_from == 0 {
            self.header.offline_from = from;
            self.write_both_headers();
        }
    }

    /// From now on, what is stored may be on its way.
    pub(in crate::publish) fn set_online(&mut self) {
        if self.header.offline_from != 0 {
            self.header.offline_from = 0;
            self.write_both_headers();
        }
    }

    /// The lowest live number that is offline; 0 if there is none.
    pub(in crate::publish) fn lowest_offline(&self) -> Result<u64> {
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
    pub(in crate::publish) fn moved(&self, from: u64, add: u64) -> Result<Header> {
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
    pub(in crate::publish) fn put(&mut self, header: Header) -> Result<()> {
        self.header = header;
        self.skip_to(self.header.number(self.last_raw));
        self.write_both_headers();
        self.settle()?;
        self.highest = self.find_highest();
        Ok(())
    }
}
