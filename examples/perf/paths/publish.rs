//! Publishing.
//!
//! Floor: the same bytes to the same sink, one plain write per message or, with batching, in
//! writes of 64 KiB. With a store: the client without one.
//!
//! What a small write costs depends on the reader. One that blocks in its read must be woken by
//! each, and the writer pays for that. One that naps between reads is never woken, nor does its
//! system say at once what has come; so most writes just join the packet that waits until it does.
//! That leaves the bare call, and shows more of what the client adds.
//!
//! Acknowledgements end that: with them comes word of what has come, and each write is a packet
//! again, which costs some four times as much on the same machine. So with a store, both sides get
//! them, or the ratio would tell of the system and not of the store.

use super::progress::disconnect_late;
use crate::Result;
use crate::endpoint::{Endpoint, PATIENCE};
use crate::frames;
use crate::measure::{Floor, Measured, Plan, pairs, per_message};
use crate::peers::{Kind, Spec};
use amps::{Client, FilePublishStore, FileStoreOptions, MemoryPublishStore, SyncPolicy};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A batch leaves when it has so many bytes.
pub(super) const BATCH: usize = 64 << 10;

/// A batch leaves after this long if it is not full: it always is.
pub(super) const BATCH_TIMEOUT: Duration = Duration::from_millis(10);

/// A sink acknowledges so many stored publishes together.
const ACKS: usize = 100;

/// How messages are published, and to whom.
#[derive(Clone, Copy)]
pub(super) struct Publish {
    pub(super) payload: usize,
    pub(super) batching: bool,
    pub(super) store: Option<Store>,
    /// The sink naps.
    pub(super) naps: bool,
    pub(super) tls: bool,
}

/// The store of the publisher.
#[derive(Clone, Copy)]
pub(super) enum Store {
    Memory,
    File,
}

impl Publish {
    /// One write for each message, no store, a sink that blocks, TCP.
    pub(super) const fn plain(payload: usize) -> Publish {
        Publish {
            payload,
            batching: false,
            store: None,
            naps: false,
            tls: false,
        }
    }

    /// As [`plain`](Publish::plain), in batches.
    pub(super) const fn batched(payload: usize) -> Publish {
        Publish {
            batching: true,
            ..Publish::plain(payload)
        }
    }

    pub(super) fn run(self, plan: &Plan, name: &str, target: Option<f64>) -> Result<Measured> {
        let spec = Spec {
            acks: self.store.map_or(0, |_| ACKS),
            naps: self.naps,
            tls: self.tls,
            ..Spec::new(Kind::Sink, self.payload)
        };
        let peer = spec.start()?;
        let count = plan.messages(self.messages());
        self.compare(plan, &peer.endpoint(true)?, count, name, target)
    }

    /// Both sides in turn, without a floor if no plain connection is possible.
    pub(super) fn compare(
        self,
        plan: &Plan,
        endpoint: &Endpoint,
        count: usize,
        name: &str,
        target: Option<f64>,
    ) -> Result<Measured> {
        let mut floor = || match self.store {
            None => self.floor(endpoint, count),
            Some(_) => Publish {
                store: None,
                ..self
            }
            .ours(endpoint, count),
        };
        let floor: Floor<'_, f64> = match endpoint.is_plain() {
            true => Some(&mut floor),
            false => None,
        };
        let pairs = pairs(plan, || self.ours(endpoint, count), floor)?;
        Ok(pairs.row(name, target).into())
    }

    /// Of one round: some 50 to 200 ms.
    fn messages(self) -> usize {
        match (self.batching, self.naps) {
            (true, _) if self.payload > 500 => 200_000,
            (true, _) => 1_000_000,
            (false, true) => 80_000,
            (false, false) => 30_000,
        }
    }

    /// Until the sink has read the last one.
    pub(super) fn ours(self, endpoint: &Endpoint, count: usize) -> Result<f64> {
        let client = Client::new("perf-publisher");
        let _directory = self.set_store(&client)?;
        if self.batching {
            client.set_publish_batching(BATCH, BATCH_TIMEOUT);
        }
        endpoint.log_on(&client)?;
        let _in_time = disconnect_late(&client);
        let topic = endpoint.topic.as_str();
        let payload = frames::payload(self.payload);
        for _ in 0..count / 10 {
            client.publish(topic, &payload)?;
        }
        client.publish_flush(PATIENCE)?;
        let start = Instant::now();
        for _ in 0..count {
            client.publish(topic, &payload)?;
        }
        client.publish_flush(PATIENCE)?;
        let taken = start.elapsed();
        client.disconnect()?;
        Ok(per_message(taken, count))
    }

    /// The file lives in the directory that is returned.
    fn set_store(self, client: &Client) -> Result<Option<TempDir>> {
        match self.store {
            None => Ok(None),
            Some(Store::Memory) => {
                client.set_publish_store(Arc::new(MemoryPublishStore::new(10_000)))?;
                Ok(None)
            }
            Some(Store::File) => {
                let directory = tempfile::tempdir()?;
                let options = FileStoreOptions::new().set_sync_policy(SyncPolicy::Never);
                let store = FilePublishStore::open(directory.path().join("publishes"), options)?;
                client.set_publish_store(Arc::new(store))?;
                Ok(Some(directory))
            }
        }
    }

    /// As [`ours`](Publish::ours), without a client.
    fn floor(self, endpoint: &Endpoint, count: usize) -> Result<f64> {
        let mut raw = endpoint.raw()?;
        let message = endpoint.published(&frames::payload(self.payload));
        let each = match self.batching {
            true => BATCH.div_ceil(message.len()),
            false => 1,
        };
        let (write, flush) = (message.repeat(each), frames::flush());
        let mut publish = |count: usize| -> Result<()> {
            for _ in 0..count / each {
                raw.write(&write)?;
            }
            raw.write(&write[..message.len() * (count % each)])?;
            raw.write(&flush)?;
            raw.read_one()
        };
        publish(count / 10)?;
        let start = Instant::now();
        publish(count)?;
        Ok(per_message(start.elapsed(), count))
    }
}
