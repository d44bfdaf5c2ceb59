//! A publisher that loses nothing: not when the connection breaks, and not when the process ends.
//!
//! `cargo run --example ha_publisher` starts a broker of its own and makes the trouble itself: it
//! cuts the connection and keeps the client out for a while; then it runs itself as a process that
//! dies while it publishes. In the end the server has every message once, in order.
//!
//! To use servers instead, name them, with spaces between; `orders` should be in their transaction
//! log:
//!
//! `AMPS_URI="tcp://one:9007/amps/json tcp://two:9007/amps/json" cargo run --example ha_publisher`

use amps::{
    AckType, BookmarkSubscribe, Client, ConnectionState, DefaultServerChooser, Error,
    ExponentialDelayStrategy, HaClient, bookmark,
};
use amps_broker::Broker;
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::Command as Process;
use std::time::Duration;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

const TIMEOUT: Duration = Duration::from_secs(10);

/// The server knows the publisher by this name. Each instance of a program needs one of its own,
/// and the same one each time it runs.
const NAME: &str = "ha-publisher";

/// How the run that dies does so.
const DEATH: i32 = 3;

fn main() -> Outcome {
    if let [_, uris, directory] = &std::env::args().collect::<Vec<_>>()[..] {
        return die_while_publishing(uris, Path::new(directory));
    }
    let (broker, uris) = match std::env::var("AMPS_URI") {
        Ok(uris) => (None, uris),
        Err(_) => {
            let broker = Broker::builder().logged_topic("orders").start()?;
            let uri = broker.uri("json");
            println!("started a broker at {uri}");
            (Some(broker), uri)
        }
    };
    // In production this is a directory that the next run finds again.
    let directory = tempfile::tempdir()?;

    println!("first run");
    let client = start(&uris, directory.path())?;
    publish(&client, 1..=100)?;
    // The connection breaks, and for a while nobody can connect. The publisher does not notice.
    if let Some(broker) = &broker {
        println!("the server goes away");
        broker.stop_listening();
        broker.disconnect_client(NAME);
    }
    publish(&client, 101..=200)?;
    println!(
        "  {} publishes are in the store",
        client.unpersisted_count()
    );
    if let Some(broker) = &broker {
        println!("the server is back");
        broker.restart_listening()?;
    }
    assert_eq!(stop(client)?, 0);

    println!("second run");
    let second = Process::new(std::env::current_exe()?)
        .args([uris.as_ref(), directory.path().as_os_str()])
        .status()?;
    assert_eq!(second.code(), Some(DEATH), "it died as it was told to");

    // What the server does not have is in the file, and is sent before anything else.
    println!("third run");
    let client = start(&uris, directory.path())?;
    publish(&client, 251..=300)?;
    assert_eq!(stop(client)?, 0);

    match &broker {
        Some(broker) => check(broker),
        None => Ok(()),
    }
}

/// A run that ends in the middle: nothing is flushed, nothing closed.
fn die_while_publishing(uris: &str, directory: &Path) -> Outcome {
    let client = start(uris, directory)?;
    publish(&client, 201..=250)?;
    println!("  dies, {} not confirmed", client.unpersisted_count());
    std::process::exit(DEATH)
}

/// Opens or makes the files, and connects to the first server that answers.
fn start(uris: &str, directory: &Path) -> Outcome<HaClient> {
    let client = HaClient::file_backed(
        NAME,
        directory.join("orders.outgoing"),
        directory.join("orders.incoming"),
    )?;
    println!("  {} publishes from before", client.unpersisted_count());
    client.set_server_chooser(DefaultServerChooser::new().add_all(uris.split_whitespace()));
    client.set_reconnect_delay_strategy(
        ExponentialDelayStrategy::new()
            .initial_delay(Duration::from_millis(50))
            .maximum_delay(Duration::from_secs(1)),
    );
    // A server that is gone without a word is noticed after six seconds.
    client.set_heartbeat(Duration::from_secs(3));
    client.set_exception_listener(|error: &Error| println!("  told: {error}"));
    client.set_failed_write_handler(|ack, reason| {
        println!("  refused: {:?}, {reason}", ack.sequence());
    });
    client.add_connection_state_listener(|state: ConnectionState| println!("  {state:?}"));
    client.connect_and_logon()?;
    Ok(client)
}

fn publish(client: &Client, ids: RangeInclusive<u32>) -> Outcome {
    let (first, last) = (*ids.start(), *ids.end());
    for id in ids {
        // An error here means that it is not stored and will not be sent: a full disk, say. A
        // broken connection is no error.
        client.publish("orders", format!(r#"{{"id":{id}}}"#))?;
    }
    println!("  published {first} to {last}");
    Ok(())
}

/// Ends the client in good order: waits for the server's word, but not for ever, and says what is
/// left in the file.
fn stop(client: HaClient) -> Outcome<usize> {
    match client.publish_flush_ack(TIMEOUT, AckType::PERSISTED) {
        Ok(()) => println!("  everything is persisted"),
        Err(error @ (Error::TimedOut(_) | Error::Disconnected(_))) => println!("  {error}"),
        Err(error) => return Err(error.into()),
    }
    let left = client.unpersisted_count();
    println!("  {left} publishes stay in the file for the next run");
    client.disconnect()?;
    Ok(left)
}

/// Reads the transaction log from its beginning: every order once, in order.
fn check(broker: &Broker) -> Outcome {
    let client = Client::new("auditor");
    client.connect(broker.uri("json"))?;
    client.logon()?;
    let mut orders =
        client.bookmark_subscribe("orders", bookmark::EPOCH, BookmarkSubscribe::new())?;
    for id in 1..=300 {
        let order = orders.next_timeout(TIMEOUT)?.ok_or("the stream ended")?;
        assert_eq!(order.data_str()?, format!(r#"{{"id":{id}}}"#));
    }
    assert_eq!(broker.log_len(), 300);
    println!("the server has 1 to 300, each once and in order");
    Ok(())
}
