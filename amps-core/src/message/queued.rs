//! Messages in a row, as a stream queues them.

use super::chunk::Chunk;
use super::{Message, Parts};
use std::collections::VecDeque;
use std::sync::Arc;

/// Messages in order.
///
/// Those that were read together share one count of their chunk until they are taken. So it is the
/// reader of a stream that counts, alone: if the receive thread counted each message, too, the two
/// would take the count away from each other all the time.
#[derive(Default)]
pub(crate) struct Messages {
    entries: VecDeque<Entry>,
    /// The chunk of the first entry, if that has none of its own.
    chunk: Option<Arc<Chunk>>,
}

struct Entry {
    parts: Parts,
    /// `None`: the one of the entry before.
    chunk: Option<Arc<Chunk>>,
}

impl Entry {
    fn new(message: Message) -> Entry {
        Entry {
            parts: message.parts,
            chunk: Some(message.chunk),
        }
    }
}

impl Messages {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn push(&mut self, message: Message) {
        self.entries.push_back(Entry::new(message));
    }

    /// Adds messages that were read together, and leaves the batch empty.
    pub(crate) fn append(&mut self, batch: &mut Batch) {
        let mut chunk = batch.chunk.take();
        let parts = batch.parts.drain(..);
        self.entries.extend(parts.map(|parts| Entry {
            parts,
            chunk: chunk.take(),
        }));
    }

    pub(crate) fn pop(&mut self) -> Option<Message> {
        let entry = self.entries.pop_front()?;
        if entry.chunk.is_some() {
            self.chunk = entry.chunk;
        }
        let shares = |next: &Entry| next.chunk.is_none();
        let chunk = match self.entries.front().is_some_and(shares) {
            true => self.chunk.clone(),
            false => self.chunk.take(),
        };
        Some(Message::of_parts(chunk?, entry.parts))
    }

    /// Puts another message in the place of one; false if there is none. Only where each message
    /// was pushed alone.
    pub(crate) fn replace(&mut self, place: usize, message: &Message) -> bool {
        let Some(entry) = self.entries.get_mut(place) else {
            return false;
        };
        *entry = Entry::new(message.clone());
        true
    }
}

/// Messages of one chunk.
#[derive(Default)]
pub(crate) struct Batch {
    parts: Vec<Parts>,
    /// Present if it is not empty.
    chunk: Option<Arc<Chunk>>,
}

impl Batch {
    pub(crate) fn len(&self) -> usize {
        self.parts.len()
    }

    /// Adds a message; all are to be of one chunk.
    pub(crate) fn add(&mut self, message: &Message) {
        if self.chunk.is_none() {
            self.chunk = Some(message.chunk.clone());
        }
        self.parts.push(message.parts.clone());
    }

    /// True if it cannot take this message along.
    pub(crate) fn is_of_another_chunk(&self, message: &Message) -> bool {
        let is_another = |chunk| !Arc::ptr_eq(chunk, &message.chunk);
        self.chunk.as_ref().is_some_and(is_another)
    }

    /// Takes the messages out again, one by one.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Message> {
        let chunk = self.chunk.take();
        let parts = self.parts.drain(..);
        parts.filter_map(move |parts| Some(Message::of_parts(chunk.clone()?, parts)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn chunk(texts: &[&str]) -> Bytes {
        let mut chunk = Vec::new();
        for text in texts {
            let frame = format!(r#"{{"c":"p","t":"x"}}{text}"#);
            chunk.extend_from_slice(&(frame.len() as u32).to_be_bytes());
            chunk.extend_from_slice(frame.as_bytes());
        }
        chunk.into()
    }

    fn batch(texts: &[&str]) -> Batch {
        let mut batch = Batch::default();
        Message::each_in_chunk(chunk(texts), |message| batch.add(message)).unwrap();
        batch
    }

    fn texts(messages: &mut Messages) -> Vec<String> {
        let pop = std::iter::from_fn(|| messages.pop());
        pop.map(|message| message.data_str().unwrap().to_string())
            .collect()
    }

    #[test]
    fn messages_of_several_chunks_come_out_in_order_and_whole() {
        let mut messages = Messages::default();
        messages.append(&mut batch(&["1", "2", "3"]));
        messages.append(&mut batch(&[]));
        for message in batch(&["4"]).drain() {
            messages.push(message);
        }
        messages.append(&mut batch(&["5", "6"]));
        assert_eq!(messages.len(), 6);
        assert_eq!(texts(&mut messages), ["1", "2", "3", "4", "5", "6"]);
        assert!(messages.is_empty());
    }

    #[test]
    fn a_chunk_is_kept_no_longer_than_its_last_message() {
        let mut batch = batch(&["1", "2"]);
        let chunk = Arc::downgrade(batch.chunk.as_ref().unwrap());
        let mut messages = Messages::default();
        messages.append(&mut batch);
        messages.append(&mut super::tests::batch(&["3"]));
        drop(messages.pop());
        assert!(chunk.upgrade().is_some());
        drop(messages.pop());
        assert!(chunk.upgrade().is_none());
        assert_eq!(texts(&mut messages), ["3"]);
    }

    #[test]
    fn a_message_that_was_pushed_alone_can_be_replaced() {
        let mut messages = Messages::default();
        batch(&["1", "2", "3"])
            .drain()
            .for_each(|message| messages.push(message));
        let other = batch(&["other"]).drain().next().unwrap();
        assert!(messages.replace(1, &other));
        assert!(!messages.replace(3, &other));
        assert_eq!(texts(&mut messages), ["1", "other", "3"]);
    }
}
