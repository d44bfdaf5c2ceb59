//! A sample of the filter vectors, end to end: a subscription, a query and a delete agree on each.

use crate::{broker, client, command, expect, records};
use amps::AckType;

/// Payload, filter, and whether it matches (`broker-behaviour §2.6`, with the key added).
const VECTORS: &[(&str, &str, bool)] = &[
    (r#"{"id":1}"#, "1=1", true),
    (
        r#"{"id":1,"sym":"IBM","px":90.5}"#,
        "/sym = 'IBM' AND /px >= 90",
        true,
    ),
    (r#"{"id":1,"sym":"IBM"}"#, r#"/sym == "ibm""#, false),
    (r#"{"id":1,"a":"2.000"}"#, "/a = '2.0'", false),
    (r#"{"id":1,"a":"2.000"}"#, "/a = 2", true),
    (r#"{"id":1,"a":""}"#, "/a IS NULL", true),
    (r#"{"id":1}"#, "/a != 5", false),
    (
        r#"{"id":1,"a":1,"b":0,"c":0}"#,
        "(/a = 1 OR /b = 1) AND /c = 1",
        false,
    ),
    (r#"{"id":1,"a":5}"#, "/a NOT BETWEEN 5 AND 10", false),
    (r#"{"id":1,"a":"x"}"#, "/a NOT IN ('y','z')", true),
    (r#"{"id":1,"a":-5}"#, "/a % 3 = -2", true),
    (r#"{"id":1,"s":"NorthEast"}"#, "/s LIKE '(?i)EAST$'", true),
    (r#"{"id":1,"px":"90x75"}"#, r"/px LIKE '^90\.'", false),
    (r#"{"id":1,"s":"book"}"#, r"/s LIKE '(.)\1'", true),
    (
        r#"{"id":1,"s":"Northern"}"#,
        "/s BEGINS WITH ('South','North')",
        true,
    ),
    (r#"{"id":1,"s":"abcabc"}"#, "INSTR(/s,'ca') = 3", true),
    (
        r#"{"id":1,"s":"msft"}"#,
        "UPPER(/s) IN ('IBM','MSFT')",
        true,
    ),
    (r#"{"id":1,"d":[1,2,"z"]}"#, "/d != 'z'", true),
    (r#"{"id":1,"d":[1,2,"z"]}"#, "/d[1] = 1", false),
    (
        r#"{"id":1,"c":[{"k":"a"},{"k":"b"}]}"#,
        "/c/k = 'b' AND /c/k[0] = 'a'",
        true,
    ),
    (r#"{"id":1,"my key":7}"#, "[/my key] = 7", true),
    (r#"{"id":1}"#, "TOPIC_NAME() = 'orders'", true),
];

#[test]
fn a_filter_means_the_same_to_a_subscription_a_query_and_a_delete() {
    let broker = broker();
    let client = client(&broker, "vectors");
    for (payload, filter, matches) in VECTORS {
        let mut stream = client.subscribe_filtered("orders", filter).unwrap();
        client.publish("orders", payload).unwrap();
        let found = records(client.sow_filtered("orders", filter).unwrap());
        assert_eq!(found.len(), usize::from(*matches), "{payload} {filter}");
        let delete = command("sow_delete", "orders")
            .set_filter(filter)
            .add_ack_type(AckType::STATS);
        let stats = client.execute(delete).unwrap().next().unwrap();
        assert_eq!(
            stats.records_deleted(),
            Some(u64::from(*matches)),
            "{payload} {filter}"
        );
        if *matches {
            expect(&mut stream, &[&format!("publish {payload}")]);
        }
        // The answers above stood behind the publish: whatever came of it is here.
        assert_eq!(stream.depth(), 0, "{payload} {filter}");
        let rest = command("sow_delete", "orders").set_filter("1=1");
        client.execute_async_no_handler(rest).unwrap();
    }
}
