//! The test binary, run again as another process: by itself, or under a limit for the length of
//! files.

use crate::support::Kind;
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const PATH: &str = "AMPS_BOOKMARK_CHILD_PATH";
const KIND: &str = "AMPS_BOOKMARK_CHILD_KIND";
const START: &str = "AMPS_BOOKMARK_CHILD_START";

/// What a child is told.
pub(crate) struct Orders {
    pub(crate) path: PathBuf,
    pub(crate) kind: Kind,
    pub(crate) start: u64,
}

/// The orders of this process, if it is a child. A test that is the body of a child begins with
/// this, and does nothing in the parent.
pub(crate) fn orders() -> Option<Orders> {
    let kind = env::var(KIND).ok()?;
    Some(Orders {
        path: env::var_os(PATH)?.into(),
        kind: Kind::ALL
            .into_iter()
            .find(|known| format!("{known:?}") == kind)?,
        start: env::var(START).ok()?.parse().ok()?,
    })
}

/// A command that runs the named test as a child; files of more than `limit` KiB are refused to it.
pub(crate) fn child(test: &str, orders: &Orders, limit: Option<u64>) -> Command {
    let program = env::current_exe().unwrap();
    let mut command = match limit {
        None => Command::new(program),
        Some(kib) => {
            // The signal that goes with the limit is ignored, and a write returns an error.
            let mut shell = Command::new("bash");
            let script = format!("trap '' XFSZ; ulimit -f {kib}; exec \"$0\" \"$@\"");
            shell.arg("-c").arg(script).arg(program);
            shell
        }
    };
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]);
    command.env(PATH, &orders.path);
    command.env(KIND, format!("{:?}", orders.kind));
    command.env(START, orders.start.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// Where a child notes how far it came.
pub(crate) fn progress_path(path: &Path) -> PathBuf {
    path.with_extension("progress")
}
