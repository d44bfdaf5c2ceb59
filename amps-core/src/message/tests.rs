//! Messages that are read from frames.

use super::*;

fn message(frame: &str) -> Message {
    Message::from_frame(Bytes::copy_from_slice(frame.as_bytes())).unwrap()
}

fn records(frame: &str) -> Vec<Message> {
    let mut chunk = (frame.len() as u32).to_be_bytes().to_vec();
    chunk.extend_from_slice(frame.as_bytes());
    let mut records = Vec::new();
    Message::each_in_chunk(chunk.into(), |message| records.push(message.clone())).unwrap();
    records
}

#[test]
fn a_message_stays_small_and_can_move_between_threads() {
    assert!(size_of::<Message>() <= 160, "{}", size_of::<Message>());
    fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<Message>();
}

#[test]
fn getters_read_the_header_and_the_payload() {
    let message = message(
        r#"{"c":"p","t":"orders","sids":"4,replay","bm":"44|908|","ts":"20240315T093000.1Z","s":"7"}{"id":1}"#,
    );
    assert_eq!(message.command(), CommandType::Publish);
    assert_eq!(message.topic(), "orders");
    assert_eq!(message.bookmark(), "44|908|");
    assert_eq!(message.timestamp(), "20240315T093000.1Z");
    assert_eq!(message.sequence(), Some(7));
    assert_eq!(message.data_str().unwrap(), r#"{"id":1}"#);
    assert_eq!(message.correlation_id(), "");
    assert_eq!(message.matches(), None);
    let value: serde_json::Value = message.json().unwrap();
    assert_eq!(value["id"], 1);
}

#[test]
fn escapes_are_undone_in_every_getter() {
    let message = message(r#"{"c":"p","t":"a\"b","x":"caf\u00e9","sids":"1"}x"#);
    assert_eq!(message.topic(), "a\"b");
    assert_eq!(message.correlation_id(), "café");
    assert_eq!(message.sub_ids(), "1");
}

#[test]
fn a_payload_of_the_wrong_kind_is_an_error_that_names_the_topic() {
    let bytes = Bytes::from_static(b"{\"c\":\"p\",\"t\":\"orders\"}\xff");
    let message = Message::from_frame(bytes).unwrap();
    let error = message.data_str().unwrap_err();
    assert!(matches!(error, Error::Payload(_)));
    assert!(error.to_string().contains("orders"));
    assert!(message.json::<u32>().is_err());
    assert_eq!(message.data(), b"\xff");
}

#[test]
fn a_record_reads_its_own_fields_first_and_the_outer_ones_next() {
    let records = records(
        r#"{"c":"sow","query_id":"7","t":"orders","ts":"T1","bs":2}{"k":"1","l":2}{}{"k":"2","ts":"T2","x":"a","l":1}x"#,
    );
    assert_eq!(records.len(), 2);
    assert_eq!(records[0].timestamp(), "T1");
    assert_eq!(records[1].timestamp(), "T2");
    assert_eq!(records[0].correlation_id(), "");
    assert_eq!(records[1].query_id(), "7");
    assert_eq!(records[1].batch_size(), Some(2));
}

#[test]
fn a_record_with_escapes_inherits_like_one_without() {
    let records = records(
        r#"{"c":"sow","query_id":"7","t":"or\"ders","k":"no","bs":2}{"l":2}{}{"k":"2\n","l":1}x"#,
    );
    assert_eq!(records[0].topic(), "or\"ders");
    assert_eq!(records[0].sow_key(), "");
    assert_eq!(records[1].sow_key(), "2\n");
    assert_eq!(records[1].query_id(), "7");
}

#[test]
fn f3_a_detached_record_holds_nothing_but_itself() {
    let big = "y".repeat(10_000);
    let records = records(&format!(
        r#"{{"c":"sow","query_id":"7","t":"orders"}}{{"k":"1","l":10000}}{big}{{"k":"2","l":1}}x"#
    ));
    let detached = records[1].detach();
    assert!(records[1].retained_bytes() > 10_000);
    assert!(detached.retained_bytes() < 100);
    assert_eq!(detached.sow_key(), "2");
    assert_eq!(detached.topic(), "orders");
    assert_eq!(detached.data(), b"x");
}

#[test]
fn a_duplicate_is_no_error_and_a_refusal_is_one() {
    let refused = message(
        r#"{"c":"ack","cid":"9","a":"processed","status":"Failure","reason":"bad filter"}"#,
    );
    assert!(matches!(refused.to_result(), Err(Error::BadFilter(_))));
    let duplicate =
        message(r#"{"c":"ack","s":9,"a":"persisted","status":"failure","reason":"duplicate"}"#);
    assert!(duplicate.to_result().is_ok());
}

#[test]
fn debug_shows_no_password() {
    let message = message(r#"{"c":"ack","a":"processed","status":"retry","pw":"s3cret"}"#);
    assert!(!format!("{message:?}").contains("s3cret"));
}
