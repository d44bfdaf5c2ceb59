//! Rule J: the first connection.

use crate::scripted::{Delays, Record, Servers};
use crate::{PATIENCE, broker, client_of, connected, eventually, exceptions, nobody, uri};
use amps::{
    Authenticator, Client, ConnectionInfo, ConnectionState, DefaultServerChooser, Error,
    ErrorContext, HaClient, ServerChooser, WeakClient,
};
use amps_broker::{Broker, Logon, Peer};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn j1_the_steps_come_in_the_order_of_the_guide() {
    let broker = broker();
    let record = Record::default();
    let client = HaClient::memory_backed("ordered");
    client.set_server_chooser(Servers::new(&record, [nobody(), uri(&broker)]));
    client.set_reconnect_delay_strategy(Delays {
        record: record.clone(),
        delays: [Duration::ZERO; 2].into(),
    });
    let states = record.clone();
    client.add_connection_state_listener(move |state| states.note(format!("{state:?}")));
    client.connect_and_logon().unwrap();
    let steps = record.take();
    let steps = steps
        .iter()
        .map(|step| step.split(' ').next().unwrap())
        .collect::<Vec<_>>();
    assert_eq!(
        steps,
        [
            "reset",
            "choose",
            "authenticator",
            "delay",
            "failure",
            "choose",
            "authenticator",
            "delay",
            "Connected",
            "success",
            "LoggedOn",
            "PublishReplayed",
            "Resubscribed",
            "reset",
        ]
    );
}

#[test]
fn j2_an_empty_chooser_ends_the_attempt_with_its_own_words() {
    let client = HaClient::new("nowhere");
    let error = client.connect_and_logon().unwrap_err();
    assert!(matches!(error, Error::Connection(_)), "{error}");
    client.set_server_chooser(Servers::new(&Record::default(), [""]));
    let error = client.connect_and_logon().unwrap_err();
    assert!(error.to_string().contains("out of servers"), "{error}");
    assert!(error.to_string().contains("nowhere"), "{error}");
    assert!(client.disconnected());
}

#[test]
fn j3_a_strategy_that_gives_up_ends_the_attempt_with_its_error() {
    let client = client_of("patient", [nobody()]);
    let record = Record::default();
    client.set_reconnect_delay_strategy(Delays {
        record: record.clone(),
        delays: [Duration::ZERO; 3].into(),
    });
    let error = client.connect_and_logon().unwrap_err();
    assert!(error.to_string().contains("enough is enough"), "{error}");
    let source = std::error::Error::source(&error).unwrap();
    assert!(source.to_string().contains("enough is enough"));
    assert_eq!(record.count("delay"), 4);
}

#[test]
fn j5_the_next_server_is_tried_when_one_cannot_be_reached() {
    let broker = broker();
    let client = client_of("rover", [nobody(), nobody(), uri(&broker)]);
    client.connect_and_logon().unwrap();
    assert!(client.is_logged_on());
    assert_eq!(broker.client_names(), ["rover"]);
}

#[test]
fn j7_a_refused_logon_is_a_failure_like_any_other() {
    let builder = Broker::builder().authenticate(|who| match who.password {
        "right" => Logon::Accept,
        _ => Logon::Refuse("auth failure".to_string()),
    });
    let strict = builder.start().unwrap();
    let record = Record::default();
    let good = strict.uri("json").replace("tcp://", "tcp://ana:right@");
    let bad = strict.uri("json").replace("tcp://", "tcp://ana:wrong@");
    let client = HaClient::new("ana");
    client.set_server_chooser(Servers::new(&record, [bad, good]));
    client.connect_and_logon().unwrap();
    assert_eq!((record.count("failure"), record.count("success")), (1, 1));
    let told = record.take().join("\n");
    assert!(!told.contains("wrong"), "{told}");
}

/// Says no to everybody.
struct Refusing;

impl Authenticator for Refusing {
    fn authenticate(&self, _: &str, _: &str) -> amps::Result<String> {
        Err(ErrorContext::new("fetch a token", "").Connection())
    }
    fn retry(&self, _: &str, _: &str) -> amps::Result<String> {
        Err(ErrorContext::new("fetch a token", "").Connection())
    }
    fn completed(&self, _: &str, _: &str, _: &str) {}
}

#[test]
fn an_authenticator_that_fails_is_a_failed_attempt() {
    let broker = broker();
    let record = Record::default();
    let mut servers = Servers::new(&record, [uri(&broker)]);
    servers.authenticator = Arc::new(Refusing);
    let client = HaClient::new("tokenless");
    client.set_server_chooser(servers);
    let error = client.connect_and_logon().unwrap_err();
    assert!(error.to_string().contains("out of servers"), "{error}");
    assert_eq!(record.count("failure"), 1);
    let failure = record
        .take()
        .into_iter()
        .find(|entry| entry.starts_with("failure"));
    assert!(failure.unwrap().contains("fetch a token"));
    eventually("the connection is given up", || {
        broker.connection_count() == 0
    });
}

/// Panics when it is asked.
struct Panicking;

impl ServerChooser for Panicking {
    fn current_uri(&mut self) -> Option<String> {
        panic!("on purpose")
    }
    fn report_failure(&mut self, _: &Error, _: &ConnectionInfo) {}
    fn report_success(&mut self, _: &ConnectionInfo) {}
}

#[test]
fn a_chooser_that_panics_ends_the_attempt_and_nothing_else() {
    let broker = broker();
    let client = HaClient::new("steady");
    client.set_server_chooser(Panicking);
    let error = client.connect_and_logon().unwrap_err();
    assert!(error.to_string().contains("chooser panicked"), "{error}");
    client.set_server_chooser(DefaultServerChooser::new().add(uri(&broker)));
    client.connect_and_logon().unwrap();
}

/// Trap 5.
#[test]
fn a_server_that_never_answers_is_left_within_the_timeout() {
    let (silent, broker) = (Peer::listen().unwrap(), broker());
    let client = client_of("hasty", [silent.uri("json"), uri(&broker)]);
    client.set_timeout(Duration::from_millis(100));
    let begun = Instant::now();
    client.connect_and_logon().unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(100));
    assert_eq!(broker.client_names(), ["hasty"]);
}

#[test]
fn a_server_that_answers_with_garbage_is_left() {
    let (peer, broker) = (Peer::listen().unwrap(), broker());
    let client = client_of("puzzled", [peer.uri("json"), uri(&broker)]);
    let garbage = thread::spawn(move || {
        let mut connection = peer.accept().unwrap();
        connection
            .send_bytes(b"\xff\xff\xff\xffHTTP/1.1 400\r\n\r\n")
            .unwrap();
        // Until the client has left.
        while let Ok(Some(_)) = connection.read_frame() {}
    });
    client.connect_and_logon().unwrap();
    garbage.join().unwrap();
    assert_eq!(broker.client_names(), ["puzzled"]);
}

#[test]
fn j1_connect_and_logon_of_its_own_are_refused() {
    let broker = broker();
    let client = client_of("owned", [uri(&broker)]);
    let plain: &Client = &client;
    assert!(matches!(plain.connect(uri(&broker)), Err(Error::Usage(_))));
    assert!(matches!(plain.logon(), Err(Error::Usage(_))));
    client.connect_and_logon().unwrap();
    assert!(matches!(plain.connect(uri(&broker)), Err(Error::Usage(_))));
    assert!(matches!(
        client.connect_and_logon(),
        Err(Error::AlreadyConnected(_))
    ));
    assert!(client.is_logged_on());
}

#[test]
fn trap_1_a_second_caller_shares_the_attempt_of_the_first() {
    let broker = broker();
    broker.stop_listening();
    let client = client_of("shared", [uri(&broker)]);
    let record = Record::default();
    let states = record.clone();
    client.add_connection_state_listener(move |state| states.note(format!("{state:?}")));
    let callers = (0..4)
        .map(|_| {
            let client = client.clone();
            thread::spawn(move || client.connect_and_logon())
        })
        .collect::<Vec<_>>();
    broker.restart_listening().unwrap();
    let mut made = 0;
    for caller in callers {
        match caller.join().unwrap() {
            Ok(()) => made += 1,
            // It came when the connection was there.
            Err(error) => assert!(matches!(error, Error::AlreadyConnected(_)), "{error}"),
        }
    }
    assert!(made >= 1);
    assert_eq!(record.count("LoggedOn"), 1);
    assert_eq!(broker.connection_count(), 1);
}

#[test]
fn connect_and_logon_within_the_recovery_is_refused() {
    let broker = broker();
    let client = client_of("nested", [uri(&broker)]);
    let (sender, results) = mpsc::channel();
    let again = client.clone();
    client.add_connection_state_listener(move |state| {
        if state == ConnectionState::LoggedOn {
            let _ = sender.send(again.connect_and_logon());
        }
    });
    client.connect_and_logon().unwrap();
    let nested = results.recv_timeout(PATIENCE).unwrap();
    assert!(
        matches!(nested, Err(Error::Usage(_) | Error::AlreadyConnected(_))),
        "{nested:?}"
    );
    client.clear_connection_state_listeners();
}

#[test]
fn j8_the_chooser_hears_of_servers_without_their_passwords() {
    struct Curious(mpsc::Sender<String>, Option<String>);
    impl ServerChooser for Curious {
        fn current_uri(&mut self) -> Option<String> {
            self.1.take()
        }
        fn report_failure(&mut self, _: &Error, info: &ConnectionInfo) {
            let _ = self.0.send(info.to_string());
        }
        fn report_success(&mut self, _: &ConnectionInfo) {}
    }
    let (sender, told) = mpsc::channel();
    let secret = nobody().replace("tcp://", "tcp://ana:s3cret@");
    let client = HaClient::new("discreet");
    let exceptions = exceptions(&client);
    client.set_server_chooser(Curious(sender, Some(secret)));
    let error = client.connect_and_logon().unwrap_err();
    let info = told.recv_timeout(PATIENCE).unwrap();
    assert!(info.contains("client_name=discreet"), "{info}");
    for text in [
        info,
        error.to_string(),
        format!("{error:?}"),
        format!("{client:?}"),
    ] {
        assert!(!text.contains("s3cret"), "{text}");
    }
    // The caller was told, so the listener is not.
    assert!(exceptions.try_recv().is_err());
}

#[test]
fn j8_the_chooser_is_told_what_connection_info_tells_of_the_last_attempt() {
    struct Comparing(DefaultServerChooser, WeakClient, Record);
    impl Comparing {
        fn compare(&self, what: &str, told: &ConnectionInfo) {
            let known = self.1.upgrade().unwrap().connection_info();
            assert_eq!(*told, known, "{what}");
            let port = told.get("port").unwrap();
            self.2.note(format!("{what} {port}"));
        }
    }
    impl ServerChooser for Comparing {
        fn current_uri(&mut self) -> Option<String> {
            self.0.current_uri()
        }
        fn report_failure(&mut self, error: &Error, info: &ConnectionInfo) {
            self.compare("failure", info);
            self.0.report_failure(error, info);
        }
        fn report_success(&mut self, info: &ConnectionInfo) {
            assert!(info.get("remote_address").is_some(), "{info}");
            self.compare("success", info);
            self.0.report_success(info);
        }
    }
    let (nobody, broker) = (nobody(), broker());
    let client = client_of("known", [""]);
    let record = Record::default();
    let chooser = DefaultServerChooser::new().add(nobody).add(uri(&broker));
    client.set_server_chooser(Comparing(chooser, client.downgrade(), record.clone()));
    client.connect_and_logon().unwrap();
    broker.disconnect_client("known");
    eventually("it is back", || record.count("success") == 2);
    let port = broker.address().port();
    // The port that nobody listens on, then the loss.
    assert_eq!(record.count("failure"), 2);
    assert_eq!(record.count(&format!("failure {port}")), 1);
}

#[test]
fn the_settings_have_their_defaults() {
    let client = HaClient::new("plain");
    assert_eq!(client.timeout(), Duration::from_secs(10));
    assert_eq!(client.reconnect_delay(), Duration::from_millis(200));
    assert_eq!(client.logon_options(), "");
    assert!(client.retry_on_disconnect() && client.disconnected());
    assert!(client.publish_store().is_none() && client.bookmark_store().is_none());
    assert!(client.subscription_manager().is_some());
    client.set_reconnect_delay(Duration::from_secs(1));
    assert_eq!(client.reconnect_delay(), Duration::from_secs(1));
    client.set_reconnect_delay_strategy(amps::ExponentialDelayStrategy::new());
    assert_eq!(client.reconnect_delay(), Duration::ZERO);
    let stored = HaClient::memory_backed("stored");
    assert!(stored.publish_store().is_some() && stored.bookmark_store().is_some());
}

#[test]
fn the_logon_options_go_out_with_every_logon() {
    let builder = Broker::builder().record_frames(true);
    let broker = builder.start().unwrap();
    let client = client_of("optional", [uri(&broker)]);
    client.set_logon_options("ack_conflation=100ms");
    client.connect_and_logon().unwrap();
    broker.disconnect_client("optional");
    let logons = || {
        let frames = broker.frames_from("optional");
        let text = |frame: &Vec<u8>| String::from_utf8_lossy(frame).into_owned();
        let mut logons = frames.iter().map(text);
        logons
            .by_ref()
            .filter(|frame| frame.contains("ack_conflation=100ms"))
            .count()
    };
    eventually("a second logon with the options", || logons() == 2);
    drop(client);
    drop(connected(&broker, "another"));
}
