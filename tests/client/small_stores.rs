//! The smallest stores that keep the contracts: a list behind a lock.

use amps::{
    BookmarkResizeHandler, BookmarkStore, Error, ErrorContext, Logged, OutgoingCommand,
    PublishResizeHandler, PublishStore, Result, StoredCommand,
};
use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A publish store whose numbers start at 1.
pub(crate) struct VecStore {
    kept: Mutex<Kept>,
    changed: Condvar,
    resize: Mutex<Option<PublishResizeHandler>>,
    fails_on_gap: AtomicBool,
    /// Every call that changes something fails.
    pub(crate) fails: AtomicBool,
    /// It cannot renumber.
    pub(crate) is_simple: AtomicBool,
    /// How often it was asked what is left.
    pub(crate) asked: AtomicU64,
}

impl Default for VecStore {
    fn default() -> Self {
        let store = VecStore {
            kept: Mutex::default(),
            changed: Condvar::new(),
            resize: Mutex::default(),
            fails_on_gap: AtomicBool::new(false),
            fails: AtomicBool::new(false),
            is_simple: AtomicBool::new(false),
            asked: AtomicU64::new(0),
        };
        store.kept.lock().offline_from = Some(1);
        store
    }
}

#[derive(Default)]
struct Kept {
    last: u64,
    persisted: u64,
    records: Vec<(u64, Vec<u8>)>,
    /// Records from this number on were stored offline.
    offline_from: Option<u64>,
}

impl VecStore {
    pub(crate) fn numbers(&self) -> Vec<u64> {
        let kept = self.kept.lock();
        kept.records.iter().map(|(number, _)| *number).collect()
    }

    pub(crate) fn is_offline(&self) -> bool {
        self.kept.lock().offline_from.is_some()
    }

    fn check(&self, attempt: &'static str) -> Result<()> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(ErrorContext::new(attempt, "a record")
                .with_reason("the disk is full")
                .Store());
        }
        Ok(())
    }
}

impl PublishStore for VecStore {
    fn store(&self, command: &OutgoingCommand<'_>) -> Result<u64> {
        self.check("store")?;
        if let Some(handler) = &mut *self.resize.lock()
            && !handler(self, 0)
        {
            return Err(ErrorContext::new("store", command.topic)
                .with_reason("the resize handler forbids it")
                .Store());
        }
        let mut bytes = vec![0; command.encoded_len()];
        command.encode_to(&mut bytes);
        let mut kept = self.kept.lock();
        kept.last += 1;
        let number = kept.last;
        kept.records.push((number, bytes));
        Ok(number)
    }

    fn discard_up_to(&self, sequence: u64) -> Result<()> {
        self.check("discard")?;
        let mut kept = self.kept.lock();
        kept.records.retain(|(number, _)| *number > sequence);
        kept.persisted = kept.persisted.max(sequence);
        kept.last = kept.last.max(sequence);
        self.changed.notify_all();
        Ok(())
    }

    fn discard_one(&self, sequence: u64) -> Result<bool> {
        self.check("discard")?;
        let mut kept = self.kept.lock();
        let before = kept.records.len();
        kept.records.retain(|(number, _)| *number != sequence);
        self.changed.notify_all();
        Ok(kept.records.len() < before)
    }

    fn replay(
        &self,
        after: u64,
        visitor: &mut dyn FnMut(StoredCommand<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        self.check("read")?;
        let kept = self.kept.lock();
        for (number, bytes) in kept.records.iter().filter(|(number, _)| *number > after) {
            let stored = StoredCommand::new(*number, OutgoingCommand::decode(bytes)?);
            if visitor(stored).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn replay_single(
        &self,
        sequence: u64,
        visitor: &mut dyn FnMut(StoredCommand<'_>),
    ) -> Result<bool> {
        self.check("read")?;
        let kept = self.kept.lock();
        let found = kept.records.iter().find(|(number, _)| *number == sequence);
        if let Some((number, bytes)) = found {
            visitor(StoredCommand::new(*number, OutgoingCommand::decode(bytes)?));
        }
        Ok(found.is_some())
    }

    fn unpersisted_count(&self) -> usize {
        self.kept.lock().records.len()
    }

    fn lowest_unpersisted(&self) -> u64 {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.kept.lock().records.first().map_or(0, |first| first.0)
    }

    fn highest_unpersisted(&self) -> u64 {
        self.kept.lock().records.last().map_or(0, |last| last.0)
    }

    fn last_persisted(&self) -> u64 {
        self.kept.lock().persisted
    }

    fn flush(&self, timeout: Duration) -> Result<()> {
        let deadline = (!timeout.is_zero()).then(|| Instant::now() + timeout);
        let mut kept = self.kept.lock();
        let last = kept.last;
        while kept.records.first().is_some_and(|first| first.0 <= last) {
            match deadline {
                None => self.changed.wait(&mut kept),
                Some(deadline) => {
                    if self.changed.wait_until(&mut kept, deadline).timed_out() {
                        return Err(ErrorContext::new("flush", "").TimedOut());
                    }
                }
            }
        }
        Ok(())
    }

    fn set_error_on_publish_gap(&self, fail: bool) {
        self.fails_on_gap.store(fail, Ordering::SeqCst);
    }

    fn error_on_publish_gap(&self) -> bool {
        self.fails_on_gap.load(Ordering::SeqCst)
    }

    fn set_resize_handler(&self, handler: PublishResizeHandler) {
        *self.resize.lock() = Some(handler);
    }

    fn set_offline(&self) -> Result<()> {
        let mut kept = self.kept.lock();
        let next = kept.last + 1;
        kept.offline_from.get_or_insert(next);
        Ok(())
    }

    fn set_online(&self) -> Result<()> {
        self.kept.lock().offline_from = None;
        Ok(())
    }

    fn lowest_offline(&self) -> u64 {
        let kept = self.kept.lock();
        let Some(from) = kept.offline_from else {
            return 0;
        };
        let mut offline = kept.records.iter().map(|record| record.0);
        offline.find(|number| *number >= from).unwrap_or(0)
    }

    fn renumber_offline(&self, above: u64) -> Result<()> {
        if self.is_simple.load(Ordering::SeqCst) {
            return Err(ErrorContext::new("renumber", "records")
                .with_reason("this kind of store cannot renumber")
                .Store());
        }
        let mut kept = self.kept.lock();
        let from = kept.offline_from.unwrap_or(u64::MAX);
        let mut next = above.max(kept.last);
        for record in kept.records.iter_mut().filter(|record| record.0 >= from) {
            next += 1;
            record.0 = next;
        }
        kept.last = next;
        kept.offline_from = Some(above + 1);
        Ok(())
    }
}

/// A bookmark store that remembers what it was told.
#[derive(Default)]
pub(crate) struct Marks {
    subscriptions: Mutex<HashMap<String, Vec<(String, bool)>>>,
    told: Mutex<Vec<String>>,
    pub(crate) fails: AtomicBool,
    /// Runs before a bookmark is logged.
    pub(crate) before_log: Mutex<Option<BeforeLog>>,
}

type BeforeLog = Box<dyn FnMut(&str) + Send>;

impl Marks {
    /// What it was told, in order, apart from the messages.
    pub(crate) fn told(&self) -> Vec<String> {
        self.told.lock().clone()
    }

    fn tell(&self, what: String) -> Result<()> {
        self.told.lock().push(what);
        Ok(())
    }

    fn failure() -> Error {
        ErrorContext::new("log", "a bookmark")
            .with_reason("the disk is full")
            .Store()
    }
}

impl BookmarkStore for Marks {
    fn log(&self, sub_id: &str, bookmark: &str) -> Result<Logged> {
        if let Some(before) = &mut *self.before_log.lock() {
            before(bookmark);
        }
        if self.fails.load(Ordering::SeqCst) {
            return Err(Marks::failure());
        }
        let mut subscriptions = self.subscriptions.lock();
        let entries = subscriptions.entry(sub_id.to_string()).or_default();
        let known = entries.iter().position(|(known, _)| known == bookmark);
        let at = known.unwrap_or_else(|| {
            entries.push((bookmark.to_string(), false));
            entries.len() - 1
        });
        Ok(match entries[at].1 {
            true => Logged::Discarded,
            false => Logged::Undiscarded(at as u64 + 1),
        })
    }

    fn discard(&self, sub_id: &str, sequence: u64) -> Result<()> {
        let mut subscriptions = self.subscriptions.lock();
        let entries = subscriptions.entry(sub_id.to_string()).or_default();
        if let Some(entry) = entries.get_mut(sequence as usize - 1) {
            entry.1 = true;
        }
        Ok(())
    }

    fn discard_bookmark(&self, sub_id: &str, bookmark: &str) -> Result<()> {
        let mut subscriptions = self.subscriptions.lock();
        let entries = subscriptions.entry(sub_id.to_string()).or_default();
        for entry in entries.iter_mut().filter(|(known, _)| known == bookmark) {
            entry.1 = true;
        }
        Ok(())
    }

    fn is_discarded(&self, sub_id: &str, bookmark: &str) -> bool {
        let subscriptions = self.subscriptions.lock();
        let entries = subscriptions.get(sub_id);
        entries.is_some_and(|entries| entries.contains(&(bookmark.to_string(), true)))
    }

    fn most_recent(&self, sub_id: &str) -> Result<String> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(Marks::failure());
        }
        let subscriptions = self.subscriptions.lock();
        let entries = subscriptions.get(sub_id).map_or(&[][..], Vec::as_slice);
        let prefix = entries.iter().take_while(|(_, discarded)| *discarded);
        Ok(prefix.last().map_or("0".to_string(), |last| last.0.clone()))
    }

    fn enter(&self, sub_id: &str, bookmark: &str) -> Result<()> {
        self.tell(format!("enter {sub_id} {bookmark}"))
    }

    fn completed(&self, sub_id: &str, bookmark: &str) -> Result<()> {
        self.tell(format!("completed {sub_id} {bookmark}"))
    }

    fn persisted(&self, sub_id: &str, bookmark: &str) -> Result<()> {
        self.tell(format!("persisted {sub_id} {bookmark}"))
    }

    fn oldest_bookmark_seq(&self, sub_id: &str) -> u64 {
        let subscriptions = self.subscriptions.lock();
        let entries = subscriptions.get(sub_id).map_or(&[][..], Vec::as_slice);
        let oldest = entries.iter().position(|(_, discarded)| !discarded);
        oldest.map_or(0, |at| at as u64 + 1)
    }

    fn purge(&self) -> Result<()> {
        self.subscriptions.lock().clear();
        Ok(())
    }

    fn purge_sub(&self, sub_id: &str) -> Result<()> {
        self.subscriptions.lock().remove(sub_id);
        Ok(())
    }

    fn set_server_version(&self, version: u64) {
        let _ = self.tell(format!("version {version}"));
    }

    fn set_resize_handler(&self, _handler: BookmarkResizeHandler) {}
}
