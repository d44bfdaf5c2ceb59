//! Something of the application that one thread uses at a time, with no lock held.

use parking_lot::{Condvar, Mutex};
use std::time::Duration;

/// How often a thread that waits for its turn asks whether it is still to wait.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Holds a chooser or a delay strategy; whoever calls it takes it out meanwhile.
///
/// So no lock is held while code of the application runs, and it is replaced at any time, also by
/// itself: the next to take it out finds the new one. A loop that was cancelled inside a call may
/// still have the old one out when the next loop comes; that one waits for its turn.
pub(crate) struct Lend<T> {
    state: Mutex<State<T>>,
    returned: Condvar,
}

struct State<T> {
    /// `None` while it is out.
    value: Option<T>,
    /// Counts the replacements.
    generation: u64,
}

impl<T> Lend<T> {
    pub(crate) fn new(value: T) -> Lend<T> {
        Lend {
            state: Mutex::new(State {
                value: Some(value),
                generation: 0,
            }),
            returned: Condvar::new(),
        }
    }

    /// Puts another one in its place. The old one is dropped here, or by whoever has it out.
    pub(crate) fn replace(&self, value: T) {
        let old = {
            let mut state = self.state.lock();
            state.generation += 1;
            state.value.replace(value)
        };
        self.returned.notify_one();
        drop(old);
    }

    /// Calls it with no lock held; `None` if the caller is not to wait any more, or not at all.
    pub(crate) fn with<R>(
        &self,
        is_over: impl Fn() -> bool,
        call: impl FnOnce(&mut T) -> R,
    ) -> Option<R> {
        let (value, generation) = {
            let mut state = self.state.lock();
            loop {
                if let Some(value) = state.value.take() {
                    break (value, state.generation);
                }
                if is_over() {
                    return None;
                }
                self.returned.wait_for(&mut state, LOOK_AGAIN);
            }
        };
        // Goes back also if the call panics.
        let mut out = Out {
            lend: self,
            value: Some(value),
            generation,
        };
        out.value.as_mut().map(call)
    }
}

struct Out<'a, T> {
    lend: &'a Lend<T>,
    value: Option<T>,
    generation: u64,
}

impl<T> Drop for Out<'_, T> {
    fn drop(&mut self) {
        let mut state = self.lend.state.lock();
        if state.generation == self.generation {
            state.value = self.value.take();
        }
        drop(state);
        self.lend.returned.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    #[test]
    fn what_is_replaced_during_a_call_does_not_come_back() {
        let lend = Lend::new(1);
        lend.with(
            || false,
            |value| {
                assert_eq!(*value, 1);
                lend.replace(2);
            },
        );
        assert_eq!(lend.with(|| false, |value| *value), Some(2));
    }

    #[test]
    fn it_comes_back_from_a_call_that_panics() {
        let lend = Lend::new(1);
        let call = std::panic::AssertUnwindSafe(|| lend.with(|| false, |_| panic!("on purpose")));
        assert!(std::panic::catch_unwind(call).is_err());
        assert_eq!(lend.with(|| false, |value| *value), Some(1));
    }

    #[test]
    fn a_second_caller_waits_for_its_turn_or_until_it_is_over() {
        let lend = Arc::new(Lend::new(0));
        let over = Arc::new(AtomicBool::new(false));
        lend.with(
            || false,
            |value| {
                assert_eq!(lend.with(|| true, |_| ()), None);
                *value = 1;
                let (lend, is_over) = (lend.clone(), over.clone());
                let waiting =
                    thread::spawn(move || lend.with(|| is_over.load(Ordering::Acquire), |_| ()));
                // The value is out, so only this ends the wait.
                over.store(true, Ordering::Release);
                assert_eq!(waiting.join().unwrap(), None);
            },
        );
        assert_eq!(lend.with(|| false, |value| *value), Some(1));
    }
}
