//! One connection: a socket, its number, and how far it is from its end.

use crate::error::{ErrorContext, Result};
use crate::transport::Transport;
use crate::uri::AmpsUri;
use crossbeam_channel::Receiver;
use parking_lot::{Condvar, Mutex};
use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Where a connection is in its life. It only moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// In use.
    Live = 0,
    /// `disconnect` was called: what still comes in is dropped.
    Closing = 1,
    /// The receive thread found it broken.
    Lost = 2,
}

/// A connection of a client. Its number tells it from earlier and later ones, so that a late
/// error of an old socket touches nothing new (rule I7).
pub(crate) struct Connection {
    pub(crate) number: u64,
    pub(crate) uri: AmpsUri,
    pub(crate) transport: Box<dyn Transport>,
    phase: AtomicU8,
    /// Why a write failed: the receive thread, which then only sees the end of the stream,
    /// reports it.
    write_failure: Mutex<Option<io::Error>>,
    /// Disconnected, as a channel, once the state Connected has been announced.
    announced: Receiver<()>,
    threads: Mutex<Threads>,
    thread_ended: Condvar,
    flusher: Mutex<FlusherState>,
    flusher_woken: Condvar,
    /// After how many nanoseconds of silence the connection counts as lost; 0: never.
    idle_limit: AtomicU64,
    /// The receive thread minds that limit.
    minds_idle_limit: AtomicBool,
    is_silent: AtomicBool,
    /// Until when a deliberate disconnect lets the receive thread wait for the server's end.
    drain_until: Mutex<Option<Instant>>,
    was_cut: AtomicBool,
    ended_cleanly: AtomicBool,
}

#[derive(Default)]
struct Threads {
    running: usize,
    handles: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct FlusherState {
    started: bool,
    wanted: bool,
}

thread_local! {
    /// Which client and connection this thread receives for.
    static RECEIVING: Cell<Option<(u64, u64)>> = const { Cell::new(None) };
}

/// Marks the current thread as the receive thread of a connection, or as no receive thread.
pub(crate) fn set_receiving(receiving: Option<(u64, u64)>) {
    RECEIVING.set(receiving);
}

/// The client and the connection that the current thread receives for.
pub(crate) fn receiving() -> Option<(u64, u64)> {
    RECEIVING.get()
}

/// Counts a thread of a connection down when it ends, however it does.
struct Ending(Arc<Connection>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.threads.lock().running -= 1;
        self.0.thread_ended.notify_all();
    }
}

impl Connection {
    pub(crate) fn new(
        number: u64,
        uri: AmpsUri,
        transport: Box<dyn Transport>,
        announced: Receiver<()>,
    ) -> Connection {
        Connection {
            number,
            uri,
            transport,
            phase: AtomicU8::new(Phase::Live as u8),
            write_failure: Mutex::new(None),
            announced,
            threads: Mutex::default(),
            thread_ended: Condvar::new(),
            flusher: Mutex::default(),
            flusher_woken: Condvar::new(),
            idle_limit: AtomicU64::new(0),
            minds_idle_limit: AtomicBool::new(true),
            is_silent: AtomicBool::new(false),
            drain_until: Mutex::new(None),
            was_cut: AtomicBool::new(false),
            ended_cleanly: AtomicBool::new(false),
        }
    }

    #[inline]
    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Live,
            1 => Phase::Closing,
            _ => Phase::Lost,
        }
    }

    #[inline]
    pub(crate) fn is_live(&self) -> bool {
        self.phase() == Phase::Live
    }

    /// Refuses to send over a connection that has ended.
    pub(crate) fn check_live(&self, context: impl FnOnce() -> ErrorContext) -> Result<()> {
        if self.is_live() {
            return Ok(());
        }
        Err(context()
            .with_reason("the connection was lost before it was sent")
            .Disconnected())
    }

    /// Moves on to another phase. Under the state lock, by whoever took the connection out.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
        // Under its lock, so that a flusher about to wait cannot miss it.
        let _state = self.flusher.lock();
        self.flusher_woken.notify_all();
    }

    /// Notes why a write failed and wakes the receive thread, which does the rest.
    pub(crate) fn broken_by(&self, error: io::Error) {
        self.write_failure.lock().get_or_insert(error);
        self.transport.shutdown();
    }

    pub(crate) fn take_write_failure(&self) -> Option<io::Error> {
        self.write_failure.lock().take()
    }

    /// Takes effect when the receive thread begins its next read.
    pub(crate) fn set_idle_limit(&self, limit: Duration) {
        let nanos = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        self.idle_limit.store(nanos, Ordering::Release);
        // After it: whoever sees this reads that.
        self.minds_idle_limit.store(false, Ordering::Release);
    }

    /// Counts as lost, because nothing has come for as long as the limit says; wakes the receive
    /// thread, which does the rest.
    pub(crate) fn end_silent(&self) {
        self.is_silent.store(true, Ordering::Release);
        self.transport.shutdown();
    }

    /// Whether it was ended because nothing came.
    pub(crate) fn is_silent(&self) -> bool {
        self.is_silent.load(Ordering::Acquire)
    }

    /// Notes that the receive thread minds the limit that it has just read.
    pub(crate) fn mind_idle_limit(&self) {
        self.minds_idle_limit.store(true, Ordering::Release);
    }

    /// Whether the receive thread minds the limit; if not, nothing has come since it was set.
    pub(crate) fn minds_idle_limit(&self) -> bool {
        self.minds_idle_limit.load(Ordering::Acquire)
    }

    /// After how much silence the connection counts as lost.
    pub(crate) fn idle_limit(&self) -> Option<Duration> {
        match self.idle_limit.load(Ordering::Acquire) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    pub(crate) fn set_drain_until(&self, instant: Instant) {
        *self.drain_until.lock() = Some(instant);
    }

    /// Until when a closing connection may wait for the server's end of stream.
    pub(crate) fn drain_deadline(&self) -> Instant {
        self.drain_until.lock().unwrap_or_else(Instant::now)
    }

    /// Gives up on a closing connection: wakes its threads, wherever they wait.
    pub(crate) fn cut(&self) {
        // First: what the receive thread then sees looks like the end that the server made.
        self.was_cut.store(true, Ordering::Release);
        self.transport.shutdown();
    }

    /// True if nothing more is sent or received on purpose.
    pub(crate) fn was_cut(&self) -> bool {
        self.was_cut.load(Ordering::Acquire)
    }

    /// Notes that the server has closed its side, too: it has seen everything that was sent.
    pub(crate) fn end_cleanly(&self) {
        if !self.was_cut() {
            self.ended_cleanly.store(true, Ordering::Release);
        }
    }

    pub(crate) fn has_ended_cleanly(&self) -> bool {
        self.ended_cleanly.load(Ordering::Acquire)
    }

    /// Waits until the receive thread has announced the state Connected. Never called on that
    /// thread.
    pub(crate) fn wait_until_announced(&self) {
        // Nothing is ever sent: the end of the channel is the signal.
        let _ = self.announced.recv();
    }

    /// Starts a thread that [`Connection::wait_for_threads`] waits for.
    pub(crate) fn spawn(
        self: &Arc<Self>,
        name: &str,
        work: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        self.threads.lock().running += 1;
        // Dropped with the closure, also if no thread can be started: so no lock is held here.
        let ending = Ending(self.clone());
        // The system takes no thread name with a zero byte, a client name may have one.
        let name = name.replace('\0', "?");
        let handle = thread::Builder::new().name(name).spawn(move || {
            let _ending = ending;
            work();
        })?;
        self.threads.lock().handles.push(handle);
        Ok(())
    }

    /// True on a thread of this connection.
    pub(crate) fn is_own_thread(&self) -> bool {
        let here = thread::current().id();
        let threads = self.threads.lock();
        threads
            .handles
            .iter()
            .any(|handle| handle.thread().id() == here)
    }

    /// Waits until the threads of this connection have ended; false if `deadline` came first.
    /// Never called on one of them.
    pub(crate) fn wait_for_threads(&self, deadline: Instant) -> bool {
        let mut threads = self.threads.lock();
        while threads.running > 0 {
            if self
                .thread_ended
                .wait_until(&mut threads, deadline)
                .timed_out()
            {
                return threads.running == 0;
            }
        }
        let handles = std::mem::take(&mut threads.handles);
        drop(threads);
        for handle in handles {
            // They have said that they are done, so this returns at once; a panic was theirs.
            let _ = handle.join();
        }
        true
    }

    /// Asks the flusher to write; true if it must be started first.
    pub(crate) fn want_flush(&self) -> bool {
        let mut state = self.flusher.lock();
        state.wanted = true;
        self.flusher_woken.notify_all();
        !std::mem::replace(&mut state.started, true)
    }

    /// Waits until a flush is wanted; false once the connection is no longer live.
    pub(crate) fn wait_for_flush(&self) -> bool {
        let mut state = self.flusher.lock();
        loop {
            if !self.is_live() {
                return false;
            }
            if std::mem::take(&mut state.wanted) {
                return true;
            }
            self.flusher_woken.wait(&mut state);
        }
    }
}
