//! In the steady state a message costs no allocation: neither to publish it nor to handle it.
//!
//! Every thread of this process counts, so that no thread of the client is forgotten. That is why
//! there is one test, in a program of its own, and why the peer has no thread: the test itself
//! writes prepared bytes to the client's socket and reads what the client publishes. Each step
//! waits for the one before it, so that the figures do not depend on how threads are scheduled.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use amps::{
    BookmarkResizeHandler, BookmarkStore, Client, Command, CommandType, Logged, MemoryPublishStore,
    Message, PublishStore,
};
use amps_core::protocol::{Field, FrameWriter};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How long the test waits for what must come before it has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Messages of one step: little enough to fit into the buffers of a socket.
const STEP: usize = 200;

/// Steps before counting begins: buffers find their size.
const WARM_UP: usize = 20;

/// Steps that count.
const STEPS: usize = 500;

#[test]
fn a_message_costs_no_allocation_in_the_steady_state() {
    let counted = STEP * STEPS;
    assert_eq!(publishing(0), 0, "allocations for {counted} publishes");
    let batched = publishing(4 << 10);
    assert_eq!(batched, 0, "allocations for {counted} batched publishes");
    assert_eq!(storing(), 0, "allocations for {counted} stored publishes");
    assert_eq!(handling(), 0, "allocations for {counted} handled messages");
    assert_eq!(logging(), 0, "allocations for {counted} logged messages");
    let acknowledging = acknowledging();
    assert_eq!(acknowledging, 0, "allocations for {counted} queue messages");
    // A message of a stream may outlive the next read, which then needs a new buffer of 64 KiB and
    // the count of that.
    let streaming = streaming();
    assert!(
        streaming * 100 < counted,
        "{streaming} allocations for {counted} messages of a stream"
    );
}

/// With batches of so many bytes, which the timer thread watches; 0 is without.
fn publishing(batch: usize) -> usize {
    let (client, mut peer) = connected();
    client.set_publish_batching(batch, Duration::from_millis(u64::from(batch > 0)));
    let payload = [b'x'; 100];
    let mut frame = Vec::new();
    let mut header = FrameWriter::begin(&mut frame, CommandType::Publish);
    header.text(Field::Topic, b"orders");
    header.finish(&payload);
    let mut arrived = vec![0; STEP * frame.len()];
    let count = steady(|| {
        for _ in 0..STEP {
            client.publish("orders", payload).unwrap();
        }
        peer.read_exact(&mut arrived).unwrap();
    });
    assert!(arrived.ends_with(&frame));
    count
}

/// Publishes through a store, which the server's acknowledgements empty.
fn storing() -> usize {
    let client = Client::new("allocations");
    let store = Arc::new(MemoryPublishStore::new(2 * STEP));
    client.set_publish_store(store.clone()).unwrap();
    let mut peer = connect(&client);
    let payload = [b'x'; 100];
    let mut arrived = Vec::new();
    let mut ack = Vec::new();
    let count = steady(|| {
        let mut last = 0;
        for _ in 0..STEP {
            last = client.publish("orders", payload).unwrap();
        }
        if arrived.is_empty() {
            // All numbers have as many digits: so do all frames have one length.
            let mut header = FrameWriter::begin(&mut arrived, CommandType::Publish);
            header.text(Field::Topic, b"orders");
            header.number(Field::Sequence, last);
            header.text(Field::AckType, b"persisted");
            header.finish(&payload);
            arrived.resize(STEP * arrived.len(), 0);
        }
        peer.read_exact(&mut arrived).unwrap();
        ack.clear();
        let mut header = FrameWriter::begin(&mut ack, CommandType::Ack);
        header.number(Field::Sequence, last);
        header.text(Field::AckType, b"persisted");
        header.text(Field::Status, b"success");
        header.finish(b"");
        peer.write_all(&ack).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while store.unpersisted_count() > 0 {
            assert!(Instant::now() < deadline, "the store is not emptied");
            thread::yield_now();
        }
    });
    assert!(arrived.ends_with(&payload));
    count
}

/// Handles the messages of a bookmark subscription; the store itself counts them only.
fn logging() -> usize {
    let client = Client::new("allocations");
    client
        .set_bookmark_store(Arc::new(Counting::default()))
        .unwrap();
    let peer = connect(&client);
    handle(client, peer, subscribe().set_bookmark("0"))
}

/// A bookmark store that keeps nothing.
#[derive(Default)]
struct Counting(AtomicU64);

impl BookmarkStore for Counting {
    fn log(&self, _: &str, _: &str) -> amps::Result<Logged> {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Logged::Undiscarded(number + 1))
    }
    fn discard(&self, _: &str, _: u64) -> amps::Result<()> {
        Ok(())
    }
    fn discard_bookmark(&self, _: &str, _: &str) -> amps::Result<()> {
        Ok(())
    }
    fn is_discarded(&self, _: &str, _: &str) -> bool {
        false
    }
    fn most_recent(&self, _: &str) -> amps::Result<String> {
        Ok("0".to_string())
    }
    fn enter(&self, _: &str, _: &str) -> amps::Result<()> {
        Ok(())
    }
    fn completed(&self, _: &str, _: &str) -> amps::Result<()> {
        Ok(())
    }
    fn persisted(&self, _: &str, _: &str) -> amps::Result<()> {
        Ok(())
    }
    fn oldest_bookmark_seq(&self, _: &str) -> u64 {
        0
    }
    fn purge(&self) -> amps::Result<()> {
        Ok(())
    }
    fn purge_sub(&self, _: &str) -> amps::Result<()> {
        Ok(())
    }
    fn set_resize_handler(&self, _: BookmarkResizeHandler) {}
}

fn handling() -> usize {
    let (client, peer) = connected();
    handle(client, peer, subscribe())
}

fn handle(client: Client, mut peer: TcpStream, command: Command) -> usize {
    let handled = Arc::new(Handled::default());
    let by_handler = handled.clone();
    let has_store = client.bookmark_store().is_some();
    let answer = answering(&peer);
    client
        .execute_async(command, move |message: &Message| {
            assert_eq!(message.data().len(), 100);
            let is_logged = message.bookmark_seq_no() > 0;
            assert_eq!(is_logged, has_store);
            by_handler.count();
        })
        .unwrap();
    answer.join().unwrap();
    let messages = messages(false);
    steady(|| {
        peer.write_all(&messages).unwrap();
        handled.wait();
    })
}

/// Messages of a queue are acknowledged automatically, in batches of ten.
fn acknowledging() -> usize {
    let (client, mut peer) = connected();
    client.set_auto_ack(true);
    client.set_ack_batch_size(10);
    let answer = answering(&peer);
    client.execute_async(subscribe(), |_: &Message| ()).unwrap();
    answer.join().unwrap();
    let mut acks = Vec::new();
    let bookmarks = (0..STEP).map(bookmark).collect::<Vec<_>>();
    for batch in bookmarks.chunks(10) {
        let mut frame = FrameWriter::begin(&mut acks, CommandType::SowDelete);
        frame.text(Field::Topic, b"orders");
        frame.text(Field::Bookmark, batch.join(",").as_bytes());
        frame.finish(b"");
    }
    let messages = messages(true);
    let mut arrived = vec![0; acks.len()];
    let count = steady(|| {
        peer.write_all(&messages).unwrap();
        peer.read_exact(&mut arrived).unwrap();
    });
    assert_eq!(arrived, acks);
    count
}

fn streaming() -> usize {
    let (client, mut peer) = connected();
    let answer = answering(&peer);
    let mut stream = client.execute(subscribe()).unwrap();
    answer.join().unwrap();
    let messages = messages(false);
    steady(|| {
        peer.write_all(&messages).unwrap();
        for _ in 0..STEP {
            let message = stream.next_timeout(PATIENCE).unwrap().unwrap();
            assert_eq!(message.data().len(), 100);
        }
    })
}

/// The allocations of all threads in the steps that count. Growing in place counts as one.
fn steady(mut step: impl FnMut()) -> usize {
    (0..WARM_UP).for_each(|_| step());
    let region = Region::new(ALLOCATOR);
    (0..STEPS).for_each(|_| step());
    let change = region.change();
    change.allocations + change.reallocations
}

/// Lets the test wait for a step of messages, without a channel, which would allocate.
#[derive(Default)]
struct Handled {
    count: AtomicUsize,
    is_done: Mutex<bool>,
    changed: Condvar,
}

impl Handled {
    fn count(&self) {
        if self.count.fetch_add(1, Ordering::Relaxed) + 1 == STEP {
            self.count.store(0, Ordering::Relaxed);
            *self.is_done.lock().unwrap() = true;
            self.changed.notify_one();
        }
    }

    fn wait(&self) {
        let is_done = self.is_done.lock().unwrap();
        let (mut is_done, waited) = self
            .changed
            .wait_timeout_while(is_done, PATIENCE, |is_done| !*is_done)
            .unwrap();
        assert!(!waited.timed_out(), "the messages were not handled");
        *is_done = false;
    }
}

/// A client that is logged on, and the server's end of its connection.
fn connected() -> (Client, TcpStream) {
    let client = Client::new("allocations");
    let peer = connect(&client);
    (client, peer)
}

/// Logs on a client; returns the server's end of its connection.
fn connect(client: &Client) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    client
        .connect(format!("tcp://{address}/amps/json?tcp_nodelay=true"))
        .unwrap();
    let (peer, _) = listener.accept().unwrap();
    let answer = answering(&peer);
    client.logon().unwrap();
    answer.join().unwrap();
    peer
}

/// Reads one command and answers it.
fn answering(peer: &TcpStream) -> thread::JoinHandle<()> {
    let mut peer = peer.try_clone().unwrap();
    thread::spawn(move || {
        let mut length = [0; 4];
        peer.read_exact(&mut length).unwrap();
        let mut command = vec![0; u32::from_be_bytes(length) as usize];
        peer.read_exact(&mut command).unwrap();
        let command = Message::from_frame(command.into()).unwrap();
        let mut out = Vec::new();
        let mut ack = FrameWriter::begin(&mut out, CommandType::Ack);
        ack.text(Field::CommandId, command.command_id().as_bytes());
        ack.text(Field::AckType, b"processed");
        ack.text(Field::Status, b"success");
        ack.finish(b"");
        peer.write_all(&out).unwrap();
    })
}

fn subscribe() -> Command {
    Command::new("subscribe")
        .set_sub_id("sub-00001")
        .set_topic("orders")
        .set_timeout(PATIENCE)
}

fn bookmark(number: usize) -> String {
    format!("4418602183412675531|{number:010}|")
}

/// The messages of a step, as a server sends them for a bookmark subscription, or to a worker.
fn messages(leased: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for number in 0..STEP {
        let mut frame = FrameWriter::begin(&mut out, CommandType::Publish);
        frame.text(Field::Topic, b"orders");
        frame.text(Field::SubIds, b"sub-00001");
        frame.text(Field::Bookmark, bookmark(number).as_bytes());
        frame.text(Field::Timestamp, b"20240315T093000.123456Z");
        frame.text(Field::SowKey, b"13480907839116428812");
        if leased {
            frame.text(Field::LeasePeriod, b"20240315T094000.000000Z");
        }
        frame.finish(&[b'x'; 100]);
    }
    out
}
