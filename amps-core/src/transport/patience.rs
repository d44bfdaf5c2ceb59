//! How long a dial may take, and who may end it.

#[cfg(unix)]
use crossbeam_channel::RecvTimeoutError;
use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use socket2::Socket;
use std::io;
use std::time::{Duration, Instant};

/// Ends a dial from another thread.
pub(crate) struct DialCancel {
    /// Dropped to cancel: every receiver sees the end of the channel.
    pub(super) cancelled: Receiver<()>,
    /// Readable once the dial is cancelled, for the poll that waits for the socket.
    #[cfg(unix)]
    wake: std::os::unix::net::UnixStream,
}

/// The other end of a [`DialCancel`]: dropping it cancels the dial.
pub(crate) struct DialGuard {
    _cancel: Sender<()>,
    #[cfg(unix)]
    _wake: std::os::unix::net::UnixStream,
}

impl DialCancel {
    pub(crate) fn new() -> io::Result<(DialGuard, DialCancel)> {
        let (sender, cancelled) = bounded(0);
        #[cfg(unix)]
        let (ours, wake) = std::os::unix::net::UnixStream::pair()?;
        Ok((
            DialGuard {
                _cancel: sender,
                #[cfg(unix)]
                _wake: ours,
            },
            DialCancel {
                cancelled,
                #[cfg(unix)]
                wake,
            },
        ))
    }

    /// Waits for this long; true if the dial was cancelled meanwhile.
    #[cfg(unix)]
    pub(super) fn waited(&self, pause: Duration) -> bool {
        self.cancelled.recv_timeout(pause) == Err(RecvTimeoutError::Disconnected)
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.try_recv() == Err(TryRecvError::Disconnected)
    }
}

/// A point in time, or never.
#[derive(Clone, Copy)]
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    /// A zero timeout, or one beyond the clock's range, is none.
    pub(super) fn after(timeout: Duration) -> Deadline {
        if timeout.is_zero() {
            return Deadline(None);
        }
        Deadline(Instant::now().checked_add(timeout))
    }

    pub(super) fn left(self) -> Option<Duration> {
        self.0
            .map(|instant| instant.saturating_duration_since(Instant::now()))
    }

    /// The deadline of one of `count` attempts that are made one after the other.
    pub(super) fn share(self, count: usize) -> Deadline {
        match self.left() {
            None => self,
            Some(left) => Deadline(Instant::now().checked_add(left / count.max(1) as u32)),
        }
    }
}

/// The bounds of one step of a dial.
#[derive(Clone, Copy)]
pub(super) struct Patience<'a> {
    pub(super) deadline: Deadline,
    pub(super) cancel: &'a DialCancel,
}

/// Where there is nothing to wake a poll with, it looks for a cancellation as often as this.
#[cfg(not(unix))]
const SLICE: Duration = Duration::from_millis(20);

impl Patience<'_> {
    /// Waits until a socket that does not block can go on.
    ///
    /// # Errors
    ///
    /// `TimedOut`; `Interrupted` if the dial was cancelled.
    pub(super) fn wait(self, socket: &Socket, interest: PollFlags) -> io::Result<()> {
        loop {
            let left = self.deadline.left();
            if left.is_some_and(|left| left.is_zero()) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            #[cfg(not(unix))]
            let left = Some(left.map_or(SLICE, |left| left.min(SLICE)));
            let mut waiting = [
                PollFd::new(socket, interest),
                #[cfg(unix)]
                PollFd::new(&self.cancel.wake, PollFlags::IN),
            ];
            poll_for(&mut waiting, left)?;
            let ready = !waiting[0].revents().is_empty();
            if self.cancel.is_cancelled() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            if ready {
                return Ok(());
            }
        }
    }
}

/// Waits until a socket that does not block can go on; false if `timeout` is over.
pub(super) fn ready(
    socket: &Socket,
    interest: PollFlags,
    timeout: Option<Duration>,
) -> io::Result<bool> {
    let deadline = Deadline(timeout.and_then(|timeout| Instant::now().checked_add(timeout)));
    loop {
        let left = deadline.left();
        let mut waiting = [PollFd::new(socket, interest)];
        if poll_for(&mut waiting, left)? {
            return Ok(true);
        }
        // Else a signal came first.
        if left.is_some() && deadline.left() == Some(Duration::ZERO) {
            return Ok(false);
        }
    }
}

/// True if something is ready; false after the time or a signal.
fn poll_for(waiting: &mut [PollFd<'_>], timeout: Option<Duration>) -> io::Result<bool> {
    // Beyond the range of the clock is for ever.
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    match poll(waiting, timeout.as_ref()) {
        Ok(count) => Ok(count > 0),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
