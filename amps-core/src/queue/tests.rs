//! What happens to a batch that is only partly queued.

use super::*;
use std::sync::mpsc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

/// Messages that were read together: the key and the payload of each.
fn batch(messages: &[(&str, &str)]) -> Batch {
    let mut chunk = Vec::new();
    for (key, data) in messages {
        let frame = format!(r#"{{"c":"p","t":"x","k":"{key}"}}{data}"#);
        chunk.extend_from_slice(&(frame.len() as u32).to_be_bytes());
        chunk.extend_from_slice(frame.as_bytes());
    }
    let mut batch = Batch::default();
    Message::each_in_chunk(chunk.into(), |message| batch.add(message)).unwrap();
    batch
}

/// Pushes on another thread; returns when as many are queued as fit, and that thread waits.
fn push_more_than_fit(queue: &Arc<StreamQueue>, mut batch: Batch) -> mpsc::Receiver<()> {
    let (done, is_done) = mpsc::channel();
    let pushed = queue.clone();
    thread::spawn(move || {
        pushed.push(&mut batch, &Waits::default());
        let _ = done.send(());
    });
    let deadline = Instant::now() + PATIENCE;
    while queue.depth() < queue.max_depth() {
        assert!(Instant::now() < deadline);
        thread::yield_now();
    }
    is_done
}

fn texts(queue: &StreamQueue) -> Vec<String> {
    let mut taken = Messages::default();
    let mut found = Vec::new();
    while queue.depth() > 0 {
        queue.take(&mut taken);
        while let Some(message) = taken.pop() {
            found.push(message.data_str().unwrap().to_string());
        }
    }
    found
}

#[test]
fn e7_a_message_that_waits_for_room_replaces_an_unread_one_when_conflation_begins() {
    let queue = Arc::new(StreamQueue::new(2));
    let messages = [("1", "old"), ("2", "other"), ("1", "new")];
    let is_done = push_more_than_fit(&queue, batch(&messages));
    queue.conflate(&mut Messages::default());
    is_done.recv_timeout(PATIENCE).unwrap();
    assert_eq!(texts(&queue), ["new", "other"]);
}

#[test]
fn e7_what_was_queued_before_conflation_began_holds_on_to_itself_alone() {
    let queue = Arc::new(StreamQueue::new(0));
    queue.push(
        &mut batch(&[("1", "one"), ("2", "two"), ("3", "three")]),
        &Waits::default(),
    );
    let mut taken = Messages::default();
    queue.conflate(&mut taken);
    queue.take(&mut taken);
    let message = taken.pop().unwrap();
    assert_eq!(message.data(), b"one");
    let alone = r#"{"c":"p","t":"x","k":"1"}one"#;
    assert_eq!(message.retained_bytes(), alone.len());
}

#[test]
fn what_waits_for_room_is_queued_when_the_limit_goes_and_dropped_when_the_stream_ends() {
    let messages = [("", "1"), ("", "2"), ("", "3"), ("", "4")];
    let queue = Arc::new(StreamQueue::new(1));
    let is_done = push_more_than_fit(&queue, batch(&messages));
    queue.set_max_depth(0);
    is_done.recv_timeout(PATIENCE).unwrap();
    assert_eq!(texts(&queue), ["1", "2", "3", "4"]);

    let queue = Arc::new(StreamQueue::new(1));
    let is_done = push_more_than_fit(&queue, batch(&messages));
    queue.end(EndReason::Closed);
    is_done.recv_timeout(PATIENCE).unwrap();
    assert_eq!(texts(&queue), ["1"]);
}
