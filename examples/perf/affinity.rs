//! Pinning threads to a core.
//!
//! Waking a thread on another core can cost more than everything the client does, above all in a
//! virtual machine. So latency is measured with both sides on one core.

/// The first core that this process may use; `None` where threads cannot be pinned.
pub(crate) fn first_core() -> Option<usize> {
    system::allowed().and_then(|cores| cores.into_iter().next())
}

/// Pins the current thread, and every thread it starts later, to one core until it is dropped.
pub(crate) struct Pinned {
    #[cfg(target_os = "linux")]
    before: Option<rustix::thread::CpuSet>,
}

/// Pins the current thread; without a core it stays where the system puts it.
pub(crate) fn pin(core: Option<usize>) -> std::io::Result<Pinned> {
    system::pin(core)
}

#[cfg(target_os = "linux")]
mod system {
    use super::Pinned;
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    use std::io;

    pub(super) fn allowed() -> Option<Vec<usize>> {
        let set = sched_getaffinity(None).ok()?;
        Some(
            (0..CpuSet::MAX_CPU)
                .filter(|&core| set.is_set(core))
                .collect(),
        )
    }

    pub(super) fn pin(core: Option<usize>) -> io::Result<Pinned> {
        let Some(core) = core else {
            return Ok(Pinned { before: None });
        };
        let before = sched_getaffinity(None)?;
        let mut one = CpuSet::new();
        one.set(core);
        sched_setaffinity(None, &one)?;
        Ok(Pinned {
            before: Some(before),
        })
    }

    impl Drop for Pinned {
        fn drop(&mut self) {
            if let Some(before) = &self.before {
                // The cores were allowed a moment ago; if that changed, staying is no harm.
                let _ = sched_setaffinity(None, before);
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::Pinned;

    pub(super) fn allowed() -> Option<Vec<usize>> {
        None
    }

    pub(super) fn pin(_core: Option<usize>) -> std::io::Result<Pinned> {
        Ok(Pinned {})
    }
}
