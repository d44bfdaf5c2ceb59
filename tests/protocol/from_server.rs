//! Every frame that a server may send, read.

use crate::{frames, golden, messages, names};
use amps::{AckType, CommandType, Error, Message};

const SERVER: &str = include_str!("data/server.txt");

fn one(name: &str) -> Message {
    let mut found = messages(&golden(SERVER, name));
    assert_eq!(found.len(), 1, "{name}");
    found.remove(0)
}

#[test]
fn every_length_prefix_covers_its_body_exactly() {
    for name in names(SERVER) {
        assert_eq!(frames(&golden(SERVER, name)).len(), 1, "{name}");
    }
}

#[test]
fn subscribe_processed() {
    let ack = one("subscribe_processed");
    assert_eq!(ack.command(), CommandType::Ack);
    assert_eq!((ack.command_id(), ack.sub_id()), ("4", "4"));
    assert_eq!(ack.ack_type(), AckType::PROCESSED);
    assert_eq!((ack.status(), ack.reason()), ("success", ""));
    assert!(ack.to_result().is_ok());
    assert!(ack.data().is_empty());
}

#[test]
fn queue_subscribe_processed_tells_the_backlog() {
    let ack = one("queue_subscribe_processed");
    assert_eq!(ack.options(), "max_backlog=10");
    assert_eq!(ack.sub_id(), "jobs-1");
    assert!(!ack.has_lease());
}

#[test]
fn replay_completed_and_persisted_carry_a_bookmark() {
    let completed = one("replay_completed");
    assert_eq!(completed.ack_type(), AckType::COMPLETED);
    assert_eq!(completed.bookmark(), "4418602183412675531|907|");
    let persisted = one("subscription_persisted");
    assert_eq!(persisted.ack_type(), AckType::PERSISTED);
    assert_eq!(persisted.bookmark(), "4418602183412675531|911|");
    assert_eq!(persisted.sub_id(), "replay");
}

#[test]
fn stats_carry_their_counters() {
    let query = one("sow_stats");
    assert_eq!(query.ack_type(), AckType::STATS);
    assert_eq!(query.query_id(), "7");
    assert_eq!(query.records_returned(), Some(3));
    assert_eq!(query.matches(), Some(41));
    assert_eq!(query.topic_matches(), Some(200));
    let delete = one("sow_delete_stats");
    assert_eq!(delete.records_deleted(), Some(3));
    assert_eq!(delete.records_returned(), None);
}

#[test]
fn a_refusal_is_an_error_of_its_kind() {
    let ack = one("subscribe_refused");
    assert!(matches!(ack.to_result(), Err(Error::BadFilter(_))));
}

#[test]
fn publishes() {
    let plain = one("publish_plain");
    assert_eq!(plain.command(), CommandType::Publish);
    assert_eq!((plain.topic(), plain.sub_ids()), ("orders", "4"));
    assert_eq!(plain.data(), br#"{"id":1,"qty":100}"#);

    let two = one("publish_for_two_subscriptions");
    assert_eq!(two.sub_ids(), "4,replay");
    assert_eq!(two.bookmark(), "4418602183412675531|908|");
    assert_eq!(two.timestamp(), "20240315T093000.123456Z");
    assert_eq!(two.sow_key(), "13480907839116428812");
    assert_eq!(two.data(), br#"{"id":1,"qty":150}"#);

    let queue = one("publish_from_queue");
    assert!(queue.has_lease());
    assert_eq!(queue.lease_period(), "20240315T093100.123456Z");
    assert_eq!(queue.data(), br#"{"job":17}"#);

    let delta = one("publish_delta");
    assert_eq!(delta.command(), CommandType::Publish);
    assert_eq!(delta.data(), br#"{"id":1,"qty":175}"#);
}

#[test]
fn a_query_result_is_one_message_a_record() {
    let begin = one("group_begin");
    assert_eq!(begin.command(), CommandType::GroupBegin);
    assert_eq!(begin.query_id(), "7");

    let records = messages(&golden(SERVER, "sow_batch_of_two"));
    assert_eq!(records.len(), 2);
    for record in &records {
        assert_eq!(record.command(), CommandType::Sow);
        assert_eq!((record.query_id(), record.topic()), ("7", "orders"));
        assert_eq!(record.batch_size(), Some(2));
    }
    assert_eq!(records[0].sow_key(), "13480907839116428812");
    assert_eq!(records[0].correlation_id(), "");
    assert_eq!(records[0].data(), br#"{"id":1,"qty":100}"#);
    assert_eq!(records[1].sow_key(), "5551212886541119007");
    assert_eq!(records[1].correlation_id(), "Zm9v");
    assert_eq!(records[1].data(), br#"{"id":2,"qty":75}"#);

    let braces = one("sow_batch_with_braces");
    assert_eq!(braces.message_length(), Some(27));
    assert_eq!(braces.data(), br#"{"id":3,"note":"{\"l\":9}"}"#);

    assert_eq!(one("group_end").command(), CommandType::GroupEnd);
}

#[test]
fn out_of_focus_messages_tell_why() {
    let gone = one("oof_match");
    assert_eq!(gone.command(), CommandType::Oof);
    assert_eq!(gone.reason(), "match");
    assert_eq!(gone.data(), br#"{"id":1,"qty":5}"#);
    assert_eq!(one("oof_deleted").reason(), "deleted");
}

#[test]
fn heartbeats() {
    let beat = one("heartbeat");
    assert_eq!(beat.command(), CommandType::Heartbeat);
    assert_eq!(beat.command_id(), "");
    assert_eq!(one("heartbeat_processed").command_id(), "1");
}

#[test]
fn logon_answers() {
    let success = one("logon_success");
    assert_eq!(success.sequence(), Some(906));
    assert_eq!(success.bookmark(), "4418602183412675531|906|");
    assert_eq!(success.client_name(), "risk-gui-1");
    assert_eq!(success.version(), "5.3.5.0");
    let retry = one("logon_retry");
    assert_eq!((retry.status(), retry.user_id()), ("retry", "ana"));
    assert_eq!(retry.reason(), "challenge:9f31");
    let failure = one("logon_failure");
    assert!(matches!(failure.to_result(), Err(Error::Authentication(_))));
}

#[test]
fn persisted_acknowledgements_of_publishes() {
    let conflated = one("persisted_conflated");
    assert_eq!(conflated.command_id(), "");
    assert_eq!(conflated.sequence(), Some(908));
    let failure = one("persisted_failure");
    assert_eq!(failure.sequence(), Some(909));
    assert!(matches!(failure.to_result(), Err(Error::NotEntitled(_))));
    assert_eq!(one("persisted_after_failure").sequence(), Some(912));
    let plain = one("persisted_without_log");
    assert_eq!((plain.command_id(), plain.sequence()), ("16", Some(1)));
}
