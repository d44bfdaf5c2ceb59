//! Workers on a queue: each job goes to one of them, and comes again if it was not done.
//!
//! Three workers share the jobs. One acknowledges by hand, through a stream; one automatically,
//! with a handler; one fails now and then, which returns the job to the queue for somebody else.
//!
//! `cargo run --example queue_worker` starts a broker of its own; `AMPS_URI` names a server
//! instead, which needs an empty queue `jobs` that allows a backlog of 10.

use amps::{Client, Command, Message};
use amps_broker::{Broker, QueueConfig};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const TIMEOUT: Duration = Duration::from_secs(10);
const JOBS: usize = 300;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Who did which job, and how often it was begun.
#[derive(Clone, Default)]
struct Ledger {
    done: Arc<Mutex<BTreeMap<String, Vec<&'static str>>>>,
}

impl Ledger {
    fn note(&self, job: &Message, worker: &'static str) -> Result<(), AnyError> {
        let mut done = self.done.lock().map_err(|_| "a worker panicked")?;
        done.entry(job.data_str()?.to_string())
            .or_default()
            .push(worker);
        Ok(())
    }

    fn count(&self) -> usize {
        self.done.lock().map(|done| done.len()).unwrap_or(0)
    }
}

/// Up to ten jobs are under way to a worker: it never waits for the next one.
fn jobs() -> Command {
    Command::new("subscribe")
        .set_topic("jobs")
        .set_options("max_backlog=10")
        .set_timeout(TIMEOUT)
}

fn connect(name: &str, uri: &str) -> amps::Result<Client> {
    let client = Client::new(name);
    client.connect(uri)?;
    client.logon()?;
    // Acknowledgements leave five at a time, or after 50 ms.
    client.set_ack_batch_size(5);
    client.set_ack_timeout(Duration::from_millis(50));
    Ok(client)
}

/// Acknowledges each message when its work is done.
fn careful_worker(client: &Client, ledger: &Ledger) -> Result<(), AnyError> {
    let mut stream = client.execute(jobs())?;
    while ledger.count() < JOBS {
        // A timeout is no end: it looks at the ledger and goes on.
        if let Ok(Some(job)) = stream.next_timeout(Duration::from_millis(20)) {
            ledger.note(&job, "careful")?;
            job.ack()?;
        }
    }
    Ok(())
}

fn main() -> Result<(), AnyError> {
    let (_broker, uri) = match std::env::var("AMPS_URI") {
        Ok(uri) => (None, uri),
        Err(_) => {
            let queue = QueueConfig::new("jobs").max_backlog(10);
            let broker = Broker::builder().queue(queue).start()?;
            let uri = broker.uri("json");
            (Some(broker), uri)
        }
    };
    let ledger = Ledger::default();

    // A handler's message is acknowledged when it returns Ok.
    let automatic = connect("automatic-worker", &uri)?;
    automatic.set_auto_ack(true);
    let noted = ledger.clone();
    automatic.execute_async(jobs(), move |job: &Message| noted.note(job, "automatic"))?;

    // And returned to the queue when it fails: the server gives it to whoever is free.
    let moody = connect("moody-worker", &uri)?;
    moody.set_auto_ack(true);
    let (noted, mut count) = (ledger.clone(), 0);
    moody.execute_async(jobs(), move |job: &Message| {
        count += 1;
        if count % 3 == 0 {
            return Err("not in the mood".into());
        }
        noted.note(job, "moody")
    })?;
    moody.set_exception_listener(|_| ()); // It is not news that this one fails.

    let careful = connect("careful-worker", &uri)?;
    thread::scope(|scope| -> Result<(), AnyError> {
        let working = scope.spawn(|| careful_worker(&careful, &ledger));
        let publisher = Client::new("job-publisher");
        publisher.connect(&uri)?;
        publisher.logon()?;
        for number in 0..JOBS {
            publisher.publish("jobs", format!("job {number}"))?;
        }
        publisher.publish_flush(TIMEOUT)?;
        working.join().map_err(|_| "the careful worker panicked")?
    })?;

    let deadline = Instant::now() + TIMEOUT;
    while ledger.count() < JOBS && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
    }
    let done = ledger.done.lock().map_err(|_| "a worker panicked")?;
    assert_eq!(done.len(), JOBS, "every job was done");
    assert!(done.values().all(|by| by.len() == 1), "each of them once");
    for worker in ["careful", "automatic", "moody"] {
        let count = done.values().filter(|by| by.contains(&worker)).count();
        println!("the {worker} worker did {count} jobs");
    }
    drop(done);
    // Closing sends the acknowledgements that still wait, so nothing comes again.
    for client in [automatic, moody, careful] {
        client.disconnect()?;
    }
    let late = connect("late-worker", &uri)?;
    let mut left = late.execute(jobs())?;
    let nothing = left.next_timeout(Duration::from_millis(100));
    assert!(nothing.is_err(), "the queue is empty: {nothing:?}");
    println!("and nothing is left");
    late.disconnect()?;
    Ok(())
}
