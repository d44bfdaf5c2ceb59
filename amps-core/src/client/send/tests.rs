//! What only happens if threads meet at the wrong moment.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use super::KEPT_BUFFER;
use crate::client::connection::Phase;
use crate::client::outbox::Turn;
use crate::client::shared::Shared;
use crate::client::testing::{PATIENCE, connect, framed, full, open};
use crate::error::ErrorContext;
use crate::protocol::frames_in;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

fn client() -> Arc<Shared> {
    Arc::new(Shared::new("threads".to_string()))
}

/// Publishes what it is given as it stands.
fn publish(shared: &Arc<Shared>, frame: &[u8]) -> crate::Result<()> {
    let context = || ErrorContext::new("publish", "t");
    let wire = shared.wire.lock();
    shared.send(wire, b"", context, |out| out.extend_from_slice(frame))
}

#[test]
fn a_flusher_whose_connection_broke_strands_no_frame_of_the_next_one() {
    let shared = client();
    let (first, waits, release) = full(1);
    connect(&shared, &first);
    shared.post(&first, &framed(b"old"), Turn::AtOnce);
    waits.recv_timeout(PATIENCE).unwrap();
    // The flusher holds the send lock. Meanwhile the client has connected anew.
    let (second, taken) = open(2);
    connect(&shared, &second);
    shared.post(&second, &framed(b"logon"), Turn::AtOnce);
    assert!(taken.is_empty());
    release.send(()).unwrap();
    assert_eq!(taken.recv_timeout(PATIENCE).unwrap(), framed(b"logon"));
}

#[test]
fn a_publish_that_finds_no_connection_strands_no_frame_of_the_next_one() {
    let shared = client();
    let (connection, taken) = open(1);
    let context = || {
        // After the look for a connection, and before the send lock is free.
        assert!(shared.wire.is_locked());
        connect(&shared, &connection);
        shared.post(&connection, &framed(b"logon"), Turn::AtOnce);
        ErrorContext::new("publish", "t")
    };
    let sent = shared.send(shared.wire.lock(), b"", context, |_| ());
    assert!(sent.is_err());
    assert_eq!(taken.recv_timeout(PATIENCE).unwrap(), framed(b"logon"));
}

#[test]
fn an_idle_client_does_not_keep_a_connection_that_was_lost() {
    let shared = client();
    let (connection, _taken) = open(1);
    connect(&shared, &connection);
    publish(&shared, b"before").unwrap();
    shared.state.lock().connection = None;
    connection.enter(Phase::Lost);
    assert_eq!(Arc::strong_count(&connection), 2);
    shared.lose_batch(&connection);
    assert_eq!(Arc::strong_count(&connection), 1);
}

#[test]
fn a_connection_that_is_lost_while_another_thread_has_the_send_lock_is_not_kept_either() {
    let shared = client();
    let (connection, _taken) = open(1);
    connect(&shared, &connection);
    publish(&shared, b"before").unwrap();
    let wire = shared.wire.lock();
    shared.state.lock().connection = None;
    connection.enter(Phase::Lost);
    shared.lose_batch(&connection);
    assert_eq!(Arc::strong_count(&connection), 2);
    // Not by the rules, so the timer alone has to see to it.
    drop(wire);
    let start = Instant::now();
    while Arc::strong_count(&connection) > 1 {
        assert!(start.elapsed() < PATIENCE);
        thread::yield_now();
    }
}

/// Design §3. Few frames at a time: the last ones are those that nobody comes by for.
#[test]
fn however_threads_meet_no_posted_frame_is_stranded_and_none_overtakes_one_of_its_thread() {
    const ROUNDS: u32 = 5_000;
    let shared = client();
    let (connection, taken) = open(1);
    connect(&shared, &connection);
    shared.wire.lock().batch.collect_up_to(100);
    let meeting = Barrier::new(3);
    let mut stranded = 0;
    thread::scope(|scope| {
        for (poster, turn) in [(0u8, Turn::AtOnce), (1, Turn::AfterBatch)] {
            let (shared, connection, meeting) = (&shared, &connection, &meeting);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    meeting.wait();
                    let body = [&[poster], &round.to_be_bytes()[..]].concat();
                    shared.post(connection, &framed(&body), turn);
                    meeting.wait();
                    // Is looked at.
                    meeting.wait();
                }
            });
        }
        for _ in 0..ROUNDS {
            meeting.wait();
            for _ in 0..3 {
                publish(&shared, &framed(b"publish")).unwrap();
            }
            meeting.wait();
            stranded += u32::from(shared.outbox.knows_of_any());
            meeting.wait();
        }
    });
    assert_eq!(stranded, 0);
    shared.send_batch(None);
    let (mut next, mut publishes) = ([0, 0], 0);
    let all = taken.try_iter().flatten().collect::<Vec<_>>();
    for frame in frames_in(&all) {
        match &all[frame] {
            b"publish" => publishes += 1,
            [poster, round @ ..] => {
                let next: &mut u32 = &mut next[usize::from(*poster)];
                assert_eq!(round, next.to_be_bytes());
                *next += 1;
            }
            [] => panic!("an empty frame"),
        }
    }
    assert_eq!((next, publishes), ([ROUNDS; 2], 3 * ROUNDS));
}

#[test]
fn a_connection_that_is_lost_while_a_frame_is_sent_is_not_kept() {
    let shared = client();
    let (connection, _taken) = open(1);
    connect(&shared, &connection);
    let context = || ErrorContext::new("publish", "t");
    let sent = shared.send(shared.wire.lock(), b"", context, |_| {
        shared.state.lock().connection = None;
        connection.enter(Phase::Lost);
    });
    sent.unwrap();
    assert_eq!(Arc::strong_count(&connection), 1);
}

#[test]
fn q7_a_publish_that_joins_a_batch_does_not_overtake_what_was_posted_before_it() {
    let shared = client();
    let (connection, taken) = open(1);
    connect(&shared, &connection);
    shared.wire.lock().batch.collect_up_to(1 << 20);
    publish(&shared, &framed(b"1")).unwrap();
    // As if another thread had had the send lock at this moment.
    shared.outbox.push(1, &framed(b"delete"), Turn::AfterBatch);
    publish(&shared, &framed(b"2")).unwrap();
    shared.send_batch(None);
    let mut sent = Vec::new();
    while let Ok(bytes) = taken.recv_timeout(Duration::ZERO) {
        sent.extend(bytes);
    }
    let expected = [framed(b"1"), framed(b"delete"), framed(b"2")];
    assert_eq!(sent, expected.concat());
}

#[test]
fn what_one_huge_command_needed_is_let_go() {
    let shared = client();
    let (connection, taken) = open(1);
    connect(&shared, &connection);
    let huge = framed(&vec![b'x'; 2 * KEPT_BUFFER]);
    shared.post(&connection, &huge, Turn::AtOnce);
    assert_eq!(taken.recv_timeout(PATIENCE).unwrap().len(), huge.len());
    assert!(shared.wire.lock().unfinished.capacity() <= KEPT_BUFFER);
    assert!(shared.outbox.capacity() <= KEPT_BUFFER);
}
