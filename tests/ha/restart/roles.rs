//! What the processes do. They say what they have done, line by line.

use amps::{
    BookmarkSubscribe, DefaultServerChooser, FilePublishStore, FileStoreOptions, HaClient, Message,
    MmapBookmarkStore, bookmark,
};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Where the broker is, the file of the process, and what number comes first.
pub(super) const URI: &str = "AMPS_TEST_URI";
pub(super) const FILE: &str = "AMPS_TEST_FILE";
pub(super) const FIRST: &str = "AMPS_TEST_FIRST";

/// How many messages the subscriber has not discarded at any time.
const KEPT: usize = 2;

fn given(name: &str) -> String {
    std::env::var(name).unwrap()
}

fn client(name: &str) -> HaClient {
    let client = HaClient::new(name);
    client.set_reconnect_delay(Duration::from_millis(5));
    client.set_server_chooser(DefaultServerChooser::new().add(given(URI)));
    client
}

/// In one write, so that no line is cut when the process is killed. The harness does not see it.
fn say(line: String) {
    io::stdout()
        .write_all(format!("{line}\n").as_bytes())
        .unwrap();
    io::stdout().flush().unwrap();
}

/// Publishes numbers until its input ends, whether or not the broker is there.
pub(super) fn publish() {
    let client = client("publisher");
    let options = FileStoreOptions::new().set_client_name("publisher");
    let store = FilePublishStore::open(given(FILE), options).unwrap();
    client.set_publish_store(Arc::new(store)).unwrap();
    let connecting = client.clone();
    thread::spawn(move || connecting.connect_and_logon().unwrap());
    let end = thread::spawn(|| io::stdin().read_to_end(&mut Vec::new()));
    for number in given(FIRST).parse::<u64>().unwrap().. {
        if end.is_finished() {
            break;
        }
        client.publish("t", number.to_string()).unwrap();
        say(format!("published {number}"));
        thread::sleep(Duration::from_micros(500));
    }
    // Connected or not: waits until everything is safe.
    let store = client.publish_store().unwrap();
    store.flush(3 * crate::PATIENCE).unwrap();
    say("finished 0".to_string());
}

/// Says what it sees, and what it has discarded, until it is killed.
pub(super) fn subscribe() {
    let client = client("subscriber");
    let store = MmapBookmarkStore::open(given(FILE)).unwrap();
    client.set_bookmark_store(Arc::new(store)).unwrap();
    client.connect_and_logon().unwrap();
    let weak = client.downgrade();
    let mut kept = VecDeque::new();
    let handler = move |message: &Message| {
        let number = message.data_str().unwrap();
        say(format!("saw {number}"));
        kept.push_back(message.clone());
        if kept.len() > KEPT {
            let done = kept.pop_front().unwrap();
            weak.upgrade().unwrap().discard(&done).unwrap();
            say(format!("discarded {}", done.data_str().unwrap()));
        }
    };
    let rest = BookmarkSubscribe::new()
        .set_sub_id("reader")
        .set_timeout(Duration::ZERO);
    client
        .bookmark_subscribe_async(handler, "t", bookmark::MOST_RECENT, rest)
        .unwrap();
    loop {
        thread::park();
    }
}
