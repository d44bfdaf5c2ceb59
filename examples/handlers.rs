//! Handlers: functions of the application that run on the client's receive thread.
//!
//! A handler with state, one that hands work to another thread, one that fails, one that uses its
//! client, and the handlers for what nobody else takes.
//!
//! `cargo run --example handlers` starts a broker of its own; `AMPS_URI` names a server instead,
//! which needs a SOW topic `orders` with the key `/id`.

use amps::{Client, Command, CommandType, Error, Message};
use amps_broker::Broker;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(5);

type AnyError = Box<dyn std::error::Error>;

/// What a handler keeps between messages: the newest quantity of each order.
#[derive(Default)]
struct Book {
    quantities: BTreeMap<u64, i64>,
    updates: usize,
}

#[derive(serde::Deserialize)]
struct Order {
    id: u64,
    qty: i64,
}

impl Book {
    /// An `Err` goes to the exception listener; the next message comes all the same.
    fn take(&mut self, message: &Message) -> amps::Result<()> {
        // A query sends the marks of its beginning and its end, too.
        if matches!(message.command(), CommandType::Sow | CommandType::Publish) {
            let order: Order = message.json()?;
            self.quantities.insert(order.id, order.qty);
            self.updates += 1;
        }
        Ok(())
    }
}

fn main() -> Result<(), AnyError> {
    let (_broker, uri) = match std::env::var("AMPS_URI") {
        Ok(uri) => (None, uri),
        Err(_) => {
            let broker = Broker::builder().sow_topic("orders", ["/id"]).start()?;
            let uri = broker.uri("json");
            (Some(broker), uri)
        }
    };
    let client = Client::new("handlers");

    // Errors that no caller hears of come here, from whichever thread they happen on.
    let (failed, failures) = mpsc::channel();
    client.set_exception_listener(move |error: &Error| {
        let _ = failed.send(error.to_string());
    });
    // Messages that nobody else takes come here.
    client.set_last_chance_message_handler(|message: &Message| {
        println!("nobody took {message:?}");
    });
    client.connect(&uri)?;
    client.logon()?;
    client.publish("orders", r#"{"id":1,"qty":10}"#)?;
    client.publish_flush(TIMEOUT)?;

    // 1. A handler with state. It runs on one thread at a time, so the lock is for the readers.
    let book = Arc::new(Mutex::new(Book::default()));
    let kept = book.clone();
    let command = Command::new("sow_and_subscribe").set_topic("orders");
    let subscription = client.execute_async(command, move |message: &Message| {
        let mut book = kept.lock().map_err(|_| "a reader of the book panicked")?;
        book.take(message)?;
        Ok::<(), AnyErrorInHandler>(())
    })?;

    // 2. A handler that only hands on: what takes long does not belong on the receive thread. A
    // clone costs one count; the message can be kept for as long as it is needed.
    let (sender, messages) = mpsc::channel();
    client.subscribe_async(
        move |message: &Message| {
            // If nobody listens any more, that is fine.
            let _ = sender.send(message.clone());
        },
        "orders",
        None,
    )?;

    // 3. A handler that uses its client holds it weakly: the client owns its handlers, and would
    // otherwise never be dropped. Publishing is fine here; waiting for the server is refused.
    let weak = client.downgrade();
    client.subscribe_async(
        move |message: &Message| {
            let Some(client) = weak.upgrade() else {
                return Ok(());
            };
            let refused = client.sow("orders").map(drop);
            assert!(matches!(refused, Err(Error::Usage(_))));
            client.publish("orders-seen", message.data()).map(drop)
        },
        "orders",
        None,
    )?;
    let mut seen = client.subscribe("orders-seen")?;

    for order in [
        r#"{"id":2,"qty":20}"#,
        "not an order",
        r#"{"id":1,"qty":11}"#,
    ] {
        client.publish("chatter", order)?;
        if order.starts_with('{') {
            client.publish("orders", order)?;
        }
    }
    for _ in 0..2 {
        let message = messages.recv_timeout(TIMEOUT)?;
        println!("handed on: {}", message.data_str()?);
        let echo = seen.next_timeout(TIMEOUT)?.ok_or("the stream ended")?;
        assert_eq!(echo.data(), message.data());
    }
    // Its answer comes behind every message before it, and so after every handler.
    client.publish_flush(TIMEOUT)?;
    {
        let book = book.lock().map_err(|_| "the handler panicked")?;
        println!(
            "the book after {} updates: {:?}",
            book.updates, book.quantities
        );
        assert_eq!(book.quantities, BTreeMap::from([(1, 11), (2, 20)]));
    }

    // 4. A handler that fails. Its error is told, and it is called again for the next message.
    let (sender, calls) = mpsc::channel();
    client.subscribe_async(
        move |message: &Message| {
            let _ = sender.send(());
            message.json::<Order>().map(drop)
        },
        "chatter",
        None,
    )?;
    client.publish("chatter", "still not an order")?;
    client.publish("chatter", r#"{"id":3,"qty":30}"#)?;
    let failure = failures.recv_timeout(TIMEOUT)?;
    println!("told: {failure}");
    assert!(failure.contains("chatter"));
    calls.recv_timeout(TIMEOUT)?;
    calls.recv_timeout(TIMEOUT)?;

    // 5. After this, the first handler hears nothing more.
    client.unsubscribe(subscription)?;
    client.disconnect()?;
    Ok(())
}

/// What the first handler may fail with: errors that can cross threads.
type AnyErrorInHandler = Box<dyn std::error::Error + Send + Sync>;
