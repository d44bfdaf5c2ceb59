//! Tests that need a process of their own: the test binary runs itself again.

use std::process::{Child, Command, Stdio};

/// Set in a process that a test has started.
const ROLE: &str = "AMPS_TEST_ROLE";

/// What this process was started for; none for the one that runs the tests.
pub(crate) fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

/// This test binary, about to run one test in a role.
pub(crate) fn command(test: &str, role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", test, "--nocapture", "--include-ignored"])
        .args(["--test-threads", "1"])
        .env(ROLE, role)
        .stdin(Stdio::null());
    command
}

/// Runs a test of this name in a process where nothing else runs; what it prints is shown.
pub(crate) fn run_alone(test: &str) {
    let output = command(test, "alone").output().unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    println!("{out}");
    assert!(
        output.status.success(),
        "{out}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(out.contains("1 passed"), "no test {test}");
}

/// A process that does not outlive its test.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    /// Ends it at whatever it is (`SIGKILL`).
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
