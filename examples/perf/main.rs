//! Measures the client against what the machine can do: `cargo run --release --example perf`.
//!
//! Each row compares one path of the client with its floor: the same bytes to or from the same
//! peer, moved by plain socket calls. Both sides run in turn, several rounds of each, so that what
//! else the machine does falls on both; the ratio of the times is what counts. How to read the
//! table: `docs/performance.md`.
//!
//! Needs no server. What the client talks to runs in child processes: this program again, with the
//! hidden subcommand `peer`, so that the client's process does the client's work only. With
//! `--uri`, it measures against a server of one's own instead.

mod affinity;
mod endpoint;
mod frames;
mod measure;
mod paths;
mod peers;
mod raw;
mod report;

use clap::{Parser, Subcommand};
use endpoint::Endpoint;
use measure::Plan;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// Measures the client against plain socket calls in the same run.
///
/// Exit codes: 0, or 1 if it could not measure, or 2 if it was called wrongly. That a target is
/// missed is no failure.
#[derive(Parser)]
struct Arguments {
    /// Fewer messages and fewer rounds
    #[arg(long)]
    quick: bool,
    /// Also writes the rows as a JSON array
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also draws the distribution of the round trips as a picture
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Measures only the rows whose name contains this text, such as "receive" or "100 B"
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Measures against this server, such as tcp://host:9007/amps/json?tcp_nodelay=true
    #[arg(long, value_name = "URI")]
    uri: Option<String>,
    /// The topic on that server; nobody else may publish to it meanwhile
    #[arg(
        long,
        value_name = "TOPIC",
        default_value = "amps_perf",
        requires = "uri"
    )]
    topic: String,
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Subcommand)]
enum Part {
    #[command(hide = true)]
    Peer(peers::Spec),
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("perf: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    if let Some(Part::Peer(spec)) = arguments.part {
        return peers::serve(&spec);
    }
    let plan = Plan::new(arguments.quick);
    let wanted = arguments.only.unwrap_or_default();
    let paths = match &arguments.uri {
        None => paths::all(),
        Some(uri) => paths::all_of_server(&Endpoint::new(uri, &arguments.topic)?),
    };
    let (mut rows, mut latencies) = (Vec::new(), Vec::new());
    for path in paths {
        // A path makes one row or a few, whose names begin with its own.
        if !path.may_match(&wanted) {
            continue;
        }
        eprintln!("measuring {} ...", path.name);
        let measured = path.run(&plan)?;
        rows.extend(measured.rows);
        latencies.extend(measured.latency);
    }
    rows.retain(|row| row.name.contains(&wanted));
    if rows.is_empty() {
        return Err(format!("no row is called {wanted:?}").into());
    }
    report::print_table(&rows, &plan);
    if let Some(file) = arguments.json {
        report::write_json(&rows, &file)?;
    }
    if let Some(file) = arguments.svg {
        report::draw(&latencies, &file)?;
    }
    Ok(())
}
