//! Rule J4: `disconnect` ends the loop, wherever it is, and from wherever it is called.

use crate::scripted::{Delays, Record};
use crate::{PATIENCE, broker, client_of, connected, eventually, nobody, uri};
use amps::{
    Client, ConnectionInfo, ConnectionState, DefaultServerChooser, Error, HaClient, ServerChooser,
};
use amps_broker::Peer;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// What must be over "at once", on a busy machine.
const SOON: Duration = Duration::from_secs(5);

/// Runs `connect_and_logon` on a thread, disconnects when `ready` says so, and checks that the
/// attempt ends at once.
fn interrupted(client: &HaClient, ready: impl FnOnce()) {
    thread::scope(|scope| {
        let attempt = scope.spawn(|| client.connect_and_logon());
        ready();
        let begun = Instant::now();
        client.disconnect().unwrap();
        let error = attempt.join().unwrap().unwrap_err();
        assert!(begun.elapsed() < SOON, "after {:?}", begun.elapsed());
        assert!(matches!(error, Error::Disconnected(_)), "{error}");
    });
    assert!(client.disconnected());
}

#[test]
fn j4_during_a_delay() {
    let client = client_of("sleeper", [nobody()]);
    let record = Record::default();
    client.set_reconnect_delay_strategy(Delays {
        record: record.clone(),
        delays: [Duration::MAX].into(),
    });
    interrupted(&client, || {
        eventually("the delay begins", || record.count("delay") == 1);
    });
}

#[test]
fn j4_during_a_dial_to_an_address_that_does_not_answer() {
    // A listener whose queue is full drops what comes: the dial waits.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(50))
    {
        waiting.push(stream);
        assert!(waiting.len() < 10_000, "the queue never fills");
    }
    let record = Record::default();
    let client = client_of("dialler", [format!("tcp://{address}/amps/json")]);
    client.set_reconnect_delay_strategy(Delays {
        record: record.clone(),
        delays: [Duration::ZERO].into(),
    });
    interrupted(&client, || {
        eventually("the attempt begins", || record.count("delay") == 1);
    });
}

#[test]
fn j4_during_a_logon() {
    let silent = Peer::listen().unwrap();
    let client = client_of("asker", [silent.uri("json")]);
    interrupted(&client, || {
        let mut connection = silent.accept().unwrap();
        assert!(connection.expect_frame().unwrap().contains("logon"));
        thread::spawn(move || while let Ok(Some(_)) = connection.read_frame() {});
    });
}

/// Blocks in its call until it is told to go on.
struct Blocking {
    entered: mpsc::Sender<()>,
    go_on: mpsc::Receiver<()>,
    uri: String,
}

impl ServerChooser for Blocking {
    fn current_uri(&mut self) -> Option<String> {
        self.entered.send(()).unwrap();
        self.go_on.recv().unwrap();
        Some(self.uri.clone())
    }
    fn report_failure(&mut self, _: &Error, _: &ConnectionInfo) {}
    fn report_success(&mut self, _: &ConnectionInfo) {}
}

#[test]
fn j4_trap_2_during_a_call_of_the_chooser_no_late_connection_is_made() {
    let broker = broker();
    let (entered, is_in) = mpsc::channel();
    let (go_on, wait) = mpsc::channel();
    let client = HaClient::new("blocked");
    client.set_server_chooser(Blocking {
        entered,
        go_on: wait,
        uri: uri(&broker),
    });
    thread::scope(|scope| {
        let attempt = scope.spawn(|| client.connect_and_logon());
        is_in.recv_timeout(PATIENCE).unwrap();
        client.disconnect().unwrap();
        go_on.send(()).unwrap();
        assert!(matches!(
            attempt.join().unwrap(),
            Err(Error::Disconnected(_))
        ));
    });
    assert!(client.disconnected());
    assert_eq!(broker.connection_count(), 0);
}

#[test]
fn j4_trap_3_a_later_connect_and_logon_works_again() {
    let broker = broker();
    let client = connected(&broker, "again");
    for _ in 0..3 {
        client.disconnect().unwrap();
        client.disconnect().unwrap();
        assert!(client.disconnected());
        client.connect_and_logon().unwrap();
        assert!(client.is_logged_on());
    }
}

#[test]
fn a_second_loop_waits_for_a_chooser_that_a_cancelled_one_is_still_in() {
    let broker = broker();
    let (entered, is_in) = mpsc::channel();
    let (go_on, wait) = mpsc::channel();
    let client = HaClient::new("patient");
    client.set_server_chooser(Blocking {
        entered,
        go_on: wait,
        uri: uri(&broker),
    });
    thread::scope(|scope| {
        let first = scope.spawn(|| client.connect_and_logon());
        is_in.recv_timeout(PATIENCE).unwrap();
        client.disconnect().unwrap();
        let second = scope.spawn(|| client.connect_and_logon());
        // Once for each of the two: they are never in there together.
        go_on.send(()).unwrap();
        assert!(first.join().unwrap().is_err());
        is_in.recv_timeout(PATIENCE).unwrap();
        go_on.send(()).unwrap();
        second.join().unwrap().unwrap();
    });
    assert!(client.is_logged_on());
}

#[test]
fn disconnect_through_a_plain_client_ends_the_reconnecting() {
    let broker = broker();
    let client = connected(&broker, "plain");
    broker.stop_listening();
    broker.disconnect_client("plain");
    eventually("the loss is noticed", || client.disconnected());
    let plain: Client = (*client).clone();
    plain.disconnect().unwrap();
    broker.restart_listening().unwrap();
    // A loop that still ran would be back before this one.
    let other = connected(&broker, "other");
    assert_eq!(broker.client_names(), ["other"]);
    drop(other);
}

#[test]
fn the_last_handle_ends_the_loop_and_its_streams_although_a_plain_handle_lives() {
    let broker = broker();
    let client = connected(&broker, "dropped");
    let plain = (*client).clone();
    let mut stream = client.subscribe("t").unwrap();
    let clone = client.clone();
    drop(client);
    assert!(plain.is_connected());
    drop(clone);
    assert!(!plain.is_connected());
    assert!(stream.next().is_none());
    assert!(broker.wait_until(PATIENCE, |state| state.connection_count() == 0));
}

#[test]
fn the_last_handle_ends_the_loop_while_it_reconnects() {
    let broker = broker();
    let client = client_of("homeless", [uri(&broker)]);
    client.connect_and_logon().unwrap();
    let record = Record::default();
    client.set_reconnect_delay_strategy(Delays {
        record: record.clone(),
        delays: [Duration::MAX].into(),
    });
    broker.disconnect_client("homeless");
    eventually("the loop waits", || record.count("delay") == 1);
    let begun = Instant::now();
    drop(client);
    assert!(begun.elapsed() < SOON);
    eventually("the strategy goes with the loop", || {
        record.count("dropped") == 1
    });
}

#[test]
fn disconnect_works_inside_every_callback() {
    for at in [
        ConnectionState::Connected,
        ConnectionState::LoggedOn,
        ConnectionState::PublishReplayed,
        ConnectionState::Resubscribed,
    ] {
        let broker = broker();
        let client = client_of("inner", [uri(&broker)]);
        let weak = client.downgrade();
        client.add_connection_state_listener(move |state| {
            if state == at
                && let Some(client) = weak.upgrade()
            {
                client.disconnect().unwrap();
            }
        });
        let result = client.connect_and_logon();
        assert!(
            matches!(result, Err(Error::Disconnected(_))),
            "{at:?}: {result:?}"
        );
        eventually("nobody is connected", || broker.connection_count() == 0);
    }
}

/// Disconnects its client from within.
struct Suicidal {
    client: amps::WeakClient,
    at: &'static str,
    uri: String,
}

impl Suicidal {
    fn act(&self, at: &str) {
        if at == self.at {
            self.client.upgrade().unwrap().disconnect().unwrap();
        }
    }
}

impl ServerChooser for Suicidal {
    fn current_uri(&mut self) -> Option<String> {
        self.act("current_uri");
        Some(self.uri.clone())
    }
    fn report_failure(&mut self, _: &Error, _: &ConnectionInfo) {
        self.act("report_failure");
    }
    fn report_success(&mut self, _: &ConnectionInfo) {
        self.act("report_success");
    }
}

#[test]
fn disconnect_works_inside_the_chooser() {
    for at in ["current_uri", "report_failure", "report_success"] {
        let broker = broker();
        let client = HaClient::new("chosen");
        client.set_reconnect_delay(Duration::ZERO);
        client.set_server_chooser(Suicidal {
            client: client.downgrade(),
            at,
            uri: if at == "report_failure" {
                nobody()
            } else {
                uri(&broker)
            },
        });
        let result = client.connect_and_logon();
        assert!(
            matches!(result, Err(Error::Disconnected(_))),
            "{at}: {result:?}"
        );
        client.set_server_chooser(DefaultServerChooser::new().add(uri(&broker)));
        client.connect_and_logon().unwrap();
    }
}
