//! Handlers: closures of the application that take messages.

use crate::error::{Error, ErrorContext};
use crate::message::Message;
use log::warn;
use parking_lot::{ArcMutexGuard, Mutex, RawMutex};
use std::any::Any;
use std::error::Error as StdError;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

type Failure = Box<dyn StdError + Send + Sync>;

/// What a handler may return: nothing, or a `Result` whose error goes to the exception listener.
///
/// The error may be any that is `Send + Sync`, such as an error of this crate, a text, or a
/// `Box<dyn Error + Send + Sync>`; a plain `Box<dyn Error>` is not, because handlers run on another
/// thread.
pub trait HandlerOutcome {
    /// The result of the call.
    ///
    /// # Errors
    ///
    /// What the handler returned.
    fn into_result(self) -> Result<(), Failure>;
}

impl HandlerOutcome for () {
    fn into_result(self) -> Result<(), Failure> {
        Ok(())
    }
}

impl<E: Into<Failure>> HandlerOutcome for Result<(), E> {
    fn into_result(self) -> Result<(), Failure> {
        self.map_err(Into::into)
    }
}

type HandlerFn = dyn FnMut(&Message) -> Result<(), Failure> + Send;

/// A handler with a lock of its own: it runs on one thread at a time, and no lock of the engine
/// is held while it does. The closure stands right behind its lock, because with many handlers
/// each place that is looked at costs a wait for the memory. A clone is the same handler.
#[derive(Clone)]
pub(crate) struct MessageHandler(Arc<Mutex<HandlerFn>>);

impl MessageHandler {
    pub(crate) fn new<H, O>(mut handler: H) -> MessageHandler
    where
        H: FnMut(&Message) -> O + Send + 'static,
        O: HandlerOutcome,
    {
        MessageHandler(Arc::new(Mutex::new(move |message: &Message| {
            handler(message).into_result()
        })))
    }

    /// Runs it. A panic is an error like any other (rule C11).
    pub(crate) fn call(&self, message: &Message) -> Result<(), Error> {
        run(&mut *self.0.lock(), message)
    }

    /// Takes its lock, to run it several times.
    pub(crate) fn lock(&self) -> LockedHandler {
        LockedHandler(self.0.lock_arc())
    }

    /// Tells it from others for as long as it lives.
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

/// A handler that only this thread can run.
pub(crate) struct LockedHandler(ArcMutexGuard<RawMutex, HandlerFn>);

impl LockedHandler {
    /// As [`MessageHandler::call`].
    #[inline]
    pub(crate) fn call(&mut self, message: &Message) -> Result<(), Error> {
        run(&mut *self.0, message)
    }

    /// True if it is this one.
    #[inline]
    pub(crate) fn is(&self, handler: &MessageHandler) -> bool {
        Arc::ptr_eq(ArcMutexGuard::mutex(&self.0), &handler.0)
    }
}

#[inline]
fn run(handler: &mut HandlerFn, message: &Message) -> Result<(), Error> {
    guarded(
        "handle a message from",
        || message.topic().to_string(),
        || handler(message),
    )
}

/// Runs a callback of the application and turns an error or a panic into [`Error::Handler`].
pub(crate) fn guarded(
    attempted: &'static str,
    subject: impl FnOnce() -> String,
    callback: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Error> {
    // The text of an error is code of the application's, too.
    let called = catch_unwind(AssertUnwindSafe(|| {
        callback().map_err(|failure| (failure.to_string(), failure))
    }));
    let (reason, failure) = match called {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(failure)) => failure,
        Err(panic) => {
            let panicked = Panicked(panic_text(&*panic));
            drop_guarded(panic);
            (panicked.to_string(), panicked.into())
        }
    };
    Err(ErrorContext::new(attempted, subject())
        .with_reason(reason)
        .with_source(failure)
        .Handler())
}

/// Drops what may hold values of the application, whose drop may panic.
pub(crate) fn drop_guarded<T>(value: T) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        warn!("dropping a callback panicked: {}", panic_text(&*panic));
        // Its own drop is not to be trusted either.
        std::mem::forget(panic);
    }
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_string(),
        (_, Some(text)) => text.clone(),
        _ => "a value that is no text".to_string(),
    }
}

/// The source of an [`Error::Handler`] whose callback panicked.
#[derive(Debug)]
struct Panicked(String);

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panicked: {}", self.0)
    }
}

impl StdError for Panicked {}
