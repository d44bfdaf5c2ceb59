//! AMPS from the command line, for trying things out: `spark help` says what it can do.
//!
//! ```sh
//! cargo run --release --example spark -- ping -server localhost:9007
//! ```
//!
//! Commands and flags are those that AMPS users know. It is built on the public API of the crate
//! `amps` alone, so it also shows that API at work: `session.rs` connects, `receiving.rs` builds
//! commands, `receive.rs` reads streams, `publisher.rs` publishes and learns what was refused,
//! `delete.rs` deletes.
//!
//! Exit codes: 0 done, 1 the server refused or the connection failed, 2 wrong usage. Reasons go to
//! standard error, one line each.

mod argv;
mod cli;
mod closed;
mod copies;
mod delete;
mod failure;
mod format;
mod input;
mod interrupt;
mod pace;
mod publish;
mod publisher;
mod receive;
mod receiving;
mod seconds;
mod session;
mod split;
mod target;

use cli::Action;
use failure::Failure;
use interrupt::Interrupt;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let outcome = cli::read(std::env::args_os().skip(1)).and_then(run);
    match outcome {
        Ok(()) | Err(Failure::ClosedPipe) => ExitCode::SUCCESS,
        Err(failure) => {
            // There is nobody left to tell if standard error is closed, too.
            let _ = writeln!(std::io::stderr(), "spark: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(action: Action) -> Result<(), Failure> {
    if let Action::Help(text) = action {
        return say(text.trim_end());
    }
    let interrupt = Interrupt::install()?;
    match action {
        Action::Help(_) => Ok(()),
        Action::Ping(ping) => {
            let session = session::open("ping", &ping.server.target()?, &ping.server, &interrupt)?;
            let version = session.client.server_version_info();
            say(&format!(
                "connected to {}, server version {version}",
                session.shown
            ))
        }
        Action::Publish(publish) => publish::run(&publish, &interrupt),
        Action::Sow(sow) => receive::run(&sow.into(), &interrupt),
        Action::Subscribe(subscribe) => receive::run(&subscribe.into(), &interrupt),
        Action::SowAndSubscribe(both) => receive::run(&both.into(), &interrupt),
        Action::SowDelete(delete) => delete::run(&delete, &interrupt),
    }
}

/// Prints a line of result.
fn say(line: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(|error| Failure::output(&error))
}
