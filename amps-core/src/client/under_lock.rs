//! Code of others that runs under the send lock: stores, transport filters, and what they call.
//!
//! A call on the same client from there would wait for the lock that its own thread holds, so it is
//! refused.

use super::shared::Shared;
use crate::error::{Error, ErrorContext, Result};
use std::cell::{Cell, RefCell};

thread_local! {
    /// How many there are, for the usual answer: none.
    static DEPTH: Cell<usize> = const { Cell::new(0) };

    /// The clients whose send lock this thread holds while code of others runs.
    static UNDER_LOCK: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// The mark on the thread; ends with the call, also if that panics.
struct Mark;

impl Drop for Mark {
    fn drop(&mut self) {
        UNDER_LOCK.with_borrow_mut(|clients| clients.pop());
        DEPTH.set(DEPTH.get() - 1);
    }
}

/// Calls code of others under the send lock of this client.
#[inline]
pub(crate) fn under_send_lock<T>(client: u64, call: impl FnOnce() -> T) -> T {
    UNDER_LOCK.with_borrow_mut(|clients| clients.push(client));
    DEPTH.set(DEPTH.get() + 1);
    let _mark = Mark;
    call()
}

impl Shared {
    /// True if code of others runs on this thread under this client's send lock.
    #[inline]
    pub(crate) fn is_under_send_lock(&self) -> bool {
        DEPTH.get() > 0 && UNDER_LOCK.with_borrow(|clients| clients.contains(&self.id()))
    }

    /// Refuses a call from a store or a filter, or from what that calls, under this client's send
    /// lock.
    #[inline]
    pub(crate) fn check_not_in_store(&self, context: impl FnOnce() -> ErrorContext) -> Result<()> {
        match self.is_under_send_lock() {
            false => Ok(()),
            true => Err(refused(context)),
        }
    }
}

#[cold]
#[inline(never)]
fn refused(context: impl FnOnce() -> ErrorContext) -> Error {
    let reason =
        "a store or a transport filter, or what it calls, cannot call the client that uses it";
    context().with_reason(reason).Usage()
}
