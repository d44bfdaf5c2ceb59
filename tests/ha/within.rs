//! Rule J4 in a *re*connect: what is called from within the callbacks of a recovery, on its thread
//! or on another.

use crate::scripted::Record;
use crate::{PATIENCE, broker, client_of, connected, eventually, payloads, uri};
use amps::{
    AckType, Authenticator, Client, Command, ConnectionInfo, ConnectionState, DefaultServerChooser,
    Error, HaClient, Message, ReconnectDelayStrategy, Result, ServerChooser, WeakClient,
};
use amps_broker::{Broker, Peer};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// Disconnects its client at one moment of a reconnect, once it is armed.
#[derive(Clone)]
struct Saboteur {
    client: WeakClient,
    at: String,
    armed: Arc<AtomicBool>,
    acted: Arc<AtomicBool>,
}

impl Saboteur {
    fn of(client: &Client, at: &str) -> Saboteur {
        Saboteur {
            client: client.downgrade(),
            at: at.to_string(),
            armed: Arc::default(),
            acted: Arc::default(),
        }
    }

    fn act(&self, at: &str) {
        if at == self.at && self.armed.swap(false, Ordering::SeqCst) {
            // A server that is not logged on to yet need not confirm the end.
            let _ = self.client.upgrade().unwrap().disconnect();
            self.acted.store(true, Ordering::SeqCst);
        }
    }
}

struct Chooser {
    saboteur: Saboteur,
    uri: String,
}

impl ServerChooser for Chooser {
    fn current_uri(&mut self) -> Option<String> {
        self.saboteur.act("current_uri");
        Some(self.uri.clone())
    }
    fn current_authenticator(&mut self) -> Arc<dyn Authenticator> {
        self.saboteur.act("current_authenticator");
        Arc::new(Gate(self.saboteur.clone()))
    }
    fn report_failure(&mut self, _: &Error, _: &ConnectionInfo) {
        self.saboteur.act("report_failure");
    }
    fn report_success(&mut self, _: &ConnectionInfo) {
        self.saboteur.act("report_success");
    }
}

struct Gate(Saboteur);

impl Authenticator for Gate {
    fn authenticate(&self, _: &str, _: &str) -> Result<String> {
        self.0.act("authenticate");
        Ok(String::new())
    }
    fn retry(&self, _: &str, _: &str) -> Result<String> {
        Ok(String::new())
    }
    fn completed(&self, _: &str, _: &str, _: &str) {
        self.0.act("completed");
    }
}

struct Delays(Saboteur);

impl ReconnectDelayStrategy for Delays {
    fn connect_wait_duration(&mut self, _: &str) -> Result<Duration> {
        self.0.act("delay");
        Ok(Duration::ZERO)
    }
    fn reset(&mut self) {
        self.0.act("reset");
    }
}

/// A client with a callback of every kind that a reconnect calls.
fn sabotaged(broker: &Broker, at: &str) -> (HaClient, Saboteur) {
    let client = client_of("within", [uri(broker)]);
    let saboteur = Saboteur::of(&client, at);
    client.set_heartbeat(Duration::from_secs(1));
    let one = saboteur.clone();
    client.add_connection_state_listener(move |state| one.act(&format!("{state:?}")));
    let one = saboteur.clone();
    client.set_exception_listener(move |_: &Error| one.act("exception"));
    let one = saboteur.clone();
    client.set_thread_created_callback(move || one.act("thread created"));
    let one = saboteur.clone();
    let manager = client.subscription_manager().unwrap();
    manager.set_failed_resubscribe_handler(Box::new(move |_: &Command, _: AckType, _: &Error| {
        one.act("failed resubscribe");
        true
    }));
    client.set_server_chooser(Chooser {
        saboteur: saboteur.clone(),
        uri: uri(broker),
    });
    client.set_reconnect_delay_strategy(Delays(saboteur.clone()));
    client.connect_and_logon().unwrap();
    (client, saboteur)
}

#[test]
fn j4_disconnect_inside_every_callback_of_a_reconnect_ends_it() {
    for at in [
        "Disconnected",
        "exception",
        "report_failure",
        "current_uri",
        "current_authenticator",
        "delay",
        "thread created",
        "Connected",
        "authenticate",
        "completed",
        "report_success",
        "LoggedOn",
        "HeartbeatInitiated",
        "PublishReplayed",
        "failed resubscribe",
        "Resubscribed",
        "deferred",
    ] {
        let is_closed = Arc::new(AtomicBool::new(false));
        let decides = is_closed.clone();
        let builder = Broker::builder().entitle(move |_| match decides.load(Ordering::SeqCst) {
            true => amps_broker::Entitlement::Refused,
            false => amps_broker::Entitlement::Granted,
        });
        let broker = builder.start().unwrap();
        let (client, saboteur) = sabotaged(&broker, at);
        let _messages = payloads(&client, "t");
        let one = saboteur.clone();
        client.deferred_execution(move |_: &Client| one.act("deferred"));
        is_closed.store(at == "failed resubscribe", Ordering::SeqCst);
        saboteur.armed.store(true, Ordering::SeqCst);
        broker.disconnect_client("within");
        eventually(&format!("{at} is called"), || {
            saboteur.acted.load(Ordering::SeqCst)
        });
        eventually(&format!("nobody is connected after {at}"), || {
            client.disconnected() && broker.connection_count() == 0
        });
        // Nothing is left that would keep it from connecting, or connect it by itself.
        is_closed.store(false, Ordering::SeqCst);
        client.connect_and_logon().unwrap();
        assert_eq!(broker.connection_count(), 1, "{at}");
        assert_eq!(broker.subscription_count("t"), 0, "{at}");
        client.publish("t", "still alive").unwrap();
        client.publish_flush(PATIENCE).unwrap();
    }
}

/// A client whose connection is lost while a peer plays the server.
fn reconnecting(peer: &Peer, name: &str) -> HaClient {
    let client = client_of(name, [peer.uri("json")]);
    thread::scope(|scope| {
        scope.spawn(|| {
            client.connect_and_logon().unwrap();
            let command = Command::new("subscribe").set_topic("t");
            client.execute_async(command, |_: &Message| ()).unwrap();
        });
        let mut first = peer.accept_logon().unwrap();
        first.acknowledge("processed").unwrap();
        first.close();
    });
    client
}

#[test]
fn j4_disconnect_on_another_thread_ends_a_reconnect_in_its_logon() {
    let peer = Peer::listen().unwrap();
    let client = reconnecting(&peer, "logging-on");
    let mut second = peer.accept().unwrap();
    second.expect_frame().unwrap();
    let begun = Instant::now();
    let _ = client.disconnect();
    assert!(begun.elapsed() < PATIENCE / 4);
    assert!(client.disconnected());
    assert_eq!(second.read_frame().unwrap_or_default(), None);
}

#[test]
fn j4_disconnect_on_another_thread_ends_a_reconnect_in_its_resubscribing() {
    let peer = Peer::listen().unwrap();
    let client = reconnecting(&peer, "resubscribing");
    let mut second = peer.accept_logon().unwrap();
    second.expect_frame().unwrap();
    let begun = Instant::now();
    let _ = client.disconnect();
    assert!(begun.elapsed() < PATIENCE / 4);
    assert!(client.disconnected());
    assert_eq!(second.read_frame().unwrap_or_default(), None);
}

#[test]
fn j4_disconnect_on_another_thread_ends_a_reconnect_stuck_in_its_replay() {
    let peer = Peer::listen().unwrap();
    let client = reconnecting(&peer, "replaying");
    let accepted = peer.accept().unwrap();
    // More than the sockets take, and nobody reads it.
    let payload = "x".repeat(64 << 10);
    for _ in 0..400 {
        client.publish("t", &payload).unwrap();
    }
    let mut second = accepted;
    second.answer_logon().unwrap();
    eventually("it replays", || client.is_logged_on());
    let begun = Instant::now();
    let _ = client.disconnect();
    assert!(begun.elapsed() < PATIENCE / 4, "{:?}", begun.elapsed());
    assert!(client.disconnected());
    assert_eq!(client.unpersisted_count(), 400);
}

#[test]
fn the_last_handle_may_be_dropped_inside_a_handler() {
    let broker = broker();
    let client = connected(&broker, "dropped-inside");
    let holder = Arc::new(Mutex::new(None));
    let (held, record) = (holder.clone(), Record::default());
    let (noted, (release, released)) = (record.clone(), mpsc::channel::<()>());
    let handler = move |_: &Message| {
        released.recv_timeout(PATIENCE).unwrap();
        drop(held.lock().take());
        noted.note("dropped");
    };
    client.subscribe_async(handler, "t", None).unwrap();
    client.publish("t", "x").unwrap();
    *holder.lock() = Some(client);
    release.send(()).unwrap();
    eventually("the handler returns", || record.count("dropped") == 1);
    assert!(broker.wait_until(PATIENCE, |state| state.connection_count() == 0));
}

#[test]
fn the_last_handle_may_be_dropped_inside_a_listener_of_a_reconnect() {
    for at in [ConnectionState::LoggedOn, ConnectionState::Resubscribed] {
        let broker = broker();
        let client = connected(&broker, "dropped-inside");
        let _messages = payloads(&client, "t");
        let holder = Arc::new(Mutex::new(None));
        let held = holder.clone();
        let record = Record::default();
        let noted = record.clone();
        client.add_connection_state_listener(move |state| {
            if state == at {
                drop(held.lock().take());
                noted.note("dropped");
            }
        });
        *holder.lock() = Some(client);
        broker.disconnect_client("dropped-inside");
        eventually("the listener returns", || record.count("dropped") == 1);
        assert!(broker.wait_until(PATIENCE, |state| state.connection_count() == 0));
    }
}

#[test]
fn connect_and_logon_inside_a_disconnect_handler_reconnects() {
    let broker = broker();
    let client = connected(&broker, "by-hand");
    let holder = Arc::new(Mutex::new(Some(client.clone())));
    let (held, record) = (holder.clone(), Record::default());
    let noted = record.clone();
    client.set_disconnect_handler(move |_: &Client| {
        let client = held.lock().clone();
        let result = client.map_or(Ok(()), |client| client.connect_and_logon());
        noted.note(format!("{}", result.is_ok()));
        result
    });
    let messages = payloads(&client, "t");
    for number in 1..5 {
        broker.disconnect_client("by-hand");
        eventually("the handler is done", || record.count("true") == number);
        client.publish("t", number.to_string()).unwrap();
        let message = messages.recv_timeout(PATIENCE).unwrap();
        assert_eq!(message, number.to_string());
    }
    // The handle in the handler would keep the client alive.
    drop(holder.lock().take());
}

#[test]
fn connect_and_logon_in_a_handler_of_the_client_is_refused() {
    let broker = broker();
    let client = connected(&broker, "impatient");
    let (sender, received) = mpsc::channel();
    let holder = Arc::new(Mutex::new(Some(client.clone())));
    let held = holder.clone();
    let handler = move |_: &Message| {
        let client = held.lock().clone().unwrap();
        let _ = sender.send(client.connect_and_logon());
    };
    client.subscribe_async(handler, "t", None).unwrap();
    client.publish("t", "x").unwrap();
    let result = received.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(result, Err(Error::Usage(_))), "{result:?}");
    drop(holder.lock().take());
}

#[test]
fn trap_4_after_a_chooser_without_servers_nothing_of_the_old_server_is_used() {
    let (first, second) = (broker(), broker());
    let chooser = DefaultServerChooser::new().add(uri(&first));
    let client = HaClient::new("moved");
    client.set_reconnect_delay(Duration::ZERO);
    client.set_server_chooser(chooser.clone());
    client.connect_and_logon().unwrap();
    chooser.remove(uri(&first));
    let record = Record::default();
    let told = record.clone();
    client.set_exception_listener(move |error: &Error| told.note(error.to_string()));
    first.disconnect_client("moved");
    // The loss, and that there is no server.
    eventually("it gives up", || record.count("") == 2);
    assert_eq!(first.connection_count(), 0);
    chooser.add(uri(&second));
    client.connect_and_logon().unwrap();
    assert_eq!(second.client_names(), ["moved"]);
    assert_eq!(first.connection_count(), 0);
}
