//! A publish store of the application's own: what is published is kept in it until the server has
//! persisted it, and is sent again after a reconnection.
//!
//! This one keeps its records in memory, oldest first, and counts what it did. A store that is worth
//! writing would keep them where the application keeps everything else: the trait asks for no more
//! than is seen here. For files, memory and both there are stores in the library.
//!
//! `cargo run --example custom_store` starts a broker of its own.

use amps::{
    AckType, Client, Error, ErrorContext, OutgoingCommand, PublishResizeHandler, PublishStore,
    Result, StoredCommand,
};
use amps_broker::Broker;
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const TIMEOUT: Duration = Duration::from_secs(5);

/// Records in memory, and the numbers that tell them apart.
struct Ledger {
    books: Mutex<Books>,
    /// Something was persisted.
    settled: Condvar,
    fails_on_gap: AtomicBool,
}

struct Books {
    /// The last number that was given away.
    last: u64,
    persisted: u64,
    /// In the order of their numbers.
    records: VecDeque<(u64, Vec<u8>)>,
    /// Records from here on were stored while no connection was logged on.
    offline_from: Option<u64>,
}

impl Ledger {
    fn open() -> Ledger {
        // The server drops what has a number that it has seen: so a store begins above every
        // number of an earlier run, and the clock is above them all.
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let last = now.map_or(1, |since| since.as_micros() as u64);
        Ledger {
            books: Mutex::new(Books {
                last,
                persisted: 0,
                records: VecDeque::new(),
                offline_from: Some(last + 1),
            }),
            settled: Condvar::new(),
            fails_on_gap: AtomicBool::new(false),
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PublishStore for Ledger {
    // Under the send lock of the client: it must be quick, and must not call the client.
    fn store(&self, command: &OutgoingCommand<'_>) -> Result<u64> {
        let mut bytes = vec![0; command.encoded_len()];
        command.encode_to(&mut bytes);
        let mut books = self.books();
        books.last += 1;
        let number = books.last;
        books.records.push_back((number, bytes));
        Ok(number)
    }

    fn discard_up_to(&self, sequence: u64) -> Result<()> {
        let mut books = self.books();
        let kept = books
            .records
            .partition_point(|(number, _)| *number <= sequence);
        books.records.drain(..kept);
        books.persisted = books.persisted.max(sequence);
        books.last = books.last.max(sequence);
        self.settled.notify_all();
        Ok(())
    }

    fn discard_one(&self, sequence: u64) -> Result<bool> {
        let mut books = self.books();
        let at = books
            .records
            .binary_search_by_key(&sequence, |(number, _)| *number);
        let found = at.ok().and_then(|at| books.records.remove(at));
        self.settled.notify_all();
        Ok(found.is_some())
    }

    fn replay(
        &self,
        after: u64,
        visitor: &mut dyn FnMut(StoredCommand<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        let books = self.books();
        let first = books
            .records
            .partition_point(|(number, _)| *number <= after);
        for (number, bytes) in books.records.range(first..) {
            let command = OutgoingCommand::decode(bytes)?;
            if visitor(StoredCommand::new(*number, command)).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn replay_single(
        &self,
        sequence: u64,
        visitor: &mut dyn FnMut(StoredCommand<'_>),
    ) -> Result<bool> {
        let mut found = false;
        self.replay(sequence.saturating_sub(1), &mut |stored| {
            if stored.sequence == sequence {
                found = true;
                visitor(stored);
            }
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    fn unpersisted_count(&self) -> usize {
        self.books().records.len()
    }

    fn lowest_unpersisted(&self) -> u64 {
        self.books().records.front().map_or(0, |first| first.0)
    }

    fn highest_unpersisted(&self) -> u64 {
        self.books().records.back().map_or(0, |last| last.0)
    }

    fn last_persisted(&self) -> u64 {
        self.books().persisted
    }

    fn flush(&self, timeout: Duration) -> Result<()> {
        let deadline = (!timeout.is_zero()).then(|| Instant::now() + timeout);
        let mut books = self.books();
        let last = books.last;
        while books.records.front().is_some_and(|first| first.0 <= last) {
            let left = match deadline {
                None => Duration::MAX,
                Some(deadline) => deadline.saturating_duration_since(Instant::now()),
            };
            if left.is_zero() {
                let context = ErrorContext::new("flush the ledger up to", last.to_string());
                return Err(context.TimedOut());
            }
            let waited = self.settled.wait_timeout(books, left);
            books = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    fn set_error_on_publish_gap(&self, fail: bool) {
        self.fails_on_gap.store(fail, Ordering::Relaxed);
    }

    fn error_on_publish_gap(&self) -> bool {
        self.fails_on_gap.load(Ordering::Relaxed)
    }

    /// It has no size to speak of, so it asks nobody.
    fn set_resize_handler(&self, _handler: PublishResizeHandler) {}

    fn set_offline(&self) -> Result<()> {
        let mut books = self.books();
        let next = books.last + 1;
        books.offline_from.get_or_insert(next);
        Ok(())
    }

    fn set_online(&self) -> Result<()> {
        self.books().offline_from = None;
        Ok(())
    }

    fn lowest_offline(&self) -> u64 {
        let books = self.books();
        let Some(from) = books.offline_from else {
            return 0;
        };
        let first = books.records.partition_point(|(number, _)| *number < from);
        books.records.get(first).map_or(0, |record| record.0)
    }
    // `renumber_offline` stays as it is: a logon to a server that has seen the numbers of offline
    // records fails with `Error::Store`, and the records stay.
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let broker = Broker::builder().logged_topic("orders").start()?;
    let ledger = Arc::new(Ledger::open());

    let client = Client::new("custom-store");
    client.set_publish_store(ledger.clone())?;

    // Without a connection a publish is stored, and that is all that `Ok` promises.
    for id in 1..=3 {
        let number = client.publish("orders", format!(r#"{{"id":{id}}}"#))?;
        println!("order {id} is stored as {number}");
    }
    assert_eq!(ledger.unpersisted_count(), 3);

    // A logon sends what is stored, before anything new.
    client.connect(broker.uri("json"))?;
    client.logon()?;
    client.publish("orders", r#"{"id":4}"#)?;
    client.publish_flush_ack(TIMEOUT, AckType::PERSISTED)?;
    println!(
        "the server has persisted everything: {} left",
        ledger.unpersisted_count()
    );
    assert_eq!(ledger.unpersisted_count(), 0);

    // A delete is stored, too. The server's refusal reaches its caller, and the store lets go.
    match client.sow_delete("nothing", "1=1") {
        Err(Error::InvalidTopic(context)) => println!("refused: {context}"),
        other => panic!("the broker has no such topic, and yet: {other:?}"),
    }
    assert_eq!(ledger.unpersisted_count(), 0);
    client.disconnect()?;
    Ok(())
}
