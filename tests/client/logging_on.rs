//! Rules B4 to B12: the logon.

use crate::{PATIENCE, broker, during, exceptions, logged_on, start};
use amps::{Authenticator, Client, DefaultAuthenticator, Error, LogonOptions, Result};
use amps_broker::{Broker, Logon, Peer, field};
use parking_lot::Mutex;
use std::error::Error as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[test]
fn b4_the_logon_names_the_client_and_its_message_type() {
    let peer = Peer::listen().unwrap();
    let client = Client::new("viewer");
    client.set_logon_correlation_data("Zm9vYmFy+/=").unwrap();
    let uri = format!("tcp://ana:p%40ss@{}/amps/nvfix", peer.address());
    client.connect(uri).unwrap();
    let mut connection = peer.accept().unwrap();
    let options = LogonOptions::new().set_options("ack_conflation=100ms");
    let mut sent = String::new();
    let result = during(
        || client.logon_with(options),
        || {
            sent = connection.expect_frame().unwrap();
            connection.close();
        },
    );
    assert!(matches!(result, Err(Error::Disconnected(_))));
    for (key, value) in [
        ("c", "logon"),
        ("client_name", "viewer"),
        ("mt", "nvfix"),
        ("user_id", "ana"),
        ("pw", "p@ss"),
        ("a", "processed"),
        ("x", "Zm9vYmFy+/="),
        ("o", "ack_conflation=100ms"),
    ] {
        assert_eq!(field(&sent, key), value, "{sent}");
    }
    assert!(field(&sent, "version").ends_with(":rust"));
}

#[test]
fn b4_without_a_message_type_in_the_uri_none_is_sent() {
    let peer = Peer::listen().unwrap();
    let client = Client::new("typeless");
    for (uri, expected) in [(peer.uri("json"), "json"), (peer.uri(""), "")] {
        client.connect(uri).unwrap();
        let mut connection = peer.accept().unwrap();
        let mut sent = String::new();
        let _ = during(
            || client.logon(),
            || {
                sent = connection.expect_frame().unwrap();
                connection.close();
            },
        );
        // Trap 7: the type of the earlier URI does not survive.
        assert_eq!(field(&sent, "mt"), expected);
        client.disconnect().unwrap();
    }
}

#[derive(Default)]
struct Recording {
    calls: Mutex<Vec<String>>,
}

impl Authenticator for Recording {
    fn authenticate(&self, user: &str, password: &str) -> Result<String> {
        self.calls.lock().push(format!("first {user} {password}"));
        Ok("wrong".to_string())
    }

    fn retry(&self, user: &str, password: &str) -> Result<String> {
        self.calls.lock().push(format!("retry {user} {password}"));
        Ok("right".to_string())
    }

    fn completed(&self, user: &str, password: &str, reason: &str) {
        let call = format!("completed {user} {password} {reason}");
        self.calls.lock().push(call);
    }
}

#[test]
fn b5_the_acknowledgement_tells_version_and_publisher_id() {
    let broker = start(Broker::builder().server_version("5.3.5.0"));
    let client = Client::new("hashed");
    assert_eq!(client.server_version(), 0);
    client.connect(broker.uri("json")).unwrap();
    client.logon().unwrap();
    assert_eq!(client.server_version_info().to_string(), "5.3.5.0");
    assert_eq!(client.server_version(), 5_030_500);
    assert!(client.name_hash().parse::<u64>().is_ok());
    client.disconnect().unwrap();
    assert_eq!(client.server_version(), 0);
}

#[test]
fn b6_a_retry_without_credentials_asks_the_authenticator() {
    let broker = start(
        Broker::builder().authenticate(|credentials| match credentials.password {
            "right" => Logon::Accept,
            _ => Logon::Retry {
                user: String::new(),
                password: String::new(),
                reason: "once more".to_string(),
            },
        }),
    );
    let authenticator = Arc::new(Recording::default());
    let client = Client::new("persistent");
    let uri = broker.uri("json").replace("tcp://", "tcp://ana:pw@");
    client.connect(uri).unwrap();
    let options = LogonOptions::new().set_authenticator(authenticator.clone());
    client.logon_with(options).unwrap();
    let calls = authenticator.calls.lock();
    assert_eq!(calls[..2], ["first ana pw", "retry ana wrong"]);
    assert!(calls[2].starts_with("completed ana right"), "{calls:?}");
}

#[test]
fn b6_a_retry_with_credentials_uses_them() {
    let broker = start(Broker::builder().authenticate(|credentials| {
        match (credentials.user, credentials.password) {
            ("guest", "token-2") => Logon::Accept,
            _ => Logon::Retry {
                user: "guest".to_string(),
                password: "token-2".to_string(),
                reason: "challenge:9f31".to_string(),
            },
        }
    }));
    logged_on(&broker, "challenged");
}

#[test]
fn b6_the_third_retry_is_the_last() {
    let attempts = Arc::new(Mutex::new(0));
    let counted = attempts.clone();
    let broker = start(Broker::builder().authenticate(move |_| {
        *counted.lock() += 1;
        Logon::Retry {
            user: String::new(),
            password: String::new(),
            reason: "again".to_string(),
        }
    }));
    let client = Client::new("tireless");
    client.connect(broker.uri("json")).unwrap();
    let error = client.logon().unwrap_err();
    assert!(matches!(error, Error::RetryOperation(_)), "{error}");
    assert_eq!(*attempts.lock(), 3);
}

#[test]
fn b7_a_refused_logon_is_told_with_the_reason_before_the_loss() {
    let broker = start(
        Broker::builder().authenticate(|credentials| match credentials.password {
            "" => Logon::Refuse("auth failure".to_string()),
            "none" => Logon::Refuse(String::new()),
            other => Logon::Refuse(other.to_string()),
        }),
    );
    let refused = |password: &str| {
        let client = Client::new("refused");
        let uri = broker.uri("json");
        let uri = uri.replace("tcp://", &format!("tcp://ana:{password}@"));
        client.connect(uri).unwrap();
        client.logon().unwrap_err()
    };
    let error = refused("");
    assert!(matches!(error, Error::Authentication(_)), "{error}");
    assert_eq!(
        error.to_string(),
        "authentication failed: log on as refused: auth failure"
    );
    assert!(matches!(refused("none"), Error::Authentication(_)));
    assert!(matches!(refused("not%20entitled"), Error::NotEntitled(_)));
    assert!(matches!(refused("name%20in%20use"), Error::NameInUse(_)));
}

#[test]
fn b7_the_client_can_connect_again_after_a_refusal() {
    let broker = start(
        Broker::builder().authenticate(|credentials| match credentials.user {
            "ana" => Logon::Accept,
            _ => Logon::Refuse("auth failure".to_string()),
        }),
    );
    let client = Client::new("second-try");
    client.connect(broker.uri("json")).unwrap();
    assert!(client.logon().is_err());
    // The server closes; until that is seen the client may or may not be connected.
    client.disconnect().unwrap();
    let uri = broker.uri("json").replace("tcp://", "tcp://ana:pw@");
    client.connect(uri).unwrap();
    client.logon().unwrap();
}

struct Failing;

impl Authenticator for Failing {
    fn authenticate(&self, _: &str, _: &str) -> Result<String> {
        let io = std::io::Error::other("the vault is sealed");
        Err(amps::ErrorContext::new("open", "the vault")
            .with_source(io)
            .Connection())
    }

    fn retry(&self, _: &str, _: &str) -> Result<String> {
        unreachable!("nothing was sent")
    }

    fn completed(&self, _: &str, _: &str, _: &str) {}
}

#[test]
fn trap_16_a_failing_authenticator_leaves_the_client_usable() {
    let broker = broker();
    let client = Client::new("sealed");
    client.connect(broker.uri("json")).unwrap();
    let options = LogonOptions::new().set_authenticator(Arc::new(Failing));
    let error = client.logon_with(options).unwrap_err();
    assert!(matches!(error, Error::Authentication(_)), "{error}");
    assert!(error.source().unwrap().source().is_some());
    let options = LogonOptions::new().set_authenticator(Arc::new(DefaultAuthenticator));
    client.logon_with(options).unwrap();
}

#[test]
fn b8_a_logon_that_is_never_answered_times_out() {
    let broker = start(Broker::builder().authenticate(|_| Logon::Ignore));
    let client = Client::new("ignored");
    client.connect(broker.uri("json")).unwrap();
    let options = LogonOptions::new().set_timeout(Duration::from_millis(50));
    let error = client.logon_with(options).unwrap_err();
    assert!(matches!(error, Error::TimedOut(_)), "{error}");
    assert!(client.is_connected() && !client.is_logged_on());
}

#[test]
fn b8_a_loss_ends_the_logon_at_once_and_not_at_its_timeout() {
    let peer = Peer::listen().unwrap();
    let client = Client::new("cut");
    client.connect(peer.uri("json")).unwrap();
    let mut connection = peer.accept().unwrap();
    let start = Instant::now();
    let options = LogonOptions::new().set_timeout(Duration::ZERO);
    let result = during(
        || client.logon_with(options),
        || {
            connection.expect_frame().unwrap();
            connection.close();
        },
    );
    assert!(matches!(result, Err(Error::Disconnected(_))));
    assert!(start.elapsed() < PATIENCE);
}

#[test]
fn b9_a_second_logon_is_refused_by_the_server() {
    let broker = broker();
    let client = logged_on(&broker, "eager");
    let error = client.logon().unwrap_err();
    assert!(matches!(error, Error::DuplicateLogon(_)), "{error}");
    // What the server does with the connection is its own affair: the client stays usable.
    client.disconnect().unwrap();
    client.connect(broker.uri("json")).unwrap();
    client.logon().unwrap();
}

#[test]
fn b9_a_command_before_the_logon_is_refused() {
    let broker = broker();
    let client = Client::new("nameless");
    client.connect(broker.uri("json")).unwrap();
    let error = client.subscribe("x").unwrap_err();
    let told = matches!(error, Error::LogonRequired(_) | Error::Disconnected(_));
    assert!(told, "{error}");
}

#[test]
fn b10_the_same_user_takes_a_name_over_and_another_one_does_not() {
    // Without a hook that authenticates, the broker knows no users.
    let unique = Broker::builder().unique_client_names(true);
    let broker = start(unique.authenticate(|_| Logon::Accept));
    let uri = |user: &str| {
        broker
            .uri("json")
            .replace("tcp://", &format!("tcp://{user}:pw@"))
    };
    let old = Client::new("desk");
    let told = exceptions(&old);
    old.connect(uri("ana")).unwrap();
    old.logon().unwrap();

    let other = Client::new("desk");
    other.connect(uri("bob")).unwrap();
    let error = other.logon().unwrap_err();
    assert!(matches!(error, Error::NameInUse(_)), "{error}");
    assert!(old.is_connected());

    let new = Client::new("desk");
    new.connect(uri("ana")).unwrap();
    new.logon().unwrap();
    assert!(
        told.recv_timeout(PATIENCE)
            .unwrap()
            .contains("disconnected")
    );
    assert!(!old.is_connected());
    new.publish_flush(PATIENCE).unwrap();
}

#[test]
fn b11_correlation_data_is_of_the_base64_alphabet() {
    let client = Client::new("token");
    for bad in ["a b", "ä", "a|b"] {
        let error = client.set_logon_correlation_data(bad).unwrap_err();
        assert!(matches!(error, Error::Usage(_)), "{error}");
    }
    client.set_logon_correlation_data("").unwrap();
}

#[test]
fn an_unknown_message_type_is_refused() {
    let broker = broker();
    let client = Client::new("polyglot");
    client.connect(broker.uri("klingon")).unwrap();
    let error = client.logon().unwrap_err();
    assert!(matches!(error, Error::MessageTypeNotFound(_)), "{error}");
}
