//! Running spark as a process.

use crate::PATIENCE;
use crate::built::Program;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What a run has left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Finished {
    /// The output of a run that went well.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }

    /// The one line on standard error of a run that ended with this exit code.
    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.err.starts_with("spark: "), "{self:?}");
        assert_eq!(self.err.lines().count(), 1, "{self:?}");
        self.err.trim_end().to_string()
    }
}

/// Runs spark to its end, without input.
#[track_caller]
pub(crate) fn spark(args: &[&str]) -> Finished {
    spark_with_input(args, b"")
}

/// Runs spark to its end with this on its standard input.
#[track_caller]
pub(crate) fn spark_with_input(args: &[&str], input: &[u8]) -> Finished {
    let mut running = Running::start(args);
    // It may end without reading.
    let _ = running.stdin.take().unwrap().write_all(input);
    running.finish()
}

/// A spark that runs; it is ended with the test at the latest.
///
/// If the test waits for a line that never comes, it is ended as well: then the line is empty.
pub(crate) struct Running {
    child: Arc<Mutex<Child>>,
    pub(crate) stdin: Option<ChildStdin>,
    out: Option<BufReader<ChildStdout>>,
    err: Option<JoinHandle<String>>,
    _watched: Sender<()>,
}

impl Running {
    pub(crate) fn start(args: &[&str]) -> Running {
        let mut command = Command::new(binary());
        command
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut err = child.stderr.take().unwrap();
        let stdin = child.stdin.take();
        let out = child.stdout.take().map(BufReader::new);
        let child = Arc::new(Mutex::new(child));
        let (watched, end) = mpsc::channel::<()>();
        let late = child.clone();
        thread::spawn(move || {
            if end.recv_timeout(2 * PATIENCE) == Err(RecvTimeoutError::Timeout) {
                let _ = late.lock().unwrap().kill();
            }
        });
        Running {
            child,
            stdin,
            out,
            err: Some(thread::spawn(move || {
                let mut text = String::new();
                err.read_to_string(&mut text).unwrap();
                text
            })),
            _watched: watched,
        }
    }

    /// The next line of its standard output.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.as_mut().unwrap().read_line(&mut line).unwrap();
        line.trim_end().to_string()
    }

    /// Closes the reading end of its standard output.
    pub(crate) fn close_output(&mut self) {
        self.out = None;
    }

    /// Presses Ctrl-C.
    #[cfg(unix)]
    pub(crate) fn interrupt(&self) {
        let process = rustix::process::Pid::from_child(&self.child.lock().unwrap());
        rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn finish(mut self) -> Finished {
        self.stdin = None;
        let out = self.out.take().map(|mut out| {
            thread::spawn(move || {
                let mut text = String::new();
                out.read_to_string(&mut text).unwrap();
                text
            })
        });
        let status = within_patience(&self.child);
        let text = |reader: Option<JoinHandle<String>>| {
            reader
                .map(|reader| reader.join().unwrap())
                .unwrap_or_default()
        };
        Finished {
            code: status.code(),
            out: text(out),
            err: text(self.err.take()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap();
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Waits for the end of a process, which it must not refuse for ever.
#[track_caller]
pub(crate) fn within_patience(child: &Mutex<Child>) -> ExitStatus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.lock().unwrap().try_wait().unwrap() {
            return status;
        }
        assert!(Instant::now() < deadline, "spark does not end");
        thread::sleep(Duration::from_millis(2));
    }
}

/// The built example.
pub(crate) fn binary() -> &'static Path {
    // Also what went wrong is found out only once.
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let spark = Program {
        file: "examples/spark",
        build: &["--example", "spark"],
        sources: &[
            "examples/spark",
            "src",
            "amps-core/src",
            "amps-stores/src",
            "amps-ha/src",
            "amps-codecs/src",
        ],
    };
    match BINARY.get_or_init(|| spark.path()) {
        Ok(binary) => binary,
        Err(error) => panic!("{error}"),
    }
}
