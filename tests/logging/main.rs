//! The contract about what is logged at which level, and what is never logged.
//!
//! There is one logger in a process, so this is a program with one test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking"
)]

use amps::{Authenticator, Client, Error, LogonOptions, Message};
use amps_broker::{Broker, Logon, Peer, QueueConfig, field};
use log::{Level, LevelFilter, Log, Metadata, Record};
use parking_lot::Mutex;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(10);

/// What must not be found in any record.
const PASSWORDS: [&str; 4] = ["s3cret", "w%72ong", "wrong-pw", "offered-pw"];

/// What only records of the lowest level may show.
const PAYLOAD: &str = "payload-7f3a";

/// Keeps what the library logs; the broker has a log of its own.
struct Kept(Mutex<Vec<(Level, String)>>);

impl Log for Kept {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        !metadata.target().starts_with("amps_broker")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let text = format!("{} {}", record.target(), record.args());
            self.0.lock().push((record.level(), text));
        }
    }

    fn flush(&self) {}
}

static LOG: Kept = Kept(Mutex::new(Vec::new()));

fn has(level: Level, text: &str) -> bool {
    let records = LOG.0.lock();
    records
        .iter()
        .any(|(at, record)| *at == level && record.contains(text))
}

fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        thread::yield_now();
    }
}

struct Stubborn;

impl Authenticator for Stubborn {
    fn authenticate(&self, _user: &str, _password: &str) -> amps::Result<String> {
        Ok("wrong-pw".to_string())
    }

    fn retry(&self, user: &str, password: &str) -> amps::Result<String> {
        self.authenticate(user, password)
    }

    fn completed(&self, _user: &str, _password: &str, _reason: &str) {}
}

/// Everything that has to do with credentials: accepted, refused, offered, in a filter, in a
/// connection string that cannot be read or leads nowhere.
fn credentials(broker: &Broker) {
    let uri = broker.uri("json").replace("tcp://", "tcp://ana:s3cret@");
    let client = Client::new("trusted");
    client.set_transport_filter(|_, frame| assert!(!frame.is_empty()));
    client.connect(&uri).unwrap();
    client.logon().unwrap();
    client.set_heartbeat(Duration::from_secs(1));
    client.disconnect().unwrap();
    for uri in [
        uri.replace("s3cret", "w%72ong"),
        "tcp://ana:s3cret@localhost:1/amps/json".to_string(),
        "tcp://ana:s3cret@localhost:9007/amps/json?sparkle=1".to_string(),
        "tcp://ana:s3cret@local host".to_string(),
    ] {
        let client = Client::new("mistrusted");
        let outcome = client.connect(&uri).and_then(|()| client.logon());
        let error = outcome.unwrap_err();
        log::warn!(target: "application", "{error} {error:?} {client:?}");
    }
    let client = Client::new("stubborn");
    client.connect(&uri).unwrap();
    let options = LogonOptions::new().set_authenticator(Arc::new(Stubborn));
    log::warn!(target: "application", "{options:?}");
    let error = client.logon_with(options).unwrap_err();
    log::warn!(target: "application", "{error} {error:?} {}", client.connection_info());
    let peer = Peer::listen().unwrap();
    let client = Client::new("offered");
    client
        .connect(peer.uri("json").replace("tcp://", "tcp://ana:s3cret@"))
        .unwrap();
    let mut connection = peer.accept().unwrap();
    thread::scope(|scope| {
        let logon = scope.spawn(|| client.logon());
        let frame = connection.expect_frame().unwrap();
        let id = field(&frame, "cid");
        connection
            .send(&format!(
                r#"{{"c":"ack","cid":"{id}","a":"processed","status":"retry","user_id":"ana","pw":"offered-pw"}}"#
            ))
            .unwrap();
        connection.answer_logon().unwrap();
        logon.join().unwrap().unwrap();
    });
    // Nobody asked for this one, so it is shown.
    connection
        .send(r#"{"c":"ack","cid":"99","a":"processed","status":"failure","pw":"offered-pw"}"#)
        .unwrap();
    eventually("it is shown", || has(Level::Trace, "\"99\""));
}

/// Publishing, subscribing, queues, batches, and messages that nobody takes.
fn traffic(broker: &Broker) {
    let uri = broker.uri("json").replace("tcp://", "tcp://ana:s3cret@");
    let client = Client::new("busy");
    client.connect(&uri).unwrap();
    client.logon().unwrap();
    client.set_auto_ack(true);
    client.set_ack_batch_size(2);
    client.set_publish_batching(1000, Duration::from_millis(1));
    let failing = |_: &Message| Err::<(), _>("a handler that fails");
    client.subscribe_async(failing, "news", None).unwrap();
    client
        .subscribe_async(|_: &Message| (), "jobs", None)
        .unwrap();
    let stream = client.subscribe("news").unwrap();
    let id = stream.sub_id().to_string();
    for topic in ["news", "jobs"] {
        client.publish(topic, PAYLOAD).unwrap();
    }
    client.publish_flush(PATIENCE).unwrap();
    drop(stream);
    // As if it had been on its way.
    let late = format!(r#"{{"c":"p","t":"news","sids":"{id}"}}{PAYLOAD}"#);
    broker.send_raw("busy", &amps_broker::framed(late.as_bytes()));
    eventually("the late one is shown", || has(Level::Trace, PAYLOAD));
    broker.disconnect_client("busy");
    eventually("the loss is shown", || {
        has(Level::Warn, "busy lost its connection")
    });
    let error = client.publish("news", PAYLOAD).unwrap_err();
    assert!(matches!(error, Error::Disconnected(_)));
}

#[test]
fn each_level_shows_what_the_contract_says_and_none_a_password() {
    log::set_logger(&LOG).unwrap();
    log::set_max_level(LevelFilter::Trace);
    let broker = Broker::builder()
        .queue(QueueConfig::new("jobs").max_backlog(10))
        .authenticate(|credentials| match credentials.password {
            "s3cret" => Logon::Accept,
            _ => Logon::Refuse("auth failure".to_string()),
        })
        .start()
        .unwrap();
    credentials(&broker);
    traffic(&broker);
    for (level, text) in [
        (Level::Info, "trusted connected to tcp://ana:***@"),
        (Level::Info, "trusted logged on to a server of version"),
        (Level::Info, "trusted disconnected from"),
        (Level::Warn, "a handler that fails"),
        (Level::Debug, "unsubscribe"),
    ] {
        assert!(has(level, text), "{level} {text}");
    }
    for (level, record) in LOG.0.lock().iter() {
        for password in PASSWORDS {
            assert!(!record.contains(password), "{level} {record}");
        }
        let shows_data = record.contains(PAYLOAD);
        assert!(*level == Level::Trace || !shows_data, "{level} {record}");
    }
}
