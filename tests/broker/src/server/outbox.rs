//! What a connection still has to send: bounded, filled by the engine, emptied by one thread.

use parking_lot::{Condvar, Mutex};
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// A buffer that was larger than this in a burst is let go afterwards.
const KEEP: usize = 4 << 20;

/// Frames on their way out.
///
/// The engine encodes straight into `pending`; the writer thread swaps that with its own buffer
/// and writes it in one piece. So the lock is never held during a system call, and both buffers
/// are used again and again.
pub(crate) struct Outbox {
    state: Mutex<State>,
    ready: Condvar,
    /// Wakes those who wait for the writer to end.
    ended: Condvar,
    limit: usize,
}

struct State {
    pending: Vec<u8>,
    /// How much the writer has taken and not yet written.
    writing: usize,
    /// The writer waits and has not been told to go on.
    idle: bool,
    muted: bool,
    /// Somebody waits to be asked for more; see [`Outbox::ask_for_more`].
    more: bool,
    phase: Phase,
    /// The writer will write nothing more.
    drained: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// What is pending still goes out; nothing is added.
    Finishing,
    Closed,
}

/// As much is sent by whoever has it to send; more is left to the writer thread, which then
/// works beside the engine.
const SMALL: usize = 4 << 10;

/// What the writer does next.
enum Next {
    Write,
    /// Ask for more.
    More,
    End,
}

/// What the caller of [`Outbox::append`] has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Appended {
    Nothing,
    /// Flush, once the batch is complete.
    Flush,
    /// Close the connection: its client does not read.
    Overflow,
}

impl Outbox {
    pub(crate) fn new(limit: usize) -> Outbox {
        Outbox {
            state: Mutex::new(State {
                pending: Vec::new(),
                writing: 0,
                idle: false,
                muted: false,
                more: false,
                phase: Phase::Open,
                drained: false,
            }),
            ready: Condvar::new(),
            ended: Condvar::new(),
            limit,
        }
    }

    /// Lets `write` add to what is pending.
    #[inline]
    pub(crate) fn append(&self, write: impl FnOnce(&mut Vec<u8>)) -> Appended {
        let mut state = self.state.lock();
        if state.phase != Phase::Open {
            return Appended::Nothing;
        }
        write(&mut state.pending);
        if state.pending.len() + state.writing > self.limit {
            state.phase = Phase::Closed;
            state.pending = Vec::new();
            return Appended::Overflow;
        }
        if state.idle {
            state.idle = false;
            return Appended::Flush;
        }
        Appended::Nothing
    }

    /// How many bytes wait to be written, or are being written.
    pub(crate) fn waiting(&self) -> usize {
        let state = self.state.lock();
        state.pending.len() + state.writing
    }

    /// Lets the writer ask for more when it has written what there is.
    pub(crate) fn ask_for_more(&self) {
        let mut state = self.state.lock();
        state.more = true;
        // It is told to go on: whoever appends has nothing to do.
        state.idle = false;
        drop(state);
        self.wake();
    }

    /// Sets in motion what was appended: sends it with `send`, which must not block, if it is
    /// little and the writer has nothing in hand; else wakes the writer.
    ///
    /// To send a little costs hardly more than to wake a thread for it, and it arrives earlier.
    pub(crate) fn flush(&self, send: impl FnOnce(&[u8]) -> io::Result<usize>) {
        let mut state = self.state.lock();
        let may_send = state.phase == Phase::Open && !state.muted && state.writing == 0;
        if may_send && (1..=SMALL).contains(&state.pending.len()) {
            match send(&state.pending) {
                Ok(sent) if sent == state.pending.len() => {
                    state.pending.clear();
                    // The writer waits on, or finds nothing and waits again.
                    state.idle = true;
                    return;
                }
                Ok(sent) => {
                    state.pending.drain(..sent);
                }
                // No space, or the socket is broken: the writer waits, or finds out.
                Err(_) => {}
            }
        }
        drop(state);
        self.wake();
    }

    fn wake(&self) {
        self.ready.notify_one();
    }

    /// Accepts nothing more; what is pending still goes out.
    pub(crate) fn finish(&self) {
        let mut state = self.state.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Finishing;
        }
        drop(state);
        self.wake();
    }

    /// Drops what is pending and ends the writer, unless it is inside a write; that ends with the
    /// socket.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.phase = Phase::Closed;
        state.pending = Vec::new();
        drop(state);
        self.wake();
        self.ended.notify_all();
    }

    /// Waits until a finished outbox is written out, or closed, or `patience` is over.
    pub(crate) fn wait_written(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let mut state = self.state.lock();
        while !state.drained && state.phase != Phase::Closed {
            if self.ended.wait_until(&mut state, deadline).timed_out() {
                return;
            }
        }
    }

    /// Holds back what is pending, or lets it go.
    pub(crate) fn set_muted(&self, muted: bool) {
        self.state.lock().muted = muted;
        self.wake();
    }

    /// Writes what comes, until the outbox is finished and empty, or closed. Calls `more`, which
    /// may append, when that was asked for and everything before is written.
    ///
    /// # Errors
    ///
    /// That of the socket.
    pub(crate) fn drain(&self, socket: impl Write, more: impl FnMut()) -> io::Result<()> {
        let result = self.write_out(socket, more);
        self.state.lock().drained = true;
        self.ended.notify_all();
        result
    }

    fn write_out(&self, mut socket: impl Write, mut more: impl FnMut()) -> io::Result<()> {
        let mut taken = Vec::new();
        // Turn by turn: what others append must not wait for a replay that finds nothing, nor a
        // replay for a time when nobody appends.
        let mut asked = false;
        loop {
            match self.take(&mut taken, !asked) {
                Next::Write => asked = false,
                Next::More => {
                    more();
                    asked = true;
                    continue;
                }
                Next::End => return Ok(()),
            }
            socket.write_all(&taken)?;
            if taken.capacity() > KEEP {
                taken = Vec::new();
            }
            taken.clear();
        }
    }

    /// Waits for something to do; what is to be written is swapped into `taken`. If both are due,
    /// `more_first` says what is done.
    fn take(&self, taken: &mut Vec<u8>, more_first: bool) -> Next {
        let mut state = self.state.lock();
        state.writing = 0;
        loop {
            match state.phase {
                Phase::Closed => return Next::End,
                Phase::Finishing if state.pending.is_empty() => return Next::End,
                _ => {}
            }
            let more = state.more && state.phase == Phase::Open;
            if more && !state.muted && (more_first || state.pending.is_empty()) {
                state.more = false;
                return Next::More;
            }
            if !state.pending.is_empty() && !state.muted {
                break;
            }
            state.idle = true;
            self.ready.wait(&mut state);
            state.idle = false;
        }
        std::mem::swap(&mut state.pending, taken);
        state.writing = taken.len();
        Next::Write
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pending_goes_out_in_order_and_a_finished_outbox_ends() {
        let outbox = Outbox::new(100);
        for part in [&b"one "[..], b"two "] {
            let appended = outbox.append(|out| out.extend_from_slice(part));
            assert_eq!(appended, Appended::Nothing, "nobody waits yet");
        }
        outbox.finish();
        assert_eq!(
            outbox.append(|out| out.extend_from_slice(b"late")),
            Appended::Nothing
        );
        let mut written = Vec::new();
        outbox.drain(&mut written, || {}).unwrap();
        assert_eq!(written, b"one two ");
    }

    #[test]
    fn an_outbox_beyond_its_limit_is_dropped() {
        let outbox = Outbox::new(10);
        assert_eq!(
            outbox.append(|out| out.extend_from_slice(&[0; 10])),
            Appended::Nothing
        );
        assert_eq!(outbox.append(|out| out.push(0)), Appended::Overflow);
        assert_eq!(outbox.append(|out| out.push(0)), Appended::Nothing);
        assert_eq!(outbox.state.lock().pending.capacity(), 0);
        outbox.drain(Vec::new(), || {}).unwrap();
    }

    #[test]
    fn a_flush_sends_only_what_is_little_and_only_in_order() {
        let outbox = Outbox::new(1 << 20);
        let refuse = |_: &[u8]| -> io::Result<usize> { panic!("nothing is to be sent here") };
        outbox.flush(refuse);
        outbox.append(|out| out.extend_from_slice(b"one two"));
        outbox.flush(|pending| {
            assert_eq!(pending, b"one two");
            Ok(4)
        });
        outbox.flush(|pending| {
            assert_eq!(pending, b"two");
            Err(io::ErrorKind::WouldBlock.into())
        });
        let mut taken = Vec::new();
        assert!(matches!(outbox.take(&mut taken, true), Next::Write));
        assert_eq!(taken, b"two");
        outbox.append(|out| out.extend_from_slice(b"three"));
        outbox.flush(refuse);
        assert!(matches!(outbox.take(&mut taken, true), Next::Write));
        outbox.state.lock().writing = 0;
        outbox.append(|out| out.extend_from_slice(&[0; SMALL + 1]));
        outbox.flush(refuse);
    }

    #[test]
    fn what_is_being_written_counts_against_the_limit() {
        let outbox = Outbox::new(10);
        outbox.append(|out| out.extend_from_slice(&[0; 8]));
        let mut taken = Vec::new();
        assert!(matches!(outbox.take(&mut taken, true), Next::Write));
        assert_eq!(
            outbox.append(|out| out.extend_from_slice(&[0; 3])),
            Appended::Overflow
        );
    }

    #[test]
    fn the_writer_asks_for_more_once_per_request_and_in_turn_with_what_is_pending() {
        let outbox = Outbox::new(100);
        outbox.append(|out| out.extend_from_slice(b"first "));
        outbox.ask_for_more();
        let mut written = Vec::new();
        let mut asked = 0;
        outbox
            .drain(&mut written, || {
                asked += 1;
                outbox.append(|out| out.extend_from_slice(b"more "));
                match asked {
                    1 | 2 => outbox.ask_for_more(),
                    _ => outbox.finish(),
                }
            })
            .unwrap();
        assert_eq!(asked, 3);
        assert_eq!(written, b"first more more more ");
    }
}
