//! Ctrl-C, and the other polite ways to end a program.

use crate::failure::Failure;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What runs when the user wants it to end: it wakes whatever is being waited for.
type Waker = Box<dyn FnOnce() + Send>;

/// Whether the user wants it to end. The first time asks, the second time ends the program.
#[derive(Clone)]
pub(crate) struct Interrupt(Arc<State>);

struct State {
    pressed: AtomicBool,
    waker: Mutex<Option<Waker>>,
    changed: Condvar,
}

impl Interrupt {
    /// Listens from now on.
    pub(crate) fn install() -> Result<Interrupt, Failure> {
        let interrupt = Interrupt(Arc::new(State {
            pressed: AtomicBool::new(false),
            waker: Mutex::new(None),
            changed: Condvar::new(),
        }));
        let state = interrupt.0.clone();
        ctrlc::set_handler(move || {
            if state.pressed.swap(true, Ordering::SeqCst) {
                std::process::exit(1);
            }
            let waker = state.waker.lock().take();
            state.changed.notify_all();
            if let Some(wake) = waker {
                wake();
            }
        })
        .map_err(|error| Failure::Other(format!("cannot listen for Ctrl-C: {error}")))?;
        Ok(interrupt)
    }

    pub(crate) fn is_pressed(&self) -> bool {
        self.0.pressed.load(Ordering::SeqCst)
    }

    /// Runs `wake` when the user wants it to end, at once if that is so already; in place of what
    /// was to run before.
    pub(crate) fn on_press(&self, wake: impl FnOnce() + Send + 'static) {
        *self.0.waker.lock() = Some(Box::new(wake));
        if self.is_pressed() {
            // Whoever takes it runs it.
            let waker = self.0.waker.lock().take();
            if let Some(wake) = waker {
                wake();
            }
        }
    }

    /// Nothing needs to be woken any more.
    pub(crate) fn forget(&self) {
        self.0.waker.lock().take();
    }

    /// Waits, but no longer than until the user wants it to end; true if that is so.
    pub(crate) fn wait(&self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        let mut guard = self.0.waker.lock();
        while !self.is_pressed() {
            if self.0.changed.wait_until(&mut guard, deadline).timed_out() {
                break;
            }
        }
        self.is_pressed()
    }
}
