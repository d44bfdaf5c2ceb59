//! After the loop has ended: its files are free, its listeners know, and it can be begun anew.

use crate::scripted::{Delays, Record};
use crate::{PATIENCE, broker, client_of, connected, eventually, nobody, uri};
use amps::{
    DefaultServerChooser, Error, ExponentialDelayStrategy, FixedDelayStrategy, HaClient,
    ReconnectDelayStrategy,
};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);

/// Lets a client give up, and shows that it can begin anew with the same strategy.
fn gives_up_and_begins_anew(strategy: impl ReconnectDelayStrategy + 'static) {
    let broker = broker();
    let chooser = DefaultServerChooser::new().add(nobody());
    let client = HaClient::new("persistent");
    client.set_server_chooser(chooser.clone());
    client.set_reconnect_delay_strategy(strategy);
    let error = client.connect_and_logon().unwrap_err();
    assert!(error.to_string().contains("gave up"), "{error}");
    chooser.add(uri(&broker)).next();
    client.connect_and_logon().unwrap();
}

#[test]
fn a_fixed_strategy_that_gave_up_does_not_stay_given_up() {
    gives_up_and_begins_anew(FixedDelayStrategy::new(MS).max_retry_time(50 * MS));
}

#[test]
fn an_exponential_strategy_that_gave_up_does_not_stay_given_up() {
    gives_up_and_begins_anew(
        ExponentialDelayStrategy::new()
            .initial_delay(MS)
            .maximum_retry_time(50 * MS),
    );
}

#[test]
fn whoever_hears_that_the_loop_gave_up_can_begin_it_anew() {
    for _ in 0..20 {
        let broker = broker();
        let client = connected(&broker, "restarted");
        client.set_reconnect_delay_strategy(Delays {
            record: Record::default(),
            delays: [].into(),
        });
        let (sender, gave_up) = mpsc::channel();
        client.set_exception_listener(move |error: &Error| {
            if matches!(error, Error::Connection(_)) {
                let _ = sender.send(());
            }
        });
        broker.disconnect_client("restarted");
        gave_up.recv_timeout(PATIENCE).unwrap();
        client.set_reconnect_delay(Duration::ZERO);
        client.connect_and_logon().unwrap();
    }
}

#[test]
fn the_files_of_a_client_that_reconnects_are_free_when_it_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let (outgoing, incoming) = (folder.path().join("out"), folder.path().join("in"));
    for _ in 0..20 {
        let broker = broker();
        let client = HaClient::file_backed("filer", &outgoing, &incoming).unwrap();
        client.set_reconnect_delay(Duration::ZERO);
        client.set_server_chooser(DefaultServerChooser::new().add(uri(&broker)));
        client.connect_and_logon().unwrap();
        broker.stop_listening();
        broker.disconnect_client("filer");
        eventually("the loss is noticed", || client.disconnected());
        drop(client);
    }
}

#[test]
fn b15_a_disconnect_while_it_reconnects_tells_its_states() {
    let broker = broker();
    let client = connected(&broker, "told");
    let record = Record::default();
    let states = record.clone();
    client.add_connection_state_listener(move |state| states.note(format!("{state:?}")));
    broker.stop_listening();
    broker.disconnect_client("told");
    eventually("the loss is noticed", || record.count("Disconnected") == 1);
    client.disconnect().unwrap();
    assert_eq!(record.take(), ["Disconnected", "Shutdown", "Disconnected"]);
    client.disconnect().unwrap();
    assert!(record.take().is_empty());
}

#[test]
fn a_connection_that_held_for_a_while_lets_the_delays_begin_again() {
    let broker = broker();
    let record = Record::default();
    let client = client_of("settled", [uri(&broker)]);
    client.set_reconnect_delay_strategy(Delays {
        record: record.clone(),
        delays: [Duration::ZERO; 9].into(),
    });
    client.connect_and_logon().unwrap();
    // One for the beginning, one for the success.
    assert_eq!(record.count("reset"), 2);
    broker.disconnect_client("settled");
    eventually("it is back", || {
        record.count("delay") == 2 && client.is_logged_on()
    });
    let back = Instant::now();
    while back.elapsed() < Duration::from_millis(1100) {
        thread::yield_now();
    }
    let before = record.count("reset");
    broker.disconnect_client("settled");
    eventually("it is back", || {
        record.count("delay") == 3 && client.is_logged_on()
    });
    eventually("the strategy was reset", || record.count("reset") > before);
}
