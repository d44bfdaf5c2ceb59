//! The paths of the client that are measured, each with its floor.

mod progress;
mod publish;
mod receive;
mod receivers;
mod round_trip;
mod server;
mod sow;
mod subscriptions;

use crate::Result;
use crate::measure::{Measured, Plan};
use publish::{Publish, Store};
use receive::Receive;
use round_trip::RoundTrip;

pub(crate) use server::all as all_of_server;

/// Measures a path under its name.
type Measure = Box<dyn Fn(&Plan, &str) -> Result<Measured>>;

/// Something to measure.
pub(crate) struct Path {
    /// What the names of its rows begin with.
    pub(crate) name: &'static str,
    /// What the names of its rows end with.
    suffixes: &'static [&'static str],
    measure: Measure,
}

impl Path {
    fn new(
        name: &'static str,
        measure: impl Fn(&Plan, &str) -> Result<Measured> + 'static,
    ) -> Path {
        Path {
            name,
            suffixes: &[""],
            measure: Box::new(measure),
        }
    }

    /// With a row for the median and one for the 99th percentile.
    fn of_latency(mut self) -> Path {
        self.suffixes = &round_trip::SUFFIXES;
        self
    }

    /// False if no row of this path can have `wanted` in its name.
    pub(crate) fn may_match(&self, wanted: &str) -> bool {
        let mut names = self.suffixes.iter();
        names.any(|suffix| format!("{}{suffix}", self.name).contains(wanted))
    }

    pub(crate) fn run(&self, plan: &Plan) -> Result<Measured> {
        (self.measure)(plan, self.name)
    }
}

/// All of them, in the order of the table.
pub(crate) fn all() -> Vec<Path> {
    let mut paths = published();
    paths.extend(received());
    paths.extend(round_trips());
    paths
}

fn published() -> Vec<Path> {
    let plain = Publish::plain(100);
    let batched = Publish::batched(100);
    let napping = Publish {
        naps: true,
        ..plain
    };
    let stored = |publish, store| Publish {
        store: Some(store),
        ..publish
    };
    let tls = Publish {
        tls: true,
        ..Publish::plain(1024)
    };
    let (memory, file) = (Store::Memory, Store::File);
    [
        ("publish 100 B, reader blocks", Some(1.1), plain),
        ("publish 100 B, reader naps", Some(1.1), napping),
        ("publish 1 KiB, reader blocks", None, Publish::plain(1024)),
        (
            "publish 100 B, memory store, reader blocks",
            Some(1.1),
            stored(plain, memory),
        ),
        (
            "publish 100 B, file store, reader blocks",
            Some(1.15),
            stored(plain, file),
        ),
        ("publish 100 B, batching 64 KiB", Some(2.2), batched),
        (
            "publish 1 KiB, batching 64 KiB",
            Some(1.25),
            Publish::batched(1024),
        ),
        (
            "publish 100 B, batching 64 KiB, memory store",
            Some(2.0),
            stored(batched, memory),
        ),
        (
            "publish 100 B, batching 64 KiB, file store",
            Some(2.5),
            stored(batched, file),
        ),
        ("TLS publish 1 KiB, reader blocks", Some(1.3), tls),
    ]
    .map(|(name, target, publish)| {
        Path::new(name, move |plan, name| publish.run(plan, name, target))
    })
    .into()
}

fn received() -> Vec<Path> {
    let tls = Receive {
        tls: true,
        ..Receive::by_handler(1024)
    };
    let mut paths = [
        ("receive 100 B, handler", 2.0, Receive::by_handler(100)),
        ("receive 100 B, stream", 3.0, Receive::by_stream(100)),
        ("receive 1 KiB, handler", 1.4, Receive::by_handler(1024)),
        ("receive 1 KiB, stream", 1.7, Receive::by_stream(1024)),
        ("TLS receive 1 KiB, handler", 1.3, tls),
    ]
    .map(|(name, target, receive)| {
        Path::new(name, move |plan, name| {
            receive.run(plan, name, Some(target))
        })
    })
    .into_iter()
    .collect::<Vec<_>>();
    paths.push(Path::new(
        "receive 100 B, 10,000 subscriptions",
        |plan, name| subscriptions::run(plan, name, Some(1.2)),
    ));
    paths.push(Path::new(
        "SOW 100,000 records, batch 100, handler",
        |plan, name| sow::run(plan, name, Some(1.8)),
    ));
    paths
}

fn round_trips() -> Vec<Path> {
    let pinned = RoundTrip {
        one_core: true,
        nodelay: true,
        stream: false,
    };
    let delayed = RoundTrip {
        nodelay: false,
        ..pinned
    };
    let stream = RoundTrip {
        stream: true,
        ..pinned
    };
    let unpinned = RoundTrip {
        one_core: false,
        ..pinned
    };
    let delayed_unpinned = RoundTrip {
        nodelay: false,
        ..unpinned
    };
    [
        ("round trip, one core", Some([1.25, 1.5]), pinned),
        ("round trip, one core, without tcp_nodelay", None, delayed),
        ("round trip by stream, one core", None, stream),
        ("round trip, any core", None, unpinned),
        (
            "round trip, any core, without tcp_nodelay",
            None,
            delayed_unpinned,
        ),
    ]
    .map(|(name, targets, trip)| {
        Path::new(name, move |plan, name| trip.run(plan, name, targets)).of_latency()
    })
    .into()
}
