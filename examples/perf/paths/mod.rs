//! The paths of the client that are measured, each with its floor.

mod publish;
mod receive;
mod round_trip;
mod sow;
mod subscriptions;

use crate::Result;
use crate::measure::{Plan, Row};
use amps::Client;

/// Measures a path under its name.
type Measure = fn(&Plan, &str) -> Result<Vec<Row>>;

/// Something to measure.
pub(crate) struct Path {
    /// What the names of its rows begin with.
    pub(crate) name: &'static str,
    pub(crate) run: Measure,
}

impl Path {
    /// False if no row of this path can have `wanted` in its name.
    pub(crate) fn may_match(&self, wanted: &str) -> bool {
        let suffixes: &[&str] = match self.name.starts_with("round trip") {
            true => &round_trip::SUFFIXES,
            false => &[""],
        };
        suffixes
            .iter()
            .any(|suffix| format!("{}{suffix}", self.name).contains(wanted))
    }
}

/// All of them, in the order of the table.
pub(crate) fn all() -> Vec<Path> {
    let paths: [(&'static str, Measure); 12] = [
        ("publish 100 B", |plan, name| {
            publish::run(plan, name, 100, false)
        }),
        ("publish 1 KiB", |plan, name| {
            publish::run(plan, name, 1024, false)
        }),
        ("publish 100 B, reader naps", |plan, name| {
            publish::run(plan, name, 100, true)
        }),
        ("receive 100 B, handler", |plan, name| {
            receive::handler(plan, name, 100, 2.0)
        }),
        ("receive 100 B, stream", |plan, name| {
            receive::stream(plan, name, 100, 3.0)
        }),
        ("receive 1 KiB, handler", |plan, name| {
            receive::handler(plan, name, 1024, 1.4)
        }),
        ("receive 1 KiB, stream", |plan, name| {
            receive::stream(plan, name, 1024, 1.7)
        }),
        ("receive 100 B, 10,000 subscriptions", subscriptions::run),
        ("SOW 100,000 records, batch 100, handler", sow::run),
        ("round trip, one core", |plan, name| {
            round_trip::run(plan, name, true)
        }),
        ("round trip by stream, one core", round_trip::by_stream),
        ("round trip, any core", |plan, name| {
            round_trip::run(plan, name, false)
        }),
    ];
    paths
        .into_iter()
        .map(|(name, run)| Path { name, run })
        .collect()
}

/// A client that is logged on.
fn log_on(uri: String) -> Result<Client> {
    let client = Client::new("perf");
    client.connect(uri)?;
    client.logon()?;
    Ok(client)
}
