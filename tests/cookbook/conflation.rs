//! R7, R8 and R28: conflation by the server.

use crate::{at_one_stroke, broker, client, command, expect, group, next, publish};
use amps::Error;
use std::time::{Duration, Instant};

#[test]
fn r07_conflated_subscription_to_a_sow_topic() {
    let broker = broker();
    let client = client(&broker, "r7");
    let subscribe = command("subscribe", "orders").set_options("conflation=250ms,timestamp");
    let mut stream = client.execute(subscribe).unwrap();
    let mut witness = client
        .execute(command("subscribe", "orders").set_options("timestamp"))
        .unwrap();
    let start = Instant::now();
    at_one_stroke(&broker, &client, || {
        publish(
            &client,
            "orders",
            &[
                r#"{"id":1,"qty":1}"#,
                r#"{"id":2,"qty":1}"#,
                r#"{"id":1,"qty":2}"#,
                r#"{"id":1,"qty":3}"#,
            ],
        );
    });
    let first = next(&mut stream);
    assert!(
        start.elapsed() >= Duration::from_millis(250),
        "the first one waits, too"
    );
    assert_eq!(first.data(), br#"{"id":1,"qty":3}"#);
    assert_eq!(
        first.timestamp(),
        next(&mut witness).timestamp(),
        "the time of the first update"
    );
    expect(&mut stream, &[r#"publish {"id":2,"qty":1}"#]);
    // Each came once: the next is what was published next.
    publish(&client, "orders", &[r#"{"id":1,"qty":4}"#]);
    expect(&mut stream, &[r#"publish {"id":1,"qty":4}"#]);
    // The interval may be any.
    let minute = command("subscribe", "orders").set_options("conflation = 1M");
    client.execute(minute).unwrap();
}

#[test]
fn r08_conflated_subscription_to_another_topic() {
    let broker = broker();
    let client = client(&broker, "r8");
    let subscribe = command("subscribe", "adhoc");
    let options = "conflation=250ms,conflation_key=[/cust,/issue]";
    let mut stream = client
        .execute(subscribe.clone().set_options(options))
        .unwrap();
    at_one_stroke(&broker, &client, || {
        publish(
            &client,
            "adhoc",
            &[
                r#"{"cust":1,"issue":1,"n":1}"#,
                r#"{"cust":1,"issue":2,"n":2}"#,
                r#"{"cust":1,"issue":1,"n":3}"#,
                r#"{"cust":1,"issue":2,"n":4}"#,
                r#"{"cust":2,"issue":1,"n":5}"#,
            ],
        );
    });
    expect(
        &mut stream,
        &[
            r#"publish {"cust":1,"issue":1,"n":3}"#,
            r#"publish {"cust":1,"issue":2,"n":4}"#,
            r#"publish {"cust":2,"issue":1,"n":5}"#,
        ],
    );
    publish(&client, "adhoc", &[r#"{"cust":1,"issue":1,"n":6}"#]);
    expect(&mut stream, &[r#"publish {"cust":1,"issue":1,"n":6}"#]);

    let single = "conflation=50ms,conflation_key=[/id]";
    client
        .execute(subscribe.clone().set_options(single))
        .unwrap();
    for bad in [
        "conflation=250ms",
        "conflation=often,conflation_key=[/id]",
        "conflation_key=[/id]",
    ] {
        let refused = client.execute(subscribe.clone().set_options(bad));
        assert!(matches!(refused, Err(Error::InvalidOptions(_))), "{bad}");
    }
}

#[test]
fn r28_conflated_query_and_subscription() {
    let broker = broker();
    let client = client(&broker, "r28");
    publish(
        &client,
        "orders",
        &[r#"{"id":1,"qty":1}"#, r#"{"id":2,"qty":1}"#],
    );
    let subscribe = command("sow_and_subscribe", "orders").set_options("conflation=250ms");
    let mut stream = client.execute(subscribe).unwrap();
    // The query is not conflated: it is there at once, with both records.
    assert_eq!(
        group(&mut stream),
        [r#"sow {"id":1,"qty":1}"#, r#"sow {"id":2,"qty":1}"#]
    );
    at_one_stroke(&broker, &client, || {
        publish(
            &client,
            "orders",
            &[
                r#"{"id":1,"qty":2}"#,
                r#"{"id":1,"qty":3}"#,
                r#"{"id":1,"qty":4}"#,
            ],
        );
    });
    expect(&mut stream, &[r#"publish {"id":1,"qty":4}"#]);
    publish(&client, "orders", &[r#"{"id":2,"qty":2}"#]);
    expect(&mut stream, &[r#"publish {"id":2,"qty":2}"#]);
}

#[test]
fn a_conflated_subscription_takes_back_only_what_it_has_shown() {
    let broker = broker();
    let client = client(&broker, "conflated-oof");
    publish(&client, "orders", &[r#"{"id":1,"qty":10}"#]);
    let subscribe = command("sow_and_subscribe", "orders")
        .set_filter("/qty >= 10")
        .set_options("oof,conflation=250ms,conflation_key=[/id]");
    let mut stream = client.execute(subscribe).unwrap();
    assert_eq!(group(&mut stream), [r#"sow {"id":1,"qty":10}"#]);
    at_one_stroke(&broker, &client, || {
        publish(
            &client,
            "orders",
            &[
                // Out, with the state that the client knows.
                r#"{"id":1,"qty":11}"#,
                r#"{"id":1,"qty":1}"#,
                // In and out: the client never hears of it.
                r#"{"id":2,"qty":20}"#,
                r#"{"id":2,"qty":2}"#,
                // In, out and in: only the final state.
                r#"{"id":3,"qty":30}"#,
                r#"{"id":3,"qty":3}"#,
                r#"{"id":3,"qty":31}"#,
            ],
        );
    });
    expect(
        &mut stream,
        &[
            r#"oof match {"id":1,"qty":10}"#,
            r#"publish {"id":3,"qty":31}"#,
        ],
    );
    publish(&client, "orders", &[r#"{"id":4,"qty":40}"#]);
    expect(&mut stream, &[r#"publish {"id":4,"qty":40}"#]);
}

#[test]
fn out_of_focus_messages_make_no_difference_where_nothing_is_kept() {
    let broker = broker();
    let client = client(&broker, "conflated-adhoc");
    let options = "oof,timestamp,conflation=100ms,conflation_key=[/id]";
    let mut stream = client
        .execute(command("subscribe", "adhoc").set_options(options))
        .unwrap();
    at_one_stroke(&broker, &client, || {
        publish(
            &client,
            "adhoc",
            &[r#"{"id":1}"#, r#"{"id":2}"#, r#"{"id":1,"n":2}"#],
        );
    });
    let (first, second) = (next(&mut stream), next(&mut stream));
    assert_eq!(first.data(), br#"{"id":1,"n":2}"#);
    assert_eq!(second.data(), br#"{"id":2}"#);
    assert!(
        first.timestamp() <= second.timestamp(),
        "the time of the first of each"
    );
}

#[test]
fn conflated_deltas_are_merged() {
    let broker = broker();
    let client = client(&broker, "conflated-deltas");
    publish(&client, "orders", &[r#"{"id":1,"a":1,"b":1,"c":1}"#]);
    let subscribe = command("delta_subscribe", "orders").set_options("conflation=250ms");
    let mut stream = client.execute(subscribe).unwrap();
    at_one_stroke(&broker, &client, || {
        publish(
            &client,
            "orders",
            &[
                r#"{"id":1,"a":2,"b":1,"c":1}"#,
                r#"{"id":1,"a":2,"b":2,"c":1}"#,
                r#"{"id":1,"a":1,"b":2,"c":1}"#,
            ],
        );
    });
    // The field that has its old value again was changed all the same.
    expect(&mut stream, &[r#"publish {"id":1,"a":1,"b":2}"#]);
}

#[test]
fn what_a_replaced_subscription_holds_back_is_not_lost() {
    let broker = broker();
    let client = client(&broker, "conflated-replace");
    let subscribe = command("sow_and_subscribe", "orders").set_options("conflation=1h");
    let mut held = client.execute(subscribe.clone()).unwrap();
    publish(
        &client,
        "orders",
        &[r#"{"id":1,"n":1}"#, r#"{"id":1,"n":2}"#],
    );
    client.publish_flush(crate::PATIENCE).unwrap();
    assert_eq!(group(&mut held), [""; 0]);
    let replace = subscribe.set_sub_id(held.sub_id()).set_options("replace");
    let mut stream = client.execute(replace).unwrap();
    publish(&client, "orders", &[r#"{"id":1,"n":3}"#]);
    // In the result or before it, but once.
    expect(
        &mut stream,
        &[
            r#"publish {"id":1,"n":2}"#,
            "group_begin",
            "group_end",
            r#"publish {"id":1,"n":3}"#,
        ],
    );
}
