//! What stands in a journal, and its bytes.
//!
//! A record is its length in 4 bytes, the CRC-32 of that length and of what follows, in 4 bytes,
//! and then a byte for its kind and the fields of that kind. Numbers are little-endian; texts and
//! lists have their length before them. A kind that is not known makes a journal unreadable.

use super::{Bookmark, Entry, Event, Message};
use bytes::{Buf, BufMut, Bytes};

/// The length and the checksum.
pub(super) const PREFIX: usize = 8;

/// A line of the journal. Topics stand in it by numbers that the journal gives them.
#[derive(Debug, Clone)]
pub(crate) enum Record {
    /// Gives a topic its number.
    Topic {
        number: u32,
        message_type: Bytes,
        name: Bytes,
    },
    /// A place of the transaction log.
    Logged(Entry),
    /// As [`Record::Logged`], of a topic that keeps records and is not logged.
    Kept(Entry),
    /// Something happened to a message of a queue.
    Queue { topic: usize, event: QueueEvent },
}

/// What happens to a message of a queue.
#[derive(Debug, Clone)]
pub(crate) enum QueueEvent {
    /// It was acknowledged, or sent where it is delivered once at most.
    Acknowledged(Bookmark),
    /// Its time was over, or it was delivered or given back too often.
    Expired(Bookmark),
}

mod kind {
    pub(super) const TOPIC: u8 = 1;
    pub(super) const LOGGED_MESSAGE: u8 = 2;
    pub(super) const LOGGED_DELETE: u8 = 3;
    pub(super) const KEPT_MESSAGE: u8 = 4;
    pub(super) const KEPT_DELETE: u8 = 5;
    pub(super) const QUEUE_ACKNOWLEDGED: u8 = 6;
    pub(super) const QUEUE_EXPIRED: u8 = 7;
}

/// Why bytes are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    /// They end too early, or their checksum is wrong.
    Torn,
    /// They are whole, and of a kind or a form that this version does not know.
    Unknown,
}

impl Record {
    /// Appends the record to `out`. `number` gives the number of the topic at a place.
    pub(super) fn write(&self, out: &mut Vec<u8>, number: impl Fn(usize) -> u32) {
        match self {
            Record::Topic {
                number,
                message_type,
                name,
            } => framed(out, kind::TOPIC, |out| {
                out.put_u32_le(*number);
                put_bytes(out, message_type);
                put_bytes(out, name);
            }),
            Record::Logged(entry) => write_logged(out, entry, number),
            Record::Kept(entry) => {
                let kinds = (kind::KEPT_MESSAGE, kind::KEPT_DELETE);
                write_entry(out, kinds, entry, number);
            }
            Record::Queue { topic, event } => match event {
                QueueEvent::Acknowledged(bookmark) => {
                    framed(out, kind::QUEUE_ACKNOWLEDGED, |out| {
                        out.put_u32_le(number(*topic));
                        put_bookmark(out, *bookmark);
                    });
                }
                QueueEvent::Expired(bookmark) => framed(out, kind::QUEUE_EXPIRED, |out| {
                    out.put_u32_le(number(*topic));
                    put_bookmark(out, *bookmark);
                }),
            },
        }
    }

    /// Reads the record at the beginning of `bytes`, and says how long it is. Payloads share
    /// `bytes`. `place` gives the place of the topic of a number.
    pub(super) fn read(
        bytes: &Bytes,
        place: impl Fn(u32) -> Option<usize>,
    ) -> Result<(Record, usize), Damage> {
        let length = whole(bytes).ok_or(Damage::Torn)?;
        let body = bytes.slice(PREFIX..length);
        let record = parse(body, place).ok_or(Damage::Unknown)?;
        Ok((record, length))
    }
}

/// As [`Record::write`] of [`Record::Logged`], without a record to hold the entry.
pub(super) fn write_logged(out: &mut Vec<u8>, entry: &Entry, number: impl Fn(usize) -> u32) {
    let kinds = (kind::LOGGED_MESSAGE, kind::LOGGED_DELETE);
    write_entry(out, kinds, entry, number);
}

/// The length of the whole record at the beginning of `bytes`; `None` if there is none.
pub(super) fn whole(bytes: &[u8]) -> Option<usize> {
    let mut prefix = bytes.get(..PREFIX)?;
    let (length, crc) = (prefix.get_u32_le(), prefix.get_u32_le());
    let end = PREFIX.checked_add(usize::try_from(length).ok()?)?;
    let body = bytes.get(PREFIX..end)?;
    // A record is never empty: a stretch of zeros is none.
    (length > 0 && checksum(length, body) == crc).then_some(end)
}

fn checksum(length: u32, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length.to_le_bytes());
    hasher.update(body);
    hasher.finalize()
}

fn framed(out: &mut Vec<u8>, kind: u8, fields: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.put_bytes(0, PREFIX);
    out.put_u8(kind);
    fields(out);
    let body = start + PREFIX;
    // What came in one frame is shorter than this.
    let length = u32::try_from(out.len() - body).unwrap_or(u32::MAX);
    let crc = checksum(length, &out[body..]);
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    out[start + 4..body].copy_from_slice(&crc.to_le_bytes());
}

fn write_entry(
    out: &mut Vec<u8>,
    (message_kind, delete_kind): (u8, u8),
    entry: &Entry,
    number: impl Fn(usize) -> u32,
) {
    match &entry.event {
        Event::Message(message) => framed(out, message_kind, |out| {
            put_bookmark(out, entry.bookmark);
            out.put_u64_le(entry.processed);
            out.put_u32_le(number(message.topic));
            // No client says that many seconds and means it.
            out.put_u64_le(message.lifetime.unwrap_or(u64::MAX));
            put_bytes(out, &message.key);
            put_bytes(out, &message.correlation_id);
            out.put_slice(&message.payload);
        }),
        Event::Delete(records) => framed(out, delete_kind, |out| {
            put_bookmark(out, entry.bookmark);
            out.put_u64_le(entry.processed);
            for (topic, key) in records {
                out.put_u32_le(number(*topic));
                put_bytes(out, key);
            }
        }),
    }
}

fn put_bookmark(out: &mut Vec<u8>, bookmark: Bookmark) {
    out.put_u64_le(bookmark.publisher);
    out.put_u64_le(bookmark.sequence);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.put_u32_le(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    out.put_slice(bytes);
}

fn parse(mut body: Bytes, place: impl Fn(u32) -> Option<usize>) -> Option<Record> {
    let record = match body.try_get_u8().ok()? {
        kind::TOPIC => Record::Topic {
            number: body.try_get_u32_le().ok()?,
            message_type: take_bytes(&mut body)?,
            name: take_bytes(&mut body)?,
        },
        kind::LOGGED_MESSAGE => Record::Logged(take_message(&mut body, place)?),
        kind::LOGGED_DELETE => Record::Logged(take_delete(&mut body, place)?),
        kind::KEPT_MESSAGE => Record::Kept(take_message(&mut body, place)?),
        kind::KEPT_DELETE => Record::Kept(take_delete(&mut body, place)?),
        kind::QUEUE_ACKNOWLEDGED => Record::Queue {
            topic: place(body.try_get_u32_le().ok()?)?,
            event: QueueEvent::Acknowledged(take_bookmark(&mut body)?),
        },
        kind::QUEUE_EXPIRED => Record::Queue {
            topic: place(body.try_get_u32_le().ok()?)?,
            event: QueueEvent::Expired(take_bookmark(&mut body)?),
        },
        _ => return None,
    };
    body.is_empty().then_some(record)
}

fn take_message(body: &mut Bytes, place: impl Fn(u32) -> Option<usize>) -> Option<Entry> {
    let bookmark = take_bookmark(body)?;
    let processed = body.try_get_u64_le().ok()?;
    let topic = place(body.try_get_u32_le().ok()?)?;
    let lifetime = body.try_get_u64_le().ok()?;
    let key = take_bytes(body)?;
    let correlation_id = take_bytes(body)?;
    Some(Entry {
        bookmark,
        processed,
        from: 0,
        event: Event::Message(Message {
            topic,
            key: (&*key).into(),
            payload: std::mem::take(body),
            correlation_id: (&*correlation_id).into(),
            lifetime: (lifetime != u64::MAX).then_some(lifetime),
            old: None,
        }),
    })
}

fn take_delete(body: &mut Bytes, place: impl Fn(u32) -> Option<usize>) -> Option<Entry> {
    let bookmark = take_bookmark(body)?;
    let processed = body.try_get_u64_le().ok()?;
    let mut records = Vec::new();
    while !body.is_empty() {
        let topic = place(body.try_get_u32_le().ok()?)?;
        records.push((topic, (&*take_bytes(body)?).into()));
    }
    Some(Entry {
        bookmark,
        processed,
        from: 0,
        event: Event::Delete(records),
    })
}

fn take_bookmark(body: &mut Bytes) -> Option<Bookmark> {
    Some(Bookmark {
        publisher: body.try_get_u64_le().ok()?,
        sequence: body.try_get_u64_le().ok()?,
    })
}

fn take_bytes(body: &mut Bytes) -> Option<Bytes> {
    let length = usize::try_from(body.try_get_u32_le().ok()?).ok()?;
    (length <= body.len()).then(|| body.split_to(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(event: Event) -> Entry {
        Entry {
            bookmark: Bookmark {
                publisher: 7,
                sequence: 8,
            },
            processed: 9,
            from: 0,
            event,
        }
    }

    fn message(payload: &'static str, lifetime: Option<u64>) -> Entry {
        entry(Event::Message(Message {
            topic: 3,
            key: b"key"[..].into(),
            payload: payload.into(),
            correlation_id: b"x"[..].into(),
            lifetime,
            old: None,
        }))
    }

    fn all() -> Vec<Record> {
        let bookmark = Bookmark {
            publisher: 1,
            sequence: u64::MAX,
        };
        vec![
            Record::Topic {
                number: 4,
                message_type: "json".into(),
                name: "orders".into(),
            },
            Record::Logged(message("payload", Some(5))),
            Record::Logged(message("", None)),
            Record::Logged(entry(Event::Delete(Vec::new()))),
            Record::Logged(entry(Event::Delete(vec![
                (3, b"a"[..].into()),
                (3, b""[..].into()),
            ]))),
            Record::Kept(message("payload", Some(0))),
            Record::Kept(entry(Event::Delete(vec![(3, b"a"[..].into())]))),
            Record::Queue {
                topic: 3,
                event: QueueEvent::Acknowledged(bookmark),
            },
            Record::Queue {
                topic: 3,
                event: QueueEvent::Expired(bookmark),
            },
        ]
    }

    /// Topics have other numbers in the journal than places in the broker.
    fn written(records: &[Record]) -> Bytes {
        let mut out = Vec::new();
        for record in records {
            record.write(&mut out, |place| place as u32 + 100);
        }
        out.into()
    }

    fn place(number: u32) -> Option<usize> {
        number.checked_sub(100).map(|place| place as usize)
    }

    #[test]
    fn every_record_is_read_back_as_it_was_written() {
        let records = all();
        let mut bytes = written(&records);
        for record in records {
            let (read, length) = Record::read(&bytes, place).unwrap();
            assert_eq!(format!("{read:?}"), format!("{record:?}"));
            bytes = bytes.slice(length..);
        }
        assert!(bytes.is_empty());
    }

    #[test]
    fn a_record_that_is_cut_short_or_changed_anywhere_is_torn() {
        for record in all() {
            let bytes = written(&[record]);
            for length in 0..bytes.len() {
                let cut = bytes.slice(..length);
                assert_eq!(Record::read(&cut, place).unwrap_err(), Damage::Torn);
            }
            for at in 0..bytes.len() {
                let mut changed = bytes.to_vec();
                changed[at] ^= 0x10;
                let damage = Record::read(&changed.into(), place).unwrap_err();
                assert_eq!(damage, Damage::Torn, "byte {at}");
            }
        }
    }

    #[test]
    fn what_is_whole_and_not_understood_is_told_apart_from_what_is_torn() {
        let mut out = Vec::new();
        framed(&mut out, 99, |out| out.put_u64_le(1));
        let damage = Record::read(&out.into(), place).unwrap_err();
        assert_eq!(damage, Damage::Unknown);
        let bytes = written(&[Record::Kept(message("x", None))]);
        let nowhere = Record::read(&bytes, |_| None).unwrap_err();
        assert_eq!(nowhere, Damage::Unknown);
        assert_eq!(whole(&[0; 64]), None);
    }
}
