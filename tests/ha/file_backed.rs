//! Clients with stores in files: guide 9.2.

use crate::{PATIENCE, broker, eventually, uri};
use amps::{Command, DefaultServerChooser, Error, HaClient, Message, bookmark};
use amps_broker::Broker;
use std::path::Path;
use std::sync::mpsc;

fn client(directory: &Path, name: &str, uri: String) -> amps::Result<HaClient> {
    let files = (directory.join("publishes"), directory.join("bookmarks"));
    let client = HaClient::file_backed(name, files.0, files.1)?;
    client.set_server_chooser(DefaultServerChooser::new().add(uri));
    Ok(client)
}

fn logging() -> Broker {
    let builder = Broker::builder();
    builder.logged_topic("trades").start().unwrap()
}

#[test]
fn what_one_run_leaves_the_next_one_goes_on_with() {
    let broker = logging();
    let directory = tempfile::tempdir().unwrap();
    let run = || client(directory.path(), "run", uri(&broker)).unwrap();
    let read = |client: &HaClient| {
        let (sender, messages) = mpsc::channel::<Message>();
        let command = Command::new("subscribe")
            .set_topic("trades")
            .set_sub_id("reader")
            .set_bookmark(bookmark::MOST_RECENT);
        let handler = move |message: &Message| drop(sender.send(message.clone()));
        client.execute_async(command, handler).unwrap();
        messages
    };
    // The first one never connects: what it publishes is in the file.
    let first = run();
    for number in 0..10 {
        assert!(first.publish("trades", number.to_string()).unwrap() > 0);
    }
    drop(first);
    // The second one sends it, and is done with half of what it reads.
    let second = run();
    assert_eq!(second.unpersisted_count(), 10);
    second.connect_and_logon().unwrap();
    let messages = read(&second);
    for number in 0..10 {
        let message = messages.recv_timeout(PATIENCE).unwrap();
        assert_eq!(message.data_str().unwrap(), number.to_string());
        if number < 5 {
            second.discard(&message).unwrap();
        }
    }
    eventually("all of it is persisted", || second.unpersisted_count() == 0);
    drop((second, messages));
    // The third one has nothing to send, and reads the other half.
    let third = run();
    assert_eq!(third.unpersisted_count(), 0);
    third.connect_and_logon().unwrap();
    let messages = read(&third);
    for number in 5..10 {
        let message = messages.recv_timeout(PATIENCE).unwrap();
        assert_eq!(message.data_str().unwrap(), number.to_string());
    }
}

#[test]
fn a_file_that_is_in_use_or_of_another_client_is_refused() {
    let broker = broker();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let one = client(path, "one", uri(&broker)).unwrap();
    let error = client(path, "one", uri(&broker)).unwrap_err();
    assert!(matches!(error, Error::Store(_)), "{error}");
    one.publish("t", "x").unwrap();
    drop(one);
    let error = client(path, "other", uri(&broker)).unwrap_err();
    assert!(matches!(error, Error::Store(_)), "{error}");
    // Either of the files is known to be of the first one.
    let bookmarks = path.join("bookmarks");
    let error = HaClient::file_backed("other", path.join("new"), bookmarks).unwrap_err();
    assert!(matches!(error, Error::Store(_)), "{error}");
    client(path, "one", uri(&broker)).unwrap();
}
