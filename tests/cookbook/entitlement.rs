//! Credentials and entitlements, as tests can set them up.

use crate::{PATIENCE, broker, client, command, expect, payloads, publish, records, start};
use amps::{AckType, Client, Error};
use amps_broker::{Access, Broker, Entitlement, Logon};

/// Ana may do everything, Bob may read what is his and publish small orders, nobody else exists.
fn guarded() -> Broker {
    let builder = Broker::builder()
        .authenticate(|who| match (who.user, who.password) {
            ("ana", "a-secret") | ("bob", "b-secret") => Logon::Accept,
            _ => Logon::Refuse("auth failure".to_owned()),
        })
        .entitle(
            |request| match (request.user, request.topic, request.access) {
                ("ana", ..) => Entitlement::Granted,
                (_, "orders", Access::Read) => Entitlement::Filtered("/owner = 'bob'".to_owned()),
                (_, "orders", _) => Entitlement::Filtered("/qty < 10".to_owned()),
                _ => Entitlement::Refused,
            },
        );
    start(builder)
}

fn log_on(broker: &Broker, user: &str) -> Result<Client, Error> {
    let client = Client::new(format!("{user}-client"));
    let uri = broker
        .uri("json")
        .replace("//", &format!("//{user}:{}-secret@", &user[..1]));
    client.connect(uri)?;
    client.logon()?;
    Ok(client)
}

#[test]
fn only_known_users_log_on() {
    let broker = guarded();
    assert!(log_on(&broker, "ana").is_ok());
    let refused = log_on(&broker, "mallory");
    assert!(
        matches!(refused, Err(Error::Authentication(_))),
        "{refused:?}"
    );
}

#[test]
fn a_client_sees_only_what_it_may() {
    let broker = guarded();
    let (ana, bob) = (
        log_on(&broker, "ana").unwrap(),
        log_on(&broker, "bob").unwrap(),
    );
    let mut stream = bob.subscribe_filtered("orders", "/qty > 1").unwrap();
    let mut pattern = bob.subscribe("^(orders|secret)").unwrap();
    publish(
        &ana,
        "orders",
        &[
            r#"{"id":1,"owner":"ana","qty":9}"#,
            r#"{"id":2,"owner":"bob","qty":1}"#,
            r#"{"id":3,"owner":"bob","qty":50}"#,
        ],
    );
    publish(&ana, "secrets", &[r#"{"owner":"bob"}"#]);
    publish(&ana, "orders", &[r#"{"id":4,"owner":"bob","qty":51}"#]);
    expect(
        &mut stream,
        &[
            r#"publish {"id":3,"owner":"bob","qty":50}"#,
            r#"publish {"id":4,"owner":"bob","qty":51}"#,
        ],
    );
    expect(
        &mut pattern,
        &[
            r#"publish {"id":2,"owner":"bob","qty":1}"#,
            r#"publish {"id":3,"owner":"bob","qty":50}"#,
            // Not what was published to the other topic in between.
            r#"publish {"id":4,"owner":"bob","qty":51}"#,
        ],
    );
    assert_eq!(records(ana.sow("orders").unwrap()).len(), 4);
    let found = records(bob.sow_filtered("orders", "/id < 3").unwrap());
    assert_eq!(payloads(&found), [r#"{"id":2,"owner":"bob","qty":1}"#]);
    for refused in [
        bob.subscribe("secrets"),
        bob.sow("blobs"),
        bob.sow_and_subscribe("blobs"),
    ] {
        assert!(matches!(refused, Err(Error::NotEntitled(_))), "{refused:?}");
    }
    // Replacing is silent about it.
    let replace = command("subscribe", "secrets")
        .set_sub_id(pattern.sub_id())
        .set_options("replace");
    let mut silent = bob.execute(replace).unwrap();
    publish(&ana, "secrets", &["unheard"]);
    publish(&ana, "orders", &[r#"{"id":5,"owner":"bob","qty":52}"#]);
    expect(&mut stream, &[r#"publish {"id":5,"owner":"bob","qty":52}"#]);
    assert!(silent.try_next().is_none());
}

#[test]
fn a_client_writes_only_what_it_may() {
    let broker = guarded();
    let (ana, bob) = (
        log_on(&broker, "ana").unwrap(),
        log_on(&broker, "bob").unwrap(),
    );
    let mut stream = ana.subscribe(".*").unwrap();
    let status = |write: amps::Command| {
        let acks = write.add_ack_type(AckType::PROCESSED);
        let (sender, receiver) = std::sync::mpsc::channel();
        bob.execute_async(acks, move |ack: &amps::Message| {
            let _ = sender.send(ack.to_result().map_err(|error| error.to_string()));
        })
        .map_or_else(
            |error| Err(error.to_string()),
            |_| receiver.recv_timeout(PATIENCE).unwrap(),
        )
    };
    let put = |topic: &str, payload: &str| command("publish", topic).set_data(payload);
    assert!(status(put("orders", r#"{"id":1,"qty":9}"#)).is_ok());
    assert!(
        status(put("orders", r#"{"id":1,"qty":10}"#))
            .unwrap_err()
            .contains("not entitled")
    );
    assert!(
        status(put("adhoc", "{}"))
            .unwrap_err()
            .contains("not entitled")
    );
    // The delta is tested as it was sent, not as it would be merged.
    let delta = command("delta_publish", "orders").set_data(r#"{"id":1,"px":1}"#);
    assert!(status(delta).is_err());
    publish(&ana, "orders", &[r#"{"id":2,"qty":99}"#]);
    ana.publish_flush(PATIENCE).unwrap();
    let delete = command("sow_delete", "orders");
    assert!(
        status(delete.clone().set_filter("1=1"))
            .unwrap_err()
            .contains("not entitled")
    );
    assert_eq!(broker.record_count("orders"), 2, "all or nothing");
    assert!(status(delete.set_filter("/qty < 50")).is_ok());
    assert_eq!(broker.record_count("orders"), 1);
    expect(
        &mut stream,
        &[
            r#"publish {"id":1,"qty":9}"#,
            r#"publish {"id":2,"qty":99}"#,
        ],
    );
}

#[test]
fn without_a_hook_everybody_may_do_everything() {
    let broker = broker();
    let client = client(&broker, "anybody");
    assert!(client.subscribe("secrets").is_ok());
}
