//! The example `spark`, run as a process: every command, every placeholder, every exit code.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking"
)]

mod built;
#[cfg(target_os = "linux")]
#[allow(dead_code, reason = "used by the tests of TLS")]
#[path = "../tls/certificates.rs"]
mod certificates;
mod connecting;
mod deleting;
mod ending;
mod process;
mod publishing;
mod queues;
mod receiving;
mod usage;

// The parts of the example that have tests of their own, which an example does not run.
#[allow(dead_code, reason = "used by the example")]
#[path = "../../examples/spark/argv.rs"]
mod argv;
#[allow(dead_code, reason = "used by the example")]
#[path = "../../examples/spark/failure.rs"]
mod failure;
#[allow(dead_code, reason = "used by the example")]
#[path = "../../examples/spark/format.rs"]
mod format;
#[allow(dead_code, reason = "used by the example")]
#[path = "../../examples/spark/pace.rs"]
mod pace;
#[allow(dead_code, reason = "used by the example")]
#[path = "../../examples/spark/seconds.rs"]
mod seconds;
#[allow(dead_code, reason = "used by the example")]
#[path = "../../examples/spark/split.rs"]
mod split;
#[allow(dead_code, reason = "used by the example")]
#[path = "../../examples/spark/target.rs"]
mod target;

use amps::Client;
use amps_broker::{Broker, Builder};
use std::time::Duration;

/// How long a test waits for what must come before it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// A broker with a SOW topic `orders` that records what it is sent.
fn broker() -> Broker {
    start(Broker::builder())
}

fn start(builder: Builder) -> Broker {
    builder
        .sow_topic("orders", ["/id"])
        .record_frames(true)
        .start()
        .unwrap()
}

/// What follows `-server`.
fn address(broker: &Broker) -> String {
    broker.address().to_string()
}

/// A client that is logged on.
fn client(broker: &Broker) -> Client {
    let client = Client::new("test");
    client.connect(broker.uri("json")).unwrap();
    client.logon().unwrap();
    client
}

/// The orders 1 to `count`, with ten times their number as quantity.
fn order(id: u32) -> String {
    format!(r#"{{"id":{id},"qty":{}}}"#, id * 10)
}

fn publish_orders(client: &Client, count: u32) {
    for id in 1..=count {
        client.publish("orders", order(id)).unwrap();
    }
    client.publish_flush(PATIENCE).unwrap();
}

/// The records of a topic, in the order of their ids.
fn records(broker: &Broker, topic: &str) -> Vec<String> {
    let query = amps::Command::new("sow")
        .set_topic(topic)
        .set_order_by("/id");
    client(broker)
        .execute(query)
        .unwrap()
        .filter(|message| message.command() == amps::CommandType::Sow)
        .map(|message| message.data_str().unwrap().to_string())
        .collect()
}

/// The frames of a client that begin with this command.
fn sent_by(broker: &Broker, name: &str, command: &str) -> Vec<String> {
    let begin = format!(r#"{{"c":"{command}","#);
    broker
        .frames_from(name)
        .iter()
        .map(|frame| String::from_utf8_lossy(frame).into_owned())
        .filter(|frame| frame.starts_with(&begin))
        .collect()
}
