//! A subscriber that misses nothing: it goes on where it left off, after a broken connection and
//! after a new start.
//!
//! `cargo run --example ha_subscriber` starts a broker of its own and cuts the connection on the
//! way. The first run takes the messages in a handler and ends in the middle of its work; the
//! second takes them from a stream, and begins with those that the first had not finished.
//!
//! To use servers instead, name them, with spaces between; `orders` must be in their transaction
//! log:
//!
//! `AMPS_URI="tcp://one:9007/amps/json tcp://two:9007/amps/json" cargo run --example ha_subscriber`

use amps::{
    BookmarkSubscribe, DefaultServerChooser, ExponentialDelayStrategy, HaClient, Message,
    MmapBookmarkStore, bookmark,
};
use amps_broker::Broker;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

/// Of these errors a handler may return any: it runs on another thread.
type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const TIMEOUT: Duration = Duration::from_secs(10);
const NAME: &str = "ha-subscriber";

fn main() -> Outcome {
    let (broker, uris) = match std::env::var("AMPS_URI") {
        Ok(uris) => (None, uris),
        Err(_) => {
            let broker = Broker::builder().logged_topic("orders").start()?;
            let uri = broker.uri("json");
            println!("started a broker at {uri}");
            (Some(broker), uri)
        }
    };
    // In production this is a directory that the next run finds again.
    let directory = tempfile::tempdir()?;
    let feed = Feed::start(&uris)?;
    let cut = || {
        if let Some(broker) = &broker {
            println!("  the connection is cut");
            broker.disconnect_client(NAME);
        }
    };

    println!("first run, with a handler");
    let seen = with_a_handler(&uris, directory.path(), &feed, cut)?;
    assert_eq!(seen, (1..=100).collect::<Vec<_>>());

    // Published while nobody is there.
    feed.publish(101..=150)?;

    println!("second run, with a stream");
    let seen = with_a_stream(&uris, directory.path(), &feed, cut)?;
    assert_eq!(seen, (98..=200).collect::<Vec<_>>());
    println!("98 to 100 came again, because the first run had not finished them; nothing else did");
    Ok(())
}

/// A subscription with a handler is entered again by the client itself.
fn with_a_handler(uris: &str, directory: &Path, feed: &Feed, cut: impl Fn()) -> Outcome<Vec<u32>> {
    let client = start(uris, directory)?;
    let (sender, received) = mpsc::channel();
    // Not a clone of the client: the client owns the handler.
    let weak = client.downgrade();
    let handler = move |message: &Message| -> Outcome {
        let id = id_of(message)?;
        // … the work …
        if id <= 97
            && let Some(client) = weak.upgrade()
        {
            // Done with it: it will not come again.
            client.discard(message)?;
        }
        sender.send(id)?;
        Ok(())
    };
    client.bookmark_subscribe_async(handler, "orders", bookmark::MOST_RECENT, feed.mine())?;

    feed.publish(1..=50)?;
    let mut seen = take(&received, 30)?;
    cut();
    feed.publish(51..=97)?;
    seen.extend(take(&received, 67)?);
    // Three more come, and the program ends before it is done with them.
    feed.publish(98..=100)?;
    seen.extend(take(&received, 3)?);
    println!("  saw {} to {}", seen[0], seen[seen.len() - 1]);
    client.disconnect()?;
    Ok(seen)
}

/// A stream ends with its connection, after what has already arrived; the application asks for
/// another one, which goes on where this one ended.
fn with_a_stream(uris: &str, directory: &Path, feed: &Feed, cut: impl Fn()) -> Outcome<Vec<u32>> {
    let client = start(uris, directory)?;
    let mut seen = Vec::new();
    while seen.last() != Some(&200) {
        // While the client reconnects this waits, within the time limit of the command.
        let orders = client.bookmark_subscribe("orders", bookmark::MOST_RECENT, feed.mine())?;
        println!("  subscribed");
        for message in orders {
            let id = id_of(&message)?;
            // … the work …
            client.discard(&message)?;
            seen.push(id);
            match id {
                120 => cut(),
                150 => feed.publish(151..=200)?,
                200 => break,
                _ => {}
            }
        }
    }
    println!("  saw {} to {}", seen[0], seen[seen.len() - 1]);
    client.disconnect()?;
    Ok(seen)
}

/// Opens or makes the file of bookmarks and connects. There is no publish store: this client
/// does not publish.
fn start(uris: &str, directory: &Path) -> Outcome<HaClient> {
    let client = HaClient::new(NAME);
    let bookmarks = MmapBookmarkStore::open(directory.join("orders.bookmarks"))?;
    client.set_bookmark_store(Arc::new(bookmarks))?;
    client.set_server_chooser(DefaultServerChooser::new().add_all(uris.split_whitespace()));
    client.set_reconnect_delay_strategy(
        ExponentialDelayStrategy::new()
            .initial_delay(Duration::from_millis(50))
            .maximum_retry_time(Duration::from_secs(60)),
    );
    client.set_heartbeat(Duration::from_secs(3));
    client.connect_and_logon()?;
    Ok(client)
}

fn id_of(message: &Message) -> Outcome<u32> {
    let order = message.json::<serde_json::Value>()?;
    let id = order["id"].as_u64().ok_or("an order without an id")?;
    Ok(u32::try_from(id)?)
}

fn take(received: &mpsc::Receiver<u32>, count: usize) -> Outcome<Vec<u32>> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(received.recv_timeout(TIMEOUT)?);
    }
    Ok(ids)
}

/// Somebody else, who publishes.
struct Feed {
    client: HaClient,
    run: u32,
}

impl Feed {
    fn start(uris: &str) -> Outcome<Feed> {
        let client = HaClient::memory_backed("ha-subscriber-feed");
        client.set_server_chooser(DefaultServerChooser::new().add_all(uris.split_whitespace()));
        client.connect_and_logon()?;
        let run = std::process::id();
        Ok(Feed { client, run })
    }

    fn publish(&self, ids: RangeInclusive<u32>) -> Outcome {
        for id in ids {
            let order = format!(r#"{{"id":{id},"run":{}}}"#, self.run);
            self.client.publish("orders", order)?;
        }
        self.client.publish_flush(TIMEOUT)?;
        Ok(())
    }

    /// A subscription that is the same one in the next run, because its id is; and that leaves out
    /// what a server has from other runs of this example.
    fn mine(&self) -> BookmarkSubscribe {
        BookmarkSubscribe::new()
            .set_sub_id("orders-reader")
            .set_filter(format!("/run = {}", self.run))
    }
}
