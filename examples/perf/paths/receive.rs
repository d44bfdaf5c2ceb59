//! Receiving as fast as the socket gives.
//!
//! Floor: read the same stream and find the frames in it, nothing else. Both sides keep their
//! connection for all rounds, so that the socket's buffers have grown; a publish makes the firehose
//! send again.
//!
//! The firehose's writes cost the system more per byte than the floor's reads. With 1 KiB it is
//! therefore the sender that limits the floor, and a client that keeps up has a ratio of 1.0.
//! (Sending from a file in memory, without a copy, was not faster and made the figures unsteady.)

use super::progress::warm_up;
use super::receivers::{Handlers, Reader, SUB_ID};
use crate::endpoint::Endpoint;
use crate::measure::{Measured, Plan, pairs, per_message};
use crate::peers::{Kind, Spec};
use crate::raw::Raw;
use crate::{Result, frames};
use std::time::Instant;

/// What is received, and how.
#[derive(Clone, Copy)]
pub(super) struct Receive {
    pub(super) payload: usize,
    /// Through a stream, not in a handler.
    pub(super) stream: bool,
    pub(super) tls: bool,
}

impl Receive {
    pub(super) const fn by_handler(payload: usize) -> Receive {
        Receive {
            payload,
            stream: false,
            tls: false,
        }
    }

    pub(super) const fn by_stream(payload: usize) -> Receive {
        Receive {
            stream: true,
            ..Receive::by_handler(payload)
        }
    }

    pub(super) fn run(self, plan: &Plan, name: &str, target: Option<f64>) -> Result<Measured> {
        let messages = plan.messages(match self.payload > 500 {
            true => 200_000,
            false => 600_000,
        });
        let spec = Spec {
            messages,
            tls: self.tls,
            ..Spec::new(Kind::Firehose, self.payload)
        };
        let peer = spec.start()?;
        let endpoint = &peer.endpoint(true)?;
        let mut floor = Floor::subscribed(endpoint, messages)?;
        let mut ours: Box<dyn FnMut() -> Result<f64>> = match self.stream {
            true => {
                let mut reader = Reader::subscribed(endpoint, messages)?;
                Box::new(move || reader.receive_again(endpoint))
            }
            false => {
                let handler = Handlers::subscribed(endpoint, messages, 1)?;
                Box::new(move || handler.receive_again(endpoint))
            }
        };
        // Grows buffers and windows; not timed.
        ours()?;
        floor.receive()?;
        let pairs = pairs(plan, ours, Some(&mut || floor.receive()))?;
        Ok(pairs.row(name, target).into())
    }
}

/// A connection without a client.
struct Floor {
    raw: Raw,
    again: Vec<u8>,
    messages: usize,
}

impl Floor {
    fn subscribed(endpoint: &Endpoint, messages: usize) -> Result<Floor> {
        let mut raw = endpoint.raw()?;
        raw.write(&frames::subscribe(SUB_ID, &endpoint.topic))?;
        raw.read_one()?;
        Ok(Floor {
            raw,
            again: endpoint.published(b""),
            messages,
        })
    }

    fn receive(&mut self) -> Result<f64> {
        self.raw.write(&self.again)?;
        let mut count = 0;
        while count < warm_up(self.messages) {
            count += self.raw.read(|_| ())?;
        }
        let (first, start) = (count, Instant::now());
        while count < self.messages {
            count += self.raw.read(|_| ())?;
        }
        Ok(per_message(start.elapsed(), count - first))
    }
}
