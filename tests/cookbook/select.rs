//! X1 and X2: select lists.

use crate::{broker, client, command, expect, group, publish};
use amps::Error;

#[test]
fn x1_select_list_on_a_subscription() {
    let broker = broker();
    let client = client(&broker, "x1");
    let subscribe = command("subscribe", "orders");
    let options = "select=[-/,+/id,+/ticker]";
    // The filter sees what the client does not.
    let selected = subscribe
        .clone()
        .set_options(options)
        .set_filter("/qty > 1");
    let mut selected = client.execute(selected).unwrap();
    let mut whole = client.execute(subscribe.clone()).unwrap();
    publish(
        &client,
        "orders",
        &[
            r#"{"id":1,"ticker":"IBM","qty":2}"#,
            r#"{"id":2,"ticker":"IBM","qty":1}"#,
            r#"{"qty":3,"id":3,"venue":{"id":7}}"#,
        ],
    );
    expect(
        &mut selected,
        &[r#"publish {"id":1,"ticker":"IBM"}"#, r#"publish {"id":3}"#],
    );
    expect(&mut whole, &[r#"publish {"id":1,"ticker":"IBM","qty":2}"#]);
    let refused = client.execute(subscribe.set_options("select=[/id]"));
    assert!(matches!(refused, Err(Error::InvalidOptions(_))));
}

#[test]
fn x2_select_list_on_a_query_and_subscription() {
    let broker = broker();
    let client = client(&broker, "x2");
    publish(&client, "orders", &[r#"{"id":1,"ticker":"IBM","qty":2}"#]);
    let subscribe = command("sow_and_subscribe", "orders")
        .set_filter("/qty > 1")
        .set_options("oof,select=[-/,+/id,+/ticker]");
    let mut stream = client.execute(subscribe).unwrap();
    assert_eq!(group(&mut stream), [r#"sow {"id":1,"ticker":"IBM"}"#]);
    publish(
        &client,
        "orders",
        &[
            r#"{"id":1,"ticker":"DEC","qty":3}"#,
            r#"{"id":1,"ticker":"HP","qty":1}"#,
        ],
    );
    expect(
        &mut stream,
        &[
            r#"publish {"id":1,"ticker":"DEC"}"#,
            r#"oof match {"id":1,"ticker":"HP"}"#,
        ],
    );
}

#[test]
fn only_selected_fields_count_as_changes() {
    let broker = broker();
    let client = client(&broker, "select-delta");
    publish(&client, "orders", &[r#"{"id":1,"a":1,"b":1}"#]);
    let subscribe = command("delta_subscribe", "orders").set_options("no_empties,select=[-/b]");
    let mut stream = client.execute(subscribe).unwrap();
    publish(
        &client,
        "orders",
        &[r#"{"id":1,"a":1,"b":2}"#, r#"{"id":1,"a":2,"b":3}"#],
    );
    expect(&mut stream, &[r#"publish {"id":1,"a":2}"#]);
}
