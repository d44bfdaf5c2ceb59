//! Noticing that nobody reads the output any more, also while there is nothing to print: so that
//! `spark subscribe … | head -1` ends on a quiet topic, too.

/// Calls `then` on a thread of its own when the reader of standard output is gone. A file never is.
#[cfg(unix)]
pub(crate) fn when_output_is_closed(then: impl FnOnce() + Send + 'static) {
    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::io::Errno;

    std::thread::spawn(move || {
        let out = std::io::stdout();
        // Errors and hang-ups are reported without being asked for.
        let mut watched = [PollFd::new(&out, PollFlags::empty())];
        loop {
            match poll(&mut watched, None) {
                Ok(_)
                    if watched[0]
                        .revents()
                        .intersects(PollFlags::ERR | PollFlags::HUP) =>
                {
                    break;
                }
                Ok(0) | Err(Errno::INTR) => {}
                // Then it is noticed when something is printed.
                Ok(_) | Err(_) => return,
            }
        }
        then();
    });
}

/// Elsewhere it is noticed when something is printed.
#[cfg(not(unix))]
pub(crate) fn when_output_is_closed(_: impl FnOnce() + Send + 'static) {}
