//! What the log knows of its entries.

use super::*;
use bytes::Bytes;

fn bookmark(publisher: u64, sequence: u64) -> Bookmark {
    Bookmark {
        publisher,
        sequence,
    }
}

/// A log of entries by publisher, sequence and time.
fn log(entries: &[(u64, u64, u64)]) -> Log {
    let mut log = Log::new(true, Vec::new());
    for &(publisher, sequence, processed) in entries {
        log.append(Entry {
            bookmark: bookmark(publisher, sequence),
            processed,
            from: 0,
            event: Event::Message(Message {
                topic: 0,
                key: Box::default(),
                payload: Bytes::new(),
                correlation_id: Box::default(),
                lifetime: None,
                old: None,
            }),
        })
        .unwrap();
    }
    log
}

fn start(log: &Log, text: &str) -> Option<u64> {
    let range = Range::parse(text.as_bytes()).unwrap();
    log.first_wanted(&range.start, range.end.is_some())
}

#[test]
fn a_replay_starts_where_its_bookmark_says() {
    const SECOND: u64 = 1_000_000;
    let log = log(&[(7, 1, SECOND), (8, 1, 2 * SECOND), (7, 5, 3 * SECOND)]);
    for (text, position) in [
        ("0", Some(1)),
        ("0|1|", Some(4)),
        ("7|1|", Some(2)),
        ("7|5|", Some(4)),
        ("7|5|,8|1|", Some(3)),
        ("7|4|,8|1|", Some(3)),
        ("7|4|", None),
        ("9|1|,7|2|", None),
        ("7|4|,0|1|", Some(4)),
        ("19691231T235959", None),
        ("19700101T000000", Some(1)),
        ("19700101T000002", Some(2)),
        ("19700101T000002.000001", Some(3)),
        ("19700101T000004", Some(4)),
        ("[7|1|:0|1|]", Some(1)),
        ("(7|1|:0|1|]", Some(2)),
        ("[19700101T000002:0|1|]", Some(2)),
        ("(19700101T000002:0|1|]", Some(3)),
        ("[0|1|:0|1|]", Some(3)),
        ("(0|1|:0|1|]", Some(4)),
    ] {
        if text.starts_with("1969") {
            assert!(Range::parse(text.as_bytes()).is_err());
            continue;
        }
        assert_eq!(start(&log, text), position, "{text}");
    }
    let empty = Log::new(true, Vec::new());
    assert_eq!(start(&empty, "[0|1|:20380101T000000]"), Some(1));
    assert_eq!(start(&empty, "0|1|"), Some(1));
}

#[test]
fn a_range_ends_where_it_says_and_of_a_list_at_the_latest() {
    const SECOND: u64 = 1_000_000;
    let log = log(&[(7, 1, SECOND), (8, 1, 2 * SECOND), (7, 5, 3 * SECOND)]);
    for (text, last) in [
        ("[0:0)", 0),
        ("[0:0|1|)", 3),
        ("[0:7|1|]", 1),
        ("[0:7|1|)", 0),
        ("[0:7|1|,8|1|]", 2),
        ("[0:8|1|,9|9|)", 1),
        ("[0:19700101T000002]", 2),
        ("[0:19700101T000002)", 1),
        ("[0:20380101T000000)", 3),
    ] {
        let range = Range::parse(text.as_bytes()).unwrap();
        let stop = log.stop(&range.end.unwrap()).unwrap();
        let inside = (1..=3u64).filter(|&at| !stop.is_before(at, at * SECOND));
        assert_eq!(inside.count(), last, "{text}");
    }
    let unknown = Range::parse(b"[0:9|9|]").unwrap();
    assert_eq!(log.stop(&unknown.end.unwrap()), None);
}

#[test]
fn the_highest_sequence_counts_what_is_not_logged_too() {
    let mut log = log(&[(7, 3, 1), (8, 9, 2)]);
    assert_eq!((log.highest(7), log.highest(8), log.highest(9)), (3, 9, 0));
    log.note_sequence(bookmark(7, 11));
    assert_eq!((log.highest(7), log.last_persisted(7)), (11, 11));
    assert_eq!(log.find(bookmark(7, 11)), None);
    assert_eq!(log.find(bookmark(7, 3)), Some(1));
}
