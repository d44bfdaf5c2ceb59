//! The three things people do with AMPS: publish, iterate a stream, handle messages on the
//! receive thread; then a query of the last value of every order.
//!
//! `cargo run --example quickstart` starts a broker of its own. To use a server instead, which
//! needs a SOW topic `orders` with the key `/id`, name it:
//!
//! `AMPS_URI=tcp://127.0.0.1:9007/amps/json cargo run --example quickstart`

use amps::{Client, Command, CommandType, Message};
use amps_broker::Broker;
use std::error::Error;
use std::sync::mpsc;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(5);

const ORDERS: [&str; 4] = [
    r#"{"id":1,"symbol":"IBM","qty":100}"#,
    r#"{"id":2,"symbol":"MSFT","qty":75}"#,
    r#"{"id":3,"symbol":"ROL","qty":20}"#,
    r#"{"id":1,"symbol":"IBM","qty":250}"#,
];

fn main() -> Result<(), Box<dyn Error>> {
    // The broker lives as long as this variable; with AMPS_URI there is none.
    let (_broker, uri) = match std::env::var("AMPS_URI") {
        Ok(uri) => (None, uri),
        Err(_) => {
            let broker = Broker::builder().sow_topic("orders", ["/id"]).start()?;
            let uri = broker.uri("json");
            println!("started a broker at {uri}");
            (Some(broker), uri)
        }
    };

    let client = Client::new("quickstart");
    client.connect(&uri)?;
    client.logon()?;
    println!("logged on, server version {}", client.server_version_info());

    // A subscription as a stream: this thread reads it below.
    let mut stream = client.subscribe("orders")?;

    // A subscription with a handler, which runs on the client's receive thread. It does little
    // and passes the message on. (If nobody listens any more, that is fine.)
    let (sender, handled) = mpsc::channel();
    let handler = move |message: &Message| {
        let _ = sender.send(message.clone());
    };
    let subscription =
        client.execute_async(Command::new("subscribe").set_topic("^ord"), handler)?;

    for order in ORDERS {
        client.publish("orders", order)?;
    }
    client.publish_flush(TIMEOUT)?;

    println!("\nfrom the stream:");
    for _ in ORDERS {
        match stream.next_timeout(TIMEOUT)? {
            Some(message) => println!("  {} {}", message.topic(), message.data_str()?),
            None => return Err("the stream ended early".into()),
        }
    }

    println!("\nfrom the handler:");
    for _ in ORDERS {
        let message = handled.recv_timeout(TIMEOUT)?;
        println!("  {} {}", message.topic(), message.data_str()?);
    }
    client.unsubscribe(subscription)?;

    println!("\nthe last value of each order:");
    let mut records = 0;
    for message in client.sow("orders")? {
        match message.command() {
            CommandType::GroupBegin => println!("  -- begin"),
            CommandType::Sow => {
                records += 1;
                println!("  key {}: {}", message.sow_key(), message.data_str()?);
            }
            CommandType::GroupEnd => println!("  -- end: {records} records"),
            _ => {}
        }
    }
    assert!(records >= 3, "every order has a record");

    client.disconnect()?;
    Ok(())
}
