//! The commands that one tries first, each in a few lines, against a broker in this process.
//!
//! `cargo run --example cookbook` prints what each one brings, and fails if that is not what the
//! comments say. In production the connection string names an AMPS server; nothing else changes.

use std::error::Error;
use std::sync::mpsc;
use std::time::Duration;

use amps::{AckType, Client, Command, Message, MessageStream};
use amps_broker::{Broker, TopicConfig};

type Outcome = Result<(), Box<dyn Error>>;

/// How long to wait for what is known to come.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> Outcome {
    // Topics with a key keep the last message of each record. Any other name will do for plain
    // publish and subscribe.
    let broker = Broker::builder()
        .sow_topic("orders", ["/id"])
        .sow_topic("quotes", ["/symbol"])
        .sow_topic("positions", ["/account", "/symbol"])
        .topic(TopicConfig::sow("sessions", ["/user"]).expiration(Duration::from_millis(100)))
        .sow_topic_with_explicit_keys("documents")
        .start()?;
    let client = Client::new("cookbook");
    client.connect(broker.uri("json"))?;
    client.logon()?;

    publish_and_subscribe(&client)?;
    content_filter(&client)?;
    handler_and_replace(&client)?;
    query(&client)?;
    pages(&client)?;
    query_and_subscribe(&client)?;
    expiration(&client)?;
    deltas(&client)?;
    conflation(&client)?;
    selected_fields(&client)?;
    explicit_keys(&client)?;
    deletes(&client)?;

    client.disconnect()?;
    Ok(())
}

/// A subscription sees what is published after it was made. Its topic may be a pattern.
fn publish_and_subscribe(client: &Client) -> Outcome {
    println!("publish and subscribe");
    let mut news = client.subscribe("^news/(sports|weather)$")?;
    client.publish("news/sports", r#"{"text":"2:1"}"#)?;
    client.publish("news/politics", r#"{"text":"nobody hears this"}"#)?;
    let rain = Command::new("publish")
        .set_topic("news/weather")
        .set_correlation_id("cmFpbg==")
        .set_data(r#"{"text":"rain"}"#);
    client.execute(rain)?;
    expect(&mut news, &[r#"publish {"text":"2:1"}"#])?;
    let message = news.next_timeout(PATIENCE)?.ok_or("no weather")?;
    println!("  {}: {}", message.topic(), message.data_str()?);
    assert_eq!(message.topic(), "news/weather");
    assert_eq!(message.correlation_id(), "cmFpbg==");
    Ok(())
}

/// The server looks into the messages, so that the network does not have to carry the others.
fn content_filter(client: &Client) -> Outcome {
    println!("content filter");
    let filter = "/symbol IN ('IBM', 'ROL') AND /price * /qty > 1000";
    let mut large = client.subscribe_filtered("trades", filter)?;
    client.publish("trades", r#"{"symbol":"IBM","price":90.5,"qty":10}"#)?;
    client.publish("trades", r#"{"symbol":"ROL","price":101,"qty":10}"#)?;
    expect(
        &mut large,
        &[r#"publish {"symbol":"ROL","price":101,"qty":10}"#],
    )?;
    // A filter that cannot be read is an error of this call, not a silent subscription.
    let refused = client.subscribe_filtered("trades", "/symbol CONTAINS 'I'");
    println!("  {}", refused.as_ref().err().ok_or("accepted")?);
    assert!(matches!(refused, Err(amps::Error::BadFilter(_))));
    Ok(())
}

/// Messages may come to a closure instead of a stream. The filter of a subscription can be
/// replaced in one step: nothing is lost or doubled, and the same closure goes on.
fn handler_and_replace(client: &Client) -> Outcome {
    println!("handler, and another filter for it");
    let (sender, received) = mpsc::channel();
    let handler = move |message: &Message| sender.send(message.data().to_vec());
    let id = client.subscribe_async(handler, "ticks", Some("/n < 2"))?;
    let publish = |n: u32| client.publish("ticks", format!(r#"{{"n":{n}}}"#));
    for n in 1..=3 {
        publish(n)?;
    }
    let replace = Command::new("subscribe")
        .set_topic("ticks")
        .set_sub_id(&id)
        .set_options("replace")
        .set_filter("/n > 2");
    client.execute_async_no_handler(replace)?;
    for n in 1..=3 {
        publish(n)?;
    }
    for expected in [r#"{"n":1}"#, r#"{"n":3}"#] {
        let data = received.recv_timeout(PATIENCE)?;
        println!("  handler got {}", String::from_utf8_lossy(&data));
        assert_eq!(data, expected.as_bytes());
    }
    client.unsubscribe(id)?;
    Ok(())
}

/// A query brings the records of a topic between two markers; then its stream ends.
fn query(client: &Client) -> Outcome {
    println!("query");
    for (id, quantity) in [(1, 10), (2, 30), (3, 20), (1, 40)] {
        client.publish("orders", format!(r#"{{"id":{id},"qty":{quantity}}}"#))?;
    }
    let query = Command::new("sow")
        .set_topic("orders")
        .set_filter("/qty > 15")
        .set_order_by("/qty DESC")
        .set_top_n(2)
        .add_ack_type(AckType::STATS);
    let mut stream = client.execute(query)?;
    expect(
        &mut stream,
        &[
            "group_begin",
            r#"sow {"id":1,"qty":40}"#,
            r#"sow {"id":2,"qty":30}"#,
            "group_end",
        ],
    )?;
    let stats = stream.next_timeout(PATIENCE)?.ok_or("no statistics")?;
    let matches = stats.matches().ok_or("no count")?;
    println!("  {matches} records match in all");
    assert_eq!(matches, 3);
    assert!(stream.next().is_none());
    Ok(())
}

/// A page of an ordered result, which the server then keeps up to date.
fn pages(client: &Client) -> Outcome {
    println!("a page of the result");
    let second = Command::new("sow_and_subscribe")
        .set_topic("orders")
        .set_order_by("/qty")
        .set_options("top_n=1,skip_n=1,oof");
    let mut page = client.execute(second)?;
    expect(
        &mut page,
        &["group_begin", r#"sow {"id":2,"qty":30}"#, "group_end"],
    )?;
    // The first record becomes the last one, so the others move up.
    client.publish("orders", r#"{"id":3,"qty":50}"#)?;
    expect(
        &mut page,
        &[
            r#"oof match {"id":2,"qty":30}"#,
            r#"publish {"id":1,"qty":40}"#,
        ],
    )
}

/// The records, and from there on every change; `oof` also says what no longer matches.
fn query_and_subscribe(client: &Client) -> Outcome {
    println!("query and subscribe");
    client.publish("quotes", r#"{"symbol":"ROL","price":101}"#)?;
    let expensive = Command::new("sow_and_subscribe")
        .set_topic("quotes")
        .set_filter("/price > 100")
        .set_options("oof,timestamp");
    let mut stream = client.execute(expensive)?;
    client.publish("quotes", r#"{"symbol":"ROL","price":102}"#)?;
    client.publish("quotes", r#"{"symbol":"ROL","price":99}"#)?;
    expect(
        &mut stream,
        &[
            "group_begin",
            r#"sow {"symbol":"ROL","price":101}"#,
            "group_end",
            r#"publish {"symbol":"ROL","price":102}"#,
            r#"oof match {"symbol":"ROL","price":99}"#,
        ],
    )
}

/// A record that nobody refreshes in time is gone, and its subscribers are told.
fn expiration(client: &Client) -> Outcome {
    println!("expiration");
    let watch = Command::new("subscribe")
        .set_topic("sessions")
        .set_options("oof");
    let mut sessions = client.execute(watch)?;
    client.publish("sessions", r#"{"user":"ana"}"#)?;
    expect(
        &mut sessions,
        &[r#"publish {"user":"ana"}"#, r#"oof expired {"user":"ana"}"#],
    )
}

/// Publishers may send only what changed; the server merges it. Subscribers may ask for only
/// what changed, however it was published.
fn deltas(client: &Client) -> Outcome {
    println!("deltas");
    client.publish(
        "positions",
        r#"{"account":7,"symbol":"ROL","qty":10,"price":101}"#,
    )?;
    let changes = Command::new("sow_and_delta_subscribe").set_topic("positions");
    let mut changes = client.execute(changes)?;
    client.delta_publish("positions", r#"{"account":7,"symbol":"ROL","qty":11}"#)?;
    client.publish(
        "positions",
        r#"{"account":7,"symbol":"ROL","qty":11,"price":102}"#,
    )?;
    expect(
        &mut changes,
        &[
            "group_begin",
            r#"sow {"account":7,"symbol":"ROL","qty":10,"price":101}"#,
            "group_end",
            r#"publish {"account":7,"symbol":"ROL","qty":11}"#,
            r#"publish {"account":7,"symbol":"ROL","price":102}"#,
        ],
    )
}

/// At most one update per record and interval, the latest.
fn conflation(client: &Client) -> Outcome {
    println!("conflation");
    let slow = Command::new("subscribe")
        .set_topic("readings")
        .set_options("conflation=300ms,conflation_key=[/sensor]");
    let mut readings = client.execute(slow)?;
    for celsius in 1..=100 {
        client.publish(
            "readings",
            format!(r#"{{"sensor":"a","celsius":{celsius}}}"#),
        )?;
    }
    let mut seen = 0;
    loop {
        let message = readings.next_timeout(PATIENCE)?.ok_or("no reading")?;
        seen += 1;
        if message.data() == br#"{"sensor":"a","celsius":100}"# {
            break;
        }
    }
    println!("  100 updates came as {seen}");
    assert!(seen < 100);
    Ok(())
}

/// Only some of the fields.
fn selected_fields(client: &Client) -> Outcome {
    println!("selected fields");
    let select = Command::new("subscribe")
        .set_topic("fills")
        .set_options("select=[-/,+/id,+/venue/name]");
    let mut fills = client.execute(select)?;
    client.publish("fills", r#"{"id":1,"qty":5,"venue":{"name":"X","seq":77}}"#)?;
    expect(&mut fills, &[r#"publish {"id":1,"venue":{"name":"X"}}"#])
}

/// Records without a key in them: the publisher chooses one.
fn explicit_keys(client: &Client) -> Outcome {
    println!("explicit keys");
    let put = |key: &str, text: &str| {
        let publish = Command::new("publish").set_topic("documents");
        client.execute(publish.set_sow_key(key).set_data(text))
    };
    put("readme", "first")?;
    put("licence", "second")?;
    put("readme", "third")?;
    let by_key = Command::new("sow")
        .set_topic("documents")
        .set_sow_keys("readme");
    expect(
        &mut client.execute(by_key)?,
        &["group_begin", "sow third", "group_end"],
    )
}

/// Records go by filter, by key, or by data; the statistics say how many went.
fn deletes(client: &Client) -> Outcome {
    println!("records deleted");
    let delete = Command::new("sow_delete").set_topic("orders");
    for (what, command, count) in [
        ("by filter", delete.clone().set_filter("/qty = 40"), 1),
        ("by data", delete.clone().set_data(r#"{"id":2}"#), 1),
        ("all", delete.set_filter("1=1"), 1),
    ] {
        let stats = client
            .execute(command.add_ack_type(AckType::STATS))?
            .next()
            .ok_or("no statistics")?;
        let deleted = stats.records_deleted().ok_or("no count")?;
        println!("  {what}: {deleted}");
        assert_eq!(deleted, count, "{what}");
    }
    Ok(())
}

/// Prints what comes next, and fails if it is anything else.
fn expect(stream: &mut MessageStream, messages: &[&str]) -> Outcome {
    for expected in messages {
        let message = stream.next_timeout(PATIENCE)?.ok_or("the stream ended")?;
        let parts = [message.reason(), message.data_str()?];
        let mut text = message.command().to_string();
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            text.push(' ');
            text.push_str(part);
        }
        println!("  {text}");
        assert_eq!(text, *expected);
    }
    Ok(())
}
