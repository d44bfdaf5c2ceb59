//! Failover with a disconnect handler, for applications that `HaClient` does not suit.
//!
//! The handler runs when the connection is lost. It connects to the next server that answers, logs
//! on and subscribes again: on a plain client, the application does all of this itself. What was
//! published between the loss and the new connection is not there.
//!
//! `cargo run --example failover_by_hand` starts two brokers and stops the first one in the middle.
//! `AMPS_URI` names servers instead, separated by commas; then nothing is stopped.

use amps::{Client, ConnectionState, Error, Message};
use amps_broker::Broker;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10);

/// How often the list of servers is tried from its beginning.
const ROUNDS: usize = 5;

type AnyError = Box<dyn std::error::Error>;

/// Connects to the next server that answers. An error, when none does, goes to the exception
/// listener, and the client stays disconnected.
fn connect_to_one_of(
    client: &Client,
    servers: &[String],
    next: &mut usize,
    received: &Sender<Message>,
) -> amps::Result<()> {
    let mut outcome = Ok(());
    for attempt in 0..ROUNDS * servers.len() {
        let server = &servers[*next % servers.len()];
        *next += 1;
        outcome = connect_to(client, server, received);
        match &outcome {
            Ok(()) => return Ok(()),
            // The error names the server and the reason, but never a password.
            Err(error) => println!("attempt {attempt}: {error}"),
        }
        // A logon may have failed on a connection that is there.
        client.disconnect().unwrap_or_default();
        thread::sleep(Duration::from_millis(100));
    }
    outcome
}

fn connect_to(client: &Client, server: &str, received: &Sender<Message>) -> amps::Result<()> {
    client.connect(server)?;
    client.logon()?;
    println!("connected: {}", client.connection_info());
    let received = received.clone();
    let pass_on = move |message: &Message| {
        let _ = received.send(message.clone());
    };
    client.subscribe_async(pass_on, "orders", None)?;
    Ok(())
}

fn main() -> Result<(), AnyError> {
    let mut brokers = Vec::new();
    let servers = match std::env::var("AMPS_URI") {
        Ok(list) => list.split(',').map(|uri| uri.trim().to_string()).collect(),
        Err(_) => {
            for _ in 0..2 {
                brokers.push(Broker::builder().start()?);
            }
            let uris = brokers.iter().map(|broker| broker.uri("json"));
            uris.collect::<Vec<_>>()
        }
    };

    let client = Client::new("failover-by-hand");
    // Finds out within 2 s that a server is gone which does not say so.
    client.set_heartbeat(Duration::from_secs(1));
    client.set_exception_listener(|error: &Error| println!("told: {error}"));
    let (changed, states) = mpsc::channel();
    client.add_connection_state_listener(move |state| {
        let _ = changed.send(state);
    });

    // The first connection is made by the same code as all later ones.
    let (sender, received) = mpsc::channel();
    let mut next = 0;
    connect_to_one_of(&client, &servers, &mut next, &sender)?;
    client.set_disconnect_handler(move |client| {
        println!("the connection is lost");
        connect_to_one_of(client, &servers, &mut next, &sender)
    });

    client.publish("orders", "before")?;
    assert_eq!(received.recv_timeout(TIMEOUT)?.data(), b"before");

    if !brokers.is_empty() {
        while states.try_recv().is_ok() {}
        drop(brokers.remove(0)); // The server goes, and all its connections with it.
        let mut last = states.recv_timeout(TIMEOUT)?;
        assert_eq!(last, ConnectionState::Disconnected);
        while last != ConnectionState::HeartbeatInitiated {
            last = states.recv_timeout(TIMEOUT)?;
            println!("state: {last:?}");
        }
        // Logged on is not yet subscribed: the handler may still be at it.
        while !brokers[0].wait_for_subscription("orders", TIMEOUT) {}
    }

    client.publish("orders", "after")?;
    let message = received.recv_timeout(TIMEOUT)?;
    println!("received again: {}", message.data_str()?);
    assert_eq!(message.data(), b"after");

    // This is on purpose: no handler is called.
    client.disconnect()?;
    assert!(!client.is_connected());
    Ok(())
}
