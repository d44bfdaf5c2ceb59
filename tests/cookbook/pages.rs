//! X5: a page of a result that is kept up to date.

use crate::{broker, client, command, expect, group, publish, publish_ids};
use amps::Error;

#[test]
fn x5_paginated_query_and_subscribe() {
    let broker = broker();
    let client = client(&broker, "x5");
    publish_ids(&client, "orders", (1..=60).map(|n| n * 10));
    let subscribe = command("sow_and_subscribe", "orders")
        .set_order_by("/id")
        .set_options("top_n=20,skip_n=30,oof");
    let mut stream = client.execute(subscribe.clone()).unwrap();
    let expected = (31..=50).map(|n| format!(r#"sow {{"id":{}}}"#, n * 10));
    assert_eq!(group(&mut stream), expected.collect::<Vec<_>>());

    // Outside the page: silence. Inside it: an update.
    publish(
        &client,
        "orders",
        &[
            r#"{"id":600,"x":1}"#,
            r#"{"id":10,"x":1}"#,
            r#"{"id":400,"x":1}"#,
        ],
    );
    expect(&mut stream, &[r#"publish {"id":400,"x":1}"#]);
    // A record before the page moves it by one.
    publish_ids(&client, "orders", [5]);
    expect(
        &mut stream,
        &[r#"oof match {"id":500}"#, r#"publish {"id":300}"#],
    );
    // A record in the page pushes the last one out.
    publish_ids(&client, "orders", [305]);
    expect(
        &mut stream,
        &[r#"oof match {"id":490}"#, r#"publish {"id":305}"#],
    );
    // One that goes lets the next one in.
    let delete = command("sow_delete", "orders").set_data(r#"{"id":305}"#);
    client.execute_async_no_handler(delete).unwrap();
    expect(
        &mut stream,
        &[r#"oof deleted {"id":305}"#, r#"publish {"id":490}"#],
    );
    // One behind the page changes nothing.
    publish_ids(&client, "orders", [9999, 310]);
    expect(&mut stream, &[r#"publish {"id":310}"#]);

    // The next page, of which the client has nothing yet.
    let replace = subscribe
        .set_sub_id(stream.sub_id())
        .set_options("top_n=2,skip_n=31,oof,replace");
    let mut stream = client.execute(replace.clone()).unwrap();
    assert_eq!(group(&mut stream), [""; 0], "both are known");
    let mut gone = (0..18)
        .map(|_| crate::short(&crate::next(&mut stream)))
        .collect::<Vec<_>>();
    gone.sort_unstable();
    assert_eq!(
        gone.first().map(String::as_str),
        Some(r#"oof match {"id":300}"#)
    );
    assert!(gone.iter().all(|message| message.starts_with("oof match")));
    let plain = client.execute(replace.set_options("replace"));
    assert!(
        matches!(plain, Err(Error::InvalidOptions(_))),
        "a page stays a page"
    );
}

#[test]
fn x5_paginated_query_and_delta_subscribe() {
    let broker = broker();
    let client = client(&broker, "x5-delta");
    let record = |id: u32, rank: u32, text: &str| {
        publish(
            &client,
            "orders",
            &[&format!(r#"{{"id":{id},"rank":{rank},"text":"{text}"}}"#)],
        );
    };
    for id in 1..=5 {
        record(id, id * 10, "x");
    }
    let subscribe = command("sow_and_delta_subscribe", "orders")
        .set_order_by("/rank DESC")
        .set_filter("/rank < 1000")
        .set_options("top_n=2,skip_n=0,oof");
    let mut stream = client.execute(subscribe).unwrap();
    let result = [5, 4].map(|id| format!(r#"sow {{"id":{id},"rank":{}0,"text":"x"}}"#, id));
    assert_eq!(group(&mut stream), result);
    record(5, 51, "x");
    record(1, 60, "x");
    record(1, 2000, "x");
    record(2, 1, "x");
    record(5, 51, "y");
    expect(
        &mut stream,
        &[
            r#"publish {"id":5,"rank":51}"#,
            r#"oof match {"id":4,"rank":40,"text":"x"}"#,
            r#"publish {"id":1,"rank":60,"text":"x"}"#,
            r#"oof match {"id":1,"rank":2000,"text":"x"}"#,
            r#"publish {"id":4,"rank":40,"text":"x"}"#,
            r#"publish {"id":5,"text":"y"}"#,
        ],
    );
}

#[test]
fn a_page_without_an_order_is_by_key_and_a_limit_alone_is_no_page() {
    let broker = broker();
    let client = client(&broker, "pages");
    let put = |key: &str| {
        let publish = command("publish", "blobs").set_sow_key(key).set_data(key);
        client.execute(publish).unwrap();
    };
    ["d", "b", "c", "a"].iter().for_each(|key| put(key));
    let page = command("sow_and_subscribe", "blobs").set_options("top_n=2,skip_n=1");
    let mut page = client.execute(page).unwrap();
    assert_eq!(group(&mut page), ["sow b", "sow c"]);
    let limited = command("sow_and_subscribe", "blobs").set_options("top_n=1");
    let mut limited = client.execute(limited).unwrap();
    assert_eq!(group(&mut limited).len(), 1);
    ["e", "aa", "d", "a"].iter().for_each(|key| put(key));
    // Without `oof` nothing is said of `c`, which `aa` pushed out.
    expect(&mut page, &["publish aa"]);
    expect(
        &mut limited,
        &["publish e", "publish aa", "publish d", "publish a"],
    );
    put("b");
    expect(&mut page, &["publish b"]);
}
