//! Many workers on one queue, while their connections come and go.

use crate::{PATIENCE, broker, logged_on, publish, work};
use amps::{Client, Error, Message};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

const JOBS: usize = 2000;

#[test]
fn every_job_is_done_once_by_workers_that_acknowledge_in_batches() {
    let broker = broker();
    let done = Arc::new(Mutex::new(BTreeMap::<Vec<u8>, usize>::new()));
    let workers = (0..4)
        .map(|number| {
            let client = logged_on(&broker, &format!("worker-{number}"));
            client.set_auto_ack(true);
            client.set_ack_batch_size(8);
            client.set_ack_timeout(Duration::from_millis(20));
            let done = done.clone();
            let handler = move |message: &Message| {
                *done.lock().entry(message.data().to_vec()).or_default() += 1;
            };
            client
                .execute_async(work("max_backlog=20"), handler)
                .unwrap();
            client
        })
        .collect::<Vec<_>>();
    publish(&broker, JOBS);
    assert!(broker.wait_for_queue_depth("jobs", 0, PATIENCE));
    drop(workers);
    let done = done.lock();
    assert_eq!(done.len(), JOBS);
    assert!(done.values().all(|&times| times == 1));
}

#[test]
fn no_job_is_lost_while_workers_fail_and_are_disconnected() {
    let broker = broker();
    publish(&broker, JOBS);
    let done = Mutex::new(BTreeMap::<Vec<u8>, usize>::new());
    let start = Instant::now();
    thread::scope(|scope| {
        for number in 0..3 {
            let (broker, done) = (&broker, &done);
            scope.spawn(move || {
                let name = format!("storm-{number}");
                let client = Client::new(&name);
                client.set_auto_ack(true);
                client.set_ack_batch_size(5);
                while broker.queue_depth("jobs") > 0 {
                    assert!(start.elapsed() < 3 * PATIENCE, "the queue is never empty");
                    let outcome = turn(&client, &broker.uri("json"), done);
                    if let Err(error) = outcome {
                        assert!(error.is_connection_error(), "{error}");
                    }
                }
            });
        }
        let broker = &broker;
        // Not for ever: who is cut again and again never collects enough acknowledgements for a
        // batch of the last few jobs.
        scope.spawn(move || {
            for _ in 0..30 {
                for number in 0..3 {
                    broker.disconnect_client(&format!("storm-{number}"));
                    thread::sleep(Duration::from_millis(10));
                }
            }
        });
    });
    assert_eq!(done.lock().len(), JOBS);
}

/// Works until the connection is lost or nothing comes any more; gives up every seventh job.
fn turn(client: &Client, uri: &str, done: &Mutex<BTreeMap<Vec<u8>, usize>>) -> Result<(), Error> {
    if !client.is_connected() {
        match client.connect(uri) {
            Ok(()) | Err(Error::AlreadyConnected(_)) => {}
            Err(error) => return Err(error),
        }
        client.logon()?;
    }
    let mut stream = client.execute(work("max_backlog=20"))?;
    let mut count = 0;
    while let Ok(Some(message)) = stream.next_timeout(Duration::from_millis(50)) {
        count += 1;
        if count % 7 == 0 {
            message.ack_with("cancel")?;
        } else {
            *done.lock().entry(message.data().to_vec()).or_default() += 1;
        }
    }
    Ok(())
}
