//! The store behind all stores: the shared rules under one lock, and a keeper.

use super::event::Event;
use super::keeper::Keeper;
use super::position::Position;
use super::subscription::Known;
use super::subscriptions::{Named, Subscriptions};
use amps_core::{
    BookmarkResizeHandler, BookmarkStore, Error, ErrorContext, Logged, Result, bookmark,
};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// A bookmark store whose state is kept as `K` does it.
pub(super) struct Tracked<K> {
    state: Mutex<State<K>>,
    /// Not under the lock of the state, so that the handler may look at the store.
    resize: Mutex<Option<BookmarkResizeHandler>>,
    asks: AtomicBool,
}

struct State<K> {
    all: Subscriptions,
    keeper: K,
}

/// What a change did to the resume point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moved {
    No,
    Perhaps,
}

impl<K: Keeper> State<K> {
    /// Makes a change: kept first, then made (trap 68).
    fn change(&mut self, index: u32, event: &Event<'_>) -> Result<Moved> {
        let State { all, keeper } = self;
        let Some(named) = all.get_mut(index) else {
            return Ok(Moved::No);
        };
        let before = named.state.revision();
        keeper.before(named, event)?;
        named.state.apply(event);
        let moved = if named.state.revision() == before {
            Moved::No
        } else {
            Moved::Perhaps
        };
        keeper.after(named)?;
        self.rewrite_if_long();
        Ok(moved)
    }

    /// The change is kept whether or not this works, so its failure is nobody's error.
    fn rewrite_if_long(&mut self) {
        if self.keeper.is_long()
            && let Err(error) = self.keeper.rewrite(&mut self.all)
        {
            log::warn!("a bookmark store could not be pruned: {error}");
        }
    }

    fn known(&mut self, sub_id: &str) -> &mut Named {
        let index = self.all.find_or_add(sub_id);
        match self.all.get_mut(index) {
            Some(named) => named,
            None => unreachable!("a subscription that was just found or added"),
        }
    }
}

impl<K: Keeper> Tracked<K> {
    pub(super) fn new(keeper: K, all: Subscriptions) -> Tracked<K> {
        Tracked {
            state: Mutex::new(State { all, keeper }),
            resize: Mutex::new(None),
            asks: AtomicBool::new(false),
        }
    }

    /// Writes the file anew, with what is needed only.
    pub(super) fn prune(&self) -> Result<()> {
        let State { all, keeper } = &mut *self.state.lock();
        keeper.rewrite(all)
    }

    /// Where the subscription resumes, for somebody who does not enter it there.
    pub(super) fn resume_point(&self, sub_id: &str) -> String {
        let state = self.state.lock();
        let point = state.all.named(sub_id).map(|sub| sub.state.resume_point());
        point.unwrap_or_else(|| bookmark::EPOCH.to_string())
    }

    /// Has a subscription resume at a point that was kept elsewhere.
    pub(super) fn restore(&self, sub_id: &str, point: &str) -> Result<Moved> {
        let mut state = self.state.lock();
        let index = state.known(sub_id).index;
        let entered = Event::Entered {
            point,
            now: false,
            anew: false,
        };
        state.change(index, &entered)
    }

    pub(super) fn log(&self, sub_id: &str, bookmark: &str) -> Result<(Logged, Moved)> {
        let position = Position::parse(bookmark);
        let mut state = self.state.lock();
        loop {
            let named = state.known(sub_id);
            let number = match named.state.find(position) {
                Known::Undiscarded(number) => return Ok((Logged::Undiscarded(number), Moved::No)),
                Known::Discarded => return Ok((Logged::Discarded, Moved::No)),
                Known::New => named.state.next(),
            };
            let held = named.state.len();
            if held < named.allowed || !self.asks.load(Ordering::Acquire) {
                let index = named.index;
                let moved = state.change(index, &Event::Received(position))?;
                return Ok((Logged::Undiscarded(number), moved));
            }
            let wanted = named.allowed.max(held) * 2;
            drop(state);
            self.ask_to_grow(sub_id, wanted)?;
            state = self.state.lock();
            state.known(sub_id).allowed = wanted;
        }
    }

    fn ask_to_grow(&self, sub_id: &str, wanted: usize) -> Result<()> {
        match &mut *self.resize.lock() {
            Some(may_grow) => match may_grow(self, sub_id, wanted) {
                true => Ok(()),
                false => Err(refused(sub_id, wanted)),
            },
            None => Ok(()),
        }
    }

    pub(super) fn discard(&self, sub_id: &str, sequence: u64) -> Result<Moved> {
        let mut state = self.state.lock();
        let held = state.all.named(sub_id);
        match held.filter(|named| named.state.holds(sequence)) {
            Some(named) => {
                let index = named.index;
                state.change(index, &Event::Discarded(sequence))
            }
            None => Ok(Moved::No),
        }
    }

    pub(super) fn discard_bookmark(&self, sub_id: &str, bookmark: &str) -> Result<Moved> {
        let mut state = self.state.lock();
        let Some(named) = state.all.named(sub_id) else {
            return Ok(Moved::No);
        };
        match named.state.find(Position::parse(bookmark)) {
            Known::Undiscarded(number) => {
                let index = named.index;
                state.change(index, &Event::Discarded(number))
            }
            _ => Ok(Moved::No),
        }
    }

    pub(super) fn enter(&self, sub_id: &str, bookmark: &str) -> Result<Moved> {
        let mut state = self.state.lock();
        let named = state.known(sub_id);
        let index = named.index;
        // For this entry only: what was told long ago is another point by now.
        let told = named.told.take();
        match named.state.entering(bookmark, told.as_deref()) {
            Some(entering) => state.change(index, &entering.event()),
            None => Ok(Moved::No),
        }
    }

    pub(super) fn completed(&self, sub_id: &str, bookmark: &str) -> Result<Moved> {
        let mut state = self.state.lock();
        let index = state.known(sub_id).index;
        state.change(index, &Event::Completed(bookmark))
    }

    pub(super) fn persisted(&self, sub_id: &str, bookmark: &str) -> Result<Moved> {
        let mut state = self.state.lock();
        let named = state.known(sub_id);
        if !named.state.counts(bookmark) {
            return Ok(Moved::No);
        }
        let index = named.index;
        state.change(index, &Event::Persisted(bookmark))
    }
}

fn refused(sub_id: &str, wanted: usize) -> Error {
    ErrorContext::new("log a bookmark of the subscription", sub_id)
        .with_reason(format!(
            "the resize handler does not allow {wanted} entries"
        ))
        .Store()
}

impl<K: Keeper> BookmarkStore for Tracked<K> {
    fn log(&self, sub_id: &str, bookmark: &str) -> Result<Logged> {
        self.log(sub_id, bookmark).map(|(logged, _)| logged)
    }

    fn discard(&self, sub_id: &str, sequence: u64) -> Result<()> {
        self.discard(sub_id, sequence).map(drop)
    }

    fn discard_bookmark(&self, sub_id: &str, bookmark: &str) -> Result<()> {
        self.discard_bookmark(sub_id, bookmark).map(drop)
    }

    fn is_discarded(&self, sub_id: &str, bookmark: &str) -> bool {
        let state = self.state.lock();
        let position = Position::parse(bookmark);
        let named = state.all.named(sub_id);
        named.is_some_and(|named| named.state.find(position) == Known::Discarded)
    }

    fn most_recent(&self, sub_id: &str) -> Result<String> {
        let mut state = self.state.lock();
        let index = state.all.find(sub_id);
        let Some(named) = index.and_then(|index| state.all.get_mut(index)) else {
            return Ok(bookmark::EPOCH.to_string());
        };
        let point = named.state.resume_point();
        // Messages may be discarded before the subscription is entered there.
        named.told = Some(point.clone());
        Ok(point)
    }

    fn enter(&self, sub_id: &str, bookmark: &str) -> Result<()> {
        self.enter(sub_id, bookmark).map(drop)
    }

    fn completed(&self, sub_id: &str, bookmark: &str) -> Result<()> {
        self.completed(sub_id, bookmark).map(drop)
    }

    fn persisted(&self, sub_id: &str, bookmark: &str) -> Result<()> {
        self.persisted(sub_id, bookmark).map(drop)
    }

    fn oldest_bookmark_seq(&self, sub_id: &str) -> u64 {
        let state = self.state.lock();
        let named = state.all.named(sub_id);
        named.map_or(0, |named| named.state.oldest())
    }

    fn purge(&self) -> Result<()> {
        let State { all, keeper } = &mut *self.state.lock();
        keeper.purge(None)?;
        all.clear();
        Ok(())
    }

    fn purge_sub(&self, sub_id: &str) -> Result<()> {
        let State { all, keeper } = &mut *self.state.lock();
        if let Some(index) = all.find(sub_id) {
            keeper.purge(all.get_mut(index))?;
            all.remove(index);
        }
        Ok(())
    }

    fn set_resize_handler(&self, handler: BookmarkResizeHandler) {
        *self.resize.lock() = Some(handler);
        self.asks.store(true, Ordering::Release);
    }
}
