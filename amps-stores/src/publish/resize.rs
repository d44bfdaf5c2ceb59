//! Who is asked before a store grows.

use amps_core::{PublishResizeHandler, PublishStore};
use parking_lot::{Condvar, Mutex};
use std::thread::{self, ThreadId};

/// The resize handler of a store. It runs with no lock of the store held, and on one thread at a
/// time; so it may ask the store how full it is, and discard.
#[derive(Default)]
pub(super) struct Resize {
    state: Mutex<State>,
    idle: Condvar,
}

#[derive(Default)]
struct State {
    handler: Option<PublishResizeHandler>,
    /// True from the first handler on.
    set: bool,
    running: Option<ThreadId>,
}

impl Resize {
    pub(super) fn set(&self, handler: PublishResizeHandler) {
        let mut state = self.state.lock();
        let old = state.handler.replace(handler);
        state.set = true;
        drop(state);
        drop(old);
    }

    /// Whether the store may take so many bytes; true if nobody is to be asked. A handler that
    /// stores something itself, for which the store would have to grow, is refused that.
    pub(super) fn allows(&self, store: &dyn PublishStore, bytes: usize) -> bool {
        let mut state = self.state.lock();
        let me = thread::current().id();
        while state.running.is_some_and(|thread| thread != me) {
            self.idle.wait(&mut state);
        }
        if !state.set {
            return true;
        }
        let Some(handler) = state.handler.take() else {
            return false;
        };
        state.running = Some(me);
        drop(state);
        let mut running = Running {
            resize: self,
            handler: Some(handler),
        };
        running
            .handler
            .as_mut()
            .is_some_and(|handler| handler(store, bytes))
    }
}

/// Puts the handler back, also if it panics; unless it has set another one.
struct Running<'a> {
    resize: &'a Resize,
    handler: Option<PublishResizeHandler>,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut state = self.resize.state.lock();
        if state.handler.is_none() {
            state.handler = self.handler.take();
        }
        state.running = None;
        drop(state);
        self.resize.idle.notify_all();
    }
}
