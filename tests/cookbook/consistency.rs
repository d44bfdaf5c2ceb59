//! A client that applies what it is told has what a query would bring it: for every kind of
//! subscription, over a few hundred changes that nobody chose.

use crate::{PATIENCE, broker, client, command, next, publish, records};
use amps::{Client, Command, CommandType, Message, MessageStream};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

const CHANGES: u32 = 600;
const FILTER: &str = "/qty > 40 AND /side != 'C'";

/// What a client makes of the messages of one subscription.
struct View {
    what: String,
    stream: MessageStream,
    records: BTreeMap<String, Map<String, Value>>,
}

impl View {
    fn new(client: &Client, what: &str, subscribe: Command) -> View {
        let mut view = View {
            what: what.to_owned(),
            stream: client.execute(subscribe).unwrap(),
            records: BTreeMap::new(),
        };
        while view.step() != CommandType::GroupEnd {}
        view
    }

    fn step(&mut self) -> CommandType {
        let message = next(&mut self.stream);
        self.apply(&message);
        message.command()
    }

    fn apply(&mut self, message: &Message) {
        let key = message.sow_key().to_owned();
        match message.command() {
            CommandType::Oof => {
                let known = self.records.remove(&key).is_some();
                assert!(known, "{}: it was never in focus", self.what);
            }
            CommandType::Sow | CommandType::Publish => {
                // A delta is laid over what is there; a whole message covers all of it.
                let fields: Map<String, Value> = message.json().unwrap();
                self.records.entry(key).or_default().extend(fields);
            }
            _ => {}
        }
    }

    fn catch_up(&mut self) {
        while let Some(message) = self.stream.try_next() {
            self.apply(&message);
        }
    }
}

fn query(client: &Client, query: Command) -> BTreeMap<String, Map<String, Value>> {
    records(client.execute(query).unwrap())
        .iter()
        .map(|record| (record.sow_key().to_owned(), record.json().unwrap()))
        .collect()
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % limit
    }
}

fn change(client: &Client, numbers: &mut Numbers) {
    let id = numbers.below(30);
    let qty = numbers.below(100);
    let side = ["A", "B", "C"][numbers.below(3) as usize];
    match numbers.below(10) {
        0 => {
            let delete = command("sow_delete", "orders").set_data(format!(r#"{{"id":{id}}}"#));
            client.execute_async_no_handler(delete).unwrap();
        }
        1 => {
            let filter = format!("/qty = {qty} OR /id = {id}");
            let delete = command("sow_delete", "orders").set_filter(filter);
            client.execute_async_no_handler(delete).unwrap();
        }
        2..=4 => {
            let delta = format!(r#"{{"id":{id},"qty":{qty}}}"#);
            client.delta_publish("orders", delta).unwrap();
        }
        _ => {
            let record = format!(r#"{{"id":{id},"qty":{qty},"side":"{side}"}}"#);
            publish(client, "orders", &[&record]);
        }
    }
}

#[test]
fn every_subscription_ends_with_what_a_query_brings() {
    let broker = broker();
    let publisher = client(&broker, "publisher");
    let mut numbers = Numbers(7);
    for _ in 0..50 {
        change(&publisher, &mut numbers);
    }
    publisher.publish_flush(PATIENCE).unwrap();

    let page = "oof,top_n=7,skip_n=3";
    let mut views = [
        ("sow_and_subscribe", FILTER, "", "oof"),
        ("sow_and_delta_subscribe", FILTER, "", "oof"),
        ("sow_and_delta_subscribe", FILTER, "", "oof,no_empties"),
        ("sow_and_subscribe", FILTER, "/qty DESC", page),
        ("sow_and_delta_subscribe", FILTER, "/side,/qty", page),
        ("sow_and_subscribe", "", "", page),
        ("sow_and_subscribe", FILTER, "", "oof,conflation=20ms"),
        ("sow_and_delta_subscribe", FILTER, "", "oof,conflation=20ms"),
        (
            "sow_and_subscribe",
            FILTER,
            "/qty",
            "oof,top_n=7,skip_n=3,conflation=20ms",
        ),
    ]
    .map(|(name, filter, order, options)| {
        let what = format!("{name} {order} {options}");
        let client = client(&broker, &what);
        let subscribe = command(name, "orders")
            .set_filter(filter)
            .set_order_by(order)
            .set_options(options);
        let mut query = command("sow", "orders")
            .set_filter(filter)
            .set_order_by(order);
        if options.contains("top_n") {
            query = query.set_options("top_n=7,skip_n=3");
        }
        (View::new(&client, &what, subscribe), query, client)
    });

    for _ in 0..CHANGES {
        change(&publisher, &mut numbers);
    }
    publisher.publish_flush(PATIENCE).unwrap();
    for (view, wanted, client) in &mut views {
        let what = view.what.clone();
        let wanted = query(client, wanted.clone());
        assert!(wanted.len() > 3, "{what}: hardly anything to compare");
        // What is not conflated stands before the answer of the query.
        view.catch_up();
        while what.contains("conflation") && view.records != wanted {
            view.step();
        }
        assert_eq!(view.records, wanted, "{what}");
    }
}
