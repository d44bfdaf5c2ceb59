//! Servers that accept and do not keep, that refuse for ever, or that do not take back what was
//! there before the loss.

use crate::scripted::Record;
use crate::{PATIENCE, broker, client_of, connected, eventually, exceptions, payloads, uri};
use amps::{
    AckType, Client, Command, ConnectionState, DefaultServerChooser, Error,
    ExponentialDelayStrategy, HaClient, MemoryPublishStore, Message, OutgoingCommand,
    PublishResizeHandler, PublishStore, Result, StoredCommand,
};
use amps_broker::{Broker, Entitlement, Logon, Peer};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn o2_a_server_that_closes_right_after_each_logon_is_left_for_the_next() {
    let (peer, second) = (Peer::listen().unwrap(), broker());
    let client = client_of("unwanted", [peer.uri("json"), uri(&second)]);
    thread::scope(|scope| {
        // The first of these may be seen as a success.
        scope.spawn(|| client.connect_and_logon());
        for _ in 0..3 {
            peer.accept_logon().unwrap().close();
            if second.wait_until(Duration::ZERO, |state| state.connection_count() > 0) {
                break;
            }
        }
        assert!(second.wait_for_client("unwanted", PATIENCE));
    });
    let messages = payloads(&client, "t");
    client.publish("t", "here").unwrap();
    assert_eq!(messages.recv_timeout(PATIENCE).unwrap(), "here");
}

#[test]
fn n3_a_server_that_falls_silent_after_the_logon_is_left_for_the_next() {
    let (peer, second) = (Peer::listen().unwrap(), broker());
    let client = client_of("ignored", [peer.uri("json"), uri(&second)]);
    client.set_heartbeat(Duration::from_secs(1));
    thread::scope(|scope| {
        let connecting = scope.spawn(|| client.connect_and_logon());
        let mut silent = Vec::new();
        for _ in 0..3 {
            silent.push(peer.accept_logon().unwrap());
            if second.wait_for_client("ignored", Duration::from_secs(3)) {
                break;
            }
        }
        assert!(second.wait_for_client("ignored", PATIENCE));
        connecting.join().unwrap().unwrap();
    });
}

#[test]
fn j7_logons_that_are_never_accepted_end_with_the_time_of_the_strategy() {
    let refusing = || {
        let builder = Broker::builder().authenticate(|_| Logon::Refuse("auth failure".into()));
        builder.start().unwrap()
    };
    let (first, second) = (refusing(), refusing());
    let client = HaClient::new("stranger");
    let chooser = DefaultServerChooser::new().add_all([uri(&first), uri(&second)]);
    client.set_server_chooser(chooser);
    client.set_reconnect_delay_strategy(
        ExponentialDelayStrategy::new()
            .initial_delay(Duration::from_millis(5))
            .maximum_retry_time(Duration::from_millis(100)),
    );
    let begun = Instant::now();
    let error = client.connect_and_logon().unwrap_err();
    assert!(matches!(error, Error::Connection(_)), "{error}");
    assert!(error.to_string().contains("gave up"), "{error}");
    assert!(begun.elapsed() < PATIENCE / 2);
    assert!(client.disconnected());
}

/// A broker whose topic `closed` is closed whenever that is set, and a client that was subscribed
/// to it and to `open` before.
fn shut_out(name: &str, failed: Option<fn() -> bool>) -> (Broker, Arc<AtomicBool>, Setting) {
    let is_closed = Arc::new(AtomicBool::new(false));
    let decides = is_closed.clone();
    let broker = Broker::builder()
        .entitle(
            move |request| match request.topic == "closed" && decides.load(Ordering::SeqCst) {
                true => Entitlement::Refused,
                false => Entitlement::Granted,
            },
        )
        .start()
        .unwrap();
    let client = connected(&broker, name);
    let record = Record::default();
    if let Some(failed) = failed {
        let asked = record.clone();
        let manager = client.subscription_manager().unwrap();
        manager.set_failed_resubscribe_handler(Box::new(
            move |command: &Command, _: AckType, error: &Error| {
                asked.note(format!("{} {error}", command.topic()));
                failed()
            },
        ));
    }
    let closed = payloads(&client, "closed");
    let open = payloads(&client, "open");
    is_closed.store(true, Ordering::SeqCst);
    let setting = Setting {
        client,
        record,
        closed,
        open,
    };
    (broker, is_closed, setting)
}

struct Setting {
    client: HaClient,
    record: Record,
    closed: std::sync::mpsc::Receiver<String>,
    open: std::sync::mpsc::Receiver<String>,
}

#[test]
fn m8_without_a_handler_a_refused_subscription_is_tried_until_it_is_accepted() {
    let (broker, is_closed, setting) = shut_out("persistent", None);
    let record = Record::default();
    let states = record.clone();
    setting.client.add_connection_state_listener(move |state| {
        states.note(format!("{state:?}"));
    });
    broker.disconnect_client("persistent");
    eventually("it tries again and again", || record.count("LoggedOn") > 2);
    // Never without one of its subscriptions (trap 95).
    assert_eq!(record.count("Resubscribed"), 0);
    is_closed.store(false, Ordering::SeqCst);
    eventually("it is back", || record.count("Resubscribed") == 1);
    setting.client.publish("closed", "1").unwrap();
    assert_eq!(setting.closed.recv_timeout(PATIENCE).unwrap(), "1");
}

#[test]
fn m8_trap_85_a_handler_may_let_a_refused_subscription_go() {
    let (broker, is_closed, setting) = shut_out("resigned", Some(|| true));
    broker.disconnect_client("resigned");
    assert!(broker.wait_for_subscription("open", PATIENCE));
    setting.client.publish("open", "1").unwrap();
    assert_eq!(setting.open.recv_timeout(PATIENCE).unwrap(), "1");
    assert_eq!(setting.record.count("closed not entitled"), 1);
    // It is forgotten, and does not come back.
    is_closed.store(false, Ordering::SeqCst);
    broker.disconnect_client("resigned");
    assert!(broker.wait_for_subscription("open", PATIENCE));
    assert_eq!(broker.subscription_count("closed"), 0);
}

#[test]
fn trap_86_a_handler_that_panics_fails_the_attempt_and_not_the_loop() {
    let (broker, is_closed, setting) = shut_out("panicking", Some(|| panic!("on purpose")));
    broker.disconnect_client("panicking");
    eventually("it was asked", || setting.record.count("closed") > 1);
    is_closed.store(false, Ordering::SeqCst);
    assert!(broker.wait_for_subscription("closed", PATIENCE));
    setting.client.publish("closed", "1").unwrap();
    assert_eq!(setting.closed.recv_timeout(PATIENCE).unwrap(), "1");
}

/// A store in memory that says whatever it is told of its offline records.
struct Stubborn {
    inner: MemoryPublishStore,
    lowest_offline: u64,
}

impl PublishStore for Stubborn {
    fn lowest_offline(&self) -> u64 {
        self.lowest_offline
    }
    fn store(&self, command: &OutgoingCommand<'_>) -> Result<u64> {
        self.inner.store(command)
    }
    fn discard_up_to(&self, sequence: u64) -> Result<()> {
        self.inner.discard_up_to(sequence)
    }
    fn discard_one(&self, sequence: u64) -> Result<bool> {
        self.inner.discard_one(sequence)
    }
    fn replay(
        &self,
        after: u64,
        visitor: &mut dyn FnMut(StoredCommand<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        self.inner.replay(after, visitor)
    }
    fn replay_single(
        &self,
        sequence: u64,
        visitor: &mut dyn FnMut(StoredCommand<'_>),
    ) -> Result<bool> {
        self.inner.replay_single(sequence, visitor)
    }
    fn unpersisted_count(&self) -> usize {
        self.inner.unpersisted_count()
    }
    fn lowest_unpersisted(&self) -> u64 {
        self.inner.lowest_unpersisted()
    }
    fn highest_unpersisted(&self) -> u64 {
        self.inner.highest_unpersisted()
    }
    fn last_persisted(&self) -> u64 {
        self.inner.last_persisted()
    }
    fn flush(&self, timeout: Duration) -> Result<()> {
        self.inner.flush(timeout)
    }
    fn set_error_on_publish_gap(&self, fail: bool) {
        self.inner.set_error_on_publish_gap(fail);
    }
    fn error_on_publish_gap(&self) -> bool {
        self.inner.error_on_publish_gap()
    }
    fn set_resize_handler(&self, handler: PublishResizeHandler) {
        self.inner.set_resize_handler(handler);
    }
}

#[test]
fn a_store_that_cannot_renumber_ends_the_loop_and_keeps_its_records() {
    let broker = Broker::builder().log_every_topic().start().unwrap();
    let record = Record::default();
    let client = HaClient::new("stubborn");
    client.set_reconnect_delay(Duration::ZERO);
    client.set_server_chooser(DefaultServerChooser::new().add(uri(&broker)));
    let store = Arc::new(Stubborn {
        inner: MemoryPublishStore::new(1 << 10),
        lowest_offline: 1,
    });
    // Somebody has published under this name before, so the server has seen a number.
    let before = connected(&broker, "stubborn");
    before.publish("t", "before").unwrap();
    before.publish_flush(PATIENCE).unwrap();
    before.disconnect().unwrap();
    client.set_publish_store(store).unwrap();
    let states = record.clone();
    client.add_connection_state_listener(move |state| states.note(format!("{state:?}")));
    client.publish("t", "kept").unwrap();
    let error = client.connect_and_logon().unwrap_err();
    assert!(matches!(error, Error::Store(_)), "{error}");
    // No other attempt changes that.
    assert_eq!(record.count("Connected"), 1);
    assert!(client.disconnected());
    assert_eq!(client.unpersisted_count(), 1);
}

#[test]
fn trap_98_a_subscription_that_is_not_to_come_back_does_not_when_lost_at_any_time() {
    let broker = broker();
    let client = connected(&broker, "once");
    let come_back = payloads(&client, "always");
    for _ in 0..20 {
        thread::scope(|scope| {
            let cutting = scope.spawn(|| broker.disconnect_client("once"));
            let command = Command::new("subscribe")
                .set_topic("once")
                .set_timeout(PATIENCE);
            // Before, while, or after it is entered.
            client
                .execute_async_no_resubscribe(command, |_: &Message| ())
                .unwrap();
            cutting.join().unwrap();
        });
    }
    broker.disconnect_client("once");
    assert!(broker.wait_for_subscription("always", PATIENCE));
    client.publish("always", "1").unwrap();
    assert_eq!(come_back.recv_timeout(PATIENCE).unwrap(), "1");
    eventually("nothing of the others is left", || {
        broker.subscription_count("once") == 0 && client.is_logged_on()
    });
}

#[test]
fn trap_99_listeners_with_one_function_are_told_and_removed_one_by_one() {
    let broker = broker();
    let client = client_of("heard", [uri(&broker)]);
    let record = Record::default();
    let listener = || {
        let record = record.clone();
        move |state: ConnectionState| record.note(format!("{state:?}"))
    };
    let first = client.add_connection_state_listener(listener());
    client.add_connection_state_listener(listener());
    client.connect_and_logon().unwrap();
    assert_eq!(record.count("LoggedOn"), 2);
    client.remove_connection_state_listener(first);
    broker.disconnect_client("heard");
    eventually("it is back", || record.count("Resubscribed") == 3);
    assert_eq!(record.count("LoggedOn"), 3);
}

#[test]
fn trap_97_what_one_thread_gives_up_does_not_end_the_wait_of_another() {
    let broker = broker();
    let client = connected(&broker, "busy");
    let exceptions = exceptions(&client);
    thread::scope(|scope| {
        let asking = scope.spawn(|| {
            (0..100).all(|_| client.publish_flush(PATIENCE).is_ok())
                && (0..100).all(|_| client.sow("orders").is_ok_and(|stream| stream.count() == 2))
        });
        while !asking.is_finished() {
            let id = client
                .execute_async(Command::new("subscribe").set_topic("t"), |_: &Message| ())
                .unwrap();
            client.unsubscribe(id).unwrap();
            // Refused here, before anything is sent.
            let nothing = Client::publish(&client, "", "x");
            assert!(matches!(nothing, Err(Error::InvalidTopic(_))));
        }
        assert!(asking.join().unwrap());
    });
    assert_eq!(exceptions.try_iter().collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn trap_5_trap_89_the_timeout_of_an_attempt_can_be_set_at_any_time_and_twice() {
    let peer = Peer::listen().unwrap();
    let client = client_of("patient", [peer.uri("json"), peer.uri("json")]);
    let brief = Duration::from_millis(50);
    client.set_timeout(brief);
    client.set_timeout(brief);
    let record = Record::default();
    let states = record.clone();
    client.add_connection_state_listener(move |state| states.note(format!("{state:?}")));
    thread::scope(|scope| {
        let connecting = scope.spawn(|| client.connect_and_logon());
        eventually("it does not wait for a silent server", || {
            record.count("Connected") > 2
        });
        // The server does not confirm the end, if there is a connection just now.
        let _ = client.disconnect();
        let ended = connecting.join().unwrap();
        assert!(matches!(ended, Err(Error::Disconnected(_))), "{ended:?}");
    });
    // Trap 6: nothing of the failed attempts is left.
    assert!(client.disconnected());
    assert!(matches!(client.sow("t"), Err(Error::Disconnected(_))));
}
