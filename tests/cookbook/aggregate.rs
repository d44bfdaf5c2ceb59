//! X6: one record for each group of records.

use crate::{at_one_stroke, broker, client, command, expect, group, payloads, publish, records};
use amps::{Client, Command, Error, MessageStream};
use amps_broker::Broker;

/// The recipe's projection.
const TOTALS: &str = "projection=[/sym,SUM(/qty) AS /total],grouping=[/sym]";

fn orders(name: &str) -> (Broker, Client) {
    let broker = broker();
    let client = client(&broker, name);
    publish(
        &client,
        "orders",
        &[
            r#"{"id":1,"sym":"IBM","qty":10,"px":2.5}"#,
            r#"{"id":2,"sym":"MSFT","qty":5,"px":3}"#,
            r#"{"id":3,"sym":"IBM","qty":20}"#,
            r#"{"id":4,"qty":7}"#,
        ],
    );
    (broker, client)
}

fn open(client: &Client, name: &str, options: &str) -> MessageStream {
    client
        .execute(command(name, "orders").set_options(options))
        .unwrap()
}

#[test]
fn x6_aggregated_query() {
    let (_broker, client) = orders("x6");
    let query = command("sow", "orders").set_options(TOTALS);
    let found = records(client.execute(query.clone()).unwrap());
    assert_eq!(
        payloads(&found),
        [
            r#"{"sym":"IBM","total":30}"#,
            r#"{"sym":"MSFT","total":5}"#,
            r#"{"sym":null,"total":7}"#,
        ]
    );
    assert_ne!(found[0].sow_key(), found[1].sow_key());
    // The filter is for the source, the order and the page are for the groups.
    let found = records(
        client
            .execute(query.clone().set_filter("/qty > 5"))
            .unwrap(),
    );
    assert_eq!(
        payloads(&found),
        [r#"{"sym":"IBM","total":30}"#, r#"{"sym":null,"total":7}"#]
    );
    let page = query
        .set_order_by("/total DESC")
        .set_options(format!("{TOTALS},top_n=1,skip_n=1"));
    let found = records(client.execute(page).unwrap());
    assert_eq!(payloads(&found), [r#"{"sym":null,"total":7}"#]);
}

#[test]
fn x6_every_aggregate() {
    let (_broker, client) = orders("x6");
    let projection = "[AVG(/qty) AS /avg,COUNT(/px) AS /count,COUNT_DISTINCT(/sym) AS /syms,\
         MIN(/qty) AS /least,MAX(/qty) AS /most,ANY(/sym) AS /any,UNIQUE(/sym) AS /unique,\
         UNIQUE(/qty) AS /nothing,STDDEV_POP(/qty) AS /pop,STDDEV_SAMP(/px) AS /samp,\
         GROUP_CONCAT(/id) AS /ids,GROUP_CONCAT(/id,'-') AS /dashed,SUM(/qty * /px) AS /value,\
         /id AS /last]";
    let options = format!("projection={projection},grouping=[/sym]");
    let query = command("sow", "orders")
        .set_options(options)
        .set_filter("/sym = 'IBM'");
    let found = records(client.execute(query).unwrap());
    assert_eq!(
        payloads(&found),
        [concat!(
            r#"{"avg":15.0,"count":1,"syms":1,"least":10,"most":20,"any":"IBM","unique":"IBM","#,
            r#""nothing":null,"pop":5.0,"samp":null,"ids":"1,3","dashed":"1-3","value":25.0,"last":3}"#
        )]
    );
}

#[test]
fn x6_aggregated_query_and_subscribe() {
    let (_broker, client) = orders("x6");
    let options = format!("{TOTALS},oof");
    let mut stream = open(&client, "sow_and_subscribe", &options);
    assert_eq!(group(&mut stream).len(), 3);
    publish(
        &client,
        "orders",
        &[
            // A record changes,
            r#"{"id":1,"sym":"IBM","qty":11}"#,
            // one comes, in a new group,
            r#"{"id":5,"sym":"ORCL","qty":1}"#,
            // one changes its group,
            r#"{"id":3,"sym":"MSFT","qty":20}"#,
            // and takes its old one with it.
            r#"{"id":5,"sym":"MSFT","qty":2}"#,
        ],
    );
    expect(
        &mut stream,
        &[
            r#"publish {"sym":"IBM","total":31}"#,
            r#"publish {"sym":"ORCL","total":1}"#,
            r#"publish {"sym":"IBM","total":11}"#,
            r#"publish {"sym":"MSFT","total":25}"#,
            r#"oof match {"sym":"ORCL","total":1}"#,
            r#"publish {"sym":"MSFT","total":27}"#,
        ],
    );
    let delete = Command::new("sow_delete")
        .set_topic("orders")
        .set_filter("/id IN (1, 2)");
    client.execute_async_no_handler(delete).unwrap();
    expect(
        &mut stream,
        &[
            r#"oof deleted {"sym":"IBM","total":11}"#,
            r#"publish {"sym":"MSFT","total":22}"#,
        ],
    );
}

#[test]
fn x6_the_filter_decides_which_records_count_and_without_oof_groups_go_silently() {
    let (_broker, client) = orders("x6");
    let subscribe = command("sow_and_subscribe", "orders")
        .set_options(TOTALS)
        .set_filter("/qty < 15");
    let mut stream = client.execute(subscribe).unwrap();
    assert_eq!(
        group(&mut stream),
        [
            r#"sow {"sym":"IBM","total":10}"#,
            r#"sow {"sym":"MSFT","total":5}"#,
            r#"sow {"sym":null,"total":7}"#,
        ]
    );
    publish(
        &client,
        "orders",
        &[
            r#"{"id":3,"sym":"IBM","qty":14}"#,
            r#"{"id":3,"sym":"IBM","qty":15}"#,
            // The last one of its group leaves, and nobody asked to be told.
            r#"{"id":2,"sym":"MSFT","qty":99}"#,
            r#"{"id":9,"sym":"MSFT","qty":98}"#,
            r#"{"id":2,"sym":"MSFT","qty":6}"#,
        ],
    );
    expect(
        &mut stream,
        &[
            r#"publish {"sym":"IBM","total":24}"#,
            r#"publish {"sym":"IBM","total":10}"#,
            r#"publish {"sym":"MSFT","total":6}"#,
        ],
    );
}

#[test]
fn x6_aggregated_query_and_delta_subscribe() {
    let (_broker, client) = orders("x6");
    let options = "projection=[/sym,SUM(/qty) AS /total,COUNT(/id) AS /count],grouping=[/sym]";
    let mut all = open(&client, "sow_and_delta_subscribe", options);
    let mut changes = open(
        &client,
        "sow_and_delta_subscribe",
        &format!("{options},no_empties"),
    );
    assert_eq!(group(&mut all), group(&mut changes));
    publish(
        &client,
        "orders",
        &[
            r#"{"id":1,"sym":"IBM","qty":11}"#,
            // Nothing that the group shows has changed.
            r#"{"id":1,"sym":"IBM","qty":11,"px":7}"#,
            r#"{"id":6,"sym":"IBM","qty":0}"#,
            r#"{"id":7,"sym":"SAP","qty":3}"#,
        ],
    );
    let news = [
        r#"publish {"sym":"IBM","total":31}"#,
        r#"publish {"sym":"IBM"}"#,
        r#"publish {"sym":"IBM","count":3}"#,
        r#"publish {"sym":"SAP","total":3,"count":1}"#,
    ];
    expect(&mut all, &news);
    expect(&mut changes, &[news[0], news[2], news[3]]);
}

#[test]
fn x6_groups_are_conflated_like_records() {
    let (broker, client) = orders("x6");
    let options = format!("{TOTALS},conflation=100ms");
    let mut stream = open(&client, "sow_and_subscribe", &options);
    assert_eq!(group(&mut stream).len(), 3);
    let updates = (1..=20).map(|n| format!(r#"{{"id":1,"sym":"IBM","qty":{n}}}"#));
    let updates = updates.collect::<Vec<_>>();
    let updates = updates.iter().map(String::as_str).collect::<Vec<_>>();
    at_one_stroke(&broker, &client, || publish(&client, "orders", &updates));
    let mut seen = 0;
    while crate::short(&crate::next(&mut stream)) != r#"publish {"sym":"IBM","total":40}"# {
        seen += 1;
    }
    assert!(seen < 19, "{seen} of 20 updates were delivered one by one");
}

#[test]
fn x6_the_update_is_in_the_result_or_after_it() {
    let (_broker, client) = orders("x6");
    let total = |text: &str| -> u64 {
        let digits = text.trim_end_matches('}').rsplit(':').next();
        digits.unwrap().parse().unwrap()
    };
    let mut last = 30;
    for round in 0..50 {
        let update = format!(r#"{{"id":{},"sym":"IBM","qty":1}}"#, 100 + 2 * round);
        client.publish("orders", update).unwrap();
        let mut stream = open(&client, "sow_and_subscribe", TOTALS);
        let result = group(&mut stream);
        assert_eq!(total(&result[0]), last + 1);
        let update = format!(r#"{{"id":{},"sym":"IBM","qty":1}}"#, 101 + 2 * round);
        client.publish("orders", update).unwrap();
        last = total(&crate::short(&crate::next(&mut stream)));
        assert_eq!(last, total(&result[0]) + 1);
    }
}

#[test]
fn x6_what_cannot_be_aggregated_is_refused() {
    let (_broker, client) = orders("x6");
    for (topic, options) in [
        ("orders", "projection=[/sym]"),
        ("orders", "grouping=[/sym]"),
        ("orders", "projection=[SUM(/qty)],grouping=[/sym]"),
        (
            "orders",
            "projection=[/sym,MEDIAN(/qty) AS /m],grouping=[/sym]",
        ),
        ("orders", "projection=[/sym],grouping=[/sym],select=[-/id]"),
        ("^orders", TOTALS),
    ] {
        for name in ["sow", "sow_and_subscribe", "sow_and_delta_subscribe"] {
            let refused = client.execute(command(name, topic).set_options(options));
            assert!(
                matches!(refused, Err(Error::InvalidOptions(_))),
                "{name} {topic} {options}"
            );
        }
    }
    for name in ["sow", "sow_and_subscribe"] {
        let refused = client.execute(command(name, "adhoc").set_options(TOTALS));
        assert!(matches!(refused, Err(Error::InvalidTopic(_))), "{name}");
    }
    let late = command("sow", "orders")
        .set_options(TOTALS)
        .set_filter("/qty < UNIX_TIMESTAMP()");
    assert!(matches!(client.execute(late), Err(Error::BadFilter(_))));
    let stream = open(&client, "sow_and_subscribe", TOTALS);
    let replace = command("sow_and_subscribe", "orders")
        .set_sub_id(stream.sub_id())
        .set_options(format!("{TOTALS},replace"));
    assert!(matches!(
        client.execute(replace),
        Err(Error::InvalidOptions(_))
    ));
}
